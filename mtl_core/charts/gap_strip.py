"""The strip below the hero figure: the generalization gap at each training loss."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import altair as alt
import pandas as pd

from mtl_core.charts.axes import log_axis, log_scale
from mtl_core.charts.frame import EXTENT
from mtl_core.charts.layers import CROWD, GREY, Figure, colour_scale, figure, unchecked
from mtl_core.charts.palette import Curve
from mtl_core.charts.ready import Drawing

__all__ = ["gap_strip", "gap_strip_alt", "gap_strip_drawing"]

LEAST = 0.01
"""Gaps are drawn on an axis of at least this much to either side: one point, of a share."""
BEYOND = 1.3
"""How far the axis reaches beyond the largest gap of a single seed. Intervals end there: those of
two seeds would leave no room for anything else."""


def gap_strip(rows: pd.DataFrame, curves: Sequence[Curve], **options: Any) -> Figure:
    """Each curve's gap over the baseline at equal loss: ``gap_strip_drawing`` as one chart."""
    return gap_strip_drawing(rows, curves, **options).chart()  # type: ignore[return-value]


def gap_strip_drawing(
    rows: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    title: str,
    share: bool,
    losses: tuple[float, ...] = (),
    height: int = 84,
) -> Drawing:
    """Each curve's gap over the baseline at equal loss, with its 95 % interval, and a line at 0.

    Args:
        rows: ``analysis.gap_over_loss`` of all curves, one after the other; may be empty.
        curves: how curves are drawn, also those without rows.
        title: of the y axis.
        share: whether gaps are differences of shares, written in percentage points.
        losses: the least and the largest training loss that the axis shows at least.
        height: of the plot in pixels.
    """
    unit = 100 if share else 1
    numbers = ["train_loss", "gap", "low", "high", "largest"]
    rows = rows.astype(dict.fromkeys(numbers, float))
    reach = max(LEAST, BEYOND * float(rows["largest"].max()) if len(rows) else 0) * unit
    drawn = rows.assign(**{name: rows[name] * unit for name in ("gap", "low", "high")})
    bands = drawn[["curve", "train_loss"]].assign(
        from_gap=drawn["low"].clip(-reach, reach), to_gap=drawn["high"].clip(-reach, reach)
    )
    tables = (
        _frame_rows(losses, reach),
        bands.dropna(ignore_index=True),
        drawn[["curve", "train_loss", "gap"]],
        drawn[["curve", "train_loss", "gap", "low", "high", "seeds"]],
    )
    return Drawing(tables, partial(_built, curves=curves, title=title, share=share, height=height))


@unchecked
def _built(
    tables: Sequence[pd.DataFrame],
    *,
    curves: Sequence[Curve],
    title: str,
    share: bool,
    height: int,
) -> Figure:
    frame, bands, lines, points = tables
    x_scale, x_axis = log_scale(reverse=True), log_axis("x", "", grid=False)
    y_axis = alt.Axis(title=title, grid=True, tickCount=3, minExtent=EXTENT, format="+.3~f")
    y_scale = alt.Scale(zero=True, nice=False)
    x = alt.X("train_loss:Q", scale=x_scale, axis=x_axis)
    y = alt.Y("gap:Q", scale=y_scale, axis=y_axis)
    fill = alt.Fill("curve:N", scale=colour_scale(curves), legend=None)
    band = (
        alt.Chart(bands)
        # Of many curves they hide each other; tooltips have the intervals.
        .mark_area(clip=True, opacity=0.2 if len(curves) <= CROWD else 0, aria=False)
        .encode(
            x=x,
            y=alt.Y("from_gap:Q", scale=y_scale, axis=y_axis),
            y2=alt.Y2(field="to_gap"),
            fill=fill,
        )
    )
    dashes = alt.Scale(
        domain=[curve.label for curve in curves], range=[list(curve.dash) for curve in curves]
    )
    line = (
        alt.Chart(lines)
        .mark_line(clip=True, strokeWidth=2, strokeJoin="round", aria=False)
        .encode(
            x=x,
            y=y,
            stroke=alt.Stroke("curve:N", scale=colour_scale(curves), legend=None),
            strokeDash=alt.StrokeDash("curve:N", scale=dashes, legend=None),
        )
    )
    hover = (
        alt.Chart(points)
        .mark_point(filled=True, size=220, opacity=0, aria=False)
        .encode(
            x=x,
            y=y,
            fill=fill,
            tooltip=_tooltip("gap, pt" if share else "gap"),
        )
    )
    zero = _frame(frame).encode(
        x=alt.X("at:Q", scale=x_scale, axis=x_axis),
        y=alt.Y("level:Q", scale=y_scale, axis=y_axis),
    )
    return figure([zero, band, line, hover], height)


def gap_strip_alt(curves: Sequence[Curve], *, task: str) -> str:
    """One sentence for those who do not see the strip; the same while a run goes on."""
    return (
        f"Strip below the figure: how much higher the test metric of {task} is than the single "
        f"task's at equal training loss, with 95 % intervals, for "
        f"{', '.join(curve.label for curve in curves)}."
    )


def _frame_rows(losses: tuple[float, ...], reach: float) -> pd.DataFrame:
    rows = pd.DataFrame(
        [(loss, level) for loss in losses for level in (0, -reach, reach)],
        columns=["at", "level"],
        dtype=float,
    )
    return rows.assign(zero=rows["level"] == 0)


def _frame(rows: pd.DataFrame) -> alt.Chart:
    """The line at 0, from end to end, and unseen lines to which both axes reach."""
    shown = alt.Opacity("zero:N", scale=alt.Scale(domain=[True, False], range=[1, 0]), legend=None)
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_line(stroke=GREY, strokeWidth=1, aria=False)
        .encode(detail="level:Q", opacity=shown)
    )
    return chart


def _tooltip(title: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("train_loss:Q", title="training loss L", format=".3~g"),
        alt.Tooltip("gap:Q", title=title, format="+.2f"),
        alt.Tooltip("low:Q", title="from", format="+.2f"),
        alt.Tooltip("high:Q", title="to", format="+.2f"),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
    ]
