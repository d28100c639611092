"""The hero figure: test metric against training loss (M24 §2, Fig. 1).

Trajectories at one height of the x axis fit their training data equally well; what then differs
on the y axis is generalization.
"""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from mtl_core.analysis import LOSS_FLOOR, loss_matched, mean_band
from mtl_core.charts.axes import as_error, axis, error_axis, log_axis, log_scale
from mtl_core.charts.layers import Figure, banded_curves, dimmed, stroke, unchecked
from mtl_core.charts.palette import Curve

__all__ = ["generalization_alt", "generalization_chart"]

X_TITLE = "training loss L (log) — training moves right →"


@unchecked
def generalization_chart(
    trajectories: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    task: str,
    metric_title: str,
    metric_format: str = "%",
    per_seed: bool = False,
    height: int = 420,
    name: str = "generalization",
) -> Figure:
    """Test metric E over full training loss L: mean lines, ±2 SD bands, a point per checkpoint.

    Lines and bands are read at equal loss; a point is the mean loss and metric of its checkpoint.

    Args:
        trajectories: tidy rows with a ``curve`` column; may be empty.
        curves: which curves are drawn and how, also those without rows yet.
        task: whose loss and metric are shown.
        metric_title: of the y axis.
        metric_format: ``%`` for a share such as accuracy, whose error then lies on a logarithmic
            scale; else a d3 format for hovering.
        per_seed: whether each seed gets a faint line of its own.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
    """
    shown = _shown(trajectories, curves, task)
    x = alt.X(
        "train_loss:Q",
        scale=log_scale(reverse=True),
        axis=log_axis("x", X_TITLE, grid=False),
    )
    lines, points, seed_rows = _lines(shown, task), _points(shown, task), _seed_rows(shown)
    if metric_format == "%":
        lines = as_error(lines, ["value", "low", "high"])
        points, seed_rows = as_error(points, ["value"]), as_error(seed_rows, ["value"])
        y_scale, y_axis, digits = (
            log_scale(reverse=True),
            error_axis(metric_title, grid=True),
            ".1%",
        )
    else:
        y_scale = alt.Scale(zero=False, nice=True, padding=6)
        y_axis, digits = axis(metric_title, grid=True), metric_format
    seeds = _seed_lines(seed_rows, curves, x, y_scale, y_axis)
    return banded_curves(
        lines,
        points,
        curves,
        x=x,
        y_scale=y_scale,
        y_axis=y_axis,
        tooltip=[
            alt.Tooltip("curve:N", title="curve"),
            alt.Tooltip("epoch:Q", title="epoch", format=".3~g"),
            alt.Tooltip("step:Q", title="step", format=",d"),
            alt.Tooltip("train_loss:Q", title="training loss L", format=".3~g"),
            alt.Tooltip("metric:Q", title=metric_title, format=digits),
            alt.Tooltip("spread:Q", title="± 2 SD", format=digits),
            alt.Tooltip("seeds:Q", title="seeds", format="d"),
        ],
        name=name,
        height=height,
        background=[seeds] if per_seed else [],
    )


def generalization_alt(curves: Sequence[Curve], *, task: str, metric_title: str) -> str:
    """One sentence for those who do not see the chart; the same while a run goes on."""
    return (
        f"Line chart of {metric_title} of {task} against its training loss on a logarithmic axis "
        f"that falls to the right, with bands of two standard deviations over seeds, for "
        f"{', '.join(curve.label for curve in curves)}."
    )


def _shown(trajectories: pd.DataFrame, curves: Sequence[Curve], task: str) -> pd.DataFrame:
    if trajectories.empty:
        return trajectories
    labels = [curve.label for curve in curves]
    rows = trajectories["curve"].isin(labels) & (trajectories["task"] == task)
    return trajectories[rows]


def _lines(shown: pd.DataFrame, task: str) -> pd.DataFrame:
    names = {"metric_mean": "value", "metric_low": "low", "metric_high": "high"}
    return loss_matched(shown, task).rename(columns=names).drop(columns="seeds")


def _points(shown: pd.DataFrame, task: str) -> pd.DataFrame:
    band = mean_band(shown, task, columns=["train_loss", "test_metric"])
    band["train_loss"] = band["train_loss"].clip(lower=LOSS_FLOOR)
    band["spread"] = band["test_metric_high"] - band["test_metric"]
    band = band.rename(columns={"test_metric": "metric"})
    band["value"] = band["metric"]
    return band[["curve", "step", "epoch", "train_loss", "value", "metric", "spread", "seeds"]]


def _seed_rows(shown: pd.DataFrame) -> pd.DataFrame:
    columns = ["curve", "seed", "step", "train_loss", "test_metric"]
    rows = shown.reindex(columns=columns).rename(columns={"test_metric": "value"})
    rows["train_loss"] = rows["train_loss"].clip(lower=LOSS_FLOOR)
    return rows


def _seed_lines(
    rows: pd.DataFrame,
    curves: Sequence[Curve],
    x: alt.X,
    y_scale: alt.Scale,
    y_axis: alt.Axis,
) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_line(clip=True, strokeWidth=0.8, strokeJoin="round")
        .encode(
            x=x,
            y=alt.Y("value:Q", scale=y_scale, axis=y_axis),
            stroke=stroke(curves),
            detail="seed:N",
            # The loss may rise for a while: the line follows the steps, not the loss.
            order="step:Q",
            opacity=dimmed(0.45, 0.05),
        )
    )
    return chart
