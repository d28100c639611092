"""Preferences: points of the simplex, one for each trade-off that is solved for."""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import InputError, quoted

__all__ = ["FLOOR", "LAYOUTS", "given", "lattice", "random", "simplex"]

LAYOUTS = ("lattice", "random", "given")

FLOOR = 0.01
"""The least weight of an objective. With a weight of 0, Tchebycheff would leave the objective free:
any solution that is best at the others would do, however bad it is at this one."""

MOST = 1_000
"""At most so many solutions."""


def lattice(solutions: int, objectives: int) -> NDArray[np.float64]:
    """``solutions`` preferences that cover the simplex evenly, (N, K), corners included.

    Two objectives: evenly spaced, from all weight on the second to all on the first. More: the
    lattice of Das & Dennis 1998 (SIAM J. Optim. 8(3)), which has C(H + K − 1, K − 1) points for H
    divisions (3 objectives: 3, 6, 10, 15, 21, 28, …). For a number in between, the next larger
    lattice is thinned: the corners stay, and what is farthest from all that were taken is taken
    next, the first in the lattice's order among equals. Fewer than K take the centre first. A
    single preference is the centre. The weights are then drawn in so that none is below ``FLOOR``:
    FLOOR + (1 − K FLOOR) λ.

    Raises:
        InputError: for fewer than one solution or two objectives, or too many.
    """
    _check_counts(solutions, objectives)
    return _floored(simplex(solutions, objectives))


def random(solutions: int, objectives: int, seed: int) -> NDArray[np.float64]:
    """``solutions`` preferences drawn uniformly from the simplex, (N, K), and drawn in alike.

    More of them with the same seed begin with the same ones.

    Raises:
        InputError: as ``lattice``.
    """
    _check_counts(solutions, objectives)
    generator = np.random.default_rng([seed, objectives])
    return _floored(generator.dirichlet(np.ones(objectives), size=solutions))


def given(preferences: Sequence[Sequence[Any]], objectives: int) -> NDArray[np.float64]:
    """A user's own preferences, checked, (N, K), with no weight below ``FLOOR``.

    A row on the simplex with no weight below it stays as it is, to the last bit; of any other, what
    exceeds the floor is scaled. So checking a result again does not change it.

    Raises:
        InputError: for no preferences, one without a weight for each objective, or one not on
            the simplex (weights of 0 or more with the sum 1, within 1e-6).
    """
    if not isinstance(preferences, Sequence) or isinstance(preferences, str):
        raise InputError(f"preferences {quoted(preferences)} must be a list of lists of weights")
    _check_counts(len(preferences), objectives)
    rows = [_row(preference, objectives) for preference in preferences]
    found = np.array(rows, dtype=np.float64)
    above = np.maximum(found - FLOOR, 0)
    raised = FLOOR + above * ((1 - objectives * FLOOR) / above.sum(axis=1, keepdims=True))
    kept = (found >= FLOOR).all(axis=1) & (np.abs(found.sum(axis=1) - 1) <= 1e-12)
    return np.where(kept[:, None], found, raised)


def _row(preference: object, objectives: int) -> list[float]:
    if not isinstance(preference, Sequence) or isinstance(preference, str):
        raise InputError(f"preference {quoted(preference)} must be a list of weights")
    if len(preference) != objectives:
        raise InputError(
            f"preference {quoted(list(preference))} has {len(preference)} weights for "
            f"{objectives} objectives; give one for each"
        )
    for weight in preference:
        number = isinstance(weight, (int, float)) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight < 0:
            raise InputError(f"weight {quoted(weight)} of a preference must be a number in 0..1")
    if abs(sum(preference) - 1) > 1e-6:
        raise InputError(
            f"preference {quoted(list(preference))} sums to {sum(preference):.6g}, not 1; divide "
            "its weights by that"
        )
    return [float(weight) for weight in preference]


def _check_counts(solutions: object, objectives: int) -> None:
    if objectives < 2:
        raise InputError(f"{objectives} objective has no trade-off; choose at least 2 objectives")
    if objectives * FLOOR >= 0.5:
        raise InputError(f"{objectives} objectives are too many; choose fewer than 50")
    if isinstance(solutions, bool) or not isinstance(solutions, int):
        raise InputError(f"number of solutions {quoted(solutions)} is not a whole number")
    if not 1 <= solutions <= MOST:
        raise InputError(f"number of solutions {solutions} must be between 1 and {MOST:,}")


def _floored(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    drawn_in: NDArray[np.float64] = FLOOR + (1 - weights.shape[1] * FLOOR) * weights
    return drawn_in


def simplex(points: int, objectives: int) -> NDArray[np.float64]:
    """What ``lattice`` draws in: (points, K), corners with weights of 0 and 1 included."""
    if points == 1:
        return np.full((1, objectives), 1 / objectives)
    divisions = 1
    while math.comb(divisions + objectives - 1, objectives - 1) < points:
        divisions += 1
    found = _das_dennis(divisions, objectives)
    return found if len(found) == points else found[_spread_out(found, points)]


@lru_cache(maxsize=16)
def _das_dennis(divisions: int, objectives: int) -> NDArray[np.float64]:
    """All points whose coordinates are whole multiples of 1 / divisions, in lexical order."""
    places = np.array(list(combinations(range(divisions + objectives - 1), objectives - 1)))
    edges = np.pad(places, ((0, 0), (1, 1)), constant_values=-1)
    edges[:, -1] = divisions + objectives - 1
    steps: NDArray[np.float64] = (np.diff(edges, axis=1) - 1) / divisions
    return steps


def _spread_out(points: NDArray[np.float64], count: int) -> list[int]:
    """Indices of ``count`` points, ascending, that lie far from each other."""
    corners = np.flatnonzero(points.max(axis=1) == 1).tolist()
    centre = int(np.square(points - points.mean(axis=0)).sum(axis=1).argmin())
    taken = corners if count >= len(corners) else [centre]
    distance = np.min([np.square(points - points[i]).sum(axis=1) for i in taken], axis=0)
    while len(taken) < count:
        # Rounded, so that equals are equal and the first of them is taken.
        farthest = int(distance.round(12).argmax())
        taken.append(farthest)
        distance = np.minimum(distance, np.square(points - points[farthest]).sum(axis=1))
    return sorted(taken)
