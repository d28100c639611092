"""Pareto front: many trade-offs at once, how soon each method finds them, live."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import streamlit as st

from mtl_core import InputError
from mtl_core.pareto import preferences, problems, scalarizations, transfer
from mtl_core.pareto.config import BASELINES, METHODS, OPTIMIZERS, STARTS
from mtl_core.pareto.problems import Budget
from mtl_core.runs.library.answers import Answers, other_data
from mtl_core.runs.queue.launch import tend
from mtl_core.views import pareto_panel
from mtl_core.views.codec import parse_seeds
from mtl_core.views.figures import pareto_front as drawn
from mtl_core.views.pareto_front import (
    MAY_BE_ALL,
    METHOD_TITLES,
    FrontQuestion,
    focus,
    label,
    offered,
    parse_preferences,
)
from mtl_core.views.pareto_panel import FrontPanel
from mtl_core.views.turns import in_turn
from pages.parts import buttons, common, own_files, pareto_figures, player, stage, state, toy, words

PAGE = state.Page("pf", FrontQuestion.from_query)
TICK_SECONDS = 1.0
_HELD_PICK = "pf: held pick"  # in the session; the address follows when the slider is let go


@common.errors_in_words
def main() -> None:
    question = PAGE.open(player.reset)
    st.session_state.pop(_HELD_PICK, None)
    answers = common.answers()
    # The worker starts with the page, so that Run does not wait for it.
    if answers.store is not None and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    if stage.shows("controls"):
        with st.sidebar:
            _controls(question, answers)
    stage.title(drawn.TITLE)
    PAGE.problems()
    if not (problems.get(question.problem).objectives or question.problem_options):
        st.info(
            "Choose your data, or add some, and name two or more of its columns to predict.",
            icon=":material/table_view:",
        )
        return
    try:
        panel = pareto_panel.build(question, answers)
        ready = _data_ready(panel)
    except InputError as error:
        words.tell("error", str(error), icon=":material/error:")
        return
    if stage.shows("buttons"):
        _actions(panel, answers, ready)
    active = any(one.answer.active for one in panel.shown)
    every = player.interval(active, TICK_SECONDS)
    st.session_state.pf_built = panel  # for the fragment's first run; later ones look again
    st.fragment(_answer, run_every=every)(answers, every, question.look)
    if stage.shows("looks") and question.look == "lesson":
        toy.lesson()
    elif stage.shows("looks") and question.look == "toy":
        toy.toy()
    if not stage.shows("notes"):
        return
    pareto_figures.words(panel)
    # Last, since all canvases are made for it, once.
    for one in panel.shown:
        if one.answer.state == "done" and (line := other_data(one.answer)):
            own = "; delete it in the Library to solve anew" if one.answer.records else ""
            words.tell("warning", f"{one.label}: {line}{own}", icon=":material/difference:")


# The question: changed by callbacks only.


def _controls(question: FrontQuestion, answers: Answers) -> None:
    st.subheader("The question")
    _problem(question)
    _methods(question)
    _budget(question)
    _hyperparameters(question)
    _transfer_options(question)
    _pinned(question, answers)
    if answers.store:
        worker = answers.store.worker()
        words.tell("caption", f"Worker: {worker['title']}" if worker else "Starting the worker …")


def _problem(question: FrontQuestion) -> None:
    problem = problems.get(question.problem)
    st.selectbox(
        "Problem",
        problems.names(),
        key=PAGE.widget("problem", question.problem),
        format_func=lambda name: problems.get(name).title,
        on_change=_ask_problem,
        help=problem.description,
    )
    for name, about in (problem.options or {}).items():
        value = question.problem_options.get(name, "")
        if name == "file":
            own_files.chosen(value, _ask_file)
            continue
        st.text_input(
            name.capitalize(),
            key=PAGE.widget(f"option_{name}", value),
            help=f"{about[0].upper()}{about[1:]}.",
            on_change=_ask_problem_option,
            args=(name,),
        )


def _methods(question: FrontQuestion) -> None:
    st.multiselect(
        "Methods, compared on the same seeds",
        list(offered(question.problem)),
        key=PAGE.widget("methods", list(question.methods)),
        format_func=METHOD_TITLES.__getitem__,
        on_change=_ask_methods,
        help=_METHOD_HELP,
    )
    st.selectbox(
        "Look closely at",
        question.methods,
        key=PAGE.widget("focus", question.focus),
        format_func=METHOD_TITLES.__getitem__,
        on_change=PAGE.take,
        args=("focus",),
        help="The method whose solutions you pick, and whose transfers are drawn.",
    )
    names = scalarizations.names()
    _field(
        question,
        "scalarization",
        partial(st.selectbox, "Scalarization", names, help=_SCALARIZATION_HELP),
    )


def _budget(question: FrontQuestion) -> None:
    st.segmented_control(
        "Budget",
        list(problems.get(question.problem).presets),
        key=PAGE.widget("preset", question.preset),
        required=True,
        on_change=_ask_preset,
        help="quick: seconds on two CPU cores. standard: what ships with the app. paper: long.",
    )
    st.text_input(
        "Seeds",
        key=PAGE.widget("seeds", " ".join(map(str, question.seeds))),
        on_change=_ask_seeds,
        help="One front each; a seed varies starts and batches, never the preferences.",
    )
    PAGE.refused("seeds")


def _hyperparameters(question: FrontQuestion) -> None:
    changed = len(set(question.overrides) - {"scalarization"})
    with st.expander(f"Hyperparameters ({changed} changed)" if changed else "Hyperparameters"):
        _number(question, "solutions", "Solutions", step=1)
        _preferences(question)
        _field(question, "optimizer", partial(st.selectbox, "Optimizer", OPTIMIZERS))
        if problems.get(question.problem).own_starts:
            _field(question, "start", partial(st.selectbox, "Starts", STARTS, help=_START_HELP))
        _number(question, "lr", "Learning rate", format="%.5g", step=1e-2)
        _number(question, "iterations", "Iterations", step=50)
        if problems.get(question.problem).fingerprint is not None:
            _number(question, "batch_size", "Batch size", step=50)
            _number(question, "samples", "Training examples", step=50)
            _number(question, "held_out", "Test examples", step=50)
        _number(question, "frames", "Saved frames", step=5)
        if question.overrides.get("scalarization") == "smooth_tchebycheff":
            _number(question, "smoothing", "Smoothing μ", format="%.4g", step=0.01)


def _preferences(question: FrontQuestion) -> None:
    _field(
        question,
        "layout",
        partial(
            st.selectbox,
            "Preferences",
            preferences.LAYOUTS[:2],
            help="lattice: evenly over the simplex. random: drawn from it.",
        ),
    )
    rows = question.overrides.get("preferences") or ()
    st.text_area(
        "Or your own preferences",
        key=PAGE.widget("rows", "\n".join(" ".join(map(repr, row)) for row in rows)),
        placeholder="a line each, such as\n0.3 0.7",
        on_change=_ask_preferences,
        help="A weight for each objective, which sum to 1.",
    )
    PAGE.refused("rows")


def _number(question: FrontQuestion, name: str, title: str, **more: Any) -> None:
    place = "all" if name in MAY_BE_ALL else "as in the budget"
    _field(question, name, partial(st.number_input, title, value=None, placeholder=place, **more))


def _field(question: FrontQuestion, name: str, draw: Callable[..., Any]) -> None:
    """One of ParetoConfig's fields; it counts as changed when it differs from the usual value."""
    key = PAGE.widget(name, question.overrides.get(name, question.usual(name)))
    draw(key=key, on_change=_ask_field, args=(name,))


