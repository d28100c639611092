"""convex: two bowls in 20 dimensions, where a weighted sum reaches the whole front."""

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


def _load(
    device: "torch.device", samples: int | None, held_out: int | None, options: Mapping[str, Any]
) -> Instance:
    import torch

    refuse_unknown("convex", options, ())
    bottom = 0.5 / DIMENSIONS**0.5

    def start(generator: "torch.Generator") -> "dict[str, Tensor]":
        drawn = torch.rand(DIMENSIONS, generator=generator, dtype=torch.float64)
        return {"x": (drawn - 0.5).to(device)}

    def losses(parameters: "Mapping[str, Tensor]", _: "tuple[Tensor, ...]") -> "Tensor":
        x = parameters["x"]
        return torch.stack([(x - bottom).square().sum(-1), (x + bottom).square().sum(-1)], dim=-1)

    return Instance(start=start, losses=losses, shared_start=False)


def _front(points: int) -> NDArray[np.float64]:
    """√f1 + √f2 = 1."""
    t = np.linspace(0, 1, points)
    return np.stack([(1 - t) ** 2, t**2], axis=1)


PROBLEM = Problem(
    name="convex",
    title="Convex: two bowls",
    description="The squared distances to two points that are 1 apart, in 20 dimensions. The best "
    "trade-offs lie on the line between them; their front is convex, so a weighted sum reaches all "
    "of it, and Tchebycheff another spread of it.",
    objectives=(Objective("f1", "First bowl"), Objective("f2", "Second bowl")),
    reference=(1.0, 1.0),
    ideal=(0.0, 0.0),
    presets={
        "quick": Budget(solutions=10, iterations=200, lr=0.1, frames=50),
        "standard": Budget(solutions=20, iterations=500, lr=0.05, frames=50),
        "paper": Budget(solutions=30, iterations=1_000, lr=0.05, frames=100),
    },
    load=_load,
    data_state=lambda: DataState("found", "a formula, comes with the app"),
    front=_front,
)
