"""Optimizers: what they change of a task's optimization, and of its generalization."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pandas as pd
import streamlit as st

from mtl_core import analysis, optimizers, settings
from mtl_core.analysis import (
    FEWEST_EPOCHS,
    SMTO_FACTORS,
    Aggregate,
    FactorVerdict,
    OptimizerVerdict,
    QuadrantVerdict,
)
from mtl_core.charts import Curve
from mtl_core.runs import kinds
from mtl_core.runs.library.answers import Answer, Answers, other_data
from mtl_core.views import comparisons, former, smtos
from mtl_core.views.figures import smtos as drawn_by
from mtl_core.views.phrases import family, title
from mtl_core.views.smtos import REFERENCE, Change, Entry, Group, Selection
from mtl_core.views.spreadsheets import csv
from pages.parts import (
    add_data,
    common,
    exports,
    figures,
    hyperparameters,
    papers,
    stage,
    state,
    words,
)
from pages.parts.words import escaped

Page = state.Page[Selection]

TITLES = {name: title(name) for name in SMTO_FACTORS}
MOST_LINES = 6  # commands that are written out


@common.errors_in_words
def main() -> None:
    answers = common.answers()
    found = smtos.groups(answers)
    budgets = {group.budget: None for group in found}

    def read(query: Mapping[str, str]) -> tuple[Selection, list[str]]:
        return Selection.from_query(former.current(query, answers, budgets), found)

    page: Page = state.Page("smtos", read, anew=True)
    selection = page.open()
    chosen = selection.groups(found)
    if stage.shows("controls"):
        with st.sidebar:
            _controls(page, found, chosen)
    stage.title(drawn_by.TITLE)
    papers.claim(
        "When optimizers for multi-task learning help or harm a task's generalization, no factor "
        "of its optimization improves or worsens with it: not the minimum training loss, and "
        "neither sharpness, early Fisher information nor gradient coherence.",
        "§4.2, Fig. 4",
    )
    page.problems()
    drawn = smtos.drawn(selection, chosen)
    found_changes = _changes(chosen, drawn, selection.aggregate, answers)
    epochs = selection.budget_config(found).epochs
    shown = [
        group.runs[one] for group in chosen for one in (REFERENCE, *drawn) if one in group.runs
    ]
    if found_changes:
        changes = smtos.judged(found_changes)
        points = smtos.points(changes)
        styled = drawn_by.styled(drawn, smtos.known(found))
        of = (papers.versions(shown), selection, tuple(styled))
        if stage.now().show == "figure":
            _figure(points, styled, of)
            return
        _verdicts(found_changes, changes, points, styled, of)
        papers.source(shown, measuring=True)
        exports.offer("smtos", selection.to_query(), answers, title=drawn_by.TITLE)
    elif shown and selection.aggregate == "footnote" and epochs < FEWEST_EPOCHS:
        papers.finding("cannot tell", papers.too_short(epochs))
    else:
        _nothing(selection, chosen)
    if stage.shows("notes"):
        _missing(selection, chosen, answers, shown=not found_changes)
    if found_changes and stage.shows("notes"):
        _computed(points, selection, chosen, drawn, answers)


# The selection: changed by callbacks only.


def _controls(page: Page, found: Sequence[Group], chosen: Sequence[Group]) -> None:
    selection, setting = page.view, settings.get(page.view.setting)
    st.subheader("The comparison")
    st.selectbox(
        "Setting",
        add_data.settings_offered(selection.setting),
        key=page.widget("setting", selection.setting),
        format_func=lambda name: settings.get(name).title,
        on_change=lambda: page.put(Selection.default(found, st.session_state.smtos_setting)),
        help=setting.description,
    )
    st.selectbox(
        "Target task",
        [task.name for task in setting.tasks],
        key=page.widget("target", selection.target),
        on_change=lambda: page.put(
            Selection.default(found, selection.setting, st.session_state.smtos_target)
        ),
        help="All tasks of its runs are drawn; this one has all four factors measured.",
    )
    there = smtos.budgets(found, selection.setting, selection.target)
    labels = {smtos.budget_name(budget): smtos.budget_label(budget) for budget in there}
    labels.setdefault(selection.budget, selection.budget)
    st.selectbox(
        "Budget",
        list(labels),
        key=page.widget("budget", selection.budget),
        format_func=lambda name: labels.get(name, name),
        on_change=lambda: page.change(budget=st.session_state.smtos_budget, sets=()),
        help="Budgets that multi-task runs of this target were finished with.",
    )
    _choices(page, found, chosen)


def _choices(page: Page, found: Sequence[Group], chosen: Sequence[Group]) -> None:
    selection = page.view
    everything = replace(selection, sets=()).groups(found)
    sets = dict.fromkeys(group.auxiliaries for group in (*everything, *chosen))
    st.multiselect(
        "Auxiliary sets",
        list(sets),
        key=page.widget("sets", list(selection.sets)),
        format_func=lambda names: " + ".join(names),
        placeholder="all that have runs",
        on_change=page.take,
        args=("sets", tuple),
        help="Each set is compared with the plain sum of task gradients (UMTG) on the same set; "
        "the points of all are pooled.",
    )
    entries = sorted({*smtos.known(found), *selection.entries}, key=smtos.rank)
    known = {entry.token: entry for entry in entries}
    st.multiselect(
        "Optimizers",
        list(known),
        key=page.widget("entries", [entry.token for entry in selection.entries]),
        format_func=lambda token: known[token].label,
        placeholder="all that have runs",
        on_change=page.take,
        args=("entries", lambda tokens: tuple(known[token] for token in tokens)),
    )
    papers.reading(page, selection.budget_config(found).epochs)


# The answer.


def _changes(
    chosen: Sequence[Group], drawn: Sequence[Entry], aggregate: Aggregate, answers: Answers
) -> list[Change]:
    """Of all sets on the page, to be judged together."""
    return smtos.pooled(
        chosen,
        drawn,
        lambda group: _group_changes(
            papers.versions(group.runs.values()), aggregate, group, answers
        ),
    )


@st.cache_data(max_entries=64, show_spinner=False)
def _group_changes(
    runs: tuple[object, ...], aggregate: Aggregate, _group: Group, _answers: Answers
) -> list[Change]:
    """Of all optimizers of a group, whose runs are finished and do not change."""
    return smtos.changes(_group, _group.compared, _answers, aggregate)


def _figure(
    points: pd.DataFrame,
    styled: Sequence[Curve],
    of: Hashable,
    above: Callable[[int], None] = lambda place: None,
    below: Callable[[int], None] = lambda place: None,
) -> None:
    """The four panels, with their one legend.

    Args:
        of: the version of all that it is made of.
        above: draws what stands above a panel, by its place.
        below: the same below it.
    """
    legend = drawn_by.legend(styled)
    figures.draw(legend.chart, key="smtos_legend", of=of, alt=legend.alt)
    places = [*st.columns(2), *st.columns(2)]
    for number, (place, factor) in enumerate(zip(places, SMTO_FACTORS, strict=True)):
        with place:
            above(number)
            panel = drawn_by.panel(points, factor, styled)
            figures.draw(panel.chart, key=f"smtos_{factor}", of=of, alt=panel.alt)
            below(number)


def _verdicts(
    found: Sequence[Change],
    judged: Sequence[Change],
    points: pd.DataFrame,
    styled: Sequence[Curve],
    of: Hashable,
) -> None:
    """The figure, with what it says of the claim."""
    verdicts = analysis.factor_verdicts(smtos.cases(found), SMTO_FACTORS)  # judges them itself
    papers.finding(analysis.factor_support(verdicts), smtos.reason(judged, verdicts))
    quadrants = analysis.quadrant_verdicts(points)
    each = analysis.optimizer_verdicts(points)
    if stage.shows("cards"):
        st.caption(_by_the_paper(quadrants, each))
    _figure(
        points,
        styled,
        of,
        above=lambda place: _judged(verdicts[place], verdicts),
        below=lambda place: stage.note(f"By the paper's rule: {_words(quadrants[place])}"),
    )
    stage.note(
        "Each point is one optimizer on one task, as its change in percent over the plain sum of "
        "task gradients (UMTG). **Filled**, as in the paper's figure: generalization changed "
        "significantly by its rule, that mean ± 2 standard deviations do not overlap; hollow "
        "points did not. **Shaded**: better optimization with better generalization (upper left), "
        "or worse with worse (lower right). If a factor were how optimizers help or harm, all "
        "filled points of its panel would lie in the shade. Axes are linear near 0 and "
        "logarithmic further out."
    )
    judged_changes = max(one.judged for one in verdicts)
    stage.note(
        "**Badges** go by 95 % intervals over seeds instead, all changes of generalization on the "
        f"page judged together{family(_family(judged))}"
        + (
            f", and all changes of factors that came with significant ones{family(judged_changes)}"
            if judged_changes
            else ""
        )
        + ". *Transfer* is an optimizer's change of a task's generalization."
    )
    if stage.shows("table"):
        _each(each)


def _family(judged: Sequence[Change]) -> int:
    """How many changes of generalization are judged together."""
    return max(one.smto.case.transfer.family for one in judged)


def _by_the_paper(quadrants: Sequence[QuadrantVerdict], each: Sequence[OptimizerVerdict]) -> str:
    """What the paper's own rule makes of the points."""
    words = "**The paper's own rule** (±2 SD; every point that counts must lie in the shade): "
    if not each:
        return f"{words}no change of generalization is significant."
    changes = sum(one.changes for one in each)
    parts = [
        said.format(_listed(names))
        for said, names in (
            ("ruled out: {}", _with(quadrants, "cannot explain")),
            ("nothing speaks against {}", _with(quadrants, "can explain")),
            ("{} not known for every one", _with(quadrants, "not measured")),
        )
        if names
    ]
    return f"{words}{_count(changes, 'significant change')}; {'; '.join(parts)}."


