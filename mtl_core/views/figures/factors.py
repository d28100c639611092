"""Factors: each along the trajectory of a task, and the rows of Table 1 rebuilt."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mtl_core import analysis, factors
from mtl_core.analysis import TABLE_FACTORS
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import comparisons, former
from mtl_core.views import factors as views
from mtl_core.views.comparisons import Pool
from mtl_core.views.factors import FactorsView
from mtl_core.views.figures.base import Figure, Panel, understood
from mtl_core.views.generalization_gap import MOST_RUNS
from mtl_core.views.phrases import capitalised

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TITLE", "figure", "named", "panels"]

TITLE = "Does any factor of the trajectory explain transfer?"


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """The factors of the chosen task, with the rows of Table 1 for the chosen sets."""
    pools = [pool for pool in comparisons.pools(answers) if pool.tasks and pool.joints]
    asked = former.current(query, answers, [pool.budget for pool in pools])
    view = understood(
        FactorsView.from_query(asked, pools),
        "no finished run of a task alone and of the same task with others",
    )
    pool = comparisons.find(pools, view.setting, view.budget)
    cases = views.chosen(pool, view.sets)
    drawn = named(view, pool, cases)
    return Figure(
        "factors",
        TITLE,
        (tuple(panels(view.task, drawn, answers)),),
        partial(_table, view, pool, cases, answers),
    )


def named(
    view: FactorsView, pool: Pool, cases: Mapping[str, Sequence[Answer]]
) -> dict[str, Answer]:
    """The runs of the chosen task by name, its own first."""
    together = list(cases.get(view.task, ()))[: MOST_RUNS - 1]
    return comparisons.labels([pool.singles[view.task], *together], view.task)


def panels(task: str, drawn: Mapping[str, Answer], answers: Answers) -> list[Panel]:
    """A panel for each factor of Table 1."""
    return [_panel(name, task, drawn, answers) for name in TABLE_FACTORS]


def _panel(factor: str, task: str, drawn: Mapping[str, Answer], answers: Answers) -> Panel:
    from mtl_core.charts import SHORT_X_TITLE, over_loss_alt, over_loss_chart

    title = factors.get(factor).title
    styled = comparisons.curves(drawn, task)

    def rows() -> "pd.DataFrame":
        return comparisons.trajectories(drawn, task, answers)

    return Panel(
        capitalised(title),
        lambda: over_loss_chart(
            rows(),
            styled,
            column=factor,
            task=task,
            title=title,
            log_y=True,
            name=f"factors_{factor}",
            x_title=SHORT_X_TITLE,
        ),
        lambda: over_loss_alt(styled, task=task, title=title, trajectories=rows(), column=factor),
    )


def _table(
    view: FactorsView, pool: Pool, cases: Mapping[str, Sequence[Answer]], answers: Answers
) -> "pd.DataFrame":
    rows, _ = views.rows(pool, cases, view.aggregate, answers)
    return views.frame(view, analysis.judged_rows(rows))[_COLUMNS]


_COLUMNS = ["row", "column", "delta", "low", "high", "p", "verdict", "by_2_sd"]
