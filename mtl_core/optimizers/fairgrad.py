"""FairGrad: the update that is α-fair to the tasks' rates of progress."""

from typing import TYPE_CHECKING

from mtl_core.optimizers.base import Option, Rule, Step
from mtl_core.optimizers.tools.lengths import directions

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LEAST_LEFT", "RULE", "solve"]

LEAST_LEFT = 1e-8
"""The least (Gw)_i / (G_ii w_i) where a convex combination of gradients may be 0 by rounding."""

_MOST_STEPS = 100
_MOST_SHARE = 0.99
"""What a step may take off a weight, so that rounding leaves something of it."""


def weights(step: Step) -> "Tensor":
    """(N, K) above 0, but 0 for tasks with a gradient of 0, which no update can be fair to."""
    return solve(step.gram, step.options["alpha"], step.rounding)


def solve(gramian: "Tensor", alpha: float, rounding: float) -> "Tensor":
    """The w > 0 with Gw = w^(−1/α), by damped Newton's method.

    It is the minimum of the convex ½wᵀGw − Σ φ(w) with φ' = w^(−1/α), and there is none where a
    convex combination of gradients is 0. Weights then grow as the update goes to 0, until the
    other gradients cancel all of a task's own but ``LEAST_LEFT``.

    Args:
        gramian: (N, K, K).
        alpha: above 0.
        rounding: up to this, an eigenvalue of the cosines may be 0.

    Returns:
        (N, K) above 0, but 0 for gradients of 0.
    """
    import torch

    of = directions(gramian)
    cosines, raised = of.definite(rounding)
    power = 1 / alpha
    # In units of what each task alone would weigh, the equation is Sx = d·x^(-power), with the
    # diagonal d of S.
    lengths = of.lengths.where(of.there, 1.0)
    alone = lengths.pow(-2 / (1 + power))
    lengths = lengths * alone
    diagonal = lengths.square()
    matrix = cosines * lengths.unsqueeze(-1) * lengths.unsqueeze(-2)
    total = diagonal.sum(dim=1, keepdim=True)
    level = total / matrix.sum(dim=(1, 2)).unsqueeze(1).maximum(1e-6 * total)
    x = level.pow(1 / (1 + power)).expand_as(lengths)
    most_weight = torch.where(raised, LEAST_LEFT ** (-1 / (1 + power)), torch.inf)
    running = torch.ones_like(level, dtype=torch.bool)
    for _ in range(_MOST_STEPS):
        push = diagonal * x.pow(-power)
        hessian = matrix.clone()
        hessian.diagonal(dim1=1, dim2=2).add_(power * push / x)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        slope = (matrix @ x.unsqueeze(-1)).squeeze(-1) - push
        change = torch.cholesky_solve(-slope.unsqueeze(-1), factor).squeeze(-1) / x
        # The second derivative grows at most by (1 - step·most)^(-1-power) on the way, so that the
        # objective falls all along the step that is taken.
        most = (-change).amax(dim=1, keepdim=True).clamp_min(1e-12)
        share = -torch.expm1(-alpha * torch.log1p(power * most))
        step = (share.clamp_max(_MOST_SHARE) / most).clamp_max(1)
        size = change.abs().amax(dim=1, keepdim=True)
        running = running & (failed == 0).unsqueeze(-1) & size.isfinite()
        x = torch.where(running, x * (1 + step * change), x)
        # The step is quadratic: the next one would be of the order of rounding.
        running = running & (size > 1e-8) & (x.amax(dim=1, keepdim=True) < most_weight)
        if not running.any():
            break
    return (x * alone).where(of.there, 0.0)


RULE = Rule(
    title="FairGrad",
    about="The update whose rates of progress on the tasks are α-fair, as in sharing a network.",
    source="Ban & Ji 2024 (arXiv 2402.15638), Eq. 4: Gw = w^(−1/α)",
    weights=weights,
    options=(
        Option(
            "alpha",
            2.0,
            "how much it cares for slow tasks: near 0 it would be the sum, 1 is Nash-MTL without "
            "its clipping, and more comes near to the best for the slowest.",
            least=0.5,
            most=10,
        ),
    ),
    needs_gramian=True,
    on_host="its equation is solved by as many steps of Newton's method as the numbers need",
)
