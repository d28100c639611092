"""Preferences: which trade-offs are asked for, one weight vector on the simplex for each."""

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtl_core.errors import InputError

__all__ = ["checked", "lattice", "sampled"]

TOLERANCE = 1e-6
"""How far from 1 the sum of weights that somebody typed may be."""


def lattice(objectives: int, count: int) -> NDArray[np.float64]:
    """Evenly spread preferences: the simplex lattice (Das & Dennis 1998).

    All vectors whose weights are multiples of 1/H; of two objectives any number of them, of more
    only C(H + K - 1, K - 1) for a whole H.

    Args:
        objectives: K, at least 2.
        count: N, at least K.

    Returns:
        (N, K), rows on the simplex, from the last objective alone to the first alone.

    Raises:
        InputError: for one objective, fewer preferences than objectives, or a number of them that
            no lattice has, with the nearest that one has.
    """
    _check_sizes(objectives, count)
    divisions, below = 1, objectives
    while (size := comb(divisions + objectives - 1, objectives - 1)) < count:
        divisions, below = divisions + 1, size
    if size != count:
        raise InputError(
            f"{count} preferences for {objectives} objectives are no simplex lattice; choose "
            f"{below} or {size}, or sample them"
        )
    return np.array(list(_compositions(objectives, divisions))) / divisions


def sampled(objectives: int, count: int, seed: int) -> NDArray[np.float64]:
    """Preferences drawn uniformly from the simplex: (N, K), sorted by their weights.

    Raises:
        InputError: for one objective, or fewer preferences than objectives.
    """
    _check_sizes(objectives, count)
    drawn = np.random.default_rng(seed).dirichlet(np.ones(objectives), size=count)
    return drawn[np.lexsort(drawn.T[::-1])]


def checked(preferences: ArrayLike, objectives: int) -> NDArray[np.float64]:
    """Preferences that came from outside, as an array (N, K).

    Raises:
        InputError: naming the first that has not K weights, is not finite, has a negative weight or
            does not sum to 1; or when there are fewer than objectives.
    """
    rows: Sequence[object] = list(np.atleast_1d(np.asarray(preferences, dtype=object)))
    _check_sizes(objectives, len(rows))
    for row in rows:
        try:
            weights = np.asarray(row, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"preference {row!r} is not a list of numbers") from None
        said = weights.tolist()
        if weights.shape != (objectives,):
            raise InputError(f"preference {said} must have {objectives} weights, one per objective")
        if not np.isfinite(weights).all() or (weights < 0).any():
            raise InputError(f"preference {said} has a weight that is not a number of at least 0")
        if abs(weights.sum() - 1) > TOLERANCE:
            raise InputError(
                f"preference {said} is off the simplex: its weights sum to {weights.sum():g}, not "
                "1; divide them by their sum"
            )
    return np.array([np.asarray(row, dtype=np.float64) for row in rows])


def _check_sizes(objectives: int, count: int) -> None:
    if objectives < 2:
        raise InputError(f"{objectives} objective has no trade-off; give at least 2")
    if count < objectives:
        raise InputError(
            f"{count} preferences are fewer than the {objectives} objectives; choose at least "
            f"{objectives}"
        )


def _compositions(parts: int, total: int) -> list[tuple[int, ...]]:
    """All ways to write ``total`` as an ordered sum of whole numbers from 0 on."""
    if parts == 1:
        return [(total,)]
    return [
        (first, *rest)
        for first in range(total + 1)
        for rest in _compositions(parts - 1, total - first)
    ]
