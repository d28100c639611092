"""Gradient similarity: whether a task's gradient points where the multi-task gradient goes."""

import torch
from torch import Tensor

from mtl_core.errors import InputError

__all__ = ["gradient_similarity", "gramian", "pairwise_cosines"]


def gradient_similarity(gramian: Tensor, target: int) -> Tensor:
    """Cosine of a task's gradient and the sum of all (M24 Eq. 6).

    ``(G1)_k / sqrt(G_kk · 1ᵀG1)`` for the uniform multi-task gradient, θ as one vector.

    Args:
        gramian: (..., K, K) inner products of the task gradients.
        target: k.

    Returns:
        (...) in [−1, 1]; NaN where the task's gradient, or the sum, is zero and has no direction.

    Raises:
        InputError: when ``gramian`` is not square or has no such task.
    """
    tasks = _tasks(gramian)
    if not 0 <= target < tasks:
        raise InputError(f"target {target} is not one of the {tasks} tasks, counted from 0")
    towards = gramian.sum(dim=-1)[..., target]
    own = gramian[..., target, target]
    total = gramian.sum(dim=(-2, -1))
    return _cosine(towards, own, total)


def pairwise_cosines(gramian: Tensor) -> Tensor:
    """Cosines of all pairs of task gradients.

    Args:
        gramian: (..., K, K).

    Returns:
        (..., K, K) in [−1, 1], 1 on the diagonal; NaN beside a zero gradient.
    """
    _tasks(gramian)
    own = gramian.diagonal(dim1=-2, dim2=-1)
    return _cosine(gramian, own.unsqueeze(-1), own.unsqueeze(-2))


def gramian(gradients: Tensor) -> Tensor:
    """(..., K, P) task gradients -> (..., K, K) inner products, in double precision."""
    double = gradients.to(torch.float64)
    inner = double @ double.mT
    return (inner + inner.mT) / 2  # some processors' products are not quite symmetric


def _cosine(inner: Tensor, one: Tensor, other: Tensor) -> Tensor:
    # Roots before the product: squares of small gradients would leave the floating range.
    norm = one.clamp(min=0).sqrt() * other.clamp(min=0).sqrt()
    nowhere = torch.full_like(norm, torch.nan)
    return torch.where(norm > 0, (inner / norm).clamp(-1, 1), nowhere)


def _tasks(gramian: Tensor) -> int:
    if gramian.ndim < 2 or gramian.shape[-1] != gramian.shape[-2] or not gramian.shape[-1]:
        raise InputError(f"a Gramian is (..., K, K), not {tuple(gramian.shape)}")
    return int(gramian.shape[-1])
