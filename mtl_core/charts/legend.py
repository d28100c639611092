"""A legend below the plot whose entries show a line with its dash, its point and its colour."""

from collections.abc import Sequence

import altair as alt

from mtl_core.charts.palette import Curve

__all__ = ["MARKERS", "POINTS", "curve_legend", "legend_rows"]

RADIUS = 3.5  # pixels, of a point in the legend
LINE = 4.5  # radii, half the length of the line through it
CHARACTER = 8.4  # pixels, of Vega's own measure of the page's font; it draws them narrower
LINE_TO_LABEL = 6  # pixels
ENTRY_GAP = 16  # pixels
LONGEST_LABEL = 40  # characters; what is longer is cut off, and the tooltip has it whole

# Vega draws symbol paths in units of half the square root of the symbol's size.
POINTS = {
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
"""Point shape to its path."""
MARKERS = {shape: f"M-{LINE},0L{LINE},0{point}" for shape, point in POINTS.items()}
"""Point shape to a legend symbol: the point on a piece of line."""


def curve_legend(curves: Sequence[Curve], *, line: bool = True) -> alt.Legend:
    """A legend in one row where it fits, else in as many columns as the longest label allows.

    Args:
        curves: the entries, in order.
        line: whether the symbols are points on a line, ``MARKERS``, or points alone, ``POINTS``.
    """
    overhang = _overhang(line)
    row, widest, count = _extents(curves, line)
    columns = f"width > {row:.0f} ? {count} : clamp(floor(width / {widest:.0f}), 1, {count})"
    return alt.Legend(
        title=None,
        orient="bottom",
        direction="horizontal",
        columns=alt.ExprRef(columns),
        symbolSize=(2 * RADIUS) ** 2,
        symbolStrokeWidth=2,
        symbolOpacity=1,
        labelOffset=overhang + LINE_TO_LABEL,
        labelLimit=CHARACTER * LONGEST_LABEL,
        columnPadding=overhang + ENTRY_GAP,
        rowPadding=5,
        offset=12,
    )


def legend_rows(curves: Sequence[Curve], width: float) -> int:
    """How many rows the legend of curves takes below a plot of so many pixels."""
    row, widest, count = _extents(curves, line=True)
    columns = count if width > row else min(max(int(width / widest), 1), count)
    return -(-count // columns)


def _overhang(line: bool) -> float:
    """Vega reserves room for a symbol's nominal size only; the line sticks out on both sides."""
    return (LINE - 1) * RADIUS if line else 0


def _extents(curves: Sequence[Curve], line: bool) -> tuple[float, float, int]:
    """Pixels of all entries in a row and of the widest, and how many there are, at least one."""
    sample = 2 * (_overhang(line) + RADIUS) + LINE_TO_LABEL + ENTRY_GAP
    entries = [sample + CHARACTER * min(len(curve.label), LONGEST_LABEL) for curve in curves]
    return sum(entries), max(entries, default=sample), max(len(entries), 1)
