"""Gradient playground: two or three task gradients, and every optimizer's update of them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from mtl_core import InputError, optimizers
from mtl_core.analysis import coincidence
from mtl_core.charts.plane import Arrow, plane_alt, plane_drawing, style_methods
from mtl_core.optimizers.tools.plane import Update, Vector, updates
from mtl_core.views.aside import aside
from mtl_core.views.gradient_playground import LENGTHS, MOST_SEED, PRESETS, Playground, preset
from mtl_core.views.turns import in_turn
from pages.parts import common, plane, stage, state

PAGE = state.Page("gp", Playground.from_query)
TITLE = "What does each optimizer make of these gradients?"
_PARTS: tuple[stage.Part, ...] = ("controls", "buttons", "table", "notes")
_PLANE = "gp_plane"
# In the session: what is shown while a gradient is held, and whether one was let go just now.
_HELD, _RELEASED = "gp: held", "gp: released"

GRADIENTS = ("g₁", "g₂", "g₃")
WEIGHTS = ("w₁", "w₂", "w₃")
LOSSES = ("L₁", "L₂", "L₃")
VIEW_TITLES = {"linear": "to scale", "log": "logarithmic"}
GLOSSARY = r"""
**Gradients.** Each task's loss $L_k$ has a gradient $g_k$ with respect to the parameters that the
tasks share. Here there are two shared parameters, so a gradient is an arrow in the plane.

**Update.** A method makes one vector $d$ of them, nearly always a weighting
$d = \sum_k w_k\, g_k$, and the parameters step *against* it: $\theta \leftarrow \theta - \eta d$.

**Descends, rises, stands still.** For a small step, $L_k$ changes by
$-\eta\,\langle d, g_k\rangle$: it descends when $d$ and $g_k$ are less than 90° apart, rises when
they are more, and stands still at 90° (a cosine within $10^{-6}$) or when $d$ is 0.

**Conflict.** Two gradients conflict when they are more than 90° apart. The shaded sector holds the
directions at most 90° from every gradient: an update in it makes no loss rise. Three gradients that
reach all around leave no such sector.

