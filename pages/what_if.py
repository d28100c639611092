"""What if …? A target, its auxiliaries, and what they do to it, live."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from mtl_core import InputError, settings
from mtl_core.charts import Curve, over_epochs_alt, over_epochs_chart
from mtl_core.config import BASE_OPTIMIZERS
from mtl_core.runs import Record
from mtl_core.runs.library.answers import Answer, Answers, other_data
from mtl_core.runs.queue.launch import tend
from mtl_core.views import comparisons, panel
from mtl_core.views.panel import Panel, Shown
from mtl_core.views.question import LOOKS, Question, label, parse_seeds
from pages.parts import buttons, common, what_if_looks, what_if_optimizers

TICK_SECONDS = 2.0  # drawing takes its part of the cores that train
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
    question = _question()
    answers = common.answers()
    # The worker starts with the page, so that Run does not wait for it.
    if answers.store is not None and (problem := tend(answers.store)):
        st.warning(problem, icon=":material/engineering:")
    with st.sidebar:
        _controls(question, answers)
    st.title(_title(question))
    for problem in st.session_state.pop("problems", []):
        st.warning(common.escaped(problem), icon=":material/link_off:")
    try:
        configs = question.configs
    except InputError as error:
        st.error(f"{error}", icon=":material/error:")
        return
    shown = panel.build(configs, _pins(question, answers), answers)
    _actions(question, shown, answers)
    active = any(one.answer.active for one in shown.shown)
    st.session_state.built = shown  # for the fragment's first run; later ones look again
    st.fragment(_answer, run_every=TICK_SECONDS if active else None)(answers, active)


# The question: kept in the session, written to the URL, changed by callbacks only.


def _question() -> Question:
    query = st.query_params.to_dict()
    if "question" not in st.session_state or (query and query != st.session_state.get("query")):
        if query:
            st.session_state.question, st.session_state.problems = Question.from_query(query)
        else:
            st.session_state.question = Question.default()
    question: Question = st.session_state.question
    _to_url(question)
    return question


def _to_url(question: Question) -> None:
    common.to_url(question.to_query(), "query")


def _ask(**changes: Any) -> None:
    st.session_state.question = replace(st.session_state.question, **changes)
    _to_url(st.session_state.question)


def _title(question: Question) -> str:
    if question.auxiliaries:
        others = " and ".join(question.auxiliaries)
        return f"What if {question.target} is trained together with {others}?"
    return f"What does {question.target} reach alone?"


def _controls(question: Question, answers: Answers) -> None:
    setting = settings.get(question.setting)
    st.subheader("The question")
    _widget("setting", question.setting)
    st.selectbox(
        "Setting",
        settings.names(),
        key="wi_setting",
        format_func=lambda name: settings.get(name).title,
        on_change=lambda: _ask_setting(st.session_state.wi_setting),
        help=setting.description,
    )
    _widget("target", question.target)
    st.selectbox(
        "Target task",
        [task.name for task in setting.tasks],
        key="wi_target",
        on_change=_ask_target,
        help="The task whose generalization is watched.",
    )
    _auxiliaries(question, setting)
    what_if_optimizers.controls(question, _ask)
    _widget("preset", question.preset)
    st.segmented_control(
        "Budget",
        list(setting.presets),
        key="wi_preset",
        required=True,
        on_change=lambda: _ask(preset=st.session_state.wi_preset, overrides={}),
        help="quick: seconds on two CPU cores. standard: a coffee. paper: the paper's sizes, "
        "for a GPU.",
    )
    _widget("seeds", " ".join(map(str, question.seeds)))
    st.text_input(
        "Seeds",
        key="wi_seeds",
        on_change=_ask_seeds,
        help="One network each; a seed varies initialisation and batch order, never the split.",
    )
    if problem := st.session_state.pop("seeds_problem", None):
        st.error(problem)
    _hyperparameters(question, setting)
    _pinned(question, answers)
    store_device = answers.store.worker() if answers.store else None
    st.caption(f"Trains on: {store_device['title']}" if store_device else "Starting the worker …")


def _auxiliaries(question: Question, setting: settings.Setting) -> None:
    others = {task.name: task.title for task in setting.tasks if task.name != question.target}
    title = "Auxiliary tasks, trained along with it"
    if len(others) > MOST_TOGGLES:
        _widget("auxiliaries", list(question.auxiliaries))
        st.multiselect(
            title,
            list(others),
            key="wi_auxiliaries",
            placeholder="none: the target alone",
            on_change=lambda: _ask_auxiliaries(st.session_state.wi_auxiliaries),
            help=f"{len(others)} to choose from.",
        )
    else:
        st.caption(title)
        for name, about in others.items():
            _widget(f"aux_{name}", name in question.auxiliaries)
            st.toggle(
                name,
                key=f"wi_aux_{name}",
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
        _field("base_optimizer", question, "adam", st.selectbox, "Optimizer", list(BASE_OPTIMIZERS))
        for name, usual, title, more in (
            ("lr", preset.lr, "Learning rate", {"format": "%.5g", "step": 1e-3}),
            ("batch_size", preset.batch_size, "Batch size per task", {"step": 1}),
            ("epochs", preset.epochs, "Epochs of the target", {"step": 1}),
            ("samples", preset.samples, "Training examples per task", {"step": 50}),
            ("held_out", preset.held_out, "Held-out examples", {"step": 50}),
            ("width", preset.width, "Encoder width", {"step": 1}),
            ("factor_points", preset.factor_points, "Factor measurements", {"step": 1}),
        ):
            _field(name, question, usual, st.number_input, title, None, None, None, **more)


def _field(
    name: str, question: Question, usual: Any, widget: Any, title: str, *words: Any, **more: Any
) -> None:
    """One of RunConfig's fields; it counts as changed when it differs from the preset's value."""
    _widget(name, question.overrides.get(name, usual))

    def ask() -> None:
        found = st.session_state[f"wi_{name}"]
        others = {k: v for k, v in st.session_state.question.overrides.items() if k != name}
        _ask(overrides=others if found == usual else others | {name: found})

    if widget is st.number_input:
        more["placeholder"] = "all"
    widget(title, *words, key=f"wi_{name}", on_change=ask, **more)


def _widget(name: str, value: object) -> None:
    """Widgets show the question; it is the only state there is."""
    st.session_state[f"wi_{name}"] = value


# What another setting does not make another question of.
_KEPT = ("pins", "per_seed", "look", "x", "against", "optimizers", "options")


def _ask_setting(name: str) -> None:
    before: Question = st.session_state.question
    kept = {view: getattr(before, view) for view in _KEPT}
    st.session_state.question = replace(Question.default(name), **kept)
    _to_url(st.session_state.question)


def _ask_target() -> None:
    target = st.session_state.wi_target
    kept = (name for name in st.session_state.question.auxiliaries if name != target)
    _ask(target=target, auxiliaries=tuple(kept))


def _toggle_auxiliary(task: str) -> None:
    question: Question = st.session_state.question
    _ask_auxiliaries({*question.auxiliaries} ^ {task})


def _ask_auxiliaries(chosen: Collection[str]) -> None:
    question: Question = st.session_state.question
    order = [one.name for one in settings.get(question.setting).tasks]
    _ask(auxiliaries=tuple(name for name in order if name in chosen))


def _ask_seeds() -> None:
    try:
        _ask(seeds=parse_seeds(st.session_state.wi_seeds))
    except InputError as error:
        st.session_state.seeds_problem = str(error)


def _ask_more_seeds(seeds: tuple[int, ...]) -> None:
    _ask(seeds=seeds)


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
        _widget("pins", list(names))
        st.multiselect(
            "Pinned curves",
            list(names),
            key="wi_pins",
            format_func=lambda run: names[run],
            on_change=lambda: _ask(pins=tuple(st.session_state.wi_pins)),
        )


# What can be done about it.


def _actions(question: Question, shown: Panel, answers: Answers) -> None:
    current = shown.current

    def beside() -> None:
        buttons.add_seeds_button(question.seeds, _ask_more_seeds)
        buttons.pin_button(
            current.config.id,
            question.pins,
            new=not (current.answer.done or current.answer.records),
            what="this curve",
            ask=lambda pins: _ask(pins=pins),
        )
        _share(question, shown)

    buttons.draw(
        [one for one in shown.shown if not one.pinned],
        answers,
        ready=lambda: _data_ready(question),
        noun=("networks", "to train"),
        beside=beside,
    )


def _share(question: Question, shown: Panel) -> None:
    with st.popover("Export", icon=":material/ios_share:"):
        st.caption("The address of this page is the whole question; share it as it is.")
        st.download_button(
            "Shown trajectories as CSV",
            shown.trajectories.to_csv(index=False),
            file_name="trajectories.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        st.caption("The same run on the command line:")
        st.code(
            shown.current.answer.kind.command.line(shown.current.config, question.preset),
            language="bash",
            wrap_lines=True,
        )


def _data_ready(question: Question) -> bool:
    """Whether the setting's data is here; if not, what to do about it."""
    setting = settings.get(question.setting)
    state = setting.data_state()
    if state.state == "found":
        return True
    st.warning(state.message, icon=":material/database_off:")
    for source in setting.sources:
        common.download(source, TICK_SECONDS)
    return False


