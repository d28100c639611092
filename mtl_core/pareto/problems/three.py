"""three: three peaks, whose front is a bent triangle."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.base import DataState
from mtl_core.pareto.problems.base import Budget, Instance, Objective, Problem
from mtl_core.pareto.problems.options import refuse_unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["PROBLEM"]

DIMENSIONS = 20

SIDE = 1.2
"""Between two peaks; the front is concave in part."""


def _peaks() -> NDArray[np.float64]:
    """(3, n): corners of an equilateral triangle around 0."""
    corners = np.eye(3, DIMENSIONS)
    peaks: NDArray[np.float64] = (corners - corners.mean(axis=0)) * SIDE / 2**0.5
    return peaks


def _load(
    device: "torch.device", samples: int | None, held_out: int | None, options: Mapping[str, Any]
) -> Instance:
    import torch

    refuse_unknown("three", options, ())
    peaks = torch.from_numpy(_peaks()).to(device)

    def start(generator: "torch.Generator") -> "dict[str, Tensor]":
        drawn = torch.rand(DIMENSIONS, generator=generator, dtype=torch.float64)
        return {"x": (drawn - 0.5).to(device)}

    def losses(parameters: "Mapping[str, Tensor]", _: "tuple[Tensor, ...]") -> "Tensor":
        return -torch.expm1(-(parameters["x"] - peaks).square().sum(-1))

    return Instance(start=start, losses=losses, shared_start=False)


def _front(points: int) -> NDArray[np.float64]:
    """Losses at evenly spread convex combinations of the peaks: each loss grows with the distance
    to its peak alone, so a point outside their triangle is worse in every loss than the nearest
    inside."""
    from mtl_core.pareto.preferences import simplex

    inside = simplex(points, 3) @ _peaks()
    squares = np.square(inside[:, None] - _peaks()[None]).sum(axis=2)
    losses: NDArray[np.float64] = -np.expm1(-squares)
    return losses


PROBLEM = Problem(
    name="three",
    title="Three peaks",
    description="1 − exp(−‖x − c‖²) for three points c that are 1.2 apart, in 20 dimensions. The "
    "best trade-offs are the triangle between them.",
    objectives=(
        Objective("f1", "First peak"),
        Objective("f2", "Second peak"),
        Objective("f3", "Third peak"),
    ),
    reference=(1.0, 1.0, 1.0),
    ideal=(0.0, 0.0, 0.0),
    presets={
        "quick": Budget(solutions=15, iterations=250, lr=0.1, frames=50),
        "standard": Budget(solutions=28, iterations=500, lr=0.1, frames=50),
        "paper": Budget(solutions=66, iterations=1_000, lr=0.05, frames=100),
    },
    load=_load,
    data_state=lambda: DataState("found", "a formula, comes with the app"),
    front=_front,
)