**First step.** A method that learns or remembers is shown as it begins, with nothing learned yet.
Methods that read the gradients of the last shared layer get these two coordinates as that layer.
"""


@common.errors_in_words
def main() -> None:
    playground = PAGE.open()
    st.session_state.pop(_HELD, None)  # a hand that was lost, with its page for instance
    if stage.shows("controls"):
        with st.sidebar:
            _controls(playground)
    stage.title(TITLE)
    PAGE.problems()
    PAGE.over()
    PAGE.refused("gradients")
    if stage.shows("buttons"):
        with st.container(horizontal=True):
            for name in PRESETS:
                st.button(name, key=f"gp_preset_{name}", on_click=_show_preset, args=(name,))
            if not stage.now().bare:
                with st.popover("Share", icon=":material/share:"):
                    stage.share(playground.to_query(), TITLE, stage.ALONE, _PARTS)
    _answer()
    if not stage.shows("notes"):
        return
    _methods(playground)
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(GLOSSARY)


@st.fragment
@in_turn
@common.errors_in_words
def _answer() -> None:
    """What the methods make of the gradients; all that a gradient under the hand changes."""
    if st.session_state.pop(_RELEASED, False):
        st.rerun()  # the sliders and the address follow
    playground = st.session_state.get(_HELD, PAGE.view)
    # Seen only while PyTorch is loaded aside; later calls are quicker than the spinner's delay.
    with st.spinner("Loading the optimizers …"):
        found = aside(
            updates,
            playground.gradients,
            playground.losses[: playground.tasks],
            playground.methods,
            playground.seed,
            scale=playground.scale,
        )
    if not stage.shows("table"):
        _chart(playground, found)
        return
    left, right = st.columns([9, 11], gap="medium")
    with left:
        _chart(playground, found)
    with right:
        if found:
            _table(playground, found)
        else:
            st.info("No method is shown. Choose some on the left.", icon=":material/left_click:")
        _words(playground, found)
    _draws(found, playground)


# What is shown: changed by callbacks only.


def _change(**changes: Any) -> None:
    try:
        PAGE.change(**changes)
    except InputError as error:  # limits of widgets are enforced in the browser alone
        PAGE.refuse("gradients", error)


def _drag() -> None:
    """Take where a gradient was moved to: while a hand holds it, for the figure alone."""
    move = plane.moved(_PLANE)
    if move is None or move.place >= PAGE.view.tasks:
        return
    angles, lengths = list(PAGE.view.angles), list(PAGE.view.lengths)
    angles[move.place], lengths[move.place] = move.angle, move.length
    try:
        moved = replace(PAGE.view, angles=tuple(angles), lengths=tuple(lengths))
    except InputError as error:
        PAGE.refuse("gradients", error)
        return
    if move.held:
        st.session_state[_HELD] = moved
        return
    PAGE.put(moved)
    st.session_state.pop(_HELD, None)
    st.session_state[_RELEASED] = True


def _show_preset(name: str) -> None:
    PAGE.put(preset(PAGE.view, name))


def _controls(playground: Playground) -> None:
    st.subheader("The gradients")
    for place in range(playground.tasks):
        angle, length = st.columns(2)
        with angle:
            _numbers("angles", place, playground, f"{GRADIENTS[place]} angle")
        with length:
            _numbers("lengths", place, playground, f"{GRADIENTS[place]} length")
    st.toggle(
        "Third task",
        key=PAGE.widget("third", playground.third),
        on_change=PAGE.take,
        args=("third",),
    )
    st.pills(
        "Optimizers",
        optimizers.names(),
        key=PAGE.widget("methods", list(playground.methods)),
        selection_mode="multi",
        format_func=lambda name: optimizers.rule(name).title,
        on_change=PAGE.take,
        args=("methods", tuple),
    )
    with st.container(horizontal=True):
        _choose("All", tuple(optimizers.names()), playground)
        _choose("A few", Playground.default().methods, playground)
    _segments("scale", playground.scale, "Scale", optimizers.SCALE.choices, None)
    _segments("view", playground.view, "Lengths drawn", tuple(VIEW_TITLES), VIEW_TITLES)
    usual = Playground.default().losses
    with st.expander(f"Task losses{'' if playground.losses == usual else ' (changed)'}"):
        st.caption("Some methods weight tasks by their losses.")
        for place in range(playground.tasks):
            _numbers("losses", place, playground, f"{LOSSES[place]} now")


def _choose(label: str, names: tuple[str, ...], playground: Playground) -> None:
    st.button(
        label,
        key=f"gp_choose_{label}",
        type="tertiary",
        disabled=playground.methods == names,
        on_click=_change,
        kwargs={"methods": names},
    )


def _numbers(name: str, place: int, playground: Playground, label: str) -> None:
    """One task's angle, length or loss."""
    value = getattr(playground, name)[place]
    key = PAGE.widget(f"{name}_{place}", value)

    def change() -> None:
        values = list(getattr(PAGE.view, name))
        values[place] = st.session_state[key]
        _change(**{name: tuple(values)})

    if name == "angles":
        # A URL may name any degree; a step that followed the value would be another slider.
        st.slider(label, -180, 180, step=1, format="%d°", key=key, on_change=change)
    else:
        steps = LENGTHS if name == "lengths" else LENGTHS[1:]
        # A URL may name a value between the slider's steps.
        options = sorted({*steps, value})
        st.select_slider(label, options, format_func="{:g}".format, key=key, on_change=change)


def _segments(
    name: str, value: str, label: str, choices: Sequence[str], titles: dict[str, str] | None
) -> None:
    st.segmented_control(
        label,
        list(choices),
        key=PAGE.widget(name, value),
        required=True,
        format_func=lambda choice: titles[choice] if titles else choice,
        on_change=PAGE.take,
        args=(name,),
        help=optimizers.SCALE.about if name == "scale" else None,
    )


# What the methods make of it.


