"""UMTG: the uniform multi-task gradient."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """Ones: the sum of task gradients."""
    return step.losses.new_ones(step.losses.shape)


RULE = Rule(
    title="UMTG (sum)",
    about="The sum of task gradients: the paper's baseline.",
    source="M24, Eq. 1 and 2: w_k = 1, C = 1",
    weights=weights,
    constant=True,
)
