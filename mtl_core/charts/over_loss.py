"""Any measure or factor against training loss.

At one place on the x axis all networks fit their training data equally well, so a difference on the
y axis is not due to how far training has come.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from mtl_core.analysis import (
    LOSS_FLOOR,
    Versus,
    gap,
    loss_matched,
    mean_band,
    metric_at_loss,
)
from mtl_core.analysis.loss_matching import common_reach
from mtl_core.analysis.replicas import numbers, replicas
from mtl_core.charts import told
from mtl_core.charts.axes import Vertical, log_axis, log_scale, vertical
from mtl_core.charts.frame import EXTENT, Frame, frame_layer, frame_rows, within
from mtl_core.charts.layers import (
    GREY,
    LARGE,
    Figure,
    banded_curves,
    dimmed,
    shaped,
    stroke,
    unchecked,
)
from mtl_core.charts.live import bent, parted, with_width
from mtl_core.charts.palette import Curve
from mtl_core.charts.ready import Drawing

__all__ = ["SHORT_X_TITLE", "Bracket", "over_loss_alt", "over_loss_chart", "over_loss_drawing"]

X_TITLE = "training loss L (log) — training moves right →"
SHORT_X_TITLE = "training loss L (log) →"


@dataclass(frozen=True)
class Bracket:
    """A difference between two curves at one training loss.

    Args:
        train_loss: where.
        value: of the one curve there.
        other: of the other.
        label: the difference in words.
    """

    train_loss: float
    value: float
    other: float
    label: str


def over_loss_chart(trajectories: pd.DataFrame, curves: Sequence[Curve], **options: Any) -> Figure:
    """Mean over seeds with its ±2 SD band, against full training loss: ``over_loss_drawing``."""
    return over_loss_drawing(trajectories, curves, **options).chart()  # type: ignore[return-value]


def over_loss_drawing(
    trajectories: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    column: str,
    task: str,
    title: str,
    log_y: bool = False,
    value_format: str = ".3~g",
    per_seed: bool = False,
    height: int = 220,
    name: str = "over_loss",
    x_title: str = X_TITLE,
    brackets: Sequence[Bracket] = (),
    domain_x: tuple[float, float] | None = None,
    domain_y: tuple[float, float] | None = None,
    frame: Frame | None = None,
    live: bool = False,
) -> Drawing:
    """Mean over seeds with its ±2 SD band, against full training loss; a point per checkpoint.

    Lines and bands are read at equal loss; a point is the mean loss and value of its checkpoint.

    Args:
        trajectories: tidy rows with a ``curve`` column; may be empty.
        curves: which curves are drawn and how, also those without rows yet.
        column: a measure or factor; checkpoints at which it was not due are left out.
        task: whose loss and values are shown.
        title: of the y axis.
        log_y: whether y is logarithmic. Means of 0 or below are then not drawn, and a band that
            would reach there stops at a tenth of its mean.
        value_format: ``%`` for a share such as accuracy, whose error then lies on a logarithmic
            scale; else a d3 format for hovering.
        per_seed: whether each seed gets a faint line of its own.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
        x_title: of the x axis; a narrow chart has room for a short one.
        brackets: differences that are marked.
        domain_x: the least and the largest loss that are drawn; default all.
        domain_y: the least and the largest value.
        frame: what the axes show at least.
        live: whether rows are added every second. The chart looks the same, and is quicker to
            draw again.
    """
    shown = _shown(trajectories, curves, task, column)
    y = vertical(title, log=log_y, value_format=value_format, domain=domain_y)
    lines = _lines(shown, task, column, log_y)
    if frame is not None:
        lines = within(lines, frame)
    lines = y.place(lines)
    points = shaped(y.place(_points(shown, task, column)), curves)
    tables = {"lines": lines, "points": points}
    if live:
        bands = with_width(lines)
        apart = bent(lines.drop(columns=["low", "high"]), log_y=log_y or value_format == "%")
        tables = {"lines": apart, "points": points, "bands": bands}
        if height >= LARGE:  # smaller ones of a crowd have no legend: a click on a point picks
            tables["earlier"], tables["points"] = parted(points)
            tables["earlier lines"], tables["lines"] = parted(apart, ends=1)
    if brackets:
        tables["brackets"] = _bracket_rows(brackets, y)
    if frame is not None:
        tables["frame"] = frame_rows(frame, y)
    if per_seed:
        tables["seeds"] = y.place(_seed_rows(shown, column))
    x_scale = log_scale(domain_x, reverse=True)

    @unchecked
    def build(rows: Sequence[pd.DataFrame]) -> Figure:
        named = dict(zip(tables, rows, strict=True))
        x_axis = log_axis("x", x_title, grid=False)
        x = alt.X("train_loss:Q", scale=x_scale, axis=x_axis)
        background = _bracket_layers(named["brackets"], x, y) if brackets else []
        if frame is not None:
            y.axis.minExtent = EXTENT
            background.append(frame_layer(named["frame"], x_scale, x_axis, y))
        if per_seed:
            background.append(_seed_lines(named["seeds"], curves, x, y))
        return banded_curves(
            named["lines"],
            named["points"],
            curves,
            x=x,
            y_scale=y.scale,
            y_axis=y.axis,
            tooltip=_tooltip(title, y.digits),
            name=name,
            height=height,
            background=background,
            earlier=named.get("earlier"),
            earlier_lines=named.get("earlier lines"),
            bands=named.get("bands"),
        )

    return Drawing(tuple(tables.values()), build)


def over_loss_alt(
    curves: Sequence[Curve],
    *,
    task: str,
    title: str,
    trajectories: pd.DataFrame | None = None,
    column: str = "test_metric",
    value_format: str = ".3~g",
) -> str:
    """What the chart says, for those who do not see it.

    Args:
        curves: as they are drawn; the others' metric is compared with that of the first.
        task: whose loss and values are shown.
        title: of the y axis.
        trajectories: as they are drawn, once runs have ended. Without them it is said what is
            drawn, and not what came of it: a live chart is built anew when its description changes.
        column: what is drawn of them.
        value_format: as the chart's.
    """
    lines = "lines over loss with bands of two standard deviations over seeds"
    rows = pd.DataFrame() if trajectories is None else trajectories
    came = _came(rows, curves, task, column, value_format)
    if not came:
        drawn = told.names([curve.label for curve in curves])
        return told.sentence(f"{title} of {task} at equal training loss: {lines}, for {drawn}")
    return told.sentence(f"{title} of {task} at equal training loss: {came}; {lines}")


def _came(
    rows: pd.DataFrame, curves: Sequence[Curve], task: str, column: str, value_format: str
) -> str:
    """Where the curves end at equal loss, in words; empty where none of them has got there."""
    seeds = replicas(rows, task)
    shown = [curve.label for curve in curves if curve.label in seeds]
    if column == "test_metric" and len(shown) > 1:
        return _gaps(rows, shown, task, value_format)
    reach = common_reach([replica for name in shown for replica in seeds[name]], column)
    if reach is None:
        return ""
    lowest = reach[1]
    ends = {
        name: np.mean(
            [
                metric_at_loss(replica["train_loss"], numbers(replica, column), [lowest]).item()
                for replica in seeds[name]
            ]
        ).item()
        for name in shown
    }
    common = "the lowest that all reach" if len(shown) > 1 else "the lowest"
    at = f"at {told.number(lowest, '')}, {common}"
    return f"{at}, {told.each(ends, value_format)}"


def _gaps(rows: pd.DataFrame, shown: Sequence[str], task: str, value_format: str) -> str:
    base, *others = shown
    found = {name: gap(rows, Versus(task, name, base, "higher")) for name in others}
    apart = {name: one.comparison.delta for name, one in found.items() if one is not None}
    named = list(apart)
    if len(apart) > told.MOST_NAMED:
        named = [max(apart, key=apart.__getitem__), min(apart, key=apart.__getitem__)]
    ends = [f"{name} ends {told.apart(apart[name], value_format)}" for name in named]
    if not ends:
        return ""
    of_many = f"of {len(shown)} curves, " if len(apart) > len(named) else ""
    return f"{of_many}{ends[0]} {base}{''.join(f', {end} it' for end in ends[1:])}"


def _tooltip(title: str, digits: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("epoch:Q", title="epoch", format=".3~g"),
        alt.Tooltip("step:Q", title="step", format=",d"),
        alt.Tooltip("train_loss:Q", title="training loss L", format=".3~g"),
        alt.Tooltip("metric:Q", title=title, format=digits),
        alt.Tooltip("spread:Q", title="± 2 SD", format=digits),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
    ]


def _shown(
    trajectories: pd.DataFrame, curves: Sequence[Curve], task: str, column: str
) -> pd.DataFrame:
    """The rows that a chart needs: the checkpoints at which the column was measured, and step 0."""
    if trajectories.empty:
        return trajectories
    labels = [curve.label for curve in curves]
    rows = trajectories["curve"].isin(labels) & (trajectories["task"] == task)
    shown = trajectories[rows]
    missing = shown[column].isna()
    if not missing.any():
        return shown
    # Step 0 too: a seed that has no measurement yet must still be waited for.
    measured = shown.loc[~missing, "step"].unique()
    return shown[shown["step"].isin(measured) | (shown["step"] == 0)]


def _lines(shown: pd.DataFrame, task: str, column: str, log_y: bool) -> pd.DataFrame:
    names = {"metric_mean": "value", "metric_low": "low", "metric_high": "high"}
    read = loss_matched(shown, task, column=column, geometric=log_y)
    return read.rename(columns=names).drop(columns="seeds")


def _points(shown: pd.DataFrame, task: str, column: str) -> pd.DataFrame:
    band = mean_band(shown, task, columns=["train_loss", column])
    band["train_loss"] = band["train_loss"].clip(lower=LOSS_FLOOR)
    band["spread"] = band[f"{column}_high"] - band[column]
    band = band.rename(columns={column: "metric"})
    band["value"] = band["metric"]
    return band[["curve", "step", "epoch", "train_loss", "value", "metric", "spread", "seeds"]]


def _bracket_rows(brackets: Sequence[Bracket], y: Vertical) -> pd.DataFrame:
    """Brackets as their layers take them."""
    places = pd.DataFrame({"train_loss": [max(one.train_loss, LOSS_FLOOR) for one in brackets]})
    ends = [(one.value, one.other, (one.value + one.other) / 2) for one in brackets]
    drawn = {
        name: y.place(pd.DataFrame({"value": values}))["value"]
        for name, values in zip(("value", "to", "middle"), zip(*ends, strict=True), strict=True)
    }
    return places.assign(**drawn, label=[one.label for one in brackets])


def _bracket_layers(rows: pd.DataFrame, x: alt.X, y: Vertical) -> list[alt.Chart]:
    """A line from one curve to the other with a stroke at each end, and the difference beside."""
    value = alt.Y("value:Q", scale=y.scale, axis=y.axis)
    other = alt.Y("to:Q", scale=y.scale, axis=y.axis)
    base = alt.Chart(rows).encode(x=x)
    stroke_end: dict[str, Any] = {
        "thickness": 2,
        "size": 12,
        "orient": "horizontal",
        "color": GREY,
        "opacity": 1,
    }
    words = base.mark_text(
        align="left", dx=9, fontSize=19, fontWeight=700, fill=GREY, baseline="middle"
    )
    return [
        base.mark_rule(strokeWidth=2, stroke=GREY).encode(y=value, y2=alt.Y2(field="to")),
        base.mark_tick(**stroke_end).encode(y=value),
        base.mark_tick(**stroke_end).encode(y=other),
        words.encode(y=alt.Y("middle:Q", scale=y.scale, axis=y.axis), text="label:N"),
    ]


def _seed_rows(shown: pd.DataFrame, column: str) -> pd.DataFrame:
    columns = ["curve", "seed", "step", "train_loss", column]
    rows = shown.reindex(columns=columns).rename(columns={column: "value"})
    rows = rows.dropna(subset=["value"])
    rows["train_loss"] = rows["train_loss"].clip(lower=LOSS_FLOOR)
    return rows


def _seed_lines(rows: pd.DataFrame, curves: Sequence[Curve], x: alt.X, y: Vertical) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_line(clip=True, strokeWidth=0.8, strokeJoin="round")
        .encode(
            x=x,
            y=alt.Y("value:Q", scale=y.scale, axis=y.axis),
            stroke=stroke(curves),
            detail="seed:N",
            # The loss may rise for a while: the line follows the steps, not the loss.
            order="step:Q",
            opacity=dimmed(0.45, 0.05),
        )
    )
    return chart
