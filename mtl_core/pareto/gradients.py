"""Losses and directions of all solutions on a batch: stacked, or each on its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.func import vmap

from mtl_core.pareto.problems.base import Instance
from mtl_core.pareto.vectors import Vectors

__all__ = ["Batch", "Directions", "Each", "OfExamples", "Rows", "Stacked", "Weigh"]

Batch = tuple[Tensor, ...]
OfExamples = Callable[[Mapping[str, Tensor], Batch], Tensor]
Rows = slice | tuple[int, int]
"""Which solutions: all of all seeds, or (seed, solution)."""


class Weigh(Protocol):
    """The weights of task gradients."""

    gramian: bool
    """Whether it reads the Gramian: a backward pass for each objective instead of one."""

    def __call__(self, losses: Tensor, gramian: Tensor | None, rows: Rows) -> Tensor:
        """losses (..., K) and gramian (..., K, K) of some solutions -> (..., K)."""
        ...


class Directions(Protocol):
    """What a strategy computes; both give the same up to rounding."""

    def __call__(self, solutions: Tensor, batches: Sequence[Batch], weigh: Weigh) -> Tensor:
        """Σ_k w_k ∇L_k of solutions (S, N, P) on a batch for each seed -> (S, N, P)."""
        ...

    def measure(
        self,
        function: OfExamples,
        solutions: Tensor,
        on: Batch,
    ) -> Tensor:
        """A function of parameters and a batch, at all solutions -> (S, N, K); no gradients."""
        ...


class Stacked:
    """All solutions of all seeds in one computation, by ``vmap`` over their parameters.

    For problems without data, and for CUDA, where small networks are bound by launches. One
    backward pass of the sum over solutions gives each its own gradient. Elementwise formulas and
    sums along one solution are the same to the last bit however many are stacked; stacked matrix
    products and convolutions need not be.
    """

    def __init__(self, instance: Instance, vectors: Vectors) -> None:
        self._losses = instance.losses
        self._vectors = vectors

    def __call__(self, solutions: Tensor, batches: Sequence[Batch], weigh: Weigh) -> Tensor:
        leaf = solutions.detach().requires_grad_()
        losses = self._apply(self._losses, leaf, batches)
        if not weigh.gramian:
            weights = weigh(losses.detach(), None, slice(None))
            return torch.autograd.grad(losses, leaf, weights)[0]
        each = [
            torch.autograd.grad(losses[..., k].sum(), leaf, retain_graph=True)[0]
            for k in range(losses.shape[-1])
        ]
        jacobian = torch.stack(each, dim=-2)
        weights = weigh(losses.detach(), jacobian @ jacobian.mT, slice(None))
        return (weights.unsqueeze(-2) @ jacobian).squeeze(-2)

    @torch.no_grad()
    def measure(
        self,
        function: OfExamples,
        solutions: Tensor,
        on: Batch,
    ) -> Tensor:
        """All at once."""
        flat = self._vectors.views(solutions.flatten(0, 1))
        found: Tensor = vmap(lambda p: function(p, on))(flat)
        return found.view(*solutions.shape[:2], -1)

    def _apply(
        self,
        function: OfExamples,
        solutions: Tensor,
        batches: Sequence[Batch],
    ) -> Tensor:
        if not batches[0]:
            flat = self._vectors.views(solutions.flatten(0, 1))
            found: Tensor = vmap(lambda p: function(p, ()))(flat)
            return found.view(*solutions.shape[:2], -1)
        # A seed has a batch of its own, which its solutions share.
        return torch.stack(
            [
                vmap(lambda p, b=batches[s]: function(p, b))(self._vectors.views(solutions[s]))
                for s in range(len(solutions))
            ]
        )


class Each:
    """One solution after the other, as a user would, with its parameters channels last.

    For problems with data on a CPU: there, stacked convolutions are slower (grouped ones, on what
    no cache holds), and every solution gets the same numbers to the last bit however many others
    there are.
    """

    def __init__(self, instance: Instance, vectors: Vectors) -> None:
        self._losses = instance.losses
        self._vectors = vectors

    def __call__(self, solutions: Tensor, batches: Sequence[Batch], weigh: Weigh) -> Tensor:
        found = torch.empty_like(solutions)
        for seed, batch in enumerate(batches):
            for index in range(solutions.shape[1]):
                row = solutions[seed, index]
                self.direction(row, batch, weigh, (seed, index), found[seed, index])
        return found

    def direction(self, row: Tensor, batch: Batch, weigh: Weigh, rows: Rows, found: Tensor) -> None:
        """That of one solution (P,), into ``found`` (P,)."""
        leaves = self._vectors.leaves(row)
        inputs = list(leaves.values())
        losses = self._losses(leaves, batch)
        if not weigh.gramian:
            weights = weigh(losses.detach(), None, rows)
            self._fill(found, torch.autograd.grad(losses, inputs, weights))
            return
        jacobian = found.new_empty(len(losses), len(found))
        for k, each in enumerate(jacobian):
            more = k + 1 < len(losses)
            gradient = torch.autograd.grad(
                losses[k], inputs, retain_graph=more, materialize_grads=True
            )
            self._fill(each, gradient)
        torch.matmul(weigh(losses.detach(), jacobian @ jacobian.mT, rows), jacobian, out=found)

    @torch.no_grad()
    def measure(
        self,
        function: OfExamples,
        solutions: Tensor,
        on: Batch,
    ) -> Tensor:
        """Each on its own."""
        return torch.stack(
            [
                torch.stack([function(self._vectors.leaves(row), on) for row in of_seed])
                for of_seed in solutions
            ]
        )

    def _fill(self, row: Tensor, gradients: Sequence[Tensor]) -> None:
        for view, gradient in zip(self._vectors.views(row).values(), gradients, strict=True):
            view.copy_(gradient)
