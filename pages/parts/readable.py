"""Text that Streamlit's theme draws too faint to read, in the page's own text colour.

Its theme has one primary colour for the ground of buttons, whose words are white, and for words on
the page's ground: those of a chosen pill and beside a slider's thumb. On a dark page no colour
gives both a contrast of 4.5:1. For the words in charts it has no colour at all.
"""

import streamlit as st

__all__ = ["readable"]

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
