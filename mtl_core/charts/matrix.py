"""The transfer matrix as a heat map: who helps whom, and what is not decided."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mtl_core.charts import told
from mtl_core.charts.layers import GREY, Figure, figure, unchecked

__all__ = ["CELL", "matrix_alt", "matrix_chart"]

CELL = "cell"
"""The selection of a cell, by its fields ``target`` and ``auxiliary``."""

HARMS, NOTHING, HELPS = "#D55E00", "#D3D7DC", "#009E73"
HATCH = "M-1,0L0,-1M-1,1L1,-1M0,1L1,0"
"""Three strokes across a cell; Vega has no pattern to fill with."""
MOST_WRITTEN = 8
"""Tasks beyond which cells are too small for their numbers."""
LONGEST_CELL = 1.8  # times its height
NARROW = 16
"""Pixels of a column, below which slanting labels would cover each other."""
LEAST = 1e-3
"""The colour scale reaches at least so far."""


@unchecked
def matrix_chart(
    cells: pd.DataFrame,
    targets: Sequence[str],
    auxiliaries: Sequence[str],
    *,
    share: bool,
    name: str = "matrix",
) -> Figure:
    """A cell for each pair, from vermillion (harms) over grey to green (helps).

    Cells that are not decided are hatched; those that are not known are left blank.

    Args:
        cells: ``target, auxiliary, gain, delta, low, high, verdict, decided, seeds``; may be empty.
        targets: order of the rows.
        auxiliaries: order of the columns.
        share: whether differences are shares, to be written in points.
        name: of the chart, unique on its page.
    """
    scale = 100 if share else 1
    drawn = cells.assign(**{one: cells[one] * scale for one in ("gain", "delta", "low", "high")})
    drawn["written"] = drawn["gain"].map("{:+.1f}".format) if len(drawn) else []
    most = max(float(drawn["gain"].abs().max() if len(drawn) else 0.0), LEAST * scale)
    x = alt.X("auxiliary:N", scale=_across(auxiliaries), axis=_columns_axis())
    y = alt.Y("target:N", scale=alt.Scale(domain=list(targets), padding=0.05), axis=_axis("target"))
    unit = ", points" if share else ""
    tooltip = [
        alt.Tooltip("target:N", title="target"),
        alt.Tooltip("auxiliary:N", title="with"),
        alt.Tooltip("delta:Q", title=f"ΔE{unit}", format="+.2f"),
        alt.Tooltip("low:Q", title="from", format="+.2f"),
        alt.Tooltip("high:Q", title="to", format="+.2f"),
        alt.Tooltip("verdict:N", title="is"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]
    if "cosine" in drawn and drawn["cosine"].notna().any():
        tooltip.append(alt.Tooltip("cosine:Q", title="true cosine", format=".2f"))
    picked = alt.selection_point(name=CELL, fields=["target", "auxiliary"], on="click")
    base = alt.Chart(drawn).encode(x=x, y=y)
    room = "min(bandwidth('x'), bandwidth('y'))"
    every = pd.DataFrame(
        [
            {"auxiliary": auxiliary, "target": target, "blank": True}
            for target in targets
            for auxiliary in auxiliaries
            if target != auxiliary
        ]
    )
    layers = [
        alt.Chart(every).mark_rect(filled=False, stroke=GREY, strokeOpacity=0.25).encode(x=x, y=y),
        base.mark_rect(cursor="pointer")
        .encode(fill=_fill(most, unit), tooltip=tooltip)
        .add_params(picked)
        .properties(name=f"{name}_cells"),
        base.transform_filter("!datum.decided")
        .mark_point(
            shape=HATCH,
            stroke="#000000",
            strokeOpacity=0.55,
            strokeWidth=1,
            filled=False,
            size=alt.ExprRef(f"pow(0.8 * {room}, 2)"),
            tooltip=None,
        )
        .encode(),
    ]
    if max(len(targets), len(auxiliaries)) <= MOST_WRITTEN:
        # Above the strokes, on the same grey as an empty difference.
        layers.append(base.mark_text(fontSize=12, fontWeight="bold", fill="#000000").encode(
            text="written:N"))  # fmt: skip
    height = max(24 * len(targets), 180)
    return figure(layers, height, view=alt.ViewBackground(stroke=GREY, strokeOpacity=0.4))


def matrix_alt(
    targets: Sequence[str], cells: pd.DataFrame | None = None, *, share: bool = True
) -> str:
    """What the chart says, for those who do not see it.

    Args:
        targets: order of the rows.
        cells: as they are drawn, once it does not fill any more; without them it is said what is
            drawn.
        share: whether differences are shares, to be told in points.
    """
    drawn = f"heat map of what each of {len(targets)} tasks, in rows, gains from each, in columns"
    if cells is None or cells.empty:
        return told.sentence(f"{drawn}, from harm to help; hatched where that is not decided")
    helps, harms = (int((cells["verdict"] == one).sum()) for one in ("better", "worse"))
    # A task that is better for a lower metric gains what its difference lacks.
    ordered = cells.sort_values("gain")
    worst, best = ordered.iloc[0], ordered.iloc[-1]
    form = "%" if share else ".3~g"
    ends = [
        f"{word}, {one['target']} with {one['auxiliary']}, {told.apart(one['delta'], form)} alone"
        for word, one in (("most gained", best), ("most lost", worst))
        if (one["gain"] > 0) == (word == "most gained")
    ]
    open_ones = len(cells) - helps - harms
    counts = f"of {len(cells)} known pairs {helps} help, {harms} harm, {open_ones} are not decided"
    return told.sentence("; ".join([f"{drawn}: {counts}", *ends]))


def _across(auxiliaries: Sequence[str]) -> alt.Scale:
    edge = alt.ExprRef(f"min(width, {LONGEST_CELL} * height)")
    return alt.Scale(domain=list(auxiliaries), range=[0, edge], padding=0.05)


def _axis(title: str, **options: Any) -> alt.Axis:
    return alt.Axis(
        title=title,
        domain=False,
        ticks=False,
        grid=False,
        labelLimit=130,
        labelOverlap=False,
        labelPadding=5,
        **options,
    )


def _columns_axis() -> alt.Axis:
    """Labels slant, and stand upright and small where columns are narrow, as on a phone."""
    narrow = f"bandwidth('x') < {NARROW}"
    return _axis(
        "auxiliary",
        labelAngle=alt.ExprRef(f"({narrow} ? -90 : -50)"),
        labelAlign="right",
        labelBaseline=alt.ExprRef(f"({narrow} ? 'middle' : 'top')"),
        labelFontSize=alt.ExprRef("clamp(bandwidth('x'), 7, 11)"),
    )


def _fill(most: float, unit: str) -> alt.Fill:
    ends = "datum.value < 0 ? format(datum.value, '.1f') + ' harms' : datum.value > 0 ? '+' + "
    ends += "format(datum.value, '.1f') + ' helps' : '0'"
    return alt.Fill(
        "gain:Q",
        scale=alt.Scale(
            domain=[-most, 0, most], range=[HARMS, NOTHING, HELPS], interpolate="rgb", clamp=True
        ),
        legend=alt.Legend(
            title=f"ΔE{unit}; hatched: not decided",
            titleLimit=0,
            orient="bottom",
            direction="horizontal",
            gradientLength=220,
            gradientThickness=10,
            values=[-most, 0, most],
            labelExpr=ends,
            labelOffset=4,
            offset=14,
        ),
    )
