"""Fronts of solutions in the plane of two objectives, and how much they dominate over time."""

import math
from collections.abc import Sequence
from typing import Literal

import altair as alt
import pandas as pd

from mtl_core.charts.axes import axis
from mtl_core.charts.layers import (
    GREY,
    Figure,
    dash,
    dimmed,
    fill,
    hover,
    now_rule,
    stroke,
    unchecked,
)
from mtl_core.charts.palette import Curve

__all__ = ["front_alt", "front_chart", "hypervolume_alt", "hypervolume_chart"]

CROSS = "M-1,-1L1,1M-1,1L1,-1"
MARKS = 8
"""Markers of a line, at most: enough to tell its curve without colour."""

TIME = {"evaluations": "gradient evaluations", "seconds": "seconds of solving"}


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
    format_x: str = ".3~g",
    format_y: str = ".3~g",
    height: int = 380,
    name: str = "front",
) -> Figure:
    """A marker per solution and a thin line through those of a curve; zoom, hover, legend choice.

    What lies outside the domains is cut off at the edge, and there when the reader zooms out.

    Args:
        points: ``curve, solution, x, y``, the words ``preference`` for hovering, and whether it is
            ``chosen``, which gives it a ring; may be empty. Those without a finite place are left
            out.
        styles: which curves are drawn and how, also those without points.
        domain_x: both ends of the x axis.
        reference: the hypervolume's reference point, a cross.
        front: ``x, y`` of the true front, in order; grey.
        ray: ``x, y, x2, y2`` of grey dashed lines, such as from the ideal point in the direction of
            the chosen preference; may reach beyond the domains.
        trails: ``curve, solution, step, x, y``: where each solution came along, faint.
        joined: whether a curve's solutions, by ``solution``, and the true front's points are joined
            by lines; a projection of more than two objectives has no such order.
        format_x: d3 format for hovering; one that ends in % has an axis of percentages.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
    """
    x_scale = alt.Scale(domain=list(domain_x), nice=False, zero=False)
    y_scale = alt.Scale(domain=list(domain_y), nice=False, zero=False)
    x_axis = axis(x_title, grid=True, percent=format_x.endswith("%"))
    y_axis = axis(y_title, grid=True, percent=format_y.endswith("%"))

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=x_scale, axis=x_axis)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=y_scale, axis=y_axis)

    drawn = _points(points, styles)
    base = alt.Chart(drawn).encode(x=x("x"), y=y("y"))
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
    tooltip = [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("solution:Q", title="solution", format="d"),
        alt.Tooltip("preference:N", title="preference"),
        alt.Tooltip("x:Q", title=x_title, format=format_x),
        alt.Tooltip("y:Q", title=y_title, format=format_y),
    ]
    true = _renamed(front, {"x": "front_x", "y": "front_y"})
    way = _renamed(ray, {"x": "from_x", "y": "from_y", "x2": "to_x", "y2": "to_y"})
    shown_trails = _trails(trails, styles)
    layers = [
        _true_front(true, joined).encode(x=x("front_x"), y=y("front_y")),
        alt.Chart(way)
        .mark_rule(clip=True, stroke=GREY, strokeWidth=1.2, strokeDash=[5, 4])
        .encode(x=x("from_x"), y=y("from_y"), x2=alt.X2("to_x"), y2=alt.Y2("to_y")),
        alt.Chart(shown_trails)
        .mark_line(clip=True, strokeWidth=0.8, strokeJoin="round")
        .encode(
            x=x("x"),
            y=y("y"),
            stroke=stroke(styles),
            detail="solution:N",
            order="step:Q",
            opacity=dimmed(0.35, 0.03),
        ),
        *_reference(reference, x("reference_x"), y("reference_y")),
        *([line] if joined else []),
        marks,
        ring,
        hover(drawn, styles, x("x"), y("y"), tooltip).properties(name=f"{name}_hover"),
    ]
    return Figure(
        layer=layers,
        width="container",
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )


