"""A reader's own data for a front: what is stored, or a CSV file that lies in the app's folder."""

from collections.abc import Callable

import streamlit as st

from mtl_core import InputError, settings
from mtl_core.data import own, stored
from mtl_core.pareto.problems import sheets
from pages.parts import add_data, state, visitors

__all__ = ["chosen", "targets"]

_KEY = "own_file"
_HELP = (
    "Own data that was added, or a table with a header, of which every column that is not a target "
    "is an input. CSV files that lie in the folder own of the app's data folder are offered here."
)


def chosen(name: str, ask: Callable[[str], None]) -> None:
    """Draw the choice of own data or a CSV file.

    Args:
        name: of what is chosen; empty for none.
        ask: takes another one's.
    """
    # Of what others have brought a visitor is offered nothing.
    there = [] if visitors.shared() else own.names(".csv")
    added = [one for one in add_data.settings_offered(name) if stored.is_name(one)]
    state.show(_KEY, name if own.plain(name) else None)
    st.selectbox(
        "File",
        list(dict.fromkeys([*added, *there, *([name] if own.plain(name) else [])])),
        key=_KEY,
        format_func=_title,
        placeholder="none yet",
        help=_HELP,
        on_change=lambda: ask(st.session_state[_KEY] or ""),
    )
    add_data.button(ask)
    if not visitors.may_upload():
        st.caption("Uploads are switched off on this server.")


def targets(name: str) -> str:
    """What is predicted at first: of own data its first tasks, as the option targets has them."""
    try:
        tasks = settings.get(name).tasks if stored.is_name(name) else ()
    except InputError:
        return ""
    return ",".join(sheets.written(task.name) for task in tasks[:3])


def _title(name: str) -> str:
    try:
        return settings.get(name).title if stored.is_name(name) else name
    except InputError:
        return name
