"""What charts of curves share: bands, mean lines, points, hover, legend and zoom."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import altair as alt
import pandas as pd
from altair.utils.schemapi import debug_mode

from mtl_core.charts.legend import MARKERS, curve_legend, legend_rows
from mtl_core.charts.palette import Curve

__all__ = [
    "AXIS",
    "CROWD",
    "GREY",
    "LARGE",
    "PLOT",
    "Figure",
    "band",
    "banded_curves",
    "below",
    "colour_scale",
    "dash",
    "dimmed",
    "figure",
    "fill",
    "hover",
    "markers",
    "mean_line",
    "now_rule",
    "shaped",
    "stroke",
    "told_apart",
    "unchecked",
]

P = ParamSpec("P")

GREY = "#858585"  # shows on white and on near-black alike
LARGE = 300  # pixels of height from which on a figure is as wide as its page
CROWD = 8
"""Curves beyond which bands hide each other: one shows once its curve is picked. Small figures of
so many have no legend of their own, which would be higher than they are; tooltips name curves."""
USUAL_WIDTH, NARROW = 640, 260  # pixels of such a plot, and of one of several beside each other
AXIS, LEGEND_OFFSET, LEGEND_ROW = 55, 15, 20  # pixels below the plot
PLOT = "plot"
"""Where a specification keeps the plot's own height, whatever else its height holds."""
PICK = "pick"
ZOOM = "zoom"


class Figure(alt.LayerChart):
    """A layered chart that is not checked against Vega-Lite's schema each time it is drawn.

    The check takes longer than everything else about a live chart, and its outcome depends on our
    code alone: the tests make it instead, with ``validate=True``.
    """

    def to_dict(self, validate: bool = False, **options: Any) -> dict[str, Any]:
        """The Vega-Lite specification, data included."""
        spec: dict[str, Any] = super().to_dict(validate=validate, **options)
        return spec


