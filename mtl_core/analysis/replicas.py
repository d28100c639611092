"""Replicas: the trajectories of one curve, one per seed."""

import pandas as pd

__all__ = ["replicas"]


def replicas(trajectories: pd.DataFrame, task: str) -> dict[str, list[pd.DataFrame]]:
    """A task's rows in step order, split by curve and seed.

    Curves come in order of appearance, their replicas in order of seed, and neither is ever empty:
    a curve without rows of the task is absent.
    """
    # A run that has not measured anything yet may come as a frame without columns.
    if trajectories.empty:
        return {}
    rows = trajectories[trajectories["task"] == task].sort_values("step", kind="stable")
    curves = trajectories["curve"].unique()
    return {
        str(curve): [replica for _, replica in of_curve.groupby("seed")]
        for curve in curves
        if not (of_curve := rows[rows["curve"] == curve]).empty
    }
