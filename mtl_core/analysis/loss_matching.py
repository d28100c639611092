"""Trajectories at comparable training loss: the generalization gap (M24 §2).

The gap is the difference in test metric between two trajectories at the same *full* training
loss. Checkpoints never fall on the same loss, so metrics are read between them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.analysis.replicas import Rows, numbers, replicas, seed_numbers
from mtl_core.analysis.significance import Comparison, compare
from mtl_core.analysis.versus import Versus

__all__ = [
    "LOSS_FLOOR",
    "LossMatchedGap",
    "common_reach",
    "gap",
    "loss_levels",
    "loss_matched",
    "metric_at_loss",
    "read_at",
]

Array = npt.NDArray[np.float64]

LOSS_FLOOR = 1e-12
"""Losses are read as at least this much: a fitted training set can reach 0, which has no log."""


@dataclass(frozen=True)
class LossMatchedGap:
    """Two curves at one training loss.

    Attributes:
        train_loss: the lowest that every seed of both curves has reached.
        metrics: the curve's test metric there, one per seed in numerical order.
        baseline_metrics: the baseline's.
        comparison: their means, difference and verdict.
    """

    train_loss: float
    metrics: tuple[float, ...]
    baseline_metrics: tuple[float, ...]
    comparison: Comparison


def loss_matched(
    trajectories: pd.DataFrame,
    task: str,
    *,
    column: str = "test_metric",
    geometric: bool = False,
    points_per_decade: int = 20,
) -> pd.DataFrame:
    """A measure or factor as a function of training loss: mean and ± 2 SD over a curve's seeds.

    Levels lie on one geometric grid for all curves, anchored at loss 1 so that what is drawn
    already stays in place while a run goes on; each curve also has the levels where it begins and
    ends. A curve has a level only where all its seeds have reached it.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        task: the task whose rows are read.
        column: what is read; checkpoints at which it was not measured are passed over.
        geometric: whether values between checkpoints are read along their logarithm, as a factor
            that falls by decades is drawn; checkpoints at 0 or below are then passed over too.
        points_per_decade: levels for each factor of ten in loss.

    Returns:
        ``curve, train_loss, metric_mean, metric_low, metric_high, seeds``, with falling loss
        within a curve; one seed has a band of no width.
    """
    bands = [
        _band(curve, seeds, column, geometric, points_per_decade)
        for curve, seeds in replicas(_positive(trajectories, column, geometric), task).items()
    ]
    bands = [band for band in bands if band]
    columns = ["curve", "train_loss", "metric_mean", "metric_low", "metric_high", "seeds"]
    # One frame of all: one of each curve takes longer than what it holds.
    joined = {name: np.concatenate([band[name] for band in bands]) for name in columns if bands}
    return pd.DataFrame(joined, columns=columns)


def gap(trajectories: Rows, versus: Versus) -> LossMatchedGap | None:
    """The generalization gap at the lowest loss that every seed of both curves has reached.

    None while there is no such loss: a curve has no rows, or a seed starts at a lower loss than
    another one has reached.
    """
    ours, theirs = versus.sides(trajectories)
    reach = common_reach(ours + theirs)
    if not ours or not theirs or reach is None:
        return None
    _, lowest = reach
    metrics = tuple(read_at(seed, np.array([lowest])).item() for seed in ours)
    baseline_metrics = tuple(read_at(seed, np.array([lowest])).item() for seed in theirs)
    comparison = compare(
        metrics,
        baseline_metrics,
        direction=versus.direction,
        seeds=seed_numbers(ours),
        baseline_seeds=seed_numbers(theirs),
    )
    return LossMatchedGap(lowest, metrics, baseline_metrics, comparison)


def metric_at_loss(
    train_loss: npt.ArrayLike, metric: npt.ArrayLike, levels: npt.ArrayLike
) -> Array:
    """The metric when one replica first got down to each loss level.

    Reads along the running minimum of the loss, linearly in log loss.

    Args:
        train_loss: (T,), in step order.
        metric: (T,), at the same checkpoints.
        levels: (M,), losses above 0, in any order.

    Returns:
        (M,); NaN above the first loss and below the lowest.
    """
    losses, metrics = _records(np.asarray(train_loss, dtype=float), np.asarray(metric, dtype=float))
    levels = np.asarray(levels, dtype=float)
    if not losses.size:
        return np.full(levels.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        read: Array = np.interp(
            -np.log(levels), -np.log(losses), metrics, left=np.nan, right=np.nan
        )
    return read


def common_reach(
    seeds: list[pd.DataFrame], column: str = "test_metric"
) -> tuple[float, float] | None:
    """Highest and lowest loss that each of these replicas passed through with ``column`` known."""
    passed = [
        _records(
            replica["train_loss"].to_numpy(dtype=float),
            replica[column].to_numpy(dtype=float),
        )[0]
        for replica in seeds
    ]
    if not passed or any(losses.size == 0 for losses in passed):
        return None
    highest = float(min(losses[0] for losses in passed))
    lowest = float(max(losses[-1] for losses in passed))
    return (highest, lowest) if lowest <= highest else None


def loss_levels(highest: float, lowest: float, points_per_decade: int = 20) -> Array:
    """Falling losses from ``highest`` to ``lowest``: both, and the levels of the grid between."""
    if lowest >= highest:
        return np.array([lowest])
    first = np.floor(np.log10(highest) * points_per_decade)
    last = np.ceil(np.log10(lowest) * points_per_decade)
    grid: Array = 10 ** (np.arange(first, last - 1, -1) / points_per_decade)
    return np.array([highest, *grid[(grid < highest) & (grid > lowest)], lowest])


def read_at(
    replica: pd.DataFrame, levels: Array, column: str = "test_metric", *, geometric: bool = False
) -> Array:
    """A replica's ``column`` at each of (M,) losses, as ``metric_at_loss`` reads it: (M,)."""
    losses, values = numbers(replica, "train_loss"), replica[column].to_numpy(dtype=float)
    if not geometric:
        return metric_at_loss(losses, values, levels)
    read: Array = np.exp(metric_at_loss(losses, np.log(values), levels))
    return read


