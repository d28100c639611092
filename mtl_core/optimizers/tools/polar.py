"""The orthogonal factor of matrices whose columns are of any lengths."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["orthogonal_factor"]

_MOST_STEPS = 30
_NEAR = 1e-8


def orthogonal_factor(matrix: "Tensor") -> "Tensor":
    """U of X = UP with P = √(XᵀX), for (N, K, K) X that become well conditioned where their columns
    are scaled to one length.

    Newton's iteration X ← ½ (ζX + X⁻ᵀ/ζ) for the polar decomposition (Higham 1986) turns singular
    values σ into ½ (ζσ + 1/ζσ), and so all of them into 1. Each inverse is taken of columns of
    length 1. An error is then relative to its column, E·D, however short that is; with X = A·D it
    amounts to a factor 1 + E·A⁻¹ on the left, by which U changes no more than that.
    """
    import torch

    for _ in range(_MOST_STEPS):
        lengths = matrix.norm(dim=1, keepdim=True)
        inverse, _ = torch.linalg.inv_ex(matrix / lengths)
        inverse = inverse.mT / lengths
        scale = (
            inverse.norm(dim=(1, 2), keepdim=True) / matrix.norm(dim=(1, 2), keepdim=True)
        ).sqrt()
        found = 0.5 * (scale * matrix + inverse / scale)
        far = (found - matrix).abs() > _NEAR  # NaN is not, and keeps no other replica going
        matrix = found
        # The step is quadratic: the next one would be of the order of rounding.
        if not far.any():
            break
    return matrix
