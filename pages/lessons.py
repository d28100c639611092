"""Lessons: a question, a prediction, a run, and the guess against what came out."""

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from mtl_core import factors, settings
from mtl_core.charts import guesses_alt, guesses_chart
from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.launch import tend
from mtl_core.views import lesson_files, lesson_outcomes, panel
from mtl_core.views.figures.what_if import curves
from mtl_core.views.lesson_files import (
    UNCLEAR,
    Broken,
    Choice,
    Lesson,
    Sketch,
    Slider,
    Step,
)
from mtl_core.views.lesson_outcomes import Outcome
from mtl_core.views.lessons import Place
from mtl_core.views.panel import Panel
from mtl_core.views.phrases import counted
from mtl_core.views.turns import in_turn
from pages.parts import buttons, common, figures, lesson_class, sketch, stage, state, words

PAGE = state.Page("les", Place.from_query, anew=True)

TICK_SECONDS = 2.0  # drawing takes its part of the cores that train
COLUMNS = 3  # of the list of lessons
SEEN = "les_seen"  # the places of this tab by lesson, to come back to


@common.errors_in_words
def main() -> None:
    place = PAGE.open()
    answers = common.answers()
    lesson = place.found
    if isinstance(lesson, Lesson):
        st.session_state.setdefault(SEEN, {})[lesson.name] = place
        _step(place, lesson, answers)
        return
    st.title("Guess first, then watch it train")
    PAGE.problems()
    PAGE.over()
    lesson_class.line(PAGE)
    if isinstance(lesson, Broken):
        words.tell("error", lesson.problem, icon=":material/edit_document:")
    _list()


# The list of lessons.


def _list() -> None:
    found = lesson_files.lessons()
    good = [one for one in found if isinstance(one, Lesson)]
    st.markdown(
        "Each lesson asks a few questions about networks that learn several tasks at once. You say "
        "what you expect, the networks train on this machine, or have done so before you came, and "
        "you see what came of it."
    )
    for start in range(0, len(good), COLUMNS):
        for column, lesson in zip(st.columns(COLUMNS), good[start:], strict=False):
            with column.container(border=True, height="stretch"):
                _entry(lesson)
    if not good:
        words.tell("info", f"There is no lesson in the folder {lesson_files.folder().name}.")
    lesson_class.controls(PAGE)
    for one in found:
        if isinstance(one, Broken):
            words.tell("error", one.problem, icon=":material/edit_document:")


def _entry(lesson: Lesson) -> None:
    st.subheader(words.escaped(lesson.title))
    st.markdown(lesson.summary)
    seen = _seen(lesson)
    done = f" · {len(seen.shown)} done" if seen.shown else ""
    st.caption(f"{counted(len(lesson.steps), 'step')} · about {lesson.minutes} minutes{done}")
    st.button(
        "Go on" if seen.guesses else "Begin",
        key=f"les_open_{lesson.name}",
        icon=":material/play_lesson:",
        type="primary",
        on_click=_open,
        args=(seen,),
    )


def _seen(lesson: Lesson) -> Place:
    """Where this tab was in a lesson."""
    seen: dict[str, Place] = st.session_state.get(SEEN, {})
    return seen.get(lesson.name, Place(lesson.name))


def _open(place: Place) -> None:
    PAGE.put(replace(place, code=PAGE.view.code))


def _leave() -> None:
    PAGE.put(Place(code=PAGE.view.code))


def _go(step: int) -> None:
    PAGE.change(step=step)


# One step of a lesson: the question on the left, what comes out on the right.


