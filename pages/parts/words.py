"""Words that are not ours: what users, links, files and other machines wrote, shown as it is."""

import re
from typing import Any, Literal

import streamlit as st

__all__ = ["escaped", "tell"]

Level = Literal["error", "warning", "info", "success", "caption"]

_MARKS = re.compile(
    r"""
    [\\`*\[\]<>$~|]                        # code, emphasis, links and pictures, tags, formulas, …
    | (?<![^\W_])_ | _(?![^\W_])           # emphasis; an underscore within a name is none
    | :(?=[A-Za-z:])                       # :red[…]
    | &(?=[\#A-Za-z])                      # &lt;
    | (?:(?<=\n)|\A)[\#+=-]                # headings, rules and lists begin a line
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))", re.MULTILINE)


def escaped(text: str) -> str:
    """Markdown that shows a text as it is: no picture, link, formula, colour or list.

    A browser fetches a picture without being asked, and a link's text could name any address.
    """
    lines = "\n".join(line.strip() for line in text.splitlines())
    return _NUMBERED.sub(r"\1\\", _MARKS.sub(r"\\\g<0>", lines))


def tell(level: Level, text: str, *, icon: str | None = None, place: Any = st) -> None:
    """Show a line that may hold words which are not ours."""
    more = {"icon": icon} if icon else {}
    getattr(place, level)(escaped(text), **more)
