"""Parameters as vectors, and functions of many batches at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtl_core.errors import FactorUndefined, InputError

__all__ = ["Batch", "Loss", "Point", "finite", "groups"]

Batch = tuple[Tensor, ...]
Loss = Callable[[dict[str, Tensor], Any], Tensor]
"""loss(params, (inputs, targets)) -> (*L,) mean losses of parameters (*L, ...)."""

AT_ONCE = {"cuda": 2**28}
"""How many numbers the parameters of stacked batches may have, by device: a GPU is filled with
batches side by side; a CPU computes one after the other, each from its cache."""


class Point:
    """A point in parameter space: where a factor is measured.

    Args:
        function: of parameters and a batch; its value's shape, without ``own`` trailing
            dimensions, says which leading dimensions the parameters have.
        params: name -> (*L, ...).
        batch: any batch, to try ``function`` on.

    Attributes:
        vector: (*L, P), all parameters of a replica one after the other.

    Raises:
        InputError: without parameters, or when their leading dimensions are not the function's.
    """

    def __init__(
        self, function: Loss, params: Mapping[str, Tensor], batch: Batch, *, own: int = 0
    ) -> None:
        if not params or not any(p.numel() for p in params.values()):
            raise InputError(
                "the model has no shared parameters to measure along; give at least one"
            )
        with torch.no_grad():
            value = function(dict(params), batch)
        self.lead = tuple(value.shape[: value.ndim - own])
        count = len(self.lead)
        for name, parameter in params.items():
            if tuple(parameter.shape[:count]) != self.lead:
                raise InputError(
                    f"parameter {name!r} has the shape {tuple(parameter.shape)}, which does not "
                    f"begin with the replicas {self.lead} that the function's value has"
                )
        self._function = function
        self._names = list(params)
        self._shapes = [tuple(p.shape[count:]) for p in params.values()]
        flat = [p.detach().reshape(*self.lead, -1) for p in params.values()]
        self._sizes = [p.shape[-1] for p in flat]
        self.vector = torch.cat(flat, dim=-1)

    def parameters(self, vector: Tensor) -> dict[str, Tensor]:
        """(*L, P) -> name -> (*L, ...)."""
        parts = torch.split(vector, self._sizes, dim=-1)
        return {
            name: part.reshape(*part.shape[:-1], *shape)
            for name, part, shape in zip(self._names, parts, self._shapes, strict=True)
        }

    def values(self, vectors: Tensor, batches: Sequence[Batch]) -> Tensor:
        """The function of each of m batches at its own parameters: (m, *L, P) -> (m, *L, ...)."""
        if len(batches) == 1:
            return self._function(self.parameters(vectors[0]), batches[0]).unsqueeze(0)

        def one(vector: Tensor, *batch: Tensor) -> Tensor:
            return self._function(self.parameters(vector), batch)

        stacked = [torch.stack(parts) for parts in zip(*batches, strict=True)]
        values: Tensor = torch.func.vmap(one)(vectors, *stacked)
        return values

    def gradients(self, batches: Sequence[Batch]) -> Tensor:
        """Gradients (m, *L, P) of the function's values at the point, for each of m batches."""
        leaf = self.vector.expand(len(batches), *self.vector.shape).detach().requires_grad_()
        (gradients,) = torch.autograd.grad(self.values(leaf, batches).sum(), leaf)
        return gradients


def groups(batches: Iterable[Batch], vector: Tensor) -> Iterator[Sequence[Batch]]:
    """Batches in groups that are computed together, each of batches of one shape."""
    most = max(1, AT_ONCE.get(vector.device.type, 0) // vector.numel())
    group: list[Batch] = []
    for batch in batches:
        if group and (len(group) == most or batch[0].shape != group[0][0].shape):
            yield group
            group = []
        group.append(batch)
    if group:
        yield group


def finite(name: str, values: Tensor) -> Tensor:
    """The values. Raises FactorUndefined where one is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise FactorUndefined(
            f"{name} is not finite here: the loss or its gradient is not; measure where they are",
            values,
        )
    return values
