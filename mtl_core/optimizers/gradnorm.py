"""GradNorm: gradient normalization."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.adam import adam

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]

_ROUNDING = 2.0**-52


def weights(step: Step) -> "Tensor":
    """Weights that pull the weighted gradient lengths towards those that equalise training rates.

    This step's weights are returned before they learn from it, as in the paper: those of the first
    step are 1. Then Adam moves them down Σ |w_k‖∇L_k‖ − target_k|, where the targets count as
    constants; what falls below 0 is set to 0 (at 0 a weight is below its target and rises again),
    and all are scaled to sum to K.

    A task without gradient, or whose first loss was 0, has no training rate: the first takes no
    part in either mean and its weight is only scaled, the second counts as if its loss had not
    changed. Without this, one zero gradient would pull all other weights to 0.
    """
    state, losses = step.state, step.losses
    if "weights" not in state:
        state["weights"] = losses.new_ones(losses.shape)
        state["first_losses"] = losses.clone()
    current = state["weights"]
    lengths = step.gram.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
    lively = (lengths > 0).to(losses.dtype)
    rates = _finite(losses / state["first_losses"])
    rates = _finite(rates / _mean(rates, lively)).clamp_min(0)
    found = current * lengths
    target = _mean(found, lively) * rates ** step.options["alpha"]
    off = found - target
    # A length that is its target stays, rather than follow the sign of rounding.
    off = off.where(off.abs() > 4 * _ROUNDING * losses.shape[1] * target, 0.0)
    adam(state, "weights", off.sign() * lengths, lr=step.options["lr"])
    moved = state["weights"].clamp_min(0)
    total = moved.sum(dim=1, keepdim=True)
    state["weights"] = (moved * losses.shape[1] / total).where(total > 0, 1.0)
    return current


def _finite(ratio: "Tensor") -> "Tensor":
    """Quotients, 1 where the divisor was 0."""
    return ratio.where(ratio.isfinite(), 1.0)


def _mean(values: "Tensor", counted: "Tensor") -> "Tensor":
    """(N, K), (N, K) of zeros and ones -> (N, 1)"""
    return (values * counted).sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True).clamp_min(
        1
    )


RULE = Rule(
    title="GradNorm",
    about="Weights are learned so that all tasks pull on the last shared layer about equally, and "
    "more where training lags behind.",
    source="Chen et al. 2018, GradNorm, Eq. 1, 2 and Algorithm 1",
    weights=weights,
    options=(
        Option(
            "alpha",
            1.5,
            "How much stronger a task pulls that trains slowly; 0 makes all pull equally.",
            least=0.0,
            most=100.0,
        ),
        Option("lr", 0.025, "Learning rate of the weights.", least=0.0, most=1.0),
    ),
    needs_gramian=True,
    last_layer=True,
    same_as_sum="GradNorm starts as the sum and leaves it as its weights are learned.",
)
