"""Generalization gap: does transfer show early, at equal training loss (M24, Fig. 1, 2, 6–10)?"""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mtl_core import analysis
from mtl_core.analysis import EARLY_LOSS, GapCase
from mtl_core.charts import SHORT_X_TITLE
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import comparisons, measures
from mtl_core.views import generalization_gap as views
from mtl_core.views.comparisons import Pool
from mtl_core.views.figures import generalization_gap as drawn
from mtl_core.views.generalization_gap import MOST_RUNS, GapView
from mtl_core.views.measures import Measure
from pages.parts import common, exports, figures, papers, stage, state

KEY = "gap"
Page = state.Page[GapView]


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    pools = tuple(pool for pool in comparisons.pools(answers) if pool.tasks)
    page: Page = papers.page(KEY, GapView.from_query, pools, answers)
    view = page.find()
    stage.title(drawn.TITLE)
    papers.claim(
        "When multi-task training changes how well a task generalizes, the change arises early in "
        "training, as a gap between single-task and multi-task trajectories at comparable training "
        "loss, and is maintained throughout the rest of optimization.",
        "§3, Fig. 1, 2, 6–10",
    )
    page.problems()
    if view is None:
        papers.nothing(
            "There is nothing to compare yet: it takes a finished run of a task alone and one of "
            "the same task with others, at one budget."
        )
        return
    pool = comparisons.find(pools, view.setting, view.budget)
    chosen, against = drawn.runs(view, pool)
    if stage.shows("controls"):
        with st.sidebar:
            _controls(page, pool, pools, chosen)
    named = drawn.named(view, chosen, against)
    if stage.now().show == "figure":
        _figure(view, named, answers)
        return
    usual = {task: pool.cases(task) for task in pool.tasks}
    every = [run for task in pool.tasks for run in (pool.singles[task], *usual[task])]
    cases = _cases(papers.versions(every), pool, answers)
    found = analysis.early_verdict([case for case, _ in cases])
    papers.finding(found.outcome, views.reason(found))
    judged = analysis.judged_cases([case for case, _ in cases])
    cases = [(case, task) for case, (_, task) in zip(judged, cases, strict=True)]
    _figure(view, named, answers)
    exports.offer("generalization_gap", view.to_query(), answers, title=drawn.TITLE)
    if stage.shows("cards"):
        _cards(view, named, answers)
    if chosen:
        papers.ask_what_if(next(iter(chosen.values())), view.task)
    if len(pool.tasks) > 1 and stage.shows("looks"):
        _multiples(pool, usual, cases, answers)
    if stage.shows("table"):
        _table(view.setting, cases)
    shown = list({run.config.id: run for run in (*every, *named.values())}.values())
    papers.computed(KEY, METHOD, shown, views.frame(cases))


def _there(pool: Pool, task: str) -> list[Answer]:
    return [pool.singles[task], *pool.together(task)]


def _controls(page: Page, pool: Pool, pools: Sequence[Pool], chosen: Mapping[str, Answer]) -> None:
    view = page.view
    st.subheader("The comparison")
    papers.place(page, pools)
    own = page.widget("task", view.task)
    st.selectbox(
        "Task",
        pool.tasks,
        key=own,
        on_change=lambda: page.change(task=st.session_state[own], runs=(), against=""),
        help="Tasks that were trained alone and together with others at this budget.",
    )
    named = comparisons.labels(_there(pool, view.task), view.task)
    names = {run.config.id: name for name, run in named.items()}
    st.multiselect(
        "Runs",
        list(names),
        key=page.widget("runs", [run.config.id for run in chosen.values()]),
        format_func=lambda run: names.get(run, run),
        max_selections=MOST_RUNS,
        placeholder="the usual ones",
        on_change=page.take,
        args=("runs", tuple),
        help="Any of the task's runs at this budget; colour says what the other tasks are.",
    )
    st.selectbox(
        "Against",
        list(names),
        key=page.widget("against", view.against or pool.singles[view.task].config.id),
        format_func=lambda run: names.get(run, run),
        on_change=page.take,
        args=("against",),
        help="What they are compared with: the task alone, or any other run.",
    )


# The chosen task.


def _figure(view: GapView, named: Mapping[str, Answer], answers: Answers) -> None:
    size = stage.heights(380)
    panel = drawn.panel(view.setting, view.task, named, answers, name="gap_hero", **size)
    figures.draw(
        panel.chart,
        key=f"gap_hero_{view.setting}_{view.task}",
        of=(papers.versions(named.values()), *size),
        alt=panel.alt,
    )
    stage.note(
        f"**{view.task}: where do the curves part, and do they meet again?** At one place on the "
        "loss axis all networks fit their training data equally well. Bands are ±2 standard "
        "deviations over seeds."
    )
    papers.source(named.values())


def _cards(view: GapView, named: Mapping[str, Answer], answers: Answers) -> None:
    """Transfer and onset of each drawn run."""
    measure = measures.measure(view.setting, view.task)
    place = st.container(horizontal=True)
    for case in drawn.cases(view, named, answers):
        _card(place, case.name, case, measure)


def _card(cards: DeltaGenerator, name: str, case: GapCase, measure: Measure) -> None:
    cards.metric(
        f"{name}: transfer ΔE",
        measure.delta(case.transfer.delta if case.transfer else None),
        border=True,
        help="The difference in E, a run's test metric at its best validation epoch. "
        f"{common.sureness(case.transfer)}",
        **common.verdict(case.transfer, measure),
    )
    place, since = "–", "not significant at the end"
    if opened := case.onset:
        place = f"L = {opened.train_loss:.2g}"
        since = f"{opened.verdict} since epoch {opened.epoch:.2g}"
    cards.metric(
        f"{name}: gap opens at",
        place,
        delta=since,
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help="The first training loss from which on the gap at equal loss is there, in every half "
        f"decade down to the lowest loss. Above L = {EARLY_LOSS:g} it counts as early.",
    )


