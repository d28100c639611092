"""Add data: a reader's own file becomes a setting; what each column is taken for is shown first."""

from collections.abc import Callable
from functools import partial
from typing import Any

import streamlit as st

from mtl_core import InputError
from mtl_core.data import choices, own, sheet, stored
from mtl_core.data.choices import Choice
from mtl_core.data.sheet import Sheet
from mtl_core.runs import Store
from mtl_core.views import own_data
from mtl_core.views.turns import in_turn
from pages.parts import uploads, visitors, words

__all__ = ["button", "settings_offered"]

_SHEET, _WRONG, _NEW, _MINE = "add_sheet", "add_wrong", "add_new", "add_mine"
_SAVED, _REMOVED = "add_saved", "add_removed"
_NETWORKS = {"mlp": "MLP", "cnn": "Small CNN", "resnet18": "ResNet18"}


def settings_offered(current: str) -> list[str]:
    """Names of the settings for a page's choice."""
    mine = st.session_state.get(_MINE, [])
    return own_data.settings_offered(current, shared=visitors.shared(), known=mine)


def button(then: Callable[[str], None]) -> None:
    """Offers to add data, where this server takes files.

    Args:
        then: takes the name of the new setting.
    """
    if not visitors.may_upload() and visitors.shared():
        return
    if st.button("Add data", icon=":material/add_chart:", help="A table or images of your own."):
        for key in (_SHEET, _WRONG, _SAVED, _REMOVED):
            st.session_state.pop(key, None)
        _dialog(then)


@st.dialog("Add data", width="large", icon=":material/add_chart:")
@in_turn
def _dialog(then: Callable[[str], None]) -> None:
    if st.session_state.pop(_SAVED, False):
        st.rerun()  # which closes the dialog
    _file()
    if line := st.session_state.get(_WRONG):
        words.tell("error", line, icon=":material/error:")
    found: Sheet | None = st.session_state.get(_SHEET)
    if found is None:
        _stored()
        return
    words.tell("caption", f"{found.name}: {own_data.summary(found)}.")
    st.dataframe(
        own_data.columns(found), hide_index=True, height=240, placeholder="", alt="Columns"
    )
    choice = _choice(found)
    if choice is None:
        st.caption("Choose what is to be predicted: one label or more, a task each.")
        return
    for line in own_data.balances(found, choice):
        words.tell("caption", line)
    st.caption(own_data.split(found))
    st.button(
        "Save as a setting",
        type="primary",
        icon=":material/save:",
        on_click=partial(_save, found, choice, then),
    )


def _file() -> None:
    """A file from the reader's machine, or one that lies in the app's folder."""
    if visitors.may_upload():
        # Another key after each file: the one before is let go with its bytes.
        key = f"{_NEW}_{st.session_state.setdefault(_NEW, 0)}"
        st.file_uploader(
            "A table (CSV, TSV, Parquet) or arrays (npz)",
            type=list(sheet.ENDINGS),
            key=key,
            on_change=_take,
            args=(key,),
            help="A table has a header. An npz file has x, one row or image an example, and an "
            "array for each label.",
        )
    there = [] if visitors.shared() else own.names(tuple(f".{end}" for end in sheet.ENDINGS))
    there = [name for name in there if not stored.is_name(name.removesuffix(".npz"))]
    if there:
        st.selectbox(
            "Or a file in the folder own of the app's data folder",
            there,
            index=None,
            key="add_there",
            placeholder="none",
            on_change=_look,
        )


def _take(key: str) -> None:
    file = st.session_state[key]
    if file is None:
        return
    _read(file.name, file.getvalue)
    uploads.release([file])
    st.session_state[_NEW] += 1


def _look() -> None:
    if name := st.session_state.add_there:
        _read(name, lambda: own.content(own.located(name), sheet.most_bytes()))


def _read(name: str, content: Callable[[], bytes]) -> None:
    st.session_state.pop(_WRONG, None)
    st.session_state.pop(_SHEET, None)
    for key in [str(key) for key in st.session_state if str(key).startswith("add_of_")]:
        del st.session_state[key]
    try:
        st.session_state[_SHEET] = sheet.read(content(), name)
    except InputError as error:
        st.session_state[_WRONG] = str(error)


