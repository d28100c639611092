"""Generalization gap: the metric over training loss, a task alone and with others."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from mtl_core import analysis
from mtl_core.analysis import GapCase, Versus
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import comparisons, former, measures
from mtl_core.views import generalization_gap as views
from mtl_core.views.comparisons import Pool
from mtl_core.views.figures.base import Figure, Panel, understood
from mtl_core.views.generalization_gap import MOST_RUNS, GapView

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TITLE", "cases", "figure", "named", "panel", "runs"]

TITLE = "Does transfer show early, as a gap at equal training loss?"


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """The chosen task's runs, with a row of the table for each beside what they are compared to."""
    pools = [pool for pool in comparisons.pools(answers) if pool.tasks]
    asked = former.current(query, answers, [pool.budget for pool in pools])
    view = understood(
        GapView.from_query(asked, pools),
        "no finished run of a task alone and of the same task with others",
    )
    pool = comparisons.find(pools, view.setting, view.budget)
    drawn = named(view, *runs(view, pool))
    return Figure(
        "generalization_gap",
        TITLE,
        ((panel(view.setting, view.task, drawn, answers, name="gap_hero"),),),
        partial(_table, view, drawn, answers),
    )


def runs(view: GapView, pool: Pool) -> tuple[dict[str, Answer], Answer]:
    """The drawn runs by name, and the run that they are compared with."""
    single = pool.singles[view.task]
    there = {run.config.id: run for run in (single, *pool.together(view.task))}
    against = there.get(view.against, single)
    chosen = [there[run] for run in view.runs] or pool.cases(view.task)[:MOST_RUNS]
    chosen = [run for run in chosen if run is not against]
    return comparisons.labels(chosen, view.task), against


def named(view: GapView, chosen: Mapping[str, Answer], against: Answer) -> dict[str, Answer]:
    """All runs of the figure by name, what they are compared with first."""
    (base,) = comparisons.labels([against], view.task)
    return {base: against, **{name: run for name, run in chosen.items() if name != base}}


def panel(
    setting: str, task: str, drawn: Mapping[str, Answer], answers: Answers, **more: Any
) -> Panel:
    """A task's runs; ``more`` as ``generalization_chart`` takes it."""
    from mtl_core.charts import generalization_alt, generalization_chart

    measure = measures.measure(setting, task)
    styled = comparisons.curves(drawn, task)
    said: dict[str, Any] = {
        "task": task,
        "metric_title": measure.title,
        "metric_format": measure.format,
    }

    def rows() -> "pd.DataFrame":
        return comparisons.trajectories(drawn, task, answers)

    return Panel(
        task,
        lambda: generalization_chart(rows(), styled, **said, **more),
        lambda: generalization_alt(styled, trajectories=rows(), **said),
    )


def cases(view: GapView, drawn: Mapping[str, Answer], answers: Answers) -> list[GapCase]:
    """The drawn runs against the first of them, judged together."""
    measure = measures.measure(view.setting, view.task)
    rows = comparisons.trajectories(drawn, view.task, answers)
    base, *others = drawn
    return analysis.judged_cases(
        [
            analysis.gap_case(rows, Versus(view.task, name, base, measure.direction), name=name)
            for name in others
        ]
    )


def _table(view: GapView, drawn: Mapping[str, Answer], answers: Answers) -> "pd.DataFrame":
    found = [(case, view.task) for case in cases(view, drawn, answers)]
    return views.frame(found)[_COLUMNS]


_COLUMNS = ["task", "case", "transfer", "transfer_low", "transfer_high", "transfer_is"]
_COLUMNS += ["onset_loss", "onset_is", "early"]
