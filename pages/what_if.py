"""What if …? A target, its auxiliaries, and what they do to it, live."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mtl_core import InputError, factors, settings
from mtl_core.analysis import Comparison, LossMatchedGap, Onset
from mtl_core.charts import Curve, over_epochs_alt, over_epochs_chart
from mtl_core.config import BASE_OPTIMIZERS
from mtl_core.runs import Record
from mtl_core.runs.library.answers import Answer, Answers, other_data
from mtl_core.runs.queue.launch import tend
from mtl_core.views import comparisons, measures, panel
from mtl_core.views.codec import parse_seeds
from mtl_core.views.figures.what_if import curves, figure_on
from mtl_core.views.live_axes import live_axes
from mtl_core.views.measures import Measure
from mtl_core.views.panel import Panel, Shown
from mtl_core.views.spreadsheets import csv
from mtl_core.views.takeaways import comparison_code
from mtl_core.views.turns import in_turn
from mtl_core.views.what_if import LOOKS, MAY_BE_ALL, Question, label
from pages.parts import (
    add_data,
    buttons,
    common,
    exports,
    figures,
    hyperparameters,
    stage,
    state,
    still,
    what_if_looks,
    what_if_optimizers,
    words,
)

PAGE = state.Page("wi", Question.from_query)

TICK_SECONDS = 1.0
AROUND_SECONDS = 4.0  # between two drawings of all but the hero and its progress, while runs go on
_BUILT = "wi_built"
MEANS_SOMETHING = 0.1  # the share of a run from which on its time left is told
MOST_NAMED = 3  # curves that the progress line names
MOST_TOGGLES = 6  # auxiliaries beyond which they are chosen from a list
RELATEDNESS = (
    "The cosine is that of the true functions, measured on the auxiliary's training data. Each "
    "task has a head of its own, which can undo a sign: what counts for transfer is how far a "
    "cosine is from 0."
)
LOOK_TITLES = {
    "factors": "Factors",
    "gradients": "Gradients",
    "optimizers": "Optimizers",
    "correlation": "Correlation",
    "epochs": "Over epochs",
}


@common.errors_in_words
def main() -> None:
    question = PAGE.open()
    answers = common.answers()
    # The worker starts with the page, so that Run does not wait for it.
    if answers.store is not None and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    if stage.shows("controls"):
        with st.sidebar:
            _controls(question, answers)
    stage.title(question.title)
    PAGE.problems()
    try:
        configs = question.configs
    except InputError as error:
        words.tell("error", str(error), icon=":material/error:")
        return
    shown = panel.build(configs, _pins(question, answers), answers)
    if stage.shows("buttons"):
        _actions(question, shown, answers)
    active = any(one.answer.active for one in shown.shown)
    still.hold_still(active)
    st.session_state[_BUILT] = shown  # for the fragments' first run; later ones look again
    cards = st.empty()
    st.fragment(_answer, run_every=TICK_SECONDS if active else None)(answers, active)
    # Apart, since whatever a fragment draws is drawn anew by the browser at each of its ticks.
    st.fragment(_around, run_every=AROUND_SECONDS if active else None)(answers, cards)
    st.session_state.pop(_BUILT, None)


# The question: changed by callbacks only.


def _controls(question: Question, answers: Answers) -> None:
    setting = settings.get(question.setting)
    st.subheader("The question")
    st.selectbox(
        "Setting",
        add_data.settings_offered(question.setting),
        key=PAGE.widget("setting", question.setting),
        format_func=lambda name: settings.get(name).title,
        on_change=_ask_setting,
        help=setting.description,
    )
    add_data.button(_ask_setting)
    st.selectbox(
        "Target task",
        [task.name for task in setting.tasks],
        key=PAGE.widget("target", question.target),
        on_change=_ask_target,
        help="The task whose generalization is watched.",
    )
    _auxiliaries(question, setting)
    what_if_optimizers.controls(question, PAGE)
    _budget(question, setting)
    _hyperparameters(question, setting)
    _pinned(question, answers)
    worker = answers.store.worker() if answers.store else None
    words.tell("caption", f"Trains on: {worker['title']}" if worker else "Starting the worker …")


def _budget(question: Question, setting: settings.Setting) -> None:
    st.segmented_control(
        "Budget",
        list(setting.presets),
        key=PAGE.widget("preset", question.preset),
        required=True,
        on_change=_ask_preset,
        help="quick: seconds on two CPU cores. standard: a coffee. paper: the paper's sizes, "
        "for a GPU.",
    )
    st.text_input(
        "Seeds",
        key=PAGE.widget("seeds", " ".join(map(str, question.seeds))),
        on_change=_ask_seeds,
        help="One network each; a seed varies initialisation and batch order, never the split.",
    )
    PAGE.refused("seeds")


def _auxiliaries(question: Question, setting: settings.Setting) -> None:
    others = {task.name: task.title for task in setting.tasks if task.name != question.target}
    title = "Auxiliary tasks, trained along with it"
    if len(others) > MOST_TOGGLES:
        st.multiselect(
            title,
            list(others),
            key=PAGE.widget("auxiliaries", list(question.auxiliaries)),
            placeholder="none: the target alone",
            on_change=_ask_chosen,
            help=f"{len(others)} to choose from.",
        )
    else:
        st.caption(title)
        for name, about in others.items():
            st.toggle(
                name,
                key=PAGE.widget(f"aux_{name}", name in question.auxiliaries),
                on_change=_toggle_auxiliary,
                args=(name,),
                help=about,
            )
    if setting.relatedness is not None and question.auxiliaries:
        known = [
            (name, setting.relatedness(name, question.target)) for name in question.auxiliaries
        ]
        lines = [
            f"- {name}: cosine {one.cosine:.2f} (measured {one.measured:.2f}), "
            f"{one.label_noise:.0%} of labels wrong, {one.label_agreement:.0%} as for the target"
            for name, one in known
        ]
        st.caption("\n".join(lines), help=RELATEDNESS)


def _hyperparameters(question: Question, setting: settings.Setting) -> None:
    preset = setting.preset(question.preset)
    changed = len(question.overrides)
    title = f"Hyperparameters ({changed} changed)" if changed else "Hyperparameters"
    with st.expander(title):
        _field(
            question, "base_optimizer", "adam", partial(st.selectbox, "Optimizer", BASE_OPTIMIZERS)
        )
        for name, title, more in (
            ("lr", "Learning rate", {"format": "%.5g", "step": 1e-3}),
            ("batch_size", "Batch size per task", {"step": 1}),
            ("epochs", "Epochs of the target", {"step": 1}),
            ("samples", "Training examples per task", {"step": 50}),
            ("held_out", "Held-out examples", {"step": 50}),
            ("width", "Encoder width", {"step": 1}),
            ("factor_points", "Factor measurements", {"step": 1}),
        ):
            place = "all" if name in MAY_BE_ALL else "as in the budget"
            number = partial(st.number_input, title, value=None, placeholder=place, **more)
            _field(question, name, getattr(preset, name), number)
        asked = question.overrides.get("sharpness_rho", factors.RHO)
        rhos = sorted({*factors.RHOS, asked})  # a URL may ask for any
        rho = partial(
            st.selectbox,
            "Sharpness's ρ",
            rhos,
            format_func="{:g}".format,
            help="How far each parameter may move, relative to itself; the paper took 0.001.",
        )
        _field(question, "sharpness_rho", factors.RHO, rho)


def _field(question: Question, name: str, usual: Any, draw: Callable[..., Any]) -> None:
    """One of RunConfig's fields; it counts as changed when it differs from the preset's value."""
    key = PAGE.widget(name, question.overrides.get(name, usual))
    draw(key=key, on_change=_ask_field, args=(name, usual))


@PAGE.once_drawn
def _ask_field(name: str, usual: Any) -> None:
    found = PAGE.entered(name, usual, may_be_all=name in MAY_BE_ALL)
    others = {known: kept for known, kept in PAGE.view.overrides.items() if known != name}
    PAGE.change(overrides=others if found == usual else others | {name: found})


# What stays when another setting is chosen.
_KEPT = ("pins", "per_seed", "look", "x", "against", "optimizers", "options")


@PAGE.once_drawn
def _ask_setting(name: str = "") -> None:
    kept: dict[str, Any] = {name: getattr(PAGE.view, name) for name in _KEPT}
    PAGE.put(replace(Question.default(name or st.session_state.wi_setting), **kept))


@PAGE.once_drawn
def _ask_target() -> None:
    target = st.session_state.wi_target
    kept = (name for name in PAGE.view.auxiliaries if name != target)
    PAGE.change(target=target, auxiliaries=tuple(kept))


@PAGE.once_drawn
def _ask_preset() -> None:
    PAGE.change(preset=st.session_state.wi_preset, overrides={})


@PAGE.once_drawn
def _ask_chosen() -> None:
    _take_auxiliaries(st.session_state.wi_auxiliaries)


@PAGE.once_drawn
def _toggle_auxiliary(task: str) -> None:
    _take_auxiliaries({*PAGE.view.auxiliaries} ^ {task})


def _take_auxiliaries(chosen: Collection[str]) -> None:
    order = [one.name for one in settings.get(PAGE.view.setting).tasks]
    PAGE.change(auxiliaries=tuple(name for name in order if name in chosen))


@PAGE.once_drawn
def _ask_seeds() -> None:
    try:
        PAGE.take("seeds", parse_seeds)
    except InputError as error:
        PAGE.refuse("seeds", error)


def _pins(question: Question, answers: Answers) -> list[Answer]:
    found = []
    for run in question.pins:
        answer = answers.find_id(run)
        if answer is None:
            st.warning(f"The pinned run {run} is not in this store; it is not shown.")
        else:
            found.append(answer)
    return found


def _pinned(question: Question, answers: Answers) -> None:
    names = {}
    for run in question.pins:
        answer = answers.find_id(run)
        names[run] = (
            f"{answer.config.target} {label(answer.config)}" if answer else f"unknown {run}"
        )
    if names:
        st.multiselect(
            "Pinned curves",
            list(names),
            key=PAGE.widget("pins", list(names)),
            format_func=lambda run: names[run],
            on_change=PAGE.take,
            args=("pins", tuple),
        )


# What can be done about it.


def _actions(question: Question, shown: Panel, answers: Answers) -> None:
    current = shown.current

    def beside() -> None:
        if stage.now().bare:
            PAGE.over()
            return
        buttons.add_seeds_button(question.seeds, lambda seeds: PAGE.change(seeds=seeds))
        buttons.pin_button(
            current.config.id,
            question.pins,
            new=not (current.answer.done or current.answer.records),
            what="this curve",
            ask=lambda pins: PAGE.change(pins=pins),
        )
        _share(question, shown)

    buttons.draw(
        [one for one in shown.shown if not one.pinned],
        answers,
        ready=lambda: common.data_ready(question.setting, TICK_SECONDS),
        noun=("network", "to train", "runs"),
        beside=beside,
    )


def _share(question: Question, shown: Panel) -> None:
    with st.popover("Share", icon=":material/share:"):
        stage.share(question.to_query(), question.title)
    with st.popover("Export", icon=":material/download:"):
        exports.draw(
            "generalization",
            partial(figure_on, question, shown),
            comparison_code(question),
            [("Trajectories as CSV", lambda: csv(shown.trajectories))],
        )
        st.caption("The run that the page speaks of, on the command line:")
        st.code(
            shown.current.answer.kind.command.line(shown.current.config, question.preset),
            language="bash",
            wrap_lines=True,
        )


# The answer, which grows while its runs are carried out.


@in_turn
@common.errors_in_words
def _answer(answers: Answers, was_active: bool) -> None:
    # Not as an argument: a click in here runs this part alone again, with the arguments of before.
    question = PAGE.view
    if answers.store is not None and was_active and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    shown = _built(question, answers)
    if was_active and not any(one.answer.active for one in shown.shown):
        st.rerun()
    styled = curves(shown)
    _progress(shown)
    frame = live_axes(shown, question.preset, answers)
    common.hero(shown, styled, per_seed=question.per_seed, key="wi_hero", frame=frame)


@in_turn
@common.errors_in_words
def _around(answers: Answers, cards: DeltaGenerator) -> None:
    """The numbers above the hero and what stands below it: while runs go on, anew now and then."""
    question = PAGE.view
    shown = _built(question, answers)
    if stage.shows("cards"):
        with cards.container(horizontal=True):
            _cards(shown)
    styled = curves(shown)
    if stage.shows("strip"):
        frame = live_axes(shown, question.preset, answers)
        common.strip(shown, styled, key="wi_strip", frame=frame)
    if less := comparisons.reduced(shown.current.config):
        st.caption(f"Smaller than the paper's setup: {less}.")
    if stage.shows("looks"):
        _look(shown, styled, question, answers)
    if stage.shows("table"):
        _table(shown)
    if stage.shows("notes"):
        _notes(shown, answers)


def _built(question: Question, answers: Answers) -> Panel:
    """The panel as it is now; all sessions and fragments share one."""
    built: Panel | None = st.session_state.get(_BUILT)
    if built is not None:
        return built
    pins = [answer for run in question.pins if (answer := answers.find_id(run))]
    return panel.build(question.configs, pins, answers)


def _notes(shown: Panel, answers: Answers) -> None:
    for one in shown.shown:
        for note in answers.notes(one.answer):
            words.tell("caption", f"{one.label}: {note}")
    with st.expander("How this was computed", icon=":material/precision_manufacturing:"):
        hyperparameters.chosen(shown.baseline.config, "wi")
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(common.GLOSSARY)


def _progress(shown: Panel) -> None:
    """One line for all runs, and what went wrong with any of them."""
    going = [one for one in shown.shown if one.answer.active]
    if going:
        share = sum(one.answer.share for one in going) / len(going)
        st.progress(share, text=_going(going, share))
    for curve in shown.shown:
        answer = curve.answer
        for reason in answer.errors:
            words.tell("error", f"{curve.label}: {reason}", icon=":material/error:")
        if "cancelled" in answer.states().values():
            stopped = f"{curve.label} was stopped at {answer.share:.0%}; its points stay."
            words.tell("info", stopped)


def _going(going: Sequence[Shown], share: float) -> str:
    """How far the curves under way are, and which of them still wait."""
    records = [record for one in going for record in one.answer.records]
    begun = [record for record in records if record.step >= 0]
    if not begun:
        place = min((record.place for record in records if record.place), default=None)
        return "Waits in the queue" + (f", at place {place}" if place and place > 1 else "")
    waiting = [
        words.escaped(one.label)
        for one in going
        if all(record.step < 0 for record in one.answer.records)
    ]
    names = f"; {', '.join(waiting[:MOST_NAMED])} still in the queue" if waiting else ""
    return f"Training, {share:.0%}{_left(begun)}{names}"


def _left(begun: Sequence[Record]) -> str:
    """How long the runs that have begun may take, by the computing time they have had."""
    going = [record for record in begun if record.active and record.step > 0]
    spent, done = sum(r.seconds for r in going), sum(r.share for r in going)
    if not going or done < MEANS_SOMETHING * len(going):
        return ""
    return f", about {buttons.duration(spent / done * (len(going) - done))} of computing left"


def _cards(shown: Panel) -> None:
    one = shown.current
    alone = one is shown.baseline
    transfer = None if alone else shown.transfer(one)
    measure, so_far = common.panel_measure(shown), shown.so_far(one)
    st.metric(
        "Transfer ΔE",
        measure.delta(transfer.delta if transfer else None),
        border=True,
        help="The difference in E to the single task, E of a run being its test metric at its best "
        f"validation epoch. {common.sureness(transfer, so_far=so_far)}",
        **common.verdict(transfer, measure, so_far=so_far),
    )
    gap = None if alone else shown.gap(one)
    between = gap.comparison if gap else None
    st.metric(
        "Gap at equal loss",
        measure.delta(between.delta if between else None),
        border=True,
        help="The generalization gap at the lowest training loss that all seeds of both runs "
        f"have reached. {common.sureness(between, so_far=so_far)}",
        **common.verdict(between, measure, so_far=so_far),
    )
    opened = None if alone or so_far else shown.onset(one)
    st.metric(
        "Gap opens at",
        "–" if opened is None else f"L = {opened.train_loss:.2g}",
        delta=_since(opened, gap, so_far=so_far),
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help="The first training loss from which on the gap at equal loss is there, in every half "
        "decade down to the lowest loss that all seeds of both runs have reached.",
    )
    if not stage.now().bare:
        _latest_card(shown, measure)


def _since(opened: Onset | None, gap: LossMatchedGap | None, *, so_far: bool) -> str:
    """Since when the gap is open, or why that is not known."""
    if opened is not None:
        return f"{opened.verdict} since epoch {opened.epoch:.2g}"
    if gap is None or so_far:
        return "not yet"
    return "too few seeds" if gap.comparison.verdict == "too few seeds" else "nowhere"


def _latest_card(shown: Panel, measure: Measure) -> None:
    latest = shown.latest
    reached = "not yet"
    if latest is not None:
        reached = f"at L = {latest['train_loss']:.3g}, epoch {latest['epoch']:.3g}"
    st.metric(
        f"Last {measure.title.removesuffix(' E')}",
        "–" if latest is None else measure.value(latest["test_metric"]),
        delta=reached,
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help="At the last checkpoint that all seeds have reached; L is the loss on the whole "
        "training set there. E, which transfer compares, is read at the best validation epoch.",
    )


def _look(shown: Panel, styled: Sequence[Curve], question: Question, answers: Answers) -> None:
    """One view at a time: each costs its part of every live update."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            "Look at",
            list(LOOKS),
            key=PAGE.widget("look", question.look),
            required=True,
            format_func=LOOK_TITLES.__getitem__,
            on_change=PAGE.take,
            args=("look",),
            label_visibility="collapsed",
        )
        st.toggle(
            "Show every seed",
            key=PAGE.widget("per_seed", question.per_seed),
            on_change=PAGE.take,
            args=("per_seed",),
        )
    if question.look == "epochs":
        _over_epochs(shown, styled)
    elif question.look == "gradients":
        what_if_looks.gradients(shown, styled, answers)
    elif question.look == "optimizers":
        what_if_optimizers.view(shown, styled, answers)
    elif question.look == "correlation":
        what_if_looks.correlation(shown, question, answers, PAGE)
    else:
        what_if_looks.factors(shown, styled, question, PAGE)


