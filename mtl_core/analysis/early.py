"""Does transfer show early, as a generalization gap, and stay? M24's §3, as a count over tasks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mtl_core.analysis.loss_matching import common_reach
from mtl_core.analysis.onset import Onset, beginning, onset
from mtl_core.analysis.replicas import Rows
from mtl_core.analysis.significance import Comparison, judged
from mtl_core.analysis.transfer import transfer
from mtl_core.analysis.versus import Versus

__all__ = [
    "EARLY_LOSS",
    "EarlyVerdict",
    "Finding",
    "GapCase",
    "early_verdict",
    "far_verdict",
    "gap_case",
    "judged_cases",
]

Finding = Literal["agree", "disagree", "cannot tell"]
"""What the runs here say of a claim. Each of the first two takes evidence; its absence is none."""

EARLY_LOSS = 0.1
"""M24 finds gaps "as early as 10^0 or 10^-1": a gap that opens above this loss is early."""


@dataclass(frozen=True)
class GapCase:
    """A multi-task run of a task against its single-task run.

    Attributes:
        name: of the case.
        transfer: of the test metric; None where it is not known.
        onset: where their gap opens for good; None where it is not significant at the end.
        highest: the highest training loss that every seed of both passed through; NaN
            where there is none.
        lowest: the lowest such loss.
        beginning: the gap at ``EARLY_LOSS`` less half of the gap at the end (see
            ``onset.beginning``); None where that loss was not passed through.
    """

    name: str
    transfer: Comparison | None
    onset: Onset | None
    highest: float
    lowest: float
    beginning: Comparison | None = None

    @property
    def significant(self) -> bool:
        """Whether there is a transfer to be seen early."""
        return self.transfer is not None and self.transfer.significant

    @property
    def telling(self) -> bool:
        """Whether the way down is long enough to tell early from late: a decade below early."""
        return self.lowest <= EARLY_LOSS / 10 and self.highest > EARLY_LOSS

    @property
    def share(self) -> float:
        """Where the gap opens, as a share of the way down in log loss: 0 at its beginning."""
        if self.onset is None or not self.highest > self.lowest:
            return math.nan
        return math.log(self.highest / self.onset.train_loss) / math.log(self.highest / self.lowest)

    @property
    def early(self) -> bool:
        """Whether a gap of the transfer's sign opens above ``EARLY_LOSS``, and stays."""
        return (
            self.significant
            and self.telling
            and self.onset is not None
            and self.transfer is not None
            and self.onset.verdict == self.transfer.verdict
            and self.onset.train_loss >= EARLY_LOSS
        )

    @property
    def late(self) -> bool:
        """Whether less than half of the gap at the end certainly was there at ``EARLY_LOSS``.

        That no early gap was found would not say so; and a gap that opens early and grows later is
        not late.
        """
        return (
            self.significant
            and not self.early
            and self.telling
            and self.transfer is not None
            and self.beginning is not None
            and self.beginning.significant
            and self.beginning.verdict != self.transfer.verdict
        )


@dataclass(frozen=True)
class EarlyVerdict:
    """What the cases say of M24's claim.

    Attributes:
        outcome: ``agree`` where every significant transfer that can tell opens early, ``disagree``
            where one certainly opens late.
        early: cases whose significant transfer opens early.
        late: cases whose significant transfer certainly opens late.
        significant: cases with significant transfer.
        telling: those of them whose way down is long enough to tell early from late.
        cases: how many cases there are in all.
        judged: how many transfers were judged together (Holm).
    """

    outcome: Finding
    early: tuple[str, ...]
    late: tuple[str, ...]
    significant: tuple[str, ...]
    telling: tuple[str, ...]
    cases: int
    judged: int


def gap_case(trajectories: Rows, versus: Versus, *, name: str | None = None) -> GapCase:
    """The case that a curve and its baseline make.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        versus: the curve, its baseline and the task.
        name: of the case; the task by default.
    """
    ours, theirs = versus.sides(trajectories)
    reach = common_reach(ours + theirs) if ours and theirs else None
    highest, lowest = reach or (math.nan, math.nan)
    return GapCase(
        name or versus.task,
        transfer(trajectories, versus),
        onset(trajectories, versus),
        highest,
        lowest,
        beginning=beginning(trajectories, versus, EARLY_LOSS),
    )


def judged_cases(cases: Sequence[GapCase]) -> list[GapCase]:
    """The same cases, their transfers judged as one family and their beginnings as another."""
    moved = judged([case.transfer for case in cases])
    begun = judged([case.beginning for case in cases])
    return [
        replace(case, transfer=one, beginning=start)
        for case, one, start in zip(cases, moved, begun, strict=True)
    ]


def early_verdict(cases: Sequence[GapCase]) -> EarlyVerdict:
    """Hold the claim against every case with significant transfer.

    Args:
        cases: of one page, which are judged together.
    """
    cases = judged_cases(cases)
    significant = [case for case in cases if case.significant]
    telling = [case for case in significant if case.telling]
    early = [case for case in telling if case.early]
    late = [case for case in telling if case.late]
    outcome: Finding
    if late:
        outcome = "disagree"
    elif telling and len(early) == len(telling):
        outcome = "agree"
    else:
        outcome = "cannot tell"
    family = max((case.transfer.family for case in cases if case.transfer), default=0)
    return EarlyVerdict(
        outcome,
        early=_names(early),
        late=_names(late),
        significant=_names(significant),
        telling=_names(telling),
        cases=len(cases),
        judged=family,
    )


def far_verdict(
    cases: Sequence[GapCase], beginnings: Sequence[Comparison | None], times: float
) -> Finding:
    """Whether gaps open at a training loss many times the last one.

    Cases whose way down is not that long, or whose transfer is not significant, tell nothing. The
    others agree where each one's gap opens at ``times`` its lowest loss or above, and disagree
    where less than half of one's gap certainly was there by then.

    Args:
        cases: judged together (``judged_cases``).
        beginnings: of each case, ``onset.beginning`` at ``times`` its lowest loss, judged together.
        times: 1,000 for three orders of magnitude.
    """
    telling = [
        (case, begun)
        for case, begun in zip(cases, beginnings, strict=True)
        if case.significant and case.highest > times * case.lowest
    ]
    if any(_opposite(case, begun) for case, begun in telling):
        return "disagree"
    if telling and all(
        case.onset is not None
        and case.transfer is not None
        and case.onset.verdict == case.transfer.verdict
        and case.onset.train_loss >= times * case.lowest
        for case, _ in telling
    ):
        return "agree"
    return "cannot tell"


def _opposite(case: GapCase, begun: Comparison | None) -> bool:
    return (
        begun is not None
        and case.transfer is not None
        and begun.significant
        and begun.verdict != case.transfer.verdict
    )


def _names(cases: Sequence[GapCase]) -> tuple[str, ...]:
    return tuple(case.name for case in cases)
