"""Pareto front: solutions in the plane of two objectives, each method's in its colour."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.errors import InputError
from mtl_core.pareto.config import METHODS
from mtl_core.runs.library.answers import Answers
from mtl_core.views import pareto_panel, toy
from mtl_core.views.citations import FRONTS
from mtl_core.views.figures.base import Figure, Panel
from mtl_core.views.pareto_front import METHOD_TITLES, FrontQuestion
from mtl_core.views.pareto_panel import FrontPanel, Space

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.charts import Curve
    from mtl_core.charts.layers import Figure as Chart

__all__ = [
    "METHOD_ORDER",
    "TITLE",
    "figure",
    "figure_on",
    "metric",
    "panel",
    "spaces",
    "styled",
    "zoomed",
]

TITLE = "Which trade-offs can one run reach, and how soon?"
METRICS = {
    "accuracy": ("test accuracy", ".1%"),
    "mean_iou": ("test mean IoU", ".1%"),
    "absolute_error": ("test absolute error", ".3g"),
    "angle": ("test mean angle error in degrees", ".3g"),
}
METHOD_ORDER = [METHOD_TITLES[name] for name in METHODS if name != "averaged"]
METHOD_ORDER.append(METHOD_TITLES["averaged"])
"""The control last: its colour is Independent's, dashed, and all others keep theirs."""


def figure(query: Mapping[str, str], answers: Answers) -> Figure:
    """The last fronts of a question as far as they are known."""
    question, told = FrontQuestion.from_query(query)
    if told:
        raise InputError(told[0])
    found = pareto_panel.build(question, answers)
    if not found.steps:
        raise InputError("none of these fronts has been solved for yet")
    return figure_on(found)


def figure_on(found: FrontPanel) -> Figure:
    """The same of what was looked up already: at least one step."""
    zoom = zoomed(found)
    row = tuple(panel(found, found.steps[-1:], space, zoom=zoom) for space in spaces(found))
    return Figure("pareto_front", TITLE, (row,), partial(_table, found), FRONTS)


def spaces(found: FrontPanel) -> tuple[Space, ...]:
    """Losses and, where the problem has metrics, these."""
    return ("loss", "metric") if found.problem.objectives[0].metric else ("loss",)


def zoomed(found: FrontPanel) -> bool:
    """Whether axes end where the last fronts do, unless the question says."""
    asked = found.question.zoom
    return found.problem.fingerprint is not None if asked is None else asked


def panel(
    found: FrontPanel, steps: Sequence[int], space: Space, *, zoom: bool, ended: bool = True
) -> Panel:
    """The fronts in one space.

    Args:
        steps: that can be shown, the last of which is.
        zoom: whether axes end where the last fronts do.
        ended: whether all is solved for, so that the last front can be told of.
    """
    from mtl_core.charts import front_alt

    x, y = found.axes
    titles = {"x_title": _axis_title(found, x, space), "y_title": _axis_title(found, y, space)}
    formats = {"format_x": _format(found, x, space), "format_y": _format(found, y, space)}
    return Panel(
        "",
        lambda: _chart(found, steps, space, zoom, {**titles, **formats}),
        lambda: front_alt(
            styled(found),
            # Of the last front, so that it stays the same while others are played.
            points=found.points(found.steps[-1:], space) if ended else None,
            **titles,
            **formats,
        ),
    )


def styled(found: FrontPanel) -> "list[Curve]":
    """A method looks the same whichever others are shown; pins take what is left."""
    from mtl_core.charts.plane import style_methods

    pins = [one.label for one in found.shown if one.pinned]
    styles = {style.label: style for style in style_methods([*METHOD_ORDER, *pins])}
    return [styles[one.label] for one in found.shown]


def metric(found: FrontPanel, axis: int) -> tuple[str, str]:
    """What an objective's metric is called, and the d3 format of its values."""
    return METRICS[found.problem.objectives[axis].metric]


def _chart(
    found: FrontPanel, steps: Sequence[int], space: Space, zoom: bool, said: Mapping[str, Any]
) -> "Chart":
    import pandas as pd

    from mtl_core.charts import front_chart

    x, y = found.axes
    front = None
    if space == "loss" and found.front_known:
        known = toy.true_front(found.focus.config)
        front = pd.DataFrame({"x": known[:, x], "y": known[:, y]})
    # Networks jump about from frame to frame; their ways would hide the front.
    ways = found.problem.fingerprint is None
    reference = found.problem.reference
    return front_chart(
        found.points(steps, space),
        styled(found),
        domain_x=found.domain(x, space, zoom=zoom),
        domain_y=found.domain(y, space, zoom=zoom),
        reference=(reference[x], reference[y]) if space == "loss" else None,
        front=front,
        ray=_ray(found) if space == "loss" else None,
        trails=found.trails(found.steps, space) if ways else None,
        joined=len(found.problem.objectives) == 2,
        played=True,
        name=f"pf_{space}",
        **said,
    )


def _axis_title(found: FrontPanel, axis: int, space: Space) -> str:
    objective = found.problem.objectives[axis]
    if space == "metric":
        return f"{metric(found, axis)[0]}, {objective.title.lower()}"
    kind = "test loss" if found.held_out else "loss"
    return f"{kind}, {objective.title.lower()}"


def _format(found: FrontPanel, axis: int, space: Space) -> str:
    return ".3~g" if space == "loss" else metric(found, axis)[1]


def _ray(found: FrontPanel) -> "pd.DataFrame | None":
    """From the ideal point along 1 / λ of the picked preference, where Tchebycheff's optimum is."""
    import pandas as pd

    config, problem = found.focus.config, found.problem
    if config.method == "mgda" or config.scalarization == "weighted_sum":
        return None
    if len(problem.objectives) > 2:
        return None  # the plane shows a shadow of it, which points elsewhere
    axes = list(found.axes)
    weights = config.weights[found.pick][axes]
    ideal = np.array(problem.ideal or (0.0, 0.0))[axes]
    unit = np.array(problem.reference)[axes] - ideal
    end = ideal + 2 * unit / weights / (1 / weights).min()
    return pd.DataFrame([{"x": ideal[0], "y": ideal[1], "x2": end[0], "y2": end[1]}])


def _table(found: FrontPanel) -> "pd.DataFrame":
    import pandas as pd

    ways = {str(row["name"]): row for row in found.convergence().to_dict("records")}
    rows = []
    for one in found.shown:
        last = one.quality.sort_values("step").groupby("seed").tail(1)
        way = ways.get(one.label, {})
        rows.append(
            {
                "method": one.label,
                "seeds": len(last),
                "hypervolume": last["hypervolume"].mean(),
                "hypervolume 2 SD": 2 * last["hypervolume"].std(),
                "evaluations to 90 % of the best": way.get("evaluations", math.nan),
                "ratio to Independent": way.get("ratio", math.nan),
                "spread": last["coverage"].mean(),
                "distance to true front": last["distance"].mean(),
            }
        )
    return pd.DataFrame(rows)
