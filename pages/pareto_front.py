"""Pareto front: many trade-offs at once, how soon each method finds them, live."""

from dataclasses import fields, replace
from typing import Any

import streamlit as st

from mtl_core import InputError
from mtl_core.pareto import preferences, problems, scalarizations, transfer
from mtl_core.pareto.config import BASELINES, METHODS, OPTIMIZERS
from mtl_core.pareto.problems import Budget
from mtl_core.runs.library.answers import Answers, other_data
from mtl_core.runs.queue.launch import tend
from mtl_core.views import front_panel
from mtl_core.views.front_panel import FrontPanel
from mtl_core.views.front_question import (
    MAY_BE_ALL,
    METHOD_TITLES,
    FrontQuestion,
    focus,
    label,
    parse_preferences,
)
from mtl_core.views.question import parse_seeds
from pages.parts import buttons, common, front_figures, player, toy

TICK_SECONDS = 1.0
TITLE = "Which trade-offs can one run reach, and how soon?"


@common.errors_in_words
def main() -> None:
    question = _question()
    answers = common.answers()
    # The worker starts with the page, so that Run does not wait for it.
    if answers.store is not None and (problem := tend(answers.store)):
        st.warning(problem, icon=":material/engineering:")
    with st.sidebar:
        _controls(question, answers)
    st.title(TITLE)
    for problem in st.session_state.pop("pf_problems", []):
        st.warning(common.escaped(problem), icon=":material/link_off:")
    try:
        panel = front_panel.build(question, answers)
        ready = _data_ready(panel)
    except InputError as error:
        st.error(str(error), icon=":material/error:")
        return
    _actions(panel, answers, ready)
    active = any(one.answer.active for one in panel.shown)
    every = player.interval(active, TICK_SECONDS)
    st.session_state.pf_built = panel  # for the fragment's first run; later ones look again
    st.fragment(_answer, run_every=every)(answers, every, question.look)
    if question.look == "lesson":
        toy.lesson()
    elif question.look == "toy":
        toy.toy()
    front_figures.words(panel)
    # Last, since all canvases are made for it, once.
    for one in panel.shown:
        if one.answer.state == "done" and (line := other_data(one.answer)):
            own = "; delete it in the Library to solve anew" if one.answer.records else ""
            said = common.escaped(f"{one.label}: {line}{own}")
            st.warning(said, icon=":material/difference:")


# The question: kept in the session, written to the URL, changed by callbacks only.


def _question() -> FrontQuestion:
    query = st.query_params.to_dict()
    if "pf" not in st.session_state or (query and query != st.session_state.get("pf_query")):
        if query:
            st.session_state.pf, st.session_state.pf_problems = FrontQuestion.from_query(query)
        else:
            st.session_state.pf = FrontQuestion.default()
        player.reset()
    question: FrontQuestion = st.session_state.pf
    common.to_url(question.to_query(), "pf_query")
    return question


def _put(question: FrontQuestion) -> None:
    st.session_state.pf = question
    common.to_url(question.to_query(), "pf_query")


def _ask(**changes: Any) -> None:
    _put(replace(st.session_state.pf, **changes))


def _widget(name: str, value: object) -> None:
    """Widgets show the question; it is the only state there is."""
    common.show(f"pf_{name}", value)


def _controls(question: FrontQuestion, answers: Answers) -> None:
    problem = problems.get(question.problem)
    st.subheader("The question")
    _widget("problem", question.problem)
    st.selectbox(
        "Problem",
        problems.names(),
        key="pf_problem",
        format_func=lambda name: problems.get(name).title,
        on_change=_ask_problem,
        help=problem.description,
    )
    for name, about in (problem.options or {}).items():
        _widget(f"option_{name}", question.problem_options.get(name, ""))
        st.text_input(
            name.capitalize(),
            key=f"pf_option_{name}",
            help=f"{about[0].upper()}{about[1:]}.",
            on_change=_ask_problem_option,
            args=(name,),
        )
    _widget("methods", list(question.methods))
    st.multiselect(
        "Methods, compared on the same seeds",
        list(METHODS),
        key="pf_methods",
        format_func=METHOD_TITLES.__getitem__,
        on_change=_ask_methods,
        help=_METHOD_HELP,
    )
    _widget("focus", question.focus)
    st.selectbox(
        "Look closely at",
        question.methods,
        key="pf_focus",
        format_func=METHOD_TITLES.__getitem__,
        on_change=lambda: _ask(focus=st.session_state.pf_focus),
        help="The method whose solutions you pick, and whose transfers are drawn.",
    )
    _override(question, "scalarization", st.selectbox, "Scalarization", scalarizations.names(),
              help=_SCALARIZATION_HELP)  # fmt: skip
    _widget("preset", question.preset)
    st.segmented_control(
        "Budget",
        list(problem.presets),
        key="pf_preset",
        required=True,
        on_change=_ask_preset,
        help="quick: seconds on two CPU cores. standard: what ships with the app. paper: long.",
    )
    _widget("seeds", " ".join(map(str, question.seeds)))
    st.text_input(
        "Seeds",
        key="pf_seeds",
        on_change=_ask_seeds,
        help="One front each; a seed varies starts and batches, never the preferences.",
    )
    if wrong := st.session_state.pop("pf_seeds_problem", None):
        st.error(wrong)
    _hyperparameters(question)
    _transfer_options(question)
    _pinned(question, answers)
    if answers.store:
        worker = answers.store.worker()
        st.caption(f"Worker: {worker['title']}" if worker else "Starting the worker …")


