"""Factors: does any factor of the trajectory explain transfer (M24, Fig. 3 and Table 1)?"""

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from mtl_core import analysis, factors, settings
from mtl_core.analysis import (
    TABLE_COLUMNS,
    TABLE_FACTORS,
    Aggregate,
    Comparison,
    FactorVerdict,
    PublishedRow,
    TableRow,
    Versus,
)
from mtl_core.charts import SHORT_X_TITLE, over_loss_alt, over_loss_chart
from mtl_core.direction import Direction
from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.published import PublishedTable, published_table
from mtl_core.views import comparisons
from mtl_core.views.comparisons import Pool
from mtl_core.views.factors import FactorsView
from mtl_core.views.generalization_gap import MOST_RUNS
from pages.parts import common, papers, state
from pages.parts.words import tell

KEY = "factors"
Page = state.Page[FactorsView]
HEADS = {
    "transfer": "ΔE",
    "sharpness": "Δ sharp.",
    "fisher_trace": "Δ Fisher",
    "gradient_covariance": "Δ cov.",
}
MARKS = {"better": ("green", "✓"), "worse": ("red", "✗"), "not significant": ("gray", "≈")}
AGGREGATES = {"bins": "at comparable loss", "footnote": "over the whole run"}
MOST_REASONS = 3  # that are written out for a factor
TITLES = {"cifar100": "CIFAR-100", "celeba": "CelebA", "cityscapes": "Cityscapes", "glue": "GLUE"}


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    pools = tuple(pool for pool in comparisons.pools(answers) if pool.tasks and pool.joints)
    page: Page = papers.page(KEY, FactorsView.from_query, pools, answers)
    view = page.find()
    st.title("Does any factor of the trajectory explain transfer?")
    papers.claim(
        "No factor is capable of explaining negative and positive transfer in any multi-task "
        "setting: sharpness, early Fisher information and gradient coherence change regardless of "
        "whether a task gains or loses.",
        "§4.1, Fig. 3, Table 1",
    )
    page.problems()
    printed = _published()
    if view is None:
        papers.nothing(
            "There is nothing measured to compare yet: it takes a finished run of a task alone and "
            "one of the same task with others, at one budget."
        )
        _others(printed, ())
        return
    pool = comparisons.find(pools, view.setting, view.budget)
    with st.sidebar:
        _controls(page, pool, pools)
    cases = {task: pool.cases(task, view.sets) for task in pool.tasks}
    cases = {task: runs for task, runs in cases.items() if runs}
    shown = [run for task, runs in cases.items() for run in (pool.singles[task], *runs)]
    rows = _rows(papers.versions(shown), view.setting, view.aggregate, cases, pool, answers)
    verdicts = analysis.table_verdicts(rows)
    papers.supported(analysis.table_support(verdicts), _words(rows, verdicts))
    _trajectories(view, pool, cases, verdicts, answers)
    _table(page, rows, printed, shown)
    _others(printed, (view.setting,) if printed and printed.of(view.setting) else ())
    runs = list({run.config.id: run for run in shown}.values())
    papers.computed(KEY, METHOD, runs, _frame(view, rows))


def _published() -> PublishedTable | None:
    try:
        return published_table()
    except InputError as error:
        tell("warning", str(error), icon=":material/broken_image:")
        return None


def _controls(page: Page, pool: Pool, pools: Sequence[Pool]) -> None:
    view = page.view
    st.subheader("The comparison")
    papers.place(page, pools)
    st.selectbox(
        "Task of the figure",
        pool.tasks,
        key=page.widget("task", view.task),
        on_change=page.take,
        args=("task",),
        help="Tasks that were trained alone and together with others at this budget.",
    )
    st.multiselect(
        "Trained together",
        list(pool.joints),
        key=page.widget("sets", list(view.sets or pool.usual)),
        format_func=lambda names: comparisons.joint_label(pool.setting, names),
        placeholder="the usual sets",
        on_change=page.take,
        args=("sets", tuple),
        help="Each set's run of the plain sum (UMTG) is compared with each task's own.",
    )
    st.segmented_control(
        "A factor is read",
        list(AGGREGATES),
        key=page.widget("aggregate", view.aggregate),
        required=True,
        format_func=AGGREGATES.__getitem__,
        on_change=page.take,
        args=("aggregate",),
        help="At comparable loss: the paper's App. C.4. Over the whole run: its footnote 7.",
    )


