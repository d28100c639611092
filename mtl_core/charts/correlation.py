"""Does early gradient similarity predict a run's final factors and test metric (M24, Fig. 5)?"""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from mtl_core.charts import told
from mtl_core.charts.axes import Vertical, axis, vertical
from mtl_core.charts.layers import AXIS, Figure, below, colour_scale, figure, unchecked
from mtl_core.charts.legend import POINTS, curve_legend
from mtl_core.charts.palette import Curve

__all__ = ["correlation_alt", "correlation_chart"]

CHOSEN = "point"
LONGEST_LEGEND = 12  # curves; with more, hovering names them
FEWEST_FITTED = 3  # points; a line through two of them always fits
GREY = "#858585"  # shows on white and on near-black alike


@unchecked
def correlation_chart(
    points: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    x_title: str,
    y_title: str,
    log_y: bool = False,
    value_format: str = ".3~g",
    height: int = 300,
    name: str = "correlation",
    detail: str | None = None,
    each: bool = False,
) -> Figure:
    """A point per run with ±2 SD whiskers both ways, and the least-squares line through them.

    A click on a point chooses it: the selection parameter ``point`` then has its ``run``.

    Args:
        points: ``curve, run, similarity, value, seeds`` and the ends of the whiskers,
            ``similarity_low, similarity_high, value_low, value_high``; may be empty.
        curves: how each point's curve is drawn, in legend order.
        x_title: of the similarity.
        y_title: of the value.
        log_y: whether y, and with it the fit, is logarithmic. Values of 0 or below are then
            neither drawn nor fitted, and a whisker does not reach below a tenth of its value.
        value_format: d3 format of a value for hovering; ``%`` for a share, which here lies on a
            linear axis, as the correlation that goes with the chart is that of the shares.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
        detail: a further column of the points, shown on hovering.
        each: whether each curve, which then has several points, gets a fitted line of its own.
    """
    digits = ".1%" if value_format == "%" else value_format
    y = vertical(y_title, log=log_y, value_format=digits)
    drawn = _drawn(points, y, detail)
    at = alt.Chart(drawn).encode(x=_x("similarity", x_title), y=_y("value", y))
    tooltip = [
        alt.Tooltip("curve:N", title="target" if each else "curve"),
        *([alt.Tooltip(f"{detail}:N")] if detail else []),
        alt.Tooltip("similarity:Q", title=x_title, format=".3f"),
        alt.Tooltip("value:Q", title=y_title, format=digits),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
        alt.Tooltip("run:N", title="run"),
    ]
    layers = [
        _fitted(_lines(drawn, each, log_y), curves if each else None, x_title, y),
        *_whiskers(drawn, curves, x_title, y),
        _ring(at, curves),
        _marks(at, curves, tooltip).properties(name=f"{name}_points"),
    ]
    room = below(curves, height) if len(curves) <= LONGEST_LEGEND else AXIS
    return figure(layers, height, below=room)


