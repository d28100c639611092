"""Mean ± 2 standard deviations over the seeds of each curve, checkpoint by checkpoint."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["MEASURES", "mean_band"]

Array = npt.NDArray[np.float64]
Cells = npt.NDArray[np.intp]

MEASURES = ("train_loss", "val_metric", "test_metric")


def mean_band(
    trajectories: pd.DataFrame, task: str, *, columns: Sequence[str] = MEASURES
) -> pd.DataFrame:
    """One row per (curve, step): the arithmetic mean of each column over seeds, and its band.

    A step counts once *every* seed that appears in the curve has it. Seeds train side by side and
    report at different moments; a mean over the first of them would jump as the others arrive.

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
    cell = curve * len(steps) + step  # one for each curve and step
    seeds = np.bincount(cell, minlength=len(curves) * len(steps))
    appearance = {name: place for place, name in enumerate(trajectories["curve"].unique())}
    order = sorted(range(len(curves)), key=lambda code: appearance[curves[code]])
    expected = {code: len(np.unique(seed[curve == code])) for code in order}
    complete = _complete(seeds, expected)
    epoch = np.zeros(len(seeds))
    epoch[cell] = rows["epoch"].to_numpy(dtype=float)
    summary = {
        "curve": np.asarray(curves)[[number // len(steps) for number in complete]],
        "step": np.asarray(steps)[[number % len(steps) for number in complete]],
        "epoch": epoch[complete],
        "seeds": seeds[complete],
    }
    for column in columns:
        # A factor that was never due arrives as a column of None; a missing value makes a NaN.
        mean, spread = _moments(cell, rows[column].to_numpy(dtype=float), seeds)
        summary[column] = mean[complete]
        summary[f"{column}_low"] = (mean - spread)[complete]
        summary[f"{column}_high"] = (mean + spread)[complete]
    return pd.DataFrame(summary, columns=band)


def _complete(seeds: Cells, expected: Mapping[int, int]) -> list[int]:
    """The cells that have all seeds expected of their curve, in the order of ``expected``."""
    steps = len(seeds) // max(len(expected), 1)
    return [
        number
        for code, count in expected.items()
        for number in range(code * steps, (code + 1) * steps)
        if seeds[number] == count
    ]


def _moments(cell: Cells, values: Array, seeds: Cells) -> tuple[Array, Array]:
    """Mean of each cell's values, and 2 sample standard deviations."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.bincount(cell, values, minlength=len(seeds)) / seeds
        squares = np.bincount(cell, (values - mean[cell]) ** 2, minlength=len(seeds))
        spread = 2 * np.sqrt(squares / np.maximum(seeds - 1, 1))
    return mean, spread
