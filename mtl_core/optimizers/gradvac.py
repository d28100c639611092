"""GradVac: gradient vaccine."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.orders import orders

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]

_STEEPEST = 1 - 1e-6
"""Cosine up to which gradients are turned: an angle of 0 takes an infinite multiple of g_j."""


def weights(step: Step) -> "Tensor":
    """Sum over i of g_i, turned towards each g_j that it is less similar to than it used to be.

    As in PCGrad, row i of C, (N, K, K), says what of the original gradients the running g_i
    consists of. The state ``target``, (N, K, K), is the moving average of the cosines that were met
    before each turn; it starts at 0, where a turn is PCGrad's projection. A zero gradient has no
    angle: it turns none, is not turned, and leaves its targets as they are.
    """
    import torch

    gram = _of_trace_one(step.gram)
    count, tasks, _ = gram.shape
    squares = gram.diagonal(dim1=1, dim2=2)
    replica = torch.arange(count, device=gram.device).unsqueeze(1)
    target = step.state.get("target", torch.zeros_like(gram)).clone()
    coefficients = torch.eye(tasks, dtype=gram.dtype, device=gram.device).repeat(count, 1, 1)
    products = gram.clone()  # C G: inner products of the running with the original gradients
    for j in orders(step.draws, tasks).unbind(dim=2):
        at = j.unsqueeze(2)
        square = (products * coefficients).sum(dim=2)
        parts = (coefficients.square() * squares.unsqueeze(1)).sum(dim=2)
        other = squares.gather(1, j)
        # What is left of parts that cancel is rounding, and has no angle either.
        known = (square > step.rounding * parts) & (other > 0)
        ratio = (square / other).sqrt()
        cosine = (products.gather(2, at).squeeze(2) / (other * ratio)).clamp(-1, 1)
        goal = target.gather(2, at).squeeze(2)
        turn = (ratio * _turn(cosine, goal.clamp(-_STEEPEST, _STEEPEST))).where(known, 0.0)
        coefficients.scatter_add_(2, at, turn.unsqueeze(2))
        products += turn.unsqueeze(2) * gram[replica, j]
        moved = goal + step.options["beta"] * (cosine - goal)
        target.scatter_(2, at, moved.where(known, goal).unsqueeze(2))
    step.state["target"] = target
    return coefficients.sum(dim=1)


def _turn(cosine: "Tensor", goal: "Tensor") -> "Tensor":
    """How much of a unit vector turns another from one cosine with it to a higher one."""
    sine = (1 - goal.square()).sqrt()
    found = (goal * (1 - cosine.square()).sqrt() - cosine * sine) / sine
    return found.where(cosine < goal, 0.0)


def _of_trace_one(gram: "Tensor") -> "Tensor":
    """Cosines do not depend on the scale; squares of what is tiny or huge are rounded."""
    trace = gram.diagonal(dim1=1, dim2=2).sum(dim=1).view(-1, 1, 1)
    return gram / trace.where(trace > 0, 1.0)


RULE = Rule(
    title="GradVac",
    about="Each task gradient is turned towards every other until they are as similar as they "
    "were in earlier steps, before they are summed.",
    source="Wang et al. 2021, Gradient Vaccine, Algorithm 1, with the whole encoder as one group",
    weights=weights,
    options=(
        Option(
            "beta",
            0.5,
            "How fast the similarity that is aimed at follows the measured one: 0 keeps it at 0, "
            "1 takes that of the step before.",
            least=0.0,
            most=1.0,
        ),
    ),
    needs_gramian=True,
    random=True,
    same_as_sum="GradVac is the sum as long as no two task gradients are less similar than before.",
)
