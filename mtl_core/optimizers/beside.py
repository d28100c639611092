"""Beside: methods of several experiments whose task gradients are computed together."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mtl_core.errors import InputError
from mtl_core.optimizers.base import Method, Numbers

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Beside"]


class Beside:
    """Methods of which each has rows of its own of what all of them are given.

    To a step it is one method: its weights are theirs, one below the other.

    Args:
        methods: of one number of tasks, all of them weightings or none.
        rows: how many replicas each has.
        numbers: the random numbers of the step, for each method that draws any.

    Raises:
        InputError: for methods that do not agree in that.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        rows: Sequence[int],
        numbers: Callable[[], Sequence[Numbers | None]],
    ) -> None:
        if len({(method.num_tasks, method.needs_jacobian) for method in methods}) > 1:
            raise InputError(
                "methods of other numbers of tasks, and weightings and others, take their steps "
                f"apart, not beside each other: {', '.join(method.name for method in methods)}"
            )
        self.methods, self._rows, self._numbers = methods, list(rows), numbers

    @property
    def needs_gramian(self) -> bool:
        """As of a method: whether any of them does."""
        return any(method.needs_gramian for method in self.methods)

    @property
    def needs_last_layer(self) -> bool:
        """As of a method: whether any of them does."""
        return any(method.needs_last_layer for method in self.methods)

    @property
    def needs_jacobian(self) -> bool:
        """As of a method."""
        return self.methods[0].needs_jacobian

    def weights(
        self,
        gramian: "Tensor | None",
        losses: "Tensor",
        generators: object = None,
        *,
        last_layer: "Tensor | None" = None,
    ) -> "Tensor":
        """(N, K), see ``Method.weights``; random numbers are the methods' own."""
        import torch

        parts = zip(
            self.methods,
            self._parts(gramian),
            self._parts(losses),
            self._numbers(),
            self._parts(last_layer),
            strict=True,
        )
        return torch.cat(
            [
                method.weights(own, of, source, last_layer=last)
                for method, own, of, source, last in parts
                if of is not None
            ]
        )

    def update(self, jacobian: "Tensor", losses: "Tensor", generators: object = None) -> "Tensor":
        """(N, P), see ``Method.update``; random numbers are the methods' own."""
        import torch

        parts = zip(
            self.methods, self._parts(jacobian), self._parts(losses), self._numbers(), strict=True
        )
        return torch.cat(
            [
                method.update(own, of, source)
                for method, own, of, source in parts
                if own is not None and of is not None
            ]
        )

    def _parts(self, values: "Tensor | None") -> "Sequence[Tensor | None]":
        """Each method's rows."""
        import torch

        return [None] * len(self._rows) if values is None else torch.split(values, self._rows)
