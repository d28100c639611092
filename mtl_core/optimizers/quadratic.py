"""Convex quadratic programs of task weights, solved for all replicas at once."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["approach", "minimise"]

_TOLERANCE = 1e-9
_SETTLED = 1e-13
_PROXIMITY = 1e-8
_MOST_STEPS = 60
_MOST_GUESSES = 6


def minimise(
    hessian: "Tensor", linear: "Tensor", start: "Tensor", *, simplex: bool, offset: float = 0.0
) -> "Tensor":
    """argmin ½xᵀHx + qᵀx over x ≥ 0 and, on the simplex, Σx = 1.

    Where there are many minimisers, the result is one in the middle, whatever the order of the
    tasks. A replica that has converged stays as it is.

    Args:
        hessian: (N, K, K) positive semi-definite, with a diagonal above 0.
        linear: (N, K).
        start: (N, K) above 0, on the simplex where the answer is.
        simplex: whether Σx = 1.
        offset: length of what Σ x·√diag H is added to, for the tolerance.

    Returns:
        (N, K); entries that the minimiser lacks are exactly 0.
    """
    import torch

    every = torch.ones_like(start, dtype=torch.bool)
    found, settled = _settle(hessian, linear, start, every, simplex=simplex, offset=offset)
    open_ = ~settled.squeeze(1)
    if not open_.any():
        return found
    hessian, linear = hessian[open_], linear[open_]
    x, z = approach(hessian, linear, start[open_], simplex=simplex, offset=offset)
    free = x * hessian.diagonal(dim1=1, dim2=2) > z
    x, _ = _settle(hessian, linear, x, free, simplex=simplex, offset=offset)
    return found.index_put((open_,), x)


def approach(
    hessian: "Tensor",
    linear: "Tensor",
    start: "Tensor",
    *,
    simplex: bool,
    offset: float = 0.0,
    tolerance: float = _TOLERANCE,
) -> "tuple[Tensor, Tensor]":
    """Nearly the minimiser, and the slopes that hold its entries of 0, by Mehrotra's
    predictor-corrector method. Arguments as of ``minimise``.

    Args:
        tolerance: of the optimality gap, relative to (Σ x·√diag H + offset)².

    Returns:
        (N, K) each and all above 0; entry by entry, either is near 0.
    """
    import torch

    squares = hessian.diagonal(dim1=1, dim2=2)
    lengths = squares.sqrt()
    ones = torch.ones_like(start)
    multiplier = torch.zeros_like(start[:, :1])
    # Both bounds' variables side by side: x, and the slope z that holds back an x of 0.
    pair = torch.stack([start, (squares * start.square()).mean(dim=1, keepdim=True) / start])
    running = torch.ones_like(multiplier, dtype=torch.bool)
    for _ in range(_MOST_STEPS):
        x, z = pair
        # Minus the gradient of the Lagrangian without the bounds' part.
        downhill = multiplier - (hessian @ x.unsqueeze(-1)).squeeze(-1) - linear
        mu = (x * z).mean(dim=1, keepdim=True)
        # Rounding of H leaves about 1e-16 of the square of this.
        size = (x * lengths).sum(dim=1, keepdim=True) + offset
        slack = ((downhill + z).abs() / lengths).amax(dim=1, keepdim=True)
        far = torch.maximum(slack * size, mu * x.shape[1]) > tolerance * size.square()
        running = running & far
        if not running.any():
            break
        ratio = z / x
        matrix = hessian.clone()
        matrix.diagonal(dim1=1, dim2=2).add_(ratio)
        factor, failed = torch.linalg.cholesky_ex(matrix)

        if simplex:
            both = torch.cholesky_solve(torch.stack([downhill, ones], dim=-1), factor)
            towards, level = both.unbind(-1)
            level_sum = level.sum(dim=1, keepdim=True)
            dx = towards - level * (towards.sum(dim=1, keepdim=True) / level_sum)
        else:
            dx = torch.cholesky_solve(downhill.unsqueeze(-1), factor).squeeze(-1)
        move = torch.stack([dx, -z - ratio * dx])
        ahead = (pair + _furthest(pair, move).clamp_max(1) * move).prod(dim=0)
        target = (ahead.mean(dim=1, keepdim=True) / mu).pow(3) * mu

        pull = (target - move.prod(dim=0)) / x
        towards = torch.cholesky_solve((downhill + pull).unsqueeze(-1), factor).squeeze(-1)
        if simplex:
            rise = -towards.sum(dim=1, keepdim=True) / level_sum
            towards = towards + level * rise
        move = torch.stack([towards, pull - z - ratio * towards])
        step = (0.999 * _furthest(pair, move)).clamp_max(1)
        running = running & (failed == 0).unsqueeze(-1) & step.isfinite()
        pair = torch.where(running, pair + step * move, pair)
        if simplex:
            multiplier = torch.where(running, multiplier + step * rise, multiplier)
    return pair[0], pair[1]


def _furthest(values: "Tensor", move: "Tensor") -> "Tensor":
    """(N, 1) the longest step, up to 1000, that leaves all of (M, N, K) values at least 0."""
    return 1 / (-move / values).amax(dim=(0, 2)).clamp_min(1e-3).unsqueeze(-1)


def _settle(
    hessian: "Tensor", linear: "Tensor", x: "Tensor", free: "Tensor", *, simplex: bool, offset: float
) -> "tuple[Tensor, Tensor]":
    """Guess which entries are 0, solve for the others, and correct the guess.

    Args:
        x: (N, K) what to stay near to where there are many minimisers.
        free: (N, K) which entries are not 0, as a first guess.

    Returns:
        (N, K) the best x of all guesses, and (N, 1) whether it is a minimiser.
    """
    import torch

    squares = hessian.diagonal(dim1=1, dim2=2)
    lengths = squares.sqrt()
    best, least = x, _error(hessian, linear, x, lengths, simplex, offset)
    for _ in range(_MOST_GUESSES):
        matrix = hessian * (free.unsqueeze(-1) & free.unsqueeze(-2))
        # Directions in which nothing changes stay put: by this, and by solving for the change.
        matrix.diagonal(dim1=1, dim2=2).copy_((1 + _PROXIMITY) * squares)
        factor, _ = torch.linalg.cholesky_ex(matrix)
        ones = free.to(x.dtype)
        found = x * ones
        for _ in range(2):
            slope = (hessian @ found.unsqueeze(-1)).squeeze(-1) + linear
            sides = torch.stack([-slope * ones, ones], dim=-1)
            change, level = torch.cholesky_solve(sides, factor).unbind(-1)
            found = found + change
            if simplex:
                lacking = 1 - found.sum(dim=1, keepdim=True)
                found = found + level * (lacking / level.sum(dim=1, keepdim=True))
        slope = (hessian @ found.unsqueeze(-1)).squeeze(-1) + linear
        if simplex:
            slope = slope - (found * slope).sum(dim=1, keepdim=True)
        size = (found.abs() * lengths).sum(dim=1, keepdim=True) + offset
        wrong = torch.where(free, found * lengths, slope / lengths) < -1e-13 * size
        found = found.where(found * lengths > 1e-14 * size, 0.0)
        if simplex:
            found = found / found.sum(dim=1, keepdim=True)
        error = _error(hessian, linear, found, lengths, simplex, offset)
        better = error < least
        best, least = torch.where(better, found, best), torch.where(better, error, least)
        wrong = wrong & (least > _SETTLED)
        if not wrong.any():
            break
        free = free ^ wrong
    return best, least <= _SETTLED


def _error(
    hessian: "Tensor",
    linear: "Tensor",
    x: "Tensor",
    lengths: "Tensor",
    simplex: bool,
    offset: float,
) -> "Tensor":
    """(N, 1) how far x is from a minimiser, as the tolerance of ``approach``."""
    slope = (hessian @ x.unsqueeze(-1)).squeeze(-1) + linear
    mean = (x * slope).sum(dim=1, keepdim=True)
    size = (x * lengths).sum(dim=1, keepdim=True) + offset
    if simplex:
        gap = mean - slope.amin(dim=1, keepdim=True)
    else:
        gap = mean.abs() - size * (slope / lengths).amin(dim=1, keepdim=True).clamp_max(0)
    return gap / size.square()
