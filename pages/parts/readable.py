"""Text that Streamlit's theme draws too faint to read, in the page's own text colour.

Its theme has one primary colour for the ground of buttons, whose words are white, and for words on
the page's ground: those of a chosen pill and beside a slider's thumb. On a dark page no colour
gives both a contrast of 4.5:1. For the words in charts it has no colour at all.
"""

from collections.abc import Mapping
from typing import Any

import streamlit as st

__all__ = ["as_pixels", "readable"]

_WORDS = {"light": "#10141a", "dark": "#e8ebef"}
"""The page's text colours, as in .streamlit/config.toml."""

_STYLE = """
<style>
[data-selected="true"], [data-testid="stSliderThumbValue"] { color: inherit !important; }
svg.marks .role-axis text, svg.marks .role-legend text { fill: currentColor; }
svg.marks text[fill="#858585"], svg.marks text[fill="#7A7A7A"] { fill: currentColor; }
</style>
"""


def readable() -> None:
    """Call it in app.py, before a page runs."""
    st.html(_STYLE)


def as_pixels(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A Vega-Lite specification that is drawn on a canvas, where the style above has no say."""
    config, about = spec.get("config", {}), spec.get("usermeta", {})
    words = _WORDS.get(st.context.theme.type or "light", _WORDS["light"])
    coloured = {
        name: {**config.get(name, {}), "labelColor": words, "titleColor": words}
        for name in ("axis", "legend")
    }
    return {
        **spec,
        "config": {**config, **coloured},
        "usermeta": {**about, "embedOptions": {"renderer": "canvas"}},
    }
