"""The one tabular shape of results: a row per (run, task, checkpoint), a run having one seed.

Every producer (training, the store, artifacts) writes these columns and every consumer
(analysis, charts, pages) reads nothing else.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from mtl_core import factors

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "COLUMNS",
    "COSINES",
    "FACTORS",
    "METRICS",
    "SIDE_TABLES",
    "UPDATES",
    "Cosine",
    "Row",
    "Update",
    "is_whole",
    "whole_epochs",
]

Row = dict[str, Any]
"""One task of one run at one checkpoint, by the names of ``COLUMNS``."""

FACTORS = tuple(factors.names())
METRICS = ("train_loss", "val_metric", "test_metric", *FACTORS)
"""The columns that a config decides: equal for equal configs on one device."""

COLUMNS = (
    "setting",
    "auxiliaries",  # "stl", or their names joined by "+"
    "optimizer",
    "seed",
    "task",
    "role",  # "target" or "auxiliary"
    "step",
    "epoch",  # passes over the target task's training data
    "whole_epoch",  # whether that is a whole number, and not 0: the end of an epoch
    "train_loss",  # mean over the task's whole training set, in nats for classification
    "val_metric",
    "test_metric",
    *FACTORS,  # numbers; None where a factor was not due, or has no value
    "seconds",  # training time of the run so far, measuring excluded
)


class Cosine(TypedDict):
    """Cosine between two tasks' gradients, for one replica at one checkpoint."""

    seed: int
    step: int
    epoch: float
    task: str
    other: str  # later in the setting's order, the target being first
    cosine: float  # mean over random batches, of the shared parameters' gradients


class Update(TypedDict):
    """What a multi-task optimizer did in one replica between a checkpoint and the one before."""

    seed: int
    step: int
    epoch: float
    task: str
    weight: float  # of the task's gradient in the shared update, mean over the steps
    cosine_to_sum: float | None  # of the shared update and the sum of task gradients
    norm_ratio: float | None  # of the same two
    # Both are the same for all tasks: means over the steps whose task gradients were known, which
    # are all of them for a method that reads gradients and the last one for others.


COSINES: tuple[str, ...] = tuple(Cosine.__annotations__)
UPDATES: tuple[str, ...] = tuple(Update.__annotations__)
SIDE_TABLES: Mapping[str, tuple[str, ...]] = {"cosines": COSINES, "updates": UPDATES}
"""What a run may have beside its trajectory, by the name of the table, and its columns."""


def is_whole(epoch: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Whether each epoch is a whole number above 0, in the shape of ``epoch``.

    This is exact: ``epoch`` is step / steps_per_epoch, correctly rounded, and below 2^53 steps no
    quotient that is not whole is rounded to one that is.
    """
    epoch = np.asarray(epoch, dtype=float)
    whole: npt.NDArray[np.bool_] = (epoch >= 1) & (epoch == np.floor(epoch))
    return whole


def whole_epochs(frame: "pd.DataFrame") -> npt.NDArray[np.bool_]:
    """(rows,) which rows of a trajectory are of a checkpoint at the end of a whole epoch.

    The column ``whole_epoch`` where there is one, or what follows from ``epoch``. The untrained
    network, at step 0, is at the end of none.

    >>> import pandas as pd
    >>> whole_epochs(pd.DataFrame({"epoch": [0.0, 0.25, 1.0, 2.0]})).tolist()
    [False, False, True, True]
    """
    if "whole_epoch" in frame:
        return frame["whole_epoch"].to_numpy(dtype=bool)
    return is_whole(frame["epoch"])
