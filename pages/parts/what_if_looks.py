"""What If's views of a panel below the generalization chart: factors, gradients, correlation."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from mtl_core import analysis
from mtl_core import factors as registry
from mtl_core.charts import (
    Curve,
    CurveKey,
    correlation_alt,
    correlation_chart,
    cosine_alt,
    cosine_heatmap,
)
from mtl_core.runs.library.answers import Answer, Answers, other_data
from mtl_core.views import phrases, smtos
from mtl_core.views.codec import MOST_PINS
from mtl_core.views.comparisons import alike
from mtl_core.views.figures.what_if import curves
from mtl_core.views.measures import Measure
from mtl_core.views.panel import Panel, Shown
from mtl_core.views.what_if import AGAINST, Question, kind, label
from pages.parts import common, figures, state, words

Page = state.Page[Question]
MOST_CURVES = 48  # that can be told apart


def factors(panel: Panel, styled: Sequence[Curve], question: Question, page: Page) -> None:
    """Each factor as training goes on, and whether it can explain the transfers on the page."""
    st.segmented_control(
        "Against",
        ["loss", "epoch"],
        key=page.widget("x", question.x),
        required=True,
        format_func={"loss": "training loss", "epoch": "epoch"}.__getitem__,
        on_change=page.take,
        args=("x",),
    )
    names = registry.names()
    places = [place for _ in names[::2] for place in st.columns(2)]
    for place, factor in zip(places, names, strict=False):
        common.factor_chart(panel, styled, factor, x=question.x, key=f"wi_{factor}", place=place)
    common.verdicts(panel)
    # Computed only where somebody looks: it takes as long as all charts together.
    table = st.expander(
        "Differences at comparable loss",
        icon=":material/table_chart:",
        key="wi_differences_open",
        on_change="rerun",
    )
    if table.open:
        with table:
            _differences(panel)
    with st.expander("What the factors are", icon=":material/menu_book:"):
        st.markdown(common.FACTORS_GLOSSARY)
        for name, how in panel.current.answer.factors.items():
            title = words.escaped(phrases.title(name))
            st.markdown(f"- **{title}** here: {words.escaped(how)}")


def gradients(panel: Panel, styled: Sequence[Curve], answers: Answers) -> None:
    """Whether the tasks' gradients agree, over training and pair by pair."""
    left, right = st.columns(2)
    common.factor_chart(
        panel, styled, "gradient_similarity", x="epoch", key="wi_similarity", place=left
    )
    left.caption(
        "Cosine of the target's gradient and the sum of all tasks' gradients, by epoch; 1 for a "
        "single task."
    )
    with right:
        _pairs(panel.current, answers)


def correlation(panel: Panel, question: Question, answers: Answers, page: Page) -> None:
    """Early gradient similarity against a factor or the test metric, over all runs alike."""
    st.segmented_control(
        "Early gradient similarity against",
        list(AGAINST),
        key=page.widget("against", question.against),
        required=True,
        format_func=partial(_title, measure=common.panel_measure(panel)),
        on_change=page.take,
        args=("against",),
    )
    budget = panel.baseline.config
    runs = _alike(panel, answers)
    tables = [answers.main(answer).assign(curve=name) for name, answer in runs.items()]
    tables = [table for table in tables if len(table)]
    rows = pd.concat(tables, ignore_index=True) if tables else panel.trajectories.iloc[:0]
    early = max(1.0, 0.1 * budget.epochs)
    measure = common.panel_measure(panel)
    points = analysis.similarity_points(
        rows, budget.target, question.against, early, direction=measure.direction
    )
    points["run"] = points["curve"].map({name: one.config.id for name, one in runs.items()})
    done = points["curve"].map({name: one.state == "done" for name, one in runs.items()})
    configs = [runs[name].config for name in points["curve"]]
    points["tasks"] = [len(one.tasks) for one in configs]
    points["plain"] = [smtos.Entry.of(one) == smtos.REFERENCE for one in configs]
    counted = points[done.astype(bool) & (points["early_checkpoints"] > 0)]
    _coefficients(counted)
    _scatter(panel, points, runs, question, page)
    st.caption(
        "A point for each run of this page, and for each finished one, here or among those that "
        f"ship, that has the target {budget.target} and this page's budget; bars are ±2 standard "
        "deviations over seeds. Only finished runs count in the coefficients. Early is up to epoch "
        f"{early:.3g}. {_whole(question.against)} Click a point to pin its run. After Fig. 5 of "
        "Mueller et al., where less similarity goes with higher factors but not with worse test "
        "metrics."
    )
    for name, answer in runs.items():
        if line := other_data(answer):
            words.tell("warning", f"{name}: {line}")


