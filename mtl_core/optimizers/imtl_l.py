"""IMTL-L: the loss part of impartial multi-task learning."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.adam import adam

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]

_FURTHEST = 50.0
"""Bound of the learned logarithms, so that a loss of 0 leaves weights finite."""


def weights(step: Step) -> "Tensor":
    """e^{s_k}, where Adam moves s, which starts at 0, down Σ e^{s_k} L_k − s_k.

    This step's weights are returned before s learns from it. s settles at −log L_k, which gives
    scaled losses of 1; it stays within ±50.
    """
    state = step.state
    if "logs" not in state:
        state["logs"] = step.losses.new_zeros(step.losses.shape)
    current = state["logs"].exp()
    adam(state, "logs", current * step.losses - 1, lr=step.options["lr"])
    state["logs"] = state["logs"].clamp(-_FURTHEST, _FURTHEST)
    return current


RULE = Rule(
    title="IMTL-L",
    about="Weights are learned so that all weighted losses become about 1.",
    source="Liu et al. 2021, Towards Impartial Multi-task Learning, loss balance: e^s L − s",
    weights=weights,
    options=(Option("lr", 1e-3, "Learning rate of the weights' logarithms.", least=0.0, most=1.0),),
    same_as_sum="IMTL-L starts as the sum and leaves it as its weights are learned.",
)
