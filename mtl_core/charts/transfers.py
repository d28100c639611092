"""The transfer matrix between solutions, and the share of itself that each keeps over time."""

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mtl_core.charts.axes import axis
from mtl_core.charts.layers import GREY, Figure, figure, now_rule, unchecked

__all__ = ["kept_alt", "kept_heatmap", "transfer_alt", "transfer_heatmap"]

NOTHING, ALL = "rgba(36, 135, 199, 0)", "rgba(36, 135, 199, 1)"
"""Transparent where nothing is taken; full colour is as far from white as from near-black."""

MOST_LABELLED = 12
"""With more solutions than this, only some are labelled."""

LONGEST_CELL = 1.6  # times its height
CHARACTER = 6.4  # pixels, a generous mean over proportional fonts of 12 px


@unchecked
def transfer_heatmap(
    matrix: pd.DataFrame,
    *,
    labels: Sequence[str],
    height: int = 300,
    name: str = "transfer",
) -> Figure:
    """The matrix M of one step: row i takes the share m_ij of column j; rows sum to 1.

    Colours have a cube-root scale from 0 to 1, so that a share of 1 % shows beside the diagonal.

    Args:
        matrix: ``solution, other, share``: i and j from 0, and m_ij; may be empty. Of more than 70
            solutions it has more rows than Altair writes to a file.
        labels: of the solutions, in order, such as their preferences.
        height: of the matrix in pixels, without labels and legend.
        name: of the chart, unique on its page.
    """
    cells = matrix.reindex(columns=["solution", "other", "share"])
    words = dict(enumerate(labels))
    cells = cells.assign(taker=cells["solution"].map(words), giver=cells["other"].map(words))
    cells = cells.dropna(subset=["share", "taker", "giver"]).reset_index(drop=True)
    edge = alt.ExprRef(f"min(width, {LONGEST_CELL} * height)")
    across = alt.Scale(domain=_places(labels), range=[0, edge], padding=_gap(labels))
    frame = alt.Chart(pd.DataFrame({"frame": [0]})).mark_rect(
        filled=False, stroke=GREY, strokeOpacity=0.5, x=0, x2=edge, y=0, y2=alt.ExprRef("height")
    )
    chart = (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("other:O", scale=across, axis=_columns_axis(labels, "given by")),
            y=_rows(labels, "received by"),
            fill=_fill("share", "share of the sum"),
            tooltip=[
                alt.Tooltip("taker:N", title="received by"),
                alt.Tooltip("giver:N", title="given by"),
                alt.Tooltip("share:Q", title="share", format=".2%"),
            ],
        )
        # The layer is named: a chart's name would become part of its scales' names, and the
        # expressions could then not call the scale "x".
        .properties(name=f"{name}_cells")
    )
    return figure([frame, chart], height, view=alt.ViewBackground(strokeOpacity=0))


def transfer_alt(labels: Sequence[str]) -> str:
    """One sentence for those who do not see the chart; the same whatever the step."""
    return (
        f"Heat map of how much each of {len(labels)} solutions, in rows, receives from each, in "
        "columns."
    )


@unchecked
def kept_heatmap(
    kept: pd.DataFrame,
    *,
    labels: Sequence[str],
    now: float | None = None,
    height: int = 260,
    name: str = "kept",
) -> Figure:
    """How much each solution takes from the others, 1 − m_ii, at each step that was measured.

    A cell is blank where a solution keeps all of itself. Colours mean the same shares as those of
    ``transfer_heatmap``: differences near m_ii = 1 would not show on a scale of what is kept. A
    cell reaches from the previous measured step to its own; step 0 has no cell, as no transfer
    precedes it.

    Args:
        kept: ``step, solution, share`` with share m_ii; may be empty.
        labels: of the solutions, in order, such as their preferences.
        now: the step that the page shows elsewhere, drawn as a vertical line.
        height: of the matrix in pixels, without axis and legend.
        name: of the chart, unique on its page.
    """
    x_scale, x_axis = alt.Scale(zero=True, nice=False), axis("step", grid=False)
    chart = (
        alt.Chart(_spans(kept, labels))
        .mark_rect()
        .encode(
            x=alt.X("since:Q", scale=x_scale, axis=x_axis),
            x2=alt.X2("step"),
            y=_rows(labels, "solution"),
            fill=_fill("taken", "taken from others"),
            tooltip=[
                alt.Tooltip("taker:N", title="solution"),
                alt.Tooltip("step:Q", title="step", format=",d"),
                alt.Tooltip("share:Q", title="keeps", format=".2%"),
                alt.Tooltip("taken:Q", title="takes from others", format=".2%"),
            ],
        )
        .properties(name=f"{name}_cells")
    )
    frame = alt.ViewBackground(stroke=GREY, strokeOpacity=0.5)
    return figure([chart, now_rule(now, x_scale, x_axis)], height, view=frame)


