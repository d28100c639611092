"""How much of a page is shown, as its address says: all of it, its figure, or what a class sees.

``show=figure`` is the figure alone, ``show=run`` the figure with its buttons and numbers, both
without menus, for a page of somebody else's. ``hide=`` leaves out parts by name. ``present=true``
is for a projector: no menus and no controls, and text and marks larger.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast
from urllib.parse import urlencode

import streamlit as st

from mtl_core.errors import unknown
from pages.parts import words

__all__ = [
    "ALONE",
    "FIGURE",
    "LARGER",
    "LESSON",
    "PARTS",
    "READING",
    "Part",
    "Stage",
    "arrive",
    "heights",
    "note",
    "now",
    "own",
    "share",
    "shows",
    "title",
    "without",
]

Show = Literal["page", "run", "figure"]
Part = Literal["controls", "buttons", "cards", "strip", "looks", "table", "notes"]

SHOWS: tuple[Show, ...] = ("page", "run", "figure")
PARTS: Mapping[Part, str] = {
    "controls": "the question's controls at the left",
    "buttons": "Run, Add seeds, Pin and Export",
    "cards": "the numbers above the figure",
    "strip": "the gap below the figure",
    "looks": "the other figures",
    "table": "the table of curves",
    "notes": "notes and explanations",
}
LARGER = 1.6
"""How many times larger text and marks are for a projector."""
_NAMES = ("show", "hide", "present")
_KEY, _TOLD = "stage", "stage_told"
_LEFT_OUT: Mapping[Show, frozenset[Part]] = {
    "page": frozenset(),
    "run": frozenset({"controls", "looks", "table", "notes"}),
    "figure": frozenset({"controls", "buttons", "cards", "strip", "looks", "table", "notes"}),
}


@dataclass(frozen=True)
class Stage:
    """What of a page is shown.

    Args:
        show: one of ``SHOWS``.
        hide: parts that are left out beyond that, in the order of ``PARTS``.
        present: whether it is for a projector.
    """

    show: Show = "page"
    hide: tuple[Part, ...] = ()
    present: bool = False

    @property
    def bare(self) -> bool:
        """Whether the page stands without the app's menus."""
        return self.show != "page" or self.present

    def shows(self, part: Part) -> bool:
        """Whether a part is there."""
        left_out = _LEFT_OUT[self.show] | ({"controls"} if self.present else set())
        return part not in left_out and part not in self.hide

    def to_query(self) -> dict[str, str]:
        """Query parameters that say it; empty for a whole page."""
        said: dict[str, str] = {"show": self.show} if self.show != "page" else {}
        said |= {"hide": " ".join(self.hide)} if self.hide else {}
        return said | ({"present": "true"} if self.present else {})

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[Stage, list[str]]":
        """What a URL asks for, and what in it could not be understood."""
        told = []
        show = query.get("show", "page")
        if show not in SHOWS:
            told.append(str(unknown("show", show, SHOWS)))
            show = "page"
        asked = query.get("hide", "").replace(",", " ").split()
        told += [str(unknown("part to hide", name, PARTS)) for name in asked if name not in PARTS]
        present = query.get("present", "false")
        if present not in ("true", "false"):
            told.append(str(unknown("present", present, ("true", "false"))))
        hide = tuple(name for name in PARTS if name in asked)
        return cls(cast(Show, show), hide, present == "true"), told


def arrive() -> Stage:
    """Call it in app.py before anything is drawn: takes from the address what is to be shown.

    It stays so in a tab, whichever page is opened next in it.
    """
    query = st.query_params.to_dict()
    if _KEY not in st.session_state or any(name in query for name in _NAMES):
        stage, told = Stage.from_query(query)
        if stage != st.session_state.get(_KEY):
            st.session_state[_TOLD] = told
        st.session_state[_KEY] = stage
    stage = now()
    for line in st.session_state.pop(_TOLD, []):
        words.tell("warning", line, icon=":material/link_off:")
    if stage.present:
        st.html(f"<style>html {{ font-size: {LARGER:.0%} }}</style>")
    return stage


def now() -> Stage:
    """What is shown in this tab."""
    stage: Stage = st.session_state.get(_KEY, Stage())
    return stage


def shows(part: Part) -> bool:
    """Whether a part of the page is there in this tab."""
    return now().shows(part)


def title(text: str) -> None:
    """A page's title; smaller above a figure that stands alone."""
    if now().show == "figure":
        st.subheader(text, anchor=False)
    else:
        st.title(text)


def heights(alone: int) -> dict[str, int]:
    """Arguments that give a plot its usual height, or where its figure stands alone another.

    Args:
        alone: pixels, with which the whole figure fits into a frame of 800×600.
    """
    return {"height": alone} if now().show == "figure" else {}


def note(text: str) -> None:
    """What explains a figure, where notes are shown."""
    if shows("notes"):
        st.caption(text)


def without(query: Mapping[str, str]) -> dict[str, str]:
    """An address without what is said here: the question alone."""
    return {name: value for name, value in query.items() if name not in _NAMES}


def own() -> dict[str, str]:
    """What this tab's address says here, beside the question."""
    return now().to_query()


_WAYS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "Page": ("All of it.", {}),
    "Lesson": ("For a page of your own: the lesson without the app's menus.", {"show": "run"}),
    "Figure with Run": ("For a page of your own: it trains here.", {"show": "run"}),
    "Figure only": ("For a page of your own.", {"show": "figure"}),
    "Presenter": ("For a projector: large, without menus and controls.", {"present": True}),
}
FIGURE = ("Page", "Figure with Run", "Figure only", "Presenter")
ALONE = ("Page", "Figure only", "Presenter")
"""Of a page that runs nothing."""
LESSON = ("Page", "Lesson", "Presenter")
READING: tuple[Part, ...] = ("controls", "cards", "looks", "table", "notes")
"""Parts of a page that runs nothing."""


def share(
    query: Mapping[str, str],
    title: str,
    ways: Sequence[str] = FIGURE,
    parts: Sequence[Part] = tuple(PARTS),
) -> None:
    """Links to this question as a page, a lesson, a figure with Run or alone, or for a projector.

    Args:
        query: the question.
        title: of the figure, for those who do not see it.
        ways: which of these there are.
        parts: of the page, that can be left out.
    """
    way = st.segmented_control(
        "Share as", ways, default="Page", required=True, key=f"stage_share {ways}"
    )
    about, asked = _WAYS[way or "Page"]
    st.caption(about)
    usual = Stage(**asked)
    there = [part for part in parts if usual.shows(part)]
    hide = (
        st.multiselect(
            "Leave out",
            there,
            format_func=lambda part: PARTS[part],
            key=f"stage_hide {usual.show} {usual.present} {parts}",
        )
        if there
        else []
    )
    theme = st.segmented_control("Theme", ["reader's", "light", "dark"], default="reader's")
    stage = Stage(**asked, hide=tuple(hide))
    link = _link({**query, **stage.to_query()}, stage, theme or "reader's")
    st.code(link, language=None, wrap_lines=True)
    if stage.bare and not stage.present:
        size = 'width="800" height="600"'
        frame = f'<iframe src="{_escaped(link)}" {size} title="{_escaped(title)}"></iframe>'
        st.code(frame, language="html", wrap_lines=True)


def _link(query: Mapping[str, str], stage: Stage, theme: str) -> str:
    parts = list(query.items())
    if stage.bare:
        parts.append(("embed", "true"))
        if theme != "reader's":
            parts.append(("embed_options", f"{theme}_theme"))
    base = (st.context.url or "").split("?")[0]
    return f"{base}?{urlencode(parts)}" if parts else base


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