# Fig. 3: one task.


def _trajectories(
    view: FactorsView,
    pool: Pool,
    cases: Mapping[str, Sequence[Answer]],
    verdicts: Sequence[FactorVerdict],
    answers: Answers,
) -> None:
    task = view.task
    runs = list(cases.get(task, ()))[: MOST_RUNS - 1]
    named = comparisons.labels([pool.singles[task], *runs], task)
    rows = comparisons.trajectories(named, task, answers)
    styled = papers.curves(named, task)
    for place, found in zip(st.columns(3), verdicts, strict=True):
        title = factors.get(found.factor).title
        colour, icon = common.BADGES[found.outcome]
        with place:
            st.badge(f"{title} {found.outcome}", icon=icon, color=colour)  # type: ignore[arg-type]
            st.altair_chart(
                over_loss_chart(
                    rows,
                    styled,
                    column=found.factor,
                    task=task,
                    title=title,
                    log_y=True,
                    name=f"factors_{found.factor}",
                    x_title=SHORT_X_TITLE,
                ),
                key=f"factors_{view.setting}_{task}_{found.factor}",
                alt=over_loss_alt(styled, task=task, title=title),
            )
    st.caption(
        f"**{task}: which curve is lowest at equal training loss?** If a factor explained "
        "transfer, runs that generalize better than the single task would lie below it, and those "
        "that generalize worse above. Bands are ±2 standard deviations over seeds. The badges are "
        "about all tasks of the table below."
    )
    papers.source(named.values(), measuring=True)
    if runs:
        papers.ask_what_if(runs[0], task)


# Table 1.


@st.cache_data(max_entries=32, show_spinner=False)
def _rows(
    runs: tuple[object, ...],
    setting: str,
    aggregate: Aggregate,
    _cases: Mapping[str, Sequence[Answer]],
    _pool: Pool,
    _answers: Answers,
) -> list[TableRow]:
    found = []
    for task, together in _cases.items():
        named = comparisons.labels([_pool.singles[task], *together], task)
        table = comparisons.trajectories(named, task, _answers)
        base, *others = named
        direction = common.measure(setting, task).direction
        found += [
            analysis.table_row(
                table,
                Versus(task, other, base, direction),
                aggregate,
                name=f"{task} {other}" if len(others) > 1 else task,
            )
            for other in others
        ]
    return found


def _words(rows: Sequence[TableRow], verdicts: Sequence[FactorVerdict]) -> str:
    significant = [row for row in rows if row.significant]
    if not significant:
        return (
            f"None of the {len(rows)} transfers measured here is significant (±2 SD over seeds), "
            "so there is nothing to explain."
        )
    gains = sum(_verdict(row.deltas["transfer"]) == "better" for row in significant)
    able = [factors.get(one.factor).title for one in verdicts if one.outcome == "can explain"]
    told = f"{papers.listed(able)} can explain" if able else "no factor explains"
    many = _count(len(significant))
    words = f"Here **{told}** the {many} ({gains} better, {len(significant) - gains} worse)."
    if min(gains, len(significant) - gains) == 0:
        words += " Only transfers of both signs can tell a factor that explains them from one that "
        words += "always moves one way."
    return words


def _count(transfers: int) -> str:
    return "one significant transfer" if transfers == 1 else f"{transfers} significant transfers"


def _verdict(comparison: Comparison | None) -> str | None:
    return comparison.verdict if comparison else None


