"""Uncertainty weighting."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.adam import adam

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]

_FURTHEST = 50.0
"""Bound of the learned logarithms, so that a loss of 0 leaves weights finite."""


def weights(step: Step) -> "Tensor":
    """c e^{−s_k}, where Adam moves s, which starts at 0, down Σ c e^{−s_k} L_k + s_k / 2.

    s_k = log σ_k² is the task's noise; c is 1 for classification and ½ for regression. This step's
    weights are returned before s learns from it. s stays within ±50.
    """
    state = step.state
    if "logs" not in state:
        state["logs"] = step.losses.new_zeros(step.losses.shape)
    factor = 1.0 if step.options["likelihood"] == "classification" else 0.5
    current = factor * (-state["logs"]).exp()
    adam(state, "logs", 0.5 - current * step.losses, lr=step.options["lr"])
    state["logs"] = state["logs"].clamp(-_FURTHEST, _FURTHEST)
    return current


RULE = Rule(
    title="Uncertainty weighting",
    about="Tasks count less the noisier they are, where each task's noise is learned from its "
    "loss.",
    source="Kendall, Gal & Cipolla 2018, Multi-Task Learning Using Uncertainty, Eq. 7 and 10",
    weights=weights,
    options=(
        Option(
            "likelihood",
            "classification",
            "What the losses are: cross-entropies, or squared errors, which count half.",
            choices=("classification", "regression"),
        ),
        Option("lr", 1e-3, "Learning rate of the logarithms of the noise.", least=0.0, most=1.0),
    ),
    same_as_sum="Uncertainty weighting starts as the sum and leaves it as its weights are learned.",
)
