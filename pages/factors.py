"""Factors: does any factor of the trajectory explain transfer (M24, Fig. 3 and Table 1)?"""

import math
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from mtl_core import analysis, factors, settings
from mtl_core.analysis import (
    FEWEST_EPOCHS,
    MOST_NEEDED,
    TABLE_COLUMNS,
    TABLE_FACTORS,
    Aggregate,
    Comparison,
    FactorVerdict,
    PublishedRow,
    TableRow,
)
from mtl_core.direction import Direction
from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.published import PublishedTable, published_table
from mtl_core.views import comparisons, explaining, measures
from mtl_core.views import factors as views
from mtl_core.views.comparisons import Pool
from mtl_core.views.factors import FactorsView
from mtl_core.views.figures import factors as drawn
from mtl_core.views.measures import Measure
from mtl_core.views.phrases import brief, counted, family, listed, number
from pages.parts import common, exports, figures, papers, stage, state
from pages.parts.words import escaped, tell

KEY = "factors"
Page = state.Page[FactorsView]
HEADS = {
    "transfer": "ΔE",
    "sharpness": "Δ sharp.",
    "fisher_trace": "Δ Fisher",
    "gradient_covariance": "Δ cov.",
}
MARKS = {"better": "✓", "worse": "✗", "not significant": "≈", "too few seeds": "?"}
COLOURS = {"better": "green", "worse": "red"}
TITLES = {"cifar100": "CIFAR-100", "celeba": "CelebA", "cityscapes": "Cityscapes", "glue": "GLUE"}


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    pools = tuple(pool for pool in comparisons.pools(answers) if pool.tasks and pool.joints)
    page: Page = papers.page(KEY, FactorsView.from_query, pools, answers)
    view = page.find()
    stage.title(drawn.TITLE)
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
    if stage.shows("controls"):
        with st.sidebar:
            _controls(page, pool, pools)
    cases = views.chosen(pool, view.sets)
    if stage.now().show == "figure":
        _figure(view, pool, cases, answers)
        return
    shown = [run for task, runs in cases.items() for run in (pool.singles[task], *runs)]
    rows, counts = _rows(papers.versions(shown), view.aggregate, cases, pool, answers)
    judged = analysis.judged_rows(rows)
    verdicts = analysis.table_verdicts(rows)  # judges the rows itself
    epochs = pool.budget.epochs
    if view.aggregate == "footnote" and epochs < FEWEST_EPOCHS:
        papers.finding("cannot tell", papers.too_short(epochs))
    else:
        moved = [row.deltas["transfer"] for row in judged]
        papers.finding(analysis.factor_support(verdicts), explaining.reason(moved, verdicts))
        if stage.shows("cards"):
            _verdicts(rows, verdicts)
    _figure(view, pool, cases, answers)
    exports.offer("factors", view.to_query(), answers, title=drawn.TITLE)
    if stage.shows("table"):
        _table(page, judged, counts, printed, shown)
        _others(printed, (view.setting,) if printed and printed.of(view.setting) else ())
    runs = list({run.config.id: run for run in shown}.values())
    papers.computed(KEY, METHOD, runs, views.frame(view, judged))


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
    papers.reading(page, pool.budget.epochs)


# Whether a factor can explain all transfers.


def _verdicts(rows: Sequence[TableRow], verdicts: Sequence[FactorVerdict]) -> None:
    for found in verdicts:
        with st.container(horizontal=True, vertical_alignment="center"):
            common.factor_badge(found)
            if why := papers.of_its_own(found, verdicts):
                tell("caption", why)
    judged = max(one.judged for one in verdicts)
    if judged:
        st.caption(
            "Positive transfer must come with a decrease of the factor, negative transfer with an "
            "increase. All changes of factors in the significant transfers are judged together"
            f"{family(judged)}; that no change was found rules out nothing."
        )
    st.caption(_by_the_paper(rows))


