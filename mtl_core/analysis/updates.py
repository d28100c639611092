"""Whether two multi-task optimizers weighted the task gradients alike."""

from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["Agreement", "weights_agree"]

Agreement = Literal["same", "proportional"]

TOLERANCE = 1e-6
"""Relative to the weights: far above the rounding of float32, far below any change that counts."""


def weights_agree(first: pd.DataFrame, second: pd.DataFrame) -> Agreement | None:
    """Whether two methods weighted the task gradients alike, wherever both were recorded.

    Args:
        first: rows with the columns of ``trajectory.UPDATES``.
        second: such rows of another method's runs, on the same tasks.

    Returns:
        ``same``: all mean weights are equal. ``proportional``: they differ by one factor above 0,
        the same for all tasks and steps. None for anything else, and where the two have no seed,
        step and task in common.
    """
    keys = ["seed", "step", "task"]
    both = first[[*keys, "weight"]].merge(second[[*keys, "weight"]], on=keys)
    if both.empty:
        return None
    a, b = both["weight_x"].to_numpy(float), both["weight_y"].to_numpy(float)
    scale = max(np.abs(a).max(), np.abs(b).max())
    if np.abs(a - b).max() <= TOLERANCE * scale:
        return "same"
    factor = (a @ b) / (a @ a) if a.any() else 0.0
    if factor > 0 and np.abs(factor * a - b).max() <= TOLERANCE * np.abs(b).max():
        return "proportional"
    return None
