"""Sweeps: which learning rate and batch size are best by validation (M24 App. B).

The paper chooses both for every setting from one grid. It does not say by which number of a run,
nor whether single-task and multi-task runs of a setting share what is chosen. Here a run counts
with its best validation metric at the end of a whole epoch, the checkpoint at which E is read
(``analysis.transfer``), and the runs of a pair, on whichever tasks, with their mean. No test metric
is looked at.
"""

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl_core.analysis.replicas import numbers, whole
from mtl_core.direction import Direction

__all__ = ["RULE", "Choice", "Trial", "best_validation", "choose", "scores"]

RULE = (
    "The score of a learning rate and batch size is the mean, over its runs, of the target's best "
    "validation metric at the end of an epoch. The best score wins; a pair with a run that "
    "diverged loses; of equal scores the larger batch wins, then the smaller learning rate."
)

Pair = tuple[float, int]
"""A learning rate and a batch size."""


@dataclass(frozen=True)
class Trial:
    """A run of a sweep.

    Args:
        best: its best validation metric; None for a run that has none, as one that diverged.
    """

    lr: float
    batch_size: int
    best: float | None


@dataclass(frozen=True)
class Choice:
    """The pair that won.

    Args:
        edges: in which of ``lr`` and ``batch_size`` it is the smallest or largest of several that
            were tried, so that a wider grid may have a better one.
    """

    lr: float
    batch_size: int
    score: float
    edges: tuple[str, ...]


def best_validation(run: pd.DataFrame, direction: Direction) -> tuple[float, float] | None:
    """A run's best validation metric at the end of a whole epoch, and that epoch.

    Args:
        run: a task's rows of one seed, in step order.

    Returns:
        The earliest epoch on ties; None for a run without a finite metric at a whole epoch.
    """
    seen = whole(run)
    metric, epochs = numbers(seen, "val_metric"), numbers(seen, "epoch")
    known = np.isfinite(metric)
    if not known.any():
        return None
    ranked = np.where(known, metric if direction == "higher" else -metric, -np.inf)
    best = int(np.argmax(ranked))
    return float(metric[best]), float(epochs[best])


def scores(trials: Sequence[Trial]) -> dict[Pair, float]:
    """Every pair's mean over its runs: NaN for one with a run that has no validation metric.

    >>> scores([Trial(0.1, 16, 0.5), Trial(0.1, 16, 1.0), Trial(0.1, 32, None)])
    {(0.1, 16): 0.75, (0.1, 32): nan}
    """
    found: dict[Pair, list[float]] = {}
    for one in trials:
        best = math.nan if one.best is None else one.best
        found.setdefault((one.lr, one.batch_size), []).append(best)
    return {pair: math.fsum(each) / len(each) for pair, each in found.items()}


def choose(trials: Sequence[Trial], direction: Direction) -> Choice | None:
    """The pair that wins by ``RULE``; None where every pair has lost.

    The larger of two batches takes fewer steps for the same score, and of two learning rates the
    smaller is further from divergence.

    >>> choose([Trial(0.1, 16, 0.5), Trial(0.1, 32, 0.5), Trial(0.1, 64, 0.4)], "higher")
    Choice(lr=0.1, batch_size=32, score=0.5, edges=())
    """
    sign = 1 if direction == "higher" else -1
    known = {pair: score for pair, score in scores(trials).items() if not math.isnan(score)}
    if not known:
        return None
    (lr, batch_size), score = max(
        known.items(), key=lambda each: (sign * each[1], each[0][1], -each[0][0])
    )
    edges = []
    if _at_edge(lr, {one.lr for one in trials}):
        edges.append("lr")
    if _at_edge(batch_size, {one.batch_size for one in trials}):
        edges.append("batch_size")
    return Choice(lr, batch_size, score, tuple(edges))


def _at_edge(won: float, tried: Set[float]) -> bool:
    return len(tried) > 1 and won in (min(tried), max(tried))
