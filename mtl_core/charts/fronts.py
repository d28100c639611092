"""Fronts of solutions in the plane of two objectives, and how much they dominate over time."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
import pandas as pd

from mtl_core.charts import told
from mtl_core.charts.axes import axis
from mtl_core.charts.layers import (
    GREY,
    Figure,
    band,
    below,
    dash,
    dimmed,
    figure,
    fill,
    hover,
    markers,
    mean_line,
    now_rule,
    stroke,
    unchecked,
)
from mtl_core.charts.palette import Curve

__all__ = [
    "FRAME_EVENT",
    "front_alt",
    "front_chart",
    "hypervolume_alt",
    "hypervolume_chart",
]

CROSS = "M-1,-1L1,1M-1,1L1,-1"
FRAME = re.compile(r"[xy]\d+$")
MARKS = 8
"""Most markers on a line: enough to tell its curve without colour."""

FRAME_EVENT = "mtl-frame"
"""What tells a played chart of another frame: an event on the document's body, whose ``value`` is
the step that is shown, or null for the newest frame."""
MOST_TOLD = 3
"""Fronts whose reach is told."""

TIME = {"evaluations": "gradient evaluations", "seconds": "seconds of solving"}


_WHICH_SOLUTION = (
    alt.Tooltip("curve:N", title="curve"),
    alt.Tooltip("solution:Q", title="solution", format="d"),
    alt.Tooltip("preference:N", title="preference"),
)
"""What hovering says of a solution before its losses."""


@dataclass(frozen=True)
class _Axes:
    """Where the two objectives lie in the plot."""

    x_scale: alt.Scale
    y_scale: alt.Scale
    x_axis: alt.Axis
    y_axis: alt.Axis

    def x(self, field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=self.x_scale, axis=self.x_axis)

    def y(self, field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=self.y_scale, axis=self.y_axis)


@unchecked
def front_chart(
    points: pd.DataFrame,
    styles: Sequence[Curve],
    *,
    x_title: str,
    y_title: str,
    domain_x: tuple[float, float],
    domain_y: tuple[float, float],
    reference: tuple[float, float] | None = None,
    front: pd.DataFrame | None = None,
    ray: pd.DataFrame | None = None,
    trails: pd.DataFrame | None = None,
    joined: bool = True,
    played: bool = False,
    format_x: str = ".3~g",
    format_y: str = ".3~g",
    height: int = 380,
    name: str = "front",
) -> Figure:
    """A marker per solution, a thin line through a curve's solutions; zoom, hover, legend choice.

    What lies outside the domains is cut off at the edge, and appears when the reader zooms out.

    Args:
        points: ``curve, solution, x, y``, the words ``preference`` for hovering, and whether the
            solution is ``chosen``, which gives it a ring with the words ``ring``, if any, beside
            it; may be empty. Solutions with an x or y that is not finite are left out.
        styles: which curves are drawn and how, also those without points.
        x_title: of the first objective's axis.
        y_title: of the second's.
        domain_x: both ends of the x axis.
        domain_y: both ends of the y axis.
        reference: the hypervolume's reference point, a cross.
        front: ``x, y`` of the true front, in order; grey.
        ray: ``x, y, x2, y2`` of grey dashed lines, such as from the ideal point in the direction of
            the chosen preference; may reach beyond the domains.
        trails: ``curve, solution, step, x, y``: the path of each solution while solving, faint.
        played: whether ``points`` have further columns, ``x10, y10`` for a saved step 10 and so
            on, of which the browser shows the step that ``FRAME_EVENT`` tells, with trails up to
            it; without such an event, and at a step that has none, it shows ``x, y``.
        joined: whether a curve's solutions, by ``solution``, and the true front's points are joined
            by lines; a projection of more than two objectives has no such order.
        format_x: d3 format for hovering; with one that ends in % the axis has percentages.
        format_y: the same of y.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
    """
    axes = _Axes(
        alt.Scale(domain=list(domain_x), nice=False, zero=False),
        alt.Scale(domain=list(domain_y), nice=False, zero=False),
        axis(x_title, grid=True, percent=format_x.endswith("%")),
        axis(y_title, grid=True, percent=format_y.endswith("%")),
    )
    drawn = _points(points, styles, played)
    tooltip = [
        *_WHICH_SOLUTION,
        alt.Tooltip("x:Q", title=x_title, format=format_x),
        alt.Tooltip("y:Q", title=y_title, format=format_y),
    ]
    layers = [
        _true_front(front, axes, joined),
        _ray(ray, axes),
        _trails(trails, styles, axes, played),
        *_reference(reference, axes),
        *_solutions(drawn, styles, axes, joined, played),
        _at_frame(hover(drawn, styles, axes.x("x"), axes.y("y"), tooltip), played).properties(
            name=f"{name}_hover"
        ),
    ]
    chart = figure(layers, height, below=below(styles, height))
    told = alt.BindDirect(element="body", event=FRAME_EVENT)
    return chart.add_params(alt.param(name="frame", bind=told)) if played else chart


def front_alt(
    styles: Sequence[Curve],
    *,
    x_title: str,
    y_title: str,
    points: pd.DataFrame | None = None,
    format_x: str = ".3~g",
    format_y: str = ".3~g",
) -> str:
    """What the chart says, for those who do not see it: how far each front reaches.

    Args:
        styles: as they are drawn.
        x_title: of the first objective's axis.
        y_title: of the second's.
        points: of the last front, where nothing goes on; without them it is said what is drawn.
            A chart that plays is built anew when its description changes.
        format_x: as the chart's.
        format_y: as the chart's.
    """
    plot = f"scatter plot of {y_title} against {x_title}, a point per solution"
    rows = pd.DataFrame(columns=["curve", "x", "y"]) if points is None else points
    found = {str(name): own for name, own in _finite(rows, styles).groupby("curve")}
    shown = [(style.label, found[style.label]) for style in styles if style.label in found]
    if not shown:
        return told.sentence(f"{plot}, for {_names(styles)}")
    ends = [
        f"{name} from {_reach(own['x'], format_x)} across and {_reach(own['y'], format_y)} up"
        for name, own in shown[:MOST_TOLD]
    ]
    more = f"; and {len(shown) - MOST_TOLD} more" if len(shown) > MOST_TOLD else ""
    return told.sentence(f"{plot}; at the end, {'; '.join(ends)}{more}")


def _reach(values: pd.Series, value_format: str) -> str:
    least, most = told.number(values.min(), value_format), told.number(values.max(), value_format)
    return f"{least} to {most}"


@unchecked
def hypervolume_chart(
    bands: pd.DataFrame,
    styles: Sequence[Curve],
    *,
    x: Literal["evaluations", "seconds"],
    title: str,
    levels: pd.DataFrame | None = None,
    now: float | None = None,
    height: int = 280,
    name: str = "hypervolume",
) -> Figure:
    """Mean over seeds with its ±2 SD band, against cost; for any measure of a front.

    Args:
        bands: ``curve`` and what ``pareto.curves.band`` returns; may be empty. With one seed the
            band is NaN, and the line is drawn alone.
        styles: which curves are drawn and how, also those without rows.
        x: the cost: gradient evaluations or seconds, from 0.
        title: of the y axis.
        levels: ``level, label``: dashed grey lines to compare with, such as the true front's.
        now: where on the x axis the frame lies that the page shows elsewhere.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
    """
    x_scale = alt.Scale(zero=True, nice=False, padding=8)
    x_axis = axis(TIME[x], grid=False)
    across = alt.X(f"{x}:Q", scale=x_scale, axis=x_axis)
    scale = alt.Scale(zero=False, nice=False, padding=10)
    y_axis = axis(title, grid=True)
    y = alt.Y("mean:Q", scale=scale, axis=y_axis)
    frames = _frames(bands, styles)
    lines = frames[["curve", x, "mean", "low", "high"]]
    points = frames[
        ["curve", "step", "evaluations", "seconds", "mean", "around", "seeds", "shape", "marked"]
    ]
    marked = alt.Chart(points).transform_filter("datum.marked")
    layers = [
        *_levels(levels, scale, y_axis),
        band(lines, styles, across, alt.Y("low:Q", scale=scale, axis=y_axis)),
        mean_line(lines, styles, across, y),
        markers(marked, styles, across, y),
        now_rule(now, x_scale, x_axis),
        hover(points, styles, across, y, _tooltip(title)).properties(name=f"{name}_hover"),
    ]
    return figure(layers, height, below=below(styles, height))


def hypervolume_alt(
    styles: Sequence[Curve],
    *,
    x: Literal["evaluations", "seconds"],
    title: str,
    bands: pd.DataFrame | None = None,
) -> str:
    """What the chart says, for those who do not see it.

    Args:
        styles: as they are drawn.
        x: the cost that it is drawn against.
        title: of the y axis.
        bands: as they are drawn, where nothing goes on; without them it is said what is drawn.
    """
    lines = f"{title} against {TIME[x]}, lines with bands of two standard deviations over seeds"
    frames = _frames(pd.DataFrame() if bands is None else bands, styles)
    last = {str(name): float(own["mean"].iloc[-1]) for name, own in frames.groupby("curve")}
    ends = {style.label: last[style.label] for style in styles if style.label in last}
    if not ends:
        return told.sentence(f"{lines}, for {_names(styles)}")
    return told.sentence(f"{lines}: at the end {told.each(ends, '.3~g')}")


def _tooltip(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("mean:Q", title=title, format=".4f"),
        alt.Tooltip("around:N", title="± 2 SD"),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
        alt.Tooltip("step:Q", title="step", format=",d"),
        alt.Tooltip("evaluations:Q", title=TIME["evaluations"], format=",.0f"),
        alt.Tooltip("seconds:Q", title=TIME["seconds"], format=",.3~g"),
    ]


def _at_frame(layer: alt.Chart, played: bool) -> alt.Chart:
    """Where solutions are at the frame that the browser was told.

    Columns, not rows that are filtered: Vega interprets an expression once for each row and frame.
    """
    if not played:
        return layer
    for name in ("x", "y"):
        place = f"datum['{name}' + frame]"
        layer = layer.transform_calculate(
            as_=name, calculate=f"isDefined({place}) ? {place} : datum.newest_{name}"
        )
    return layer


def _points(points: pd.DataFrame, styles: Sequence[Curve], played: bool) -> pd.DataFrame:
    frames = [name for name in map(str, points) if FRAME.match(name)] if played else []
    places = points.reindex(columns=["x", "y", *frames]).astype(float)
    places = places.where(places.abs().lt(math.inf))
    rest = points.reindex(columns=["curve", "solution", "preference", "chosen", "ring"])
    rest["ring"] = rest["ring"].where(rest["chosen"].eq(True) & rest["ring"].notna(), "")
    shapes = rest["curve"].map({style.label: style.shape for style in styles})
    rest = rest.assign(chosen=rest["chosen"].eq(True), shape=shapes)
    drawn = pd.concat([rest, places], axis="columns")[shapes.notna()].reset_index(drop=True)
    return drawn.rename(columns={"x": "newest_x", "y": "newest_y"}) if played else _placed(drawn)


def _solutions(
    drawn: pd.DataFrame, styles: Sequence[Curve], axes: _Axes, joined: bool, played: bool
) -> list[alt.Chart]:
    """The line through a curve's solutions, their markers, and a ring around the chosen one."""
    base = _at_frame(alt.Chart(drawn), played).encode(x=axes.x("x"), y=axes.y("y"))
    line = base.mark_line(clip=True, strokeWidth=1.2, strokeJoin="round").encode(
        stroke=stroke(styles),
        strokeDash=dash(styles),
        order="solution:Q",
        opacity=dimmed(0.6, 0.06),
    )
    # An expression, not an encoding: legends merge only where a channel has a single field.
    marks = base.mark_point(
        clip=True, filled=True, size=46, shape=alt.ExprRef("datum.shape")
    ).encode(fill=fill(styles), opacity=dimmed(1.0, 0.1))
    ring = (
        base.transform_filter("datum.chosen")
        .mark_point(clip=True, shape="circle", size=260, strokeWidth=2)
        .encode(stroke=stroke(styles), opacity=dimmed(1.0, 0.1))
    )
    left, right = axes.x_scale.domain
    beyond = f"datum.x > {(left + 3 * right) / 4!r}"  # where words would be cut off at the edge
    words = base.transform_filter("datum.chosen").mark_text(
        clip=True,
        fill=GREY,
        fontSize=11,
        baseline="bottom",
        align=alt.ExprRef(f"{beyond} ? 'right' : 'left'"),
        dx=alt.ExprRef(f"{beyond} ? -8 : 8"),
        dy=-8,
    )
    named = words.encode(text="ring:N", opacity=dimmed(1.0, 0.1))
    return [line, marks, ring, named] if joined else [marks, ring, named]