def kept_alt(labels: Sequence[str]) -> str:
    """One sentence for those who do not see the chart; the same while solving goes on."""
    return (
        f"Heat map of how much each of {len(labels)} solutions, in rows, takes from the others, "
        "over steps."
    )


def _spans(kept: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
    """The cells, with ``since``, the previous measured step, and ``taken``, the share not kept."""
    cells = kept.reindex(columns=["step", "solution", "share"])
    cells = cells.astype({"step": float, "share": float})
    steps = sorted({0.0, *cells["step"]})
    before = dict(zip(steps[1:], steps, strict=False))
    cells = cells.assign(
        since=cells["step"].map(before).astype(float),
        taken=(1 - cells["share"]).clip(0, 1),
        taker=cells["solution"].map(dict(enumerate(labels))),
    )
    return cells.dropna(subset=["since", "share", "taker"]).reset_index(drop=True)


def _places(labels: Sequence[str]) -> list[int]:
    """Solutions by number, since two may have the same label."""
    return list(range(len(labels)))


def _gap(labels: Sequence[str]) -> float:
    return 0.04 if len(labels) <= MOST_LABELLED else 0


def _apart(labels: Sequence[str]) -> int:
    """Solutions from one label to the next."""
    return max(1, -(-len(labels) // MOST_LABELLED))


def _rows(labels: Sequence[str], title: str) -> alt.Y:
    scale = alt.Scale(domain=_places(labels), padding=_gap(labels))
    return alt.Y("solution:O", scale=scale, axis=_axis(labels, title))


def _columns_axis(labels: Sequence[str], title: str) -> alt.Axis:
    """Labels lie flat where the longest of them fits between two; else all of them slant."""
    longest = CHARACTER * max(map(len, labels), default=0)
    flat = f"{_apart(labels)} * bandwidth('x') > {longest:.0f}"
    return _axis(
        labels,
        title,
        labelAngle=alt.ExprRef(f"({flat} ? 0 : -40)"),
        labelAlign=alt.ExprRef(f"({flat} ? 'center' : 'right')"),
        labelBaseline="top",
    )


def _axis(labels: Sequence[str], title: str, **options: Any) -> alt.Axis:
    return alt.Axis(
        title=title,
        values=_places(labels)[:: _apart(labels)],
        labelExpr=f"{json.dumps(list(labels), ensure_ascii=False)}[datum.value]",
        domain=False,
        ticks=False,
        grid=False,
        labelLimit=0,
        labelOverlap=False,
        labelPadding=5,
        **options,
    )


def _fill(field: str, title: str) -> alt.Fill:
    return alt.Fill(
        f"{field}:Q",
        scale=alt.Scale(
            type="pow",
            exponent=1 / 3,
            domain=[0, 1],
            range=[NOTHING, ALL],
            interpolate="rgb",
            clamp=True,
        ),
        legend=alt.Legend(
            title=title,
            orient="bottom",
            direction="horizontal",
            gradientLength=220,
            gradientThickness=10,
            values=[0, 0.01, 0.1, 0.4, 1],
            format="~%",
            labelOffset=4,
            offset=10,
        ),
    )
