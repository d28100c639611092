"""A legend below the plot whose entries show a line with its dash, its point and its colour."""

import json
from collections import Counter
from collections.abc import Sequence

import altair as alt

from mtl_core.charts.palette import Curve

__all__ = ["MARKERS", "POINTS", "curve_legend", "legend_rows", "shortened"]

RADIUS = 3.5  # pixels, of a point in the legend
LINE = 4.5  # radii, half the length of the line through it
CHARACTER = 8.4  # pixels, of Vega's own measure of the page's font; it draws them narrower
LINE_TO_LABEL = 6  # pixels
ENTRY_GAP = 16  # pixels
LONGEST_LABEL = 40  # characters; what is longer is cut off, and the tooltip has it whole
PART = " · "
"""What stands between the parts of a label, such as auxiliaries and optimizer."""
ALIKE = 3
"""Labels that begin alike, from which on their beginning is left out."""

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

    What many labels begin with is left out of them (``shortened``); tooltips have it whole.
    """
    names = shortened(curves)
    cut = {label: name for label, name in names.items() if name != label}
    found = f"{json.dumps(cut, ensure_ascii=False)}[datum.label]"
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
        labelExpr=f"{found} || datum.label" if cut else alt.Undefined,
        labelOffset=overhang + LINE_TO_LABEL,
        labelLimit=CHARACTER * LONGEST_LABEL,
        columnPadding=overhang + ENTRY_GAP,
        rowPadding=5,
        offset=12,
    )


def shortened(curves: Sequence[Curve]) -> dict[str, str]:
    """Label to what a legend says: of several optimizers on the same tasks, their names alone.

    >>> from mtl_core.charts.palette import CurveKey, style_curves
    >>> names = ["single task", "+ a", *(f"+ a · {name}" for name in ("MGDA", "PCGrad", "IMTL-G"))]
    >>> list(shortened(style_curves([CurveKey(name, "helpful") for name in names])).values())
    ['single task', '+ a', 'MGDA', 'PCGrad', 'IMTL-G']
    """
    labels = [curve.label for curve in curves]
    begins = Counter(label.split(PART)[0] for label in labels if PART in label)
    shown = {}
    for label in labels:
        begin, _, end = label.partition(PART)
        shown[label] = end if end and begins[begin] >= ALIKE else label
    return shown if len({*shown.values()}) == len(shown) else {label: label for label in labels}


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
    names = shortened(curves).values()
    entries = [sample + CHARACTER * min(len(name), LONGEST_LABEL) for name in names]
    return sum(entries), max(entries, default=sample), max(len(entries), 1)
