"""The correlation of gradient similarity and a quantity over auxiliary sets, which decides.

A task's gradient is one of the K that are summed, so that its cosine to their sum is about 1/√K
where task gradients are nearly orthogonal: over sets of unlike size, similarity is the number of
tasks by another name. With 1/√K held fixed, or over sets of one size, what is left of it is
conflict.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.analysis.correlation import Correlation, correlate

__all__ = ["SetsCorrelation", "correlate_sets", "spans_decades"]

DECADE = 10.0
"""Values that span more than this factor are correlated by their logarithms."""


@dataclass(frozen=True)
class SetsCorrelation:
    """What gradient similarity goes with over the auxiliary sets of a target.

    Attributes:
        paper: by the paper's own protocol, of the values as they are over sets of every size.
        decides: given 1/√K, over sets of one size if only these are asked for, and of log10 of
            values that span more than a decade; None where it is not defined.
        other: the same on the other scale; None where a value is not positive.
        logarithms: whether ``decides`` is of log10 of the values.
        tasks: the numbers of tasks K of the sets that ``decides`` is over, ascending.
        by_size: r of similarity and 1/√K over all sets; None where all have one size.
        reliability: the share of the variance of similarity, with 1/√K held fixed, that is no noise
            of seeds and batches; a correlation seems smaller than it is by its square root. NaN
            with one seed.
        measurements: the fewest that a seed's value is made of, over the same sets.
    """

    paper: Correlation | None
    decides: Correlation | None
    other: Correlation | None
    logarithms: bool
    tasks: tuple[int, ...]
    by_size: float | None
    reliability: float
    measurements: int


def correlate_sets(points: pd.DataFrame, size: int | None = None) -> SetsCorrelation:
    """How similarity goes with a value over a target's auxiliary sets.

    Args:
        points: ``similarity, similarity_error, value, measurements``; ``tasks``, how many tasks
            the set has with the target; and ``plain``, whether the run follows the plain sum of
            task gradients. Only these decide: several points of one set are not independent of
            each other.
        size: the number of tasks of the sets that decide; None takes all.
    """
    chosen = points[points["plain"].astype(bool)]
    if size is not None:
        chosen = chosen[chosen["tasks"] == size]
    values = chosen["value"].to_numpy(dtype=float)
    logarithms = spans_decades(values)
    scales = {False: values}
    if values.size and (values > 0).all():
        scales[True] = np.log10(values)
    fixed = _by_size(chosen)
    found = {
        log: correlate(chosen["similarity"], scaled, given=fixed) for log, scaled in scales.items()
    }
    size_alone = correlate(points["similarity"], _by_size(points))
    return SetsCorrelation(
        paper=correlate(points["similarity"], points["value"]),
        decides=found[logarithms],
        other=found.get(not logarithms),
        logarithms=logarithms,
        tasks=tuple(sorted(int(each) for each in chosen["tasks"].unique())),
        by_size=None if size_alone is None else size_alone.pearson_r,
        reliability=_reliability(chosen),
        measurements=int(chosen["measurements"].min()) if len(chosen) else 0,
    )


def spans_decades(values: npt.ArrayLike) -> bool:
    """Whether values are all positive and span more than a decade."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return bool(known.size and known.min() > 0 and known.max() > DECADE * known.min())


def _reliability(chosen: pd.DataFrame) -> float:
    similarity, fixed = chosen["similarity"].to_numpy(dtype=float), _by_size(chosen)
    if similarity.size < 4:
        return math.nan
    design = np.column_stack([np.ones_like(fixed), fixed - fixed.mean()])
    rank = np.linalg.matrix_rank(design)
    rest = similarity - design @ np.linalg.lstsq(design, similarity, rcond=None)[0]
    variance = float(rest @ rest) / (similarity.size - rank)
    noise = float(np.mean(chosen["similarity_error"].to_numpy(dtype=float) ** 2))
    return math.nan if variance == 0 or math.isnan(noise) else max(0.0, 1 - noise / variance)


def _by_size(points: pd.DataFrame) -> npt.NDArray[np.float64]:
    """1/√K of each point: the cosine of one of K orthogonal gradients of equal size to the sum."""
    sizes: npt.NDArray[np.float64] = points["tasks"].to_numpy(dtype=float) ** -0.5
    return sizes
