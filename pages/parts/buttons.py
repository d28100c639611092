"""What can be done about the runs that a page asks for: run, stop, resume, pin."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import streamlit as st

from mtl_core import InputError
from mtl_core.runs import Store
from mtl_core.runs.known import Known
from mtl_core.runs.queue.launch import tend
from mtl_core.views.question import MOST_PINS

__all__ = ["draw", "duration", "pin_button"]


class _Shown(Protocol):
    @property
    def config(self) -> Any: ...

    @property
    def answer(self) -> "Known[Any, Any]": ...


class _Answers(Protocol):
    @property
    def store(self) -> Store | None: ...

    def estimate_seconds(self, config: Any) -> float | None: ...


def draw(
    asked: Sequence[_Shown],
    answers: _Answers,
    *,
    ready: Callable[[], bool],
    noun: tuple[str, str],
    beside: Callable[[], None],
    started: Callable[[], None] = lambda: None,
) -> None:
    """A row of buttons, and in words how things stand.

    Args:
        asked: the runs that the page's question asks for.
        ready: whether the data is here; asked only where something is to be run.
        noun: what a seed of a run is, and what happens to it: ``networks``, ``to train``.
        beside: draws further buttons.
        started: called when runs were put into the queue.
    """
    active = [one for one in asked if one.answer.active]
    missing = [one for one in asked if one.answer.state in ("new", "failed", "cancelled")]
    can = ready() if missing else True
    with st.container(horizontal=True, vertical_alignment="center"):
        if active:
            if st.button("Stop", icon=":material/stop:", type="primary"):
                for one in active:
                    answers.store.cancel(one.config.id)  # type: ignore[union-attr]
                st.rerun()
        elif missing:
            resume = any(one.answer.state != "new" for one in missing)
            if st.button(
                "Resume" if resume else "Run",
                icon=":material/play_arrow:",
                type="primary",
                disabled=not (can and answers.store),
            ):
                _run(missing, answers, started)
        else:
            st.button("Run", icon=":material/check:", disabled=True)
        beside()
        st.caption(_status(asked, missing, answers, noun))


def pin_button(
    run: str, pins: Sequence[str], *, new: bool, what: str, ask: Callable[[tuple[str, ...]], None]
) -> None:
    """Pins a run, or takes its pin away.

    Args:
        new: whether there is nothing of it yet.
        what: is kept on the chart.
        ask: takes the pins that there are then.
    """
    if run in pins:
        st.button(
            "Unpin",
            icon=":material/keep_off:",
            on_click=lambda: ask(tuple(pin for pin in pins if pin != run)),
        )
    else:
        st.button(
            "Pin",
            icon=":material/keep:",
            disabled=new or len(pins) >= MOST_PINS,
            help=f"Keeps {what} on the chart while you ask for others.",
            on_click=lambda: ask((*pins, run)),
        )


def duration(seconds: float) -> str:
    """As people say it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _run(missing: Sequence[_Shown], answers: _Answers, started: Callable[[], None]) -> None:
    assert answers.store is not None
    try:
        for one in missing:
            answers.store.submit(one.config)
    except InputError as error:
        st.error(str(error))
        return
    tend(answers.store)
    started()
    st.rerun()


def _status(
    asked: Sequence[_Shown], missing: Sequence[_Shown], answers: _Answers, noun: tuple[str, str]
) -> str:
    if any(one.answer.active for one in asked):
        return "It goes on when this tab is closed; the link brings you back to it."
    name, verb = noun
    runs = "fronts" if name == "fronts" else "runs"
    if missing:
        estimates = [answers.estimate_seconds(one.config) for one in missing]
        seeds = sum(len(one.config.seeds) for one in missing)
        about = f", about {duration(sum(filter(None, estimates)))}" if all(estimates) else ""
        return f"{seeds} {name} {verb}{about}"
    origins = {one.answer.origin for one in asked}
    words = {"shipped": "ship with the app", "imported": "were imported"}
    where = words.get(origins.pop(), "") if len(origins) == 1 else ""
    return f"Answered already: these {runs} {where or 'are in the store'}."
