"""Conflict: what gradient similarity goes with, over auxiliary sets (M24, Fig. 5)."""

from collections.abc import Hashable, Mapping, Sequence

import pandas as pd
import streamlit as st

from mtl_core.analysis import (
    FEWEST_EPOCHS,
    FEWEST_SETS,
    READINGS,
    ConflictVerdict,
    SetsCorrelation,
)
from mtl_core.charts import Curve
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import comparisons, measures, phrases
from mtl_core.views import conflict as views
from mtl_core.views.comparisons import Pool
from mtl_core.views.conflict import COLUMNS, METRIC, ConflictView, Found, Pair
from mtl_core.views.figures import conflict as drawn
from pages.parts import common, exports, figures, papers, stage, state

KEY = "conflict"
Page = state.Page[ConflictView]
ALL = 0  # of the chooser: None would leave it empty
READ = {"early": "early", "throughout": "throughout training"}
AGGREGATES = {"bins": "E, and comparable loss (C.4)", "footnote": "whole run (footnote 7)"}


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    pools = tuple(pool for pool in comparisons.pools(answers) if pool.targets)
    page: Page = papers.page(KEY, ConflictView.from_query, pools, answers)
    view = page.find()
    stage.title(drawn.TITLE)
    papers.claim(
        "The lower the similarity of a task's gradient to the multi-task gradient, the worse its "
        "optimization: sharpness, early Fisher information and gradient covariance all increase. "
        "But conflict has very little correlation with the task's generalization.",
        "§5, Fig. 5",
    )
    page.problems()
    if view is None:
        papers.nothing("There are no points yet: each is a finished multi-task run of a target.")
        return
    pool = comparisons.find(pools, view.setting, view.budget)
    targets = view.shown(pool)
    if stage.shows("controls"):
        with st.sidebar:
            _controls(page, pool, pools, targets)
    runs = views.chosen(view, pool)
    every = list({one.config.id: one for named in runs.values() for one in named.values()}.values())
    tables, found = _points(papers.versions(every), view, runs, answers)
    of = (papers.versions(every), view, targets)
    if stage.now().show == "figure":
        _figure(view, targets, tables, found, of)
        return
    judged = views.judge(view, runs, found)
    verdict = judged.verdict
    papers.finding(verdict.optimization, judged.optimization, of="Worsens optimization")
    papers.finding(
        verdict.generalization, judged.generalization, of="Does not foretell generalization"
    )
    _figure(view, targets, tables, found, of)
    papers.source(every, measuring=True)
    exports.offer("conflict", view.to_query(), answers, title=drawn.TITLE)
    _links(runs)
    if stage.shows("table"):
        _table(view, verdict, found, tables)
    papers.computed(KEY, METHOD, every, pd.concat(tables, names=["column"]).reset_index(0))


def _controls(page: Page, pool: Pool, pools: Sequence[Pool], targets: Sequence[str]) -> None:
    st.subheader("The comparison")
    papers.place(page, pools)
    st.multiselect(
        "Target tasks",
        pool.targets,
        key=page.widget("targets", list(targets)),
        placeholder="all that have several sets",
        on_change=page.take,
        args=("targets", tuple),
        help="Each has a colour of its own; its points are the sets that it was trained with.",
    )
    there = views.sizes(pool)
    st.selectbox(
        "Sets that decide",
        [ALL, *there],
        key=page.widget("size", page.view.size or ALL),
        format_func=lambda size: (
            "all, given their number of tasks"
            if size == ALL
            else f"of {size} tasks (up to {phrases.counted(there.get(size, 0), 'set')} a target)"
        ),
        on_change=page.take,
        args=("size", lambda size: size or None),
        help="The cosine of a gradient to the sum of K gradients is about 1/√K. So sets are "
        "compared with their number of tasks held fixed, or those of one size only.",
    )
    st.segmented_control(
        "Similarity is read",
        list(READINGS),
        key=page.widget("reading", page.view.reading),
        required=True,
        format_func=READ.__getitem__,
        on_change=page.take,
        args=("reading",),
        help="The paper's summary speaks of early conflict; its §5.1 averages over training.",
    )
    long_enough = len(views.aggregates(pool)) > 1
    st.radio(
        "Of each run",
        list(AGGREGATES),
        key=page.widget("aggregate", page.view.aggregate),
        format_func=AGGREGATES.__getitem__,
        disabled=not long_enough,
        on_change=page.take,
        args=("aggregate",),
    )
    if not long_enough:
        st.caption(
            f"Footnote 7's counts take {FEWEST_EPOCHS} whole epochs; these runs have "
            f"{pool.budget.epochs}."
        )
    st.toggle(
        "Every multi-task optimizer",
        key=page.widget("every_optimizer", page.view.every_optimizer),
        on_change=page.take,
        args=("every_optimizer",),
        help="The paper's runs all follow the plain sum of task gradients (UMTG), and only such "
        "runs decide.",
    )


