"""Whether a factor can explain transfer: the rule of M24's Table 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mtl_core.analysis.loss_bins import comparable_replicas
from mtl_core.analysis.replicas import replicas
from mtl_core.analysis.significance import Comparison, Verdict
from mtl_core.analysis.transfer import transfer

__all__ = ["Case", "FactorVerdict", "Outcome", "panel_verdicts", "verdict"]

Outcome = Literal["can explain", "cannot explain", "nothing to explain", "not measured"]


@dataclass(frozen=True)
class Case:
    """Transfer and what came with it.

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
        refuted_by: names of the cases that do.
        reasons: a sentence for each of them.
    """

    factor: str
    outcome: Outcome
    refuted_by: tuple[str, ...]
    reasons: tuple[str, ...]


def verdict(factor: str, cases: Sequence[Case]) -> FactorVerdict:
    """Hold a factor against every case with significant transfer (M24 Table 1).

    Positive transfer must come with a significant improvement of the factor, negative transfer
    with a significant worsening; no significant change refutes as well. A case whose factor was
    not measured, or on fewer than two seeds, says nothing.

    The outcome is "nothing to explain" without significant transfer, which takes two seeds, and
    "not measured" where a significant case says nothing and none refutes.
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
    task: str,
    baseline: str,
    curves: Sequence[str],
    factors: Sequence[str] = ("sharpness", "fisher_trace", "gradient_covariance"),
    *,
    higher_is_better: bool = True,
) -> list[FactorVerdict]:
    """The verdict on each factor, from curves that share a baseline.

    A case is a curve: the paper's are the tasks of one setting, ours the auxiliaries of one
    target. Transfer is ``transfer``'s and the factor is compared at similar loss, ``comparable``.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        task: the target.
        baseline: the curve of single-task training; no case, should ``curves`` have it too.
        curves: the cases; those without transfer yet are passed over.
        factors: columns.
        higher_is_better: the direction of the target's metric.
    """
    cases: dict[str, list[Case]] = {factor: [] for factor in factors}
    seeds = replicas(trajectories, task)
    for curve in curves:
        if curve == baseline or curve not in seeds or baseline not in seeds:
            continue
        pair = trajectories[trajectories["curve"].isin([curve, baseline])]
        moved = transfer(pair, task, curve, baseline, higher_is_better=higher_is_better)
        if moved is None:
            continue
        for factor in factors:
            binned = comparable_replicas(seeds[curve], seeds[baseline], factor)
            cases[factor].append(Case(curve, moved, binned.comparison if binned else None))
    return [verdict(factor, cases[factor]) for factor in factors]


def _reason(factor: str, case: Case, change: Verdict) -> str:
    name = factor.replace("_", " ").replace("fisher", "Fisher")
    return f"{case.name}: {_TRANSFER[case.transfer.verdict]}, but {name} {_CHANGE[change]}"


_TRANSFER: Mapping[Verdict, str] = {"better": "positive transfer", "worse": "negative transfer"}
_CHANGE: Mapping[Verdict, str] = {
    "better": "improves",
    "worse": "worsens",
    "not significant": "does not change significantly",
}
