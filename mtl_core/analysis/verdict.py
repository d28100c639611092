"""Whether a factor can explain transfer: M24's Table 1, and what it takes to say so.

The paper lets a factor that does not change significantly refute an explanation. But that no change
was found is no evidence that there is none: with few seeds it says little about any factor. Here a
factor is refuted by moving the other way, and an outcome takes transfers of both signs, since a
factor that always moves one way agrees with all transfers of one sign.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

import numpy as np
import pandas as pd

from mtl_core import factors as registry
from mtl_core.analysis.early import Finding
from mtl_core.analysis.loss_bins import comparable_replicas
from mtl_core.analysis.replicas import replicas, whole_numbers
from mtl_core.analysis.significance import Comparison, Verdict, judged
from mtl_core.analysis.transfer import transfer_replicas
from mtl_core.analysis.versus import Versus

__all__ = [
    "DEEP",
    "FEWEST_SEEDS",
    "Case",
    "FactorVerdict",
    "Outcome",
    "factor_support",
    "factor_verdicts",
    "lowest_loss",
    "panel_verdicts",
    "paper_verdict",
]

Outcome = Literal["can explain", "moves the other way", "no change found", "not enough to tell"]

FEWEST_SEEDS = 3
"""A side, for an outcome."""
DEEP = 1e-2
"""Training loss below which both curves must have come for an outcome."""


@dataclass(frozen=True)
class Case:
    """A transfer, and the change of a factor that came with it.

    Attributes:
        name: a task, as in the paper, or a curve.
        transfer: of the target's test metric.
        factors: of each factor, "better" being its improvement; None where it was not measured.
        lowest: the lowest training loss that both curves reached, means over seeds.
    """

    name: str
    transfer: Comparison
    factors: Mapping[str, Comparison | None]
    lowest: float


@dataclass(frozen=True)
class FactorVerdict:
    """What the cases say about one factor.

    Attributes:
        factor: its column.
        outcome: ``moves the other way`` where a significant transfer comes with a significant
            change that should have come with the opposite one; ``can explain`` where every one
            comes with the change that it should; ``no change found`` where some come with no
            significant one; ``not enough to tell`` where ``missing`` says.
        against: names of the cases that move the other way, or with no change found.
        reasons: a sentence for each of them.
        missing: what an outcome would take.
        judged: how many changes of factors were judged together (Holm).
    """

    factor: str
    outcome: Outcome
    against: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    judged: int = 0


def factor_verdicts(
    cases: Sequence[Case], factors: Sequence[str] = tuple(registry.explaining())
) -> list[FactorVerdict]:
    """Hold factors against every case with significant transfer.

    Positive transfer must come with a significant improvement of the factor, negative transfer
    with a significant worsening. All transfers are judged together, and so are all changes of all
    factors (``judged``), so that the chance of any false outcome among them is at most 5 %.

    An outcome takes significant transfers of both signs, each of at least three seeds a side and
    with training losses below 10⁻², and the factor measured on as many seeds in all of them.
    """
    moved = judged([case.transfer for case in cases])
    significant = [
        replace(case, transfer=one)
        for case, one in zip(cases, moved, strict=True)
        if one.significant
    ]
    missing = _missing(significant, len(cases))
    changes = judged([case.factors.get(name) for name in factors for case in significant])
    found = []
    for place, name in enumerate(factors):
        own = changes[place * len(significant) : (place + 1) * len(significant)]
        found.append(_verdict(name, significant, own, missing))
    return found


def factor_support(verdicts: Sequence[FactorVerdict]) -> Finding:
    """Whether verdicts agree with the claim that no factor explains transfer.

    They agree where every factor moves the other way somewhere, and disagree where one can explain
    every transfer.
    """
    outcomes = {found.outcome for found in verdicts}
    if "can explain" in outcomes:
        return "disagree"
    return "agree" if outcomes == {"moves the other way"} else "cannot tell"


def paper_verdict(factor: str, cases: Sequence[Case]) -> tuple[str, ...] | None:
    """The cases that refute a factor by the paper's own rule (M24 Table 1, App. C).

    Changes are significant where mean ± 2 SD do not overlap, and a factor that does not change
    significantly is refuted as well.

    Returns:
        None without a significant transfer, or where a factor was not measured in one of them.
    """
    significant = [case for case in cases if case.transfer.paper in _TRANSFER]
    pairs = [(case, case.factors.get(factor)) for case in significant]
    if not pairs or any(change is None or change.paper not in _CHANGE for _, change in pairs):
        return None
    return tuple(
        case.name for case, change in pairs if change and change.paper != case.transfer.paper
    )


def lowest_loss(ours: Sequence[pd.DataFrame], theirs: Sequence[pd.DataFrame]) -> float:
    """The lowest training loss after a whole epoch that both curves reached, means over seeds."""
    means = []
    for seeds in (ours, theirs):
        losses = [whole_numbers(replica, "train_loss")[0] for replica in seeds]
        known = [each[np.isfinite(each)] for each in losses]
        means.append(
            float(np.mean([each.min() for each in known]))
            if known and all(each.size for each in known)
            else np.inf
        )
    return max(means)


def panel_verdicts(
    trajectories: pd.DataFrame,
    pairs: Iterable[Versus],
    factors: Sequence[str] = tuple(registry.explaining()),
) -> list[FactorVerdict]:
    """The verdict on each factor, from several curves and their baselines.

    A case is a curve: the paper's are the tasks of one setting, ours the auxiliaries of one
    target. Transfer is ``transfer``'s and the factor is compared at similar loss, ``comparable``.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        pairs: a case each, named for its curve. Those without transfer yet are passed over, and
            so is a baseline against itself.
        factors: columns.
    """
    cases: list[Case] = []
    curves = cache(partial(replicas, trajectories))  # of a task; most pairs share theirs
    for pair in pairs:
        if pair.curve == pair.baseline:
            continue
        seeds = curves(pair.task)
        ours, theirs = seeds.get(pair.curve, []), seeds.get(pair.baseline, [])
        moved = transfer_replicas(ours, theirs, pair.direction)
        if moved is None:
            continue
        binned = {name: comparable_replicas(ours, theirs, name) for name in factors}
        changes = {name: found.comparison if found else None for name, found in binned.items()}
        cases.append(Case(pair.curve, moved, changes, lowest_loss(ours, theirs)))
    return factor_verdicts(cases, factors)


def _missing(significant: Sequence[Case], cases: int) -> tuple[str, ...]:
    """What an outcome would take that is not there, whatever the factor."""
    missing = []
    signs = {case.transfer.verdict for case in significant}
    if not significant:
        missing.append(
            f"none of the {cases} transfers is significant"
            if cases > 1
            else "the transfer is not significant"
            if cases
            else "there is no transfer"
        )
    elif len(signs) == 1:
        other = "negative" if "better" in signs else "positive"
        missing.append(f"there is no significant {other} transfer")
    few = [
        case.name
        for case in significant
        if min(case.transfer.seeds, case.transfer.baseline_seeds) < FEWEST_SEEDS
    ]
    if few:
        missing.append(f"fewer than {FEWEST_SEEDS} seeds: {', '.join(few)}")
    high = [case.name for case in significant if not case.lowest < DEEP]
    if high:
        missing.append(f"training loss not below {DEEP:g}: {', '.join(high)}")
    return tuple(missing)


def _verdict(
    factor: str,
    cases: Sequence[Case],
    changes: Sequence[Comparison | None],
    missing: tuple[str, ...],
) -> FactorVerdict:
    """The verdict on one factor from the significant cases and its judged changes."""
    unknown = [
        case.name
        for case, change in zip(cases, changes, strict=True)
        if change is None or min(change.seeds, change.baseline_seeds) < FEWEST_SEEDS
    ]
    if unknown:
        missing = (*missing, f"not known on {FEWEST_SEEDS} seeds: {', '.join(unknown)}")
    count = max((change.family for change in changes if change), default=0)
    if missing:
        return FactorVerdict(factor, "not enough to tell", missing=missing, judged=count)
    known = [(case, change) for case, change in zip(cases, changes, strict=True) if change]
    other = [pair for pair in known if _opposite(*pair)]
    open_ones = [pair for pair in known if not pair[1].significant]
    outcome: Outcome = "can explain"
    if other:
        outcome = "moves the other way"
    elif open_ones:
        outcome = "no change found"
    against = other or open_ones
    return FactorVerdict(
        factor,
        outcome,
        tuple(case.name for case, _ in against),
        tuple(_reason(factor, case, change) for case, change in against),
        judged=count,
    )


def _opposite(case: Case, change: Comparison) -> bool:
    return change.significant and change.verdict != case.transfer.verdict


def _reason(factor: str, case: Case, change: Comparison) -> str:
    title = (
        registry.get(factor).title if factor in registry.names() else _TITLES.get(factor, factor)
    )
    words = f"{case.name}: {_TRANSFER[case.transfer.verdict]}, but {title} "
    if change.significant:
        return words + _CHANGE[change.verdict]
    return words + f"changes by anything from {change.low:+.2g} to {change.high:+.2g}"


_TITLES = {"min_train_loss": "minimum training loss"}
"""Of Fig. 4's factor that is none of the registry's."""
_TRANSFER: Mapping[Verdict, str] = {"better": "positive transfer", "worse": "negative transfer"}
_CHANGE: Mapping[Verdict, str] = {
    "better": "improves",
    "worse": "worsens",
    "not significant": "does not change significantly",
}
