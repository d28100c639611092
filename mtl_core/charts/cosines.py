"""Which task gradients agree and which conflict: their pairwise cosines as a heat map."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from mtl_core.charts import told
from mtl_core.charts.layers import Figure, figure, unchecked

__all__ = ["cosine_alt", "cosine_heatmap"]

CONFLICT, NEUTRAL, AGREEMENT = "#D55E00", "#D3D7DC", "#0072B2"
WHITE_FROM = 0.9
"""Cosines above this have cells so dark that white reads better on them than black."""

MOST_WRITTEN = 12
"""Tasks beyond which cells are too small for their numbers."""

LONGEST_CELL = 1.6  # times its height
CHARACTER = 6.4  # pixels, a generous mean over proportional fonts of 12 px


@unchecked
def cosine_heatmap(
    cosines: pd.DataFrame,
    tasks: Sequence[str],
    *,
    height: int = 260,
    name: str = "cosines",
) -> Figure:
    """A cell for each pair of tasks, from orange (−1, conflict) over grey to blue (1, agreement).

    However wide the page, cells stay about as wide as they are high. A cell too narrow for its
    number is left without it; hovering shows it.

    Args:
        cosines: ``task, other, cosine`` of every ordered pair, means over seeds; may be empty.
            A pair of NaN, where a gradient was 0, is left blank.
        tasks: order of rows and columns, the target first.
        height: of the matrix in pixels, without labels and legend.
        name: of the chart, unique on its page.
    """
    cells = cosines.reindex(columns=["task", "other", "cosine"])
    known = cells["task"].isin(tasks) & cells["other"].isin(tasks) & cells["cosine"].notna()
    base = alt.Chart(cells[known].reset_index(drop=True)).encode(
        x=alt.X("other:N", scale=_across(tasks), axis=_columns_axis(tasks)),
        y=alt.Y("task:N", scale=_down(tasks), axis=_axis()),
        tooltip=[
            alt.Tooltip("task:N", title="task"),
            alt.Tooltip("other:N", title="and"),
            alt.Tooltip("cosine:Q", title="cosine", format=".3f"),
        ],
    )
    # The layer is named, not the chart: a chart's name becomes part of its scales' names, and the
    # expressions here could then not call the scale "x".
    layers = [base.mark_rect().encode(fill=_fill()).properties(name=f"{name}_cells")]
    if len(tasks) <= MOST_WRITTEN:
        layers.append(_numbers(base))
    return figure(layers, height, view=alt.ViewBackground(strokeOpacity=0))


def cosine_alt(tasks: Sequence[str], cosines: pd.DataFrame | None = None) -> str:
    """What the chart says, for those who do not see it.

    Args:
        tasks: as they are drawn.
        cosines: as they are drawn, once they do not change; without them it is said what is drawn.
    """
    drawn = (
        "Heat map of the cosine between each pair of tasks, from conflict at −1 to agreement at 1"
    )
    pairs = pd.DataFrame(columns=["task", "other", "cosine"]) if cosines is None else cosines
    apart = pairs["task"] != pairs["other"]
    pairs = pairs[apart & pairs["task"].isin(tasks) & pairs["other"].isin(tasks)]
    pairs = pairs.dropna(subset=["cosine"])
    if pairs.empty:
        return told.sentence(f"{drawn}, for {told.names(tasks)}")
    ordered = pairs.sort_values("cosine")
    low, high = ordered.iloc[0], ordered.iloc[-1]
    said = f"{high['task']} and {high['other']} agree most, at {told.number(high['cosine'], '')}"
    if len(tasks) > 2:
        least = told.number(low["cosine"], "")
        said += f"; {low['task']} and {low['other']} least, at {least}"
    else:
        said = f"{low['task']} and {low['other']} have {told.number(low['cosine'], '')}"
    return told.sentence(f"{drawn}: {said}")


def _numbers(base: alt.Chart) -> alt.Chart:
    """Two decimals in each cell, black or white by the cell's darkness, on any page."""
    room = "bandwidth('x')"
    numbers: alt.Chart = base.mark_text(
        fontSize=alt.ExprRef(f"clamp({room} / 2.9, 9, 13)"),
        opacity=alt.ExprRef(f"{room} < 25 ? 0 : 1"),
    ).encode(
        text=alt.Text("cosine:Q", format=".2f"),
        fill=alt.condition(
            f"datum.cosine > {WHITE_FROM}", alt.value("#ffffff"), alt.value("#000000")
        ),
    )
    return numbers


def _across(tasks: Sequence[str]) -> alt.Scale:
    edge = alt.ExprRef(f"min(width, {LONGEST_CELL} * height)")
    return alt.Scale(domain=list(tasks), range=[0, edge], padding=0.04)


def _down(tasks: Sequence[str]) -> alt.Scale:
    return alt.Scale(domain=list(tasks), padding=0.04)


def _columns_axis(tasks: Sequence[str]) -> alt.Axis:
    """Labels lie flat where the longest of them fits its column; else all of them slant."""
    longest = CHARACTER * max((len(task) for task in tasks), default=0)
    flat = f"bandwidth('x') > {longest:.0f}"
    return _axis(
        labelAngle=alt.ExprRef(f"({flat} ? 0 : -40)"),
        labelAlign=alt.ExprRef(f"({flat} ? 'center' : 'right')"),
        labelBaseline="top",
    )


def _axis(**options: Any) -> alt.Axis:
    return alt.Axis(
        title=None,
        domain=False,
        ticks=False,
        grid=False,
        labelLimit=0,
        labelOverlap=False,
        labelPadding=5,
        **options,
    )


def _fill() -> alt.Fill:
    ends = "datum.value < 0 ? '−1 conflict' : datum.value > 0 ? '1 agreement' : '0'"
    return alt.Fill(
        "cosine:Q",
        scale=alt.Scale(
            domain=[-1, 0, 1],
            range=[CONFLICT, NEUTRAL, AGREEMENT],
            interpolate="rgb",
            clamp=True,
        ),
        legend=alt.Legend(
            title=None,
            orient="bottom",
            direction="horizontal",
            gradientLength=220,
            gradientThickness=10,
            values=[-1, 0, 1],
            labelExpr=ends,
            labelOffset=4,
            offset=14,
        ),
    )
