"""Do optimizers that change generalization change a factor too (M24, Fig. 4)?"""

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd

from mtl_core.charts import told
from mtl_core.charts.layers import AXIS, Figure, colour_scale, figure, unchecked
from mtl_core.charts.legend import POINTS, curve_legend
from mtl_core.charts.palette import DASHES, FURTHER, SHAPES, Curve
from mtl_core.errors import InputError

__all__ = [
    "quadrant_alt",
    "quadrant_chart",
    "quadrant_legend",
    "quadrant_legend_alt",
    "style_optimizers",
]

GREY = "#7A7A7A"  # shows on white and on near-black alike
LEAST = 1.0  # %; axes reach at least so far to either side
MARGIN = 1.1  # beyond the furthest points, for the words in the corners
OTHER_SIDE = 0.4  # of the longer side of an axis: the least length of its other side
LINEAR = {"x": 10.0, "y": 1.0}
"""%; up to about this an axis is linear, beyond it logarithmic. Generalization changes by less."""
ROOM = {"x": 42, "y": 20}
"""Pixels from one label to the next."""
TICKS = [0.0] + [
    sign * digit * 10.0**power for power in range(-1, 7) for digit in (1, 3) for sign in (1, -1)
]


def style_optimizers(labels: Sequence[str]) -> list[Curve]:
    """How each optimizer is drawn: no two share colour and shape, and neighbours share neither.

    The colours are those that have no meaning on other pages. An optimizer's style depends on its
    place in ``labels`` alone, so that it stays the same when a chart leaves other optimizers out.

    Args:
        labels: all optimizers, in an order that does not change.

    Raises:
        InputError: two optimizers have the same label, or there are more than 40.
    """
    if repeated := sorted({label for label in labels if list(labels).count(label) > 1}):
        raise InputError(f"two optimizers are labelled {repeated[0]!r}; give each its own label")
    # The two greys are close, so the second comes last.
    colours = FURTHER[:-1]
    slots = [
        (colour, SHAPES[(place + turn) % len(SHAPES)])
        for turn in range(len(SHAPES))
        for place, colour in enumerate(colours)
    ]
    slots += [(FURTHER[-1], shape) for shape in SHAPES]
    if len(labels) > len(slots):
        raise InputError(f"{len(labels)} optimizers cannot be told apart; show at most 40")
    return [
        Curve(label, colour, DASHES[0], shape)
        for label, (colour, shape) in zip(labels, slots, strict=False)
    ]


@unchecked
def quadrant_chart(
    points: pd.DataFrame,
    optimizers: Sequence[Curve],
    *,
    x_title: str,
    y_title: str,
    value_format: str = ".3~g",
    metric_format: str = ".1%",
    height: int = 260,
    name: str = "quadrants",
) -> Figure:
    """A point per optimizer and task at its %Δ; (−x, +y) and (+x, −y) are shaded.

    Points that count by the paper's rule are filled; the others are hollow and faint. Axes are
    linear near 0 and logarithmic further out, and have room on both sides of 0. All panels share
    one legend, ``quadrant_legend``.

    Args:
        points: one panel's rows of ``analysis.smto_points``, with ``auxiliaries`` and ``run``; may
            be empty. Those without x or y are not drawn.
        optimizers: how each curve is drawn.
        x_title: the factor.
        y_title: the metric.
        value_format: d3 format of the factor's values for hovering.
        metric_format: d3 format of the metric's values for hovering.
        height: of the plot in pixels, without axis.
        name: of the chart, unique on its page.
    """
    drawn = _drawn(points, optimizers)
    extent = alt.Chart(_extent(drawn))
    x_axis, y_axis = _axis("x", f"%Δ {x_title}"), _axis("y", f"%Δ {y_title}")
    x = alt.X("x:Q", scale=_scale("x"), axis=x_axis)
    y = alt.Y("y:Q", scale=_scale("y"), axis=y_axis)
    tooltip = _tooltip(x_title, y_title, value_format, metric_format)
    layers = [
        _shade(extent, "upper left"),
        _shade(extent, "lower right"),
        _zero(extent, "x"),
        _zero(extent, "y"),
        _words(extent, "both better", "upper left"),
        _words(extent, "both worse", "lower right"),
        _span(extent, x_axis, y_axis),
        _marks(drawn, optimizers, x, y, tooltip).properties(name=f"{name}_points"),
    ]
    return figure(layers, height, below=AXIS)


@unchecked
def quadrant_legend(optimizers: Sequence[Curve], *, name: str = "quadrant_legend") -> Figure:
    """The one legend that all panels share."""
    legend = curve_legend(optimizers, line=False)
    labels = [curve.label for curve in optimizers]
    marks = (
        alt.Chart(pd.DataFrame({"curve": labels}))
        .mark_point(filled=True, opacity=0)
        .encode(
            fill=alt.Fill("curve:N", scale=colour_scale(optimizers), legend=legend),
            shape=alt.Shape("curve:N", scale=_shapes(optimizers), legend=legend),
        )
        .properties(name=name)
    )
    return figure([marks], height=1, view=alt.ViewBackground(strokeOpacity=0))


