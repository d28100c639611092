"""A curve that is drawn by hand, with a pointer or with the arrow keys; it is a v2 component."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages.parts.components import component

__all__ = ["drawn", "sketch"]

Course = Sequence[tuple[float, float]]
"""Shares of the training, and percent."""

_CSS = """
.sketch { width: 100%; color: var(--st-text-color); }
svg { display: block; touch-action: none; cursor: crosshair; }
.grid { stroke: currentColor; stroke-opacity: 0.15; }
text { fill: currentColor; font: 12px var(--st-font); user-select: none; }
.curve { fill: none; stroke-width: 2.5; stroke-linecap: round; }
.open { stroke: currentColor; stroke-opacity: 0.35; stroke-dasharray: 2 2; }
circle:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.fixed svg { cursor: default; touch-action: auto; }
"""


def sketch(
    key: str,
    *,
    points: int,
    heights: Sequence[int] | None,
    alone: Course,
    came: Course,
    colour: str,
    fixed: bool,
    label: str,
    on_change: Callable[[], None],
) -> None:
    """The plot to draw in; ``drawn`` has what was drawn.

    Args:
        points: how many heights there are.
        heights: what was drawn before, in percent.
        alone: the single task's curve, blue.
        came: the curve that came out; empty before that is known.
        colour: of that curve.
        fixed: whether nothing can be drawn any more.
        label: what the plot is, for those who do not see it.
        on_change: called when a curve was drawn.
    """
    data = {
        "points": points,
        "heights": None if heights is None else list(heights),
        "alone": [list(corner) for corner in alone],
        "came": [list(corner) for corner in came],
        "colour": colour,
        "fixed": fixed,
        "label": label,
    }
    component("sketch", _CSS)(key=key, data=data, on_heights_change=on_change)


def drawn(key: str) -> str | None:
    """The heights of the curve that was drawn last, with dots between; None before."""
    state: Any = st.session_state.get(key)
    text = None if state is None else state.get("heights")
    return text if isinstance(text, str) else None
