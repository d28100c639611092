"""Scales and axes that stay readable from a factor of 1.1 to ten decades, at any width."""

from collections.abc import Sequence
from typing import Literal

import altair as alt
import pandas as pd

__all__ = ["as_error", "axis", "error_axis", "log_axis", "log_scale"]

ERROR_FLOOR = 1e-3
"""Errors are drawn as at least this much: a perfect score has no logarithm."""


def axis(title: str, *, grid: bool) -> alt.Axis:
    """A linear or square-root axis."""
    return alt.Axis(
        title=title,
        grid=grid,
        tickCount=6,
        labelOverlap="greedy",
    )


def log_scale(*, reverse: bool = False) -> alt.Scale:
    """A logarithmic scale that ends a little beyond its data."""
    return alt.Scale(type="log", reverse=reverse, nice=False, padding=12)


def as_error(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Shares as errors, 1 − share, to lie on a logarithmic scale.

    Between 80 and 95 % correct, where trained networks differ, a linear axis from 10 % on shows
    one line; equal factors of the error get equal room instead.
    """
    errors = {name: (1 - frame[name].astype(float)).clip(lower=ERROR_FLOOR) for name in columns}
    return frame.assign(**errors)


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

    Within ``dense`` decades everything is labelled, over many only powers of ten. Vega's own
    choice labels 0.1, 0.2, 0.3, 0.4, 1, of which a reader makes no scale.
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
        # What sticks out further is cut off by the edge of a chart that fits its container.
        labelBound=6 if channel == "x" else False,
    )