# All tasks of the budget.


@st.cache_data(max_entries=32, show_spinner=False)
def _cases(runs: tuple[object, ...], _pool: Pool, _answers: Answers) -> list[tuple[GapCase, str]]:
    """Every task against its single-task run, with the task's name."""
    found = views.sides(_pool, _answers)
    return [(case, side.task) for case, side in zip(views.cases(found), found, strict=True)]


def _multiples(
    pool: Pool,
    usual: Mapping[str, Sequence[Answer]],
    cases: Sequence[tuple[GapCase, str]],
    answers: Answers,
) -> None:
    st.subheader("Every task")
    places = [place for _ in range(0, len(pool.tasks), 3) for place in st.columns(3)]
    for place, task in zip(places, pool.tasks, strict=False):
        measure = measures.measure(pool.setting.name, task)
        own = [case for case, name in cases if name == task]
        place.markdown(f"**{task}** {_mark(own, measure)}")
        runs = [pool.singles[task], *usual[task][: MOST_RUNS - 1]]
        panel = drawn.panel(
            pool.setting.name,
            task,
            comparisons.labels(runs, task),
            answers,
            height=180,
            name=f"gap_{task}",
            x_title=SHORT_X_TITLE,
        )
        figures.draw(
            panel.chart,
            key=f"gap_{pool.setting.name}_{task}",
            of=papers.versions(runs),
            place=place,
            alt=panel.alt,
        )
    st.caption(
        "Each task alone and together with others, at one budget. Blue: a significant transfer "
        f"whose gap opens early, above L = {EARLY_LOSS:g}, and stays; orange: one whose gap "
        "certainly opens later; grey: no significant transfer, or not certain."
    )
    papers.source([run for task in pool.tasks for run in (pool.singles[task], *usual[task])])


def _mark(cases: Sequence[GapCase], measure: Measure) -> str:
    """Transfer and onset of a task in few words, the most telling case first."""
    ranked = sorted(cases, key=lambda case: (not case.significant, not case.early))
    if not ranked or ranked[0].transfer is None:
        return ":gray-badge[not known]"
    case = ranked[0]
    colour = "blue" if case.early else "orange" if case.late else "gray"
    opens = f", from L = {case.onset.train_loss:.2g}" if case.onset else ""
    return f":{colour}-badge[{measure.delta(ranked[0].transfer.delta)}{opens}]"


def _table(setting: str, cases: Sequence[tuple[GapCase, str]]) -> None:
    rows = []
    for case, task in cases:
        measure = measures.measure(setting, task)
        rows.append(
            {
                "task": case.name,
                "transfer ΔE": measure.delta(case.transfer.delta if case.transfer else None),
                "95 % interval": (measures.interval(case.transfer, measure) or "–")
                if case.transfer
                else "–",
                "ΔE is": case.transfer.verdict if case.transfer else "not known",
                "by ±2 SD": case.transfer.paper if case.transfer else "–",
                "gap opens at L": f"{case.onset.train_loss:.3g}" if case.onset else "–",
                "epoch": f"{case.onset.epoch:.3g}" if case.onset else "–",
                "share of the way": f"{case.share:.0%}" if case.onset else "–",
                "lowest L of both": f"{case.lowest:.3g}",
                "opens early": views.early(case),
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="gap_table")


METHOD = r"""
**Trajectories.** A point of the figure is a checkpoint: the *full* training loss $L_k$ of the task
and its test metric $E_k$, means over seeds; lines and bands (±2 standard deviations) are read at
equal loss, linearly in log loss along the running minimum. A task's multi-task trajectory may be
that of a run in which it is an auxiliary: the sum of task gradients does not know which task is the
target. Single-task and multi-task runs of one budget take the same number of steps on the same
examples of the task.

**Transfer** $\Delta E_k = E_k(\text{MTL}) - E_k(\text{STL})$, where $E_k$ of a run is its test
metric at its best validation epoch. **Significant**: the 95 % t interval of the difference leaves
out 0, seed by seed over the seeds that both runs have (Welch's interval where they have others),
after Holm's correction for all comparisons of the page. The paper's rule, that mean ± 2 standard
deviations over seeds do not overlap, is beside it.

**Where a gap opens.** Both runs are read at 20 levels of loss a decade, from the highest to the
lowest that every seed of both passed through. The gap at the lowest level must be significant; then
half decades are judged from there upwards, by the mean gap of each seed over their levels, until
the first that is not significant or has the other sign. Tests in a fixed order of which the first
failure ends all need no correction.

**Early**: a gap of the transfer's sign opens above $L = 0.1$, and stays; the paper says "as early
as $10^0$ or $10^{-1}$". Only transfers whose runs both come down to $L = 0.01$ can tell early from
late. *Late*: the mean gap down to $L = 0.1$ certainly is less than half of the gap at the end. The
runs *agree* where every transfer that can tell opens early, *disagree* where one opens late, and
*cannot tell* otherwise. *Share of the way*: how much of the way down in log loss lies before the
onset.

Source: Mueller, Dredze & Andrews 2024, §3, Fig. 1, 2, 6–10.
"""


main()
