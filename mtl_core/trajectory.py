"""The one tabular shape of results: a row per (run, seed, task, checkpoint).

Every producer (training, the store, artifacts) writes these columns and every consumer
(analysis, charts, pages) reads nothing else.
"""

from typing import TypedDict

__all__ = ["COLUMNS", "COSINES", "FACTORS", "METRICS", "Cosine", "Row"]


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


COLUMNS: tuple[str, ...] = tuple(Row.__annotations__)
COSINES: tuple[str, ...] = tuple(Cosine.__annotations__)
FACTORS = ("sharpness", "fisher_trace", "gradient_covariance", "gradient_similarity")
METRICS = ("train_loss", "val_metric", "test_metric", *FACTORS)
"""The columns that a config decides: equal for equal configs on one device."""
