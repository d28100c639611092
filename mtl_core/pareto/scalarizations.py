"""Scalarizations: from losses and a preference to one value, and to weights of gradients.

Losses are those of ``units``: measured from the ideal point, in units that make the objectives
count alike. All take leading dimensions, and one solution's numbers do not depend on the others'.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

    from mtl_core.pareto.problems.base import Problem

__all__ = ["SMOOTHING", "Scalarization", "get", "names", "units"]

SMOOTHING = 0.05
"""μ of smooth Tchebycheff where none is chosen: losses that differ by less count together."""


@dataclass(frozen=True)
class Scalarization:
    """How a preference weighs losses.

    Args:
        about: one sentence for the page.
        value: losses (..., K), preferences (..., K) and μ to the scalar that is minimised, (...).
        weights: the same to its derivatives by the losses, (..., K): the weights of the task
            gradients. Non-negative, at most the preference's.
        smoothed: whether μ matters.
    """

    title: str
    about: str
    source: str
    value: "Callable[[Tensor, Tensor, float], Tensor]"
    weights: "Callable[[Tensor, Tensor, float], Tensor]"
    smoothed: bool = False


def get(name: str) -> Scalarization:
    """The scalarization called ``name``; raises InputError with the ones there are."""
    try:
        return _SCALARIZATIONS[name]
    except (KeyError, TypeError):
        raise unknown("scalarization", name, _SCALARIZATIONS) from None


def names() -> list[str]:
    """All scalarizations."""
    return list(_SCALARIZATIONS)


def units(problem: "Problem") -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(K,) the ideal point, and the length of a unit of each loss.

    A unit is the reference's distance from the ideal, divided by the geometric mean of all: losses
    of unlike scales count alike, and losses of one scale, and so the learning rate, stay as they
    are.
    """
    reference = np.array(problem.reference, dtype=np.float64)
    ideal = np.zeros_like(reference) if problem.ideal is None else np.array(problem.ideal, float)
    length = reference - ideal
    return ideal, length / np.exp(np.log(length).mean())


def _sum(losses: "Tensor", preference: "Tensor", _: float) -> "Tensor":
    return (preference * losses).sum(dim=-1)


def _sum_weights(losses: "Tensor", preference: "Tensor", _: float) -> "Tensor":
    return preference.expand_as(losses)


def _worst(losses: "Tensor", preference: "Tensor", _: float) -> "Tensor":
    return (preference * losses).amax(dim=-1)


def _worst_weights(losses: "Tensor", preference: "Tensor", _: float) -> "Tensor":
    """The worst objective's alone; the first's among equals."""
    worst = (preference * losses).argmax(dim=-1, keepdim=True)
    chosen = preference.new_zeros(losses.shape).scatter_(-1, worst, 1.0)
    return chosen * preference


def _smooth(losses: "Tensor", preference: "Tensor", smoothing: float) -> "Tensor":
    return smoothing * (preference * losses / smoothing).logsumexp(dim=-1)


def _smooth_weights(losses: "Tensor", preference: "Tensor", smoothing: float) -> "Tensor":
    return preference * (preference * losses / smoothing).softmax(dim=-1)


_SCALARIZATIONS: Mapping[str, Scalarization] = {
    "weighted_sum": Scalarization(
        "Weighted sum",
        "The sum of the losses, each times its weight; it finds the ends of a concave front only.",
        "Miettinen 1999, Nonlinear Multiobjective Optimization, §3.1",
        _sum,
        _sum_weights,
    ),
    "tchebycheff": Scalarization(
        "Tchebycheff",
        "The worst of the losses, each times its weight; it reaches every point of any front.",
        "Bowman 1976; Miettinen 1999, §3.4",
        _worst,
        _worst_weights,
    ),
    "smooth_tchebycheff": Scalarization(
        "Smooth Tchebycheff",
        "Tchebycheff with its edge rounded off: what is nearly the worst counts too.",
        "Lin et al. 2024 (arXiv 2402.19078), Eq. 10",
        _smooth,
        _smooth_weights,
        smoothed=True,
    ),
}
