"""Transfer: which share of every solution each subproblem takes over before its step.

An iteration is θ_i ← Σ_j m_ij θ_j − α ∇F_i(θ_i) (Bai, Gupta & Ong 2024, MT2O, arXiv 2403.16162).
M is non-negative and row-stochastic. The full text of the algorithm is not at hand: **every M here
is our own choice**, after what is known of the authors' earlier MTES (IEEE T-Cyb 52(8)).
``averaged`` transfers nothing and is the control for those that do: its solutions begin at the mean
of their starts, and each is solved for on its own from there.

Where a subproblem keeps the share m_ii of its own solution, an iteration with a quadratic of
curvature L has m_ii − αL beside what it takes over, so it contracts for α < 2 m_ii / L only: less
than the 2 / L of a subproblem alone. Every rule states the least m_ii that it can come to
(``Rule.kept``, at least 0.1), and a learning rate must be below 2 ``kept`` / L.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import unknown
from mtl_core.optimizers.base import Option

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Rule", "State", "Transfer", "create", "names", "rule"]

State = dict[str, "Tensor"]
"""What a rule remembers, (S, ...) for S seeds."""


@dataclass(frozen=True)
class Rule:
    """A way to choose M.

    Args:
        about: one sentence for the page.
        kept: options to the least m_ii that it can come to.
        matrix: (S, N, N) of the transfer, the state and the 0-based iteration; None for none.
        observe: the transfer, the state, and the solutions (S, N, P) after the transfer and after
            the step that followed it to the next state; None where it does not matter.
        begin: the starts as they are drawn, (S, N, P), to where the solutions begin; None leaves
            them where they are. It belongs to the start: step 0 shows what it gives, and it takes
            no gradient evaluation.
    """

    title: str
    about: str
    options: tuple[Option, ...]
    kept: Callable[[Mapping[str, Any]], float]
    matrix: "Callable[[Transfer, State, int], Tensor] | None"
    observe: "Callable[[Transfer, State, Tensor, Tensor], State] | None" = None
    begin: "Callable[[Tensor], Tensor] | None" = None


@dataclass(frozen=True)
class Transfer:
    """A rule in use: its options and the neighbourhood that it works on. It has no state itself.

    Args:
        neighbours: (N, N) rows that sum to 1 with a diagonal of 0: from whom a subproblem takes;
            0 for a single solution.
    """

    rule: Rule
    options: Mapping[str, Any]
    neighbours: "Tensor"

    def begin(self, starts: "Tensor") -> "Tensor":
        """Where the solutions begin, (S, N, P), of the starts as they are drawn."""
        return starts if self.rule.begin is None else self.rule.begin(starts)

    def start(self, solutions: "Tensor") -> State:
        """The state before the first iteration, of solutions (S, N, P)."""
        if self.rule.observe is None:
            return {}
        distance = _distances(solutions)
        return {"approach": distance * 0, "spread": _mean_distance(distance)}

    def matrix(self, state: State, iteration: int) -> "Tensor | None":
        """M of a 0-based iteration, (S, N, N) or (1, N, N); None where every row keeps its own."""
        if self.rule.matrix is None or len(self.neighbours) == 1:
            return None
        return self.rule.matrix(self, state, iteration)

    def observe(self, state: State, mixed: "Tensor", moved: "Tensor") -> State:
        """The state after an iteration.

        Args:
            mixed: (S, N, P), M θ: the solutions after the transfer.
            moved: (S, N, P), after the step from there.
        """
        if self.rule.observe is None or len(self.neighbours) == 1:
            return state
        return self.rule.observe(self, state, mixed, moved)


def create(
    name: str, weights: NDArray[np.float64], device: Any = "cpu", **options: Any
) -> Transfer:
    """The rule called ``name`` among the preferences ``weights``, (N, K).

    Raises:
        InputError: for an unknown rule or option, or a value that it may not have.
    """
    found, values = rule(name), checked(name, options)
    return Transfer(found, values, _neighbours(name, weights, values, device))


def names() -> list[str]:
    """All rules, the one without transfer first."""
    return list(_RULES)


def rule(name: str) -> Rule:
    """The rule called ``name``; raises InputError with the ones there are."""
    try:
        return _RULES[name]
    except (KeyError, TypeError):
        raise unknown("transfer", name, _RULES) from None


def checked(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a rule, with defaults for those that are not given; raises InputError."""
    known = {option.name: option for option in rule(name).options}
    for given in options:
        if given not in known:
            raise unknown(f"option of transfer {name!r}", given, known or ("(it has none)",))
    return {
        option.name: option.check(name, options.get(option.name, option.default), kind="transfer")
        for option in known.values()
    }


