"""Axes that stand still while curves grow: they reach at least as far as a frame, unseen."""

from dataclasses import dataclass

import altair as alt
import pandas as pd

from mtl_core.charts.axes import Vertical

__all__ = ["EXTENT", "Frame", "frame_layer", "frame_rows", "within"]

EXTENT = 44
"""Pixels for the labels of y axes that stand below each other, so that equal losses do too."""


@dataclass(frozen=True)
class Frame:
    """What the axes of a live chart show at least.

    Args:
        losses: the least and the largest training loss; nothing where that is not known.
        values: the least and the largest value of the metric; nothing where that is not known.
        cut: whether bands end there too, as long as they still may become narrower.
    """

    losses: tuple[float, ...]
    values: tuple[float, ...]
    cut: bool = False


def frame_rows(frame: Frame, y: Vertical) -> pd.DataFrame:
    """The two corners of a frame, as their layer takes them."""
    placed = y.place(pd.DataFrame({"value": frame.values}, dtype=float))["value"]
    return pd.DataFrame({"frame_loss": frame.losses, "frame_value": placed}, dtype=float)


def frame_layer(rows: pd.DataFrame, x_scale: alt.Scale, x_axis: alt.Axis, y: Vertical) -> alt.Chart:
    """Two corners that nobody sees, to which both scales reach.

    A domain in the specification would say the same, but the browser would build the chart anew
    whenever it changed, and zoom would be lost.
    """
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_tick(opacity=0, aria=False)
        .encode(
            x=alt.X("frame_loss:Q", scale=x_scale, axis=x_axis),
            y=alt.Y("frame_value:Q", scale=y.scale, axis=y.axis),
        )
    )
    return chart


def within(lines: pd.DataFrame, frame: Frame) -> pd.DataFrame:
    """Lines whose bands end at the frame's values, where it cuts them."""
    if not frame.cut or not frame.values:
        return lines
    low, high = frame.values
    bands = {name: lines[name].astype(float).clip(low, high) for name in ("low", "high")}
    return lines.assign(**bands)
