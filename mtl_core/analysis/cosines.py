"""Cosines of task gradients: one matrix from the pairs of all seeds."""

from collections.abc import Sequence

import pandas as pd

__all__ = ["cosine_matrix", "cosine_steps"]


def cosine_steps(cosines: pd.DataFrame, seeds: int) -> dict[int, float]:
    """The steps, ascending, at which all seeds were measured, and their epochs.

    Args:
        cosines: with the columns of ``trajectory.COSINES``.
        seeds: how many seeds the run's experiment has.
    """
    if cosines.empty:
        return {}
    steps = cosines.groupby("step").agg(epoch=("epoch", "first"), seeds=("seed", "nunique"))
    complete = steps[steps["seeds"] == seeds].sort_index()
    return dict(zip(complete.index.tolist(), complete["epoch"].tolist(), strict=True))


def cosine_matrix(cosines: pd.DataFrame, tasks: Sequence[str], step: int | None) -> pd.DataFrame:
    """Means over seeds at a step, of all ordered pairs; 1 on the diagonal.

    Args:
        cosines: with the columns of ``trajectory.COSINES``, each pair once.
        tasks: in the order of rows and columns.
        step: the step that is read; None gives no rows.

    Returns:
        ``task, other, cosine``; a pair that was not measured is absent.
    """
    means: dict[tuple[str, str], float] = {}
    if step is not None:
        at = cosines[cosines["step"] == step]
        for (task, other), group in at.groupby(["task", "other"]):
            pair = (str(task), str(other))
            means[pair] = means[pair[::-1]] = float(group["cosine"].mean())
        means |= {(task, task): 1.0 for task in tasks}
    rows = [
        (task, other, means[task, other])
        for task in tasks
        for other in tasks
        if (task, other) in means
    ]
    return pd.DataFrame(rows, columns=["task", "other", "cosine"]).astype({"cosine": float})
