"""Sharpness: how much the loss can rise nearby."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mtl_core.errors import InputError, quoted
from mtl_core.factors.base import Factor, Site, Terms, too_few

if TYPE_CHECKING:
    from torch import Tensor

    from mtl_core.factors.vectors import Loss

__all__ = ["BATCH", "FACTOR", "RHO", "RHOS", "STEPS", "checkpoints", "sharpness"]

RHO = 1e-3
BATCH = 128
"""What a run takes, as the paper does: the size of the box, and examples of a batch."""
STEPS = 20
"""Of APGD, as the paper takes them."""
RHOS = (RHO, 5e-3, 1e-2, 1e-1)
"""The sizes that the paper has tried (M24 App. C.1); it took the first."""


def sharpness(
    loss: "Loss",
    params: "Mapping[str, Tensor]",
    batches: "Sequence[tuple[Tensor, Tensor]]",
    *,
    rho: float = RHO,
    steps: int = STEPS,
) -> "Tensor":
    """Worst-case adaptive ℓ∞ sharpness (M24 Eq. 3 and 7).

    ``E_B max_{|ε_i| <= ρ|θ_i|} L_B(θ + ε) − L_B(θ)``, each batch maximised on its own by Auto-PGD
    (Croce & Hein 2020, Alg. 1) as Andriushchenko et al. 2023 use it: from ε = 0, along the
    gradient's signs scaled by |θ|, first step 2ρ, momentum .75. The gradient is that of the batch's
    mean loss; a parameter that is 0 stays 0.

    Args:
        loss: loss(params, batch) -> (*L,) mean losses, in evaluation mode, without augmentation.
        params: the perturbed parameters (ours: the shared encoder's θ), name -> (*L, ...).
        batches: (inputs, targets) each; the paper takes 16 of 128 examples.
        rho: ρ, size of the box relative to each parameter.
        steps: of APGD, one gradient each.

    Returns:
        (*L,), in units of the loss; never negative.

    Raises:
        InputError: for rho <= 0, no steps, no batches, or no parameters.
        FactorUndefined: where the loss or its gradient is not finite at a point that was tried.
    """
    import torch

    from mtl_core.factors.vectors import Point, finite, groups

    if not (isinstance(rho, (int, float)) and math.isfinite(rho) and rho > 0):
        raise InputError(f"rho {quoted(rho)} must be a finite number above 0, such as 1e-3")
    if steps < 1:
        raise InputError(f"steps {quoted(steps)} must be at least 1; the paper's are {STEPS}")
    if not batches:
        raise InputError("no batches to measure sharpness on; give at least one")
    point = Point(loss, params, batches[0])
    radius = rho * point.vector.abs()
    rises = []
    for group in groups(batches, point.vector):

        def value(moved: "Tensor", group: "Sequence[tuple[Tensor, ...]]" = group) -> "Tensor":
            return point.values(point.vector + moved, group)

        rises.append(_largest_rise(value, radius.expand(len(group), *radius.shape), steps))
    return finite("sharpness", torch.cat(rises).mean(dim=0))


def checkpoints(steps: int) -> list[int]:
    """After how many of ``steps`` APGD reconsiders its step (Croce & Hein 2020, §3.2).

    20 steps have 5, 9, 12, 15, 16, 18, 19: ⌈p_j · steps⌉ with p_1 = .22 and
    p_{j+1} = p_j + max(p_j − p_{j−1} − .03, .06), in floating point, as the published code has it.
    """
    before, now = 0.0, 0.22
    found = []
    while now < 1:
        found.append(math.ceil(now * steps))
        before, now = now, now + max(now - before - 0.03, 0.06)
    return sorted({step for step in found if step < steps})


def _largest_rise(value: "Callable[[Tensor], Tensor]", radius: "Tensor", steps: int) -> "Tensor":
    """APGD: max value(ε) − value(0) over |ε| <= radius; (..., P) -> (...)."""
    import torch

    here = torch.zeros_like(radius)
    now, uphill = _with_gradient(value, here, radius)
    start = best = now
    best_at, best_uphill, previous = here, uphill, here
    size = torch.full_like(now, 2.0, dtype=radius.dtype)  # of a step, in radii
    risen = torch.zeros_like(now)  # steps that rose since the last check
    halved = torch.zeros_like(now, dtype=torch.bool)
    best_before, checked, checks = best, 0, set(checkpoints(steps))
    for step in range(1, steps + 1):
        moved = _moved(here, previous, uphill, size, radius, inertia=0.25 if step > 1 else 0.0)
        previous, here, before = here, moved, now
        if step == steps:
            with torch.no_grad():
                return torch.maximum(best, value(here)) - start
        now, uphill = _with_gradient(value, here, radius)
        risen = risen + (now > before)
        better = now > best
        # A NaN is handed on: what was found beside it is no maximum.
        best = torch.maximum(best, now)
        best_at = torch.where(better.unsqueeze(-1), here, best_at)
        best_uphill = torch.where(better.unsqueeze(-1), uphill, best_uphill)
        if step in checks:
            stuck = (risen < 0.75 * (step - checked)) | (~halved & (best == best_before))
            size = torch.where(stuck, size / 2, size)
            now = torch.where(stuck, best, now)
            here = torch.where(stuck.unsqueeze(-1), best_at, here)
            uphill = torch.where(stuck.unsqueeze(-1), best_uphill, uphill)
            halved, best_before, checked, risen = stuck, best, step, torch.zeros_like(risen)
    return best - start


def _moved(
    here: "Tensor",
    previous: "Tensor",
    uphill: "Tensor",
    size: "Tensor",
    radius: "Tensor",
    inertia: float,
) -> "Tensor":
    """A step from ``here``: along the gradient's signs, and on along the step before."""
    ahead = _clamped(here + size.unsqueeze(-1) * radius * uphill.sign(), radius)
    moved = here + (1 - inertia) * (ahead - here) + inertia * (here - previous)
    return _clamped(moved, radius)


def _with_gradient(
    value: "Callable[[Tensor], Tensor]", at: "Tensor", radius: "Tensor"
) -> "tuple[Tensor, Tensor]":
    """(..., P) -> values (...) and their gradients (..., P)."""
    import torch

    leaf = at.detach().requires_grad_()
    values = value(leaf)
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    # The sign of NaN is 0 in PyTorch: without this, an unknown direction would pass for a flat one.
    unknown = (gradient.isnan() & (radius > 0)).any(dim=-1)
    return values.detach().masked_fill(unknown, torch.nan), gradient


def _clamped(moved: "Tensor", radius: "Tensor") -> "Tensor":
    import torch

    return torch.maximum(torch.minimum(moved, radius), -radius)


# In a run.


def _measured(site: Site, task: str) -> "Tensor":
    _, targets = site.first(task)
    starts = range(0, len(targets) - BATCH + 1, BATCH)
    if not starts:
        raise too_few(len(targets), BATCH)
    return sharpness(
        site.loss(task),
        site.params,
        list(site.batches(task, [slice(start, start + BATCH) for start in starts])),
        rho=site.config.sharpness_rho,
        steps=site.config.apgd_steps,
    )


def _protocol(terms: Terms) -> str:
    batches = terms.examples // BATCH
    if not batches:
        return f"not measured: {terms.examples} examples are fewer than a batch of {BATCH}"
    return (
        "worst-case adaptive ℓ∞ sharpness (M24 Eq. 3), "
        f"ρ = {terms.config.sharpness_rho:g}, mean over {batches} batches of {BATCH}, each "
        f"maximised by {_steps(terms)}; on the first {batches * BATCH:,} training "
        f"examples of the task; {terms.theta}"
    )


def _steps(terms: Terms) -> str:
    """How many steps of APGD, and what fewer than the paper's lose where that is known."""
    steps = f"{terms.config.apgd_steps} steps of APGD"
    if terms.config.apgd_steps >= STEPS:
        return steps
    if terms.config.apgd_lost is None:
        return f"{steps} (the paper's are {STEPS}; what fewer lose was not measured here)"
    return f"{steps}, which find up to {terms.config.apgd_lost:g} % less than the paper's {STEPS}"


FACTOR = Factor(
    title="sharpness",
    about=r"""How much the loss of a batch can rise when every parameter may move by a thousandth
of itself: $\mathbb{E}_B \max_{|\varepsilon_i| \le \rho|\theta_i|} L_B(\theta+\varepsilon) -
L_B(\theta)$, $\rho = 10^{-3}$ unless a run's label says otherwise.""",
    measure=_measured,
    protocol=_protocol,
    least=0,
    explaining=True,
)
