"""GradDrop: gradient sign dropout."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def update(step: Step, jacobian: "Tensor") -> "Tensor":
    """(N, K, P) -> (N, P): in each coordinate the sum of the positive parts, or of the negative.

    Positive ones are kept with probability ½ (1 + Σ g / Σ |g|), by one draw for all tasks. Of what
    is not kept, ``leak`` is added all the same.
    """
    import torch

    # Sums in float64 cost little beside the Jacobian, and no sign is drawn by rounding.
    positive = jacobian.clamp_min(0).sum(dim=1, dtype=torch.float64)
    negative = jacobian.clamp_max(0).sum(dim=1, dtype=torch.float64)
    # Equal to the docstring's; 0/0 where all are zero, and then neither comparison holds.
    purity = positive / (positive - negative)
    draw = step.draws.uniform(jacobian.shape[2])
    leak = step.options["leak"]
    up = positive.where(purity > draw, leak * positive)
    return (up + negative.where(purity < draw, leak * negative)).to(jacobian.dtype)


RULE = Rule(
    title="GradDrop",
    about="In each coordinate only the task gradients of one sign count, drawn at random by how "
    "much of them has that sign.",
    source="Chen et al. 2020, Just Pick a Sign, Algorithm 1, on the gradients of the parameters",
    update=update,
    options=(
        Option(
            "leak",
            0.0,
            "Which share of the dropped gradients is added all the same; 1 is the sum.",
            least=0.0,
            most=1.0,
        ),
    ),
    random=True,
)
