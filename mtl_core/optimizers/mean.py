"""Mean of the task gradients."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """1/K each."""
    return step.losses.new_full(step.losses.shape, 1 / step.losses.shape[-1])


RULE = Rule(
    title="Mean",
    about="The mean of task gradients: the sum with a learning rate divided by their number.",
    source="M24, Eq. 1 and footnote 2: w_k = 1, C = K",
    weights=weights,
    constant=True,
)
