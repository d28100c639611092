"""Transfer: what training with auxiliaries does to the target's test metric (M24 §2)."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mtl_core.analysis.loss_matching import gap
from mtl_core.analysis.replicas import replicas, shared_epoch
from mtl_core.analysis.significance import Comparison, compare
from mtl_core.analysis.versus import Versus
from mtl_core.direction import Direction

__all__ = ["transfer", "transfer_replicas", "transfer_table"]


def transfer(trajectories: pd.DataFrame, versus: Versus) -> Comparison | None:
    """``ΔE_k = E_k(MTL) − E_k(STL)`` on test data (M24 §2), over seeds.

    The paper does not say which checkpoint E is read at. Ours: for each replica, its best
    validation metric so far, the earliest on ties. Of a live run, like is compared with like: only
    checkpoints up to the epoch that every seed of both curves has reached. (Epochs, not steps, so
    that a pinned curve with another batch size is read to its end too; otherwise they agree.)

    Returns:
        None while a curve has no checkpoint to be compared.
    """
    return transfer_replicas(*versus.sides(trajectories), versus.direction)


def transfer_replicas(
    ours: Sequence[pd.DataFrame], theirs: Sequence[pd.DataFrame], direction: Direction
) -> Comparison | None:
    """``transfer`` of the replicas of two curves, each of them in step order."""
    if not ours or not theirs:
        return None
    horizon = shared_epoch([*ours, *theirs])
    results = [_selected(replica, horizon, direction) for replica in ours]
    baseline_results = [_selected(replica, horizon, direction) for replica in theirs]
    if any(math.isnan(result) for result in results + baseline_results):
        return None
    return compare(results, baseline_results, direction=direction)


def transfer_table(
    trajectories: pd.DataFrame, task: str, baseline: str, *, direction: Direction = "higher"
) -> pd.DataFrame:
    """Every other curve against the baseline, one row each, in order of appearance.

    Returns:
        ``curve``; ``metric, baseline_metric`` (means over seeds), ``transfer`` (their difference),
        ``margin`` (the transfer is significant beyond it), ``verdict, seeds``; and at comparable
        training loss ``gap, gap_margin, gap_verdict, gap_loss``. What cannot be said yet is NaN,
        a verdict None.
    """
    columns = ["curve", "metric", "baseline_metric", "transfer", "margin", "verdict", "seeds"]
    columns += ["gap", "gap_margin", "gap_verdict", "gap_loss"]
    rows = []
    for curve, seeds in replicas(trajectories, task).items():
        if curve == baseline:
            continue
        row: dict[str, object] = {"curve": curve, "seeds": len(seeds)}
        versus = Versus(task, curve, baseline, direction)
        moved = transfer(trajectories, versus)
        if moved:
            row |= {"metric": moved.mean, "baseline_metric": moved.baseline_mean}
            row |= {"transfer": moved.delta, "margin": moved.margin, "verdict": moved.verdict}
        at_loss = gap(trajectories, versus)
        if at_loss:
            between = at_loss.comparison
            row |= {"gap": between.delta, "gap_margin": between.margin}
            row |= {"gap_verdict": between.verdict, "gap_loss": at_loss.train_loss}
        rows.append(row)
    verdicts = {"verdict": object, "gap_verdict": object}
    table = pd.DataFrame(rows, columns=columns).astype(verdicts)
    for column in verdicts:
        table[column] = table[column].where(table[column].notna(), None)
    return table


def _selected(replica: pd.DataFrame, horizon: float, direction: Direction) -> float:
    """Test metric at the best validation metric up to an epoch; NaN where none was measured."""
    seen = replica[replica["epoch"] <= horizon]
    validation = seen["val_metric"].to_numpy(dtype=float)
    if not np.isfinite(validation).any():
        return math.nan
    best = np.nanargmax(validation) if direction == "higher" else np.nanargmin(validation)
    return float(seen["test_metric"].to_numpy(dtype=float)[best])