def _hyperparameters(question: FrontQuestion) -> None:
    changed = len(set(question.overrides) - {"scalarization"})
    with st.expander(f"Hyperparameters ({changed} changed)" if changed else "Hyperparameters"):
        _override(question, "solutions", st.number_input, "Solutions", step=1)
        _override(question, "layout", st.selectbox, "Preferences", preferences.LAYOUTS[:2],
                  help="lattice: evenly over the simplex. random: drawn from it.")  # fmt: skip
        rows = question.overrides.get("preferences") or ()
        _widget("rows", "\n".join(" ".join(map(repr, row)) for row in rows))
        st.text_area(
            "Or your own preferences",
            key="pf_rows",
            placeholder="a line each, such as\n0.3 0.7",
            on_change=_ask_preferences,
            help="A weight for each objective, which sum to 1.",
        )
        if wrong := st.session_state.pop("pf_rows_problem", None):
            st.error(wrong)
        _override(question, "optimizer", st.selectbox, "Optimizer", OPTIMIZERS)
        _override(
            question, "lr", st.number_input, "Learning rate", value=None, format="%.5g", step=1e-2
        )
        _override(question, "iterations", st.number_input, "Iterations", value=None, step=50)
        if problems.get(question.problem).fingerprint is not None:
            for name, title in (
                ("batch_size", "Batch size"),
                ("samples", "Training examples"),
                ("held_out", "Test examples"),
            ):
                _override(question, name, st.number_input, title, value=None, step=50,
                          placeholder="all")  # fmt: skip
        _override(question, "frames", st.number_input, "Saved frames", value=None, step=5)
        if question.overrides.get("scalarization") == "smooth_tchebycheff":
            _override(
                question, "smoothing", st.number_input, "Smoothing μ", value=None, format="%.4g",
                step=0.01,
            )  # fmt: skip


def _override(
    question: FrontQuestion, name: str, widget: Any, title: str, *words: Any, **more: Any
) -> None:
    """One of ParetoConfig's fields; it counts as changed when it differs from the usual value."""
    _widget(name, question.overrides.get(name, question.usual(name)))
    widget(
        title,
        *words,
        key=f"pf_{name}",
        on_change=_ask_override,
        args=(name,),
        **more,
    )


def _ask_override(name: str) -> None:
    question, value = st.session_state.pf, st.session_state[f"pf_{name}"]
    if value is None and name not in MAY_BE_ALL:
        value = question.usual(name)  # a field that was emptied
    _put(question.with_override(name, value))


def _transfer_options(question: FrontQuestion) -> None:
    """The options of the method that is looked at."""
    method = question.focus
    if method in BASELINES or not transfer.rule(method).options:
        return
    changed = question.options.get(method, {})
    with st.expander(f"{METHOD_TITLES[method]} transfer"):
        for option in transfer.rule(method).options:
            key = f"{method}_{option.name}"
            _widget(key, changed.get(option.name, option.default))
            st.number_input(
                option.name.capitalize(),
                value=None,
                key=f"pf_{key}",
                step=1 if isinstance(option.default, int) else None,
                format=None if isinstance(option.default, int) else "%.4g",
                help=f"{option.about[0].upper()}{option.about[1:]}",
                on_change=_ask_option,
                args=(method, option.name),
            )
        if wrong := st.session_state.pop("pf_option_problem", None):
            st.error(wrong)


def _ask_problem() -> None:
    before: FrontQuestion = st.session_state.pf
    found = FrontQuestion.default(st.session_state.pf_problem)
    kept = {"methods": before.methods, "focus": before.focus, "look": before.look}
    _put(replace(found, **kept, pins=before.pins))
    player.reset()


def _ask_preset() -> None:
    """Another budget; what is no part of it stays."""
    budget = {one.name for one in fields(Budget)}
    kept = {k: v for k, v in st.session_state.pf.overrides.items() if k not in budget}
    _ask(preset=st.session_state.pf_preset, overrides=kept)


def _ask_problem_option(name: str) -> None:
    text = st.session_state[f"pf_option_{name}"].strip()
    before: FrontQuestion = st.session_state.pf
    others = {known: kept for known, kept in before.problem_options.items() if known != name}
    _ask(problem_options={**others, name: text} if text else others)