def _by_the_paper(rows: Sequence[TableRow]) -> str:
    """What the paper's own rule makes of the rows."""
    cases = analysis.table_cases(rows)
    significant = sum(case.transfer.paper in ("better", "worse") for case in cases)
    words = "**The paper's own rule** (±2 SD; a factor without significant change is refuted too): "
    if not significant:
        return f"{words}none of {counted(len(rows), 'transfer')} is significant."
    told = []
    for name in TABLE_FACTORS:
        against = analysis.paper_verdict(name, cases)
        title = factors.get(name).title
        if against is None:
            told.append(f"{title} is not known for every one")
        elif against:
            told.append(f"{title} is refuted by {escaped(_some(against))}")
        else:
            told.append(f"nothing refutes {title}")
    return f"{words}{significant} of {len(rows)} transfers significant; {'; '.join(told)}."


def _some(names: Sequence[str]) -> str:
    more = len(names) - papers.MOST_REASONS
    return listed([*names[: papers.MOST_REASONS], *([f"{more} more"] if more > 0 else [])])


def _judged(rows: Sequence[TableRow], column: str) -> int:
    """How many of a column's differences are judged together."""
    known = [row.deltas[column] for row in rows]
    return max((one.family for one in known if one and not math.isnan(one.p)), default=0)


# Fig. 3: one task.


def _figure(
    view: FactorsView,
    pool: Pool,
    cases: Mapping[str, Sequence[Answer]],
    answers: Answers,
) -> None:
    task, named = view.task, drawn.named(view, pool, cases)
    panels = zip(st.columns(3), TABLE_FACTORS, drawn.panels(task, named, answers), strict=True)
    for place, factor, panel in panels:
        with place:
            st.markdown(f"**{panel.title}**", help=brief(factor))
            figures.draw(
                panel.chart,
                key=f"factors_{view.setting}_{task}_{factor}",
                of=papers.versions(named.values()),
                alt=panel.alt,
            )
    stage.note(
        f"**{task}: which curve is lowest at equal training loss?** If a factor explained "
        "transfer, runs that generalize better than the single task would lie below it, and those "
        "that generalize worse above. Bands are ±2 standard deviations over seeds."
    )
    papers.source(named.values(), measuring=True)
    if others := list(named.values())[1:]:
        papers.ask_what_if(others[0], task)


# Table 1.


@st.cache_data(max_entries=32, show_spinner=False)
def _rows(
    runs: tuple[object, ...],
    aggregate: Aggregate,
    _cases: Mapping[str, Sequence[Answer]],
    _pool: Pool,
    _answers: Answers,
) -> tuple[list[TableRow], dict[str, int]]:
    """The rows of all tasks; and for footnote 7, over how many epochs it averages at least."""
    return views.rows(_pool, _cases, aggregate, _answers)


def _table(
    page: Page,
    rows: Sequence[TableRow],
    counts: Mapping[str, int],
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
        help="The paper's table has significant ones only: here those of either rule, and what it "
        "has printed.",
    )
    known = [row.task for row in theirs]
    shown = [row for row in rows if view.every or _either(row) or row.task in known]
    # The paper's rows first and in its order, so that the two tables can be read across.
    shown.sort(key=lambda row: known.index(row.task) if row.task in known else len(known))
    left, right = st.columns(2) if theirs else (st.container(), None)
    known_any = any(one is not None for row in rows for one in row.deltas.values())
    with left:
        if known_any:
            _ours(view, shown, f"No significant transfer among {len(rows)}.")
        else:
            _ours(view, (), "No numbers in this reading.")
        papers.source(runs, measuring=True)
    if right is not None and printed is not None:
        with right:
            _printed(theirs, "as printed")
        _agreement(rows, theirs)
    if not known_any:
        return
    st.caption(
        "ΔE: transfer, in percentage points where it is a share; Δ of sharpness, Fisher trace and "
        "gradient covariance, of which lower is better. The first mark decides: ✓ better, ✗ worse, "
        "≈ no change found, – not known at comparable loss, though measured elsewhere; by the 95 % "
        "interval of the difference over seeds, each column judged together "
        f"({_families(rows)}). **2SD**: the paper's rule, that mean ± 2 standard deviations do not "
        "overlap."
    )
    st.caption(_counted(rows) if view.aggregate == "bins" else _averaged(counts))
    if shown:
        _details(view, shown)


