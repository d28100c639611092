"""MGDA: the shortest convex combination of the task gradients."""

import math
from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.lengths import directions, present
from mtl_core.optimizers.tools.pairs import of_two
from mtl_core.optimizers.tools.quadratic import minimise

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """(N, K) on the simplex, of the gradients as they are.

    Tasks with a gradient of 0 are left out with weight 0, and so are tasks with a loss of 0 where
    that would be divided by; where none is left, all weigh the same.
    """
    gramian, kind = step.gram, step.options["normalization"]
    on_device = _shares if step.static else None
    if kind == "none" and gramian.shape[1] == 2:
        return of_two(gramian, _share, rounding=step.rounding, on_device=on_device)
    squares = gramian.diagonal(dim1=1, dim2=2)
    largest = squares.amax(dim=1, keepdim=True)
    gramian = gramian / largest.where(largest > 0, 1.0).unsqueeze(-1)
    squares = gramian.diagonal(dim1=1, dim2=2)
    there = present(gramian)
    if kind != "none":
        divisors = squares.sqrt() if kind == "l2" else step.losses.abs()
        if kind == "loss+":
            divisors = divisors * squares.sqrt()
        there = there & (divisors > 0)
        # Divisors only matter up to a factor; this one lets no square overflow.
        shortest = divisors.where(there, math.inf).amin(dim=1, keepdim=True)
        factors = (shortest / divisors).where(there, 0.0)
        gramian = gramian * factors.unsqueeze(-1) * factors.unsqueeze(-2)
    if gramian.shape[1] == 2:
        return of_two(gramian, _share, rounding=step.rounding, on_device=on_device)
    return _of_many(gramian, step.rounding)


def _share(first: float, cosine: float, second: float) -> tuple[float, float]:
    """The point next to 0 of the line between two gradients: Sener & Koltun 2018, Algorithm 1.

    Each gradient's share goes with how much longer the other is than its own part along it; where
    it is no longer, the shorter gradient is nearest.
    """
    if first <= 0 or second <= 0:
        share = 0.5 if first <= 0 and second <= 0 else float(first > 0)
        return share, 1 - share
    if first == second:
        return 0.5, 0.5
    longest = max(first, second)
    first, second = first / longest, second / longest
    ours = max(second * (second - cosine * first), 0.0)
    theirs = max(first * (first - cosine * second), 0.0)
    return ours / (ours + theirs), theirs / (ours + theirs)


def _shares(first: "Tensor", cosine: "Tensor", second: "Tensor") -> "tuple[Tensor, Tensor]":
    """``_share`` of (N,) each."""
    longest = first.maximum(second)
    alone = (first > 0).to(first.dtype).where(first != second, 0.5)
    both = (first > 0) & (second > 0) & (first != second)
    first, second = first / longest, second / longest
    ours = (second * (second - cosine * first)).clamp_min(0)
    theirs = (first * (first - cosine * second)).clamp_min(0)
    total = ours + theirs
    return (ours / total).where(both, alone), (theirs / total).where(both, 1 - alone)


def _of_many(gramian: "Tensor", rounding: float) -> "Tensor":
    """The simplex's quadratic program for (N, K, K)."""
    of = directions(gramian)
    cosines, _ = of.definite(rounding)
    lengths = of.lengths.where(of.there, of.lengths.amax(dim=1, keepdim=True))
    lengths = lengths.where(lengths > 0, 1.0)
    # Start at what would be best of orthogonal gradients, and measure in its length.
    lengths = lengths * (1 / lengths.square()).sum(dim=1, keepdim=True).sqrt()
    squares = lengths.square()
    gramian = cosines * lengths.unsqueeze(-1) * lengths.unsqueeze(-2)
    # A slope that nothing can outweigh keeps out the tasks without a gradient.
    slope = (2 * squares).where(~of.there, 0.0)
    return minimise(gramian, slope, 1 / squares, simplex=True)


RULE = Rule(
    title="MGDA",
    about="The shortest convex combination of the task gradients, which no task objects to.",
    source="Désidéri 2012; Sener & Koltun 2018 (arXiv 1810.04650), Eq. 3 and Algorithm 1",
    weights=weights,
    options=(
        Option(
            "normalization",
            "none",
            "what the task gradients are divided by to find the weights: nothing, their length "
            "(l2), the task's loss (loss), or both (loss+); the weights are those of the gradients "
            "as they are.",
            choices=("none", "l2", "loss", "loss+"),
        ),
    ),
    needs_gramian=True,
    on_host="its quadratic program is solved in as many rounds as the numbers need",
    closed_forms=(2,),
)