@PAGE.once_drawn
def _ask_field(name: str) -> None:
    value = PAGE.entered(name, PAGE.view.usual(name), may_be_all=name in MAY_BE_ALL)
    PAGE.put(PAGE.view.with_override(name, value))


def _transfer_options(question: FrontQuestion) -> None:
    """The options of the method that is looked at."""
    method = question.focus
    if method in BASELINES or not transfer.rule(method).options:
        return
    changed = question.options.get(method, {})
    with st.expander(f"{METHOD_TITLES[method]} transfer"):
        for option in transfer.rule(method).options:
            now = changed.get(option.name, option.default)
            whole = isinstance(option.default, int)
            st.number_input(
                option.name.capitalize(),
                value=None,
                key=PAGE.widget(f"{method}_{option.name}", now),
                step=1 if whole else None,
                format=None if whole else "%.4g",
                help=f"{option.about[0].upper()}{option.about[1:]}",
                on_change=_ask_option,
                args=(method, option.name, option.default),
            )
        PAGE.refused("option")


@PAGE.once_drawn
def _ask_problem() -> None:
    before, name = PAGE.view, st.session_state.pf_problem
    methods = FrontQuestion.default(name).methods
    if before.methods != FrontQuestion.default(before.problem).methods:
        kept = tuple(one for one in before.methods if one in offered(name))
        methods = kept or ("independent",)
    PAGE.put(
        replace(
            FrontQuestion.default(name),
            methods=methods,
            focus=before.focus if before.focus in methods else focus(methods),
            look=before.look,
            pins=before.pins,
        )
    )
    player.reset()