def _stored() -> None:
    """What is stored already, to be removed by whoever owns this machine."""
    if line := st.session_state.pop(_REMOVED, None):
        words.tell("success", line, icon=":material/delete:")
    there = {} if visitors.shared() else own_data.removable()
    if not there:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Stored on this machine",
            list(there),
            format_func=there.__getitem__,
            index=None,
            key="add_stored",
            placeholder="choose what to remove",
        )
        st.button(
            "Remove",
            icon=":material/delete:",
            disabled=name is None,
            on_click=_remove,
            args=(name,),
            help="The data, not the file that it was made of. Runs on it stay.",
        )


def _remove(name: str) -> None:
    st.session_state.pop(_WRONG, None)
    try:
        st.session_state[_REMOVED] = own_data.remove(name, Store())
    except InputError as error:
        st.session_state[_WRONG] = str(error)


def _choice(found: Sheet) -> Choice | None:
    """What the reader has chosen; what was guessed stands there already."""
    every = own_data.offered(found, ())
    labels = st.multiselect(
        "Labels",
        list(every.labels),
        key="add_of_labels",
        placeholder="what is to be predicted",
        help="Each is a task of the setting.",
    )
    if not labels:
        return None
    guess, offered = choices.guessed(found, labels), own_data.offered(found, labels)
    # Other labels leave other columns, which are guessed anew.
    kept = "add_of_{}_" + "_".join(labels)
    texts = [name for name in labels if name not in every.able]
    numeric = [name for name in labels if name in every.able]
    classes = _some(
        "Labels that are classes",
        numeric,
        [name for name in guess.classes if name in numeric],
        kept.format("classes"),
        "The others are numbers to predict. Labels of text are always classes.",
    )
    inputs = _some(
        "Inputs",
        list(offered.inputs),
        list(guess.inputs),
        kept.format("inputs"),
        "Columns that the labels are predicted from.",
    )
    group = st.selectbox(
        "Group",
        [name for name in offered.groups if name not in inputs],
        index=None,
        key=kept.format("group"),
        placeholder="none: every row is an example of its own",
        help="A column that says whose an example is, such as a patient: all rows of a group are "
        "on one side of the split. To choose an input, take it out of the inputs first.",
    )
    numbers = [name for name in inputs if name in every.able]
    categories = _some(
        "Inputs that are categories",
        numbers,
        [],
        kept.format("categories"),
        "Each value becomes an input of 0 and 1. Inputs of text always do.",
    )
    return Choice(
        inputs=tuple(inputs),
        labels=tuple(labels),
        classes=(*texts, *classes),
        categories=(*categories, *(name for name in inputs if name not in every.able)),
        group=group or "",
        network=_network(found, guess),
        fill=_tick(found, inputs, "Fill in missing inputs", "add_of_fill", _FILL),
        drop=_tick(found, labels, "Leave out rows without a label", "add_of_drop", _DROP),
        title=st.text_input(
            "Name", value=found.name.rpartition(".")[0], max_chars=60, key="add_of_title"
        ),
    )


_FILL = (
    "Numbers by the mean of the rows that are trained on, text by a category of its own. Without "
    "it a missing input is refused."
)
_DROP = "Without it a missing label is refused."


def _some(title: str, offered: list[str], usual: list[str], key: str, about: str) -> list[str]:
    """A choice of columns, where there is one."""
    if not offered:
        return []
    return st.multiselect(
        title, offered, default=usual, key=key, help=about, placeholder="none of them"
    )


def _network(found: Sheet, guess: Choice) -> Any:
    if found.images is None:
        return guess.network
    return st.segmented_control(
        "Network",
        list(_NETWORKS),
        default=guess.network,
        format_func=_NETWORKS.__getitem__,
        required=True,
        key="add_of_network",
    )


def _tick(found: Sheet, names: list[str], title: str, key: str, about: str) -> bool:
    """Asks only where something is missing."""
    if not any(found.column(name).missing.any() for name in names):
        return False
    return st.checkbox(title, key=key, help=about)


def _save(found: Sheet, choice: Choice, then: Callable[[str], None]) -> None:
    st.session_state.pop(_WRONG, None)
    try:
        made = choices.prepared(found, choice)
        name = stored.save(made.described, made.arrays)
    except InputError as error:
        st.session_state[_WRONG] = str(error)
        return
    st.session_state[_MINE] = [*st.session_state.get(_MINE, []), name]
    st.session_state.pop(_SHEET, None)
    st.session_state[_SAVED] = True
    then(name)
