"""toy: two peaks in 20 dimensions, with a concave front that is known."""

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

__all__ = ["PROBLEM", "START"]

DIMENSIONS = 20

START = 0.5
"""Each solution starts from a point of its own, uniform in [-START, START]^n, as in the released
code of Pareto MTL: there are no networks here that averages would destroy. Farther away both peaks
are flat, and a solution alone hardly moves."""


def _load(
    device: "torch.device", samples: int | None, held_out: int | None, options: Mapping[str, Any]
) -> Instance:
    import torch

    refuse_unknown("toy", options, ())
    peak = 1 / DIMENSIONS**0.5

    def start(generator: "torch.Generator") -> "dict[str, Tensor]":
        drawn = torch.rand(DIMENSIONS, generator=generator, dtype=torch.float64)
        return {"x": (START * (2 * drawn - 1)).to(device)}

    def losses(parameters: "Mapping[str, Tensor]", _: "tuple[Tensor, ...]") -> "Tensor":
        x = parameters["x"]
        squares = torch.stack([(x - peak).square().sum(-1), (x + peak).square().sum(-1)], dim=-1)
        return -torch.expm1(-squares)

    return Instance(start=start, losses=losses, shared_start=False)


def _front(points: int) -> NDArray[np.float64]:
    """x = s · 1/√n for s in [-1, 1], from the best of f2 to the best of f1."""
    s = np.linspace(-1, 1, points)
    return -np.expm1(-np.stack([(s - 1) ** 2, (s + 1) ** 2], axis=1))


PROBLEM = Problem(
    name="toy",
    title="Toy: two peaks",
    description="f1 = 1 − exp(−‖x − 1/√n‖²) and f2 = 1 − exp(−‖x + 1/√n‖²) in n = 20 dimensions. "
    "The best trade-offs lie on the line between the peaks; their front is concave, where a "
    "weighted sum finds only the ends.",
    objectives=(Objective("f1", "First peak"), Objective("f2", "Second peak")),
    reference=(1.0, 1.0),
    ideal=(0.0, 0.0),
    presets={
        "quick": Budget(solutions=10, iterations=250, lr=0.1, frames=50),
        "standard": Budget(solutions=20, iterations=500, lr=0.05, frames=50),
        "paper": Budget(solutions=30, iterations=1_000, lr=0.05, frames=100),
    },
    load=_load,
    data_state=lambda: DataState("found", "a formula, comes with the app"),
    front=_front,
)