def _step(place: Place, lesson: Lesson, answers: Answers) -> None:
    step = lesson.steps[place.step - 1]
    # The worker starts with the page, so that Run does not wait for it.
    if answers.store is not None and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    _head(place, lesson)
    st.title(words.escaped(step.title))
    PAGE.problems()
    PAGE.over()
    shown = lesson_outcomes.panel(step, answers)
    revealed = place.step in place.shown
    active = revealed and any(one.answer.active for one in shown.shown)
    found = lesson_outcomes.outcome(step, shown, answers) if revealed else None
    left, right = st.columns([5, 6], gap="large")
    with left:
        st.markdown(step.question)
        _prediction(place, step, shown, found)
        _actions(place, step, shown, answers)
        if found is not None:
            _result(place, step, found)
        _next(place, lesson, found is not None, answers)
    with right:
        lesson_class.histogram(PAGE, step, found)
        if revealed:
            st.session_state.les_built = shown  # for the fragment's first run
            st.fragment(_race, run_every=TICK_SECONDS if active else None)(answers, active)
        else:
            _alone(shown, answers)
    lesson_class.controls(PAGE)


def _head(place: Place, lesson: Lesson) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("All lessons", icon=":material/arrow_back:", type="tertiary", on_click=_leave)
        st.segmented_control(
            f"Steps of {lesson.title}",
            list(range(1, len(lesson.steps) + 1)),
            key=PAGE.widget("step", place.step),
            required=True,
            format_func=lambda step: f"{step} ✓" if step in place.shown else str(step),
            on_change=PAGE.take,
            args=("step",),
            label_visibility="collapsed",
        )
        st.caption(words.escaped(lesson.title))
        if not stage.now().bare:
            with st.popover("Share", icon=":material/share:"):
                stage.share(Place(lesson.name).to_query(), lesson.title, stage.LESSON, ())
    lesson_class.line(PAGE)


def _prediction(place: Place, step: Step, shown: Panel, found: Outcome | None) -> None:
    """The widget that takes the guess; once the outcome is shown it is no guess any more."""
    fixed, guess, number = place.step in place.shown, place.guess(place.step), place.step
    if isinstance(step.guess, Choice):
        st.radio(
            "Your guess",
            list(step.guess.options),
            key=PAGE.widget(_key(place), guess),
            format_func=step.guess.options.__getitem__,
            index=None,
            disabled=fixed,
            on_change=_guess,
            args=(number, _key(place)),
        )
    elif isinstance(step.guess, Slider):
        middle = (step.guess.low + step.guess.high) / 2
        unit, _ = lesson_outcomes.axis(step)
        st.slider(
            "Your guess, in percentage points" if unit != 1 else "Your guess",
            step.guess.low,
            step.guess.high,
            key=PAGE.widget(_key(place), middle if guess is None else step.guess.parse(guess)),
            step=step.guess.step,
            format="%+g",
            disabled=fixed,
            on_change=_guess,
            args=(number, _key(place)),
        )
        if guess is None and not fixed:
            st.caption("Move the slider: where you leave it is your guess.")
    else:
        _sketch(place, step.guess, shown, found)
    PAGE.refused("guess")


def _sketch(place: Place, asked: Sketch, shown: Panel, found: Outcome | None) -> None:
    base, last, guess = shown.baseline, shown.shown[-1], place.guess(place.step)
    key = f"{PAGE.key}_{_key(place)}"
    sketch.sketch(
        key,
        points=asked.points,
        heights=None if guess is None else asked.parse(guess),
        alone=lesson_outcomes.course(shown, base) if base.answer.state == "done" else [],
        came=lesson_outcomes.course(shown, last) if found else [],
        colour=curves(shown)[-1].colour,
        fixed=place.step in place.shown,
        label="Accuracy on new examples over the training; your guess is drawn in it",
        on_change=lambda: _take(place.step, sketch.drawn(key)),
    )
    st.caption(
        "Draw the curve that you expect from left to right, or tab to its points and use the arrow "
        "keys. Blue: the target alone. Dotted: your guess."
        + (" The third curve came out." if found else "")
    )


def _key(place: Place) -> str:
    return f"guess_{place.lesson}_{place.step}"


