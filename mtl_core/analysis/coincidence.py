"""Updates in the plane: which of them are equal, and how each changes the tasks' losses."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

__all__ = [
    "Effect",
    "angle",
    "cancel",
    "coinciding",
    "conflicts",
    "effect",
    "equal_gradient",
    "is_zero",
]

Vector = tuple[float, float]
Effect = Literal["descends", "rises", "stands still"]

SAME = 1e-6
"""Updates that differ by less than this share of the longer one are the same."""
NOTHING = 1e-9
"""A vector shorter than this share of the longest gradient is what a solver returns for 0."""


def is_zero(vector: Vector, gradients: Sequence[Vector]) -> bool:
    """Whether a vector's length is negligible against that of the longest gradient."""
    return math.hypot(*vector) <= NOTHING * max((math.hypot(*g) for g in gradients), default=0)


def angle(first: Vector, second: Vector) -> float:
    """The angle between two vectors, in degrees from 0 to 180; NaN where either is 0."""
    if not any(first) or not any(second):
        return math.nan
    cross = first[0] * second[1] - first[1] * second[0]
    return math.degrees(math.atan2(abs(cross), _dot(first, second)))


def effect(update: Vector, gradient: Vector) -> Effect:
    """How a small step against ``update`` changes the loss whose gradient is ``gradient``.

    To first order the loss changes by −⟨update, gradient⟩; a cosine below 1e-6 counts as 0.
    """
    inner = _dot(update, gradient)
    if abs(inner) <= SAME * math.hypot(*update) * math.hypot(*gradient):
        return "stands still"
    return "descends" if inner > 0 else "rises"


def coinciding(updates: Mapping[str, Vector], gradients: Sequence[Vector]) -> list[tuple[str, ...]]:
    """Groups of two or more names whose updates are the same, in order of appearance.

    Updates are the same when they differ by at most 1e-6 of the longer one, or are both zero.
    """
    groups: list[list[str]] = []
    for name, vector in updates.items():
        for group in groups:
            if _same(vector, updates[group[0]], gradients):
                group.append(name)
                break
        else:
            groups.append([name])
    return [tuple(group) for group in groups if len(group) > 1]


def conflicts(gradients: Sequence[Vector]) -> list[tuple[int, int]]:
    """Pairs of gradients, by index, with an angle above 90°."""
    return [
        (i, j)
        for j in range(len(gradients))
        for i in range(j)
        if effect(gradients[i], gradients[j]) == "rises"
    ]


def cancel(gradients: Sequence[Vector]) -> bool:
    """Whether some convex combination of the gradients is 0: no direction lowers every loss.

    This holds unless all gradients lie in an open half-plane.
    """
    if not all(any(gradient) for gradient in gradients):
        return True
    turns = sorted(math.degrees(math.atan2(y, x)) for x, y in gradients)
    gaps = [after - before for before, after in pairwise([*turns, turns[0] + 360])]
    return max(gaps) <= 180 + SAME


def equal_gradient(update: Vector, gradients: Sequence[Vector]) -> int | None:
    """The index of the only gradient that an update equals; None where none or several."""
    same = [i for i, gradient in enumerate(gradients) if _same(update, gradient, gradients)]
    return same[0] if len(same) == 1 else None


def _same(first: Vector, second: Vector, gradients: Sequence[Vector]) -> bool:
    if is_zero(first, gradients) and is_zero(second, gradients):
        return True
    # A vector with a NaN equals no vector, not even itself.
    longer = max(math.hypot(*first), math.hypot(*second))
    return math.hypot(first[0] - second[0], first[1] - second[1]) <= SAME * longer


def _dot(first: Vector, second: Vector) -> float:
    return first[0] * second[0] + first[1] * second[1]