def _scatter(
    panel: Panel, points: pd.DataFrame, runs: dict[str, Answer], question: Question, page: Page
) -> None:
    """The points; a click on one pins its run."""
    measure = common.panel_measure(panel)
    title = _title(question.against, measure)
    own = {one.label for one in panel.shown}
    others = [
        CurveKey(name, kind(runs[name].config), pinned=True)
        for name in points["curve"]
        if name not in own
    ]
    every = curves(panel, others[: MOST_CURVES - len(own)])
    styled = [curve for curve in every if curve.label in set(points["curve"])]
    own_points = points[points["curve"].isin([curve.label for curve in styled])]
    drawn: dict[str, Any] = {
        "x_title": "early gradient similarity",
        "y_title": title,
        "value_format": measure.format if question.against == "test_metric" else ".3~g",
    }
    chart = partial(correlation_chart, own_points, styled, name="wi_correlation", **drawn)
    event = figures.draw(
        chart,
        key=f"wi_correlation_{question.against}",
        on_select="rerun",
        selection_mode="point",
        alt=correlation_alt(styled, points=None if panel.going else own_points, **drawn),
    )
    _pin_clicked(event, question, page)


def _title(column: str, measure: Measure) -> str:
    return measure.title if column == "test_metric" else phrases.title(column)


def _whole(column: str) -> str:
    """How a run becomes one number."""
    if column == "test_metric":
        return "E is the test metric at the best validation epoch."
    factor = registry.get(column)
    title = phrases.capitalised(factor.title)
    if factor.summary == "all":
        return f"{title} is the mean of all the run's measurements."
    first, last = analysis.PHASES[factor.phase]
    return (
        f"{title} is read at comparable loss, in bins {first}–{last} of 20 (App. C.4), at the ends "
        "of epochs."
    )


def _differences(panel: Panel) -> None:
    rows = []
    for one in panel.shown:
        if not panel.comparable(one):
            continue
        for factor in registry.explaining():
            binned = analysis.comparable(panel.settled, panel.versus(one), factor)
            found = binned.comparison if binned else None
            between = [] if binned is None else list(binned.measurements)
            rows.append(
                {
                    "curve": one.label,
                    "factor": phrases.title(factor),
                    "phase": binned.phase if binned else "–",
                    "loss": f"{binned.loss_high:.3g} – {binned.loss_low:.3g}" if binned else "–",
                    "Δ at comparable loss": _number(found),
                    "95 % interval": _between(found),
                    "measurements in it": f"{min(between)}–{max(between)}" if between else "–",
                    "seeds read between two": str(binned.interpolated) if binned else "–",
                }
            )
    if not rows:
        st.caption("Nothing to compare: toggle an auxiliary task, or pin a run of this budget.")
        return
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="wi_differences")
    st.caption(
        "Against the single task, in bins of the loss after the first whole epoch (App. C.4). "
        "*Measurements in it*: how many of a seed's lie in that range of loss, at least and at "
        "most; without any, a seed is read between the two around it."
    )


def _pairs(one: Shown, answers: Answers) -> None:
    cosines = answers.table(one.answer, "cosines")
    tasks = one.config.tasks
    if len(tasks) == 1:
        st.caption("Toggle an auxiliary task to see the cosine of its gradient with the target's.")
        return
    steps = analysis.cosine_steps(cosines, len(one.config.seeds))
    with st.container():  # so that the matrix keeps its place below
        chosen = _step(steps, one) if len(steps) > 1 else next(iter(steps), None)
        if not steps:
            st.caption("The cosines of task gradients come with the first measurement.")
        elif len(steps) == 1:
            st.caption(f"After {next(iter(steps.values())):.3g} epochs.")
    matrix = analysis.cosine_matrix(cosines, tasks, chosen)
    figures.draw(
        partial(cosine_heatmap, matrix, tasks, name="wi_pairs"),
        key="wi_pairs",
        of=(one.answer.version, one.answer.active, chosen),
        alt=cosine_alt(tasks, None if one.answer.active else matrix),
    )
    st.caption(
        "Cosines between task gradients, mean over random batches and seeds: blue agree, orange "
        "conflict."
    )


