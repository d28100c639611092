"""Nash-MTL: the update on which the tasks would agree if they bargained."""

import math
from functools import partial
from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.fairgrad import LEAST_LEFT, solve
from mtl_core.optimizers.tools.pairs import of_two

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """(N, K) α with α_i (Gα)_i = 1; then cut so that the update is at most ``max_norm`` long.

    Before that, the update's length is √K for any gradients, so that any ``max_norm``
    below √K makes all updates that long. Tasks with a gradient of 0 have nothing to bargain for:
    they weigh 0 and do not count in K. Where a convex combination of gradients is 0 there is no
    agreement; the update is then next to 0.
    """
    gramian, longest = step.gram, step.options["max_norm"]
    if gramian.shape[1] == 2:
        formula = partial(_of_two, step.rounding)
        on_device = partial(_of_two_on_device, step.rounding) if step.static else None
        found = of_two(gramian, formula, rounding=step.rounding, on_device=on_device)
    else:
        found = solve(gramian, 1, step.rounding)
    if longest > 0:
        square = (found.unsqueeze(-2) @ gramian @ found.unsqueeze(-1)).squeeze(-1)
        length = square.clamp_min(0).sqrt()
        found = found * (longest / length.clamp_min(longest))
    return found


def _of_two(rounding: float, first: float, cosine: float, second: float) -> tuple[float, float]:
    """α_i = 1 / (|g_i| √(1 + cosine)), but for the least of what is under the root."""
    left = 1 + cosine
    if left <= 2 * rounding:
        left = max(left, LEAST_LEFT)
    common = 1 / math.sqrt(left)
    return (common / first if first > 0 else 0.0), (common / second if second > 0 else 0.0)


def _of_two_on_device(
    rounding: float, first: "Tensor", cosine: "Tensor", second: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """``_of_two`` of (N,) each."""
    left = 1 + cosine
    common = 1 / left.where(left > 2 * rounding, left.clamp_min(LEAST_LEFT)).sqrt()
    return (common / first).where(first > 0, 0.0), (common / second).where(second > 0, 0.0)


RULE = Rule(
    title="Nash-MTL",
    about="The update that tasks bargaining over it would agree on, blind to gradients' lengths.",
    source="Navon et al. 2022 (arXiv 2202.01017), Claim 3.1 and Algorithm 1",
    weights=weights,
    options=(
        Option(
            "max_norm",
            1.0,
            "the length at which the update is cut; with 0 it is not, and is √K long.",
            least=0,
        ),
    ),
    needs_gramian=True,
    on_host="its equation is solved by as many steps of Newton's method as the numbers need",
    closed_forms=(2,),
)