# The answer, which grows while its runs are carried out.


@common.errors_in_words
def _answer(answers: Answers, was_active: bool) -> None:
    # Not as an argument: a click in here runs this part alone again, with the arguments of before.
    question: Question = st.session_state.question
    if answers.store is not None and was_active and (problem := tend(answers.store)):
        st.warning(problem, icon=":material/engineering:")
    shown: Panel | None = st.session_state.pop("built", None)
    if shown is None:
        pins = [answer for run in question.pins if (answer := answers.find_id(run))]
        shown = panel.build(question.configs, pins, answers)
    if was_active and not any(one.answer.active for one in shown.shown):
        st.rerun()
    styled = common.curves(shown)
    _progress(shown)
    _cards(shown)
    common.hero(shown, styled, per_seed=question.per_seed, key="wi_hero")
    if less := comparisons.reduced(shown.current.config):
        st.caption(f"Beside the paper's size {less}.")
    _look(shown, styled, question, answers)
    _table(shown)
    for one in shown.shown:
        for note in answers.notes(one.answer):
            st.caption(f"{one.label}: {note}")
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(common.GLOSSARY)


def _progress(shown: Panel) -> None:
    for curve in shown.shown:
        answer = curve.answer
        label = common.escaped(curve.label)
        if answer.active:
            st.progress(answer.share, text=f"**{label}** {_going(answer)}")
        for reason in answer.errors:
            st.error(f"{label}: {common.escaped(reason)}", icon=":material/error:")
        if "cancelled" in answer.states().values():
            st.info(f"{label} was stopped at {answer.share:.0%}; its points stay.")


