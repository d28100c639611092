"""What multi-task optimizers made of the task gradients, and which of them made the same."""

from typing import Literal

import numpy as np
import pandas as pd

__all__ = ["Agreement", "weights_agree"]

Agreement = Literal["same", "proportional"]

TOLERANCE = 1e-6
"""Relative to the weights: far above the rounding of float32, far below any change that counts."""


def weights_agree(one: pd.DataFrame, other: pd.DataFrame) -> Agreement | None:
    """Whether two methods weighted the task gradients alike, wherever both were recorded.

    Args:
        one, other: rows with the columns of ``trajectory.UPDATES``, of runs on the same tasks.

    Returns:
        ``same``: all mean weights are equal. ``proportional``: they differ by one factor above 0,
        the same for all tasks and steps. None for anything else, and where nothing is shared.
    """
    keys = ["seed", "step", "task"]
    both = one[[*keys, "weight"]].merge(other[[*keys, "weight"]], on=keys)
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
