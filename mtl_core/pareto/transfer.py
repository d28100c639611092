"""Transfers: how much of each other solution goes into one, at every iteration of MT2O.

Multi-task gradient descent moves θ_i to Σ_j m_ij θ_j - α ∇F_i(θ_i) (Bai, Gupta & Ong 2024). The
text of the algorithm is not at hand: the matrices here are our choice. All are non-negative with
rows that sum to 1, and keep at least ``1 - strength`` of a solution itself, since a step α is
stable only below 2 m_ii / L, for losses whose gradients change by L per unit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mtl_core.errors import InputError, unknown

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["State", "Transfer", "advance", "descend", "names", "start"]


@dataclass(frozen=True)
class Transfer:
    """A rule and its options.

    Args:
        strength: the largest share of others in a solution, in [0, 1).
        width: of the neighbourhood: the standard deviation of a Gaussian of the distance between
            preferences, where the simplex's corners are at distance 1.
        iterations: after so many a decaying transfer is a quarter of what it was at first.
    """

    name: str
    strength: float = 0.5
    width: float = 0.2
    iterations: int = 20

    def __post_init__(self) -> None:
        if self.name not in _RULES:
            raise unknown("transfer", self.name, _RULES)
        if not 0 <= self.strength < 1:
            raise InputError(f"transfer strength {self.strength!r} must be at least 0 and below 1")
        if not self.width > 0:
            raise InputError(f"transfer width {self.width!r} must be above 0")
        if self.iterations < 1:
            raise InputError(f"transfer iterations {self.iterations!r} must be at least 1")


@dataclass(frozen=True)
class State:
    """What a rule carries from one iteration to the next.

    Args:
        preferences: (N, K).
        matrix: M of the next iteration, (..., N, N).
        iteration: how many there were.
        normalizer: d0 of the adaptive rule, (..., N, 1).
    """

    preferences: "Tensor"
    matrix: "Tensor"
    iteration: int
    normalizer: "Tensor"


def names() -> list[str]:
    """All transfers."""
    return list(_RULES)


def start(transfer: Transfer, preferences: "Tensor", solutions: "Tensor") -> State:
    """Before the first iteration.

    Args:
        preferences: (N, K).
        solutions: parameters of each, (..., N, D).
    """
    import torch

    apart = torch.cdist(solutions, solutions)
    identity = torch.eye(len(preferences), dtype=solutions.dtype, device=solutions.device)
    state = State(
        preferences.to(solutions),
        identity.expand_as(apart),
        iteration=0,
        normalizer=_mean_of_others(apart),
    )
    return replace(state, matrix=_RULES[transfer.name](transfer, state, None, None))


def descend(state: State, transfer: Transfer, solutions: "Tensor", steps: "Tensor") -> "Tensor":
    """The solutions after one iteration: M θ - steps, (..., N, D).

    Args:
        steps: α ∇F_i(θ_i), taken at the solutions before the transfer, (..., N, D).
    """
    if transfer.name == "none":
        return solutions - steps  # the identity's product need not be exact
    return state.matrix @ solutions - steps


def advance(state: State, transfer: Transfer, after: "Tensor", steps: "Tensor") -> State:
    """The state for the next iteration.

    Args:
        after: what ``descend`` gave.
        steps: what it was given.
    """
    following = replace(state, iteration=state.iteration + 1)
    if transfer.name != "adaptive":
        matrix = _RULES[transfer.name](transfer, following, None, None)
        return replace(following, matrix=matrix)
    import torch

    before, now = torch.cdist(after + steps, after + steps), torch.cdist(after, after)
    wider = torch.maximum(state.normalizer, _mean_of_others(now))
    following = replace(following, normalizer=wider)
    return replace(following, matrix=_adaptive(transfer, following, before, now))


def _none(
    transfer: Transfer, state: State, before: "Tensor | None", now: "Tensor | None"
) -> "Tensor":
    """M = I: independent scalarization."""
    import torch

    return torch.eye(
        state.matrix.shape[-1], dtype=state.matrix.dtype, device=state.matrix.device
    ).expand_as(state.matrix)


def _constant(
    transfer: Transfer, state: State, before: "Tensor | None", now: "Tensor | None"
) -> "Tensor":
    """Always the same share of the neighbours: its fixed point is not the subproblems' optimum."""
    return _mixed(state, transfer.strength, transfer.width)


def _decay(
    transfer: Transfer, state: State, before: "Tensor | None", now: "Tensor | None"
) -> "Tensor":
    """A share of the neighbours that falls as 1/t², so that all of it is finite and unbiased."""
    share = transfer.strength / (1 + state.iteration / transfer.iterations) ** 2
    return _mixed(state, share, transfer.width)


def _adaptive(
    transfer: Transfer, state: State, before: "Tensor | None", now: "Tensor | None"
) -> "Tensor":
    """m_ij from how far j's gradient brought it closer to i (MTES, IEEE T-Cyb 52(8)).

    m̃_ij = max(0, d_ij before - d_ij after), m_ij = m̃_ij / (Σ_k m̃_ik + d0_i). As the original has
    it, the approach would include the averaging's own, which then feeds itself until the solutions
    coincide; here it is that of the gradient steps alone. d0_i is the largest mean distance to the
    others so far instead of the first, which is 0 where all share one start.
    """
    if before is None or now is None:
        return _none(transfer, state, before, now)
    closer = (before - now).clamp_min(0)
    closer.diagonal(dim1=-2, dim2=-1).zero_()
    tiny = 1e-300 if closer.dtype.itemsize == 8 else 1e-30
    shares = closer / (closer.sum(dim=-1, keepdim=True) + state.normalizer + tiny)
    total = shares.sum(dim=-1, keepdim=True)
    return _completed(shares * (transfer.strength / total.clamp_min(transfer.strength + tiny)))


def _mixed(state: State, share: float, width: float) -> "Tensor":
    import torch

    # The corners of the simplex are √2 apart.
    apart = torch.cdist(state.preferences, state.preferences) / 2**0.5
    near = (-0.5 * (apart / width) ** 2).exp()
    near.diagonal().zero_()
    near = near / near.sum(dim=-1, keepdim=True).clamp_min(1e-30)
    return _completed(share * near).expand_as(state.matrix)


def _completed(shares: "Tensor") -> "Tensor":
    """With what is missing to 1 in each row kept by the solution itself."""
    import torch

    return shares + torch.diag_embed(1 - shares.sum(dim=-1))


def _mean_of_others(apart: "Tensor") -> "Tensor":
    return apart.sum(dim=-1, keepdim=True) / max(apart.shape[-1] - 1, 1)


_RULES: Mapping[str, Callable[..., "Tensor"]] = {
    "decay": _decay,
    "adaptive": _adaptive,
    "constant": _constant,
    "none": _none,
}
