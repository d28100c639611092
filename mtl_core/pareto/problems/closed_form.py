"""Problems in closed form, whose fronts are known: distances to points that cannot all be reached.

Each objective is a growing function of the distance to a point of its own, so that the solutions
that no other beats are the convex hull of these points.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.pareto.problems.base import Budget, Instance, Objective, Problem
from mtl_core.pareto.problems.options import refuse_unknown
from mtl_core.settings.base import DataState

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["CONVEX", "DIMENSIONS", "THREE", "TOY"]

DIMENSIONS = 20
START = 1.0
"""Half the side of the cube around 0 that starts are drawn from."""

_ALL_EQUAL = np.full(DIMENSIONS, DIMENSIONS**-0.5)
_TWO = np.stack([_ALL_EQUAL, -_ALL_EQUAL])
_THREE = np.eye(3, DIMENSIONS)


def _load(
    name: str,
    points: NDArray[np.float64],
    grows: "Callable[[Tensor], Tensor]",
    device: "torch.device",
    samples: int | None,
    held_out: int | None,
    options: Mapping[str, Any],
) -> Instance:
    import torch

    refuse_unknown(name, options, ())
    centres = torch.as_tensor(points, dtype=torch.float64, device=device)

    def start(generator: "torch.Generator") -> "dict[str, Tensor]":
        drawn = torch.rand(DIMENSIONS, generator=generator, dtype=torch.float64)
        return {"x": (START * (2 * drawn - 1)).to(device)}

    def losses(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        return grows((parameters["x"] - centres).square().sum(dim=-1))

    return Instance(start=start, losses=losses, shared_start=False)


def _bell(squared: "Tensor") -> "Tensor":
    """1 - exp(-d²): flat far away."""
    return -(-squared).expm1()


def _bowl(squared: "Tensor") -> "Tensor":
    """d²/4: 1 where the other objective is 0."""
    return squared / 4


def _segment(grows: Callable[[NDArray[Any]], NDArray[Any]], count: int) -> NDArray[Any]:
    """Fronts of x = s · 1/√n, s from 1 to -1: the two points are at distance 2."""
    s = np.linspace(1, -1, count)
    return grows(np.stack([(s - 1) ** 2, (s + 1) ** 2], axis=-1))


def _triangle(count: int) -> NDArray[Any]:
    """``count`` or a few more points of an even lattice between the three points."""
    divisions = 1
    while (divisions + 1) * (divisions + 2) // 2 < count:
        divisions += 1
    weights = [
        (i, j, divisions - i - j) for i in range(divisions + 1) for j in range(divisions + 1 - i)
    ]
    x = np.array(weights) / divisions @ _THREE
    squared = ((x[:, None, :] - _THREE) ** 2).sum(axis=-1)
    losses: NDArray[np.float64] = -np.expm1(-squared)
    return losses


def _nothing_needed() -> DataState:
    return DataState("found", "comes with the app")


_PRESETS = {
    "quick": Budget(solutions=20, iterations=500, lr=0.1, frames=100),
    "standard": Budget(solutions=20, iterations=500, lr=0.1, frames=500),
    "paper": Budget(solutions=20, iterations=500, lr=0.1, frames=500),
}

TOY = Problem(
    name="toy",
    title="Toy problem, concave front",
    description=(
        "Twenty numbers; 1 - exp(-d²) of the distances to two opposite points. Its front is "
        "concave, so that a weighted sum finds its ends alone. Each solution has its own start."
    ),
    objectives=(Objective("f1", "f1"), Objective("f2", "f2")),
    reference=(1.0, 1.0),
    presets=_PRESETS,
    load=partial(_load, "toy", _TWO, _bell),
    data_state=_nothing_needed,
    front=partial(_segment, lambda squared: -np.expm1(-squared)),
)

CONVEX = Problem(
    name="convex",
    title="Convex front",
    description=(
        "Twenty numbers; a quarter of the squared distances to two opposite points. Its front, "
        "√f1 + √f2 = 1, is convex. Each solution has its own start."
    ),
    objectives=(Objective("f1", "f1"), Objective("f2", "f2")),
    reference=(1.0, 1.0),
    presets=_PRESETS,
    load=partial(_load, "convex", _TWO, _bowl),
    data_state=_nothing_needed,
    front=partial(_segment, lambda squared: squared / 4),
)

THREE = Problem(
    name="three",
    title="Three objectives",
    description=(
        "Twenty numbers; 1 - exp(-d²) of the distances to three points. Its front is that of the "
        "triangle between them. Each solution has its own start."
    ),
    objectives=(Objective("f1", "f1"), Objective("f2", "f2"), Objective("f3", "f3")),
    reference=(1.0, 1.0, 1.0),
    presets={
        name: Budget(solutions=21, iterations=500, lr=0.1, frames=budget.frames)
        for name, budget in _PRESETS.items()
    },
    load=partial(_load, "three", _THREE, _bell),
    data_state=_nothing_needed,
    front=_triangle,
)
