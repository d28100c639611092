"""The contract of a multi-task optimizer."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Method"]


class Method(Protocol):
    """Weights of the task gradients, for any leading batch of replicas."""

    needs_gramian: bool
    """Whether ``weights`` reads the Gramian; where it does not, no Jacobian is formed."""

    def weights(
        self,
        gramian: "Tensor | None",
        losses: "Tensor",
        generator: "Generator | None" = None,
    ) -> "Tensor":
        """Weights of this step.

        Args:
            gramian: (..., K, K) inner products of the task gradients of the shared parameters;
                None where ``needs_gramian`` is False.
            losses: (..., K) task losses of the step's batches.
            generator: source of every random choice.

        Returns:
            (..., K); the shared update is Σ_k weights[k] · grad_k.
        """
        ...
