"""Arriving: by a deep link, and as the first of many.

Until app.py has called ``st.navigation`` once, Streamlit takes pages/ for a menu of its own: it
runs the page that the server's very first visitor asks for without app.py, so without its
navigation and its wide layout. Such a page goes to app.py, which sends the visitor on to where the
link leads.
"""

import gc
import itertools
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import streamlit as st

# Arrow's own pool keeps what its threads once had: some 50 MB after the artifacts were read.
pa.set_memory_pool(pa.system_memory_pool())

__all__ = ["arrived", "settle", "through_app"]

_BY_APP, _LINK = "arrived_by_app", "arrival_link"


def arrived() -> None:
    """Call it in app.py, before a page runs: goes on to where a deep link leads."""
    st.session_state[_BY_APP] = True
    if link := st.session_state.pop(_LINK, None):
        page, query = link
        st.switch_page(page, query_params=query)


@st.cache_resource(max_entries=1, show_spinner=False)
def _runs() -> "itertools.count[int]":
    return itertools.count(1)


def settle() -> None:
    """Call it in app.py after a page ran: takes what stays out of the collector's sight.

    What was imported and read so far stays as long as the server. Looking through it for garbage
    would take a fifth of a second each time, in which nobody else is served. It is put aside after
    the 1st, 4th, 16th, … run: what comes later is less and less.
    """
    run = next(_runs())
    if run & (run - 1) == 0 and run.bit_length() % 2 == 1:
        gc.collect()
        gc.freeze()


def through_app(page: Callable[..., Any]) -> None:
    """Call it in a page: has app.py run first where it has not.

    Args:
        page: a function of the page's script.
    """
    if _BY_APP not in st.session_state:
        file = str(page.__globals__["__file__"]).replace("\\", "/")
        name = f"pages/{file.rpartition('/')[2]}"
        st.session_state[_LINK] = (name, st.query_params.to_dict())
        st.switch_page("app.py")