# The points and their correlations.


@st.cache_data(max_entries=32, show_spinner=False)
def _points(
    runs: tuple[object, ...],
    view: ConflictView,
    _named: Mapping[str, Mapping[str, Answer]],
    _answers: Answers,
) -> tuple[dict[str, pd.DataFrame], dict[Pair, SetsCorrelation]]:
    """By column: a point per target and run; and how it goes with similarity for each target."""
    return views.points(view, _named, _answers)


# Fig. 5.


def _figure(
    view: ConflictView,
    targets: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    found: Found,
    of: Hashable,
) -> None:
    styled = drawn.styled(targets)
    places = [*st.columns(2), *st.columns(2)]
    for place, column in zip(places, COLUMNS, strict=True):
        with place:
            _panel(view, column, tables[column], styled, found, of)
    stage.note(
        "**Do points further to the left, in stronger conflict, lie higher, or lower?** A point is "
        "a set of auxiliary tasks that the target was trained with; whiskers are ±2 standard "
        "deviations over seeds, dashed lines least squares for each target. Hover for the set."
    )
    by_size = [
        f"{task} {one.by_size:+.2f}"
        for task in targets
        if (one := found.get((task, METRIC))) is not None and one.by_size is not None
    ]
    if by_size and view.size is None:
        stage.note(
            "**Sets of unlike size.** The correlation of similarity with 1/√K, K being the number "
            f"of tasks: {phrases.listed(by_size)}. Where it is near 1, the horizontal axis is the "
            "number of tasks, so that only r given K says anything of conflict."
        )


def _panel(
    view: ConflictView,
    column: str,
    points: pd.DataFrame,
    styled: Sequence[Curve],
    found: Found,
    of: Hashable,
) -> None:
    panel = drawn.panel(view, column, points, styled)
    st.markdown(f"**{panel.title}**", help=phrases.brief(column))
    st.caption("  \n".join(_r(found.get((one.label, column)), one.label, styled) for one in styled))
    key = f"conflict_{view.setting}_{column}"
    figures.draw(panel.chart, key=key, of=of, alt=panel.alt)


def _r(found: SetsCorrelation | None, target: str, styled: Sequence[Curve]) -> str:
    """What is told above a panel: what decides, and the paper's r where that is another one."""
    name = f"{target}: " if len(styled) > 1 else ""
    if found is None or found.paper is None:
        return f"{name}no correlation (fewer than 3 points, or all equal)"
    theirs = f"paper's r = {views.interval(found.paper)}, p = {found.paper.pearson_p:.2g}"
    ours = found.decides
    if ours is None:
        return f"{name}{theirs}, n = {found.paper.n}; {_kind(found)}: too few sets"
    if ours == found.paper:
        return f"{name}r = {views.interval(ours)}, p = {ours.pearson_p:.2g}, n = {ours.n}"
    return f"{name}{_kind(found)} = {views.interval(ours)}, n = {ours.n}; {theirs}"


def _kind(found: SetsCorrelation) -> str:
    """What it is that decides."""
    given = "r given K" if len(found.tasks) > 1 else "r"
    return f"{given} of log10" if found.logarithms else given


def _links(runs: Mapping[str, Mapping[str, Answer]]) -> None:
    for task, named in runs.items():
        if named:
            papers.ask_what_if(next(iter(named.values())), task)


