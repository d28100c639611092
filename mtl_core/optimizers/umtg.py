"""UMTG: the uniform multi-task gradient."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["UMTG"]


class UMTG:
    """The sum of task gradients: w_k = 1, C = 1 (M24, Eq. 1 and 2)."""

    needs_gramian = False

    def __init__(self, num_tasks: int) -> None:
        self.num_tasks = num_tasks

    def weights(
        self,
        gramian: "Tensor | None",
        losses: "Tensor",
        generator: "Generator | None" = None,
    ) -> "Tensor":
        """(..., K) losses -> (..., K) ones."""
        return losses.new_ones(losses.shape)
