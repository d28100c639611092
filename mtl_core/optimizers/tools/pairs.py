"""Closed forms for two tasks, the commonest case: a step then costs no solver."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mtl_core.optimizers.tools.lengths import LEAST

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Formula", "of_two"]

Formula = Callable[[float, float, float], tuple[float, float]]
"""|g_1|², g_1·g_2 and |g_2|² -> the two weights; a gradient that counts as 0 is exactly 0."""


def of_two(gramian: "Tensor", formula: Formula) -> "Tensor":
    """(N, 2) weights of (N, 2, 2) Gramians. Plain numbers take far less time than small tensors."""
    found = []
    for (first, both), (_, second) in gramian.tolist():
        if min(first, second) <= LEAST * max(first, second):
            both = 0.0
            first, second = (first, 0.0) if first > second else (0.0, max(second, 0.0))
        found.append(formula(first, both, second))
    return gramian.new_tensor(found).view(-1, 2)