def _with(quadrants: Sequence[QuadrantVerdict], outcome: str) -> list[str]:
    return [TITLES[one.factor] for one in quadrants if one.outcome == outcome]


def _each(verdicts: Sequence[OptimizerVerdict]) -> None:
    """The paper's rule for every optimizer, whose points may be few."""
    if not verdicts:
        return
    with st.expander("Optimizer by optimizer, by the paper's rule", icon=":material/table_chart:"):
        rows = [
            {
                "optimizer": one.curve,
                "significant changes": one.changes,
                **{
                    TITLES[name]: f"{shaded} of {placed}" if placed else "–"
                    for name, (shaded, placed) in one.panels.items()
                },
                "none lies outside for": _listed([TITLES[name] for name in one.factors]) or "–",
            }
            for one in verdicts
        ]
        st.dataframe(pd.DataFrame(rows), hide_index=True, key="smtos_each")
        st.caption(
            "How many of an optimizer's significant changes (±2 SD) lie in the shade of each "
            "panel, of those that have a place in it. With one change, some panel will nearly "
            "always have it there by chance."
        )


def _judged(verdict: FactorVerdict, verdicts: Sequence[FactorVerdict]) -> None:
    common.factor_badge(verdict)
    if why := papers.of_its_own(verdict, verdicts):
        words.tell("caption", why)


