"""Losses and directions of all solutions on a batch: stacked, or each on its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.func import vmap

from mtl_core.pareto.problems.base import Instance
from mtl_core.pareto.vectors import Vectors

__all__ = ["Batch", "Each", "OfExamples", "Rows", "Stacked", "Weigh"]

Batch = tuple[Tensor, ...]
OfExamples = Callable[[Mapping[str, Tensor], Batch], Tensor]
Rows = slice | tuple[int, int]
"""Which solutions: all of all seeds, or (seed, solution)."""


FEW = 5
"""At most so many solutions share work: their maps between two layers stay in the cache."""


class Weigh(Protocol):
    """The weights of task gradients."""

    gramian: bool
    """Whether it reads the Gramian: a backward pass for each objective instead of one."""
    step: int
    """The 0-based iteration."""

    def __call__(self, losses: Tensor, gramian: Tensor | None, rows: Rows) -> Tensor:
        """losses (..., K) and gramian (..., K, K) of some solutions -> (..., K)."""
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

    def directions(self, solutions: Tensor, batches: Sequence[Batch], weigh: Weigh) -> Tensor:
        """Σ_k w_k ∇L_k of all on a batch for each seed, (S, N, P) -> (S, N, P)."""
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
    def measure(self, function: OfExamples, solutions: Tensor, on: Sequence[Batch]) -> Tensor:
        """A function of parameters and a batch at all (S, N, P) -> (S, N, len(on), K)."""
        flat = self._vectors.views(solutions.flatten(0, 1))
        found = [vmap(lambda p, batch=batch: function(p, batch))(flat) for batch in on]
        return torch.stack(found, dim=1).unflatten(0, solutions.shape[:2])  # type: ignore[no-any-return, no-untyped-call]

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
    """Each solution on its own, with its parameters channels last.

    For problems with data on a CPU: there, stacked convolutions are slower (they become grouped, on
    maps that no cache holds), and a solution gets the same numbers to the last bit however many
    others there are. A few share what work the problem knows how to share (``Instance.together``).
    """

    def __init__(self, instance: Instance, vectors: Vectors) -> None:
        self._instance = instance
        self._vectors = vectors

    def directions(
        self,
        rows: Sequence[tuple[int, int]],
        vectors: Tensor,
        batches: Sequence[Batch],
        weigh: Weigh,
    ) -> Tensor:
        """Σ_k w_k ∇L_k of solutions (R, P) -> (R, P).

        Args:
            rows: (seed, solution) of each, seeds in order.
            batches: one for each seed.
        """
        found = torch.empty_like(vectors)
        most = FEW if self._instance.together is not None else 1
        first = 0
        while first < len(rows):
            seed = rows[first][0]
            until = first + 1
            while until < min(first + most, len(rows)) and rows[until][0] == seed:
                until += 1
            some = slice(first, until)
            self._fill(found[some], vectors[some], rows[some], batches[seed], weigh)
            first = until
        return found

    @torch.no_grad()
    def measure(self, function: OfExamples, row: Tensor, on: Sequence[Batch]) -> Tensor:
        """A function of parameters and a batch at one solution, (P,) -> (len(on), K)."""
        parameters = self._vectors.leaves(row)
        return torch.stack([function(parameters, batch) for batch in on])

    def _fill(
        self,
        found: Tensor,
        vectors: Tensor,
        rows: Sequence[tuple[int, int]],
        batch: Batch,
        weigh: Weigh,
    ) -> None:
        """The directions of a few solutions of one seed, (G, P), into ``found``."""
        if self._instance.together is None:
            leaves = self._vectors.leaves(vectors[0])
            losses = self._instance.losses(leaves, batch).unsqueeze(0)
        else:
            leaves = self._vectors.leaves(vectors)
            losses = self._instance.together(leaves, batch)
        inputs, values = list(leaves.values()), losses.detach()
        if not weigh.gramian:
            weights = [weigh(of, None, row) for of, row in zip(values, rows, strict=True)]
            gradients = torch.autograd.grad(
                losses, inputs, torch.stack(weights), materialize_grads=True
            )
            self._copy(found, gradients)
            return
        jacobians = found.new_empty(losses.shape[1], *found.shape)
        for k, each in enumerate(jacobians):
            gradients = torch.autograd.grad(
                losses[:, k].sum(), inputs, retain_graph=True, materialize_grads=True
            )
            self._copy(each, gradients)
        for index, row in enumerate(rows):
            jacobian = jacobians[:, index].contiguous()
            found[index] = weigh(values[index], jacobian @ jacobian.mT, row) @ jacobian

    def _copy(self, vectors: Tensor, gradients: Sequence[Tensor]) -> None:
        if self._instance.together is None:
            vectors = vectors[0]
        for view, gradient in zip(self._vectors.views(vectors).values(), gradients, strict=True):
            view.copy_(gradient)