@PAGE.once_drawn
def _ask_preset() -> None:
    """Take another budget; what does not belong to a budget stays."""
    budget = {one.name for one in fields(Budget)}
    kept = {name: value for name, value in PAGE.view.overrides.items() if name not in budget}
    PAGE.change(preset=st.session_state.pf_preset, overrides=kept)


@PAGE.once_drawn
def _ask_problem_option(name: str) -> None:
    text = st.session_state[f"pf_option_{name}"].strip()
    kept = {known: value for known, value in PAGE.view.problem_options.items() if known != name}
    PAGE.change(problem_options={**kept, name: text} if text else kept)


@PAGE.once_drawn
def _ask_file(name: str) -> None:
    kept = {known: value for known, value in PAGE.view.problem_options.items() if known != "file"}
    if usual := own_files.targets(name):
        kept["targets"] = usual  # columns of another file mean nothing here
    PAGE.change(problem_options={**kept, "file": name} if name else kept)


@PAGE.once_drawn
def _ask_methods() -> None:
    chosen = st.session_state.pf_methods
    methods = tuple(name for name in METHODS if name in chosen) or ("independent",)
    now = PAGE.view.focus
    PAGE.change(methods=methods, focus=now if now in methods else focus(methods))


@PAGE.once_drawn
def _ask_seeds() -> None:
    try:
        seeds = parse_seeds(st.session_state.pf_seeds)
    except InputError as error:
        PAGE.refuse("seeds", error)
        return
    now = PAGE.view.seed
    PAGE.change(seeds=seeds, seed=now if now in seeds else seeds[0])


@PAGE.once_drawn
def _ask_preferences() -> None:
    try:
        rows = parse_preferences(st.session_state.pf_rows)
    except InputError as error:
        PAGE.refuse("rows", error)
        return
    PAGE.put(PAGE.view.with_override("preferences", rows))


@PAGE.once_drawn
def _ask_option(method: str, name: str, usual: Any) -> None:
    value = PAGE.entered(f"{method}_{name}", usual)
    try:
        checked = transfer.checked(method, {name: value})[name]
    except InputError as error:
        PAGE.refuse("option", error)
        return
    PAGE.put(PAGE.view.with_option(method, name, checked))


def _pinned(question: FrontQuestion, answers: Answers) -> None:
    names = {}
    for run in question.pins:
        answer = answers.find_id(run)
        names[run] = f"{answer.config.problem} {label(answer.config)}" if answer else f"gone {run}"
    if names:
        st.multiselect(
            "Pinned fronts",
            list(names),
            key=PAGE.widget("pins", list(names)),
            format_func=lambda run: names[run],
            on_change=PAGE.take,
            args=("pins", tuple),
        )


# What can be done about it.