def _guess(step: int, key: str) -> None:
    value = st.session_state[f"{PAGE.key}_{key}"]
    _take(step, f"{value:.6g}" if isinstance(value, float) else value)


def _take(number: int, text: str | None) -> None:
    """Keep a guess; limits of widgets are enforced in the browser alone."""
    lesson = PAGE.view.found
    if text is None or not isinstance(lesson, Lesson) or number in PAGE.view.shown:
        return
    try:
        lesson.steps[number - 1].guess.parse(text)
    except InputError as error:
        PAGE.refuse("guess", error)
        return
    PAGE.put(PAGE.view.guessed(number, text))
    lesson_class.send(PAGE, number)


def _actions(place: Place, step: Step, shown: Panel, answers: Answers) -> None:
    """Run, where something is to be trained; else a way to what is known already."""
    revealed = place.step in place.shown
    missing = any(one.answer.missing for one in shown.shown)
    active = any(one.answer.active for one in shown.shown)
    if not revealed and place.guess(place.step) is None and not lesson_class.presents(PAGE):
        st.button("Run", icon=":material/play_arrow:", disabled=True, help="Guess first.")
    elif missing or (revealed and active):
        buttons.draw(
            shown.shown,
            answers,
            ready=lambda: common.data_ready(step.configs[0].setting, TICK_SECONDS),
            noun=("network", "to train", "runs"),
            beside=lambda: None,
            started=_reveal,
        )
    elif not revealed:
        st.button(
            "Watch it train" if active else "Show what came out",
            icon=":material/play_arrow:",
            type="primary",
            help=None if active else "These networks are trained already.",
            on_click=_reveal,
        )


def _reveal() -> None:
    PAGE.put(PAGE.view.revealed(PAGE.view.step))


def _result(place: Place, step: Step, found: Outcome) -> None:
    """The guess against the outcome, and what is learned of it."""
    guess = place.guess(place.step)
    with st.container(border=True):
        if guess is not None:
            _marked(step, guess, found)
        st.markdown(found.said)
        _number_line(place, step, guess, found)
        if step.expect and step.expect != found.key:
            expected = "cannot tell" if step.expect == UNCLEAR else f"come out {step.expect}"
            st.caption(
                f"The lesson was written for runs that {expected}; on this machine they came out "
                "otherwise, so what it says next may not hold here."
            )
        st.markdown(f"**What this shows.** {step.learned}")


def _marked(step: Step, guess: str, found: Outcome) -> None:
    mark = lesson_outcomes.mark(step, guess, found)
    colour, icon = {
        True: ("green", ":material/check_circle:"),
        False: ("orange", ":material/cancel:"),
        None: ("gray", ":material/do_not_disturb_on:"),
    }[mark.right]
    st.markdown(f":{colour}[{icon}] **{words.escaped(mark.said)}**")


def _number_line(place: Place, step: Step, guess: str | None, found: Outcome) -> None:
    if not isinstance(step.guess, Slider) or found.comparison is None:
        return
    unit, title = lesson_outcomes.axis(step)
    own = None if guess is None else step.guess.parse(guess)
    came = (found.comparison.low / unit, found.comparison.high / unit)
    figures.draw(
        guesses_chart(
            [],
            low=step.guess.low,
            high=step.guess.high,
            title=title,
            own=own,
            came=came,
            name=f"les_line_{place.step}",
            height=36,
        ),
        key=f"les_line_{place.lesson}_{place.step}",
        alt=guesses_alt([], title=title, own=own, came=came),
    )
    st.caption("Diamond: your guess. Blue: the 95 % interval that came out.")


