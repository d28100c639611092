"""CAGrad: near the mean gradient, the update that serves the worst-off task best."""

import math
from functools import partial
from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.lengths import directions
from mtl_core.optimizers.tools.pairs import of_two
from mtl_core.optimizers.tools.quadratic import minimise
from mtl_core.optimizers.upgrad import project

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]

_TOLERANCE = 1e-12
_MOST_GUESSES = 40
_MOST_SUPPORTS = 6
_PROXIMITY = 1e-9
_LEAST_MEAN = 1e-7
"""Of the longest gradient: a mean that is shorter is rounding."""
_LEAST_LENGTH = 1e-6
"""Of the lengths that are added up: what is left of them, if shorter, has no direction."""


def weights(step: Step) -> "Tensor":
    """(N, K): 1/K and, on top, c·‖g_0‖ / ‖g_w‖ of the w that Algorithm 1 finds.

    The worst-off task is looked for among those whose gradient is not 0; the others weigh 1/K.
    Where no update serves all tasks and g_w is 0, the weights are those of the conflict-free
    update next to the mean.
    """
    import torch

    gramian, c = step.gram, step.options["c"]
    tasks = gramian.shape[1]
    mean = step.losses.new_full(step.losses.shape, 1 / tasks)
    if c == 0:
        return mean
    if tasks == 2:
        on_device = partial(_of_two_on_device, c) if step.static else None
        formula = partial(_of_two, c)
        return of_two(gramian, formula, rounding=step.rounding, on_device=on_device)
    of = directions(gramian)
    cosines, _ = of.definite(step.rounding)
    lengths = of.lengths.where(of.there, of.lengths.amax(dim=1, keepdim=True))
    lengths = lengths.where(lengths > 0, 1.0)
    unit = 1 / (1 / lengths).sum(dim=1, keepdim=True)
    lengths = lengths / unit
    gramian = cosines * lengths.unsqueeze(-1) * lengths.unsqueeze(-2)
    along = lengths * (cosines @ (of.lengths / unit).unsqueeze(-1)).squeeze(-1) / tasks
    mean_length = (along * of.there).mean(dim=1, keepdim=True).clamp_min(0).sqrt()
    # Below this, the mean is rounding.
    least = _LEAST_MEAN * lengths.amax(dim=1, keepdim=True)
    linear = along / mean_length.maximum(least)
    linear = linear.where(of.there, 2 * lengths)
    w, stationary = _solve(gramian, linear, lengths, c)
    found: Tensor = mean + c * mean_length / _length(gramian, w, lengths) * w
    if stationary.any():
        found = torch.where(stationary, project(step.gram, mean, step.rounding), found)
    return found.where(mean_length > least, mean)


def _of_two(c: float, first: float, cosine: float, second: float) -> tuple[float, float]:
    """The weights of two gradients, from where the slope of Algorithm 1's objective is 0.

    Squares of sums are written as sums of what is above 0, which do not cancel.
    """
    longest = max(first, second)
    if longest <= 0:
        return 0.5, 0.5
    first, second = first / longest, second / longest
    both = first * second
    mean_length = math.sqrt((first - second) ** 2 + 2 * (1 + cosine) * both) / 2
    if mean_length <= _LEAST_MEAN:
        return 0.5, 0.5
    if first == 0 or second == 0:
        share, other = float(first > 0), float(second > 0)
    else:
        # With s the share of gradient 1, ‖g_w‖² = (m² + area) / (4·apart) where
        # m = 2·apart·s + 2·second·(first·cosine − second); the slope is 0 where
        # m² · steep = tilt² · area, with steep = apart·(c·mean_length)² − tilt².
        apart = (first - second) ** 2 + 2 * (1 - cosine) * both
        tilt = (first - second) * (first + second) / 2
        squares = first * first + second * second
        steep = both * both * (1 - c * cosine) * (1 + c * cosine)
        steep -= (1 - c) * (1 + c) * (squares / 2) ** 2
        if steep > 0:
            move = -tilt * both * math.sqrt((1 - cosine) * (1 + cosine) / steep)
            share = min(max((second * (second - first * cosine) + move) / apart, 0.0), 1.0)
            other = min(max((first * (first - second * cosine) - move) / apart, 0.0), 1.0)
        else:
            share, other = float(tilt < 0), float(tilt > 0)
    ours, theirs = share * first, other * second
    length = math.sqrt((ours - theirs) ** 2 + 2 * (1 + cosine) * ours * theirs)
    lean = c * mean_length / max(length, _LEAST_MEAN * (ours + theirs))
    return 0.5 + lean * share, 0.5 + lean * other