def _trails(
    trails: pd.DataFrame | None, styles: Sequence[Curve], axes: _Axes, played: bool
) -> alt.Chart:
    columns = ["curve", "solution", "step", "x", "y"]
    rows = pd.DataFrame() if trails is None else trails
    chart: alt.Chart = (
        alt.Chart(_finite(rows.reindex(columns=columns), styles))
        .mark_line(clip=True, strokeWidth=0.8, strokeJoin="round")
        .encode(
            x=axes.x("x"),
            y=axes.y("y"),
            stroke=stroke(styles),
            detail="solution:N",
            order="step:Q",
            opacity=dimmed(0.35, 0.03),
        )
    )
    return chart.transform_filter("!isNumber(frame) || datum.step <= frame") if played else chart


def _finite(rows: pd.DataFrame, styles: Sequence[Curve]) -> pd.DataFrame:
    known = rows["curve"].isin([style.label for style in styles])
    return _placed(rows[known].astype({"x": float, "y": float}))


def _placed(rows: pd.DataFrame) -> pd.DataFrame:
    placed = rows["x"].abs().lt(math.inf) & rows["y"].abs().lt(math.inf)
    return rows[placed].reset_index(drop=True)


def _renamed(rows: pd.DataFrame | None, names: dict[str, str]) -> pd.DataFrame:
    """Rows with unique column names: two empty data sets of equal columns would count as one."""
    rows = pd.DataFrame() if rows is None else rows
    rows = rows.reindex(columns=list(names)).rename(columns=names)
    return rows.astype(float).reset_index(drop=True)


