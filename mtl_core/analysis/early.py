"""Does transfer show early, as a generalization gap, and stay? M24's §3, as a count over tasks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mtl_core.analysis.aggregates import aggregate_comparison
from mtl_core.analysis.loss_matching import common_reach
from mtl_core.analysis.onset import Onset, onset
from mtl_core.analysis.significance import Comparison
from mtl_core.analysis.versus import Versus

__all__ = ["EarlyVerdict", "GapCase", "Support", "early_verdict", "gap_case"]

Support = Literal["supports", "supports in part", "does not support", "not enough"]


@dataclass(frozen=True)
class GapCase:
    """A multi-task run of a task against its single-task run.

    Attributes:
        name: of the case.
        transfer: of the test metric, by footnote 7; None where it is not known.
        onset: where their gap opens for good; None where it is not significant at the end.
        highest: the highest training loss that every seed of both passed through; NaN
            where there is none.
        lowest: the lowest such loss.
    """

    name: str
    transfer: Comparison | None
    onset: Onset | None
    highest: float
    lowest: float

    @property
    def significant(self) -> bool:
        """Whether there is a transfer to be seen early."""
        return self.transfer is not None and self.transfer.verdict in ("better", "worse")

    @property
    def halfway(self) -> float:
        """Half of the way down in log loss: the geometric mean of ``highest`` and ``lowest``."""
        return math.sqrt(self.highest * self.lowest)

    @property
    def early(self) -> bool:
        """Whether a gap of the transfer's sign opens in the first half of the way down, and stays.

        M24 finds gaps "as early as 10^0 or 10^-1", up to six orders of magnitude above the final
        loss, and gives no threshold; half of the way in log loss is ours. It moves with the loss
        at which the runs end: what is early on a long way down may be late on a short one.
        """
        return (
            self.significant
            and self.onset is not None
            and self.transfer is not None
            and self.onset.verdict == self.transfer.verdict
            and self.onset.train_loss >= self.halfway
        )


@dataclass(frozen=True)
class EarlyVerdict:
    """What the cases say of M24's claim.

    Attributes:
        outcome: ``supports`` where every significant transfer opens early, ``supports in part``
            where more than half do, ``not enough`` without a significant transfer.
        early: cases whose significant transfer opens early.
        significant: cases with significant transfer.
        cases: how many cases there are in all.
    """

    outcome: Support
    early: tuple[str, ...]
    significant: tuple[str, ...]
    cases: int


def gap_case(trajectories: pd.DataFrame, versus: Versus, *, name: str | None = None) -> GapCase:
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
        aggregate_comparison(trajectories, versus, "test_metric"),
        onset(trajectories, versus),
        highest,
        lowest,
    )


def early_verdict(cases: Sequence[GapCase]) -> EarlyVerdict:
    """Hold the claim against every case with significant transfer."""
    significant = tuple(case.name for case in cases if case.significant)
    early = tuple(case.name for case in cases if case.early)
    outcome: Support
    if not significant:
        outcome = "not enough"
    elif len(early) == len(significant):
        outcome = "supports"
    else:
        outcome = "supports in part" if 2 * len(early) > len(significant) else "does not support"
    return EarlyVerdict(outcome, early, significant, len(cases))
