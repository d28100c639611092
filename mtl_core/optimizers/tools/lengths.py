"""Which task gradients are taken for 0."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEAST", "present"]

LEAST = 1e-40
"""The squared length, over that of the longest gradient, up to which a gradient counts as 0.

Weights that make up for less would not fit into float32.
"""


def present(gramian: "Tensor") -> "Tensor":
    """(N, K, K) -> (N, K): which gradients are not 0."""
    squares = gramian.diagonal(dim1=1, dim2=2)
    return squares > LEAST * squares.amax(dim=1, keepdim=True)