def unchecked(build: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorates a function that builds a chart: the chart's pieces are not checked either."""

    @wraps(build)
    def built(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with debug_mode(False):
            return build(*args, **kwargs)

    return built


def figure(
    layers: Sequence[alt.Chart], height: int, *, below: int | None = None, **options: Any
) -> Figure:
    """Layers as wide as the page's column.

    Its marks and axes are not read out one by one, which would be hundreds of raw numbers: the
    chart's alt names the axes and says what comes of the marks.

    Args:
        height: of the plot, in pixels.
        below: pixels of axis and legend below it, about; the figure then fits into the height that
            it is given, as a full screen's. Without it a full screen cuts them off.
    """
    return Figure(
        layer=list(layers),
        config=alt.Config(mark=alt.MarkConfig(aria=False), axis=alt.AxisConfig(aria=False)),
        width="container",
        height=height + (below or 0),
        usermeta={PLOT: height},
        autosize=alt.AutoSizeParams(type="fit" if below else "fit-x", contains="padding"),
        **options,
    )


def banded_curves(
    lines: pd.DataFrame,
    points: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    x: alt.X,
    y_scale: alt.Scale,
    y_axis: alt.Axis,
    tooltip: Sequence[alt.Tooltip],
    name: str,
    height: int,
    background: Sequence[alt.Chart] = (),
    earlier: pd.DataFrame | None = None,
    earlier_lines: pd.DataFrame | None = None,
    bands: pd.DataFrame | None = None,
) -> Figure:
    """Mean lines with their bands, points on top, a legend below; zoom, hover and legend choice.

    The data sets of layers must differ in their columns. Streamlit takes two data sets of equal
    bytes, such as two empty ones, for one, and rebuilds the chart when they become different.

    Args:
        lines: ``curve``, the field of x, and ``value, low, high``; lines break at NaN.
        points: ``curve``, the field of x, ``value``, and what the tooltip names.
        curves: what is drawn, in legend order; also those without rows.
        x: the horizontal encoding, with its scale and axis.
        y_scale: the vertical scale.
        y_axis: the vertical axis.
        tooltip: what hovering a point tells.
        name: of the view that holds the selections, so that Altair does not name it by its data.
        height: of the plot in pixels; axis and legend come on top of it.
        background: layers below everything else, with their own data.
        earlier: further points, that seldom change: see ``live``.
        earlier_lines: so do these pieces of lines.
        bands: ``curve``, the field of x, and ``low, high``; default as in ``lines``.
    """
    y = alt.Y("value:Q", scale=y_scale, axis=y_axis)
    has_legend = height >= LARGE or len(curves) <= CROWD
    dots = [shaped(rows, curves) for rows in (earlier, points) if rows is not None]
    layers = [
        *background,
        band(
            lines if bands is None else bands,
            curves,
            x,
            alt.Y("low:Q", scale=y_scale, axis=y_axis),
        ),
        *(mean_line(r, curves, x, y) for r in (earlier_lines, lines) if r is not None),
        *(markers(alt.Chart(rows), curves, x, y) for rows in dots),
        *(told_apart(rows, x, y, tooltip) for rows in dots[:-1]),
        hover(dots[-1], curves, x, y, tooltip, has_legend=has_legend).properties(
            name=f"{name}_hover"
        ),
    ]
    if not has_legend:
        layers = list(map(_without_legend, layers))
    return figure(layers, height, below=below(curves, height) if has_legend else AXIS)


def shaped(points: pd.DataFrame, curves: Sequence[Curve]) -> pd.DataFrame:
    """Points that have a value, each with the ``shape`` of its curve."""
    if "shape" in points:
        return points
    points = points.dropna(subset=["value"], ignore_index=True)
    return points.assign(shape=points["curve"].map({c.label: c.shape for c in curves}))


def below(curves: Sequence[Curve], height: int) -> int:
    """About how many pixels axis and legend take below a plot of this height.

    Figures in a grid are as high as each other. Where a legend takes more rows than are said here,
    or fewer, its plot is by that much lower or higher than the others.
    """
    rows = legend_rows(curves, USUAL_WIDTH if height >= LARGE else NARROW)
    return AXIS + LEGEND_OFFSET + LEGEND_ROW * rows


def band(lines: pd.DataFrame, curves: Sequence[Curve], x: alt.X, low: alt.Y) -> alt.Chart:
    """A pale area from ``low`` to the column ``high``; of many curves, only where one is picked."""
    shown = dimmed(0.2, 0.03) if len(curves) <= CROWD else _picked(0.2)
    chart: alt.Chart = (
        alt.Chart(lines)
        .mark_area(clip=True)
        .encode(x=x, y=low, y2=alt.Y2(field="high"), fill=fill(curves), opacity=shown)
    )
    return chart


def mean_line(lines: pd.DataFrame, curves: Sequence[Curve], x: alt.X, y: alt.Y) -> alt.Chart:
    """A line with its curve's colour and dash."""
    chart: alt.Chart = (
        alt.Chart(lines)
        .mark_line(clip=True, strokeWidth=2.25, strokeJoin="round")
        .encode(
            x=x,
            y=y,
            stroke=stroke(curves),
            strokeDash=dash(curves),
            opacity=dimmed(1.0, 0.12),
        )
    )
    return chart


def markers(points: alt.Chart, curves: Sequence[Curve], x: alt.X, y: alt.Y) -> alt.Chart:
    """Points with their curve's colour, and the shape that the column ``shape`` names."""
    chart: alt.Chart = (
        # An expression, not an encoding: legends merge only where a channel has a single field.
        points.mark_point(clip=True, filled=True, size=48, shape=alt.ExprRef("datum.shape")).encode(
            x=x, y=y, fill=fill(curves), opacity=dimmed(1.0, 0.12)
        )
    )
    return chart


def stroke(curves: Sequence[Curve]) -> alt.Stroke:
    """Curve to line colour."""
    return alt.Stroke("curve:N", scale=colour_scale(curves), legend=curve_legend(curves))


def fill(curves: Sequence[Curve]) -> alt.Fill:
    """Curve to the colour of areas and points."""
    return alt.Fill("curve:N", scale=colour_scale(curves), legend=curve_legend(curves))


def dash(curves: Sequence[Curve]) -> alt.StrokeDash:
    """Curve to the dash of its line."""
    dashes = [list(curve.dash) for curve in curves]
    scale = alt.Scale(domain=_labels(curves), range=dashes)
    return alt.StrokeDash("curve:N", scale=scale, legend=curve_legend(curves))


def colour_scale(curves: Sequence[Curve]) -> alt.Scale:
    """Curve to colour, for curves without rows too."""
    return alt.Scale(domain=_labels(curves), range=[curve.colour for curve in curves])


def dimmed(chosen: float, others: float) -> alt.OpacityValue:
    """Opacity of curves picked in the legend (all, while none is picked) and of the others."""
    return alt.OpacityValue(others, condition={"param": PICK, "value": chosen})


def _picked(chosen: float) -> alt.OpacityValue:
    """Opacity of curves picked in the legend; all others, and all while none is, are not seen."""
    return alt.OpacityValue(0, condition={"param": PICK, "empty": False, "value": chosen})


def _without_legend(layer: alt.Chart) -> alt.Chart:
    for channel in ("fill", "stroke", "strokeDash", "shape"):
        encoding = getattr(layer.encoding, channel)
        if encoding is not alt.Undefined and "curve" in str(encoding.shorthand):
            encoding.legend = None
    return layer


def now_rule(now: float | None, scale: alt.Scale, x_axis: alt.Axis) -> alt.Chart:
    """A vertical line at ``now``, the moment that the page shows elsewhere; no line for None."""
    rows = pd.DataFrame({"now": [] if now is None else [now]}, dtype=float)
    encoding = alt.X("now:Q", scale=scale, axis=x_axis)
    chart: alt.Chart = alt.Chart(rows).mark_rule(stroke=GREY, strokeWidth=1.5).encode(x=encoding)
    return chart


def hover(
    points: pd.DataFrame,
    curves: Sequence[Curve],
    x: alt.X,
    y: alt.Y,
    tooltip: Sequence[alt.Tooltip],
    *,
    has_legend: bool = True,
) -> alt.Chart:
    """Invisible points, larger than the markers, that answer the mouse and carry the legend.

    Only this layer defines the selections: Vega refuses a signal that is defined twice.

    Args:
        has_legend: whether a curve is picked there; else by a click on one of its points.
    """
    paths = [MARKERS[curve.shape] for curve in curves]
    if has_legend:
        pick = alt.selection_point(name=PICK, fields=["curve"], bind="legend")
    else:
        pick = alt.selection_point(name=PICK, fields=["curve"], on="click", clear="dblclick")
    # A pinch or Ctrl + wheel; a bare wheel goes on scrolling the page.
    zoom = alt.selection_interval(
        name=ZOOM, bind="scales", zoom="wheel![event.ctrlKey || event.metaKey]"
    )
    chart: alt.Chart = (
        alt.Chart(points)
        .mark_point(clip=True, filled=True, size=220, opacity=0)
        .encode(
            x=x,
            y=y,
            fill=fill(curves),
            stroke=stroke(curves),
            strokeDash=dash(curves),
            shape=alt.Shape(
                "curve:N",
                scale=alt.Scale(domain=_labels(curves), range=paths),
                legend=curve_legend(curves),
            ),
            tooltip=list(tooltip),
        )
        .add_params(pick, zoom)
    )
    return chart


def told_apart(
    points: pd.DataFrame, x: alt.X, y: alt.Y, tooltip: Sequence[alt.Tooltip]
) -> alt.Chart:
    """Invisible points that answer the mouse, beside a layer of ``hover``."""
    chart: alt.Chart = (
        alt.Chart(points)
        .mark_point(filled=True, clip=True, size=220, opacity=0)
        .encode(x=x, y=y, tooltip=list(tooltip))
    )
    return chart


def _labels(curves: Sequence[Curve]) -> list[str]:
    return [curve.label for curve in curves]
