"""Aligned-MTL: independent component alignment."""

import math
from functools import partial
from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step
from mtl_core.optimizers.tools.lengths import directions
from mtl_core.optimizers.tools.pairs import of_two
from mtl_core.optimizers.tools.polar import orthogonal_factor

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE"]


def weights(step: Step) -> "Tensor":
    """√λ_min V Λ^(−½) Vᵀ applied to 1/K each, where G = V Λ Vᵀ.

    The aligned gradients are orthogonal and as long as their smallest principal component that is
    not zero. How many are zero is told by the cosines, whose eigenvalues are zero up to the
    rounding of the Gramian's own type: a float32 zero would otherwise shorten the update a
    thousandfold, and a short gradient would be taken for none. A zero gradient has weight 0; if all
    are zero, each has 1/K.
    """
    if step.gram.shape[1] == 2:
        on_device = partial(_of_two_on_device, step.rounding) if step.static else None
        return of_two(step.gram, partial(_of_two, step.rounding), on_device=on_device)
    return _of_many(step.gram, step.rounding)


def _of_two(rounding: float, first: float, cosine: float, second: float) -> tuple[float, float]:
    """With the root of a 2 × 2 matrix in closed form: √G = (G + √det G) / √(trace G + 2 √det G)."""
    if first <= 0 or second <= 0:
        return (first > 0) / 2, (second > 0) / 2
    longest = max(first, second)
    first, second = first / longest, second / longest
    trace = first * first + second * second
    if 1 - abs(cosine) <= rounding * (1 + abs(cosine)):  # a single component
        lean = (first + math.copysign(second, cosine)) / (2 * trace)
        return first * lean, math.copysign(second, cosine) * lean
    sine = math.sqrt((1 - cosine) * (1 + cosine))
    root = first * second * sine
    most = trace + math.hypot((first - second) * (first + second), 2 * first * second * cosine)
    scale = math.sqrt(2 * most * (trace + 2 * root))
    return (
        second * (second + first * (sine - cosine)) / scale,
        first * (first + second * (sine - cosine)) / scale,
    )


def _of_two_on_device(
    rounding: float, first: "Tensor", cosine: "Tensor", second: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """``_of_two`` of (N,) each."""
    there = (first > 0) & (second > 0)
    alone = [(length > 0).to(length.dtype) / 2 for length in (first, second)]
    longest = first.maximum(second)
    first, second = first / longest, second / longest
    trace = first.square() + second.square()
    signed = second.copysign(cosine)
    lean = (first + signed) / (2 * trace)
    sine = ((1 - cosine) * (1 + cosine)).sqrt()
    root = first * second * sine
    most = trace + ((first - second) * (first + second)).hypot(2 * first * second * cosine)
    scale = (2 * most * (trace + 2 * root)).sqrt()
    single = 1 - cosine.abs() <= rounding * (1 + cosine.abs())
    ours = (first * lean).where(single, second * (second + first * (sine - cosine)) / scale)
    theirs = (signed * lean).where(single, first * (first + second * (sine - cosine)) / scale)
    return ours.where(there, alone[0]), theirs.where(there, alone[1])


def _of_many(gramian: "Tensor", rounding: float) -> "Tensor":
    """(N, K, K) -> (N, K).

    For any X with XᵀX = G, G^(−½) = X⁻¹U with the orthogonal factor U of X. X = √C D gives it to
    rounding whatever the lengths are; an eigenvector of G itself is only known to rounding of the
    longest gradient.
    """
    import torch

    tasks = gramian.shape[1]
    of = directions(gramian)
    values, vectors = torch.linalg.eigh(of.cosines)
    kept = values > rounding * values[:, -1:]
    longest = of.lengths.amax(dim=1, keepdim=True)
    lengths = (of.lengths / longest).where(of.there, 1.0)
    roots = values.where(kept, 1.0).sqrt().unsqueeze(2)
    matrix = roots * vectors.mT * lengths.unsqueeze(1)
    there = of.there.to(values.dtype)
    inverse = vectors / roots.mT * (there / lengths).unsqueeze(2)
    turned = orthogonal_factor(matrix) @ there.unsqueeze(2)
    # λ_min is the inverse of the largest eigenvalue of X⁻¹X⁻ᵀ, which rounding leaves alone.
    largest = torch.linalg.eigvalsh(inverse @ inverse.mT)[:, -1:]
    found: Tensor = (inverse @ turned).squeeze(2) / (largest.sqrt() * tasks)
    dependent = ~kept.all(dim=1)
    if dependent.any():
        components = (matrix * kept.unsqueeze(2) * there.unsqueeze(1))[dependent]
        rank = (kept.sum(dim=1) - (~of.there).sum(dim=1))[dependent]
        some = _of_dependent(components, rank, there[dependent])
        found = found.index_put((dependent,), some / tasks)
    return found.where(longest > 0, 1 / tasks)


def _of_dependent(matrix: "Tensor", rank: "Tensor", there: "Tensor") -> "Tensor":
    """√λ_min (XᵀX)^(+½) there, of (N, K, K) X of known rank."""
    import torch

    _, sizes, rows = torch.linalg.svd(matrix)
    ratio = sizes.gather(1, rank.unsqueeze(1) - 1) / sizes
    last = torch.arange(sizes.shape[1], device=sizes.device) < rank.unsqueeze(1)
    along = (rows @ there.unsqueeze(2)).squeeze(2) * ratio.where(last, 0.0)
    found: Tensor = (rows.mT @ along.unsqueeze(2)).squeeze(2) * there
    return found


RULE = Rule(
    title="Aligned-MTL",
    about="Task gradients are turned and shortened until they are orthogonal and equally long, and "
    "their mean is taken.",
    source="Senushkin et al. 2023, Independent Component Alignment, Algorithm 1, uniform weights",
    weights=weights,
    needs_gramian=True,
    on_host="it takes eigenvalues, and PyTorch has the host check whether they were found",
    closed_forms=(2,),
)
