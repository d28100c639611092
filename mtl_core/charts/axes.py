"""Scales and axes that stay readable from a factor of 1.1 to ten decades, at any width."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import altair as alt
import pandas as pd

__all__ = ["Vertical", "axis", "log_axis", "log_scale", "vertical"]

ERROR_FLOOR = 1e-3
"""Errors are drawn as at least this much: a perfect score has no logarithm."""


@dataclass(frozen=True)
class Vertical:
    """A y axis: its scale, and values as drawn on it.

    Attributes:
        scale: from values to pixels.
        axis: its ticks, labels and title.
        digits: d3 format of a value as it was measured, for hovering.
        place: maps a frame to the same frame with ``value`` and, where it has a band, ``low, high``
            as drawn on the scale.
    """

    scale: alt.Scale
    axis: alt.Axis
    digits: str
    place: Callable[[pd.DataFrame], pd.DataFrame]


def vertical(
    title: str, *, log: bool, value_format: str, domain: tuple[float, float] | None = None
) -> Vertical:
    """Shares (``%``) by their error on a logarithmic scale; anything else as ``log`` says.

    Args:
        domain: the least and the largest value that are drawn; default as the data has it.
    """
    if value_format == "%":
        if domain is not None:
            low, high = (max(1 - value, ERROR_FLOOR) for value in domain)
            domain = (high, low)
        return Vertical(
            log_scale(domain, reverse=True), error_axis(title, grid=True), ".1%", as_error
        )
    if log:
        return Vertical(
            log_scale(domain), log_axis("y", title, grid=True), value_format, above_zero
        )
    scale = alt.Scale(zero=False, nice=True, padding=6)
    if domain is not None:
        scale = alt.Scale(domain=list(domain), nice=False, zero=False)
    linear = axis(title, grid=True, percent=value_format.endswith("%"))
    return Vertical(scale, linear, value_format, lambda frame: frame)


def axis(title: str, *, grid: bool, percent: bool = False) -> alt.Axis:
    """A linear or square-root axis."""
    return alt.Axis(
        title=title,
        grid=grid,
        format="~%" if percent else alt.Undefined,
        tickCount=6,
        labelOverlap="greedy",
    )


def log_scale(domain: tuple[float, float] | None = None, *, reverse: bool = False) -> alt.Scale:
    """A logarithmic scale that ends a little beyond its data, or where ``domain`` does."""
    if domain is not None:
        return alt.Scale(type="log", domain=list(domain), reverse=reverse, nice=False)
    return alt.Scale(type="log", reverse=reverse, nice=False, padding=12)


def as_error(frame: pd.DataFrame) -> pd.DataFrame:
    """Shares as errors, 1 − share, to lie on a logarithmic scale.

    Between 80 and 95 % correct, where trained networks differ, a linear axis from 10 % on shows
    one line; equal factors of the error get equal room instead.
    """
    shares = [name for name in ("value", "low", "high") if name in frame]
    errors = {name: (1 - frame[name].astype(float)).clip(lower=ERROR_FLOOR) for name in shares}
    return frame.assign(**errors)


def above_zero(frame: pd.DataFrame) -> pd.DataFrame:
    """Values as they are, to lie on a logarithmic scale, where those of 0 or below have no place.

    These become NaN, so that points are left out and lines break. A band does not reach below a
    tenth of its mean.
    """
    value = frame["value"].astype(float)
    value = value.where(value > 0)
    if "low" not in frame:
        return frame.assign(value=value)
    # Clipping at NaN clips nothing.
    low = frame["low"].astype(float).clip(lower=value / 10).where(value.notna())
    high = frame["high"].astype(float).clip(lower=value).where(value.notna())
    return frame.assign(value=value, low=low, high=high)


def error_axis(title: str, *, grid: bool) -> alt.Axis:
    """The axis of ``as_error`` values, labelled with the shares that they stand for."""
    shown = "format(1 - datum.value, '.1~%')"
    return log_axis("y", f"{title} (log error)", grid=grid, label=shown, dense=1.25)


def log_axis(
    channel: Literal["x", "y"],
    title: str,
    *,
    grid: bool,
    label: str = "format(datum.value, '~g')",
    dense: float = 0.7,
) -> alt.Axis:
    """A logarithmic axis: a tick at 1 … 9 of each decade, labels and grid at its 1, 2 and 5.

    An axis of fewer than ``dense`` decades has every tick labelled, one of many decades only powers
    of ten. Vega's own choice labels 0.1, 0.2, 0.3, 0.4, 1, which does not read as a logarithm.
    """
    decades = f"(log(domain('{channel}')[1] / domain('{channel}')[0]) / LN10)"
    exponent = "floor(log(datum.value) / LN10 + 1e-6)"
    mantissa = f"round(datum.value / pow(10, {exponent}))"
    labelled = (
        f"({decades} < {dense} || {mantissa} == 1 || "
        f"({decades} < 4 && ({mantissa} == 2 || {mantissa} == 5)))"
    )
    return alt.Axis(
        title=title,
        labelExpr=f"{labelled} ? {label} : ''",
        grid=grid,
        gridOpacity={"condition": {"test": labelled, "value": 1}, "value": 0},
        tickCount=10,
        labelOverlap="greedy",
        # Labels that stick out further are cut off where a chart fits its container.
        labelBound=6 if channel == "x" else False,
    )
