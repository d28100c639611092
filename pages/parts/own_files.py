"""A reader's own file: chosen among those in the app's folder, or brought here."""

from collections.abc import Callable

import streamlit as st

from mtl_core import InputError
from mtl_core.data import own
from pages.parts import state, uploads, visitors, words

__all__ = ["chosen"]

_KEY, _NEW, _WRONG = "own_file", "own_file_new", "own_file_wrong"
_HELP = (
    "A table with a header: every column that is not a target is an input. Files that lie in the "
    "folder own of the app's data folder are offered here."
)


def chosen(name: str, ask: Callable[[str], None]) -> None:
    """Draw the choice of a CSV file.

    Args:
        name: of the file that is chosen; empty for none.
        ask: takes another one's.
    """
    # Of what others have brought a visitor is offered nothing.
    there = [] if visitors.shared() else own.names(".csv")
    state.show(_KEY, name if own.plain(name) else None)
    st.selectbox(
        "File",
        list(dict.fromkeys([*there, *([name] if own.plain(name) else [])])),
        key=_KEY,
        placeholder="none yet",
        help=_HELP,
        on_change=lambda: ask(st.session_state[_KEY] or ""),
    )
    if visitors.may_upload():
        # Another key after each file: the one before is let go with its bytes.
        count = st.session_state.setdefault(_NEW, 0)
        st.file_uploader(
            "Bring a CSV file",
            type=["csv", "tsv", "txt"],
            key=f"{_NEW}_{count}",
            on_change=_take,
            args=(f"{_NEW}_{count}", ask),
        )
    else:
        st.caption("Uploads are switched off on this server.")
    if line := st.session_state.pop(_WRONG, None):
        words.tell("error", line, icon=":material/error:")


def _take(key: str, ask: Callable[[str], None]) -> None:
    file = st.session_state[key]
    if file is None:
        return
    try:
        ask(own.keep(f"{file.name.rpartition('.')[0]}.csv", file.getvalue()))
    except InputError as error:
        st.session_state[_WRONG] = str(error)
    uploads.release([file])
    st.session_state[_NEW] += 1
