"""Mean and standard deviation that are the same on every machine."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["deviations", "moments"]


def moments(column: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation, summed without rounding.

    Args:
        column: (N,), all finite.
    """
    mean = math.fsum(column.tolist()) / len(column)
    return mean, math.sqrt(math.fsum(((column - mean) ** 2).tolist()) / len(column))


def deviations(values: NDArray[np.float64], train: NDArray[np.float64]) -> NDArray[np.float64]:
    """A column less its training mean, in training standard deviations.

    A power of 2 brings it to about 1 first, which rounds nothing: squares of tiny values are 0.

    Args:
        values: (N,); NaN stays.
        train: (M,) those of them that are trained on, finite and not all the same.
    """
    _, power = math.frexp(float(np.abs(train).max()))
    with np.errstate(over="ignore"):
        mean, deviation = moments(np.ldexp(train, -power))
        scaled: NDArray[np.float64] = (np.ldexp(values, -power) - mean) / deviation
    return scaled
