"""PCGrad: projecting conflicting gradients."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step
from mtl_core.optimizers.tools.orders import orders

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """Sum over i of g_i without its conflicts.

    In a random order of its own, g_i loses its component along each original g_j that it conflicts
    with at that point. All of it happens to coefficients: row i of C, (N, K, K), says what of the
    original gradients the running g_i consists of, so that its inner product with g_j is C_i · G_j.
    A zero gradient conflicts with none and stays as it is.
    """
    import torch

    gram = step.gram
    tasks = gram.shape[1]
    squares = gram.diagonal(dim1=1, dim2=2)
    if tasks == 2:  # each meets one other: there is no order to draw
        return ((squares - gram[:, 0, 1:].clamp_max(0)) / squares).nan_to_num(1.0, 1.0, 1.0)
    replica = torch.arange(len(gram), device=gram.device).unsqueeze(1)
    coefficients = torch.eye(tasks, dtype=gram.dtype, device=gram.device).repeat(len(gram), 1, 1)
    for j in orders(step.draws, tasks).unbind(dim=2):
        inner = (coefficients * gram[replica, j]).sum(dim=2)
        removed = _share(inner, squares.gather(1, j))
        coefficients.scatter_add_(2, j.unsqueeze(2), removed.unsqueeze(2))
    return coefficients.sum(dim=1)


def _share(inner: "Tensor", square: "Tensor") -> "Tensor":
    """How many g_j must be added so that a negative inner product with it becomes 0."""
    # A square of zero leaves 0/0, or rounding over 0.
    return (inner.clamp_max(0) / -square).nan_to_num(0.0, 0.0, 0.0)


RULE = Rule(
    title="PCGrad",
    about="Each task gradient loses its component against every other that it conflicts with, in "
    "random order, before they are summed.",
    source="Yu et al. 2020, Gradient Surgery for Multi-Task Learning, Algorithm 1",
    weights=weights,
    needs_gramian=True,
    random=True,
    same_as_sum="PCGrad is the sum as long as no two task gradients conflict.",
)