def _step(steps: dict[int, float], one: Shown) -> int:
    """The slider stays at the newest step, until somebody moves it."""
    options = list(steps)
    key = f"wi_step_{one.config.id}"
    followed = st.session_state.get(f"{key}_last")
    if st.session_state.get(key) not in options or st.session_state.get(key) == followed:
        state.show(key, options[-1])
    st.session_state[f"{key}_last"] = options[-1]
    chosen: int = st.select_slider(
        "After", options, key=key, format_func=lambda step: f"{steps[step]:.3g} epochs"
    )
    return chosen


def _alike(panel: Panel, answers: Answers) -> dict[str, Answer]:
    """The page's runs by the name of their curve, then all finished ones of the same budget."""
    budget = panel.baseline.config
    found = {one.label: one.answer for one in panel.shown if panel.comparable(one)}
    known = {answer.config.id for answer in found.values()}
    for answer in alike(budget, answers):
        if answer.config.auxiliaries and answer.config.id not in known:
            name = label(answer.config, panel.current.config)
            found[name if name not in found else f"{name} · {answer.config.id}"] = answer
    return found


def _coefficients(counted: pd.DataFrame) -> None:
    """How far finished runs' points go together, and what may be said of it."""
    found = analysis.correlate_sets(counted)
    every, given = found.paper, found.decides
    sets = counted["auxiliaries"].nunique()
    cards = st.container(horizontal=True)
    cards.metric("Pearson r", "–" if every is None else f"{every.pearson_r:+.2f}", border=True)
    cards.metric("95 % interval of r", _ends(every), border=True)
    cards.metric("p", "–" if every is None else f"{every.pearson_p:.2g}", border=True)
    cards.metric("Spearman ρ", "–" if every is None else f"{every.spearman_rho:+.2f}", border=True)
    cards.metric(
        "Permutation p", "–" if every is None else f"{every.permutation_p:.2g}", border=True
    )
    cards.metric("Runs", str(len(counted)), border=True)
    if len(found.tasks) > 1:
        cards.metric(
            "r given K" + (", log10" if found.logarithms else ""),
            "–" if given is None else f"{given.pearson_r:+.2f}",
            None if given is None else _ends(given),
            delta_color="off",
            delta_arrow="off",
            border=True,
            help="The cosine of a gradient to the sum of K gradients is about 1/√K. This is the "
            "correlation, with its 95 % interval, over runs of the plain sum with 1/√K held fixed.",
        )
    if sets < analysis.FEWEST_SETS:
        st.warning(
            f"{sets} auxiliary {'set' if sets == 1 else 'sets'} with a finished run "
            f"{'is' if sets == 1 else 'are'} fewer than {analysis.FEWEST_SETS}: too few to say "
            "that there is a correlation, or that there is none. Train more auxiliary sets at this "
            "budget, and they appear here.",
            icon=":material/warning:",
        )
    elif every is None:
        st.caption("All values are equal, so there is no correlation.")


def _ends(found: analysis.Correlation | None) -> str:
    if found is None or not math.isfinite(found.ci_low):
        return "–"
    return f"{found.ci_low:+.2f} … {found.ci_high:+.2f}"


def _pin_clicked(event: object, question: Question, page: Page) -> None:
    chosen = getattr(event, "selection", {}).get("point", [])
    run = chosen[0].get("run") if chosen else None
    new = run and run != st.session_state.get("wi_clicked") and run not in question.pins
    if new and len(question.pins) < MOST_PINS:
        st.session_state.wi_clicked = run
        page.change(pins=(*question.pins, run))
        st.rerun()
    st.session_state.wi_clicked = run


def _between(found: analysis.Comparison | None) -> str:
    if found is None or not (math.isfinite(found.low) and math.isfinite(found.high)):
        return "–"
    return f"{found.low:+.3g} … {found.high:+.3g}"


def _number(comparison: analysis.Comparison | None) -> str:
    return "–" if comparison is None else f"{comparison.delta:+.3g}"
