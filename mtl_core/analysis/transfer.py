"""Transfer: what training with auxiliaries does to the target's test metric (M24 §2)."""

import math

import numpy as np
import pandas as pd

from mtl_core.analysis.loss_matching import gap
from mtl_core.analysis.replicas import replicas, shared_epoch
from mtl_core.analysis.significance import Comparison, compare

__all__ = ["transfer", "transfer_table"]


def transfer(
    trajectories: pd.DataFrame,
    task: str,
    curve: str,
    baseline: str,
    *,
    higher_is_better: bool = True,
) -> Comparison | None:
    """``ΔE_k = E_k(MTL) − E_k(STL)`` on test data (M24 §2), over seeds.

    The paper does not say which checkpoint E is read at. Ours: for each replica, its best
    validation metric so far, the earliest on ties. Of a live run, like is compared with like: only
    checkpoints up to the epoch that every seed of both curves has reached. (Epochs, not steps, so
    that a pinned curve with another batch size is read to its end too; otherwise they agree.)

    Returns:
        None while a curve has no checkpoint to be compared.
    """
    curves = replicas(trajectories, task)
    ours = curves.get(curve, [])
    theirs = curves.get(baseline, [])
    if not ours or not theirs:
        return None
    horizon = shared_epoch(ours + theirs)
    results = [_selected(replica, horizon, higher_is_better) for replica in ours]
    baseline_results = [_selected(replica, horizon, higher_is_better) for replica in theirs]
    if any(math.isnan(result) for result in results + baseline_results):
        return None
    return compare(results, baseline_results, higher_is_better=higher_is_better)


def transfer_table(
    trajectories: pd.DataFrame, task: str, baseline: str, *, higher_is_better: bool = True
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
        moved = transfer(trajectories, task, curve, baseline, higher_is_better=higher_is_better)
        if moved:
            row |= {"metric": moved.mean, "baseline_metric": moved.baseline_mean}
            row |= {"transfer": moved.delta, "margin": moved.margin, "verdict": moved.verdict}
        at_loss = gap(trajectories, task, curve, baseline, higher_is_better=higher_is_better)
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


def _selected(replica: pd.DataFrame, horizon: float, higher_is_better: bool) -> float:
    """Test metric at the best validation metric up to an epoch; NaN where none was measured."""
    seen = replica[replica["epoch"] <= horizon]
    validation = seen["val_metric"].to_numpy(dtype=float)
    if not np.isfinite(validation).any():
        return math.nan
    best = np.nanargmax(validation) if higher_is_better else np.nanargmin(validation)
    return float(seen["test_metric"].to_numpy(dtype=float)[best])
