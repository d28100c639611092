"""Gradient similarity against factors and generalization over auxiliary sets (M24 §5, Fig. 5)."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core import factors
from mtl_core.analysis.aggregates import aggregate_each, footnote_applies
from mtl_core.analysis.loss_bins import phase_range, read_in_range
from mtl_core.analysis.replicas import numbers, replicas, seed_numbers, shared_epoch, whole_numbers
from mtl_core.analysis.transfer import reached_each
from mtl_core.direction import Direction

__all__ = ["READINGS", "Correlation", "Reading", "correlate", "similarity_points"]

Array = npt.NDArray[np.float64]

Reading = Literal["early", "throughout"]
READINGS: tuple[Reading, ...] = ("early", "throughout")
"""When gradient similarity is read: M24's summary boxes speak of early conflict, its §5.1 averages
throughout training."""

EXACT = 7
"""Up to this many points, all of their permutations (5,040) are counted."""
PERMUTATIONS = 9_999
ROUNDING = 1e-12
"""Differences below this, relative to the values, count as 0."""


@dataclass(frozen=True)
class Correlation:
    """The correlation of two quantities over n points, maybe with a third one held fixed.

    Attributes:
        n: how many points.
        pearson_r: Pearson's correlation coefficient; the partial one where something is held fixed.
        pearson_p: its two-sided p for normally distributed quantities, which the paper gives.
        spearman_rho: the correlation of ranks, or of the ranks' residuals.
        permutation_p: two-sided p of Pearson's r among the pairings of x with a shuffled y.
        ci_low: lower end of the 95 % interval of r by Fisher's z; NaN with too few points, and for
            points on a line, of which z, being infinite, says nothing.
        ci_high: its upper end.
        held: how many quantities are held fixed.
    """

    n: int
    pearson_r: float
    pearson_p: float
    spearman_rho: float
    permutation_p: float
    ci_low: float
    ci_high: float
    held: int = 0

    @property
    def few(self) -> bool:
        """Whether there are fewer than 8 points, so that one can make or undo a correlation."""
        return self.n < 8


def similarity_points(
    trajectories: pd.DataFrame,
    task: str,
    column: str,
    early_epochs: float | None = None,
    *,
    direction: Direction = "higher",
    reading: Reading = "early",
    footnote: bool = False,
) -> pd.DataFrame:
    """A point for each curve with auxiliaries: gradient similarity and a factor or metric.

    Similarity is the mean over seeds of each seed's mean over its checkpoints, early ones or those
    at the end of every epoch, without that of the untrained network. For a seed that was not
    measured so early, its first measured similarity is taken. Single-task training has no point:
    its similarity is 1 by definition.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        task: the task whose rows are read.
        column: ``test_metric``, which is E at the best validation epoch, or a factor, which is read
            at comparable loss: in the bins of App. C.4 on the curve with the highest minimum loss.
        early_epochs: the last epoch that is early; by default a tenth of the curve's epochs, at
            least one. The paper says "early stages" and no more.
        direction: which validation metrics are best.
        reading: of the similarity.
        footnote: whether the column is aggregated by footnote 7 instead; curves that are too short
            for it have no point.

    Returns:
        In order of appearance ``curve, auxiliaries``; ``similarity`` and ``value``, means over
        seeds, with ``_low`` and ``_high``: ± 2 sample standard deviations, no width with one seed;
        ``similarity_error``, the standard error of the mean similarity, without what the curves'
        shared seeds have in common, NaN with one seed;
        ``seeds``; ``early_checkpoints``, of the seed with the fewest (0 where a later checkpoint
        was taken); and ``measurements``, how many of the seed with the fewest lie in the bins (0
        where the factor is read between two).
        Curves are left out until every seed has both quantities; of a live run, only what every
        seed of the curve has reached counts.
    """
    curves = {
        curve: seeds
        for curve, seeds in replicas(trajectories, task).items()
        if seeds[0]["auxiliaries"].iloc[0] != "stl"
    }
    values = _values(curves, column, direction, footnote)
    points = []
    similarities: dict[str, dict[int, float]] = {}
    for curve, (own, measurements) in values.items():
        seeds = curves[curve]
        means, counts = _similarity(seeds, early_epochs, reading)
        point = {
            **_band("similarity", means),
            "seeds": len(seeds),
            "early_checkpoints": min(counts),
            **_band("value", own),
            "measurements": measurements,
        }
        if np.isfinite([point["similarity"], *own]).all():
            auxiliaries = seeds[0]["auxiliaries"].iloc[0]
            points.append({"curve": curve, "auxiliaries": auxiliaries, **point})
            similarities[curve] = dict(zip(seed_numbers(seeds), means, strict=True))
    columns = ["curve", "auxiliaries", *_band("similarity", [0]), *_band("value", [0])]
    table = pd.DataFrame(points, columns=[*columns, "seeds", "early_checkpoints", "measurements"])
    return table.assign(similarity_error=_errors(list(similarities.values())))


def correlate(
    x: npt.ArrayLike, y: npt.ArrayLike, seed: int = 0, *, given: npt.ArrayLike | None = None
) -> Correlation | None:
    """Pearson's r, which the paper gives, with measures that hold for few points too.

    The interval is Fisher's: z = artanh r is nearly normal with standard deviation
    1 / √(n − 3 − k), where k quantities are held fixed. It covers 95 % with 8 points already, where
    the bootstrap's percentiles cover 90 %. The p by permutation is exact over all pairings with up
    to 7 points, else from 9,999 random ones and (1 + count) / (1 + 9,999).

    Args:
        x: (n,); points with a value that is not finite are left out.
        y: (n,).
        seed: of the permutations.
        given: (n,), a quantity to hold fixed: x and y are replaced by what is left of them after
            linear regression on it. One that is constant over the points changes nothing.

    Returns:
        None with fewer than 3 points, or one more where something is held fixed, or where either
        quantity is constant.

    Raises:
        ValueError: shapes that differ, or are not one-dimensional.
    """
    from scipy import stats  # type: ignore[import-untyped, unused-ignore]  # not while importing

    xs, ys, fixed = _finite_points(x, y, given)
    if xs.size < 3 or _constant(xs) or _constant(ys):
        return None
    held = 0
    ranks = stats.rankdata(xs), stats.rankdata(ys)
    if fixed is not None and not _constant(fixed):
        held = 1
        if xs.size < 4:
            return None
        rest = _residual(xs, fixed), _residual(ys, fixed)
        if _nothing(rest[0], xs) or _nothing(rest[1], ys):
            return None
        xs, ys = rest
        third = stats.rankdata(fixed)
        ranks = _residual(ranks[0], third), _residual(ranks[1], third)
    # 1 for points on a line, not 1 - 1e-16.
    r = round(float(np.clip(_standardized(xs) @ _standardized(ys), -1, 1)), 15)
    ci_low, ci_high = _fisher(r, xs.size - held)
    return Correlation(
        n=int(xs.size),
        pearson_r=r,
        pearson_p=_p(r, xs.size - 2 - held),
        spearman_rho=_ranks_r(*ranks),
        permutation_p=_permutation_p(xs, ys, np.random.default_rng(seed)),
        ci_low=ci_low,
        ci_high=ci_high,
        held=held,
    )


def _values(
    curves: Mapping[str, Sequence[pd.DataFrame]],
    column: str,
    direction: Direction,
    footnote: bool,
) -> dict[str, tuple[tuple[float, ...], int]]:
    """Of each curve a value per seed, and how many measurements it is made of at least."""
    if footnote:
        return {
            curve: (aggregate_each(seeds, column, direction=direction), 0)
            for curve, seeds in curves.items()
            if footnote_applies(seeds)
        }
    if column == "test_metric":
        return {curve: (reached_each(seeds, direction), 0) for curve, seeds in curves.items()}
    factor = factors.get(column)
    if factor.summary == "all":
        return {
            curve: (aggregate_each(seeds, column, direction=direction), 0)
            for curve, seeds in curves.items()
        }
    span = phase_range(list(curves.values()), factor.phase)
    if span is None:
        return {}
    found = {}
    for curve, seeds in curves.items():
        readings = [read_in_range(replica, column, *span) for replica in seeds]
        values = tuple(math.nan if value is None else value for value, _ in readings)
        found[curve] = values, min(count for _, count in readings)
    return found


def _similarity(
    seeds: Sequence[pd.DataFrame], early_epochs: float | None, reading: Reading
) -> tuple[Sequence[float], Sequence[int]]:
    """The similarity of each seed of a curve, and over how many checkpoints."""
    horizon = shared_epoch(seeds)
    if reading == "throughout":
        found = [_throughout(seed, horizon) for seed in seeds]
    else:
        early = max(1.0, 0.1 * horizon) if early_epochs is None else early_epochs
        found = [_early_similarity(seed, early, horizon) for seed in seeds]
    means, counts = zip(*found, strict=True)
    return means, counts


def _errors(curves: Sequence[Mapping[int, float]]) -> list[float]:
    """The standard error of each curve's mean over its seeds, from their values.

    Where all curves have the same seeds, what a seed adds to all of them makes no difference
    between curves: the error is that of the residuals from the sum of curve and seed effects, over
    (curves − 1) (seeds − 1) degrees of freedom.
    """
    shared = {tuple(sorted(each)) for each in curves}
    if len(curves) > 1 and len(shared) == 1:
        seeds = next(iter(shared))
        if len(seeds) < 2:
            return [math.nan] * len(curves)
        values = np.array([[each[seed] for seed in seeds] for each in curves])
        rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
        freedom = (len(curves) - 1) * (len(seeds) - 1)
        return [math.sqrt(float((rest**2).sum()) / freedom / len(seeds))] * len(curves)
    return [
        float(np.std(list(each.values()), ddof=1)) / math.sqrt(len(each))
        if len(each) > 1
        else math.nan
        for each in curves
    ]


def _throughout(replica: pd.DataFrame, horizon: float) -> tuple[float, int]:
    """A seed's mean similarity at the end of its epochs, NaN where none was measured."""
    (similarity,) = whole_numbers(replica, "gradient_similarity", until=horizon)
    measured = similarity[np.isfinite(similarity)]
    return (float(measured.mean()), measured.size) if measured.size else (math.nan, 0)


