"""What updates in the plane have in common, and what each of them does to the tasks."""

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
"""A vector shorter than this share of the longest gradient is a solver's zero."""


def is_zero(vector: Vector, gradients: Sequence[Vector]) -> bool:
    """Whether a vector has no length beside that of the longest gradient."""
    return math.hypot(*vector) <= NOTHING * max((math.hypot(*g) for g in gradients), default=0)


def angle(one: Vector, other: Vector) -> float:
    """The angle between two vectors, in degrees from 0 to 180; NaN where one has no length."""
    if not any(one) or not any(other):
        return math.nan
    cross = one[0] * other[1] - one[1] * other[0]
    return math.degrees(math.atan2(abs(cross), _dot(one, other)))


def effect(update: Vector, gradient: Vector) -> Effect:
    """What a small step against ``update`` does to the loss that ``gradient`` belongs to.

    To first order the loss changes by −⟨update, gradient⟩; a cosine below 1e-6 counts as 0.
    """
    inner = _dot(update, gradient)
    if abs(inner) <= SAME * math.hypot(*update) * math.hypot(*gradient):
        return "stands still"
    return "descends" if inner > 0 else "rises"


def coinciding(updates: Mapping[str, Vector], gradients: Sequence[Vector]) -> list[tuple[str, ...]]:
    """Names of updates that are the same, two or more at a time, in order of appearance.

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
    """Pairs of gradients, by place, with an angle above 90°."""
    return [
        (i, j)
        for j in range(len(gradients))
        for i in range(j)
        if effect(gradients[i], gradients[j]) == "rises"
    ]


def cancel(gradients: Sequence[Vector]) -> bool:
    """Whether some convex combination of the gradients is 0: no direction lowers every loss.

    So it is unless all of them lie in an open half-plane.
    """
    if not all(any(gradient) for gradient in gradients):
        return True
    turns = sorted(math.degrees(math.atan2(y, x)) for x, y in gradients)
    gaps = [after - before for before, after in pairwise([*turns, turns[0] + 360])]
    return max(gaps) <= 180 + SAME


def equal_gradient(update: Vector, gradients: Sequence[Vector]) -> int | None:
    """The place of the only gradient that an update equals; None where it equals none."""
    same = [i for i, gradient in enumerate(gradients) if _same(update, gradient, gradients)]
    return same[0] if len(same) == 1 else None


def _same(one: Vector, other: Vector, gradients: Sequence[Vector]) -> bool:
    if is_zero(one, gradients) and is_zero(other, gradients):
        return True
    # NaN is the same as nothing, not even as itself.
    longer = max(math.hypot(*one), math.hypot(*other))
    return math.hypot(one[0] - other[0], one[1] - other[1]) <= SAME * longer


def _dot(one: Vector, other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1]