def _table(
    page: Page,
    rows: Sequence[TableRow],
    printed: PublishedTable | None,
    runs: Sequence[Answer],
) -> None:
    view = page.view
    st.subheader("Table 1, rebuilt")
    theirs = printed.of(view.setting) if printed else ()
    st.toggle(
        "Show tasks without significant transfer too",
        key=page.widget("every", view.every),
        on_change=page.take,
        args=("every",),
        help="The paper's table has significant ones only. What it has printed always shows.",
    )
    known = [row.task for row in theirs]
    shown = [row for row in rows if view.every or row.significant or row.task in known]
    # The paper's rows first and in its order, so that the two tables can be read across.
    shown.sort(key=lambda row: known.index(row.task) if row.task in known else len(known))
    left, right = st.columns(2) if theirs else (st.container(), None)
    with left:
        _ours(view, shown, len(rows))
        papers.source(runs, measuring=True)
    if right is not None and printed is not None:
        with right:
            _printed(theirs, "as printed")
        _agreement(rows, theirs)
    _reasons(rows)
    st.caption(
        "ΔE: transfer, in percentage points where it is a share; Δ of sharpness, Fisher trace and "
        "gradient covariance. "
        "✓ better, ✗ worse, ≈ not significant (±2 standard deviations over seeds overlap); a "
        "factor is better when it falls. The paper's rule: for a factor to explain transfer in a "
        "setting, every ✓ of ΔE must come with its ✓, and every ✗ with its ✗."
    )


def _reasons(rows: Sequence[TableRow]) -> None:
    for verdict in analysis.table_verdicts(rows):
        if verdict.reasons:
            title = factors.get(verdict.factor).title
            more = len(verdict.reasons) - MOST_REASONS
            last = f"; and {more} more" if more > 0 else ""
            reasons = "; ".join(verdict.reasons[:MOST_REASONS])
            st.caption(f"**{title}** {verdict.outcome}: {reasons}{last}.")


def _ours(view: FactorsView, rows: Sequence[TableRow], count: int) -> None:
    st.markdown(f"**Ours**, {settings.get(view.setting).title}, {AGGREGATES[view.aggregate]}")
    if not rows:
        st.caption(f"None of the {count} transfers measured here is significant.")
        return
    cells = [
        {
            "task": _plain(row.name) if row.significant else f":gray[{_plain(row.name)}]",
            **{
                HEADS[column]: _cell(
                    row.deltas[column],
                    common.measure(view.setting, row.task) if column == "transfer" else None,
                )
                for column in TABLE_COLUMNS
            },
        }
        for row in rows
    ]
    st.table(pd.DataFrame(cells), border="horizontal", hide_index=True)


def _cell(found: Comparison | None, measure: common.Measure | None) -> str:
    if found is None:
        return ":gray[not measured]"
    written = measure.delta(found.delta) if measure else papers.number(found.delta)
    colour, mark = MARKS.get(found.verdict, ("gray", "(one seed)"))
    # Four of them and a task have to fit on a phone.
    return f":{colour}-background[{written.removesuffix(' pt').replace('-', '−')}\u202f{mark}]"


def _plain(name: str) -> str:
    """A row's name, which a narrow column can break."""
    return name.replace("_", " ")


def _printed(rows: Sequence[PublishedRow], what: str) -> None:
    st.markdown(f"**The paper's**, {what}")
    cells = [
        {
            "task": row.title,
            HEADS["transfer"]: _sign(row.deltas["transfer"], row.direction),
            **{
                HEADS[name]: _sign(row.deltas[name], factors.get(name).direction)
                for name in TABLE_FACTORS
            },
        }
        for row in rows
    ]
    st.table(pd.DataFrame(cells), border="horizontal", hide_index=True)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge("published", icon=":material/menu_book:", color="violet")
    st.caption(
        "Mueller, Dredze & Andrews 2024, Table 1. Colours are signs only, as the table's shading "
        "(significance) is not in the text that we have. Units are the paper's."
    )


