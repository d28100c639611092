"""FAMO: fast adaptive multitask optimization."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.adam import adam

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]

_SMALL = 1e-8
"""Added to losses, of which logarithms are taken; the value of the authors' program."""


def weights(step: Step) -> "Tensor":
    """c z_k / L_k with z = softmax of the learned logits, which start at 0, and Σ weights = 1.

    They are the gradient of c Σ z_k log L_k, where c counts as constant. A loss of exactly 0 has
    nowhere to fall and no gradient; its weight is 0, since it would otherwise take all. If all are
    0, the weights are z.
    """
    state, losses = step.state, step.losses
    if "logits" not in state:
        state["logits"] = losses.new_zeros(losses.shape)
    state["losses"] = losses.clone()
    shares = state["logits"].softmax(dim=1)
    found = (shares / (losses + _SMALL)).where(losses != 0, 0.0)
    total = found.sum(dim=1, keepdim=True)
    return (found / total).where(total != 0, shares)


def observe(step: Step) -> None:
    """Adam moves the logits down Σ z_k (log L_k before the step − log L_k after it).

    A task whose loss fell less than that of the others counts more from now on.
    """
    state = step.state
    if "losses" not in state:
        return
    fell = (state["losses"] + _SMALL).log() - (step.losses + _SMALL).log()
    shares = state["logits"].softmax(dim=1)
    gradient = shares * (fell - (shares * fell).sum(dim=1, keepdim=True))
    adam(
        state,
        "logits",
        gradient,
        lr=step.options["lr"],
        weight_decay=step.options["weight_decay"],
    )


RULE = Rule(
    title="FAMO",
    about="Weights are learned so that all losses fall at the same rate, measured on each batch "
    "before and after its step.",
    source="Liu et al. 2023, FAMO: Fast Adaptive Multitask Optimization, Algorithms 1 and 2",
    weights=weights,
    options=(
        Option("lr", 0.025, "Learning rate of the weights.", least=0.0, most=1.0),
        Option(
            "weight_decay",
            1e-3,
            "How strongly the weights are drawn back to equal ones.",
            least=0.0,
            most=1.0,
        ),
    ),
    observe=observe,
)
