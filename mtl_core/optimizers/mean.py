"""Mean of the task gradients."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Mean"]


class Mean:
    """The mean of task gradients: w_k = 1, C = K (M24, Eq. 1 and footnote 2)."""

    needs_gramian = False

    def __init__(self, num_tasks: int) -> None:
        self.num_tasks = num_tasks

    def weights(
        self,
        gramian: "Tensor | None",
        losses: "Tensor",
        generator: "Generator | None" = None,
    ) -> "Tensor":
        """(..., K) losses -> (..., K) entries 1/K."""
        return losses.new_full(losses.shape, 1 / losses.shape[-1])