def _going(answer: Answer) -> str:
    begun = [record for record in answer.records if record.step >= 0]
    if not begun:
        place = min((r.place for r in answer.records if r.place), default=None)
        return "waits in the queue" + (f", at place {place}" if place and place > 1 else "")
    return f"trains, {answer.share:.0%}{_left(begun)}"


def _left(begun: Sequence[Record]) -> str:
    """How long a curve's runs that have begun may take, by the computing time they have had."""
    going = [record for record in begun if record.active and record.step > 0]
    spent, done = sum(r.seconds for r in going), sum(r.share for r in going)
    if not done:
        return ""
    return f", about {buttons.duration(spent / done * (len(going) - done))} of computing left"


def _cards(shown: Panel) -> None:
    one = shown.current
    transfer = shown.transfer(one) if one is not shown.baseline else None
    measure = common.panel_measure(shown)
    cards = st.container(horizontal=True)
    cards.metric(
        "Transfer ΔE",
        measure.delta(transfer.delta if transfer else None),
        border=True,
        **common.verdict(transfer),
    )
    gap = shown.gap(one) if one is not shown.baseline else None
    cards.metric(
        "Gap at equal loss",
        measure.delta(gap.comparison.delta if gap else None),
        border=True,
        help="The generalization gap at the lowest training loss that all seeds of both runs "
        "have reached.",
        **common.verdict(gap.comparison if gap else None),
    )
    opened = shown.onset(one) if one is not shown.baseline else None
    if opened is not None:
        since = f"{opened.verdict} since epoch {opened.epoch:.2g}"
    elif gap is None or gap.comparison.verdict == "too few seeds":
        since = "not yet" if gap is None else "too few seeds"
    else:
        since = "nowhere so far"
    cards.metric(
        "Gap opens at",
        "–" if opened is None else f"L = {opened.train_loss:.2g}",
        delta=since,
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help="The first training loss from which on the gap at equal loss stays significant, down "
        "to the lowest loss that all seeds of both runs have reached.",
    )
    latest = _latest(shown, one)
    cards.metric(
        f"{measure.title[0].upper()}{measure.title[1:]}",
        "–" if latest is None else measure.value(latest["test_metric"]),
        delta="not yet" if latest is None else f"after {latest['epoch']:.3g} epochs",
        delta_color="gray",
        delta_arrow="off",
        border=True,
    )
    cards.metric(
        "Training loss L",
        "–" if latest is None else f"{latest['train_loss']:.3g}",
        delta="not yet" if latest is None else "whole training set",
        delta_color="gray",
        delta_arrow="off",
        border=True,
    )