def quadrant_alt(
    points: pd.DataFrame, optimizers: Sequence[Curve], *, x_title: str, y_title: str
) -> str:
    """What the chart says, for those who do not see it: where the points that count lie."""
    plot = (
        f"change of {y_title} over the plain sum against that of {x_title}, in percent, a point "
        "per optimizer and task"
    )
    drawn = _drawn(points, optimizers)
    counted = drawn[drawn["counted"]]
    if drawn.empty:
        return told.sentence(f"{plot}: none has a place")
    if counted.empty:
        return told.sentence(f"{plot}: none of {len(drawn)} is significant by the paper's rule")
    better = int(((counted["x"] < 0) & (counted["y"] > 0)).sum())
    worse = int(((counted["x"] > 0) & (counted["y"] < 0)).sum())
    outside = len(counted) - better - worse
    widest = counted.sort_values("y", key=abs).iloc[-1]
    most = f"{told.number(abs(widest['y']), '')} % {'more' if widest['y'] > 0 else 'less'}"
    return told.sentence(
        f"{plot}: {len(counted)} significant by the paper's rule, {better} better in both, {worse} "
        f"worse in both, {outside} outside; the largest is {widest['curve']} on {widest['task']}, "
        f"{most}"
    )


def quadrant_legend_alt(optimizers: Sequence[Curve]) -> str:
    """One sentence for those who do not see the legend."""
    shapes = ", ".join(f"{curve.label}: {curve.shape}" for curve in optimizers)
    return f"Legend: colour and shape of each optimizer's points. {shapes}."


def _tooltip(
    x_title: str, y_title: str, value_format: str, metric_format: str
) -> list[alt.Tooltip]:
    difference = f"+{metric_format}"
    return [
        alt.Tooltip("curve:N", title="optimizer"),
        alt.Tooltip("task:N", title="task"),
        alt.Tooltip("auxiliaries:N", title="auxiliaries"),
        alt.Tooltip("y:Q", title=f"%Δ {y_title}", format="+.3~g"),
        alt.Tooltip("x:Q", title=f"%Δ {x_title}", format="+.3~g"),
        alt.Tooltip("metric:Q", title=y_title, format=metric_format),
        alt.Tooltip("reference_metric:Q", title=f"{y_title}, UMTG", format=metric_format),
        alt.Tooltip("value:Q", title=x_title, format=value_format),
        alt.Tooltip("reference_value:Q", title=f"{x_title}, UMTG", format=value_format),
        alt.Tooltip("low:Q", title=f"Δ {y_title}, 95 % from", format=difference),
        alt.Tooltip("high:Q", title="to", format=difference),
        alt.Tooltip("change:N", title=f"{y_title} is"),
        alt.Tooltip("paper_change:N", title="by ±2 SD"),
        alt.Tooltip("factor_change:N", title=f"{x_title} is"),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
        alt.Tooltip("run:N", title="run"),
    ]


def _marks(
    drawn: pd.DataFrame,
    optimizers: Sequence[Curve],
    x: alt.X,
    y: alt.Y,
    tooltip: Sequence[alt.Tooltip],
) -> alt.Chart:
    counts = "datum.counted"
    chart: alt.Chart = (
        alt.Chart(drawn)
        .mark_point(clip=True, size=90, strokeWidth=1.6, opacity=1)
        .encode(
            x=x,
            y=y,
            fill=alt.Fill("curve:N", scale=colour_scale(optimizers), legend=None),
            stroke=alt.Stroke("curve:N", scale=colour_scale(optimizers), legend=None),
            shape=alt.Shape("curve:N", scale=_shapes(optimizers), legend=None),
            fillOpacity=alt.FillOpacityValue(0, condition={"test": counts, "value": 0.9}),
            strokeOpacity=alt.StrokeOpacityValue(0.55, condition={"test": counts, "value": 1}),
            tooltip=list(tooltip),
        )
    )
    return chart


def _span(extent: alt.Chart, x_axis: alt.Axis, y_axis: alt.Axis) -> alt.Chart:
    """An invisible line from corner to corner, which makes the axes reach as far as ``extent``."""
    chart: alt.Chart = extent.mark_rule(opacity=0).encode(
        x=alt.X("left:Q", scale=_scale("x"), axis=x_axis),
        x2=alt.X2(field="right"),
        y=alt.Y("bottom:Q", scale=_scale("y"), axis=y_axis),
        y2=alt.Y2(field="top"),
    )
    return chart


_FIELDS = ["curve", "task", "auxiliaries", "x", "y", "metric", "reference_metric", "value"]
_FIELDS += ["reference_value", "change", "factor_change", "paper_change", "low", "high"]
_FIELDS += ["counted", "seeds", "run"]


