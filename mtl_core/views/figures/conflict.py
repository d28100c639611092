"""Conflict: what gradient similarity goes with, over auxiliary sets."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mtl_core import analysis
from mtl_core.analysis import ConflictVerdict
from mtl_core.runs.library.answers import Answers
from mtl_core.views import comparisons, former, measures, phrases
from mtl_core.views import conflict as views
from mtl_core.views.conflict import COLUMNS, METRIC, ConflictView, Found
from mtl_core.views.figures.base import Figure, Panel, understood

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.charts import Curve

__all__ = ["TITLE", "figure", "panel", "styled"]

TITLE = "Does gradient conflict foretell how well a task generalizes?"
X_TITLES = {
    "early": "early gradient similarity",
    "throughout": "gradient similarity throughout training",
}


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """A point per target and set in four panels, with a correlation for each panel and target."""
    pools = [pool for pool in comparisons.pools(answers) if pool.targets]
    asked = former.current(query, answers, [pool.budget for pool in pools])
    view = understood(
        ConflictView.from_query(asked, pools), "no finished multi-task run of any target"
    )
    pool = comparisons.find(pools, view.setting, view.budget)
    runs = views.chosen(view, pool)
    tables, found = views.points(view, runs, answers)
    curves = styled(view.shown(pool))
    first, second, *rest = (panel(view, name, tables[name], curves) for name in COLUMNS)
    return Figure(
        "conflict",
        TITLE,
        ((first, second), tuple(rest)),
        lambda: _table(views.judge(view, runs, found).verdict, found),
    )


def styled(targets: Sequence[str]) -> "list[Curve]":
    """A colour is a target here, so none of those that say what auxiliaries are."""
    from mtl_core.charts import CurveKey, style_curves

    return style_curves([CurveKey(task, "other") for task in targets])


def panel(
    view: ConflictView, column: str, points: "pd.DataFrame", curves: "Sequence[Curve]"
) -> Panel:
    """The points of a factor or of the metric."""
    from mtl_core.charts import correlation_alt, correlation_chart

    if view.size is not None:
        points = points[points["tasks"] == view.size]
    measure = measures.measure(view.setting, curves[0].label)
    factor = column != METRIC
    title = phrases.title(column) if factor else measure.title
    log = factor and analysis.spans_decades(points["value"])
    drawn: dict[str, Any] = {
        "x_title": X_TITLES[view.reading],
        "log_y": log,
        "value_format": ".3~g" if factor else measure.format,
        "each": True,
    }
    return Panel(
        phrases.capitalised(title),
        partial(
            correlation_chart,
            points,
            curves,
            y_title=f"{title} (log)" if log else title,
            name=f"conflict_{column}",
            detail="auxiliaries",
            **drawn,
        ),
        partial(correlation_alt, curves, y_title=title, points=points, **drawn),
    )


def _table(verdict: ConflictVerdict, found: Found) -> "pd.DataFrame":
    import pandas as pd

    return pd.DataFrame(
        {
            "target": task,
            "similarity against": column,
            "r": one.decides.pearson_r if one.decides else None,
            "low": one.decides.ci_low if one.decides else None,
            "high": one.decides.ci_high if one.decides else None,
            "p (Holm)": verdict.corrected.get((task, column)),
            "deciding sets": one.decides.n if one.decides else 0,
            "paper's r": one.paper.pearson_r if one.paper else None,
            "paper's p": one.paper.pearson_p if one.paper else None,
            "sets": one.paper.n if one.paper else 0,
        }
        for (task, column), one in found.items()
    )