def _words(quadrant: QuadrantVerdict) -> str:
    """What was counted in a panel by the paper's rule."""
    title = TITLES[quadrant.factor]
    if not (quadrant.changes or quadrant.unplaced):
        return "no significant change of generalization."
    if not quadrant.changes:
        number = _count(quadrant.unplaced, "significant change")
        return f"{number}, but without a known {title}."
    lie = "lies" if quadrant.shaded == 1 else "lie"
    found = (
        f"{quadrant.shaded} of {_count(quadrant.changes, 'significant change')} {lie} in the shade"
    )
    if quadrant.unplaced:
        have = "has" if quadrant.unplaced == 1 else "have"
        found += f"; {quadrant.unplaced} more {have} no known {title}"
    return f"{found}."


# What is missing, and how to get it.


def _nothing(selection: Selection, chosen: Sequence[Group]) -> None:
    setting = settings.get(selection.setting).title
    asked = _listed([entry.label for entry in selection.entries]) or "another optimizer"
    there = " (it is there)" if any(REFERENCE in group.runs for group in chosen) else ""
    st.info(
        f"There is no comparison yet for {selection.target} of {setting} at this budget. It takes "
        f"two finished runs on the same auxiliaries: one of the plain sum (UMTG){there} and one of "
        f"{asked}. Train them on What if; they show here once they are done.",
        icon=":material/scatter_plot:",
    )


