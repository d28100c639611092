"""Task gradients as lengths and cosines, and which of them are taken for 0.

A Gramian mixes both: of gradients 1e-3 apart in length, its least eigenvalue is 1e-6 of the largest
however their directions lie. G = D C D with lengths D and cosines C tells scale from conflict, so
that a tolerance on C means the same at every length.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEAST", "Directions", "directions", "present"]

LEAST = 1e-40
"""The squared length, over that of the longest gradient, up to which a gradient counts as 0.

Weights that make up for less would not fit into float32.
"""


@dataclass(frozen=True)
class Directions:
    """Lengths and cosines of N replicas' gradients.

    Attributes:
        lengths: (N, K), 0 where a gradient counts as 0.
        cosines: (N, K, K) with ones on the diagonal; 0 with a gradient of 0.
        there: (N, K), which gradients are not 0.
    """

    lengths: "Tensor"
    cosines: "Tensor"
    there: "Tensor"

    def definite(self, rounding: float) -> "tuple[Tensor, Tensor]":
        """Cosines of which no convex combination is 0, for methods that would divide by its length.

        Where an eigenvalue may be 0, or below, by rounding, ``rounding`` is added to all of them
        and cosines are scaled back to a diagonal of 1. Others stay exactly as they are.

        Returns:
            (N, K, K), and (N, 1) whether something was added.
        """
        import torch

        margin = self.cosines.clone()
        margin.diagonal(dim1=1, dim2=2).fill_(1 - rounding)
        _, failed = torch.linalg.cholesky_ex(margin)
        raised = (failed != 0).unsqueeze(-1)
        found = self.cosines / (1 + rounding * raised).unsqueeze(-1)
        found.diagonal(dim1=1, dim2=2).fill_(1.0)
        return found, raised


def directions(gramian: "Tensor") -> Directions:
    """Those of (N, K, K)."""
    squares = gramian.diagonal(dim1=1, dim2=2)
    there = present(gramian)
    lengths = squares.where(there, 0.0).sqrt()
    inverse = (1 / lengths).where(there, 0.0)
    cosines = (gramian * inverse.unsqueeze(-1) * inverse.unsqueeze(-2)).clamp_(-1, 1)
    cosines.diagonal(dim1=1, dim2=2).fill_(1.0)
    return Directions(lengths, cosines, there)


def present(gramian: "Tensor") -> "Tensor":
    """(N, K, K) -> (N, K): which gradients are not 0."""
    squares = gramian.diagonal(dim1=1, dim2=2)
    return squares > LEAST * squares.amax(dim=1, keepdim=True)
