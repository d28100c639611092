"""Any measure or factor against epochs."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from mtl_core.analysis import LOSS_FLOOR, mean_band
from mtl_core.charts import told
from mtl_core.charts.axes import axis, vertical
from mtl_core.charts.layers import Figure, banded_curves, unchecked
from mtl_core.charts.palette import Curve

__all__ = ["over_epochs_alt", "over_epochs_chart"]


@unchecked
def over_epochs_chart(
    trajectories: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    column: str,
    task: str,
    title: str,
    log_y: bool = False,
    value_format: str = ".3~g",
    height: int = 280,
    name: str = "over_epochs",
) -> Figure:
    """Mean over seeds with its ±2 SD band, against epochs.

    Epochs lie on a square-root scale: it has room for the log-spaced checkpoints of the first
    epoch, begins at 0, and needs no constant that would depend on the run's length.

    Args:
        trajectories: tidy rows with a ``curve`` column; may be empty.
        curves: which curves are drawn and how, also those without rows yet.
        column: a measure or factor; checkpoints at which it was not due are left out.
        task: whose values are shown.
        title: of the y axis.
        log_y: whether y is logarithmic. Means of 0 or below are then not drawn, and a band that
            would reach there stops at a tenth of its mean.
        value_format: ``%`` for a share such as accuracy, whose error then lies on a logarithmic
            scale; else a d3 format for hovering.
        height: of the plot in pixels, without axis and legend.
        name: of the chart, unique on its page.
    """
    y = vertical(title, log=log_y, value_format=value_format)
    band = y.place(_band(trajectories, curves, column, task, log_y))
    return banded_curves(
        band[["curve", "epoch", "value", "low", "high"]],
        band[["curve", "step", "epoch", "value", "measured", "spread", "seeds"]],
        curves,
        x=alt.X(
            "epoch:Q",
            scale=alt.Scale(type="sqrt", nice=False, padding=10),
            axis=axis("epoch (√ scale)", grid=False),
        ),
        y_scale=y.scale,
        y_axis=y.axis,
        tooltip=_tooltip(title, y.digits),
        name=name,
        height=height,
    )


def over_epochs_alt(
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
        curves: as they are drawn.
        task: whose values are shown.
        title: of the y axis.
        trajectories: as they are drawn, once runs have ended. Without them it is said what is
            drawn, and not what came of it: a live chart is built anew when its description changes.
        column: what is drawn of them.
        value_format: as the chart's.
    """
    lines = "lines with bands of two standard deviations over seeds"
    rows = pd.DataFrame() if trajectories is None else trajectories
    band = _band(rows, curves, column, task, log_y=False)
    ends = {str(name): float(own["value"].iloc[-1]) for name, own in band.groupby("curve")}
    ordered = {curve.label: ends[curve.label] for curve in curves if curve.label in ends}
    if not ordered:
        drawn = told.names([curve.label for curve in curves])
        return told.sentence(f"{title} of {task} over epochs: {lines}, for {drawn}")
    came = told.each(ordered, value_format)
    return told.sentence(f"{title} of {task} over epochs: at the end {came}; {lines}")


def _tooltip(title: str, digits: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip("epoch:Q", title="epoch", format=".3~g"),
        alt.Tooltip("step:Q", title="step", format=",d"),
        alt.Tooltip("measured:Q", title=title, format=digits),
        alt.Tooltip("spread:Q", title="± 2 SD", format=digits),
        alt.Tooltip("seeds:Q", title="seeds", format="d"),
    ]


def _band(
    trajectories: pd.DataFrame, curves: Sequence[Curve], column: str, task: str, log_y: bool
) -> pd.DataFrame:
    band = mean_band(trajectories, task, columns=[column])
    band = band[band["curve"].isin([curve.label for curve in curves]) & band[column].notna()]
    names = {column: "value", f"{column}_low": "low", f"{column}_high": "high"}
    band = band.rename(columns=names).reset_index(drop=True)
    band["spread"] = band["high"] - band["value"]
    band["measured"] = band["value"]
    # Only losses have a floor: a factor may be far smaller.
    if log_y and column == "train_loss":
        band["value"] = band["value"].clip(lower=LOSS_FLOOR)
    return band