def _missing(
    selection: Selection, chosen: Sequence[Group], answers: Answers, *, shown: bool
) -> None:
    """Per auxiliary set, the runs that there are not, with the question that trains them."""
    wanted = selection.entries or tuple(Entry(name) for name in optimizers.names())
    groups = chosen or [Group(selection.budget_config(()), _first_set(selection))]
    lacking = [(group, left) for group in groups if (left := group.missing(wanted))]
    if not lacking:
        return
    total = sum(len(left) for _, left in lacking)
    with st.expander(
        f"{_count(total, 'run')} not here yet", icon=":material/playlist_add:", expanded=shown
    ):
        for group, left in lacking:
            _lacking(group, left, answers)


def _lacking(group: Group, left: tuple[Entry, ...], answers: Answers) -> None:
    states = [answers.find(group.config(entry)).state for entry in left]
    active = sum(state in ("queued", "running") for state in states)
    names = _listed([entry.label for entry in left])
    being = f" ({active} of them in the queue or training)" if active else ""
    where = " + ".join(group.auxiliaries)
    st.markdown(f"**{group.budget.target} with {where}**: {names}{being}.")
    asked = smtos.question(group, left)
    if asked is not None:
        st.page_link(
            "pages/what_if.py",
            label=f"Ask for {'it' if len(left) == 1 else 'them'} on What if, with {where}",
            icon=":material/experiment:",
            query_params=asked.to_query(),
        )
        return
    st.caption("What if has no such budget; on the command line:")
    preset = smtos.nearest_preset(group.budget)
    line = kinds.get("training").command.line
    lines = [line(group.config(entry), preset) for entry in left]
    st.code("\n".join(lines[:MOST_LINES]), language="bash", wrap_lines=True)
    if len(lines) > MOST_LINES:
        st.caption(f"… and {len(lines) - MOST_LINES} more like these.")


def _first_set(selection: Selection) -> tuple[str, ...]:
    tasks = [task.name for task in settings.get(selection.setting).tasks]
    return tuple(name for name in tasks if name != selection.target)[:1]


# How it was computed.


METHOD = r"""
For each optimizer made for several tasks (SMTO), task and quantity $q$, with means over seeds:
$\%\Delta = 100\,(q_\text{SMTO} - q_\text{UMTG}) / q_\text{UMTG}$, on the same tasks and budget;
UMTG is the plain sum of task gradients. A UMTG mean that is not above 0 has no percentage.

- **Minimum training loss**: the lowest full training loss of a seed's whole trajectory.
- **At comparable loss**: generalization is the test metric at the best validation epoch; sharpness
  and gradient covariance are read in bins 18–20, the Fisher trace in bins 2–5, of 20 geometric bins
  of the training loss (App. C.4), on whole epochs.
- **By footnote 7**: the mean test metric of the 10 best validation epochs; sharpness and covariance
  as the mean of the last 20 epochs, the Fisher trace of the 20 largest values. For runs of 50 whole
  epochs and more, as it averages over the whole way of shorter ones.

The target has all factors; an auxiliary task has training loss and accuracy always, and factors
only where its runs measured them. All optimizers of a comparison share one learning rate and batch
size; none was tuned for its own.

**What decides.** A change is *better* or *worse* where the 95 % t interval of the difference leaves
out 0, seed by seed over the seeds that both runs have (Welch's interval where they have others),
after Holm's correction for all changes of generalization on the page, those of all auxiliary sets
together; so are all changes of factors that came with significant ones.

- *Moves the other way*: some significant change of generalization came with a significant change of
  the factor that should have come with the opposite one.
- *No change found*: some came with no significant change of the factor, and none with the opposite
  one. What the change may be is said as its 95 % interval.
- *Can explain*: every one came with the change that it should.
- *Not enough to tell*: an outcome takes significant changes of generalization of both signs, at
  least 3 seeds, and training losses below 0.01.

The runs *agree* with the claim where every factor moves the other way, *disagree* where one can
explain every change, and *cannot tell* otherwise.

**The paper's rule.** A point counts where mean ± 2 standard deviations over seeds of the optimizer
and of UMTG do not overlap; the change of the factor need not be significant itself. A factor is
ruled out by one point outside the shade. A single point lies in the shade of a panel half of the
time by chance, and in that of at least one of four panels 15 times out of 16, were they
independent. The paper finds no factor with all points of MGDA, PCGrad or GradNorm in the shade.

Source: Mueller, Dredze & Andrews 2024, §4.2, Fig. 4, footnote 7, App. C.4.
"""


