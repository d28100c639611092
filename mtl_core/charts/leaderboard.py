"""A race's leaderboard: what each training gains over the reference, with its interval."""

import math

import altair as alt
import pandas as pd

from mtl_core.charts import told
from mtl_core.charts.layers import AXIS, GREY, Figure, figure, unchecked

__all__ = ["PICKED", "leaderboard_alt", "leaderboard_chart"]

PICKED = "picked"
"""The selection of a row, by its field ``key``."""

ROW = 24
"""Pixels of a row, below which names would hide each other."""
REACH = 4.0
"""Intervals are drawn to so many times the range of the means beyond it."""
LEAST = 1e-3
LEADS, RACES, LEFT, REFERENCE = "#009E73", "#E69F00", GREY, "#0072B2"
_COLOURS = {
    "winner": LEADS,
    "chosen": LEADS,
    "may be as good": LEADS,
    "in the race": RACES,
    "undecided": RACES,
    "out": LEFT,
    "failed": LEFT,
}


@unchecked
def leaderboard_chart(
    rows: pd.DataFrame, *, title: str, share: bool, name: str = "leaderboard"
) -> Figure:
    """A bar for each training from the reference to its mean, its interval, and in words its state.

    Args:
        rows: ``key, name, reference, state, seeds, delta, low, high``, in the order they are drawn
            in; rows without ``delta`` have no bar.
        title: of the horizontal axis.
        share: whether differences are shares, to be written in points.
        name: of the chart, unique on its page.
    """
    scale = 100 if share else 1
    cells = rows.assign(
        place=range(len(rows)),
        delta=rows["delta"] * scale,
        low=rows["low"] * scale,
        high=rows["high"] * scale,
        said=list(map(_said, rows["state"], rows["seeds"])),
        kind=rows["state"].mask(rows["reference"], "reference"),
    )
    low, high = _ends(cells)
    # Words of the states stand at the right, where no interval reaches.
    cells["left"], cells["right"] = cells["low"].clip(lower=low), cells["high"].clip(upper=high)
    low, high = low - 0.03 * (high - low), high + 0.45 * (high - low)
    x_scale = alt.Scale(domain=[low, high], nice=False, zero=False)
    x_axis = alt.Axis(title=title, grid=True, tickCount=6, labelOverlap="greedy")
    names = list(cells["name"])
    y = alt.Y(
        "name:N",
        scale=alt.Scale(domain=names, paddingInner=0.3, paddingOuter=0.2),
        axis=alt.Axis(
            title=None, domain=False, ticks=False, grid=False, labelLimit=180, labelOverlap=False
        ),
    )
    picked = alt.selection_point(name=PICKED, fields=["key"], on="click", clear="dblclick")
    base = alt.Chart(cells).encode(y=y)
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=[*_COLOURS, "reference"], range=[*_COLOURS.values(), REFERENCE]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("name:N", title="with"),
        alt.Tooltip("said:N", title="state"),
        alt.Tooltip("delta:Q", title=title, format="+.2f"),
        alt.Tooltip("low:Q", title="from", format="+.2f"),
        alt.Tooltip("high:Q", title="to", format="+.2f"),
        alt.Tooltip("beaten_by:N", title="worse than"),
    ]
    x = alt.X("delta:Q", scale=x_scale, axis=x_axis)
    zero = alt.Chart(pd.DataFrame({"zero": [0.0]})).mark_rule(color=REFERENCE, strokeWidth=1.5)
    bars = (
        base.mark_bar(clip=True, cursor="pointer")
        .encode(
            x=x,
            x2=alt.datum(0),
            color=colour,
            opacity=alt.condition(picked, alt.value(0.45), alt.value(0.2)),
            tooltip=tooltip,
        )
        .add_params(picked)
        .properties(name=f"{name}_bars")
    )
    layers = [
        bars,
        zero.encode(x=alt.X("zero:Q", scale=x_scale, axis=x_axis)),
        base.transform_filter("isValid(datum.low) && datum.low != datum.high")
        .mark_rule(clip=True, strokeWidth=2)
        .encode(x=alt.X("left:Q", scale=x_scale, axis=x_axis), x2="right:Q", color=colour),
        base.transform_filter("isValid(datum.delta)")
        .mark_point(clip=True, filled=True, size=42, opacity=1)
        .encode(x=x, color=colour, tooltip=tooltip),
        base.mark_text(
            align="right", dx=-4, color=GREY, fontSize=11, x=alt.ExprRef("width")
        ).encode(text="said:N"),
    ]
    own = alt.ViewBackground(strokeOpacity=0)
    return figure(layers, ROW * len(cells), below=AXIS + ROW, view=own)


def leaderboard_alt(rows: pd.DataFrame, reference: str, *, share: bool) -> str:
    """What the chart says, for those who do not see it; the same between two looks.

    Args:
        rows: as they are drawn.
        reference: what all are compared with, in words.
        share: whether differences are shares, to be told in points.
    """
    others = rows[~rows["reference"].astype(bool)]
    bars = f"bars of what {len(others)} trainings gain over training {reference}"
    known = others.dropna(subset=["delta"])
    if known.empty:
        return told.sentence(f"{bars}; none is known yet")
    first, last = known.iloc[0], known.iloc[-1]
    said = f"first {_stands(first, share)}"
    if len(known) > 2:
        said += f"; then {_stands(known.iloc[1], share)}"
    if len(known) > 1:
        said += f"; last {_stands(last, share)}"
    return told.sentence(f"{bars}, with 95 % intervals: {said}")


def _stands(row: pd.Series, share: bool) -> str:
    """A training's place in words, with its interval where it has one."""
    form = "%" if share else ".3~g"
    said = f"{row['name']}, {told.apart(row['delta'], form)} it"
    if math.isfinite(row["low"]) and math.isfinite(row["high"]):
        scale = 100 if share else 1
        low, high = (told.number(scale * row[end], "") for end in ("low", "high"))
        said += f" ({low} to {high})"
    return f"{said}, {row['state']}"


def _said(state: str, seeds: int) -> str:
    return f"{state} · {seeds} seeds" if seeds else state


def _ends(cells: pd.DataFrame) -> tuple[float, float]:
    """What the intervals reach, as far as they do not dwarf the means."""
    means = cells["delta"].dropna()
    if means.empty:
        return -1.0, 1.0
    low, high = min(float(means.min()), 0.0), max(float(means.max()), 0.0)
    most = REACH * max(high - low, LEAST)
    ends = cells[["low", "high"]].replace([float("inf"), float("-inf")], float("nan"))
    low = min([low, *ends["low"].clip(lower=low - most).dropna()])
    high = max([high, *ends["high"].clip(upper=high + most).dropna()])
    return low, max(high, low + LEAST)
