"""Examples of a problem as arrays, before they go to a device."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Examples"]


@dataclass(frozen=True)
class Examples:
    """What is trained on and what a front is measured on.

    Args:
        train: arrays with the examples first, all of one length.
        test: the same of held-out examples.
        notes: what people should know of how they were made, a line each.
    """

    train: tuple[NDArray[Any], ...]
    test: tuple[NDArray[Any], ...]
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """16 hex digits of a hash of every example, in order, with shapes and types."""
        total = hashlib.blake2b(digest_size=8)
        for array in (*self.train, *self.test):
            total.update(f"{array.dtype.str}{array.shape}".encode())
            total.update(np.ascontiguousarray(array).data)
        return total.hexdigest()

    def tensors(
        self, device: "torch.device", samples: int | None, held_out: int | None
    ) -> "tuple[tuple[Tensor, ...], tuple[Tensor, ...]]":
        """The first examples of both parts on a device; None, or more than there are, takes all."""
        import torch

        def moved(arrays: tuple[NDArray[Any], ...], count: int | None) -> "tuple[Tensor, ...]":
            return tuple(torch.from_numpy(array[:count]).to(device) for array in arrays)

        return moved(self.train, samples), moved(self.test, held_out)
