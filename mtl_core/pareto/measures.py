"""How good a set of solutions is, against references that were fixed beforehand.

All take losses of N solutions of K objectives, (..., N, K), and scale them by the problem's ideal
and reference points to 0..1, so that every objective counts alike.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mtl_core.errors import InputError

__all__ = ["coverage", "distance", "evaluations_to", "hypervolume", "scaled", "spacing"]


def scaled(
    losses: ArrayLike, reference: Sequence[float], ideal: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """(loss - ideal) / (reference - ideal): 0 at the ideal point, 1 at the reference point.

    Raises:
        InputError: for a reference or ideal point that is not finite.
    """
    highest = _point("reference", reference)
    lowest = np.zeros_like(highest) if ideal is None else _point("ideal", ideal)
    return (np.asarray(losses, dtype=np.float64) - lowest) / (highest - lowest)


def hypervolume(
    losses: ArrayLike, reference: Sequence[float], ideal: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The share of the box between ideal and reference point that the solutions dominate, (...).

    Computed by moocore. Solutions that are not better than the reference point in every objective,
    or not finite in one, -inf included, add nothing.

    Raises:
        InputError: for a reference or ideal point that is not finite.
    """
    import moocore

    points = scaled(losses, reference, ideal)
    corner = np.ones(points.shape[-1])
    shares = np.zeros(points.shape[:-2])
    for place in np.ndindex(shares.shape):
        better = np.isfinite(points[place]) & (points[place] < 1)
        inside = points[place][better.all(axis=-1)]
        shares[place] = moocore.hypervolume(inside, ref=corner) if len(inside) else 0.0
    return shares


def distance(
    losses: ArrayLike,
    front: ArrayLike,
    reference: Sequence[float],
    ideal: Sequence[float] | None = None,
) -> NDArray[np.float64]:
    """How far points of the true front (P, K) are from the nearest solution, on average, (...).

    The inverted generational distance (Coello Coello & Reyes Sierra 2004), Euclidean, scaled.
    """
    points = scaled(losses, reference, ideal)
    true = scaled(front, reference, ideal)
    apart = np.linalg.norm(true[:, None, :] - points[..., None, :, :], axis=-1)
    nearest: NDArray[np.float64] = apart.min(axis=-1).mean(axis=-1)
    return nearest


def coverage(
    losses: ArrayLike, reference: Sequence[float], ideal: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """How much of each objective's range the solutions cover: root mean square of extents, (...).

    The maximum spread of Zitzler et al. 2000, divided by √K: 1 from ideal to reference point.
    """
    points = scaled(losses, reference, ideal)
    extents = points.max(axis=-2) - points.min(axis=-2)
    covered: NDArray[np.float64] = np.sqrt((extents**2).mean(axis=-1))
    return covered


def spacing(
    losses: ArrayLike, reference: Sequence[float], ideal: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """How unevenly the solutions lie: 0 when each is as far from its nearest as all others, (...).

    The standard deviation of the distances (sum of absolute differences) to the nearest solution
    (Schott 1995); of two solutions or more.
    """
    points = scaled(losses, reference, ideal)
    apart = np.abs(points[..., :, None, :] - points[..., None, :, :]).sum(axis=-1)
    itself = np.eye(apart.shape[-1], dtype=bool)
    deviation: NDArray[np.float64] = (
        np.where(itself, np.inf, apart).min(axis=-1).std(axis=-1, ddof=1)
    )
    return deviation


def evaluations_to(
    level: float, evaluations: Sequence[float], hypervolumes: Sequence[float]
) -> float | None:
    """Gradient evaluations at the first frame whose hypervolume reaches ``level``; None if never.

    Args:
        level: such as 0.9 of the best final hypervolume of all methods, the convergence ratio's.
        evaluations: of each frame, increasing; ``hypervolumes`` likewise.
    """
    for count, share in zip(evaluations, hypervolumes, strict=True):
        if share >= level:
            return float(count)
    return None


def _point(name: str, given: Sequence[float]) -> NDArray[np.float64]:
    point = np.asarray(given, dtype=np.float64)
    if not np.isfinite(point).all():
        raise InputError(f"{name} point {tuple(point.tolist())} has a number that is not finite")
    return point
