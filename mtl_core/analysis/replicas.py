"""Replicas: the trajectories of one curve, one per seed."""

import pandas as pd

__all__ = ["replicas"]


def replicas(trajectories: pd.DataFrame, task: str) -> dict[str, dict[int, pd.DataFrame]]:
    """A task's rows as curve -> seed -> rows in step order.

    Curves come in order of appearance, seeds in numerical order, and neither is ever empty: a
    curve without rows of the task is absent.
    """
    # A run that has not measured anything yet may come as a frame without columns.
    if trajectories.empty:
        return {}
    rows = trajectories[trajectories["task"] == task].sort_values("step", kind="stable")
    curves = trajectories["curve"].unique()
    return {
        str(curve): {int(str(seed)): replica for seed, replica in of_curve.groupby("seed")}
        for curve in curves
        if not (of_curve := rows[rows["curve"] == curve]).empty
    }
