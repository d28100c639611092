"""The layers that charts of curves share: band, mean line, points, and what the mouse meets."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mtl_core.charts.palette import Curve

__all__ = ["banded_curves"]

# Paths in units of a point's radius, as Vega scales symbols.
MARKERS = {
    "circle": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "triangle-up": "M0,-1.2L1.2,0.9L-1.2,0.9Z",
    "triangle-down": "M0,1.2L1.2,-0.9L-1.2,-0.9Z",
    "square": "M-0.9,-0.9L0.9,-0.9L0.9,0.9L-0.9,0.9Z",
    "diamond": "M0,-1.3L1.1,0L0,1.3L-1.1,0Z",
    "cross": "M-1.2,-0.4L-0.4,-0.4L-0.4,-1.2L0.4,-1.2L0.4,-0.4L1.2,-0.4L1.2,0.4L0.4,0.4L0.4,1.2"
    "L-0.4,1.2L-0.4,0.4L-1.2,0.4Z",
    "triangle-right": "M1.2,0L-0.9,1.2L-0.9,-1.2Z",
    "triangle-left": "M-1.2,0L0.9,1.2L0.9,-1.2Z",
}
LEGEND_LINE = "M-4.5,0L4.5,0"
LEGEND_RADIUS = 3.5  # pixels
LEGEND_SAMPLE = 9 * LEGEND_RADIUS  # pixels, the length of LEGEND_LINE
LEGEND_CHARACTER = 6.6  # pixels, a generous mean over proportional fonts of 12 px
LEGEND_GAP = 18  # pixels between entries


def banded_curves(
    lines: pd.DataFrame,
    points: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    x: alt.X,
    y: alt.Y,
    tooltip: list[alt.Tooltip],
    name: str,
    height: int,
    background: Sequence[alt.Chart] = (),
) -> alt.LayerChart:
    """Mean lines with their bands, points on top, a legend below, zoom and legend choice.

    Args:
        lines: ``curve``, the field of x, ``low``, ``high`` and the field of y.
        points: ``curve``, the fields of x and y and whatever the tooltip names.
        curves: what is drawn, in legend order; also those without rows.
        x: the shared horizontal encoding, with its scale and axis.
        y: the shared vertical encoding, with its scale and axis.
        tooltip: what hovering a point tells.
        name: of the chart; its views are named after it.
        height: of the plot in pixels, axis and legend not counted.
        background: layers below everything else.
    """
    # Rows cannot tell Vega a dash or a path, so points carry the name of their shape; it also makes
    # the two data sets differ when both are empty, without which Streamlit takes them for one.
    points = points.assign(shape=points["curve"].map({c.label: c.shape for c in curves}))
    # Selections live on one layer: repeated in several, Vega refuses the duplicate signals.
    pick = alt.selection_point(name="pick", fields=["curve"], bind="legend")
    zoom = alt.selection_interval(
        name="zoom",
        bind="scales",
        # A pinch or Ctrl + wheel; a bare wheel goes on scrolling the page.
        zoom="wheel![event.ctrlKey || event.metaKey]",
    )
    line_x = alt.X(**{**_arguments(x), "shorthand": x.shorthand})
    band = (
        alt.Chart(lines)
        .mark_area(clip=True, tooltip=False)
        .encode(
            x=line_x,
            y=_band_edge(y, "low"),
            y2=alt.Y2("high"),
            fill=_fill(curves, legend=None),
            opacity=_dimmed(pick, 0.16, 0.03),
        )
    )
    line = (
        alt.Chart(lines)
        .mark_line(clip=True, strokeWidth=2, strokeJoin="round", tooltip=False)
        .encode(
            x=line_x,
            y=y,
            stroke=_stroke(curves, legend=None),
            strokeDash=_dash(curves, legend=None),
            opacity=_dimmed(pick, 1.0, 0.12),
        )
    )
    marks = (
        alt.Chart(points)
        .mark_point(clip=True, filled=True, size=34, tooltip=False)
        .encode(
            x=x,
            y=y,
            fill=_fill(curves, legend=None),
            shape=alt.Shape("shape:N", scale=None, legend=None),
            opacity=_dimmed(pick, 1.0, 0.12),
        )
    )
    return (
        alt.layer(*background, band, line, marks, _hover(points, curves, x, y, tooltip, pick, zoom, name))
        .properties(
            name=name,
            width="container",
            height=height,
            # The legend may take as many rows as it needs without squeezing the plot.
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
        )
    )
