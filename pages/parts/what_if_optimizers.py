"""The What if page on multi-task optimizers: which to try, and what they do to the update."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import pandas as pd
import streamlit as st

from mtl_core import analysis, optimizers, settings
from mtl_core.charts import (
    Curve,
    CurveKey,
    over_epochs_alt,
    over_epochs_chart,
    style_curves,
)
from mtl_core.optimizers import Option
from mtl_core.runs.library.answers import Answers
from mtl_core.views import panel as panels
from mtl_core.views.panel import Panel, Shown
from mtl_core.views.what_if import BASELINE, Question
from pages.parts import figures, state

Page = state.Page[Question]


def controls(question: Question, page: Page) -> None:
    """Which optimizers, and their options."""
    st.multiselect(
        "Multi-task optimizers beside UMTG",
        [name for name in optimizers.names() if name != BASELINE],
        key=page.widget("optimizers", list(question.optimizers)),
        format_func=lambda name: optimizers.rule(name).title,
        placeholder="UMTG alone",
        disabled=not question.auxiliaries,
        on_change=page.take,
        args=("optimizers", tuple),
        help="How task gradients are combined. UMTG, the paper's baseline, is their sum; each "
        "choice adds its own curve."
        if question.auxiliaries
        else "A single task has nothing to combine: toggle an auxiliary task first.",
    )
    if not (question.optimizers and question.auxiliaries):
        return
    changed = sum(map(len, question.options.values()))
    with st.expander(f"Their options ({changed} changed)" if changed else "Their options"):
        for name in question.optimizers:
            rule = optimizers.rule(name)
            st.markdown(f"**{rule.title}.** {rule.about}")
            for option in optimizers.options(name):
                _option(name, option, question, page)
            st.caption(rule.source)


def view(panel: Panel, styled: Sequence[Curve], answers: Answers) -> None:
    """Weights and conflict of one run, and what each optimizer did to the update."""
    runs = [one for one in panel.shown if one.config.auxiliaries]
    if not runs:
        st.caption("A single task has nothing to combine: toggle an auxiliary task.")
        return
    told = panels.updates(panel, answers)
    one = _chosen(runs, panel)
    left, right = st.columns(2)
    _weights(one, told, left)
    _conflict(one, answers, right)
    left, right = st.columns(2)
    names = _short(runs)
    drawn = [replace(c, label=names[c.label]) for c in styled if c.label in names]
    target = panel.baseline.config.target
    once = told[told["task"] == target]  # the same for all tasks
    once = once.assign(curve=once["curve"].map(names))
    for place, column, title, log_y in (
        (left, "cosine_to_sum", "cosine of update and sum", False),
        (right, "norm_ratio", "length of update / sum", True),
    ):
        _chart(once, drawn, column, target, title, place, log_y=log_y)
    scales = {str(dict(run.config.options).get("scale", "raw")) for run in runs}
    st.caption(
        "What each optimizer did to the update of the shared parameters, against the sum of task "
        "gradients: a cosine of 1 leaves its direction alone, a ratio of 1 its length. "
        f"{_SCALES[next(iter(scales)) if len(scales) == 1 else 'both']} Means over the steps since "
        "the last checkpoint; of methods that read losses alone, of the last step."
    )
    for line in _coincidences(runs, told):
        st.info(line, icon=":material/join_inner:")


_SCALES = {
    "raw": "Scale *raw*: a longer update is also a larger learning rate.",
    "match_sum": "Scale *match_sum*: every update is given the sum's length.",
    "both": "Some run at scale *raw*, where a longer update is also a larger learning rate, others "
    "at *match_sum*.",
}


def _option(name: str, option: Option, question: Question, page: Page) -> None:
    widget = f"option_{name}_{option.name}"
    mine = question.options.get(name, {})

    @page.once_drawn
    def changed() -> None:
        now = page.view
        entered = page.entered(widget, option.default)
        values = {**now.options.get(name, {}), option.name: entered}
        page.put(now.with_options(name, values))

    key = page.widget(widget, mine.get(option.name, option.default))
    more: dict[str, Any] = {"key": key, "help": option.about, "on_change": changed}
    if option.choices:
        st.segmented_control(option.name, list(option.choices), required=True, **more)
    elif isinstance(option.default, bool):
        st.toggle(option.name, **more)
    else:
        kind = type(option.default)
        if option.least > -float("inf"):
            more["min_value"] = kind(option.least)
        if option.most < float("inf"):
            more["max_value"] = kind(option.most)
        if kind is float:
            more |= {"format": "%.5g", "step": 0.1}
        st.number_input(option.name, **more)


def _chosen(runs: Sequence[Shown], panel: Panel) -> Shown:
    """Whose weights are looked at: the run that was asked for last, until somebody chooses."""
    by_label = {one.label: one for one in runs}
    if len(by_label) == 1:
        return runs[0]
    st.session_state.setdefault("wi_weights_of", panel.current.label)
    if st.session_state.wi_weights_of not in by_label:
        st.session_state.wi_weights_of = panel.current.label
    return by_label[st.selectbox("Weights and conflict of", list(by_label), key="wi_weights_of")]


def _short(runs: Sequence[Shown]) -> dict[str, str]:
    """Curves' labels without what all of them share, where that leaves them apart."""
    shared = f"+ {' + '.join(runs[0].config.auxiliaries)}"
    names = {
        one.label: one.label.removeprefix(shared).removeprefix(" · ") or _plain(one) for one in runs
    }
    alike = all(one.config.auxiliaries == runs[0].config.auxiliaries for one in runs)
    if alike and len(set(names.values())) == len(names):
        return names
    return {one.label: one.label for one in runs}


