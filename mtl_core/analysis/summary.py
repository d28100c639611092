"""Mean ± 2 standard deviations over the seeds of each curve, checkpoint by checkpoint."""

from collections.abc import Sequence

import numpy as np
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
    # Plain sums over codes: the same groupings in pandas take most of a live chart's time.
    curve, curves = pd.factorize(rows["curve"])
    step, steps = pd.factorize(rows["step"], sort=True)
    seed, _ = pd.factorize(rows["seed"])
    expected = [len(np.unique(seed[curve == one])) for one in range(len(curves))]
    at = curve * len(steps) + step
    seeds = np.bincount(at, minlength=len(curves) * len(steps))
    order = {name: place for place, name in enumerate(trajectories["curve"].unique())}
    reached = [
        one * len(steps) + place
        for one in sorted(range(len(curves)), key=lambda one: order[curves[one]])
        for place in range(len(steps))
        if 0 < seeds[one * len(steps) + place] == expected[one]
    ]
    epoch = np.zeros(len(seeds))
    epoch[at] = rows["epoch"].to_numpy(dtype=float)
    summary = {
        "curve": np.asarray(curves)[[place // len(steps) for place in reached]],
        "step": np.asarray(steps)[[place % len(steps) for place in reached]],
        "epoch": epoch[reached],
        "seeds": seeds[reached],
    }
    for column in columns:
        # A factor that was never due arrives as a column of None; a missing value makes a NaN.
        values = rows[column].to_numpy(dtype=float)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.bincount(at, values, minlength=len(seeds)) / seeds
            squares = np.bincount(at, (values - mean[at]) ** 2, minlength=len(seeds))
            spread = 2 * np.sqrt(squares / np.maximum(seeds - 1, 1))
        summary[column] = mean[reached]
        summary[f"{column}_low"] = (mean - spread)[reached]
        summary[f"{column}_high"] = (mean + spread)[reached]
    return pd.DataFrame(summary, columns=band)
