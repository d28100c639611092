"""What can be done about the runs that a page asks for: run, stop, resume, add seeds, pin."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import streamlit as st

from mtl_core import InputError
from mtl_core.checks import MOST_SEEDS, with_seeds
from mtl_core.runs import Answers, Store
from mtl_core.runs.library.answers import Answer
from mtl_core.runs.queue.launch import tend
from mtl_core.views.asking import asked_size, doubt, endable
from mtl_core.views.codec import MOST_PINS
from mtl_core.views.phrases import capitalised, counted
from pages.parts import visitors, words

__all__ = [
    "add_seeds_button",
    "draw",
    "duration",
    "go_on",
    "more_seeds",
    "pin_button",
    "run_on_arrival",
    "stop_button",
]

_asking = threading.Lock()
_RUN_NOW, _DOUBT, _DOUBTED = "buttons_run_now", "buttons_doubt", "buttons_doubted"


class Curve(Protocol):
    """A curve of a page, whichever kind its runs are of."""

    @property
    def answer(self) -> Answer: ...


def draw(
    asked: Sequence[Curve],
    answers: Answers,
    *,
    ready: Callable[[], bool],
    noun: tuple[str, str, str],
    beside: Callable[[], None],
    started: Callable[[], None] = lambda: None,
    stopped: Callable[[], None] = lambda: None,
) -> None:
    """A row of buttons, and in words how things stand.

    Args:
        asked: the curves that the page's question asks for.
        ready: whether the data is here; asked only where something is to be run.
        noun: what a run is called, what happens to it, and what it is called once it is there:
            ``network``, ``to train``, ``runs``.
        beside: draws further buttons.
        started: called when runs were put into the queue.
        stopped: called when runs were stopped.
    """
    active = [curve.answer for curve in asked if curve.answer.active]
    missing = [curve.answer for curve in asked if curve.answer.missing]
    can = ready() if missing else True
    if st.session_state.pop(_RUN_NOW, False) and missing and can:
        _run(missing, answers, started)
    with st.container(horizontal=True, vertical_alignment="center"):
        if active and (_able(active) or not missing):
            stop_button(active, answers, type="primary", stopped=stopped)
        elif missing:
            _run_button(missing, answers, can, started)
        else:
            st.button("Run", icon=":material/check:", disabled=True)
        beside()
        st.caption(words.escaped(_status(asked, missing, answers, noun)))
    if line := st.session_state.pop(_DOUBT, None):
        words.tell("warning", f"{line}.", icon=":material/weight:")


def run_on_arrival() -> None:
    """Has the question that is opened next run at once."""
    st.session_state[_RUN_NOW] = True


def stop_button(
    active: Sequence[Answer],
    answers: Answers,
    *,
    type: Literal["primary", "secondary"],
    stopped: Callable[[], None] = lambda: None,
) -> None:
    """Stops those runs under way that this visitor may end, and says so to ``stopped``."""
    able = _able(active)
    if st.button(
        "Stop",
        icon=":material/stop:",
        type=type,
        disabled=not able,
        help=None if able else "Another visitor started these runs.",
    ):
        for answer, seeds in able:
            answers.store.cancel(answer.config.id, seeds)  # type: ignore[union-attr]
        stopped()
        st.rerun()


def go_on(configs: Sequence[Any], answers: Answers) -> str | None:
    """Puts further runs of what a visitor has started into the queue, within the same bounds.

    Returns:
        None, or in a line why they were not.
    """
    if answers.store is None:
        return "there is no store to put them into"
    who = visitors.visitor()
    try:
        with _asking:
            if found := doubt(configs, answers, who, visitors.access()):
                return found.line
            answers.store.submit(*configs, visitor=who)
    except InputError as error:
        return str(error)
    return tend(answers.store)


def _able(active: Sequence[Answer]) -> list[tuple[Answer, list[int]]]:
    """The answers under way with the seeds that this visitor may stop."""
    access, who = visitors.access(), visitors.visitor()
    able = ((answer, endable(answer, who, access)) for answer in active)
    return [(answer, seeds) for answer, seeds in able if seeds]


def add_seeds_button(seeds: Sequence[int], ask: Callable[[tuple[int, ...]], None]) -> None:
    """Asks for as many seeds again, and runs the new ones at once."""
    more = more_seeds(seeds)

    def add() -> None:
        st.session_state[_RUN_NOW] = True
        ask((*seeds, *more))

    new = f"seed {more[0]}" if len(more) == 1 else f"seeds {' '.join(map(str, more))}"
    st.button(
        "Add seeds",
        icon=":material/library_add:",
        disabled=not more,
        help=f"Runs {new} too; what is known of the others stays. Whoever adds seeds until a "
        "verdict comes finds a difference in 12 % of the cases without one, not in 5 %."
        if more
        else f"{MOST_SEEDS} seeds are the most.",
        on_click=add,
    )


def more_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """The smallest seeds that are not asked for yet, as many as are."""
    count = min(len(seeds), MOST_SEEDS - len(seeds))
    free = (seed for seed in range(2 * MOST_SEEDS) if seed not in seeds)
    return tuple(seed for seed, _ in zip(free, range(count), strict=False))


def pin_button(
    run: str, pins: Sequence[str], *, new: bool, what: str, ask: Callable[[tuple[str, ...]], None]
) -> None:
    """Pins a curve, or takes its pin away.

    Args:
        run: the experiment's id.
        new: whether none of its runs has begun yet.
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


