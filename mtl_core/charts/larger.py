"""Charts for a projector: text and marks larger, everything else as it is."""

from collections.abc import Mapping
from typing import Any

__all__ = ["larger"]

AREAS = {"size"}
"""What counts the pixels of an area."""
LENGTHS = {"strokeWidth", "fontSize", "dx", "dy", "thickness", "minExtent", "labelLimit"}
LABEL, TITLE = 12, 13
"""Pixels of an axis's labels and of its title, elsewhere given by the page's theme."""


def larger(spec: Mapping[str, Any], times: float) -> dict[str, Any]:
    """A Vega-Lite specification with text and marks so many times as large.

    The plot's own size stays: its width is the page's, and its height has room enough.
    """
    grown: dict[str, Any] = {
        name: value if name in ("datasets", "data") else _grown(value, times)
        for name, value in spec.items()
    }
    label, title = round(LABEL * times), round(TITLE * times)
    axis = {"labelFontSize": label, "titleFontSize": title, "titlePadding": 8 * times}
    legend = {
        "labelFontSize": title,
        "titleFontSize": title,
        "labelLimit": 0,
        "symbolSize": 100 * times**2,
        "symbolStrokeWidth": 2 * times,
    }
    own = grown.get("config", {})
    grown["config"] = {
        **own,
        "axis": {**own.get("axis", {}), **axis},
        "legend": {**own.get("legend", {}), **legend},
    }
    return grown


def _grown(part: Any, times: float) -> Any:
    if isinstance(part, Mapping):
        return {name: _scaled(name, value, times) for name, value in part.items()}
    if isinstance(part, list):
        return [_grown(each, times) for each in part]
    return part


def _scaled(name: str, value: Any, times: float) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if name in LENGTHS:
            return value * times
        if name in AREAS:
            return value * times**2
        return value
    return value if name in ("data", "datasets") else _grown(value, times)
