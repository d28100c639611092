"""Looks: when a joint run looks ahead, and what it finds; without PyTorch (``look_ahead``)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mtl_core.config import RunConfig

__all__ = ["MOST_LOOKS", "LookAhead", "looks", "looks_every"]

MOST_LOOKS = 200
"""Looks of a run at most, evenly spaced: neighbouring steps tell nearly the same."""


@dataclass(frozen=True)
class LookAhead:
    """What looks along a joint run have found.

    Attributes:
        epochs: task -> its mean affinity onto the target in each epoch of the run, 0 in one without
            a look.
        looks: how many looks each epoch had.
    """

    epochs: Mapping[str, tuple[float, ...]]
    looks: tuple[int, ...]

    @property
    def affinity(self) -> dict[str, float]:
        """Task -> its mean affinity onto the target over all looks.

        >>> LookAhead({"a": (0.1, 0.4)}, (2, 1)).affinity["a"]
        0.2
        """
        count = sum(self.looks)
        return {
            task: math.fsum(m * n for m, n in zip(means, self.looks, strict=True)) / count
            for task, means in self.epochs.items()
        }


def looks_every(config: RunConfig) -> int:
    """Steps from one look to the next: as few as ``MOST_LOOKS`` allow."""
    return math.ceil(config.steps / MOST_LOOKS)


def looks(config: RunConfig) -> tuple[int, ...]:
    """How many looks each epoch has; the first is before the first step."""
    counts = [0] * config.epochs
    for step in range(0, config.steps, looks_every(config)):
        counts[step // config.steps_per_epoch] += 1
    return tuple(counts)