def _either(row: TableRow) -> bool:
    """Whether a row's transfer is significant by ours or by the paper's rule."""
    moved = row.deltas["transfer"]
    return moved is not None and (moved.significant or moved.paper in ("better", "worse"))


def _families(rows: Sequence[TableRow]) -> str:
    counts = {HEADS[column]: _judged(rows, column) for column in TABLE_COLUMNS}
    sizes = {head: size for head, size in counts.items() if size}
    if len(set(sizes.values())) < 2:
        return f"Holm's correction for {max(sizes.values(), default=0)}"
    return f"Holm's correction for {', '.join(f'{size} of {head}' for head, size in sizes.items())}"


def _counted(rows: Sequence[TableRow]) -> str:
    """How many measurements the values at comparable loss are made of."""
    told = []
    for name in TABLE_FACTORS:
        found = [one for row in rows if (one := row.binned[name]) is not None]
        if not found:
            continue
        fewest = min(min(one.measurements) for one in found)
        most = max(max(one.measurements) for one in found)
        read = sum(one.interpolated for one in found)
        values = sum(len(one.measurements) for one in found)
        told.append(
            f"{factors.get(name).title} {fewest if fewest == most else f'{fewest} to {most}'} a "
            f"seed, {read} of {values} values read between two checkpoints"
        )
    return f"**Measurements in the bins**: {'; '.join(told) or 'none'}."


def _averaged(counts: Mapping[str, int]) -> str:
    """Over how many epochs footnote 7 averages here."""
    told = [f"{HEADS[column]} {least}" for column, least in counts.items()]
    return f"**Epochs that footnote 7 averages here**, at least: {', '.join(told)}."


def _details(view: FactorsView, rows: Sequence[TableRow]) -> None:
    title = "Intervals, and measurements in the bins"
    with st.expander(title, icon=":material/straighten:"):
        lines = [
            _line(view, row, column, found)
            for row in rows
            for column in TABLE_COLUMNS
            if (found := row.deltas[column]) is not None
        ]
        st.dataframe(pd.DataFrame(lines), hide_index=True, key="factors_details")
        st.caption(
            "The factor of a seed is its mean over the measurements inside the range of loss; "
            "*fewest* is of all seeds of both runs. A seed without any there is read between the "
            "checkpoints around it. More seeds: about how many would settle a difference as large "
            "as this, were it the only one."
        )


def _line(view: FactorsView, row: TableRow, column: str, found: Comparison) -> dict[str, object]:
    measure = measures.measure(view.setting, row.task)
    factor = column in TABLE_FACTORS

    def write(value: float) -> str:
        said = number(value) if factor else measure.delta(value)
        return said.replace("-", "−")

    known = math.isfinite(found.low) and math.isfinite(found.high)
    binned = row.binned.get(column)
    return {
        "row": _plain(row.name),
        "Δ of": factors.get(column).title if factor else measure.title,
        "Δ": write(found.delta),
        "95 % interval": f"{write(found.low).removesuffix(' pt')} … {write(found.high)}"
        if known
        else "–",
        "p (Holm)": f"{found.p:.2g}" if not math.isnan(found.p) else "–",
        "is": found.verdict,
        "by ±2 SD": found.paper,
        "seeds": f"{found.pairs} pairs"
        if found.pairs
        else f"{found.seeds} and {found.baseline_seeds}",
        "more seeds": _more_seeds(found),
        "range of loss": f"{binned.loss_high:.2g} … {binned.loss_low:.2g}" if binned else "–",
        "measurements, fewest": str(min(binned.measurements)) if binned else "–",
        "read between": f"{binned.interpolated} of {len(binned.measurements)}" if binned else "–",
    }


def _more_seeds(found: Comparison) -> str:
    """About how many more would settle a difference, were it the only one."""
    more = found.more_seeds
    if more is None:
        return "–"
    if found.low > 0 or found.high < 0:
        return "none, alone"
    return f"{more:,}" if more < MOST_NEEDED else f"{MOST_NEEDED:,} +"


