"""Factors at similar training loss: the bins of M24 App. C.4.

A factor depends on how low the loss is, so two curves are compared where their losses fall into
one range: early in training, where the Fisher trace explodes, or at the end, near convergence.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core import factors
from mtl_core.analysis.loss_matching import LOSS_FLOOR, metric_at_loss
from mtl_core.analysis.replicas import Rows, seed_numbers, whole_numbers
from mtl_core.analysis.significance import Comparison, compare
from mtl_core.analysis.versus import Versus
from mtl_core.factors.base import Phase

__all__ = [
    "PHASES",
    "BinnedComparison",
    "Phase",
    "comparable",
    "comparable_replicas",
    "loss_bins",
    "phase_range",
    "read_in_range",
]

Array = npt.NDArray[np.float64]

PHASES: Mapping[Phase, tuple[int, int]] = {"early": (2, 5), "end": (18, 20)}
"""First and last of 20 bins, counted from 1, the highest loss (M24 App. C.4)."""


@dataclass(frozen=True)
class BinnedComparison:
    """A factor of two curves within one range of training loss.

    Attributes:
        phase: the phase of training that the range stands for.
        loss_high: where the range begins, included.
        loss_low: where it ends, included.
        values: the curve's factor, one per seed in numerical order; None where it is not measured
            down to the range.
        baseline_values: the baseline's.
        measurements: how many measurements of each seed lie inside the range, the curve's seeds
            first, then the baseline's.
        interpolated: how many of both curves' values were read between two checkpoints, having no
            measurement inside.
        comparison: of the values that are not None; "better" is the paper's improvement.
    """

    phase: Phase
    loss_high: float
    loss_low: float
    values: tuple[float | None, ...]
    baseline_values: tuple[float | None, ...]
    measurements: tuple[int, ...]
    interpolated: int
    comparison: Comparison


def loss_bins(train_loss: npt.ArrayLike, bins: int = 20) -> Array:
    """Edges of geometric bins from a trajectory's highest loss to its lowest (M24 App. C.4).

    Bin b, counted from 1, lies between ``edges[b - 1]`` and ``edges[b]``.

    Args:
        train_loss: (T,), in any order; values that are not finite are passed over.
        bins: how many bins.

    Returns:
        (bins + 1,), falling, at least ``LOSS_FLOOR``; NaN without a loss.

    Raises:
        ValueError: fewer than one bin.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    losses = np.asarray(train_loss, dtype=float)
    losses = np.maximum(losses[np.isfinite(losses)], LOSS_FLOOR)
    if not losses.size:
        return np.full(bins + 1, np.nan)
    edges: Array = np.geomspace(losses.max(), losses.min(), bins + 1)
    return edges


def comparable(
    trajectories: Rows, versus: Versus, column: str, phase: Phase | None = None
) -> BinnedComparison | None:
    """A factor of a curve and its baseline at similar loss (M24 App. C.4).

    The range is the phase's bins on the curve with the higher minimum loss. The paper says so of
    the end phase; that the early phase follows the same rule is our choice, and so is the curve's
    one trajectory: its highest and its lowest loss, after the first whole epoch, are means over
    its seeds. Only whole epochs count.

    A seed's value is the factor's mean over the checkpoints inside the range at which it was
    measured. With none inside it is read at the range's geometric centre, linearly in log loss.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        versus: the curve, its baseline and the task.
        column: one of the factors.
        phase: by default the factor's own: early for the Fisher trace, the end for sharpness and
            covariance.

    Returns:
        None while either curve has no value, or no loss has fallen yet. While a run is live, the
        range still moves.

    Raises:
        ValueError: a column that is no factor, or an unknown phase.
    """
    return comparable_replicas(*versus.sides(trajectories), column, phase)


def comparable_replicas(
    ours: Sequence[pd.DataFrame],
    theirs: Sequence[pd.DataFrame],
    column: str,
    phase: Phase | None = None,
) -> BinnedComparison | None:
    """``comparable`` of the replicas of two curves, each of them in step order."""
    factor = factors.get(column)
    phase = phase or factor.phase
    span = phase_range([ours, theirs], phase)
    if span is None or not ours or not theirs:
        return None
    readings = [read_in_range(replica, column, *span) for replica in [*ours, *theirs]]
    values = tuple(value for value, _ in readings)
    comparison = compare(
        [math.nan if value is None else value for value in values[: len(ours)]],
        [math.nan if value is None else value for value in values[len(ours) :]],
        direction=factor.direction,
        seeds=seed_numbers(ours),
        baseline_seeds=seed_numbers(theirs),
    )
    if not comparison.seeds or not comparison.baseline_seeds:
        return None
    return BinnedComparison(
        phase,
        *span,
        values[: len(ours)],
        values[len(ours) :],
        measurements=tuple(count for _, count in readings),
        interpolated=sum(value is not None and not count for value, count in readings),
        comparison=comparison,
    )


def phase_range(
    curves: Sequence[Sequence[pd.DataFrame]], phase: Phase
) -> tuple[float, float] | None:
    """Highest and lowest loss of a phase, on that of these curves which has the highest minimum.

    Args:
        curves: the replicas of each.
        phase: of ``PHASES``; raises ValueError otherwise.

    Returns:
        None while a curve has no whole epoch, or no loss has fallen yet.
    """
    if phase not in PHASES:
        raise ValueError(f"unknown phase {phase!r}; one of: {', '.join(PHASES)}")
    extents = [extent for seeds in curves if (extent := _extent(seeds)) is not None]
    if not extents or len(extents) < len(curves):
        return None
    lowest, highest = max(extents)
    if lowest >= highest:
        return None
    edges = loss_bins([highest, lowest])
    first, last = PHASES[phase]
    return float(edges[first - 1]), float(edges[last])


def _extent(seeds: Sequence[pd.DataFrame]) -> tuple[float, float] | None:
    """Lowest and highest loss of a curve, means over its seeds; None without any loss."""
    ends = [loss_bins(whole_numbers(replica, "train_loss")[0], bins=1) for replica in seeds]
    known = [end for end in ends if np.isfinite(end).all()]
    if not known:
        return None
    highest, lowest = np.mean(known, axis=0)
    return float(lowest), float(highest)


def read_in_range(
    replica: pd.DataFrame, column: str, high: float, low: float
) -> tuple[float | None, int]:
    """A seed's value in a range of loss, and of how many measurements there it is the mean.

    Without any it is read between two checkpoints, and None where it is not measured so far down.
    """
    losses, values = whole_numbers(replica, "train_loss", column)
    losses = np.maximum(losses, LOSS_FLOOR)
    # A mean over seeds of equal losses may be off by its rounding; the range has its ends in it.
    slack = 1e-9
    inside = (losses <= high * (1 + slack)) & (losses >= low * (1 - slack)) & np.isfinite(values)
    if inside.any():
        return float(values[inside].mean()), int(inside.sum())
    centre = metric_at_loss(losses, values, np.sqrt(high * low)).item()
    return (centre if np.isfinite(centre) else None), 0