def _weights(one: Shown, told: pd.DataFrame, place: Any) -> None:
    setting = settings.get(one.config.setting)
    tasks = [
        CurveKey(
            task, "stl" if task == one.config.target else setting.task(task).expected or "other"
        )
        for task in one.config.tasks
    ]
    own = told[told["curve"] == one.label]
    rows = own.assign(curve=own["task"], task=one.config.target)
    title = "weight α of the task gradient"
    _chart(rows, style_curves(tasks), "weight", one.config.target, title, place)
    place.caption(
        f"The shared parameters move along Σ α·g over the tasks, here with the α of {_plain(one)}."
        if optimizers.rule(one.config.optimizer).weights
        else f"{_plain(one)} is not a weighting: α is the share of a task's squared gradient in "
        "coordinates where the update has its sign."
    )


def _conflict(one: Shown, answers: Answers, place: Any) -> None:
    pairs = list(combinations(one.config.tasks, 2))
    found = answers.table(one.answer, "cosines")
    rows = found.assign(curve=found["task"] + " · " + found["other"], task=one.config.target)
    styled = style_curves([CurveKey(f"{a} · {b}", "other") for a, b in pairs[:40]])
    title = "cosine of two task gradients"
    _chart(rows, styled, "cosine", one.config.target, title, place)
    place.caption(f"The conflict that {_plain(one)} met. Below 0, two tasks pull apart.")


def _plain(one: Shown) -> str:
    return optimizers.rule(one.config.optimizer).title


def _chart(
    rows: pd.DataFrame,
    styled: Sequence[Curve],
    column: str,
    task: str,
    title: str,
    place: Any,
    *,
    log_y: bool = False,
) -> None:
    chart = partial(
        over_epochs_chart,
        rows.assign(task=task),
        styled,
        column=column,
        task=task,
        title=title,
        log_y=log_y,
        height=220,
        name=f"wi_{column}",
    )
    figures.draw(
        chart,
        place=place,
        key=f"wi_update_{column}",
        on_select="rerun",  # else a live update would undo zoom and legend pick
        alt=over_epochs_alt(styled, task=task, title=title),
    )


def _coincidences(runs: Sequence[Shown], told: pd.DataFrame) -> list[str]:
    """Which runs took the same steps, and why."""
    lines = []
    for one, other in combinations(runs, 2):
        if one.config.auxiliaries != other.config.auxiliaries:
            continue
        mine, theirs = (told[told["curve"] == run.label] for run in (one, other))
        agreement = analysis.weights_agree(mine, theirs)
        names = " and ".join(f"**{_plain(run)}**" for run in (one, other))
        if agreement == "same":
            lines.append(
                f"{names} coincide: they gave the task gradients the same weights at every "
                f"checkpoint. {_reason(one, other)}Their curves differ by rounding alone."
            )
        elif agreement == "proportional" and one.config.base_optimizer == "adam":
            lines.append(
                f"{names} nearly coincide: their weights differ by one constant factor, and Adam "
                "divides an update by its own size, so that a factor falls out."
            )
    return lines


def _reason(one: Shown, other: Shown) -> str:
    reasons = {optimizers.rule(run.config.optimizer).same_as_sum for run in (one, other)}
    if BASELINE in (one.config.optimizer, other.config.optimizer):
        known = [reason for reason in reasons if reason]
        return f"{known[0]} " if known else ""
    return ""
