"""Where on the way down a generalization gap opens for good."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.analysis.loss_matching import common_reach, loss_levels, metric_at_loss
from mtl_core.analysis.replicas import numbers
from mtl_core.analysis.significance import Verdict, compare
from mtl_core.analysis.versus import Versus

__all__ = ["Onset", "onset"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Onset:
    """Where a significant gap begins.

    Attributes:
        train_loss: the highest loss from which on the gap stays significant.
        epoch: when the curve first got down to it, the mean over its seeds.
        epoch_baseline: when the baseline did.
        verdict: "better" or "worse", from there on.
    """

    train_loss: float
    epoch: float
    epoch_baseline: float
    verdict: Verdict


def onset(trajectories: pd.DataFrame, versus: Versus) -> Onset | None:
    """The loss from which on the loss-matched gap is significant at every level, and of one sign.

    M24 says that gaps form early (§3) but not how to read off where: ours. Levels are those of
    ``loss_matched``, 20 a decade, between the highest and the lowest loss that every seed of both
    curves passed through, both included.

    Returns:
        None where the gap is not significant at the lowest of them, as with fewer than two seeds
        a side. Of a live run the lowest still moves, and the onset may yet vanish.
    """
    ours, theirs = (_known(seeds) for seeds in versus.sides(trajectories))
    reach = common_reach(ours + theirs)
    if not ours or not theirs or reach is None:
        return None
    levels = loss_levels(*reach)
    metrics = _read(ours, "test_metric", levels)
    baseline_metrics = _read(theirs, "test_metric", levels)
    verdicts = [
        compare(at, baseline_at, direction=versus.direction).verdict
        for at, baseline_at in zip(metrics.T, baseline_metrics.T, strict=True)
    ]
    last = verdicts[-1]
    if last not in ("better", "worse"):
        return None
    others = [level for level, verdict in enumerate(verdicts) if verdict != last]
    begins = levels[max(others, default=-1) + 1]
    return Onset(
        train_loss=float(begins),
        epoch=float(_read(ours, "epoch", begins).mean()),
        epoch_baseline=float(_read(theirs, "epoch", begins).mean()),
        verdict=last,
    )


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
