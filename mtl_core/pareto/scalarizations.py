"""Scalarizations: one number to minimise for each preference, so one solution for each.

Their gradient is a weighting of the task gradients, Σ_k weights[k] · grad_k, as that of a
multi-task optimizer is. Everything takes leading batch dimensions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_core.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SMOOTHING", "Scalarization", "get", "names"]

FLOOR = 1e-6
"""A weight of 0 would let its objective go anywhere (Miettinen 1999, §3.4)."""
SMOOTHING = 0.01
"""μ of the smooth Tchebycheff scalarization, in units of λ · loss."""


@dataclass(frozen=True)
class Scalarization:
    """How losses and a preference become one number.

    Args:
        value: losses (..., K), preferences (..., K) and ideal (K,) to (...).
        weights: the same to (..., K): the derivative of the value by the losses, constant for
            differentiation.
    """

    name: str
    title: str
    value: "Callable[[Tensor, Tensor, Tensor], Tensor]"
    weights: "Callable[[Tensor, Tensor, Tensor], Tensor]"


def names() -> list[str]:
    """All scalarizations, the one that reaches every front first."""
    return list(_SCALARIZATIONS)


def get(name: str) -> Scalarization:
    """The scalarization called ``name``.

    Raises:
        InputError: for an unknown name.
    """
    try:
        return _SCALARIZATIONS[name]
    except (KeyError, TypeError):
        raise unknown("scalarization", name, _SCALARIZATIONS) from None


def _weighted_sum(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    """Σ_k λ_k f_k: on a concave front its minima are the extremes alone."""
    return (preferences * losses).sum(dim=-1)


def _weighted_sum_weights(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    return preferences.expand_as(losses)


def _tchebycheff(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    """max_k λ_k (f_k - z_k): every Pareto-optimal point is a minimum for some λ."""
    return _scaled(losses, preferences, ideal).amax(dim=-1)


def _tchebycheff_weights(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    """All on the largest; where several are, on the first, which is a subgradient."""
    import torch

    largest = _scaled(losses.detach(), preferences, ideal).argmax(dim=-1, keepdim=True)
    chosen = torch.zeros_like(losses).scatter(-1, largest, 1.0)
    return chosen * preferences.clamp_min(FLOOR)


def _smooth(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    """μ log Σ_k exp(λ_k (f_k - z_k) / μ) (Lin et al. 2024)."""
    return SMOOTHING * (_scaled(losses, preferences, ideal) / SMOOTHING).logsumexp(dim=-1)


def _smooth_weights(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    scaled = _scaled(losses.detach(), preferences, ideal)
    return (scaled / SMOOTHING).softmax(dim=-1) * preferences.clamp_min(FLOOR)


def _scaled(losses: "Tensor", preferences: "Tensor", ideal: "Tensor") -> "Tensor":
    return preferences.clamp_min(FLOOR) * (losses - ideal)


_SCALARIZATIONS: Mapping[str, Scalarization] = {
    found.name: found
    for found in (
        Scalarization("tchebycheff", "Tchebycheff", _tchebycheff, _tchebycheff_weights),
        Scalarization("smooth_tchebycheff", "smooth Tchebycheff", _smooth, _smooth_weights),
        Scalarization("weighted_sum", "weighted sum", _weighted_sum, _weighted_sum_weights),
    )
}
