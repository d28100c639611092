"""What a page shows: kept in the session, read from the address and written to it.

The view is the only state there is. Widgets show it, and callbacks change it.
"""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast

import streamlit as st

from mtl_core import InputError
from pages.parts import stage, words

__all__ = ["Page", "entered", "show"]


class View(Protocol):
    """A frozen dataclass that a URL can say."""

    def to_query(self) -> dict[str, str]: ...


V = TypeVar("V", bound=View)
P = ParamSpec("P")
ECHO_SECONDS = 2.0
"""How long the address before a change may come back from the browser."""
Read = Callable[[Mapping[str, str]], tuple[V | None, list[str]]]


@dataclass(frozen=True)
class _Kept(Generic[V]):
    """What the session holds of a page.

    Args:
        query: the address that was written for the view.
        replaced: addresses that were written before, and when each was replaced.
    """

    view: V
    query: Mapping[str, str]
    replaced: tuple[tuple[Mapping[str, str], float], ...] = ()

    def asked_by(self, query: Mapping[str, str]) -> bool:
        """Whether an address is a visitor's, and no echo of one of ours.

        A browser that draws itself again sends the address that it had: for an instant that is the
        one before a change.
        """
        now = time.monotonic()
        echoes = [known for known, at in self.replaced if now - at < ECHO_SECONDS]
        return bool(query) and query != self.query and query not in echoes


@dataclass(frozen=True)
class Page(Generic[V]):
    """A page's state.

    Args:
        key: where the session keeps it; keys of the page's widgets begin with it.
        read: the view of a URL and what in it was not understood; no view where there is nothing
            to show.
        anew: whether a view is read again from its own URL in every run, since what it names may
            be gone.
    """

    key: str
    read: Read[V]
    anew: bool = False

    def open(self, opened: Callable[[], None] = lambda: None) -> V:
        """The view that the address asks for, or the one that is kept.

        Args:
            opened: called when it is another than the kept one, as an address has asked for it.
        """
        view = self.find(opened)
        assert view is not None
        return view

    def find(self, opened: Callable[[], None] = lambda: None) -> V | None:
        """The same; None where there is nothing to show."""
        kept = self._kept
        query = stage.without(st.query_params.to_dict())
        asked = kept is None or kept.asked_by(query)
        if kept is not None and not asked:
            if not self.anew:
                self.put(kept.view)
                return kept.view
            query = kept.view.to_query()
        view, problems = self.read(query)
        st.session_state[self._problems] = problems
        if view is not None:
            self.put(view)
        if asked:
            st.session_state[self._first] = query
            opened()
        return view

    def start_over(self) -> None:
        """Show again what the address asked for that brought the reader here."""
        view, _ = self.read(st.session_state.get(self._first, {}))
        if view is not None:
            self.put(view)

    @property
    def view(self) -> V:
        """The view as it is now; there is one once the page was opened."""
        kept = self._kept
        assert kept is not None
        return kept.view

    def put(self, view: V) -> None:
        """Show this from now on."""
        query, kept, now = view.to_query(), self._kept, time.monotonic()
        said = {**query, **stage.own()}
        if st.query_params.to_dict() != said:
            st.query_params.from_dict(said)
        replaced = kept.replaced if kept is not None else ()
        if kept is not None and kept.query != query:
            replaced = (*replaced, (kept.query, now))
        recent = tuple((old, at) for old, at in replaced if now - at < ECHO_SECONDS)
        st.session_state[self.key] = _Kept(view, query, recent)

    def change(self, **changes: Any) -> None:
        """Change fields of what is shown. Raises InputError as the view does."""
        self.put(cast(V, replace(cast(Any, self.view), **changes)))

    def take(self, name: str, make: Callable[[Any], Any] = lambda value: value) -> None:
        """Change the field of a widget's name to what the widget shows, through ``make``."""

        @self.once_drawn
        def taken() -> None:
            self.change(**{name: make(st.session_state[f"{self.key}_{name}"])})

        taken()

    def once_drawn(self, callback: Callable[P, None]) -> Callable[P, None]:
        """A callback of a control, which does nothing while the browser has yet to draw them.

        One that has just come, and in which something was clicked at once, sends all controls as
        empty, as if a reader had emptied them. A budget, which cannot be emptied, tells.
        """

        @functools.wraps(callback)
        def called(*args: P.args, **kwargs: P.kwargs) -> None:
            if st.session_state.get(f"{self.key}_preset", "") is not None:
                callback(*args, **kwargs)

        return called

    def widget(self, name: str, value: object) -> str:
        """Let a widget show a value of the view; its key."""
        key = f"{self.key}_{name}"
        show(key, value)
        return key

    def entered(self, name: str, usual: Any, *, may_be_all: bool = False) -> Any:
        """What a reader has entered into a widget."""
        return entered(f"{self.key}_{name}", usual, may_be_all=may_be_all)

    def problems(self) -> None:
        """Say once what in the address was not understood."""
        for line in st.session_state.pop(self._problems, []):
            words.tell("warning", line, icon=":material/link_off:")

    def over(self) -> None:
        """Where a page stands without menus: the way back to where its link led, on one key."""
        if stage.now().bare and stage.shows("buttons"):
            st.button(
                "Start over",
                icon=":material/restart_alt:",
                key=f"{self.key}_over",
                shortcut="Home",
                on_click=self.start_over,
            )

    def refuse(self, name: str, error: InputError) -> None:
        """Keep what is wrong with what was entered into a widget, for ``refused``."""
        st.session_state[f"{self.key}: {name} is wrong"] = str(error)

    def refused(self, name: str) -> None:
        """Say once what is wrong with what was entered into a widget."""
        if line := st.session_state.pop(f"{self.key}: {name} is wrong", None):
            words.tell("error", line)

    @property
    def _kept(self) -> _Kept[V] | None:
        kept: _Kept[V] | None = st.session_state.get(self.key)
        return kept

    @property
    def _first(self) -> str:
        return f"{self.key}: first"

    @property
    def _problems(self) -> str:
        return f"{self.key}: problems"


def show(key: str, value: object) -> None:
    """Let the widget with this key show a value.

    One that it shows already is not set again: that would undo what a reader changes meanwhile.
    """
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def entered(key: str, usual: Any, *, may_be_all: bool = False) -> Any:
    """What a reader has entered into a widget: the usual value where a number was taken out.

    Args:
        may_be_all: whether an empty field means something by itself: all there are.
    """
    value = st.session_state[key]
    return usual if value is None and not may_be_all else value
