"""Conflict: what early gradient similarity goes with, over auxiliary sets (M24, Fig. 5)."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import streamlit as st

from mtl_core import analysis
from mtl_core.analysis import TABLE_FACTORS, ConflictVerdict, Correlation
from mtl_core.charts import Curve, CurveKey, correlation_alt, correlation_chart, style_curves
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import comparisons
from mtl_core.views.comparisons import Pool
from mtl_core.views.conflict import ConflictView
from pages.parts import common, papers, state

KEY = "conflict"
Page = state.Page[ConflictView]
METRIC = "test_metric"
COLUMNS = (*TABLE_FACTORS, METRIC)
X_TITLE = "early gradient similarity"
DECADE = 10.0  # values that span more than this factor lie on a logarithmic axis


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    pools = tuple(pool for pool in comparisons.pools(answers) if pool.targets)
    page: Page = papers.page(KEY, ConflictView.from_query, pools, answers)
    view = page.find()
    st.title("Does gradient conflict foretell how well a task generalizes?")
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
    with st.sidebar:
        _controls(page, pool, pools, targets)
    runs = {
        task: comparisons.labels(
            pool.auxiliary_sets(task, every_optimizer=view.every_optimizer), task
        )
        for task in targets
    }
    every = list({one.config.id: one for named in runs.values() for one in named.values()}.values())
    tables, found = _points(papers.versions(every), view, runs, answers)
    _verdict(found, runs)
    _figure(view, targets, tables, found)
    papers.source(every, measuring=True)
    _links(runs)
    _table(view.setting, found, tables)
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
    st.toggle(
        "Every multi-task optimizer",
        key=page.widget("every_optimizer", page.view.every_optimizer),
        on_change=page.take,
        args=("every_optimizer",),
        help="The paper's runs all follow the plain sum of task gradients (UMTG).",
    )


# The points and their correlations.


@st.cache_data(max_entries=32, show_spinner=False)
def _points(
    runs: tuple[object, ...],
    view: ConflictView,
    _named: Mapping[str, Mapping[str, Answer]],
    _answers: Answers,
) -> tuple[dict[str, pd.DataFrame], dict[tuple[str, str], Correlation | None]]:
    """By column: a point per target and run; and how it goes with similarity for each target."""
    tables: dict[str, list[pd.DataFrame]] = {column: [] for column in COLUMNS}
    found: dict[tuple[str, str], Correlation | None] = {}
    for task, named in _named.items():
        if not named:
            continue
        rows = comparisons.trajectories(named, task, _answers)
        measure = common.measure(view.setting, task)
        for column in COLUMNS:
            points = analysis.similarity_points(rows, task, column, direction=measure.direction)
            counted = points[points["early_checkpoints"] > 0]
            found[task, column] = analysis.correlate(counted["similarity"], counted["value"])
            configs = [named[name].config for name in points["curve"]]
            tables[column].append(
                points.assign(
                    auxiliaries=[
                        " + ".join(comparisons.seen_from(one, task).auxiliaries) for one in configs
                    ],
                    tasks=[len(one.tasks) for one in configs],
                    optimizer=[one.optimizer for one in configs],
                    run=[one.id for one in configs],
                    target=task,
                    curve=task,
                )
            )
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}, found


def _verdict(
    found: Mapping[tuple[str, str], Correlation | None], runs: Mapping[str, Mapping[str, Answer]]
) -> None:
    """Whether both halves of the claim hold, from the correlations."""
    sets = {
        task: len({comparisons.joint(one.config) for one in named.values()})
        for task, named in runs.items()
    }
    verdict = analysis.conflict_verdict(found, sets)
    papers.supported(verdict.optimization, _optimization(verdict), of="Worsens optimization")
    papers.supported(
        verdict.generalization, _generalization(verdict), of="Does not foretell generalization"
    )


def _optimization(verdict: ConflictVerdict) -> str:
    if not verdict.factors:
        return (
            "No target has 8 auxiliary sets or more; a correlation over fewer says next to nothing."
        )
    return (
        f"**{len(verdict.negative)} of {len(verdict.factors)}** correlations of similarity with a "
        f"factor are negative and significant (p < {analysis.LEVEL:g})."
    )


def _generalization(verdict: ConflictVerdict) -> str:
    if not verdict.targets:
        return "No target has 8 auxiliary sets or more."
    words = (
        f"For **{len(verdict.predicted)} of {len(verdict.targets)}** "
        f"target{'' if len(verdict.targets) == 1 else 's'} similarity is significantly correlated "
        f"with the test metric (p < {analysis.LEVEL:g})"
    )
    return f"{words}: {papers.listed(verdict.predicted)}." if verdict.predicted else f"{words}."


# Fig. 5.


def _figure(
    view: ConflictView,
    targets: Sequence[str],
    tables: Mapping[str, pd.DataFrame],
    found: Mapping[tuple[str, str], Correlation | None],
) -> None:
    # A colour is a target here, so none of those that say what auxiliaries are.
    styled = style_curves([CurveKey(task, "other") for task in targets])
    places = [*st.columns(2), *st.columns(2)]
    for place, column in zip(places, COLUMNS, strict=True):
        with place:
            _panel(view, column, tables[column], styled, found)
    st.caption(
        "**Do points further to the left, in stronger conflict, lie higher, or lower?** A point is "
        "a set of auxiliary tasks that the target was trained with; whiskers are ±2 standard "
        "deviations over seeds, dashed lines least squares for each target. Hover for the set."
    )


def _panel(
    view: ConflictView,
    column: str,
    points: pd.DataFrame,
    styled: Sequence[Curve],
    found: Mapping[tuple[str, str], Correlation | None],
) -> None:
    measure = common.measure(view.setting, styled[0].label)
    factor = column != METRIC
    title = common.title(column) if factor else measure.title
    st.markdown(f"**{common.capitalised(title)}**")
    st.caption("  \n".join(_r(found.get((one.label, column)), one.label, styled) for one in styled))
    log = factor and _decades(points["value"])
    st.altair_chart(
        correlation_chart(
            points,
            styled,
            x_title=X_TITLE,
            y_title=f"{title} (log)" if log else title,
            log_y=log,
            value_format=".3~g" if factor else measure.format,
            name=f"conflict_{column}",
            detail="auxiliaries",
            each=True,
        ),
        key=f"conflict_{view.setting}_{column}",
        alt=correlation_alt(styled, x_title=X_TITLE, y_title=title),
    )


def _r(found: Correlation | None, target: str, styled: Sequence[Curve]) -> str:
    name = f"{target}: " if len(styled) > 1 else ""
    if found is None:
        return f"{name}no correlation (fewer than 3 points, or all equal)"
    few = ", fewer than 8 points" if found.few else ""
    return f"{name}r = {found.pearson_r:+.2f}, p = {found.pearson_p:.2g}, n = {found.n}{few}"


def _decades(values: pd.Series) -> bool:
    known = values.dropna().to_numpy(dtype=float)
    return bool(known.size and known.min() > 0 and known.max() > DECADE * known.min())


def _links(runs: Mapping[str, Mapping[str, Answer]]) -> None:
    for task, named in runs.items():
        if named:
            papers.ask_what_if(next(iter(named.values())), task)


def _table(
    setting: str,
    found: Mapping[tuple[str, str], Correlation | None],
    tables: Mapping[str, pd.DataFrame],
) -> None:
    rows = []
    for (task, column), one in found.items():
        points = tables[column]
        own = points[(points["target"] == task) & (points["early_checkpoints"] > 0)]
        logs = None
        if one is not None and (own["value"] > 0).all():
            logs = np.corrcoef(own["similarity"], np.log10(own["value"]))[0, 1]
        rows.append(
            {
                "target": task,
                "similarity against": common.measure(setting, task).title
                if column == METRIC
                else common.title(column),
                "sets": own["auxiliaries"].nunique(),
                "points": len(own),
                "Pearson r": _two(one.pearson_r if one else None),
                "p": f"{one.pearson_p:.2g}" if one else "–",
                "permutation p": f"{one.permutation_p:.2g}" if one else "–",
                "95 % bootstrap": f"{one.ci_low:+.2f} … {one.ci_high:+.2f}" if one else "–",
                "Spearman ρ": _two(one.spearman_rho if one else None),
                "r of log10": _two(logs),
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="conflict_table")


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


METHOD = r"""
A point is a run of a target task with a set of auxiliary tasks, at one budget and with the plain
sum of task gradients (UMTG), unless every optimizer is asked for. Runs in which the task is an
auxiliary are points too if its factors were measured.

**x**: gradient similarity, the cosine of the target's gradient and the sum of all tasks' gradients
(Eq. 6), mean over random batches, over the measurements of the first tenth of the epochs (at least
one epoch, without the untrained network), and over seeds. The paper says "early stages" and no
more.

**y**: the paper's footnote 7: sharpness and covariance are the mean of the last 20 measurements,
Fisher that of the 20 largest, the test metric that of the 10 best validation checkpoints; means
over seeds.

**r, p**: Pearson's, of the values as they are, as the paper gives them; where values span more than
a decade the axis, and with it the dashed line, is logarithmic, and the table has r of the
logarithms too. The permutation p and the bootstrap interval say what few points leave of it. With
every optimizer, points of one set are not independent of each other, and p is too small.

**Supported?** *Worsens optimization*: every correlation of similarity with a factor, over at least
8 sets, is negative with p < 0.05; in part where more than half are. *Does not foretell
generalization*: for every target with at least 8 sets the correlation with the test metric has
p ≥ 0.05. That none was found does not show that there is none.

Source: Mueller, Dredze & Andrews 2024, §5, Fig. 5.
"""


main()