def _true_front(front: pd.DataFrame | None, axes: _Axes, joined: bool) -> alt.Chart:
    rows = _renamed(front, {"x": "front_x", "y": "front_y"})
    base = alt.Chart(rows.assign(place=range(len(rows))))
    base = base.encode(x=axes.x("front_x"), y=axes.y("front_y"))
    if joined:
        line = base.mark_line(clip=True, stroke=GREY, strokeWidth=3, opacity=0.5)
        chart: alt.Chart = line.encode(order="place:Q")
    else:
        chart = base.mark_point(clip=True, filled=True, fill=GREY, size=9, opacity=0.5)
    return chart


def _ray(ray: pd.DataFrame | None, axes: _Axes) -> alt.Chart:
    names = {"x": "from_x", "y": "from_y", "x2": "to_x", "y2": "to_y"}
    chart: alt.Chart = (
        alt.Chart(_renamed(ray, names))
        .mark_rule(clip=True, stroke=GREY, strokeWidth=1.2, strokeDash=[5, 4])
        .encode(x=axes.x("from_x"), y=axes.y("from_y"), x2=alt.X2("to_x"), y2=alt.Y2("to_y"))
    )
    return chart


def _reference(point: tuple[float, float] | None, axes: _Axes) -> list[alt.Chart]:
    place = pd.DataFrame([] if point is None else [point], columns=["reference_x", "reference_y"])
    base = alt.Chart(place.astype(float)).encode(x=axes.x("reference_x"), y=axes.y("reference_y"))
    cross = base.mark_point(clip=True, shape=CROSS, size=50, stroke=GREY, strokeWidth=1.8)
    words = base.mark_text(
        text="reference", clip=True, fill=GREY, fontSize=11, align="right", dx=-9, dy=1
    )
    return [cross, words]