def _table(
    view: ConflictView,
    verdict: ConflictVerdict,
    found: Found,
    tables: Mapping[str, pd.DataFrame],
) -> None:
    rows = []
    for (task, column), one in found.items():
        points = tables[column]
        own = points[(points["target"] == task) & (points["early_checkpoints"] > 0)]
        binned = column != METRIC and view.aggregate == "bins"
        ours, paper = one.decides, one.paper
        tasks = [str(size) for size in one.tasks]
        rows.append(
            {
                "target": task,
                "similarity against": measures.measure(view.setting, task).title
                if column == METRIC
                else phrases.title(column),
                "paper's r": _two(paper.pearson_r if paper else None),
                "paper's p": f"{paper.pearson_p:.2g}" if paper else "–",
                "r given K": _two(ours.pearson_r if ours else None),
                "95 % interval": f"{ours.ci_low:+.2f} … {ours.ci_high:+.2f}"
                if ours and ours.ci_low == ours.ci_low
                else "–",
                "p (Holm)": _p(verdict.corrected.get((task, column))),
                "values": "log10" if one.logarithms else "as they are",
                "deciding sets": ours.n if ours else 0,
                "of tasks": ", ".join(tasks) or "–",
                "fewest measurements": str(one.measurements) if binned and tasks else "–",
                "permutation p": f"{ours.permutation_p:.2g}" if ours else "–",
                "Spearman ρ": _two(ours.spearman_rho if ours else None),
                "r on the other scale": _two(one.other.pearson_r if one.other else None),
                "reliability of similarity": _share(one.reliability),
                "sets": own["auxiliaries"].nunique(),
                "points": len(own),
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="conflict_table")
    st.caption(
        "*Paper's r, p*: over sets of every size, of the values as they are. *Deciding*: with "
        "K, the number of tasks, held fixed; of log10 where values span more than a decade, and on "
        "the other scale beside it. p is corrected for the correlations judged together "
        f"({verdict.judged[0]} of factors, {verdict.judged[1]} of metrics), and missing below "
        f"{FEWEST_SETS} sets. *Fewest measurements* lie in the range of loss that a factor is read "
        "in, for the seed with the fewest; with 0 it is read between two. *Reliability*: the share "
        "of the variance of similarity between sets that is no noise of seeds and batches."
    )


def _two(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:+.2f}"


def _share(value: float) -> str:
    return "–" if value != value else f"{value:.0%}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"


METHOD = r"""
A point is a run of a target task with a set of auxiliary tasks, at one budget and with the plain
sum of task gradients (UMTG), unless every optimizer is asked for. Runs in which the task is an
auxiliary are points too if its factors were measured.

**x**: gradient similarity, the cosine of the target's gradient and the sum of all tasks' gradients
(Eq. 6), mean over random batches and over seeds. *Early*: over the measurements of the first tenth
of the epochs (at least one epoch, without the untrained network); the paper says "early stages" and
no more. *Throughout training*, as in its §5.1: over the ends of all epochs.

**y**: the test metric E at the best validation epoch, and factors at comparable loss (App. C.4):
bins 2–5 of 20 for Fisher, 18–20 for sharpness and covariance, on the trajectory of the target with
the highest minimum loss, whole epochs only. A seed without a measurement in there is read between
two, and has no point where it was not measured so far down. *Footnote 7*, for runs of at least 50
epochs: the mean of the last 20 measurements of sharpness and covariance, of the 20 largest of
Fisher, of the test metric at the 10 best validation checkpoints.

**The paper's r and p**: Pearson's, of the values as they are, over sets of 2, 5, 10 and 20 tasks
together.

**Why K confounds it.** If K task gradients are orthogonal and of one size, the cosine of each to
their sum is $1/\sqrt K$; nearly so it is in these networks. Over sets of unlike size similarity is
then the number of tasks by another name, and everything that more tasks change goes with it, with
conflict or without.

**What decides**: r given K, the partial correlation $r_{xy \cdot z} = (r_{xy} - r_{xz} r_{yz}) /
\sqrt{(1 - r_{xz}^2)(1 - r_{yz}^2)}$ with $z = 1/\sqrt K$, or r over sets of one size, which is the
same where K does not vary. Only runs of the plain sum decide: points of several optimizers on one
set are not independent. Its 95 % interval is Fisher's: $\operatorname{artanh} r$ is nearly normal
with standard deviation $1/\sqrt{n - 3}$ over n sets, $1/\sqrt{n - 4}$ where K is held fixed. That
takes values that are about normal; those that are positive and span more than a decade are not, and
r is of their log10.

**Noise in x.** Similarity is a mean over few batches and seeds. What of its variance between sets
is no noise of these, its *reliability*, comes from the residuals of seeds (two-way analysis of
variance, since the sets share their seeds). Noise makes a correlation look smaller, by the root of
it, so that the interval must lie within ±0.3 times that root before absence is claimed.

**The runs here** *agree* that conflict **worsens optimization** if every correlation of similarity
with a factor, over at least 20 sets of a target, is negative with p < 0.05, and *disagree* if one
is positive with p < 0.05. They *agree* that it **does not foretell generalization** if the whole
interval of every target's correlation with the test metric lies within ±0.3, and *disagree* if one
has p < 0.05. Otherwise they cannot tell: that no correlation was found does not show that there is
none. p is Holm's, over the correlations of each half.

Source: Mueller, Dredze & Andrews 2024, §5, Fig. 5.
"""


main()
