"""Label entropy: how evenly a task's training labels are spread over its classes."""

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import InputError

__all__ = ["label_entropy"]


def label_entropy(labels: NDArray[np.integer]) -> float:
    """H = − Σ_c p_c ln p_c of the labels' shares, in nats.

    From 0, all labels alike, to ln K, K classes equally often. As a predictor of what an auxiliary
    is worth: Martínez Alonso & Plank 2017, "When is multitask learning effective?", who found that
    auxiliaries with more evenly spread labels helped more often.

    Args:
        labels: whole numbers of any shape, a class each; those below 0 are no label.

    Raises:
        InputError: for labels that are no classes, or where there are none.

    >>> round(label_entropy(np.array([0, 1, 2, 3])), 4), label_entropy(np.array([7, 7, -1]))
    (1.3863, 0.0)
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"labels of {labels.dtype} are no classes; entropy is not defined")
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    if counts.size == 0:
        raise InputError("there are no labels; entropy is not defined")
    shares = counts / counts.sum()
    return float(np.sum(shares * -np.log(shares)))