def _frames(bands: pd.DataFrame, styles: Sequence[Curve]) -> pd.DataFrame:
    """The rows with ±2 SD in words, and whether each frame has a marker."""
    columns = ["curve", "step", "evaluations", "seconds", "seeds", "mean", "low", "high"]
    frames = bands.reindex(columns=columns).astype({"mean": float, "low": float, "high": float})
    known = frames["curve"].isin([style.label for style in styles]) & frames["mean"].notna()
    frames = frames[known].reset_index(drop=True)
    place = frames.groupby("curve").cumcount()
    count = frames.groupby("curve")["step"].transform("size")
    # Powers of two, so that markers stay where they are while frames are added.
    apart = count.map(lambda count: 2 ** max(0, math.ceil(math.log2(count / MARKS))))
    spread = (frames["high"] - frames["low"]) / 2
    return frames.assign(
        around=[f"{value:.4f}" if math.isfinite(value) else "–" for value in spread],
        shape=frames["curve"].map({style.label: style.shape for style in styles}),
        marked=(place % apart.where(apart > 0, 1)).eq(0) if len(frames) else False,
    )


def _levels(levels: pd.DataFrame | None, scale: alt.Scale, y_axis: alt.Axis) -> list[alt.Chart]:
    """Horizontal lines, named on the left, where curves have not risen to them yet."""
    rows = (pd.DataFrame() if levels is None else levels).reindex(columns=["level", "label"])
    base = alt.Chart(rows.astype({"level": float})).encode(
        y=alt.Y("level:Q", scale=scale, axis=y_axis)
    )
    rule = base.mark_rule(stroke=GREY, strokeWidth=1.2, strokeDash=[6, 4])
    words = base.mark_text(fill=GREY, fontSize=11, align="left", baseline="top", dx=5, dy=4).encode(
        x=alt.value(0), text="label:N"
    )
    return [rule, words]


def _names(styles: Sequence[Curve]) -> str:
    return ", ".join(style.label for style in styles) or "no run"
