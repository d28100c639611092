"""Arriving by a deep link.

Until app.py has called ``st.navigation`` once, Streamlit takes pages/ for a menu of its own: it
runs the page that the server's very first visitor asks for without app.py, so without its
navigation and its wide layout. Such a page goes to app.py, which sends the visitor on to where the
link leads.
"""

from collections.abc import Callable
from typing import Any

import streamlit as st

__all__ = ["arrived", "through_app"]

_BY_APP, _LINK = "arrived_by_app", "arrival_link"


def arrived() -> None:
    """Call it in app.py, before a page runs: goes on to where a deep link leads."""
    st.session_state[_BY_APP] = True
    if link := st.session_state.pop(_LINK, None):
        page, query = link
        st.switch_page(page, query_params=query)


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