def _mean(starts: "Tensor") -> "Tensor":
    """The mean of a seed's starts, for each of its solutions; exact where all starts are equal."""
    first = starts[:, :1]
    return (first + (starts - first).mean(dim=1, keepdim=True)).expand_as(starts).contiguous()


def _constant(transfer: Transfer, _: State, __: int) -> "Tensor":
    return _blend(transfer.neighbours[None], transfer.options["strength"])


def _decay(transfer: Transfer, _: State, iteration: int) -> "Tensor":
    strength = transfer.options["strength"] / (1 + iteration / transfer.options["halving"])
    return _blend(transfer.neighbours[None], strength)


def _blend(neighbours: "Tensor", strength: float) -> "Tensor":
    import torch

    kept = torch.eye(neighbours.shape[-1], dtype=neighbours.dtype, device=neighbours.device)
    return (1 - strength) * kept + strength * neighbours


def _adaptive(transfer: Transfer, state: State, _: int) -> "Tensor":
    """m_ij = m̃_ij / (Σ_k m̃_ik + d0_i), and no more than 1 − ``keep`` in a row."""
    import torch

    approach = state["approach"].clamp(min=0)
    total = approach.sum(dim=-1, keepdim=True)
    smallest = torch.finfo(approach.dtype).tiny
    scale = (total + transfer.options["floor"] * state["spread"]).clamp(min=smallest)
    shares = approach / scale
    taken = shares.sum(dim=-1, keepdim=True)
    shares = shares * ((1 - transfer.options["keep"]) / taken.clamp(min=smallest)).clamp(max=1)
    matrix: Tensor = shares + torch.diag_embed(1 - shares.sum(dim=-1))
    return matrix


def _approached(transfer: Transfer, state: State, mixed: "Tensor", moved: "Tensor") -> State:
    import torch

    now = _distances(moved)
    memory = transfer.options["memory"]
    approach = memory * state["approach"] + (1 - memory) * (_distances(mixed) - now)
    return {"approach": approach, "spread": torch.maximum(state["spread"], _mean_distance(now))}


LONG = 1_000
"""With so many parameters a pair's distance takes longer to compute than to launch."""


def _distances(solutions: "Tensor") -> "Tensor":
    """(..., N, P) -> (..., N, N), Euclidean; by differences, since neighbours may be close."""
    import torch

    count, length = solutions.shape[-2:]
    if length >= LONG:
        # Each pair once and in vector registers: a tenth of the time, for networks.
        row, column = torch.triu_indices(count, count, 1, device=solutions.device)
        upper = solutions.new_zeros(*solutions.shape[:-1], count)
        for place in np.ndindex(solutions.shape[:-2]):
            upper[place][row, column] = torch.nn.functional.pdist(solutions[place])
        return upper + upper.mT
    mode = "donot_use_mm_for_euclid_dist"
    distance: Tensor = torch.cdist(solutions, solutions, compute_mode=mode)
    return distance


def _mean_distance(distance: "Tensor") -> "Tensor":
    """(..., N, 1): of each solution to the others."""
    return distance.sum(dim=-1, keepdim=True) / max(distance.shape[-1] - 1, 1)


