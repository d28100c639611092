"""How a config weighs task gradients: by a scalarization, or by a baseline's combination."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from mtl_core import optimizers
from mtl_core.pareto import scalarizations
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.gradients import Rows

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FEASIBLE_SHARE", "Mgda", "ParetoMtl", "Scalarized", "create"]

EVEN = 16
"""Rows of a quadratic program are filled up to a multiple of this: then its matrix starts, for
every solution, at a multiple of 64 bytes. Elsewhere a product may be summed up in another order."""

FEASIBLE_SHARE = 0.2
"""The share of the iterations, at the start, in which Pareto MTL may only look for its region."""


def create(config: ParetoConfig, like: "Tensor") -> "Scalarized | Mgda | ParetoMtl":
    """What ``config`` asks for, in the type and on the device of ``like``."""
    if config.method == "mgda":
        return Mgda(config, like)
    if config.method == "pareto_mtl":
        return ParetoMtl(config, like)
    return Scalarized(config, like)


class Scalarized:
    """The derivatives of a scalarization by the losses: one backward pass a solution."""

    gramian = False
    step = 0

    def __init__(self, config: ParetoConfig, like: "Tensor") -> None:
        self._ideal, self._unit = _units(config, like)
        self._preferences = _tensor(config.weights, like)
        self._scalarization = scalarizations.get(config.scalarization)
        self._smoothing = config.smoothing

    def __call__(self, losses: "Tensor", gramian: "Tensor | None", rows: Rows) -> "Tensor":
        scaled = (losses - self._ideal) / self._unit
        preference = _of(self._preferences, rows)
        return self._scalarization.weights(scaled, preference, self._smoothing) / self._unit


class Mgda:
    """The shortest convex combination of task gradients, the same for every preference.

    Désidéri 2012; Sener & Koltun 2018 (arXiv 1810.04650). Where a solution ends is decided by where
    it starts, so each has a start of its own.
    """

    gramian = True
    step = 0

    def __init__(self, config: ParetoConfig, like: "Tensor") -> None:
        _, self._unit = _units(config, like)
        self._method = optimizers.create("mgda", num_tasks=len(self._unit))

    def __call__(self, losses: "Tensor", gramian: "Tensor | None", rows: Rows) -> "Tensor":
        assert gramian is not None
        scaled = gramian / self._unit.unsqueeze(-1) / self._unit
        return self._method.weights(scaled, losses / self._unit) / self._unit


class ParetoMtl:
    """MGDA inside a region of the losses for each preference.

    Lin, Zhen, Li, Zhang & Kwong 2019, Pareto Multi-Task Learning (arXiv 1912.12854), Algorithm 1,
    Eq. 8–14, with ε = 0 as in the released code. Unit vectors u divide the losses into regions,
    u_i's being what is at a smaller angle to it than to the others: G_j = (u_j − u_i)ᵀ F ≤ 0. A
    step goes along the shortest convex combination of the task gradients and the gradients of the
    constraints that are not met. In the first fifth of the iterations a solution outside its
    region follows these constraints alone; the released code waits inside it for the others.

    A preference weighs losses, so it stands for the direction u ∝ 1 / λ: the ray on which the
    weighted losses are equal, where Tchebycheff's optimum lies too.
    """

    gramian = True
    step = 0

    def __init__(self, config: ParetoConfig, like: "Tensor") -> None:
        self._ideal, self._unit = _units(config, like)
        rays = 1 / _tensor(config.weights, like)
        rays = rays / rays.norm(dim=1, keepdim=True)
        objectives = len(self._unit)
        # Constraints of 0 are never broken.
        filled = rays.new_zeros(len(rays), -(objectives + len(rays)) % EVEN, objectives)
        self._constraints = torch.cat([rays[None] - rays[:, None], filled], dim=1)
        self._own = torch.eye(objectives, dtype=like.dtype, device=like.device)
        programmed = objectives + self._constraints.shape[1]
        self._method = optimizers.create("mgda", num_tasks=programmed)
        self._until = round(FEASIBLE_SHARE * config.iterations)

    def __call__(self, losses: "Tensor", gramian: "Tensor | None", rows: Rows) -> "Tensor":
        assert gramian is not None
        scaled = (losses - self._ideal) / self._unit
        constraints = _of(self._constraints, rows).expand(*losses.shape[:-1], -1, -1)
        broken = (constraints @ scaled.unsqueeze(-1)).squeeze(-1) > 0
        seeking = broken.any(dim=-1) & (self.step < self._until)
        own = self._own * (~seeking)[..., None, None]
        # Rows of 0 are left out by the solver.
        rows_of = torch.cat([own, constraints * broken.unsqueeze(-1)], dim=-2)
        gram = gramian / self._unit.unsqueeze(-1) / self._unit
        shares = self._method.weights(
            rows_of @ gram @ rows_of.mT, scaled.new_ones(*losses.shape[:-1], rows_of.shape[-2])
        )
        return (shares.unsqueeze(-2) @ rows_of).squeeze(-2) / self._unit


def _of(values: "Tensor", rows: Rows) -> "Tensor":
    """Those of the solutions; every seed has the same."""
    return values if isinstance(rows, slice) else values[rows[1]]


def _units(config: ParetoConfig, like: "Tensor") -> "tuple[Tensor, Tensor]":
    ideal, unit = scalarizations.units(config.definition)
    return _tensor(ideal, like), _tensor(unit, like)


def _tensor(
    values: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]", like: "Tensor"
) -> "Tensor":
    return torch.from_numpy(np.array(values)).to(like)