def correlation_alt(
    curves: Sequence[Curve],
    *,
    x_title: str,
    y_title: str,
    points: pd.DataFrame | None = None,
    log_y: bool = False,
    value_format: str = ".3~g",
    each: bool = False,
) -> str:
    """What the chart says, for those who do not see it: where its fitted lines lead.

    Args:
        curves: as they are drawn.
        x_title: of the similarity.
        y_title: of the value.
        points: as they are drawn, once runs have ended; without them it is said what is drawn.
        log_y: as the chart's, as are the others.
        value_format: of a value.
        each: whether each curve has a line of its own.
    """
    drawn = pd.DataFrame() if points is None else points
    y = vertical(y_title, log=log_y, value_format=value_format.replace("%", ".1%"))
    lines = _lines(_drawn(drawn, y, None), each, log_y)
    courses = [_course(ends, value_format) for _, ends in lines.groupby(np.arange(len(lines)) // 2)]
    plot = f"{y_title} against {x_title}: a point per run with whiskers of two standard deviations"
    if not courses:
        return told.sentence(f"{plot}, for {told.names([curve.label for curve in curves])}")
    if len(courses) > told.MOST_NAMED:
        rising = sum(course.startswith("rises") for course in courses)
        said = f"the fitted line rises for {rising} of {len(courses)}"
    elif each:
        names = lines["curve"].iloc[::2]
        said = "; ".join(
            f"the fitted line of {name} {course}"
            for name, course in zip(names, courses, strict=True)
        )
    else:
        said = f"over {len(drawn)} points the fitted line {courses[0]}"
    return told.sentence(f"{plot}; {said}")


def _course(ends: pd.DataFrame, value_format: str) -> str:
    """Where a fitted line leads, in words."""
    (x, end), (first, last) = ends["similarity"], ends["fitted"]
    start, stop = told.number(first, value_format), told.number(last, value_format)
    if start == stop:
        return f"stays at {start}"
    verb = "rises" if last > first else "falls"
    return f"{verb} from {start} at {told.number(x, '')} to {stop} at {told.number(end, '')}"


def _drawn(points: pd.DataFrame, y: Vertical, detail: str | None) -> pd.DataFrame:
    columns = ["curve", "run", "seeds", "similarity", "similarity_low", "similarity_high"]
    columns += [detail] if detail else []
    values = {"value": "value", "value_low": "low", "value_high": "high"}
    placed = y.place(points.reindex(columns=[*columns, *values]).rename(columns=values))
    return placed.dropna(subset=["similarity", "value"], ignore_index=True)


def _least_squares(drawn: pd.DataFrame, *, log: bool) -> pd.DataFrame:
    """The ends of the line, as ``similarity, fitted``; no rows where nothing can be fitted."""
    x = drawn["similarity"].to_numpy(dtype=float)
    y = drawn["value"].to_numpy(dtype=float)
    if x.size < FEWEST_FITTED or np.ptp(x) == 0:
        return pd.DataFrame(columns=["similarity", "fitted"])
    y = np.log10(y) if log else y
    deviation = x - x.mean()
    slope = deviation @ y / (deviation @ deviation)
    ends = np.array([x.min(), x.max()])
    fitted = y.mean() + slope * (ends - x.mean())
    return pd.DataFrame({"similarity": ends, "fitted": 10**fitted if log else fitted})


def _lines(drawn: pd.DataFrame, each: bool, log: bool) -> pd.DataFrame:
    """The line through all points, or with the column ``curve`` one for each curve."""
    if not each:
        return _least_squares(drawn, log=log)
    lines = [
        _least_squares(own, log=log).assign(curve=curve)
        for curve, own in drawn.groupby("curve", sort=False)
    ]
    if not lines:
        return pd.DataFrame(columns=["similarity", "fitted", "curve"])
    return pd.concat(lines, ignore_index=True)


def _x(field: str, title: str) -> alt.X:
    scale = alt.Scale(zero=False, nice=True, padding=10)
    return alt.X(f"{field}:Q", scale=scale, axis=axis(title, grid=False))


def _y(field: str, y: Vertical) -> alt.Y:
    return alt.Y(f"{field}:Q", scale=y.scale, axis=y.axis)


def _fitted(
    ends: pd.DataFrame, curves: Sequence[Curve] | None, x_title: str, y: Vertical
) -> alt.Chart:
    line: alt.Chart = (
        alt.Chart(ends)
        .mark_line(clip=True, strokeWidth=1.5, strokeDash=[6, 4])
        .encode(x=_x("similarity", x_title), y=_y("fitted", y))
    )
    stroke = alt.value(GREY) if curves is None else _stroke(curves)
    chart: alt.Chart = line.encode(stroke=stroke)
    return chart


def _whiskers(
    drawn: pd.DataFrame, curves: Sequence[Curve], x_title: str, y: Vertical
) -> list[alt.Chart]:
    rule = (
        alt.Chart(drawn)
        .mark_rule(clip=True, strokeWidth=1.2, opacity=0.65)
        .encode(stroke=_stroke(curves))
    )
    across = rule.encode(
        x=_x("similarity_low", x_title),
        x2=alt.X2(field="similarity_high"),
        y=_y("value", y),
    )
    along = rule.encode(
        x=_x("similarity", x_title),
        y=_y("low", y),
        y2=alt.Y2(field="high"),
    )
    return [across, along]


def _ring(at: alt.Chart, curves: Sequence[Curve]) -> alt.Chart:
    """A ring around the chosen point. It lies below the points, so as not to take their clicks."""
    chart: alt.Chart = at.mark_point(
        clip=True, filled=False, shape="circle", size=280, strokeWidth=2
    ).encode(
        stroke=_stroke(curves),
        opacity=alt.OpacityValue(0, condition={"param": CHOSEN, "empty": False, "value": 1}),
    )
    return chart


def _marks(at: alt.Chart, curves: Sequence[Curve], tooltip: Sequence[alt.Tooltip]) -> alt.Chart:
    legend = _legend(curves)
    shapes = alt.Scale(
        domain=[curve.label for curve in curves],
        range=[POINTS[curve.shape] for curve in curves],
    )
    chart: alt.Chart = (
        at.mark_point(clip=True, filled=True, size=80, opacity=1, cursor="pointer", aria=True)
        .encode(
            fill=alt.Fill("curve:N", scale=colour_scale(curves), legend=legend),
            shape=alt.Shape("curve:N", scale=shapes, legend=legend),
            tooltip=list(tooltip),
        )
        .add_params(alt.selection_point(name=CHOSEN, fields=["run"], on="click", toggle=False))
    )
    return chart


def _stroke(curves: Sequence[Curve]) -> alt.Stroke:
    # Vega merges the curves' legends: without one here, the other channels would lose theirs.
    return alt.Stroke("curve:N", scale=colour_scale(curves), legend=_legend(curves))


def _legend(curves: Sequence[Curve]) -> alt.Legend | None:
    return curve_legend(curves, line=False) if len(curves) <= LONGEST_LEGEND else None
