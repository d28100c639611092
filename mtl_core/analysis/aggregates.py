"""One number per trajectory: the aggregates of M24's footnote 7, which Table 1 is made of.

Unlike ``comparable``, they do not look at the training loss. The paper evaluates once an epoch for
100 epochs, and so only whole epochs count here. On a short run "the ten best" are its whole way up,
and "the last 20" all there is, so that an aggregate measures how fast a task is learned: pages
offer them for runs of at least 50 epochs (``footnote_applies``).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core import factors
from mtl_core.analysis.replicas import (
    Rows,
    replicas,
    seed_numbers,
    shared_epoch,
    whole,
    whole_numbers,
)
from mtl_core.analysis.significance import Comparison, compare
from mtl_core.analysis.versus import Versus
from mtl_core.direction import Direction

__all__ = [
    "FEWEST_EPOCHS",
    "aggregate",
    "aggregate_checkpoints",
    "aggregate_comparison",
    "aggregate_each",
    "aggregate_replicas",
    "footnote_applies",
]

Array = npt.NDArray[np.float64]

BEST = 10
"""Validation checkpoints over which the test metric is averaged."""

MOST = 20
"""Last, or largest, values over which a factor is averaged."""

FEWEST_EPOCHS = 50
"""Whole-epoch checkpoints from which on these counts are a small part of a trajectory."""


def aggregate(
    trajectories: pd.DataFrame,
    task: str,
    curve: str,
    column: str,
    *,
    direction: Direction = "higher",
) -> tuple[float, ...]:
    """A curve's value of a column, one per seed in numerical order (M24 footnote 7).

    - ``test_metric``: its mean at the 10 best validation checkpoints, the earlier ones on ties;
    - ``sharpness``, ``gradient_covariance``: the mean of the last 20 measured values;
    - ``fisher_trace``: the mean of the 20 largest;
    - ``gradient_similarity``: the mean of all (ours; the footnote is silent).

    Where there are fewer checkpoints, all of them are averaged: see ``aggregate_checkpoints`` and
    ``footnote_applies``. Of a live run, only checkpoints up to the epoch that every seed of the
    curve has reached count.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        task: the task whose rows are read.
        curve: the curve.
        column: ``test_metric`` or a factor.
        direction: which validation metrics are best; says nothing about factors.

    Returns:
        NaN for a seed without a value; empty for a curve without rows.

    Raises:
        ValueError: a column that has no aggregate.
    """
    seeds = replicas(trajectories, task).get(curve, [])
    return aggregate_each(seeds, column, direction=direction)


def aggregate_each(
    seeds: Sequence[pd.DataFrame], column: str, *, direction: Direction = "higher"
) -> tuple[float, ...]:
    """``aggregate`` of replicas, each read up to the epoch that all of them have reached."""
    averaged = _averaged(seeds, column, direction)
    return tuple(float(chosen.mean()) if chosen.size else float("nan") for chosen in averaged)


def aggregate_checkpoints(
    trajectories: pd.DataFrame, task: str, curve: str, column: str
) -> tuple[int, ...]:
    """Over how many checkpoints ``aggregate`` averages, for each seed."""
    seeds = replicas(trajectories, task).get(curve, [])
    return tuple(chosen.size for chosen in _averaged(seeds, column, "higher"))


def footnote_applies(seeds: Sequence[pd.DataFrame]) -> bool:
    """Whether each of these replicas has enough whole epochs for footnote 7's counts."""
    return bool(seeds) and min(len(whole(replica)) for replica in seeds) >= FEWEST_EPOCHS


def aggregate_comparison(trajectories: Rows, versus: Versus, column: str) -> Comparison | None:
    """The aggregates of a curve and its baseline: a cell of M24's Table 1.

    Of a factor, "better" is the paper's improvement. Of a live run, only checkpoints up to the
    epoch that every seed of both curves has reached count.

    Returns:
        None while a seed of either curve has no value.

    Raises:
        ValueError: a column that has no aggregate.
    """
    ours, theirs = versus.sides(trajectories)
    return aggregate_replicas(ours, theirs, column, versus.direction_of(column))


def aggregate_replicas(
    ours: Sequence[pd.DataFrame],
    theirs: Sequence[pd.DataFrame],
    column: str,
    direction: Direction,
) -> Comparison | None:
    """``aggregate_comparison`` of the replicas of two curves."""
    values = aggregate_each([*ours, *theirs], column, direction=direction)
    if not ours or not theirs or not np.isfinite(values).all():
        return None
    return compare(
        values[: len(ours)],
        values[len(ours) :],
        direction=direction,
        seeds=seed_numbers(ours),
        baseline_seeds=seed_numbers(theirs),
    )


def _averaged(seeds: Sequence[pd.DataFrame], column: str, direction: Direction) -> list[Array]:
    """The values that each replica's aggregate is the mean of."""
    columns = ("test_metric", *factors.names())
    if column not in columns:
        raise ValueError(f"no aggregate of {column!r}; one of: {', '.join(columns)}")
    if not seeds:
        return []
    horizon = shared_epoch(seeds)
    if column == "test_metric":
        return [_at_best_validation(replica, horizon, direction) for replica in seeds]
    seen = [whole_numbers(replica, column, until=horizon) for replica in seeds]
    return [_chosen(values, column) for (values,) in seen]


def _at_best_validation(replica: pd.DataFrame, horizon: float, direction: Direction) -> Array:
    test, validation = whole_numbers(replica, "test_metric", "val_metric", until=horizon)
    known = np.isfinite(test) & np.isfinite(validation)
    rank = -validation[known] if direction == "higher" else validation[known]
    return test[known][np.argsort(rank, kind="stable")[:BEST]]


def _chosen(values: Array, factor: str) -> Array:
    measured = values[np.isfinite(values)]
    summary = factors.get(factor).summary
    if summary == "all":
        return measured
    if summary == "largest":
        measured = np.sort(measured)
    return measured[-MOST:]
