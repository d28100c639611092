"""A page that draws itself anew each second, without what would keep the browser drawing between.

Streamlit fades what is about to be replaced, and slides the bar of progress: at each update of a
live page half a second of frames, sixty a second, in which nothing is said. Where there is no
graphics card, each of them is drawn on the cores that train. Its sign that a script runs would
come and go with each update too, with a Stop beside it that does not stop the runs.
"""

import streamlit as st

__all__ = ["hold_still"]

_STYLE = """
<style>
[data-testid="stMain"] [data-stale="true"] { opacity: 1 !important; }
[data-testid="stMain"] [data-testid="stElementContainer"],
[data-testid="stMain"] [data-testid="stExpander"] details,
[data-testid="stMain"] [data-testid="stExpander"] summary,
[data-testid="stProgressBarTrack"] * { transition: none !important; }
[data-testid="stStatusWidget"] { display: none; }
</style>
"""


def hold_still(active: bool) -> None:
    """Call it in a page: while runs go on, nothing on it fades or slides."""
    if active:
        st.html(_STYLE)
