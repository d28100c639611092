"""Aligned-MTL: independent component alignment."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """√λ_min V Λ^(−½) Vᵀ applied to 1/K each, where G = V Λ Vᵀ.

    The aligned gradients are orthogonal and as long as their smallest principal component that is
    not zero. Zero is what rounding in the Gramian's own type can leave of it: a float32 zero would
    otherwise shorten the update a thousandfold. A zero gradient has weight 0; if all are zero, each
    has 1/K.
    """
    import torch

    tasks = step.losses.shape[1]
    trace = step.gram.diagonal(dim1=1, dim2=2).sum(dim=1).view(-1, 1, 1)
    values, vectors = torch.linalg.eigh(step.gram / trace.where(trace > 0, 1.0))
    kept = values > step.rounding * values[:, -1:].clamp_min(0)
    smallest = values.where(kept, torch.inf).amin(dim=1, keepdim=True)
    ratio = (smallest / values).sqrt().where(kept, 0.0)
    found: Tensor = (vectors * ratio.unsqueeze(1)) @ vectors.sum(dim=1).unsqueeze(2) / tasks
    return found.squeeze(2).where(kept[:, -1:], 1 / tasks)


RULE = Rule(
    title="Aligned-MTL",
    about="Task gradients are turned and shortened until they are orthogonal and equally long, and "
    "their mean is taken.",
    source="Senushkin et al. 2023, Independent Component Alignment, Algorithm 1, uniform weights",
    weights=weights,
    needs_gramian=True,
)
