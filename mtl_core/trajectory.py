"""The one tabular shape of results: a row per (run, seed, task, checkpoint).

Every producer (training, the store, artifacts) writes these columns and every consumer
(analysis, charts, pages) reads nothing else.
"""

from collections.abc import Mapping
from typing import TypedDict

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
]


class Row(TypedDict):
    """One task of one replica at one checkpoint."""

    setting: str
    run: str  # "stl", or the auxiliary tasks joined by "+"
    optimizer: str
    seed: int
    task: str
    role: str  # "target" or "auxiliary"
    step: int
    epoch: float  # passes over the target task's training data
    train_loss: float  # mean over the task's whole training set, in nats for classification
    val_metric: float
    test_metric: float
    sharpness: float | None
    fisher_trace: float | None
    gradient_covariance: float | None
    gradient_similarity: float | None
    seconds: float  # training time of this replica so far, measuring excluded


class Cosine(TypedDict):
    """How the gradients of two tasks lay to each other in one replica at one checkpoint."""

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


COLUMNS: tuple[str, ...] = tuple(Row.__annotations__)
COSINES: tuple[str, ...] = tuple(Cosine.__annotations__)
UPDATES: tuple[str, ...] = tuple(Update.__annotations__)
SIDE_TABLES: Mapping[str, tuple[str, ...]] = {"cosines": COSINES, "updates": UPDATES}
"""What a run may have beside its trajectory, by the name of the table, and its columns."""
FACTORS = ("sharpness", "fisher_trace", "gradient_covariance", "gradient_similarity")
METRICS = ("train_loss", "val_metric", "test_metric", *FACTORS)
"""The columns that a config decides: equal for equal configs on one device."""