def _ask_methods() -> None:
    chosen = st.session_state.pf_methods
    methods = tuple(name for name in METHODS if name in chosen) or ("independent",)
    now = st.session_state.pf.focus
    _ask(methods=methods, focus=now if now in methods else focus(methods))


def _ask_seeds() -> None:
    try:
        seeds = parse_seeds(st.session_state.pf_seeds)
    except InputError as error:
        st.session_state.pf_seeds_problem = str(error)
        return
    now = st.session_state.pf.seed
    _ask(seeds=seeds, seed=now if now in seeds else seeds[0])


def _ask_preferences() -> None:
    try:
        rows = parse_preferences(st.session_state.pf_rows)
    except InputError as error:
        st.session_state.pf_rows_problem = str(error)
        return
    _put(st.session_state.pf.with_override("preferences", rows))


def _ask_option(method: str, name: str) -> None:
    value = st.session_state[f"pf_{method}_{name}"]
    try:
        checked = transfer.checked(method, {} if value is None else {name: value})[name]
    except InputError as error:
        st.session_state.pf_option_problem = str(error)
        return
    _put(st.session_state.pf.with_option(method, name, checked))


def _pinned(question: FrontQuestion, answers: Answers) -> None:
    names = {}
    for run in question.pins:
        answer = answers.find_id(run)
        names[run] = f"{answer.config.problem} {label(answer.config)}" if answer else f"gone {run}"
    if names:
        _widget("pins", list(names))
        st.multiselect(
            "Pinned fronts",
            list(names),
            key="pf_pins",
            format_func=lambda run: names[run],
            on_change=lambda: _ask(pins=tuple(st.session_state.pf_pins)),
        )


# What can be done about it.


def _data_ready(panel: FrontPanel) -> bool:
    """Whether the problem's data is here; if not, what to do. Raises InputError where it is bad."""
    state = panel.problem.data_state()
    if state.state != "found":
        if any(one.answer.state != "done" for one in panel.asked):
            st.warning(state.message, icon=":material/database_off:")
            for source in panel.problem.sources:
                common.download(source, TICK_SECONDS)
        return False
    if panel.problem.options and panel.focus.answer.state == "new":
        # A user's own file: it is read before Run is there.
        panel.focus.answer.kind.fingerprint(panel.focus.config)
    return True


def _actions(panel: FrontPanel, answers: Answers, ready: bool) -> None:
    def beside() -> None:
        buttons.add_seeds_button(panel.question.seeds, lambda seeds: _ask(seeds=seeds))
        buttons.pin_button(
            panel.focus.config.id,
            panel.question.pins,
            new=not (panel.focus.answer.done or panel.focus.answer.records),
            what="the front that you look closely at",
            ask=lambda pins: _ask(pins=pins),
        )
        front_figures.export(panel, answers)

    buttons.draw(
        panel.asked,
        answers,
        ready=lambda: ready,
        noun=("fronts", "to solve for"),
        beside=beside,
        started=player.reset,
    )


# The answer, which grows while its fronts are solved for, and is played.


@common.errors_in_words
def _answer(answers: Answers, every: float | None, look: str) -> None:
    # Not as an argument: a click in here runs this part alone again, with the arguments of before.
    question: FrontQuestion = st.session_state.pf
    if answers.store is not None and every is not None and (problem := tend(answers.store)):
        st.warning(problem, icon=":material/engineering:")
    panel: FrontPanel | None = st.session_state.pop("pf_built", None)
    if panel is None:
        panel = front_panel.build(question, answers)
    active = any(one.answer.active for one in panel.shown)
    if player.interval(active, TICK_SECONDS) != every or question.look != look:
        st.rerun()
    front_figures.progress(panel)
    step = player.draw(panel.steps, active)
    if step is None:
        st.info(
            "Press Run to solve for these fronts." if not active else "The first front is coming …",
            icon=":material/hourglass_empty:",
        )
    else:
        front_figures.cards(panel, step)
        front_figures.fronts(panel, step, active, _ask)
        front_figures.picked(panel, step, _ask)
    front_figures.views(panel, step, _ask)
    for answer in panel.elsewhere:
        st.caption(f"Not drawn: {answer.config.problem} {label(answer.config)}, another problem.")


_METHOD_HELP = "\n\n".join(
    [
        *(
            f"**{transfer.rule(name).title}**: {transfer.rule(name).about}"
            for name in transfer.names()
        ),
        "**MGDA**: the shortest convex combination of the gradients, from a start of its own each; "
        "no preference is heard.",
        "**Pareto MTL**: MGDA inside a region of the losses for each preference.",
    ]
)
_SCALARIZATION_HELP = (
    "How a preference λ makes one loss of several: weighted_sum Σ λₖ Lₖ; tchebycheff max λₖ Lₖ; "
    "smooth_tchebycheff, a soft maximum. MGDA and Pareto MTL ask nothing of it."
)


main()