def _latest(shown: Panel, one: Shown) -> pd.Series | None:
    """Means over seeds at the last step that all of them have reached."""
    rows = shown.trajectories
    rows = rows[(rows["curve"] == one.label) & (rows["task"] == one.config.target)]
    if set(rows["seed"]) != set(one.config.seeds):
        return None
    step = rows.groupby("seed")["step"].max().min()
    return rows[rows["step"] == step][["epoch", "train_loss", "test_metric"]].mean()


def _look(shown: Panel, styled: Sequence[Curve], question: Question, answers: Answers) -> None:
    """One view at a time: each costs its part of every live update."""
    _widget("look", question.look)
    _widget("per_seed", question.per_seed)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.segmented_control(
            "Look at",
            list(LOOKS),
            key="wi_look",
            required=True,
            format_func=LOOK_TITLES.get,
            on_change=lambda: _ask(look=st.session_state.wi_look),
            label_visibility="collapsed",
        )
        st.toggle(
            "Show every seed",
            key="wi_per_seed",
            on_change=lambda: _ask(per_seed=st.session_state.wi_per_seed),
        )
    if question.look == "epochs":
        _over_epochs(shown, styled)
    elif question.look == "gradients":
        what_if_looks.gradients(shown, styled, answers)
    elif question.look == "optimizers":
        what_if_optimizers.view(shown, styled, answers)
    elif question.look == "correlation":
        what_if_looks.correlation(shown, question, answers, _ask)
    else:
        what_if_looks.factors(shown, styled, question, _ask)


def _over_epochs(shown: Panel, styled: Sequence[Curve]) -> None:
    target = shown.baseline.config.target
    measure = common.panel_measure(shown)
    titles = {"train_loss": "training loss L", "test_metric": measure.title}
    for column, (name, title) in zip(st.columns(2), titles.items(), strict=True):
        chart = over_epochs_chart(
            shown.trajectories,
            styled,
            column=name,
            task=target,
            title=title,
            log_y=name == "train_loss",
            value_format=measure.format if name == "test_metric" else ".3~g",
            name=f"wi_{name}",
        )
        column.altair_chart(
            chart,
            key=f"wi_chart_{name}",
            on_select="rerun",  # else a live update would undo zoom and legend pick
            alt=over_epochs_alt(styled, task=target, title=title),
        )


def _table(shown: Panel) -> None:
    rows, measure = [], common.panel_measure(shown)
    for one in shown.shown:
        comparable = shown.comparable(one)
        transfer = shown.transfer(one) if comparable else None
        gap = shown.gap(one) if comparable else None
        rows.append(
            {
                "curve": one.label,
                "pinned": one.pinned,
                "state": one.answer.state,
                "transfer ΔE": measure.delta(transfer.delta if transfer else None),
                "ΔE is": transfer.verdict if transfer else "–",
                "gap at equal loss": measure.delta(gap.comparison.delta if gap else None),
                "gap is": gap.comparison.verdict if gap else "–",
                "at loss": f"{gap.train_loss:.3g}" if gap else "–",
                "seeds": " ".join(map(str, one.config.seeds)),
                "source": common.origins(one.answer),
                "run": one.config.id,
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="wi_table")
    st.caption(
        "Transfer and gap are measured against a single task of the same budget; a pinned curve of "
        "another budget has none here."
    )
    for one in shown.shown:
        if line := other_data(one.answer):
            st.warning(common.escaped(f"{one.label}: {line}"))
    for answer in shown.elsewhere:
        st.caption(f"Not drawn: {answer.config.target} {label(answer.config)}, another question.")


main()