def _drawn(points: pd.DataFrame, optimizers: Sequence[Curve]) -> pd.DataFrame:
    """The points that have a place, those that count last and so on top of the others."""
    drawn = points.reindex(columns=_FIELDS).dropna(subset=["x", "y"])
    drawn = drawn[drawn["curve"].isin([curve.label for curve in optimizers])]
    counted = drawn["counted"].astype(bool)
    names = ("change", "factor_change", "paper_change")
    told = {name: drawn[name].astype(object).fillna("–") for name in names}
    drawn = drawn.assign(counted=counted, **told)
    return drawn.sort_values("counted", kind="stable", ignore_index=True)


def _extent(drawn: pd.DataFrame) -> pd.DataFrame:
    """How far the axes reach, as one row ``left, right, bottom, top`` in %."""
    left, right = _reach(drawn["x"].to_numpy(dtype=float), LINEAR["x"])
    bottom, top = _reach(drawn["y"].to_numpy(dtype=float), LINEAR["y"])
    return pd.DataFrame({"left": [left], "right": [right], "bottom": [bottom], "top": [top]})


def _reach(values: "np.typing.NDArray[np.float64]", linear: float) -> tuple[float, float]:
    """Both ends of an axis; its shorter side is at least ``OTHER_SIDE`` times the longer one."""
    # A percentage may be too large for floats; the axis must stay finite all the same.
    placed = np.sign(values) * np.log1p(np.abs(values) / linear)
    low = min(0.0, float(placed.min(initial=0.0)))
    high = max(0.0, float(placed.max(initial=0.0)))
    least = float(np.log1p(LEAST / linear))
    low, high = min(low, -OTHER_SIDE * high, -least), max(high, -OTHER_SIDE * low, least)
    return -linear * float(np.expm1(-MARGIN * low)), linear * float(np.expm1(MARGIN * high))


def _scale(channel: Literal["x", "y"]) -> alt.Scale:
    return alt.Scale(type="symlog", constant=LINEAR[channel], nice=False, zero=True, padding=10)


def _axis(channel: Literal["x", "y"], title: str) -> alt.Axis:
    """Ticks at 0, ±1, ±3, ±10, … %, labelled where they have room; 1 and 10 take precedence over 3.

    Vega itself, where labels overlap, may drop that of 0.
    """

    def apart(tick: str, other: str) -> str:
        distance = f"abs(scale('{channel}', {tick}) - scale('{channel}', {other}))"
        return f"{distance} >= {ROOM[channel]}"

    value, inner, outer = "datum.value", "datum.value / 3", "datum.value * 10 / 3"
    ten = "(round(10 * log(abs(datum.value)) / LN10) % 10 == 0)"
    inwards = f"({apart(value, inner)} || !({apart(inner, '0')}))"
    outwards = f"({apart(value, outer)} || !inrange({outer}, domain('{channel}')))"
    shown = f"(datum.value == 0 || ({apart(value, '0')} && ({ten} || ({inwards} && {outwards}))))"
    number = "(datum.value == 0 ? '0' : format(datum.value, '+,~r') + '%')"
    seen: Any = {"condition": {"test": shown, "value": 1}, "value": 0}
    return alt.Axis(
        title=title,
        values=TICKS,
        tickCount=len(TICKS),  # by default Vega drops every other of many
        labelExpr=f"{shown} ? {number} : ''",
        grid=True,
        gridOpacity=seen,
        tickOpacity=seen,
        labelOverlap=False,
        labelBound=6 if channel == "x" else False,
    )


def _shapes(optimizers: Sequence[Curve]) -> alt.Scale:
    return alt.Scale(
        domain=[curve.label for curve in optimizers],
        range=[POINTS[curve.shape] for curve in optimizers],
    )


def _shade(extent: alt.Chart, corner: Literal["upper left", "lower right"]) -> alt.Chart:
    """From 0 to the edges of the plot, wherever the scales put them."""
    upper = corner == "upper left"
    chart: alt.Chart = extent.mark_rect(fill=GREY, fillOpacity=0.16, stroke=None).encode(
        x=alt.XDatum(0, scale=_scale("x")),
        x2=alt.value(0 if upper else "width"),
        y=alt.YDatum(0, scale=_scale("y")),
        y2=alt.value(0 if upper else "height"),
    )
    return chart


def _zero(extent: alt.Chart, channel: Literal["x", "y"]) -> alt.Chart:
    rule = extent.mark_rule(stroke=GREY, strokeWidth=1.2)
    chart: alt.Chart = (
        rule.encode(x=alt.XDatum(0, scale=_scale("x")))
        if channel == "x"
        else rule.encode(y=alt.YDatum(0, scale=_scale("y")))
    )
    return chart


def _words(extent: alt.Chart, text: str, corner: Literal["upper left", "lower right"]) -> alt.Chart:
    upper = corner == "upper left"
    chart: alt.Chart = extent.mark_text(
        text=text,
        fill=GREY,
        fontSize=11,
        align="left" if upper else "right",
        baseline="top" if upper else "bottom",
        dx=6 if upper else -6,
        dy=6 if upper else -6,
    ).encode(
        x=alt.value(0 if upper else "width"),
        y=alt.value(0 if upper else "height"),
    )
    return chart