def _run_button(
    missing: Sequence[Answer], answers: Answers, can: bool, started: Callable[[], None]
) -> None:
    resume = any(set(answer.states().values()) & {"failed", "cancelled"} for answer in missing)
    insist = st.session_state.get(_DOUBTED) == _asked_for(missing)
    if st.button(
        "Run anyway" if insist else "Resume" if resume else "Run",
        icon=":material/play_arrow:",
        type="primary",
        disabled=not (can and answers.store),
        help=f"About {asked_size(_configs(missing), answers).words}.",
    ):
        _run(missing, answers, started, insist=insist)


def _configs(missing: Sequence[Answer]) -> list[Any]:
    return [with_seeds(answer.config, answer.missing) for answer in missing]


def _asked_for(missing: Sequence[Answer]) -> list[tuple[str, tuple[int, ...]]]:
    return [(answer.config.id, tuple(answer.missing)) for answer in missing]


def _run(
    missing: Sequence[Answer],
    answers: Answers,
    started: Callable[[], None],
    *,
    insist: bool = False,
) -> None:
    store: Store | None = answers.store
    if store is None:
        return
    configs, who = _configs(missing), visitors.visitor()
    st.session_state.pop(_DOUBTED, None)
    try:
        with _asking:  # so that no two tabs see the same room in the queue
            found = doubt(configs, answers, who, visitors.access())
            refused = found is not None and (found.final or not insist)
            if not refused:
                store.submit(*configs, visitor=who)
    except InputError as error:
        words.tell("error", str(error))
        return
    if found is not None and refused:
        if not found.final:
            st.session_state[_DOUBTED] = _asked_for(missing)
        st.session_state[_DOUBT] = capitalised(found.line)
        st.rerun()
    tend(store)
    started()
    st.rerun()


def _status(
    asked: Sequence[Curve],
    missing: Sequence[Answer],
    answers: Answers,
    noun: tuple[str, str, str],
) -> str:
    if any(curve.answer.active for curve in asked):
        return "It goes on when this tab is closed; the link brings you back to it."
    name, verb, known_as = noun
    if missing:
        runs = sum(len(answer.missing) for answer in missing)
        estimate = answers.estimate_seconds(
            *(with_seeds(answer.config, answer.missing) for answer in missing)
        )
        about = f", about {duration(estimate)}" if estimate else ""
        done = sum(len(curve.answer.done) for curve in asked)
        known = f"; {done} known already" if done else ""
        return f"{counted(runs, name)} {verb}{about}{known}"
    origins = {origin for curve in asked for origin in curve.answer.origins}
    ways = {"shipped": "ship with the app", "imported": "were imported"}
    where = ways.get(origins.pop(), "") if len(origins) == 1 else ""
    return f"Answered already: these {known_as} {where or 'are in the store'}."