def _data_ready(panel: FrontPanel) -> bool:
    """Whether the problem's data is here; if not, what to do. Raises InputError where it is bad."""
    found = panel.problem.data_state()
    if found.state != "found":
        if any(one.answer.state != "done" for one in panel.asked):
            common.data_missing(found, panel.problem.sources, TICK_SECONDS)
        return False
    if panel.problem.options and panel.focus.answer.state == "new":
        # A user's own file: it is read before Run is there.
        panel.focus.answer.kind.fingerprint(panel.focus.config)
    return True


def _actions(panel: FrontPanel, answers: Answers, ready: bool) -> None:
    def beside() -> None:
        if stage.now().bare:
            PAGE.over()
            return
        buttons.add_seeds_button(panel.question.seeds, lambda seeds: PAGE.change(seeds=seeds))
        buttons.pin_button(
            panel.focus.config.id,
            panel.question.pins,
            new=not (panel.focus.answer.done or panel.focus.answer.records),
            what="the front that you look closely at",
            ask=lambda pins: PAGE.change(pins=pins),
        )
        pareto_figures.take_away(panel, answers)

    buttons.draw(
        panel.asked,
        answers,
        ready=lambda: ready,
        noun=("front", "to solve for", "fronts"),
        beside=beside,
        started=player.reset,
    )


@PAGE.once_drawn
def _pick(place: int, held: bool) -> None:
    if held:
        st.session_state[_HELD_PICK] = place
        return
    st.session_state.pop(_HELD_PICK, None)
    PAGE.change(pick=place)


# The answer, which grows while its fronts are solved for, and is played.


@in_turn
@common.errors_in_words
def _answer(answers: Answers, every: float | None, look: str) -> None:
    # Not as an argument: a click in here runs this part alone again, with the arguments of before.
    question = replace(PAGE.view, pick=st.session_state.get(_HELD_PICK, PAGE.view.pick))
    if answers.store is not None and every is not None and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    panel: FrontPanel | None = st.session_state.pop("pf_built", None)
    if panel is None:
        panel = pareto_panel.build(question, answers)
    active = any(one.answer.active for one in panel.shown)
    if player.interval(active, TICK_SECONDS) != every or question.look != look:
        st.rerun()
    pareto_figures.progress(panel)
    shown = stage.shows("buttons")  # which the player is one of
    step = player.draw(panel.steps, active) if shown else next(iter(panel.steps[-1:]), None)
    if step is None:
        st.info(
            "Press Run to solve for these fronts." if not active else "The first front is coming …",
            icon=":material/hourglass_empty:",
        )
    else:
        if stage.shows("cards"):
            pareto_figures.cards(panel, step)
        live = player.live(active) or not shown
        pareto_figures.fronts(panel, active=active, live=live, page=PAGE)
        if stage.shows("cards"):
            pareto_figures.picked(panel, step, _pick)
    if stage.shows("looks"):
        pareto_figures.views(panel, step, PAGE, answers)
    if not stage.shows("notes"):
        return
    for answer in panel.elsewhere:
        what = f"{answer.config.problem} {label(answer.config)}"
        words.tell("caption", f"Not drawn: {what}, another problem.")
    # All methods learn from the same examples, so that each is said once.
    for note in dict.fromkeys(note for one in panel.shown for note in answers.notes(one.answer)):
        words.tell("caption", f"Note: {note}.")


_METHOD_HELP = "\n\n".join(
    [
        *(
            f"**{transfer.rule(name).title}**: {transfer.rule(name).about}"
            for name in transfer.names()
        ),
        "**MGDA**: the shortest convex combination of the gradients, each from a start of its own; "
        "preferences are not used.",
        "**Pareto MTL**: MGDA inside a region of the losses for each preference.",
    ]
)
_START_HELP = (
    "own: a random start for each solution of a seed. shared: one for all of them, so that there "
    "is nothing to average. MGDA always has starts of its own, since it knows no preference."
)
_SCALARIZATION_HELP = (
    "How a preference λ makes one loss of several: weighted_sum, Σ λₖ Lₖ; tchebycheff, the largest "
    "of all λₖ Lₖ, which also finds what lies in a bulge of the front; smooth_tchebycheff, a soft "
    "maximum of them. MGDA and Pareto MTL do not use it."
)


main()
