"""A class: many browsers guess at one lesson, and who presents it sees how they guess."""

import time
from collections import Counter
from urllib.parse import urlencode, urlsplit

import streamlit as st

from mtl_core.charts import answers_alt, answers_chart, guesses_alt, guesses_chart
from mtl_core.classes import LASTS_HOURS, Class, Classes, written
from mtl_core.errors import InputError
from mtl_core.runs.queue.file import default_path
from mtl_core.views import lesson_outcomes
from mtl_core.views.lesson_files import Choice, Sketch, Slider, Step
from mtl_core.views.lesson_outcomes import Outcome
from mtl_core.views.lessons import Place
from mtl_core.views.phrases import capitalised, counted
from mtl_core.views.turns import in_turn
from pages.parts import common, figures, state, visitors, words

__all__ = ["controls", "histogram", "line", "presents", "send"]

TICK_SECONDS = 2.0
WRONG_SECONDS = 60.0
_LOCAL = ("localhost", "127.0.0.1", "::1")
_WRONG, _ASKED = "les_wrong_code", "les_code"

Page = state.Page[Place]


def line(page: Page) -> None:
    """Says in one line whether this browser is in a class; for who presents, how others join."""
    code = page.view.code
    page.refused("class")
    if not code:
        return
    found, problem = _found(code)
    if found is None:
        with st.container(horizontal=True, vertical_alignment="center"):
            words.tell("warning", f"{capitalised(problem)}.", icon=":material/group_off:")
            st.button("Leave the class", on_click=_leave, args=(page,))
    elif found.presents:
        _presenting(page, found)
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(f"Class {written(found.code)}", icon=":material/groups:", color="blue")
            st.caption("Your guesses go to whoever presents, without a name.")
            st.button("Leave", type="tertiary", on_click=_leave, args=(page,))


def controls(page: Page) -> None:
    """Ways into a class: by its code, or by opening one."""
    if page.view.code:
        return
    with st.expander("With a class", icon=":material/groups:"):
        join, own = st.columns(2, gap="large")
        with join:
            st.text_input(
                "Code of your class",
                key=_ASKED,
                max_chars=24,
                placeholder="such as BCDF GHJK",
                on_change=_join,
                args=(page,),
            )
            st.caption("Your guesses then go to whoever presents, without a name.")
        with own:
            st.button("Open a class", icon=":material/co_present:", on_click=_open, args=(page,))
            st.caption(
                "Others join by a link or a code. You see how they guess, not who, and the class "
                f"ends by itself after {LASTS_HOURS} hours, its guesses with it."
            )


def presents(page: Page) -> bool:
    """Whether this browser presents a class."""
    found = _found(page.view.code)[0] if page.view.code else None
    return found is not None and found.presents


def send(page: Page, step: int) -> None:
    """Tell the class of a guess that was made; what is wrong is said on the page."""
    place = page.view
    guess = place.guess(step)
    if not place.code or guess is None or _found(place.code)[0] is None:
        return
    try:
        _classes().guess(place.code, visitors.visitor(), _name(place, step), guess)
    except InputError as error:
        page.refuse("class", error)


def histogram(page: Page, step: Step, came: Outcome | None) -> None:
    """How the class guesses at a step, for who presents; it follows as guesses come in."""
    if presents(page):
        st.fragment(_histogram, run_every=TICK_SECONDS)(page, step, came)


@in_turn
@common.errors_in_words
def _histogram(page: Page, step: Step, came: Outcome | None) -> None:
    place, visitor = page.view, visitors.visitor()
    guesses = _classes().guesses(place.code, visitor, _name(place, place.step))
    browsers = _classes().browsers(place.code, visitor)
    with st.container(border=True):
        taking_part = f"{browsers} browser{' takes' if browsers == 1 else 's take'} part"
        st.markdown(f"**The class**: {counted(len(guesses), 'answer')} here; {taking_part}")
        _drawn(_readable(step, guesses), step, came)


def _readable(step: Step, guesses: list[str]) -> list[str]:
    """Without those that the lesson does not know, as its file may have changed meanwhile."""
    found = []
    for guess in guesses:
        try:
            step.guess.parse(guess)
        except InputError:
            continue
        found.append(guess)
    return found


def _drawn(guesses: list[str], step: Step, came: Outcome | None) -> None:
    if isinstance(step.guess, Choice):
        counts = Counter(guesses)
        bars = {said: counts[key] for key, said in step.guess.options.items()}
        said = step.guess.options.get(came.key) if came else None
        chart = answers_chart(bars, said, name="les_class")
        figures.draw(chart, key="les_class_answers", alt=answers_alt(bars, said))
        return
    if isinstance(step.guess, Sketch):
        low, high, unit, title = 0.0, 100.0, 0.01, "end of the curve, in percent"
        values = [float(step.guess.parse(guess)[-1]) for guess in guesses]
    else:
        assert isinstance(step.guess, Slider)
        low, high = step.guess.low, step.guess.high
        unit, title = lesson_outcomes.axis(step)
        values = [step.guess.parse(guess) for guess in guesses]
    found = came.comparison if came and isinstance(step.guess, Slider) else None
    interval = (found.low / unit, found.high / unit) if found else None
    figures.draw(
        guesses_chart(values, low=low, high=high, title=title, came=interval, name="les_class"),
        key="les_class_numbers",
        alt=guesses_alt(values, title=title, came=interval),
    )


def _presenting(page: Page, found: Class) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge("You present this class", icon=":material/co_present:", color="blue")
            st.markdown(f"Code **{written(found.code)}**, on the page *Lessons*, or this link:")
            st.button("End the class", type="tertiary", on_click=_end, args=(page,))
        st.code(_link(page.view, found), language=None, wrap_lines=True)
        if urlsplit(str(st.context.url or "")).hostname in _LOCAL and not visitors.shared():
            st.caption(
                "This address leads to this machine alone. For other machines start the app by "
                "`make serve`, and open it by this machine's name."
            )


def _link(place: Place, found: Class) -> str:
    """What others open: the lesson without one's own guesses."""
    query = Place(place.lesson, code=found.code).to_query()
    return f"{st.context.url or ''}?{urlencode(query)}"


def _classes() -> Classes:
    return Classes(default_path().with_name("classes.db"))


def _name(place: Place, step: int) -> str:
    return f"{place.lesson}/{step}"


def _found(code: str) -> tuple[Class | None, str]:
    """The class, or why there is none: a wrong code is tried once a minute, not at every touch."""
    said, problem, at = st.session_state.get(_WRONG, ("", "", 0.0))
    if said == code and time.monotonic() - at < WRONG_SECONDS:
        return None, problem
    try:
        return _classes().find(code, visitors.visitor()), ""
    except InputError as error:
        st.session_state[_WRONG] = code, str(error), time.monotonic()
        return None, str(error)


# Callbacks.


def _join(page: Page) -> None:
    if code := st.session_state[_ASKED].strip():
        st.session_state.pop(_WRONG, None)
        page.change(code=code)
        # What was guessed before counts; what was guessed at and shown is no guess any more.
        for step in range(1, len(page.view.guesses) + 1):
            if step not in page.view.shown:
                send(page, step)


def _open(page: Page) -> None:
    try:
        page.change(code=_classes().open(visitors.visitor()).code)
    except InputError as error:
        page.refuse("class", error)


def _leave(page: Page) -> None:
    page.change(code="")


def _end(page: Page) -> None:
    try:
        _classes().end(page.view.code, visitors.visitor())
    except InputError as error:
        page.refuse("class", error)
    page.change(code="")
