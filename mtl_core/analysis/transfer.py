"""Transfer: what training with auxiliaries does to the target's test metric (M24 §2).

**E of a run** is its test metric at its best validation epoch, on every page, card, table and
export. The paper does not say at which checkpoint E is read. Only whole epochs count: checkpoints
inside the first epoch are there to show where curves part, and would make E a matter of how many
of them there are.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtl_core.analysis.loss_matching import gap
from mtl_core.analysis.replicas import Rows, replicas, seed_numbers, shared_epoch, whole_numbers
from mtl_core.analysis.significance import Comparison, compare, judged
from mtl_core.analysis.versus import Versus
from mtl_core.direction import Direction

__all__ = ["reached", "reached_each", "transfer", "transfer_replicas", "transfer_table"]


def transfer(trajectories: Rows, versus: Versus) -> Comparison | None:
    """``ΔE_k = E_k(MTL) − E_k(STL)`` on test data (M24 §2), over seeds.

    E is ``reached``'s. Of a live run, like is compared with like: only checkpoints up to the epoch
    that every seed of both curves has reached. (Epochs, not steps, so that a pinned curve with
    another batch size is read to its end too; otherwise they agree.)

    Returns:
        None until every seed of both curves has finished an epoch.
    """
    return transfer_replicas(*versus.sides(trajectories), versus.direction)


def transfer_replicas(
    ours: Sequence[pd.DataFrame], theirs: Sequence[pd.DataFrame], direction: Direction
) -> Comparison | None:
    """``transfer`` of the replicas of two curves, each of them in step order."""
    if not ours or not theirs:
        return None
    results = reached_each([*ours, *theirs], direction)
    if any(math.isnan(result) for result in results):
        return None
    return compare(
        results[: len(ours)],
        results[len(ours) :],
        direction=direction,
        seeds=seed_numbers(ours),
        baseline_seeds=seed_numbers(theirs),
    )


def reached(
    trajectories: pd.DataFrame, task: str, curve: str, *, direction: Direction = "higher"
) -> tuple[float, ...]:
    """E of a curve's runs: the test metric at the best validation epoch, the earliest on ties.

    Returns:
        One per seed in numerical order, up to the epoch that all of them have reached: NaN for one
        that has not finished an epoch; empty for a curve without rows.
    """
    seeds = replicas(trajectories, task).get(curve, [])
    return reached_each(seeds, direction)


def reached_each(seeds: Sequence[pd.DataFrame], direction: Direction) -> tuple[float, ...]:
    """``reached`` of replicas, each read up to the epoch that all of them have reached."""
    if not seeds:
        return ()
    horizon = shared_epoch(seeds)
    return tuple(_selected(replica, horizon, direction) for replica in seeds)


def transfer_table(
    trajectories: pd.DataFrame, task: str, baseline: str, *, direction: Direction = "higher"
) -> pd.DataFrame:
    """Every other curve against the baseline, one row each, in order of appearance.

    Verdicts are those of the table's transfers as one family, and of its gaps as another
    (``judged``).

    Returns:
        ``curve``; ``metric, baseline_metric`` (means over seeds), ``transfer`` (their difference)
        with its 95 % interval ``transfer_low, transfer_high``, its ``p`` and ``verdict``, and
        ``paper``, the verdict of the paper's ± 2 SD; ``pairs``, how many seeds were compared one
        by one, and ``seeds``; and at comparable training loss ``gap, gap_low, gap_high,
        gap_verdict, gap_loss``. What cannot be said yet is NaN, a verdict None.
    """
    columns = ["curve", "metric", "baseline_metric", "transfer", "transfer_low", "transfer_high"]
    columns += ["p", "verdict", "paper", "pairs", "seeds"]
    columns += ["gap", "gap_low", "gap_high", "gap_verdict", "gap_loss"]
    curves = {
        curve: len(seeds)
        for curve, seeds in replicas(trajectories, task).items()
        if curve != baseline
    }
    pairs = [Versus(task, curve, baseline, direction) for curve in curves]
    moved = judged([transfer(trajectories, versus) for versus in pairs])
    gaps = [gap(trajectories, versus) for versus in pairs]
    apart = judged([found.comparison if found else None for found in gaps])
    rows = []
    for (curve, seeds), one, found, between in zip(curves.items(), moved, gaps, apart, strict=True):
        row: dict[str, object] = {"curve": curve, "seeds": seeds}
        if one:
            row |= {"metric": one.mean, "baseline_metric": one.baseline_mean}
            row |= {"transfer": one.delta, "transfer_low": one.low, "transfer_high": one.high}
            row |= {"p": one.p, "verdict": one.verdict, "paper": one.paper, "pairs": one.pairs}
        if found and between:
            row |= {"gap": between.delta, "gap_low": between.low, "gap_high": between.high}
            row |= {"gap_verdict": between.verdict, "gap_loss": found.train_loss}
        rows.append(row)
    verdicts = {"verdict": object, "paper": object, "gap_verdict": object}
    table = pd.DataFrame(rows, columns=columns).astype(verdicts)
    for column in verdicts:
        table[column] = table[column].where(table[column].notna(), None)
    return table


def _selected(replica: pd.DataFrame, horizon: float, direction: Direction) -> float:
    """Test metric at the best validation epoch up to an epoch; NaN where none was measured."""
    validation, test = whole_numbers(replica, "val_metric", "test_metric", until=horizon)
    known = np.isfinite(validation) & np.isfinite(test)
    if not known.any():
        return math.nan
    ranked = np.where(known, validation if direction == "higher" else -validation, -np.inf)
    return float(test[np.argmax(ranked)])