def _neighbours(
    name: str, weights: NDArray[np.float64], options: Mapping[str, Any], device: Any
) -> "Tensor":
    import torch

    count = len(weights)
    apart = np.sqrt(np.square(weights[:, None] - weights[None]).sum(axis=2))
    others = ~np.eye(count, dtype=bool)
    if name == "constant":
        # All at the distance of the k-th nearest belong to them, so that ends resemble the middle.
        order = np.sort(np.where(others, apart, np.inf).round(9), axis=1)
        farthest = order[:, min(options["neighbours"], max(count - 1, 1)) - 1][:, None]
        near = (others & (apart.round(9) <= farthest)).astype(float)
    elif name == "decay":
        near = np.exp(-np.square(apart / max(apart.max(), 1e-12) / options["width"])) * others
    else:
        near = others.astype(float)
    total = near.sum(axis=1, keepdims=True)
    return torch.from_numpy(near / np.where(total > 0, total, 1)).to(device)


_STRENGTH = Option(
    "strength", 0.5, "the share that a subproblem takes over from others.", least=0.0, most=0.9
)

_RULES: Mapping[str, Rule] = {
    "independent": Rule(
        "Independent",
        "No transfer: M = I, every trade-off is solved on its own.",
        (),
        lambda _: 1.0,
        None,
    ),
    "averaged": Rule(
        "Averaged start",
        "All start at the mean of their random starts, and nothing is transferred after that: the "
        "control that tells what a transfer gives from what averaging the starts gives.",
        (),
        lambda _: 1.0,
        None,
        begin=_mean,
    ),
    "constant": Rule(
        "Constant",
        "Always the same share of the nearest trade-offs; quick at first, but it stops short of "
        "the front, because its fixed points are not the optima.",
        (
            Option("strength", 0.3, _STRENGTH.about, least=0.0, most=0.9),
            Option("neighbours", 2, "how many of the nearest preferences.", least=1, most=1_000),
        ),
        lambda options: 1 - float(options["strength"]),
        _constant,
    ),
    "decay": Rule(
        "Decaying",
        "A share of the neighbours that fades as 1 / iteration, and with it the bias.",
        (
            _STRENGTH,
            Option("halving", 10.0, "iterations until the share is half.", least=1.0, most=1e6),
            Option(
                "width",
                0.1,
                "of the neighbourhood, as a share of the largest distance of two preferences.",
                least=0.01,
                most=10.0,
            ),
        ),
        lambda options: 1 - float(options["strength"]),
        _decay,
    ),
    "adaptive": Rule(
        "Adaptive",
        "From those that its own step approaches, and nothing where solutions drift apart.",
        (
            Option("keep", 0.5, "the least share of its own solution.", least=0.1, most=1.0),
            Option(
                "floor",
                1.0,
                "what approaches are compared with, in units of the distance between solutions.",
                least=0.001,
                most=1e6,
            ),
            Option(
                "memory",
                0.5,
                "how much of earlier approaches is remembered.",
                least=0.0,
                below=1,
            ),
        ),
        lambda options: float(options["keep"]),
        _adaptive,
        _approached,
    ),
}
"""What each rule does and why.

``adaptive`` is MTES's rule with two changes. m̃_ij = max(0, d_ij − d'_ij) is how much nearer the
*steps* bring two solutions: d is measured after the transfer and d' after the step that follows.
MTES compares the distances of two iterations, in which the transfer's own contraction counts as an
approach and feeds itself; on the toy problem that collapses the front. Measured so, two solutions
that rest do so at their own optima: the transfer pulls them together and the steps must undo it,
so nothing approaches and M = I. And the normaliser d0, the distance at the start, is the largest
mean distance that a solution has had to the others so far: networks start from one point, where d0
would be 0 and M all transfer. There the first iterations only drift apart and M = I; transfer
begins where steps cross, as when noise or the edge of Tchebycheff sends two solutions towards each
other. Approaches are averaged over some steps with their signs, so what only jitters counts less.
"""
