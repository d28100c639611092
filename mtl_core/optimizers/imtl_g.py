"""IMTL-G: the gradient part of impartial multi-task learning."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """α ∝ G⁺ d with Σα = 1, where d are the gradients' lengths.

    Then Gα ∝ d: the update's projection on every unit gradient is the same. Weights may be
    negative. Where gradients depend on each other there may be no such update; the pseudo-inverse
    then takes the least-squares one. A zero gradient has weight 0. Where Σα cannot be made 1, as
    with opposite gradients of one length, the weights are 1/K.
    """
    import torch

    tasks = step.losses.shape[1]
    squares = step.gram.diagonal(dim1=1, dim2=2)
    trace = squares.sum(dim=1, keepdim=True)
    trace = trace.where(trace > 0, 1.0)
    values, vectors = torch.linalg.eigh(step.gram / trace.unsqueeze(2))
    lengths = (squares / trace).clamp_min(0).sqrt()
    inverse = (1 / values).where(values > step.rounding * values[:, -1:], 0.0)
    found: Tensor = (
        vectors @ (inverse.unsqueeze(2) * (vectors.mT @ lengths.unsqueeze(2)))
    ).squeeze(2)
    total = found.sum(dim=1, keepdim=True)
    size = found.abs().sum(dim=1, keepdim=True).clamp_min(1)  # |d| is 1, and G at most 1
    return (found / total).where(total.abs() > step.rounding * size, 1 / tasks)


RULE = Rule(
    title="IMTL-G",
    about="The combination of task gradients that goes equally far along each of them.",
    source="Liu et al. 2021, Towards Impartial Multi-task Learning, gradient balance; the "
    "pseudo-inverse is from Quinton & Rey 2024, Jacobian Descent",
    weights=weights,
    needs_gramian=True,
)
