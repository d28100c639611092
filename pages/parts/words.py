"""Words that are not ours: what users, links, files and other machines wrote, shown as it is."""

from typing import Any, Literal

import streamlit as st

from mtl_core.views.access import Access
from mtl_core.views.phrases import escaped

__all__ = ["escaped", "tell"]

Level = Literal["error", "warning", "info", "success", "caption"]


def tell(level: Level, text: str, *, icon: str | None = None, place: Any = st) -> None:
    """Show a line that may hold words which are not ours, and to strangers no path of ours."""
    more = {"icon": icon} if icon else {}
    getattr(place, level)(escaped(Access.of().told(text)), **more)
