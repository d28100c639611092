"""Closed forms for two tasks, the commonest case: a step then costs no solver."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from mtl_core.optimizers.tools.lengths import LEAST, present

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DeviceFormula", "Formula", "of_two"]

Formula = Callable[[float, float, float], tuple[float, float]]
"""|g_1|, the cosine and |g_2| -> the two weights; a gradient that counts as 0 is exactly 0."""

DeviceFormula = Callable[["Tensor", "Tensor", "Tensor"], "tuple[Tensor, Tensor]"]
"""The same of (N,) tensors, by operations that do not depend on their numbers."""


def of_two(
    gramian: "Tensor",
    formula: Formula,
    *,
    rounding: float = 0.0,
    on_device: DeviceFormula | None = None,
) -> "Tensor":
    """(N, 2) weights of (N, 2, 2) Gramians. Plain numbers take far less time than small tensors.

    Args:
        rounding: cosines this near to ±1 are drawn back by as much, as by ``Directions.definite``.
        on_device: used in place of ``formula`` where nothing may wait for the host.
    """
    if on_device is not None:
        return _on_device(gramian, on_device, rounding)
    found = []
    for (first, both), (_, second) in gramian.tolist():
        cosine = 0.0
        if min(first, second) <= LEAST * max(first, second):
            first, second = (first, 0.0) if first > second else (0.0, max(second, 0.0))
        first, second = math.sqrt(first), math.sqrt(second)
        if first > 0 and second > 0:
            cosine = min(max(both / first / second, -1.0), 1.0)
            if 1 - abs(cosine) <= rounding:
                cosine /= 1 + rounding
        found.append(formula(first, cosine, second))
    return gramian.new_tensor(found).view(-1, 2)


def _on_device(gramian: "Tensor", formula: DeviceFormula, rounding: float) -> "Tensor":
    import torch

    there = present(gramian)
    squares = gramian.diagonal(dim1=1, dim2=2)
    first, second = squares.where(there, 0.0).clamp_min(0).sqrt().unbind(dim=1)
    cosine = (gramian[:, 0, 1] / first / second).clamp(-1, 1).where(there.all(dim=1), 0.0)
    cosine = torch.where(1 - cosine.abs() <= rounding, cosine / (1 + rounding), cosine)
    return torch.stack(formula(first, cosine, second), dim=1)