def _of_two_on_device(
    c: float, first: "Tensor", cosine: "Tensor", second: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """``_of_two`` of (N,) each; its comments hold."""
    longest = first.maximum(second)
    first, second = first / longest, second / longest
    both = first * second
    mean_length = ((first - second).square() + 2 * (1 + cosine) * both).sqrt() / 2
    apart = (first - second).square() + 2 * (1 - cosine) * both
    tilt = (first - second) * (first + second) / 2
    squares = first.square() + second.square()
    steep = both.square() * (1 - c * cosine) * (1 + c * cosine)
    steep = steep - (1 - c) * (1 + c) * (squares / 2).square()
    move = -tilt * both * ((1 - cosine) * (1 + cosine) / steep).sqrt()
    share = ((second * (second - first * cosine) + move) / apart).clamp(0, 1)
    other = ((first * (first - second * cosine) - move) / apart).clamp(0, 1)
    share = share.where(steep > 0, (tilt < 0).to(tilt.dtype))
    other = other.where(steep > 0, (tilt > 0).to(tilt.dtype))
    share = share.where(both > 0, (first > 0).to(tilt.dtype))
    other = other.where(both > 0, (second > 0).to(tilt.dtype))
    ours, theirs = share * first, other * second
    length = ((ours - theirs).square() + 2 * (1 + cosine) * ours * theirs).sqrt()
    lean = c * mean_length / length.maximum(_LEAST_MEAN * (ours + theirs))
    known = mean_length > _LEAST_MEAN  # NaN, of gradients that are all 0, is not
    return (0.5 + lean * share).where(known, 0.5), (0.5 + lean * other).where(known, 0.5)


def _solve(
    gramian: "Tensor", linear: "Tensor", lengths: "Tensor", c: float
) -> "tuple[Tensor, Tensor]":
    """argmin of bᵀw + c·‖Jᵀw‖ over the simplex.

    It is the argmin of bᵀw + ½κ·‖Jᵀw‖² for the one κ that equals c / ‖Jᵀw‖. Guesses of that κ
    are improved until the first problem's optimality gap is closed; then the replica drops out.

    Args:
        gramian: (N, K, K).
        linear: (N, K), b.
        lengths: (N, K) square roots of the diagonal, above 0, with Σ 1 / lengths = 1.

    Returns:
        (N, K) w, and (N, 1) whether ‖Jᵀw‖ is as good as 0, so that w has no direction.
    """
    import torch

    best = 1 / lengths
    kappa = c / _length(gramian, best, lengths)
    stationary = torch.zeros_like(kappa, dtype=torch.bool)
    low, high = torch.zeros_like(kappa), torch.full_like(kappa, torch.inf)
    left = torch.arange(len(best), device=best.device)
    for _ in range(_MOST_GUESSES):
        w = minimise(kappa.unsqueeze(-1) * gramian, linear, 1 / lengths, simplex=True)
        wanted = c / _length(gramian, w, lengths)
        low = torch.where(wanted >= kappa, kappa, low)
        high = torch.where(wanted <= kappa, kappa, high)
        guess, w, gap = _sharpen(gramian, linear, lengths, w, c)
        size = (w * lengths).sum(dim=1, keepdim=True)
        most = c / (_LEAST_LENGTH * size)
        closed = gap <= _TOLERANCE * size
        flat = torch.where(
            closed, _length(gramian, w, lengths) <= _LEAST_LENGTH * size, low >= most
        )
        best = best.index_copy(0, left, w)
        stationary = stationary.index_copy(0, left, flat)
        keep = ~(closed | flat).squeeze(1)
        if not keep.any():
            break
        # Where that guess is of no use, κ is too high: low is 0 or not far below.
        middle = torch.where(low > 0, (low * high).sqrt(), high / 8)
        kappa = torch.where((guess > low) & (guess < high), guess, middle).minimum(most)
        left, kappa, low, high = left[keep], kappa[keep], low[keep], high[keep]
        gramian, linear, lengths = gramian[keep], linear[keep], lengths[keep]
    return best, stationary


def _sharpen(
    gramian: "Tensor", linear: "Tensor", lengths: "Tensor", w: "Tensor", c: float
) -> "tuple[Tensor, Tensor, Tensor]":
    """The solution if its tasks above 0 are those of (N, K) w, or nearly so.

    There, κw = v·p − q with p = G⁻¹1 and q = G⁻¹b of those tasks, and the v that makes it c long.

    Returns:
        (N, 1) κ of the first try, (N, K) the best w, and its (N, 1) gap.
    """
    import torch

    free = w > 0
    error = _gap(gramian, linear, lengths, w, c)
    found, least, guess = w, error, None
    left = torch.arange(len(w), device=w.device)
    for _ in range(_MOST_SUPPORTS):
        p, q = _supported(gramian, linear, lengths, free)
        first, second = p.sum(dim=1, keepdim=True), q.sum(dim=1, keepdim=True)
        third = (linear * q).sum(dim=1, keepdim=True)
        kappa = (second.square() - first * (third - c * c)).clamp_min(0).sqrt()
        guess = kappa if guess is None else guess
        level = (second + kappa) / first
        raw = level * p - q
        slope = linear + (gramian @ raw.unsqueeze(-1)).squeeze(-1) - level
        wrong = torch.where(free, raw * lengths, slope / lengths) < -1e-12
        sharp = raw.clamp_min(0)
        total = sharp.sum(dim=1, keepdim=True)
        sharp = torch.where(total > 0, sharp / total, w)
        now = _gap(gramian, linear, lengths, sharp, c)
        better = now <= error.clamp_min(1e-13)
        error = torch.where(better, now, error)
        found = found.index_copy(0, left, torch.where(better, sharp, found[left]))
        least = least.index_copy(0, left, error)
        open_ = (wrong & (kappa > 0)).any(dim=1)
        if not open_.any():
            break
        free = free ^ wrong
        if not open_.all():
            left, w, free, error = left[open_], w[open_], free[open_], error[open_]
            gramian, linear, lengths = gramian[open_], linear[open_], lengths[open_]
    assert guess is not None
    return guess, found, least


def _supported(
    gramian: "Tensor", linear: "Tensor", lengths: "Tensor", free: "Tensor"
) -> "tuple[Tensor, ...]":
    """(N, K) G⁻¹1 and G⁻¹b of the tasks that are ``free``, 0 for the others."""
    import torch

    matrix = gramian * (free.unsqueeze(-1) & free.unsqueeze(-2))
    matrix.diagonal(dim1=1, dim2=2).copy_((1 + _PROXIMITY) * lengths.square())
    factor, _ = torch.linalg.cholesky_ex(matrix)
    sides = torch.stack([free.to(linear.dtype), linear * free], dim=-1)
    both = torch.cholesky_solve(sides, factor)
    for _ in range(2):
        rest = sides - (gramian @ both) * free.unsqueeze(-1)
        both = both + torch.cholesky_solve(rest, factor)
    return both.unbind(-1)


def _length(gramian: "Tensor", w: "Tensor", lengths: "Tensor") -> "Tensor":
    """(N, 1) ‖Jᵀw‖, or what rounding leaves of it."""
    square = (w * (gramian @ w.unsqueeze(-1)).squeeze(-1)).sum(dim=1, keepdim=True)
    size = (w * lengths).sum(dim=1, keepdim=True)
    return square.clamp_min(0).sqrt().maximum(1e-8 * size)


def _gap(gramian: "Tensor", linear: "Tensor", lengths: "Tensor", w: "Tensor", c: float) -> "Tensor":
    """(N, 1) at most this far is bᵀw + c·‖Jᵀw‖ above its minimum."""
    slope = linear + c * (gramian @ w.unsqueeze(-1)).squeeze(-1) / _length(gramian, w, lengths)
    return (w * slope).sum(dim=1, keepdim=True) - slope.amin(dim=1, keepdim=True)


RULE = Rule(
    title="CAGrad",
    about="The update that serves the worst-off task best within a ball around the mean gradient.",
    source="Liu et al. 2021 (arXiv 2110.14048), Algorithm 1",
    weights=weights,
    options=(
        Option(
            "c",
            0.5,
            "the ball's radius as a share of the mean gradient's length; with 0 it is the mean.",
            least=0,
            below=1,
        ),
    ),
    needs_gramian=True,
    on_host="its quadratic program is solved in as many rounds as the numbers need",
    closed_forms=(2,),
)
