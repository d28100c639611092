"""IMTL-G: the gradient part of impartial multi-task learning."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step
from mtl_core.optimizers.tools.lengths import directions
from mtl_core.optimizers.tools.pairs import of_two

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """α ∝ D⁻¹ C⁺ 1 with Σα = 1, where D are the gradients' lengths and C their cosines.

    Then the update's projection on every unit gradient, C D α, is the same. Weights may be
    negative. Where gradients depend on each other there may be no such update; the pseudo-inverse
    then takes the least-squares one. A zero gradient has weight 0; if all are zero, each has 1/K.
    Where no multiple of C⁺1 has Σα = 1, the weights are those of orthogonal gradients, α ∝ D⁻¹:
    C1 = 0 is one case of this, and then all projections are 0.
    """
    import torch

    if step.gram.shape[1] == 2:
        return of_two(step.gram, _of_two, on_device=_of_two_on_device if step.static else None)
    of = directions(step.gram)
    values, vectors = torch.linalg.eigh(of.cosines)
    inverse = (1 / values).where(values > step.rounding * values[:, -1:], 0.0)
    ones = of.there.to(values.dtype)
    along = (vectors.mT @ ones.unsqueeze(2)).squeeze(2)
    unit = (vectors @ (inverse * along).unsqueeze(2)).squeeze(2)
    # Of a product of 0, C's rounding leaves this much.
    left = (along * (inverse > 0)).norm(dim=1, keepdim=True)
    shortest = of.lengths.where(of.there, torch.inf).amin(dim=1, keepdim=True)
    relative = (shortest / of.lengths).where(of.there, 0.0)
    found = unit * relative
    total = found.sum(dim=1, keepdim=True)
    known = (left > step.rounding * len(ones[0]) ** 0.5) & (
        total.abs() > step.rounding * found.abs().sum(dim=1, keepdim=True)
    )
    found = torch.where(known, found, relative)
    total = found.sum(dim=1, keepdim=True)
    return (found / total).where(total != 0, 1 / ones.shape[1])


def _of_two(first: float, cosine: float, second: float) -> tuple[float, float]:
    """C is the same with both tasks swapped, and so is C⁺1: weights are inverse to the lengths."""
    if first <= 0 or second <= 0:
        return (float(first > 0), float(second > 0)) if first + second > 0 else (0.5, 0.5)
    return 1 / (1 + first / second), 1 / (1 + second / first)


def _of_two_on_device(
    first: "Tensor", cosine: "Tensor", second: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """``_of_two`` of (N,) each."""
    both, one = (first > 0) & (second > 0), first + second > 0
    ours = (1 / (1 + first / second)).where(both, (first > 0).to(first.dtype).where(one, 0.5))
    theirs = (1 / (1 + second / first)).where(both, (second > 0).to(first.dtype).where(one, 0.5))
    return ours, theirs


RULE = Rule(
    title="IMTL-G",
    about="The combination of task gradients that goes equally far along each of them.",
    source="Liu et al. 2021, Towards Impartial Multi-task Learning, gradient balance; solved with "
    "the pseudo-inverse of the gradients' cosines",
    weights=weights,
    needs_gramian=True,
    on_host="it takes eigenvalues, and PyTorch has the host check whether they were found",
    closed_forms=(2,),
)
