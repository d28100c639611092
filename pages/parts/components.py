"""Parts of a page that are drawn in the browser: v2 components, each with a script of its own."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

__all__ = ["Component", "component", "told"]

Component = Callable[..., Any]
_HERE = Path(__file__).parent


@st.cache_resource(max_entries=10, show_spinner=False)
def component(name: str, css: str) -> Component:
    """The component that ``name.js`` draws into a ``div`` of the class ``name``."""
    scripts = [(_HERE / f"{part}.js").read_text(encoding="utf-8") for part in ("svg", name)]
    made: Component = st.components.v2.component(
        name, html=f'<div class="{name}"></div>', css=css, js="\n".join(scripts)
    )
    return made


def told(key: str, name: str) -> Mapping[str, Any]:
    """What a component has told last under a name, of which nothing is certain, as any browser may
    have sent it; empty before."""
    state: Any = st.session_state.get(key)
    found = None if state is None else state.get(name)
    return found if isinstance(found, Mapping) else {}
