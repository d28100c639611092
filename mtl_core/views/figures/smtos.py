"""Optimizers: what each changes of a task's generalization, over what it changes of a factor."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mtl_core.analysis import SMTO_FACTORS
from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answers
from mtl_core.views import former
from mtl_core.views import smtos as views
from mtl_core.views.citations import bibtex
from mtl_core.views.figures.base import Figure, Panel
from mtl_core.views.phrases import capitalised, title
from mtl_core.views.smtos import Entry, Selection

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.charts import Curve

__all__ = ["METRIC", "TITLE", "figure", "legend", "panel", "styled"]

TITLE = "When an optimizer makes a task generalize better, does it also optimize it better?"
METRIC = "test accuracy E"


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """A point per optimizer and task in four panels, with a row of the table for each."""
    found = views.groups(answers)
    asked = former.current(query, answers, {group.budget: None for group in found})
    selection, told = Selection.from_query(asked, found)
    if told:
        raise InputError(told[0])
    chosen = selection.groups(found)
    drawn = views.drawn(selection, chosen)
    changes = views.pooled(
        chosen,
        drawn,
        lambda group: views.changes(group, group.compared, answers, selection.aggregate),
    )
    if not changes:
        raise InputError(
            f"no optimizer of {selection.target} can be compared with the plain sum at this budget"
        )
    points = views.points(views.judged(changes))
    curves = styled(drawn, views.known(found))
    first, second, *rest = (panel(points, name, curves) for name in SMTO_FACTORS)
    return Figure(
        "optimizers",
        TITLE,
        ((legend(curves),), (first, second), tuple(rest)),
        partial(_table, points),
        bibtex([entry.optimizer for entry in drawn]),
    )


def styled(drawn: Sequence[Entry], known: Sequence[Entry]) -> "list[Curve]":
    """How optimizers are drawn, the same whichever others are."""
    from mtl_core.charts import style_optimizers

    labels = {entry.label for entry in drawn}
    every = style_optimizers([entry.label for entry in known])
    return [curve for curve in every if curve.label in labels]


def legend(curves: "Sequence[Curve]") -> Panel:
    """The one legend of all panels."""
    from mtl_core.charts import quadrant_legend, quadrant_legend_alt

    return Panel("", partial(quadrant_legend, curves), partial(quadrant_legend_alt, curves))


def panel(points: "pd.DataFrame", factor: str, curves: "Sequence[Curve]") -> Panel:
    """The points of one factor."""
    from mtl_core.charts import quadrant_alt, quadrant_chart

    own = points[points["factor"] == factor]
    titles: dict[str, Any] = {"x_title": title(factor), "y_title": METRIC}
    return Panel(
        capitalised(title(factor)),
        partial(quadrant_chart, own, curves, name=factor, **titles),
        partial(quadrant_alt, own, curves, **titles),
    )


def _table(points: "pd.DataFrame") -> "pd.DataFrame":
    return points[_COLUMNS]


_COLUMNS = ["curve", "task", "auxiliaries", "factor", "x", "y", "factor_change", "change"]
_COLUMNS += ["paper_change"]