def _sign(delta: float, direction: Direction) -> str:
    better = (delta > 0) == (direction == "higher")
    colour = "gray" if not delta else "green" if better else "red"
    written = f"{delta:+,.2f}" if abs(delta) >= 0.01 else f"{delta:+.3g}"
    return f":{colour}[{written.replace('-', '−')}]"


def _agreement(rows: Sequence[TableRow], theirs: Sequence[PublishedRow]) -> None:
    counts = analysis.agreement(rows, theirs)
    st.markdown("**Do the signs agree?**")
    cards = st.container(horizontal=True)
    for one in counts:
        cards.metric(
            HEADS[one.column],
            f"{one.agree} of {one.of}",
            delta=f"{one.significant_agree} of {one.significant_of} significant",
            delta_color="gray",
            delta_arrow="off",
            border=True,
        )
    missing = [row.title for row in theirs if row.task not in {one.task for one in rows}]
    st.caption(
        "Rows of the paper's table that were measured here too, and have the same sign: all of "
        "them, and those whose own Δ is significant."
        + (f" Not measured here: {papers.listed(missing)}." if missing else "")
    )


def _others(printed: PublishedTable | None, measured: Sequence[str]) -> None:
    """Settings of the paper's table that are not beside ours above."""
    others = [name for name in printed.settings if name not in measured] if printed else []
    if printed is None or not others:
        return
    st.subheader("Table 1, published only")
    for name in others:
        rows = printed.of(name)
        title = settings.get(name).title if name in settings.names() else TITLES.get(name, name)
        verdicts = [analysis.published_verdict(factor, rows) for factor in TABLE_FACTORS]
        refuted = [factors.get(one.factor).title for one in verdicts if one.refuted_by]
        allowed = [factors.get(one.factor).title for one in verdicts if not one.refuted_by]
        with st.expander(f"{title}, {len(rows)} tasks", icon=":material/menu_book:"):
            _printed(rows, title)
            words = f"Even without the shading, the signs rule out {papers.listed(refuted)}."
            if allowed:
                words += f" They alone do not rule out {papers.listed(allowed)}."
            st.markdown(words)
    for note in printed.manifest.get("notes", ()):
        tell("caption", note)


def _frame(view: FactorsView, rows: Sequence[TableRow]) -> pd.DataFrame:
    """The table in numbers."""
    return pd.DataFrame(
        {
            "setting": view.setting,
            "aggregate": view.aggregate,
            "task": row.task,
            "row": row.name,
            "column": column,
            "delta": found.delta if found else None,
            "multi_task": found.mean if found else None,
            "single_task": found.baseline_mean if found else None,
            "margin": found.margin if found else None,
            "verdict": _verdict(found),
        }
        for row in rows
        for column, found in row.deltas.items()
    )


METHOD = r"""
A row holds a task's multi-task run against its single-task run at the same budget: mean over seeds
minus mean over seeds. The multi-task run follows the sum of task gradients (UMTG) of the tasks
named; the task may be its target or an auxiliary, whose factors were then measured too.

**ΔE** is footnote 7's in both readings: the test metric of a seed is its mean at the 10 best
validation checkpoints.

**At comparable loss** (App. C.4): 20 geometrically spaced bins of the training loss, on the
trajectory with the higher minimum loss. The Fisher trace is read in bins 2–5, sharpness and
gradient covariance ("coherence") in bins 18–20, both runs inside the same range of loss; a seed
without a measurement inside is read between those around it.

**Over the whole run** (footnote 7): sharpness and covariance are the mean of the last 20
measurements, the Fisher trace that of the 20 largest, or of all where there are fewer.

**Significant**: the intervals mean ± 2 standard deviations over seeds do not overlap.

**Can a factor explain?** Significant positive transfer must come with a significant decrease of the
factor, negative transfer with an increase, for every significant row; one that does not, refutes
it. We *support* the claim where every factor is refuted, *do not support* it where one is not, and
have *not enough* where no transfer is significant.

Source: Mueller, Dredze & Andrews 2024, §4.1, footnote 7, App. C.4, Table 1.
"""


main()
