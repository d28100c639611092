"""Random orders in which each task meets the others."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Draws

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["orders"]


def orders(draws: Draws, tasks: int) -> "Tensor":
    """(N, K, K − 1): for each task all others once, each order equally likely."""
    keys = draws.uniform(tasks, tasks)
    keys.diagonal(dim1=1, dim2=2).fill_(2.0)  # above all draws, so that it comes last
    return keys.argsort(dim=2)[:, :, :-1]
