"""Convex quadratic programs of task weights, solved for all replicas at once."""

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["approach", "minimise"]

_NEAR = 1e-9
_PROXIMITY = 1e-8
_SETTLED = 1e-13
_MOST_STEPS = 60
_MOST_GUESSES = 10


def minimise(
    hessian: "Tensor",
    linear: "Tensor",
    start: "Tensor",
    *,
    simplex: bool,
    offset: float = 0.0,
) -> "Tensor":
    """argmin ½xᵀHx + qᵀx over x ≥ 0 and, on the simplex, Σx = 1.

    Which entries are 0 is guessed and corrected, all at once; an interior-point method solves what
    a few guesses do not. Of many minimisers, the result is one next to ``start`` on the simplex and
    next to 0 otherwise, for any order of the tasks. Replicas do not depend on each other.

    Args:
        hessian: (N, K, K) positive semi-definite, with a diagonal above 0.
        linear: (N, K).
        start: (N, K) above 0, on the simplex where the answer is.
        simplex: whether Σx = 1.
        offset: length of what Σ x·√diag H is added to, for the tolerance.

    Returns:
        (N, K); entries that the minimiser lacks are exactly 0.
    """
    near = start if simplex else start.new_zeros(start.shape)
    free = start > 0 if simplex else linear < 0
    guess = partial(_settle, simplex=simplex, offset=offset)
    found, settled = guess(hessian, linear, near, free)
    if settled.all():
        return found
    open_ = ~settled.squeeze(1)
    hessian, linear = hessian[open_], linear[open_]
    held, squares = hessian, hessian.diagonal(dim1=1, dim2=2)
    if not simplex:
        # Minimisers may reach to infinity; this keeps to those near 0.
        held = hessian.clone()
        held.diagonal(dim1=1, dim2=2).mul_(1 + 1e-10)
    x, z = approach(held, linear, start[open_], simplex=simplex, offset=offset)
    found[open_], _ = guess(hessian, linear, x, x * squares > z)
    return found


def approach(
    hessian: "Tensor", linear: "Tensor", start: "Tensor", *, simplex: bool, offset: float = 0.0
) -> "tuple[Tensor, Tensor]":
    """The minimiser to 1e-9 of (Σ x·√diag H + offset)², by Mehrotra's predictor-corrector method.

    Arguments as of ``minimise``. A replica that has converged stays as it is.

    Returns:
        (N, K) the minimiser and (N, K) the slopes that hold its entries of 0; all above 0, and
        entry by entry either is near 0.
    """
    import torch

    squares = hessian.diagonal(dim1=1, dim2=2)
    lengths = squares.sqrt()
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
        far = torch.maximum(slack * size, mu * x.shape[1]) > _NEAR * size.square()
        running = running & far
        if not running.any():
            break
        move, rise, failed = _move(hessian, pair, downhill, mu, simplex)
        step = (0.999 * _furthest(pair, move)).clamp_max(1)
        running = running & (failed == 0).unsqueeze(-1) & step.isfinite()
        pair = torch.where(running, pair + step * move, pair)
        if simplex:
            multiplier = torch.where(running, multiplier + step * rise, multiplier)
    return pair[0], pair[1]


def _move(
    hessian: "Tensor", pair: "Tensor", downhill: "Tensor", mu: "Tensor", simplex: bool
) -> "tuple[Tensor, Tensor, Tensor]":
    """The direction of Mehrotra's predictor and corrector, from one factorisation.

    Args:
        pair: (2, N, K) x and z.
        downhill: (N, K) minus the gradient of the Lagrangian without the bounds' part.
        mu: (N, 1) mean of x·z.

    Returns:
        (2, N, K) for ``pair``, (N, 1) for the simplex's multiplier, and (N,) not 0 where the
        factorisation failed.
    """
    import torch

    x, z = pair
    ratio = z / x
    matrix = hessian.clone()
    matrix.diagonal(dim1=1, dim2=2).add_(ratio)
    factor, failed = torch.linalg.cholesky_ex(matrix)

    if simplex:
        sides = torch.stack([downhill, torch.ones_like(x)], dim=-1)
        towards, level = torch.cholesky_solve(sides, factor).unbind(-1)
        level_sum = level.sum(dim=1, keepdim=True)
        dx = towards - level * (towards.sum(dim=1, keepdim=True) / level_sum)
    else:
        dx = torch.cholesky_solve(downhill.unsqueeze(-1), factor).squeeze(-1)
    move = torch.stack([dx, -z - ratio * dx])
    ahead = (pair + _furthest(pair, move).clamp_max(1) * move).prod(dim=0)
    target = (ahead.mean(dim=1, keepdim=True) / mu).pow(3) * mu

    pull = (target - move.prod(dim=0)) / x
    towards = torch.cholesky_solve((downhill + pull).unsqueeze(-1), factor).squeeze(-1)
    rise = torch.zeros_like(mu)
    if simplex:
        rise = -towards.sum(dim=1, keepdim=True) / level_sum
        towards = towards + level * rise
    return torch.stack([towards, pull - z - ratio * towards]), rise, failed


