"""Whether a factor can explain transfer: the rule of M24's Table 1."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import pandas as pd

from mtl_core import factors as registry
from mtl_core.analysis.loss_bins import comparable_replicas
from mtl_core.analysis.replicas import replicas
from mtl_core.analysis.significance import Comparison, Verdict
from mtl_core.analysis.transfer import transfer_replicas
from mtl_core.analysis.versus import Versus

__all__ = ["Case", "FactorVerdict", "Outcome", "panel_verdicts", "verdict"]

Outcome = Literal["can explain", "cannot explain", "nothing to explain", "not measured"]


@dataclass(frozen=True)
class Case:
    """A transfer, and the change of a factor that came with it.

    Attributes:
        name: a task, as in the paper, or a curve.
        transfer: of the target's test metric.
        factor: of the factor, "better" being its improvement; None where it was not measured.
    """

    name: str
    transfer: Comparison
    factor: Comparison | None


@dataclass(frozen=True)
class FactorVerdict:
    """What the cases say about one factor.

    Attributes:
        factor: its column.
        outcome: "can explain" only says that no case speaks against it.
        refuted_by: names of the cases that speak against it.
        reasons: a sentence for each of them.
    """

    factor: str
    outcome: Outcome
    refuted_by: tuple[str, ...]
    reasons: tuple[str, ...]


def verdict(factor: str, cases: Sequence[Case]) -> FactorVerdict:
    """Hold a factor against every case with significant transfer (M24 Table 1).

    Positive transfer must come with a significant improvement of the factor, negative transfer
    with a significant worsening; a factor that does not change significantly is refuted as well.
    A case whose factor was not measured, or on fewer than two seeds, says nothing.

    The outcome is "nothing to explain" without significant transfer, which takes two seeds, and
    "not measured" where a significant case says nothing and no case refutes.
    """
    significant = [case for case in cases if case.transfer.verdict in _TRANSFER]
    telling = [
        (case, case.factor.verdict)
        for case in significant
        if case.factor is not None and case.factor.verdict in _CHANGE
    ]
    refuting = [(case, change) for case, change in telling if change != case.transfer.verdict]
    outcome: Outcome
    if not significant:
        outcome = "nothing to explain"
    elif refuting:
        outcome = "cannot explain"
    else:
        outcome = "can explain" if len(telling) == len(significant) else "not measured"
    return FactorVerdict(
        factor=factor,
        outcome=outcome,
        refuted_by=tuple(case.name for case, _ in refuting),
        reasons=tuple(_reason(factor, case, change) for case, change in refuting),
    )


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
    cases: dict[str, list[Case]] = {factor: [] for factor in factors}
    curves = cache(partial(replicas, trajectories))  # of a task; most pairs share theirs
    for pair in pairs:
        if pair.curve == pair.baseline:
            continue
        seeds = curves(pair.task)
        ours, theirs = seeds.get(pair.curve, []), seeds.get(pair.baseline, [])
        moved = transfer_replicas(ours, theirs, pair.direction)
        if moved is None:
            continue
        for factor in factors:
            binned = comparable_replicas(ours, theirs, factor)
            cases[factor].append(Case(pair.curve, moved, binned.comparison if binned else None))
    return [verdict(factor, cases[factor]) for factor in factors]


def _reason(factor: str, case: Case, change: Verdict) -> str:
    title = registry.get(factor).title
    return f"{case.name}: {_TRANSFER[case.transfer.verdict]}, but {title} {_CHANGE[change]}"


_TRANSFER: Mapping[Verdict, str] = {"better": "positive transfer", "worse": "negative transfer"}
_CHANGE: Mapping[Verdict, str] = {
    "better": "improves",
    "worse": "worsens",
    "not significant": "does not change significantly",
}
