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


def whole_epochs(rows: "pd.DataFrame") -> npt.NDArray[np.bool_]:
    """Which checkpoints are at the end of a whole epoch, (rows,): the untrained network is not.

    An epoch is a quotient of whole numbers of steps, so it is exactly whole or it is not.
    """
    epoch = rows["epoch"].to_numpy(dtype=float)
    whole: npt.NDArray[np.bool_] = (epoch >= 1) & (epoch % 1 == 0)
    return whole
