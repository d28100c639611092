"""Feeds: what steps take from random sources, written ahead into buffers that stay in place.

A step finds its own row by a counter on the device, so that it is the same operations each time and
asks nothing of the host. What a row holds depends on the replica's seed and the step alone,
wherever a run was resumed.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from mtl_core.optimizers import Draws, Numbers
from mtl_core.training.batches import BatchStream, derived_seed

__all__ = ["Noise", "Orders"]

_MOST_BYTES = 2**20
_MOST_STEPS = 64
"""How many numbers are drawn ahead, at most: a slice that ends sooner has drawn them in vain."""


class Orders:
    """The numbers of the examples of each step's batches, an epoch ahead.

    Args:
        streams: R replicas' streams, as many for each.
        epoch: steps.
    """

    def __init__(
        self, streams: Sequence[Sequence[BatchStream]], epoch: int, device: torch.device
    ) -> None:
        self._streams = streams
        self._epoch = epoch
        self._device = device
        self._first = -1
        self._at = 0
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._known: list[NDArray[np.int64]] = []
        self._buffers: list[Tensor] = []

    def ready(self, step: int) -> None:
        """Make ``step`` the one whose batches there are."""
        self._at = step % self._epoch
        if step - self._at != self._first:
            self._fill(step - self._at)
        self._row.fill_(self._at)

    def batches(self) -> list[Tensor]:
        """(R, B) of each stream."""
        return [buffer.index_select(0, self._row).squeeze(0) for buffer in self._buffers]

    def known(self) -> list[NDArray[np.int64]]:
        """The same on the host."""
        return [block[self._at] for block in self._known]

    def _fill(self, first: int) -> None:
        self._first = first
        blocks = [[one.batches(first, self._epoch) for one in own] for own in self._streams]
        self._known = [np.stack(of, axis=1) for of in zip(*blocks, strict=True)]
        if not self._buffers:
            self._buffers = [
                torch.from_numpy(block).to(self._device, copy=True) for block in self._known
            ]
        for buffer, block in zip(self._buffers, self._known, strict=True):
            buffer.copy_(torch.from_numpy(block))


class Noise:
    """The random numbers of a method, some steps ahead.

    The first step shows what a method asks for; it asks for the same in every step.

    Args:
        seeds: the replicas'.
        epoch: steps.
    """

    def __init__(self, seeds: Sequence[int], epoch: int, device: torch.device) -> None:
        self._seeds = seeds
        self._epoch = epoch
        self._device = device
        self._first = -1
        self._step = -1
        self._steps = 0
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._asked: list[tuple[str, tuple[int, ...]]] | None = None
        self._drawn: list[Tensor] = []
        self._buffers: list[Tensor] = []

    def ready(self, step: int) -> None:
        """Make ``step`` the one whose numbers there are."""
        self._step = step
        if not self._asked:
            return
        if not self._buffers:
            self._make_room(self._asked)
        row = step % self._steps
        if step - row != self._first:
            self._fill(step - row)
        self._row.fill_(row)

    def numbers(self) -> Numbers:
        """Those of the step, for a method that asks for one after the other."""
        if self._asked is None:
            return self._first_numbers()
        left = iter(self._buffers)

        def take(_: str, shape: tuple[int, ...]) -> Tensor:
            buffer = next(left)
            assert buffer.shape[2:] == shape, "a method asks for the same numbers in every step"
            return buffer.index_select(0, self._row).squeeze(0)

        return take

    def _first_numbers(self) -> Numbers:
        like = torch.empty(len(self._seeds), device=self._device)
        draws = Draws(self._generators(self._step), like)
        self._asked = asked = []

        def draw(kind: str, shape: tuple[int, ...]) -> Tensor:
            asked.append((kind, shape))
            return draws.draw(kind, shape)

        return draw

    def _make_room(self, asked: Sequence[tuple[str, tuple[int, ...]]]) -> None:
        step_bytes = 8 * len(self._seeds) * sum(int(np.prod(shape)) for _, shape in asked)
        self._steps = max(1, min(_MOST_BYTES // step_bytes, _MOST_STEPS, self._epoch))
        size = (self._steps, len(self._seeds))
        self._drawn = [torch.empty((*size, *shape), dtype=torch.float64) for _, shape in asked]
        self._buffers = [drawn.to(self._device) for drawn in self._drawn]

    def _fill(self, first: int) -> None:
        self._first = first
        assert self._asked is not None
        draw: list[Callable[..., Tensor]] = [getattr(torch, kind) for kind, _ in self._asked]
        for row in range(self._steps):
            for replica, source in enumerate(self._generators(first + row)):
                for each, drawn in zip(draw, self._drawn, strict=True):
                    each(drawn.shape[2:], generator=source, out=drawn[row, replica])
        for buffer, drawn in zip(self._buffers, self._drawn, strict=True):
            if buffer is not drawn:
                buffer.copy_(drawn)

    def _generators(self, step: int) -> list[Generator]:
        keys = [derived_seed(f"{seed}/method/{step}") for seed in self._seeds]
        return [Generator().manual_seed(key) for key in keys]