def _next(place: Place, lesson: Lesson, done: bool, answers: Answers) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if place.step < len(lesson.steps):
            st.button(
                "Next question",
                icon=":material/arrow_forward:",
                type="primary" if done else "secondary",
                on_click=_go,
                args=(place.step + 1,),
            )
        elif place.shown:
            st.button("Start over", icon=":material/restart_alt:", on_click=_start_over)
        if done:
            question = lesson.steps[place.step - 1].runs[-1]
            st.page_link(
                "pages/what_if.py",
                label="Change something about it",
                icon=":material/experiment:",
                query_params=question.to_query(),
            )
    if place.step == len(lesson.steps) and done:
        marks = _marks(place, lesson, answers)
        words.tell("info", lesson_outcomes.score(marks), icon=":material/school:")


def _start_over() -> None:
    PAGE.put(PAGE.view.again())


def _marks(place: Place, lesson: Lesson, answers: Answers) -> Sequence[lesson_outcomes.Mark]:
    """Of all steps that were guessed at and are answered."""
    found = []
    for number in place.shown:
        step, guess = lesson.steps[number - 1], place.guess(number)
        shown = lesson_outcomes.panel(step, answers)
        came = lesson_outcomes.outcome(step, shown, answers)
        if guess is not None and came is not None:
            found.append(lesson_outcomes.mark(step, guess, came))
    return found


# What comes out, which grows while its runs are carried out.


def _alone(shown: Panel, answers: Answers) -> None:
    """What is known before the guess: the single task, where it was trained already."""
    base = shown.baseline
    if base.answer.state != "done":
        st.caption("The curves show here once you have guessed and pressed Run.")
        return
    alone = panel.build([base.config], [], answers)
    reached = alone.reached(alone.baseline)
    measure = common.panel_measure(alone)
    common.hero(alone, curves(alone), per_seed=False, key=_hero_key("alone"))
    st.caption(
        words.escaped(
            f"Alone, {base.config.target} reaches {measure.value(sum(reached) / len(reached))} on "
            "new examples. The other curves show once you have guessed."
            if reached
            else f"{base.config.target}, alone."
        )
    )


def _hero_key(what: str) -> str:
    return f"les_{what}_{PAGE.view.lesson}_{PAGE.view.step}"


@in_turn
@common.errors_in_words
def _race(answers: Answers, was_active: bool) -> None:
    lesson = PAGE.view.found
    if not isinstance(lesson, Lesson):
        st.rerun()
        return
    step = lesson.steps[PAGE.view.step - 1]
    if answers.store is not None and was_active and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    shown: Panel | None = st.session_state.pop("les_built", None)
    if shown is None:
        shown = lesson_outcomes.panel(step, answers)
    if was_active and not any(one.answer.active for one in shown.shown):
        st.rerun()
    _progress(shown)
    styled = curves(shown)
    common.hero(shown, styled, per_seed=False, key=_hero_key("hero"))
    seeds = counted(len(shown.baseline.config.seeds), "run")
    st.caption(
        f"Each curve is a network while it trains, from left to right: the mean of {seeds}, with "
        "bands of ±2 standard deviations. At one place on the horizontal axis all fit their "
        "training examples equally well; higher is better on new ones."
    )
    words.tell("caption", _names(shown))
    if step.measure in factors.names():
        common.factor_chart(
            shown, styled, step.measure, x="loss", key=_hero_key("factor"), place=st.container()
        )
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(common.GLOSSARY)


def _names(shown: Panel) -> str:
    """What the names of the tasks stand for."""
    setting = settings.get(shown.baseline.config.setting)
    tasks = dict.fromkeys(name for one in shown.shown for name in one.config.tasks)
    titles = ((name, setting.task(name).title) for name in tasks)
    return "; ".join(f"{name}: {title[:1].lower()}{title[1:]}" for name, title in titles) + "."


def _progress(shown: Panel) -> None:
    """One line for all runs, and why any of them failed."""
    going = [one.answer for one in shown.shown]
    if any(answer.active for answer in going):
        share = sum(answer.share for answer in going) / len(going)
        st.progress(share, text=f"Training: {share:.0%}")
    for one in shown.shown:
        for reason in one.answer.errors:
            words.tell("error", f"{one.label}: {reason}", icon=":material/error:")


main()
