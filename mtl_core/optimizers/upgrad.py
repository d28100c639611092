"""UPGrad: each task gradient is freed of conflict with the others, then their mean."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Rule, Step
from mtl_core.optimizers.tools.lengths import directions
from mtl_core.optimizers.tools.pairs import of_two
from mtl_core.optimizers.tools.quadratic import minimise

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RULE", "project"]


def weights(step: Step) -> "Tensor":
    """(N, K); all 1/K where no two tasks conflict.

    A gradient of 0 conflicts with nothing.
    """
    import torch

    gramian = step.gram
    replicas, tasks, _ = gramian.shape
    if tasks == 2:
        on_device = _of_two_on_device if step.static else None
        return of_two(gramian, _of_two, rounding=step.rounding, on_device=on_device)
    every = torch.eye(tasks, dtype=gramian.dtype, device=gramian.device)
    each = project(
        gramian.repeat_interleave(tasks, dim=0),
        every.repeat(replicas, 1),
        step.rounding,
    )
    return each.view(replicas, tasks, tasks).mean(dim=1)


def _of_two(first: float, cosine: float, second: float) -> tuple[float, float]:
    """Each of two gradients that conflict loses its part along the other."""
    if cosine >= 0:
        return 0.5, 0.5
    return 0.5 - 0.5 * cosine * (second / first), 0.5 - 0.5 * cosine * (first / second)


def _of_two_on_device(
    first: "Tensor", cosine: "Tensor", second: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """``_of_two`` of (N,) each."""
    ours, theirs = (0.5 - 0.5 * cosine * ratio for ratio in (second / first, first / second))
    return ours.where(cosine < 0, 0.5), theirs.where(cosine < 0, 0.5)


def project(gramian: "Tensor", combination: "Tensor", rounding: float) -> "Tensor":
    """Weights of the vector closest to Σ u_k · grad_k that has no task gradient against it.

    Source: Quinton & Rey 2024, Proposition 1: argmin vᵀGv subject to v ≥ u. Gradients of 0 keep
    their u.

    Args:
        gramian: (N, K, K).
        combination: (N, K), u; at least 0.
        rounding: up to this, an eigenvalue of the cosines may be 0.

    Returns:
        (N, K)
    """
    import torch

    of = directions(gramian)
    cosines, _ = of.definite(rounding)
    lengths = of.lengths.where(of.there, 1.0)
    scaled = combination * of.lengths
    size = scaled.sum(dim=1, keepdim=True)
    size = size.where(size > 0, 1.0)
    linear = (cosines @ (scaled / size).unsqueeze(-1)).squeeze(-1)
    added = minimise(
        cosines,
        linear.where(of.there, 1.0),
        torch.ones_like(lengths),
        simplex=False,
        offset=1.0,
    )
    return combination + added * size / lengths


RULE = Rule(
    title="UPGrad",
    about="The mean of the task gradients, each projected to where it conflicts with no task.",
    source="Quinton & Rey 2024 (arXiv 2406.16232), Eq. 3 and Proposition 1",
    weights=weights,
    needs_gramian=True,
    on_host="its quadratic program is solved in as many rounds as the numbers need",
    closed_forms=(2,),
)