def _early_similarity(replica: pd.DataFrame, early: float, horizon: float) -> tuple[float, int]:
    """A seed's similarity, NaN where none is measured yet, and over how many early checkpoints."""
    epoch = numbers(replica, "epoch")
    seen = (numbers(replica, "step") > 0) & (epoch <= horizon)
    similarity, epoch = numbers(replica, "gradient_similarity")[seen], epoch[seen]
    measured = np.isfinite(similarity)
    chosen = similarity[measured & (epoch <= early)]
    if chosen.size:
        return float(chosen.mean()), chosen.size
    return (float(similarity[measured][0]), 0) if measured.any() else (float("nan"), 0)


def _finite_points(
    x: npt.ArrayLike, y: npt.ArrayLike, given: npt.ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """All without the points that are not finite, sorted, and of a size at most 1.

    Sorted, so that the random draws do not depend on the order of the points; scaled, so that no
    square of a value leaves the range of floats.
    """
    parts = [np.asarray(each, dtype=float) for each in (x, y, *([] if given is None else [given]))]
    if parts[0].ndim != 1 or any(part.shape != parts[0].shape for part in parts):
        shapes = " and ".join(str(part.shape) for part in parts)
        raise ValueError(f"x and y must be of one length, not of shapes {shapes}")
    finite = np.logical_and.reduce([np.isfinite(part) for part in parts])
    parts = [part[finite] for part in parts]
    order = np.lexsort(parts[::-1])
    scaled = [_scaled(part[order]) for part in parts]
    return scaled[0], scaled[1], scaled[2] if len(scaled) > 2 else None


def _scaled(values: Array) -> Array:
    size = np.abs(values).max(initial=0.0)
    return values if size == 0 else values / size


def _residual(values: Array, given: Array) -> Array:
    """What is left of values after linear regression on another quantity."""
    centred, others = values - values.mean(), _standardized(given)
    residual: Array = centred - (centred @ others) * others
    return residual


def _nothing(rest: Array, values: Array) -> bool:
    """Whether a residual is rounding only."""
    spread = np.linalg.norm(values - values.mean())
    return bool(np.linalg.norm(rest) <= 1e-9 * spread)


def _ranks_r(x: Array, y: Array) -> float:
    if _constant(x) or _constant(y):
        return math.nan
    return float(np.clip(_standardized(x) @ _standardized(y), -1, 1))


def _p(r: float, freedom: int) -> float:
    """Two-sided p of a correlation of two normal quantities."""
    from scipy import special

    if freedom < 1 or abs(r) >= 1:
        return 0.0 if freedom >= 1 else 1.0
    t = abs(r) * math.sqrt(freedom / (1 - r * r))
    return 2 * float(special.stdtr(freedom, -t))


def _fisher(r: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a correlation over n points, less one for each quantity held fixed."""
    if n <= 3 or abs(r) >= 1:
        return math.nan, math.nan
    reach = 1.959963984540054 / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)


def _band(name: str, values: Sequence[float]) -> dict[str, float]:
    mean = float(np.mean(values))
    spread = 2 * float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {name: mean, f"{name}_low": mean - spread, f"{name}_high": mean + spread}


def _permutation_p(x: Array, y: Array, generator: np.random.Generator) -> float:
    """The share of pairings whose r is at least as far from 0 as that of x and y, each (n,)."""
    x, y = _standardized(x), _standardized(y)
    exact = x.size <= EXACT
    if exact:
        shuffled = y[list(itertools.permutations(range(y.size)))]
    else:
        shuffled = np.tile(y, (PERMUTATIONS, 1))
        generator.permuted(shuffled, axis=1, out=shuffled)
    # Not @: its threads wait longer for busy cores than the sums take.
    count = int(np.sum(np.abs(np.einsum("pn,n->p", shuffled, x)) >= abs(x @ y) - ROUNDING))
    return count / len(shuffled) if exact else (1 + count) / (1 + PERMUTATIONS)


def _standardized(values: Array) -> Array:
    """Mean 0 and norm 1, so that r is a dot product."""
    centred = values - values.mean()
    standardized: Array = centred / np.linalg.norm(centred)
    return standardized


def _constant(values: Array) -> bool:
    return bool(np.ptp(values) <= ROUNDING * np.abs(values).max())