def _over_epochs(shown: Panel, styled: Sequence[Curve]) -> None:
    target = shown.baseline.config.target
    measure = common.panel_measure(shown)
    titles = {"train_loss": "training loss L", "test_metric": measure.title}
    for column, (name, title) in zip(st.columns(2), titles.items(), strict=True):
        chart = partial(
            over_epochs_chart,
            shown.settled,
            styled,
            column=name,
            task=target,
            title=title,
            log_y=name == "train_loss",
            value_format=measure.format if name == "test_metric" else ".3~g",
            name=f"wi_{name}",
        )
        figures.draw(
            chart,
            key=f"wi_chart_{name}",
            of=(shown.version, shown.going),
            place=column,
            on_select="rerun",  # else a live update would undo zoom and legend pick
            alt=partial(
                over_epochs_alt,
                styled,
                task=target,
                title=title,
                trajectories=None if shown.going else shown.settled,
                column=name,
                value_format=measure.format if name == "test_metric" else ".3~g",
            ),
        )


def _is(found: Comparison | None, so_far: bool) -> str:
    return "–" if found is None else "so far" if so_far else found.verdict


def _table(shown: Panel) -> None:
    rows, measure = [], common.panel_measure(shown)
    for one in shown.shown:
        comparable = shown.comparable(one)
        transfer = shown.transfer(one) if comparable else None
        gap = shown.gap(one) if comparable else None
        between = gap.comparison if gap else None
        so_far = shown.so_far(one)
        reached = shown.reached(one)
        rows.append(
            {
                "curve": one.label,
                "pinned": one.pinned,
                "state": one.answer.state,
                "E": measure.value(sum(reached) / len(reached) if reached else math.nan),
                "transfer ΔE": measure.delta(transfer.delta if transfer else None),
                "95 % interval": (measures.interval(transfer, measure) if transfer else "") or "–",
                "ΔE is": _is(transfer, so_far),
                "by ±2 SD": "–" if transfer is None or so_far else transfer.paper,
                "gap at equal loss": measure.delta(between.delta if between else None),
                "its interval": (measures.interval(between, measure) if between else "") or "–",
                "gap is": _is(between, so_far),
                "at loss": f"{gap.train_loss:.3g}" if gap else "–",
                "seeds": " ".join(map(str, one.config.seeds)),
                "source": common.origins(one.answer),
                "run": one.config.id,
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="wi_table")
    judged = max((one.family for one in shown.transfers.values() if one), default=1)
    st.caption(
        "Transfer and gap are measured against a single task of the same budget; a pinned curve of "
        "another budget has none here. *Better* and *worse* by the 95 % interval"
        + (f", with Holm's correction for the {judged} curves" if judged > 1 else "")
        + "; beside it the paper's rule, ±2 standard deviations."
    )
    for one in shown.shown:
        if line := other_data(one.answer):
            words.tell("warning", f"{one.label}: {line}")
    for answer in shown.elsewhere:
        st.caption(f"Not drawn: {answer.config.target} {label(answer.config)}, another question.")


main()