def _positive(trajectories: pd.DataFrame, column: str, geometric: bool) -> pd.DataFrame:
    if not geometric or trajectories.empty:
        return trajectories
    values = trajectories[column].astype(float)
    return trajectories.assign(**{column: values.where(values > 0)})


def _band(
    curve: str, seeds: list[pd.DataFrame], column: str, geometric: bool, points_per_decade: int
) -> dict[str, npt.NDArray[Any]]:
    """The curve's columns; empty where its seeds have no loss in common."""
    reach = common_reach(seeds, column)
    if reach is None:
        return {}
    highest, lowest = reach
    levels = loss_levels(highest, lowest, points_per_decade)
    metrics = np.stack(
        [read_at(seed, levels, column, geometric=geometric) for seed in seeds]
    )  # (seeds, levels)
    mean = metrics.mean(axis=0)
    spread = 2 * metrics.std(axis=0, ddof=1) if len(seeds) > 1 else np.zeros_like(mean)
    return {
        "curve": np.full(len(levels), curve, dtype=object),
        "train_loss": levels,
        "metric_mean": mean,
        "metric_low": mean - spread,
        "metric_high": mean + spread,
        "seeds": np.full(len(levels), len(seeds)),
    }


def _records(train_loss: Array, metric: Array) -> tuple[Array, Array]:
    """The checkpoints at which the loss was lower than ever before, as (losses, metrics)."""
    known = np.isfinite(train_loss) & np.isfinite(metric)
    losses = np.maximum(train_loss[known], LOSS_FLOOR)
    metrics = metric[known]
    before = np.concatenate([[np.inf], np.minimum.accumulate(losses)[:-1]])[: losses.size]
    record = losses < before
    return losses[record], metrics[record]
