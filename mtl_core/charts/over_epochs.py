"""Any measure or factor against epochs."""

from collections.abc import Sequence

import altair as alt
import pandas as pd

from mtl_core.analysis import LOSS_FLOOR, mean_band
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


def over_epochs_alt(curves: Sequence[Curve], *, task: str, title: str) -> str:
    """One sentence for those who do not see the chart; the same while a run goes on."""
    return (
        f"Line chart of {title} of {task} against training epochs, with bands of two standard "
        f"deviations over seeds, for {', '.join(curve.label for curve in curves)}."
    )


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
