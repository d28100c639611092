"""Which auxiliary task helps? A race of all candidates, live, or the matrix of all pairs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from mtl_core import RunConfig, settings
from mtl_core.analysis import race_looks
from mtl_core.charts import PICKED
from mtl_core.runs import Answers, look_ahead
from mtl_core.runs.library import look_aheads
from mtl_core.runs.library.answers import other_data
from mtl_core.runs.queue.launch import tend
from mtl_core.runs.race import Standing, contests
from mtl_core.views import foretelling, measures, which_auxiliary
from mtl_core.views.asking import doubt
from mtl_core.views.figures import which_auxiliary as drawn
from mtl_core.views.phrases import counted, escaped
from mtl_core.views.turns import in_turn
from mtl_core.views.which_auxiliary import RaceView
from pages.parts import (
    add_data,
    buttons,
    common,
    exports,
    figures,
    stage,
    state,
    transfer_matrix,
    visitors,
    words,
)

PAGE = state.Page("wa", RaceView.from_query)

TICK_SECONDS = 2.0
_FORETOLD = "Could it have been foretold?"
MOST_TOGGLES = 6
LOOK_TITLES = {"race": "One target", "pairs": "All pairs"}
_ON, _REFUSED, _NOT_AHEAD = "wa_on", "wa_refused", "wa_not_ahead"

HOW = """
**A race.** The target is trained with each candidate, with all of them together, and alone. All
start with few seeds. At each look, whoever cannot be the best any more is *out*, and seeds go to
those still *in the race*, until one is left (the *winner*), none can be better than the leader by
more than your margin (it is *chosen*, and the others *may be as good*), or the budget of seeds is
spent (*undecided*). Numbers change at looks only: what is trained meanwhile counts at the next one.

**How sure it is.** With 95 % probability both are true: none of the best is called out, and what is
chosen is within the margin of the best, whichever leads and however many looks there are.
That holds for one race; each race for one more auxiliary has its own 5 %. It goes by intervals that
hold together, which are wider than the ones that are drawn: these are of 95 %, each by itself.
Seeds have their start and batches in common, so differences are taken seed by seed; the spread of a
difference is that of its pair, moderated by that of all others, as two or three seeds tell little.