def _computed(
    points: pd.DataFrame,
    selection: Selection,
    chosen: Sequence[Group],
    drawn: Sequence[Entry],
    answers: Answers,
) -> None:
    with st.expander("How this was computed", icon=":material/precision_manufacturing:"):
        st.markdown(METHOD)
        shown = [group for group in chosen if set(drawn) & set(group.compared)]
        first = shown[0].runs[REFERENCE]
        st.markdown(_counts(points, selection.aggregate, first, answers))
        for name, how in first.factors.items():
            if name in TITLES:
                st.markdown(f"- **{TITLES[name]}** here: {escaped(str(how))}")
        hyperparameters.chosen(first.config, "smtos")
        st.dataframe(_runs(shown, drawn), hide_index=True, key="smtos_runs")
        for group in shown:
            if line := other_data(group.runs[REFERENCE]):
                words.tell("warning", f"{' + '.join(group.auxiliaries)}: {line}")
        st.download_button(
            "Points as CSV",
            partial(csv, points),
            file_name="smtos_points.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
        )


def _counts(points: pd.DataFrame, aggregate: Aggregate, first: Answer, answers: Answers) -> str:
    """How many runs and points there are, and what "the last 20" are here."""
    config = first.config
    means: list[str] = []
    if aggregate == "footnote":
        rows = answers.main(first).assign(curve="UMTG")
        means = [
            f"{TITLES[name]} over {min(counts)}"
            for name in SMTO_FACTORS[1:]
            if (counts := analysis.aggregate_checkpoints(rows, config.target, "UMTG", name))
        ]
    averaged = f" {_listed(means)} measurements;" if means else ""
    less = comparisons.reduced(config, measuring=True)
    return (
        f"Here: {config.base_optimizer}, learning rate {config.lr:g}, batch {config.batch_size} "
        f"per task, {config.epochs} epochs, {config.train_size:,} training examples per task, "
        f"seeds {' '.join(map(str, config.seeds))};{averaged} "
        f"{_count(points[['run', 'task']].drop_duplicates().shape[0], 'point')} a panel, as far "
        "as measured." + (f" Smaller than the paper's setup: {less}." if less else "")
    )


def _runs(shown: Sequence[Group], drawn: Sequence[Entry]) -> pd.DataFrame:
    """The manifests of the runs behind the points."""
    rows = []
    for group in shown:
        for entry in (REFERENCE, *(entry for entry in drawn if entry in group.compared)):
            answer = group.runs[entry]
            rows.append(
                {
                    "auxiliaries": " + ".join(group.auxiliaries),
                    "optimizer": entry.label,
                    "seeds": len(answer.config.seeds),
                    "run": answer.config.id,
                    "source": common.origins(answer),
                    "numbers": answer.numbers,
                    "device": answer.said("device"),
                    "torch": answer.versions.get("torch", "–"),
                    "created": answer.said("created")[:10],
                    "data": answer.said("data_fingerprint"),
                }
            )
    return pd.DataFrame(rows)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    """a, b and c"""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


main()
