"""Scales and axes that stay readable from a factor of 1.1 to ten decades, at any width."""

from typing import Literal

import altair as alt

__all__ = ["axis", "log_axis", "log_scale"]


def axis(title: str, *, share: bool = False, grid: bool) -> alt.Axis:
    """A linear or square-root axis, in percent where its values are shares."""
    return alt.Axis(
        title=title,
        # Vega's own format has as many digits as the distance of ticks asks for.
        format=".1~%" if share else alt.Undefined,
        grid=grid,
        tickCount=6,
        labelOverlap="greedy",
    )


def log_scale(*, reverse: bool = False) -> alt.Scale:
    """A logarithmic scale that ends a little beyond its data."""
    return alt.Scale(type="log", reverse=reverse, nice=False, padding=12)


def log_axis(channel: Literal["x", "y"], title: str, *, grid: bool) -> alt.Axis:
    """A logarithmic axis: a tick at 1 … 9 of each decade, labels and grid at its 1, 2 and 5.

    Within a decade's half everything is labelled, over many decades only powers of ten. Vega's own
    choice labels 0.1, 0.2, 0.3, 0.4, 1, of which a reader makes no scale.
    """
    decades = f"(log(domain('{channel}')[1] / domain('{channel}')[0]) / LN10)"
    exponent = "floor(log(datum.value) / LN10 + 1e-6)"
    mantissa = f"round(datum.value / pow(10, {exponent}))"
    labelled = (
        f"({decades} < 0.7 || {mantissa} == 1 || "
        f"({decades} < 4 && ({mantissa} == 2 || {mantissa} == 5)))"
    )
    return alt.Axis(
        title=title,
        labelExpr=f"{labelled} ? format(datum.value, '~g') : ''",
        grid=grid,
        gridOpacity={"condition": {"test": labelled, "value": 1}, "value": 0},
        tickCount=10,
        labelOverlap="greedy",
        # What sticks out further is cut off by the edge of a chart that fits its container.
        labelBound=6 if channel == "x" else False,
    )