def _ours(view: FactorsView, rows: Sequence[TableRow], otherwise: str) -> None:
    st.markdown(
        f"**Ours**, {settings.get(view.setting).title}, {papers.AGGREGATES[view.aggregate]}"
    )
    if not rows:
        st.caption(otherwise)
        return
    cells = [
        {
            "task": _name(row),
            **{
                HEADS[column]: _cell(
                    row.deltas[column],
                    measures.measure(view.setting, row.task) if column == "transfer" else None,
                )
                for column in TABLE_COLUMNS
            },
        }
        for row in rows
    ]
    st.table(pd.DataFrame(cells), border="horizontal", hide_index=True)


def _cell(found: Comparison | None, measure: Measure | None) -> str:
    """A difference with the mark that decides, and the paper's, which a phone puts below it."""
    if found is None:
        return ":gray[–]"
    written = measure.delta(found.delta) if measure else number(found.delta)
    written = written.removesuffix(" pt").replace("-", "−")
    colour = COLOURS.get(found.verdict, "gray")
    paper = f":gray[:small[2SD\u00a0{MARKS[found.paper]}]]"
    return f":{colour}-background[:small[{written}{MARKS[found.verdict]}]] {paper}"


def _name(row: TableRow) -> str:
    small = f":small[{_plain(row.name)}]"
    return small if row.significant else f":gray[{small}]"


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
        + (f" Not measured here: {listed(missing)}." if missing else "")
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
        against = {name: analysis.published_refuted(name, rows) for name in TABLE_FACTORS}
        refuted = [factors.get(name).title for name, by in against.items() if by]
        allowed = [factors.get(name).title for name, by in against.items() if not by]
        with st.expander(f"{title}, {len(rows)} tasks", icon=":material/menu_book:"):
            _printed(rows, title)
            words = (
                "By the paper's rule, whatever the shading, the printed signs rule out "
                f"{listed(refuted)}."
                if refuted
                else ""
            )
            if allowed:
                words += f" Signs alone do not rule out {listed(allowed)}."
            st.markdown(words.strip())
    for note in printed.manifest.get("notes", ()):
        tell("caption", note)


METHOD = r"""
A row holds a task's multi-task run against its single-task run at the same budget: mean over seeds
minus mean over seeds. The multi-task run follows the sum of task gradients (UMTG) of the tasks
named; the task may be its target or an auxiliary, whose factors were then measured too.

**At comparable loss** (App. C.4): E of a run is its test metric at its best validation epoch, and
factors are read in 20 geometrically spaced bins of the training loss, on the trajectory with the
higher minimum loss: the Fisher trace in bins 2–5, sharpness and gradient covariance ("coherence")
in bins 18–20, both runs inside the same range of loss. A seed without a measurement inside is read
between those around it. Only whole epochs count.

**By footnote 7**: E is the mean test metric of the 10 best validation epochs, sharpness and
covariance are the mean of the last 20 epochs, the Fisher trace that of the 20 largest values. The
paper trains for 100 epochs. On a short run these are means over the whole way, and say how fast a
task is learned; so they are offered for runs of 50 whole epochs and more.

**Better, worse**: the 95 % t interval of the difference leaves out 0, seed by seed over the seeds
that both runs have (Welch's interval where they have others), after Holm's correction for all rows
of a column. **2SD** is the paper's rule, that mean ± 2 standard deviations over seeds do not
overlap.

**Can a factor explain?** Positive transfer must come with a decrease of the factor, negative
transfer with an increase, in every significant row; the changes of all factors in these rows are
judged together.

- *Moves the other way*: in some row the factor significantly changes against the transfer. This is
  evidence.
- *No change found*: in some row there is no significant change, and in none one against the
  transfer. What the change may be is said as its 95 % interval.
- *Can explain*: every row has the change that it should.
- *Not enough to tell*: an outcome takes significant transfers of both signs (a factor that always
  moves one way agrees with all transfers of one sign), at least 3 seeds, and training losses below
  0.01; what of these is missing is said.

The runs *agree* with the claim where every factor moves the other way, *disagree* where one can
explain every transfer, and *cannot tell* otherwise. The paper's own rule also counts it against a
factor that it does not change significantly; with few seeds most factors fail it by chance alone.

Source: Mueller, Dredze & Andrews 2024, §4.1, footnote 7, App. C.4, Table 1.
"""


main()
