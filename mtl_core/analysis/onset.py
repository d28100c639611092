"""Where on the way down a generalization gap opens for good."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.analysis.loss_matching import common_reach, loss_levels, metric_at_loss
from mtl_core.analysis.replicas import Rows, numbers, seed_numbers
from mtl_core.analysis.significance import Comparison, Verdict, compare
from mtl_core.analysis.versus import Versus

__all__ = ["Onset", "beginning", "onset"]

Array = npt.NDArray[np.float64]

LEVELS_PER_DECADE = 20
WINDOW = 10
"""Levels whose mean gap is judged at once: half a decade of loss. Single levels are noisier than
what they are to show, so that an unbroken chain of them begins late."""


@dataclass(frozen=True)
class Onset:
    """Where a gap begins.

    Attributes:
        train_loss: the highest loss from which on the gap stays.
        epoch: when the curve first got down to it, the mean over its seeds.
        epoch_baseline: when the baseline did.
        verdict: "better" or "worse", from there on.
    """

    train_loss: float
    epoch: float
    epoch_baseline: float
    verdict: Verdict


def onset(trajectories: Rows, versus: Versus) -> Onset | None:
    """The loss from which on the loss-matched gap is there, in every window, with one sign.

    M24 says that gaps form early (§3) but not how to read off where: ours. Levels are those of
    ``loss_matched``, 20 a decade, between the highest and the lowest loss that every seed of both
    curves passed through, both included. The lowest level is judged by itself, and then windows
    of half a decade from the lowest loss upwards, whose borders are 1, .316, .1 and so on, so that
    no window has losses on both sides of .1. A window's gap is its mean over the levels, one per
    seed, and it counts where its interval leaves out 0 (``compare``). The first that does not, or
    has the other sign, ends the chain. Tests in an order that is fixed beforehand, of which the
    first failure ends all, need no correction: the chance that the gap is said to open too early
    is 5 %.

    Returns:
        None where the gap at the lowest loss is not significant, as with fewer than two seeds a
        side. Of a live run the lowest still moves, and the onset may yet vanish.
    """
    ours, theirs = (_known(seeds) for seeds in versus.sides(trajectories))
    reach = common_reach(ours + theirs)
    if not ours or not theirs or reach is None:
        return None
    levels = loss_levels(*reach, LEVELS_PER_DECADE)
    metrics = _read(ours, "test_metric", levels)
    baseline_metrics = _read(theirs, "test_metric", levels)

    def judge(chosen: slice) -> Verdict:
        return compare(
            metrics[:, chosen].mean(axis=1),
            baseline_metrics[:, chosen].mean(axis=1),
            direction=versus.direction,
            seeds=seed_numbers(ours),
            baseline_seeds=seed_numbers(theirs),
        ).verdict

    last = judge(slice(-1, None))
    if last not in ("better", "worse"):
        return None
    begins = levels.size - 1
    for window in _windows(levels):
        if judge(window) != last:
            break
        begins = window.start
    at = levels[begins]
    return Onset(
        train_loss=float(at),
        epoch=float(_read(ours, "epoch", at).mean()),
        epoch_baseline=float(_read(theirs, "epoch", at).mean()),
        verdict=last,
    )


def beginning(trajectories: Rows, versus: Versus, early_loss: float) -> Comparison | None:
    """The gap at a loss, less half of the gap at the lowest loss.

    One value per seed, in the metric's unit. Where it certainly has the other sign than the gap at
    the end, less than half of the gap was there by then. (A mean over all higher losses would have
    that sign for a gap that opens in full a little above the loss.)

    Returns:
        None where not every seed of both curves passed through ``early_loss``.
    """
    ours, theirs = (_known(seeds) for seeds in versus.sides(trajectories))
    reach = common_reach(ours + theirs)
    if not ours or not theirs or reach is None or not reach[0] > early_loss >= reach[1]:
        return None
    levels = np.array([early_loss, reach[1]])

    def values(seeds: list[pd.DataFrame]) -> Array:
        metrics = _read(seeds, "test_metric", levels)
        lead: Array = metrics[:, 0] - metrics[:, 1] / 2
        return lead

    return compare(
        values(ours),
        values(theirs),
        direction=versus.direction,
        seeds=seed_numbers(ours),
        baseline_seeds=seed_numbers(theirs),
    )


def _windows(levels: Array) -> list[slice]:
    """Half decades of falling levels, the lowest first: from each of their borders to the next."""
    # A level on a border is the last of the window above it, whatever its rounding.
    window = np.floor(np.log10(levels) * LEVELS_PER_DECADE / WINDOW + 1e-9)
    starts = np.flatnonzero(np.diff(window, prepend=np.inf))
    ends = [*starts[1:], levels.size]
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)][::-1]


def _known(seeds: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """Only the checkpoints with a test metric: levels and epochs are read along the same ones."""
    return [replica[np.isfinite(numbers(replica, "test_metric"))] for replica in seeds]


def _read(seeds: list[pd.DataFrame], column: str, levels: npt.ArrayLike) -> Array:
    """(seeds, levels), or (seeds,) for one level."""
    return np.stack(
        [
            metric_at_loss(numbers(replica, "train_loss"), numbers(replica, column), levels)
            for replica in seeds
        ]
    )
