"""RLW: random loss weighting."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """Softmax of standard normal numbers, drawn anew in each step."""
    return step.draws.normal(step.losses.shape[1]).softmax(dim=1)


RULE = Rule(
    title="RLW",
    about="Random positive weights that sum to 1, drawn anew in each step.",
    source="Lin et al. 2022, Reasonable Effectiveness of Random Weighting, Algorithm 2: normal "
    "numbers",
    weights=weights,
    random=True,
)