def _chart(playground: Playground, found: Sequence[Update]) -> None:
    names = optimizers.names()
    titles = [optimizers.rule(name).title for name in names]
    # A method looks the same whichever others are shown beside it.
    every = dict(zip(names, style_methods(titles), strict=True))
    styled = [every[one.name] for one in found]
    gradients = [
        {"name": name, "angle": angle, "length": length, "loss": loss}
        for name, angle, length, loss in zip(
            GRADIENTS[: playground.tasks],
            playground.angles,
            playground.lengths,
            playground.losses,
            strict=False,
        )
    ]
    log = playground.view == "log"
    plane.plane(
        _PLANE,
        plane_drawing(
            playground.gradients, [_arrow(one, playground) for one in found], styled, log=log
        ),
        gradients,
        label=plane_alt(GRADIENTS[: playground.tasks], styled),
        on_move=_drag,
    )
    logarithmic = " They are drawn logarithmically." if log else ""
    stage.note(
        "**Which updates leave the shaded sector?** Grey arrows are task gradients: drag their "
        "heads, or turn them with ← → and stretch them with ↑ ↓ (Shift for larger steps). "
        "Parameters step against an update's arrow, and one in the shaded sector makes no task's "
        f"loss rise. Rings tell lengths.{logarithmic} Colours tell methods apart, as dashes and "
        "markers do."
    )


def _arrow(update: Update, playground: Playground) -> Arrow:
    """An update as it is drawn, with what hovering says of it."""
    weights = ", ".join(f"{weight:.3g}" for weight in update.weights or ())
    effects = zip(LOSSES, _effects(update, playground), strict=False)
    words = {
        "weights": weights or "none",
        "losses": ", ".join(f"{loss} {done}" for loss, done in effects),
    }
    return Arrow(_title(update), *update.vector, words)


def _table(playground: Playground, found: Sequence[Update]) -> None:
    tasks = playground.tasks
    total = _sum(playground.gradients)
    rows = []
    for one in found:
        weights = one.weights or (math.nan,) * tasks
        row: dict[str, Any] = {"optimizer": _title(one)}
        row |= dict(zip(WEIGHTS, weights, strict=False))
        row |= dict(zip(LOSSES, _effects(one, playground), strict=False))
        row |= {"× sum": _relative(one, playground), "° to sum": _angle(one, total, playground)}
        rows.append(row)
    number = st.column_config.NumberColumn
    narrow: dict[str, Any] = {name: number(format="%.3g", width=50) for name in WEIGHTS[:tasks]}
    narrow |= {name: st.column_config.TextColumn(width=78) for name in LOSSES[:tasks]}
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        key="gp_table",
        height="content",
        placeholder="–",
        column_config={
            "optimizer": st.column_config.TextColumn(width=116, pinned=True),
            "× sum": number(
                format="%.3g", width=56, help="Length of the update, in lengths of the sum."
            ),
            "° to sum": number(
                format="%.3g", width=66, help="Angle between the update and the sum, in degrees."
            ),
            **narrow,
        },
    )


def _words(playground: Playground, found: Sequence[Update]) -> None:
    """Which updates are the same now, and why where that is known."""
    gradients = playground.gradients
    lines = [_conflict(gradients)]
    finite = {one.name: one.vector for one in found if all(map(math.isfinite, one.vector))}
    still = [name for name, vector in finite.items() if coincidence.is_zero(vector, gradients)]
    if still:
        verb = "stand" if len(still) > 1 else "stands"
        lines.append(f"{_equal(still)} {verb} still{_standing(gradients)}")
    moving = {name: vector for name, vector in finite.items() if name not in still}
    groups = coincidence.coinciding(moving, gradients)
    lines += [f"{_equal(group)}. {_why(group, playground)}" for group in groups]
    if len(found) > 1 and not still and not groups:
        lines.append("No two updates are the same.")
    if "mgda" in moving and all(map(any, gradients)):
        place = coincidence.equal_gradient(moving["mgda"], gradients)
        if place is not None:
            lines.append(
                f"{_equal(['mgda'])} is {GRADIENTS[place]} alone: nothing between the gradients is "
                "shorter."
            )
    lines += [
        f"{_equal([one.name])} has no finite update." for one in found if one.name not in finite
    ]
    st.markdown("\n".join(f"- {line}" for line in lines))


