"""Closed forms for two tasks, the commonest case: a step then costs no solver."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Formula", "of_two"]

Formula = Callable[[float, float, float], tuple[float, float]]
"""|g_1|², g_1·g_2 and |g_2|² -> the two weights."""


def of_two(gramian: "Tensor", formula: Formula) -> "Tensor":
    """(N, 2) weights of (N, 2, 2) Gramians. Plain numbers take far less time than small tensors."""
    found = []
    for (first, both), (_, second) in gramian.tolist():
        found.append(formula(first, both, second))
    return gramian.new_tensor(found).view(-1, 2)