def _furthest(values: "Tensor", move: "Tensor") -> "Tensor":
    """(N, 1) the longest step, up to 1000, that leaves all of (M, N, K) values at least 0."""
    return 1 / (-move / values).amax(dim=(0, 2)).clamp_min(1e-3).unsqueeze(-1)


def _settle(
    hessian: "Tensor",
    linear: "Tensor",
    x: "Tensor",
    free: "Tensor",
    *,
    simplex: bool,
    offset: float,
) -> "tuple[Tensor, Tensor]":
    """Solve for the entries that are not 0; the signs correct the guess of which these are.

    This is block principal pivoting: it mostly ends in few steps, but may go round in circles.

    Args:
        x: (N, K) what to stay next to where there are many minimisers.
        free: (N, K) which entries are not 0, as a first guess.

    Returns:
        (N, K) the best of all guesses and x, and (N, 1) whether it is a minimiser.
    """
    import torch

    lengths = hessian.diagonal(dim1=1, dim2=2).sqrt()
    error = _error(hessian, linear, x, lengths, simplex, offset)
    found, least = x, error
    left = torch.arange(len(x), device=x.device)
    for _ in range(_MOST_GUESSES):
        guess = _supported(hessian, linear, x, free, (1 + _PROXIMITY) * lengths.square(), simplex)
        slope = (hessian @ guess.unsqueeze(-1)).squeeze(-1) + linear
        if simplex:
            slope = slope - (guess * slope).sum(dim=1, keepdim=True)
        size = (guess.abs() * lengths).sum(dim=1, keepdim=True) + offset
        wrong = torch.where(free, guess * lengths, slope / lengths) < -1e-13 * size
        guess = guess.where(guess * lengths > 1e-14 * size, 0.0)
        if simplex:
            guess = guess / guess.sum(dim=1, keepdim=True)
        now = _error(hessian, linear, guess, lengths, simplex, offset)
        better = now < error
        error = torch.where(better, now, error)
        found = found.index_copy(0, left, torch.where(better, guess, found[left]))
        least = least.index_copy(0, left, error)
        open_ = (wrong & (error > _SETTLED)).any(dim=1)
        if not open_.any():
            break
        free = free ^ wrong
        if not open_.all():
            left, x, free, error = left[open_], x[open_], free[open_], error[open_]
            hessian, linear, lengths = hessian[open_], linear[open_], lengths[open_]
    return found, least <= _SETTLED


def _supported(
    hessian: "Tensor",
    linear: "Tensor",
    x: "Tensor",
    free: "Tensor",
    diagonal: "Tensor",
    simplex: bool,
) -> "Tensor":
    """(N, K) the minimiser next to x with only the ``free`` entries not 0, of either sign.

    Args:
        diagonal: (N, K) that of H, and a little more. By this, and by solving for the change,
            directions in which nothing changes stay put.
    """
    import torch

    matrix = hessian * (free.unsqueeze(-1) & free.unsqueeze(-2))
    matrix.diagonal(dim1=1, dim2=2).copy_(diagonal)
    factor, _ = torch.linalg.cholesky_ex(matrix)
    ones = free.to(x.dtype)
    guess = x * ones
    for _ in range(2):
        slope = (hessian @ guess.unsqueeze(-1)).squeeze(-1) + linear
        sides = torch.stack([-slope * ones, ones], dim=-1)
        change, level = torch.cholesky_solve(sides, factor).unbind(-1)
        guess = guess + change
        if simplex:
            lacking = 1 - guess.sum(dim=1, keepdim=True)
            guess = guess + level * (lacking / level.sum(dim=1, keepdim=True))
    return guess


def _error(
    hessian: "Tensor",
    linear: "Tensor",
    x: "Tensor",
    lengths: "Tensor",
    simplex: bool,
    offset: float,
) -> "Tensor":
    """(N, 1) how far x is from a minimiser, as a share of (Σ x·√diag H + offset)².

    Each slope is measured in its own entry's length: one that is long must not hide the others.
    """
    slope = (hessian @ x.unsqueeze(-1)).squeeze(-1) + linear
    if simplex:
        slope = slope - (x * slope).sum(dim=1, keepdim=True)
    size = (x * lengths).sum(dim=1, keepdim=True) + offset
    uneven = (x * slope).abs().sum(dim=1, keepdim=True)
    downhill = (slope / lengths).amin(dim=1, keepdim=True).clamp_max(0)
    return (uneven - size * downhill) / size.square()
