"""Mean ± 2 standard deviations over the seeds of each curve, checkpoint by checkpoint."""

from collections.abc import Sequence

import pandas as pd

__all__ = ["MEASURES", "mean_band"]

MEASURES = ("train_loss", "val_metric", "test_metric")


def mean_band(
    trajectories: pd.DataFrame, task: str, *, columns: Sequence[str] = MEASURES
) -> pd.DataFrame:
    """One row per (curve, step): the arithmetic mean of each column over seeds, and its band.

    A step counts once *every* seed that appears in the curve has it. Seeds train side by side and
    report at different moments; a mean over whoever came first would jump as the others arrive.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        task: the task whose rows are read.
        columns: what is averaged: measures or factors. Where a seed has no value, the mean is NaN.

    Returns:
        ``curve, step, epoch, seeds`` (how many) and, for each column c, ``c``, ``c_low`` and
        ``c_high``: mean ± 2 sample standard deviations (ddof 1), or the mean itself with one seed.
    """
    band = ["curve", "step", "epoch", "seeds"]
    band += [name for column in columns for name in (column, f"{column}_low", f"{column}_high")]
    if trajectories.empty:
        return pd.DataFrame(columns=band)
    rows = trajectories[trajectories["task"] == task]
    # A factor that was never due arrives as a column of None.
    rows = rows.astype(dict.fromkeys(columns, float))

    checkpoints = rows.groupby(["curve", "step"], sort=False)
    summary = checkpoints.agg(epoch=("epoch", "first"), seeds=("seed", "nunique")).reset_index()
    expected = summary["curve"].map(rows.groupby("curve")["seed"].nunique())
    for column in columns:
        measured = checkpoints[column].count().to_numpy() == summary["seeds"].to_numpy()
        mean = checkpoints[column].mean().where(measured).to_numpy()
        spread = 2 * checkpoints[column].std().fillna(0).to_numpy()
        summary[column] = mean
        summary[f"{column}_low"] = mean - spread
        summary[f"{column}_high"] = mean + spread

    reached = summary[summary["seeds"] == expected]
    order = {curve: place for place, curve in enumerate(trajectories["curve"].unique())}
    return reached.sort_values(
        ["curve", "step"], key=lambda key: key.map(order) if key.name == "curve" else key
    )[band].reset_index(drop=True)