def _equal(names: Sequence[str]) -> str:
    return " = ".join(f"**{optimizers.rule(name).title}**" for name in names)


def _conflict(gradients: Sequence[Vector]) -> str:
    pairs = coincidence.conflicts(gradients)
    if not pairs:
        return "No two gradients conflict."
    told = [
        f"{GRADIENTS[i]} and {GRADIENTS[j]} conflict, at "
        f"{coincidence.angle(gradients[i], gradients[j]):.0f}°"
        for i, j in pairs
    ]
    return "; ".join(told) + "."


def _why(group: Sequence[str], playground: Playground) -> str:
    """What makes updates the same, where that is known; else nothing."""
    gradients = playground.gradients
    pair = len(gradients) == 2
    known = {
        ("umtg", "mean"): (playground.scale == "match_sum", "Only their lengths differed."),
        ("mean", "upgrad"): (
            not coincidence.conflicts(gradients),
            "Nothing conflicts, so UPGrad projects nothing and takes the mean.",
        ),
        ("pcgrad", "upgrad"): (
            pair,
            "Of two gradients, both project each until it no longer conflicts with the other.",
        ),
        ("mean", "mgda"): (
            pair,
            "Of two gradients of one length, the shortest point between them is their middle.",
        ),
        ("pcgrad", "gradvac"): (True, "The similarities that GradVac aims at begin at 0."),
        ("mean", "famo"): (True, "FAMO begins with weights in proportion to 1 / loss."),
    }
    reasons = [
        words
        for (one, other), (holds, words) in known.items()
        if holds and one in group and other in group
    ]
    if "umtg" in group:
        reasons += [optimizers.rule(name).same_as_sum for name in group]
    return " ".join(dict.fromkeys(filter(None, reasons)))


def _standing(gradients: Sequence[Vector]) -> str:
    """Why updates of no length may be right, where it is."""
    if coincidence.is_zero(_sum(gradients), gradients):
        return ": the gradients cancel each other."
    if coincidence.cancel(gradients):
        return ": some combination of the gradients is 0, so no direction makes every loss descend."
    return "."


def _draws(found: Sequence[Update], playground: Playground) -> None:
    random = [_title(one) for one in found if one.random]
    learning = [_title(one) for one in found if one.stateful]
    if random:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Draw again",
                icon=":material/casino:",
                on_click=_change,
                kwargs={"seed": (playground.seed + 1) % (MOST_SEED + 1)},
            )
            st.caption(
                f"{', '.join(random)}: drawn at random; this is one draw, of seed "
                f"{playground.seed}."
            )
    if learning:
        st.caption(
            f"{', '.join(learning)}: shown at the first step of a run; what these learn from one "
            "step changes the next."
        )


def _methods(playground: Playground) -> None:
    with st.expander("What the optimizers are", icon=":material/functions:"):
        for name in playground.methods or optimizers.names():
            rule = optimizers.rule(name)
            st.markdown(f"**{rule.title}.** {rule.about}")
            st.caption(f"Source: {rule.source}.")


def _title(one: Update) -> str:
    return optimizers.rule(one.name).title


def _sum(gradients: Sequence[Vector]) -> Vector:
    return sum(x for x, _ in gradients), sum(y for _, y in gradients)


def _effects(one: Update, playground: Playground) -> list[str]:
    gradients = playground.gradients
    if coincidence.is_zero(one.vector, gradients):
        return ["stands still"] * len(gradients)
    return [coincidence.effect(one.vector, gradient) for gradient in gradients]


def _relative(one: Update, playground: Playground) -> float:
    total = _sum(playground.gradients)
    if coincidence.is_zero(total, playground.gradients):
        return math.nan
    return math.hypot(*one.vector) / math.hypot(*total)


def _angle(one: Update, total: Vector, playground: Playground) -> float:
    gradients = playground.gradients
    if coincidence.is_zero(one.vector, gradients) or coincidence.is_zero(total, gradients):
        return math.nan
    return round(coincidence.angle(one.vector, total), 6)


main()