def front_alt(styles: Sequence[Curve], *, x_title: str, y_title: str) -> str:
    """One sentence for those who do not see the chart; the same while solving goes on."""
    return (
        f"Scatter plot of {y_title} against {x_title}, a point per solution, for {_names(styles)}."
    )


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
    """Mean over seeds with its ±2 SD band, against what it took; for any measure of a front.

    Args:
        bands: ``curve`` and what ``pareto.curves.band`` returns; may be empty. Without a band (one
            seed, NaN) the line is drawn alone.
        styles: which curves are drawn and how, also those without rows.
        x: what it took: gradient evaluations or seconds, from 0.
        title: of the y axis.
        levels: ``level, label``: dashed grey lines to compare with, such as the true front's.
        now: on the x axis: the frame that is shown elsewhere.
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
    band = (
        alt.Chart(lines)
        .mark_area(clip=True)
        .encode(
            x=across,
            y=alt.Y("low:Q", scale=scale, axis=y_axis),
            y2=alt.Y2("high"),
            fill=fill(styles),
            opacity=dimmed(0.2, 0.03),
        )
    )
    line = (
        alt.Chart(lines)
        .mark_line(clip=True, strokeWidth=2.25, strokeJoin="round")
        .encode(
            x=across,
            y=y,
            stroke=stroke(styles),
            strokeDash=dash(styles),
            opacity=dimmed(1.0, 0.12),
        )
    )
    # An expression, not an encoding: legends merge only where a channel has a single field.
    marks = (
        alt.Chart(points)
        .transform_filter("datum.marked")
        .mark_point(clip=True, filled=True, size=48, shape=alt.ExprRef("datum.shape"))
        .encode(x=across, y=y, fill=fill(styles), opacity=dimmed(1.0, 0.12))
    )
    tooltip = [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("mean:Q", title=title, format=".4f"),
        alt.Tooltip("around:N", title="± 2 SD"),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
        alt.Tooltip("step:Q", title="step", format=",d"),
        alt.Tooltip("evaluations:Q", title=TIME["evaluations"], format=",.0f"),
        alt.Tooltip("seconds:Q", title=TIME["seconds"], format=",.3~g"),
    ]
    return Figure(
        layer=[
            *_levels(levels, scale, y_axis),
            band,
            line,
            marks,
            now_rule(now, x_scale, x_axis),
            hover(points, styles, across, y, tooltip).properties(name=f"{name}_hover"),
        ],
        width="container",
        height=height,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )


def hypervolume_alt(
    styles: Sequence[Curve], *, x: Literal["evaluations", "seconds"], title: str
) -> str:
    """One sentence for those who do not see the chart; the same while solving goes on."""
    return (
        f"Line chart of {title} against {TIME[x]}, with bands of two standard deviations over "
        f"seeds, for {_names(styles)}."
    )


def _points(points: pd.DataFrame, styles: Sequence[Curve]) -> pd.DataFrame:
    columns = ["curve", "solution", "x", "y", "preference", "chosen"]
    drawn = _finite(points.reindex(columns=columns), styles)
    shapes = drawn["curve"].map({style.label: style.shape for style in styles})
    return drawn.assign(chosen=drawn["chosen"].eq(True), shape=shapes)


def _trails(trails: pd.DataFrame | None, styles: Sequence[Curve]) -> pd.DataFrame:
    columns = ["curve", "solution", "step", "x", "y"]
    rows = pd.DataFrame() if trails is None else trails
    return _finite(rows.reindex(columns=columns), styles)


def _finite(rows: pd.DataFrame, styles: Sequence[Curve]) -> pd.DataFrame:
    rows = rows.astype({"x": float, "y": float})
    known = rows["curve"].isin([style.label for style in styles])
    placed = rows["x"].abs().lt(math.inf) & rows["y"].abs().lt(math.inf)
    return rows[known & placed].reset_index(drop=True)


def _renamed(rows: pd.DataFrame | None, names: dict[str, str]) -> pd.DataFrame:
    """Under names of their own: two empty data sets of equal columns would count as one."""
    found = pd.DataFrame() if rows is None else rows
    found = found.reindex(columns=list(names)).rename(columns=names)
    return found.astype(float).reset_index(drop=True)


def _true_front(front: pd.DataFrame, joined: bool) -> alt.Chart:
    chart = alt.Chart(front.assign(place=range(len(front))))
    if joined:
        line: alt.Chart = chart.mark_line(
            clip=True, stroke=GREY, strokeWidth=3, opacity=0.5
        ).encode(order="place:Q")
        return line
    points: alt.Chart = chart.mark_point(
        clip=True, filled=True, fill=GREY, size=9, opacity=0.5
    )  # fmt: skip
    return points


def _reference(point: tuple[float, float] | None, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    place = pd.DataFrame([] if point is None else [point], columns=["reference_x", "reference_y"])
    base = alt.Chart(place.astype(float)).encode(x=x, y=y)
    cross = base.mark_point(clip=True, shape=CROSS, size=50, stroke=GREY, strokeWidth=1.8)
    words = base.mark_text(
        text="reference", clip=True, fill=GREY, fontSize=11, align="right", dx=-9, dy=1
    )
    return [cross, words]


def _frames(bands: pd.DataFrame, styles: Sequence[Curve]) -> pd.DataFrame:
    """With ±2 SD in words, and which frames have a marker."""
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
    """Named on the left, where lines have not risen to them yet."""
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
