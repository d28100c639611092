"""Solutions as rows of one matrix, so that a transfer is one product M Θ."""

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["Vectors"]


class Vectors:
    """How one solution's parameters lie in a row.

    Filters of convolutions, (O, I, H, W), lie channels last: as (O, H, W, I). Their views are then
    in PyTorch's channels-last format, which convolutions and pooling keep for their outputs, and on
    a CPU that is the faster one.

    Args:
        example: one solution's parameters, all of one type.
    """

    def __init__(self, example: Mapping[str, Tensor]) -> None:
        self._shapes = {name: value.shape for name, value in example.items()}
        self._sizes = [value.numel() for value in example.values()]
        self.length = sum(self._sizes)

    def row(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Parameters as a row, (P,)."""
        return torch.cat([_last(parameters[name]).reshape(-1) for name in self._shapes])

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """(..., P) -> name to (..., *shape), without copying."""
        lead = rows.shape[:-1]
        found = {}
        parts = torch.split(rows, self._sizes, dim=-1)
        for (name, shape), part in zip(self._shapes.items(), parts, strict=True):
            if len(shape) == 4:
                out, into, height, width = shape
                part = part.view(*lead, out, height, width, into)
                found[name] = part.movedim(-1, -3)
            else:
                found[name] = part.view(*lead, *shape)
        return found

    def leaves(self, rows: Tensor) -> dict[str, Tensor]:
        """(..., P) -> copies to differentiate by, (..., *shape).

        Each is memory of its own: where a number lies decides how a product is summed up, and one
        solution must not depend on which row it has.
        """
        return {
            name: view.detach().clone(memory_format=torch.preserve_format).requires_grad_()
            for name, view in self.views(rows).items()
        }


def _last(value: Tensor) -> Tensor:
    return value.movedim(1, -1) if value.dim() == 4 else value