Sources: successive elimination (Even-Dar, Mannor & Mansour 2006) with Holm's step-down (1979),
alpha spending over looks (Lan & DeMets 1983) and a moderated t (Smyth 2004), tested by simulation.
"""


@common.errors_in_words
def main() -> None:
    view = PAGE.open()
    answers = common.answers()
    if answers.store is not None and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    if stage.shows("controls"):
        with st.sidebar:
            _controls(view)
    stage.title(view.title)
    PAGE.problems()
    PAGE.over()
    if view.look == "pairs":
        transfer_matrix.draw(PAGE, answers)
        return
    standings = contests(view.contest, answers, grow=view.grow)
    active = _active(standings)
    st.fragment(_live, run_every=TICK_SECONDS if active or _on(view, standings) else None)(
        answers, active
    )
    query = view.to_query()
    exports.offer("which_auxiliary", query, answers, title=view.title, ways=stage.FIGURE)
    if not active and stage.shows("looks"):
        _foretold(view, standings[0], answers)
    if not stage.shows("notes"):
        return
    lines = {other_data(one) for one in standings[0].answers.values() if one.done}
    for line in sorted(filter(None, lines)):
        words.tell("warning", f"Some of these runs: {line}")
    with st.expander("How a race is judged", icon=":material/menu_book:"):
        st.markdown(HOW)


# The question: changed by callbacks only.


def _controls(view: RaceView) -> None:
    setting = settings.get(view.setting)
    st.subheader("The question")
    st.segmented_control(
        "Look at",
        list(LOOK_TITLES),
        key=PAGE.widget("look", view.look),
        required=True,
        format_func=LOOK_TITLES.__getitem__,
        on_change=PAGE.take,
        args=("look",),
    )
    st.selectbox(
        "Setting",
        add_data.settings_offered(view.setting),
        key=PAGE.widget("setting", view.setting),
        format_func=lambda name: settings.get(name).title,
        on_change=_ask_setting,
        help=setting.description,
    )
    add_data.button(_ask_setting)
    st.segmented_control(
        "Budget",
        list(setting.presets),
        key=PAGE.widget("preset", view.preset),
        required=True,
        on_change=PAGE.take,
        args=("preset",),
        help="Of each run, as on What if.",
    )
    if view.look == "pairs":
        transfer_matrix.controls(PAGE)
    else:
        _race_controls(view, setting)


def _race_controls(view: RaceView, setting: settings.Setting) -> None:
    st.selectbox(
        "Target task",
        [task.name for task in setting.tasks],
        key=PAGE.widget("target", view.target),
        on_change=_ask_target,
        help="The task that is to generalize.",
    )
    st.multiselect(
        "Candidates",
        list(view.others),
        key=PAGE.widget("candidates", list(view.candidates)),
        placeholder=f"all {len(view.others)} other tasks",
        on_change=PAGE.take,
        args=("candidates", tuple),
    )
    unit = "pt" if measures.measure(view.setting, view.target).share else "hundredths"
    st.number_input(
        f"Margin in {unit}",
        min_value=0.0,
        max_value=1_000.0,
        step=0.5,
        key=PAGE.widget("margin", view.margin),
        on_change=_ask_margin,
        help="Differences up to this are worth nothing to you: the race ends when no candidate can "
        "be better than the leader by more. A wide margin makes it short.",
    )
    count = len(view.candidates or view.others) + 2  # alone and all together race too
    st.select_slider(
        "Seeds of each training, at most",
        sorted({*race_looks(count), view.most}),
        key=PAGE.widget("most", view.most),
        on_change=PAGE.take,
        args=("most",),
        help="Most candidates need two or three; those that are hard to tell apart get more.",
    )
    st.toggle(
        "Then add the next",
        key=PAGE.widget("grow", view.grow),
        on_change=PAGE.take,
        args=("grow",),
        help="When a race is decided, races for one more auxiliary beside what won, until nothing "
        "helps any more (greedy forward selection).",
    )


@PAGE.once_drawn
def _ask_setting(name: str = "") -> None:
    kept = {name: getattr(PAGE.view, name) for name in ("look", "most", "margin", "grow")}
    PAGE.put(replace(RaceView.default(name or st.session_state.wa_setting), **kept))


@PAGE.once_drawn
def _ask_target() -> None:
    PAGE.change(target=st.session_state.wa_target, candidates=())


@PAGE.once_drawn
def _ask_margin() -> None:
    PAGE.change(margin=float(PAGE.entered("margin", RaceView.margin)))


# Whether this visitor has a race going, which takes up the next look's runs by itself.


def _question(view: RaceView) -> tuple[Any, ...]:
    return (view.contest, view.grow)


def _on(view: RaceView, standings: Sequence[Standing]) -> bool:
    """A link starts nothing: a race goes on by itself where its visitor has started it."""
    told: tuple[tuple[Any, ...], bool] | None = st.session_state.get(_ON)
    if told is not None and told[0] == _question(view):
        return told[1]
    who = visitors.visitor()
    return any(
        record.active and record.visitor == who
        for answer in standings[-1].active
        for record in answer.records
    )


def _switch(*, on: bool) -> None:
    st.session_state[_ON] = (_question(PAGE.view), on)
    st.session_state.pop(_REFUSED, None)


def _active(standings: Sequence[Standing]) -> bool:
    return bool(standings[-1].active)


# The answer, which grows while runs are carried out.


@in_turn
@common.errors_in_words
def _live(answers: Answers, was_active: bool) -> None:
    view = PAGE.view
    if answers.store is not None and was_active and (problem := tend(answers.store)):
        words.tell("warning", problem, icon=":material/engineering:")
    standings = contests(view.contest, answers, grow=view.grow)
    on = _on(view, standings)
    if on and (new := standings[-1].next_runs):
        st.session_state[_REFUSED] = buttons.go_on(new, answers)  # there may be room later
        standings = contests(view.contest, answers, grow=view.grow)
    if was_active and not _active(standings):
        st.rerun()
    _answer(view, standings, answers)


def _answer(view: RaceView, standings: Sequence[Standing], answers: Answers) -> None:
    measure = measures.measure(view.setting, view.target)
    place = st.container()
    if stage.shows("buttons"):
        _actions(view, standings[-1], answers)
    if line := st.session_state.get(_REFUSED):
        words.tell("warning", f"The race waits: {line}.", icon=":material/weight:")
    if stage.shows("cards"):
        told = [which_auxiliary.sentence(one, measure) for one in standings]
        place.markdown(f"##### {told[0]}" if len(told) == 1 else "\n\n".join(told))
    for number in reversed(range(len(standings))):
        _race(view, standings, number)
    if stage.shows("table"):
        _numbers(view, standings)


def _actions(view: RaceView, standing: Standing, answers: Answers) -> None:
    def beside() -> None:
        if view.larger is not None and standing.race.outcome == "undecided":
            st.button(
                f"Up to {view.larger} seeds",
                icon=":material/library_add:",
                on_click=_more,
                args=(view.larger,),
                help="Adds budget. What was judged stays judged by the same rules.",
            )

    if standing.race.outcome != "racing":
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Run", icon=":material/check:", disabled=True)
            beside()
            st.caption(f"Over, after {counted(standing.race.spent, 'run')} that it looked at.")
    else:
        asked = which_auxiliary.asked(standing, answers)
        buttons.draw(
            asked,
            answers,
            ready=lambda: common.data_ready(view.setting, TICK_SECONDS),
            noun=("network", "to train for the next look", "runs"),
            beside=beside,
            started=lambda: _switch(on=True),
            stopped=lambda: _switch(on=False),
        )
        _estimate(standing, answers)
    if standing.failed:
        failed = sum(len(config.seeds) for config in standing.failed)
        line = f"{counted(failed, 'run')} failed, and left the race."
        words.tell("error", f"{line} {_why(standing)}", icon=":material/error:")
        st.button(
            "Try them again", icon=":material/refresh:", on_click=_retry, args=(standing, answers)
        )


def _why(standing: Standing) -> str:
    reasons = {reason for answer in standing.answers.values() for reason in answer.errors}
    return " ".join(sorted(reasons)[:1])


def _retry(standing: Standing, answers: Answers) -> None:
    st.session_state[_REFUSED] = buttons.go_on(standing.failed, answers)


def _more(seeds: int) -> None:
    PAGE.change(most=seeds)
    _switch(on=True)


def _estimate(standing: Standing, answers: Answers) -> None:
    done, count, share = which_auxiliary.progress(standing)
    if standing.active:
        look = standing.race.looks + 1
        st.progress(share, text=f"Look {look}: {done} of {counted(count, 'run')} are there")
    most, seconds = which_auxiliary.at_most(standing, answers)
    about = f", about {buttons.duration(seconds)}" if seconds else ""
    st.caption(
        f"At most {counted(most, 'run')} more{about}, if none of them drops out; of "
        f"{len(standing.answers) * standing.contest.most:,} with all seeds of all, "
        f"{standing.known:,} are known."
    )


def _race(view: RaceView, standings: Sequence[Standing], place: int) -> None:
    standing = standings[place]
    panel = drawn.leaderboard(view, standings, place)
    if panel.title:
        st.markdown(f"**{escaped(panel.title)}**")
    number = place + 1
    picked = figures.draw(
        panel.chart,
        key=f"wa_race_{number}_{standing.race.looks}",
        on_select="rerun",
        alt=panel.alt,
    )
    if number == 1:
        reference = which_auxiliary.called(standing, standing.contest.reference)
        stage.note(
            "ΔE: what the target's test metric, at the best validation epoch, gains over training "
            f"{escaped(reference)}. Bars are means over seeds, lines their 95 % intervals."
        )
    if stage.shows("notes"):
        _opened(standing, picked)


def _opened(standing: Standing, picked: Any) -> None:
    """A way to the curves of the bar that was clicked."""
    name = _picked(picked) or standing.race.leader or standing.contest.reference
    if name not in standing.answers:
        return
    st.page_link(
        "pages/what_if.py",
        label=f"The curves of {which_auxiliary.called(standing, name)} on What if",
        icon=":material/experiment:",
        query_params=which_auxiliary.question(standing, name).to_query(),
        help="Click a bar for another one's.",
    )


def _foretold(view: RaceView, standing: Standing, answers: Answers) -> None:
    """Cheap guesses of what helps, beside what was measured."""
    found = foretelling.guesses(standing, answers)
    if not found:
        if any(answer.done for answer in standing.answers.values()):
            with st.expander(_FORETOLD, icon=":material/online_prediction:"):
                st.caption(foretelling.TOO_FEW)
        return
    measure = measures.measure(view.setting, view.target)
    with st.expander(_FORETOLD, icon=":material/online_prediction:"):
        st.dataframe(foretelling.shown(found, measure), hide_index=True)
        for line in foretelling.notes(found):
            words.tell("caption", line)
        _look_ahead(view, standing, answers)
        st.caption(foretelling.CAPTION)
        st.caption("The same on the command line, and in a notebook as `mtl_core.foretell(…)`:")
        st.code(foretelling.command(view), language="bash", wrap_lines=True)


def _look_ahead(view: RaceView, standing: Standing, answers: Answers) -> None:
    """A way to compute what look-ahead affinity says, where that is not known."""
    joint = look_ahead.joint(standing.contest)
    if look_aheads.find(joint) is not None:
        return
    now = look_ahead.computing(joint)
    if now is not None and now.running:
        _ahead(joint, now.starter)
        return
    if now is not None and now.error:
        words.tell("error", now.error, icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Compute look-ahead affinity",
            icon=":material/play_arrow:",
            on_click=_start_ahead,
            args=(joint, answers),
        )
        seconds = look_ahead.estimate_seconds(joint, answers)
        about = f", about {buttons.duration(seconds)}" if seconds else ""
        st.caption(
            f"One run of {escaped(view.target)} with all "
            f"{counted(len(standing.contest.candidates), 'candidate')} together, "
            f"{counted(joint.epochs, 'epoch')}{about}."
        )
    if line := st.session_state.pop(_NOT_AHEAD, None):
        words.tell("warning", f"{line}.", icon=":material/weight:")
    common.data_ready(view.setting, TICK_SECONDS)


def _start_ahead(joint: RunConfig, answers: Answers) -> None:
    who = visitors.visitor()
    found = doubt([joint], answers, who, visitors.access())
    if found is not None and found.final:
        st.session_state[_NOT_AHEAD] = found.line
    elif line := look_ahead.start(joint, who):
        st.session_state[_NOT_AHEAD] = line


@st.fragment(run_every=TICK_SECONDS)
@in_turn
def _ahead(joint: RunConfig, starter: str) -> None:
    """How far it is, and a way to stop it for whoever may."""
    now = look_ahead.computing(joint)
    if now is None or not now.running:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        able = visitors.access().may_end(starter, visitors.visitor())
        st.button(
            "Stop looking ahead",
            icon=":material/stop:",
            disabled=not able,
            on_click=look_ahead.stop,
            args=(joint,),
            help=None if able else "Another visitor started it.",
        )
        st.progress(now.share, text=f"Looking ahead … {now.share:.0%}")


def _picked(event: Any) -> str | None:
    chosen = event.selection.get(PICKED) if event and event.selection else None
    return str(chosen[0]["key"]) if chosen and "key" in chosen[0] else None


def _numbers(view: RaceView, standings: Sequence[Standing]) -> None:
    measure = measures.measure(view.setting, view.target)
    with st.expander("All numbers", icon=":material/table:"):
        for standing in standings:
            rows = which_auxiliary.leaderboard(standing)
            shown = pd.DataFrame(
                {
                    "with": rows["name"],
                    "state": rows["state"],
                    "seeds": rows["seeds"],
                    "E": rows["metric"].map(measure.value),
                    "ΔE": rows["delta"].map(measure.delta),
                    "95 % interval": [
                        measures.between(low, high, measure) or "–"
                        for low, high in zip(rows["low"], rows["high"], strict=True)
                    ],
                    "worse than": rows["beaten_by"],
                }
            )
            st.dataframe(shown, hide_index=True)
        st.caption("The same race on the command line:")
        st.code(which_auxiliary.command(view), language="bash", wrap_lines=True)


main()
