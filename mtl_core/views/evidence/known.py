"""What is known of the runs that ship: read and judged once for all claims, as the pages do it."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from mtl_core import analysis
from mtl_core.analysis import (
    SMTO_FACTORS,
    Comparison,
    EarlyVerdict,
    FactorVerdict,
    GapCase,
    TableRow,
)
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.published import PublishedTable, published_table
from mtl_core.views import comparisons, conflict, factors, generalization_gap, pool_choice, smtos
from mtl_core.views.comparisons import Pool
from mtl_core.views.conflict import ConflictView
from mtl_core.views.generalization_gap import Side, comparable_tasks
from mtl_core.views.smtos import Change, Group, Selection

__all__ = ["Changes", "Gap", "Gaps", "Known", "Points", "Table"]

T = TypeVar("T")


@dataclass(frozen=True)
class Gap:
    """A task of a multi-task run against its single-task run.

    Attributes:
        case: judged together with the others of its page.
        loss: the difference of their minimum training losses, judged likewise.
    """

    task: str
    run: Answer
    case: GapCase
    loss: Comparison | None


@dataclass(frozen=True)
class Gaps:
    """What the page Generalization gap shows of a budget."""

    found: Sequence[Gap]
    verdict: EarlyVerdict


@dataclass(frozen=True)
class Table:
    """What the page Factors shows of a budget: its rows, each column judged together."""

    rows: Sequence[TableRow]
    verdicts: Sequence[FactorVerdict]


@dataclass(frozen=True)
class Changes:
    """What the page Optimizers shows of a budget, judged together."""

    selection: Selection
    groups: Sequence[Group]
    found: Sequence[Change]
    verdicts: Sequence[FactorVerdict]


@dataclass(frozen=True)
class Points:
    """What the page Conflict shows of a budget."""

    view: ConflictView
    runs: conflict.Named
    found: conflict.Found
    judged: conflict.Judged
    similarity: dict[str, dict[str, float]]
    """Target, then run: the similarity of its point."""


class Known:
    """Reads what claims are judged by, each thing once.

    Args:
        answers: without a store: what a user has trained is no part of what is claimed here.
    """

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self._kept: dict[Hashable, object] = {}

    @cached_property
    def pools(self) -> tuple[Pool, ...]:
        return comparisons.pools(self.answers)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        return smtos.groups(self.answers)

    @cached_property
    def printed(self) -> PublishedTable:
        return published_table()

    def compared(self, setting: str) -> list[Pool]:
        """Budgets at which tasks can be compared with their single-task runs, the best first."""
        own = [pool for pool in self.pools if pool.setting.name == setting and pool.tasks]
        return pool_choice.best(own, comparable_tasks)

    def measured(self, setting: str) -> list[Pool]:
        """Those with a run of the plain sum to read factors in, the best first."""
        return [pool for pool in self.compared(setting) if pool.joints]

    def conflicting(self, setting: str) -> list[Pool]:
        """Budgets with auxiliary sets of a target, the best first."""
        own = [pool for pool in self.pools if pool.setting.name == setting and pool.targets]
        return pool_choice.best(own, conflict.most_sets, conflict.telling_sets)

    def optimized(self, setting: str) -> list[Selection]:
        """What Optimizers is asked for, the best budget first; none without a comparison."""
        usual = Selection.default(self.groups, setting)
        budgets = smtos.ranked_budgets(self.groups, setting, usual.target)
        return [replace(usual, budget=smtos.budget_name(budget)) for budget in budgets]

    def gaps(self, pool: Pool) -> Gaps:
        return self.once(("gaps", _key(pool)), lambda: self._gaps(pool))

    def table(self, pool: Pool) -> Table:
        return self.once(("table", _key(pool)), lambda: self._table(pool))

    def changes(self, selection: Selection) -> Changes:
        return self.once(("changes", selection), lambda: self._changes(selection))

    def points(self, pool: Pool) -> Points:
        return self.once(("points", _key(pool)), lambda: self._points(pool))

    def beginnings(self, pool: Pool, times: float) -> list[Comparison | None]:
        """``analysis.beginning`` of each gap at so many times its lowest loss, judged together."""
        pairs = zip(self.gaps(pool).found, self._sides(pool), strict=True)
        return analysis.judged(
            [
                analysis.beginning(side.rows, side.versus, times * gap.case.lowest)
                for gap, side in pairs
            ]
        )

    def _gaps(self, pool: Pool) -> Gaps:
        sides = self._sides(pool)
        cases = generalization_gap.cases(sides)
        losses = [analysis.minimum_loss(side.rows, side.versus) for side in sides]
        found = [
            Gap(side.task, side.run, case, loss)
            for side, case, loss in zip(
                sides, analysis.judged_cases(cases), analysis.judged(losses), strict=True
            )
        ]
        return Gaps(found, analysis.early_verdict(cases))

    def _sides(self, pool: Pool) -> list[Side]:
        return self.once(
            ("sides", _key(pool)), lambda: generalization_gap.sides(pool, self.answers)
        )

    def _table(self, pool: Pool) -> Table:
        rows, _ = factors.rows(pool, factors.chosen(pool), "bins", self.answers)
        return Table(analysis.judged_rows(rows), analysis.table_verdicts(rows))

    def _changes(self, selection: Selection) -> Changes:
        chosen = selection.groups(self.groups)
        entries = smtos.drawn(selection, chosen)
        found = smtos.pooled(
            chosen, entries, lambda group: smtos.changes(group, group.compared, self.answers)
        )
        verdicts = analysis.factor_verdicts(smtos.cases(found), SMTO_FACTORS)
        return Changes(selection, chosen, smtos.judged(found), verdicts)

    def _points(self, pool: Pool) -> Points:
        view = ConflictView(pool.setting.name, pool.name)
        runs = conflict.chosen(view, pool)
        tables, found = conflict.points(view, runs, self.answers)
        own = tables[conflict.METRIC]
        similarity = {
            str(task): dict(zip(rows["run"], rows["similarity"].astype(float), strict=True))
            for task, rows in own.groupby("target")
        }
        return Points(view, runs, found, conflict.judge(view, runs, found), similarity)

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """What ``make`` gives, which is called for the first one who asks."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]  # type: ignore[return-value]


def _key(pool: Pool) -> tuple[str, str]:
    return pool.setting.name, pool.name
