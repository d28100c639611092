"""The Pareto front page's figures: the front, what was picked off it, hypervolume, transfers."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from mtl_core.charts import (
    hypervolume_alt,
    hypervolume_chart,
    kept_alt,
    kept_heatmap,
    transfer_alt,
    transfer_heatmap,
)
from mtl_core.pareto import curves, transfer
from mtl_core.pareto.config import BASELINES, WITHOUT_TRANSFER, ParetoConfig
from mtl_core.runs.library import exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.views import pareto_speedup as speedup
from mtl_core.views import toy
from mtl_core.views.figures import pareto_front
from mtl_core.views.pareto_front import METHOD_TITLES, FrontQuestion, preference_words
from mtl_core.views.pareto_panel import FrontPanel, ShownFront, Space
from mtl_core.views.spreadsheets import csv
from mtl_core.views.takeaways import figure_code
from pages.parts import common, exports, figures, slider, stage, state
from pages.parts.words import escaped, tell

Page = state.Page[FrontQuestion]
LOOK_TITLES = {
    "hypervolume": "Hypervolume",
    "transfer": "Transfer",
    "lesson": "Why not a weighted sum?",
    "toy": "Toy problem, live",
}


def progress(panel: FrontPanel) -> None:
    """How far the fronts are that are not done."""
    waiting = []
    for one in panel.shown:
        answer, label = one.answer, escaped(one.label)
        if answer.active and any(record.step >= 0 for record in answer.records):
            text = f"**{label}** is solved for, {answer.share:.0%}"
            st.progress(answer.share, text=text)
        elif answer.active:
            waiting.append(one.label)
        for reason in answer.errors:
            tell("error", f"{one.label}: {reason}", icon=":material/error:")
        if "cancelled" in answer.states().values():
            tell("info", f"{one.label} was stopped at {answer.share:.0%}; its frames stay.")
    if waiting:
        tell("caption", f"In the queue: {', '.join(waiting)}.")


def cards(panel: FrontPanel, step: int) -> None:
    """Numbers of the method that is looked at, at the shown step, over all seeds."""
    focus, config = panel.focus, panel.focus.config
    here = _at(focus, step)
    at = None if here is None else int(here["step"])
    alone = next((one for one in panel.asked if one.config.method == "independent"), None)
    difference, colour = _difference(focus, alone, step)
    place = st.container(horizontal=True)
    place.metric(
        f"Hypervolume, {escaped(focus.label)}",
        "–" if here is None else f"{here['mean']:.3f}",
        delta=difference,
        delta_color=colour,
        border=True,
        help="The share of the box between ideal and reference point that the solutions dominate; "
        "mean over seeds, at the shown iteration. A difference is significant where the intervals "
        "mean ± 2 standard deviations do not overlap.",
    )
    share = f"{curves.SHARE:.0%}"
    known = {str(row["name"]): row for row in panel.convergence().to_dict("records")}
    row = known.get(focus.label)
    place.metric(
        f"Evaluations to {share}",
        "–" if row is None else _known(row["evaluations"], ",.0f"),
        delta=_convergence_words(focus, alone, known),
        delta_color="gray",
        delta_arrow="off",
        border=True,
        help=f"Gradient evaluations until {share} of the best final hypervolume of all that are "
        "shown and done; the convergence ratio divides them by those of Independent. The averaged "
        "start beside it tells what of a lead is the averaging of random starts.",
    )
    evaluations = (at or 0) * len(config.weights) * config.passes
    place.metric(
        "Iteration",
        "–" if at is None else f"{at:,}",
        delta=f"of {config.iterations:,}; {evaluations:,} gradient evaluations",
        delta_color="gray",
        delta_arrow="off",
        border=True,
    )
    _behind(panel, step)


def _behind(panel: FrontPanel, step: int) -> None:
    if behind := panel.lagging(step):
        words = ", ".join(f"{name} at iteration {at:,}" for name, at in behind.items())
        tell("caption", f"Not as far as the others, and drawn where it is: {words}.")


def _difference(
    focus: ShownFront, alone: ShownFront | None, step: int
) -> tuple[str | None, Literal["normal", "gray"]]:
    """The hypervolume's difference from Independent in words, and its colour.

    It means something only at one step and after as many evaluations.
    """
    if alone is None or alone is focus or alone.config.passes != focus.config.passes:
        return None, "gray"
    ours, theirs = _at(focus, step), _at(alone, step)
    if ours is None or theirs is None or ours["step"] != theirs["step"]:
        return None, "gray"
    words = f"{ours['mean'] - theirs['mean']:+.3f} on Independent"
    if ours["low"] > theirs["high"] or ours["high"] < theirs["low"]:
        return words, "normal"
    return f"{words}, not significant", "gray"


def _convergence_words(focus: ShownFront, alone: ShownFront | None, known: dict[str, Any]) -> str:
    row = known.get(focus.label)
    if row is None:
        return "known when it is done"
    if not math.isfinite(row["evaluations"]):
        return f"{row['reached']} of {row['seeds']} seeds get there"
    if focus is alone:
        return "what the others are compared with"
    if alone is None or alone.label not in known:
        return "nothing without transfer to compare with"
    if not math.isfinite(row["ratio"]):
        return "Independent does not get there on all seeds"
    words = f"{row['ratio']:.2f} × Independent"
    control = known.get(METHOD_TITLES["averaged"])
    if focus.config.method == "averaged" or control is None or not control["evaluations"] > 0:
        return words
    return f"{words}, {row['evaluations'] / control['evaluations']:.2f} × Averaged start"


def fronts(panel: FrontPanel, *, active: bool, live: bool, page: Page) -> None:
    """The front in loss space and, where the problem has metrics, in metric space.

    Args:
        active: whether it is being solved for.
        live: whether the newest frame is all that is shown; else all are, for the player.
    """
    objectives = panel.problem.objectives
    # While solving goes on, the last front changes.
    if stage.shows("controls"):
        _choices(panel, page)
    zoom = pareto_front.zoomed(panel) and not active
    spaces = pareto_front.spaces(panel)
    columns = st.columns(len(spaces)) if len(spaces) > 1 else [st.container()]
    for space, column in zip(spaces, columns, strict=True):
        with column:
            steps = panel.steps[-1:] if live else panel.steps
            _front(panel, steps, space, zoom=zoom, ended=not active)
    if len(spaces) == 1 and panel.front_known:
        stage.note(
            "The thick grey line is the true front, which is known here."
            if len(objectives) == 2
            else "Grey dots are the true front, which is known here."
        )


def _choices(panel: FrontPanel, page: Page) -> None:
    """Which seed and objectives are drawn, and whether they zoom to the last front."""
    question, objectives = panel.question, panel.problem.objectives
    seeds = panel.focus.config.seeds
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(seeds) > 1:
            st.segmented_control(
                "Seed",
                seeds,
                key=page.widget("seed", question.seed),
                required=True,
                on_change=page.take,
                args=("seed",),
            )
        if len(objectives) > 2:
            pairs = [(i, j) for i in range(len(objectives)) for j in range(i + 1, len(objectives))]
            st.segmented_control(
                "Objectives",
                pairs,
                key=page.widget("axes", panel.axes),
                required=True,
                format_func=lambda pair: escaped(" × ".join(objectives[i].title for i in pair)),
                on_change=page.take,
                args=("axes",),
            )
        st.toggle(
            "Zoom to the last front",
            key=page.widget("zoom", pareto_front.zoomed(panel)),
            on_change=page.take,
            args=("zoom",),
            help="Axes end where the solutions do that are better than the reference point.",
        )


def _front(
    panel: FrontPanel, steps: Sequence[int], space: Space, *, zoom: bool, ended: bool
) -> None:
    drawn = pareto_front.panel(panel, steps, space, zoom=zoom, ended=ended)
    figures.draw(
        drawn.chart,
        key=f"pf_front_{space}",
        # What is played in the browser is not drawn anew for each of its steps.
        of=(
            tuple((one.label, one.pinned, one.answer.version) for one in panel.shown),
            (
                panel.focus.label,
                panel.question.seed,
                panel.axes,
                panel.pick,
                zoom,
                ended,
                tuple(steps),
            ),
        ),
        on_select="rerun",  # else a live update would undo zoom and legend pick
        alt=drawn.alt,
    )


def picked(panel: FrontPanel, step: int, pick: Callable[[int, bool], None]) -> None:
    """The preference slider, and the solution that it picks off the front.

    Args:
        pick: called with a solution's place and whether the slider is still held.
    """
    focus, objectives = panel.focus, panel.problem.objectives
    weights = focus.config.weights
    words = [f"{i + 1}: {preference_words(row)}" for i, row in enumerate(weights)]
    names = " · ".join(objective.title for objective in objectives)
    if len(words) > 1:
        slider.slider(
            f"Preference among {focus.label}'s solutions (weights of {names})",
            words,
            panel.pick,
            key="pf_pick",
            on_slide=pick,
        )
    if not _picked_cards(panel, step):
        return
    words_on_method = ""
    if focus.config.method == "mgda":
        words_on_method = " MGDA uses no preference: its solutions are where their starts led them."
    st.caption(
        f"Solution {panel.pick + 1} of {len(words)}, seed {panel.question.seed}, ringed above. "
        "A weight says how much an objective's loss counts, so the more weight, the lower the loss."
        + words_on_method
    )


def _picked_cards(panel: FrontPanel, step: int) -> bool:
    """The picked solution's loss and metric of each objective; False before the first front."""
    focus, objectives = panel.focus, panel.problem.objectives
    losses = panel.values(focus, step, "loss")
    if not len(losses):
        return False
    metrics = panel.values(focus, step, "metric") if objectives[0].metric else None
    loss_word = "test loss" if panel.held_out else "loss"
    place = st.container(horizontal=True)
    for axis, objective in enumerate(objectives):
        loss, best = float(losses[panel.pick, axis]), float(losses[:, axis].min())
        if metrics is None:
            shown, less = f"{loss:.3g}", f"best of the front {best:.3g}"
        else:
            form = pareto_front.metric(panel, axis)[1]
            shown = format(float(metrics[panel.pick, axis]), form)
            less = f"{loss_word} {loss:.3g}, best {best:.3g}"
        title = loss_word if metrics is None else pareto_front.metric(panel, axis)[0]
        place.metric(
            f"{escaped(objective.title)}: {title}",
            shown,
            delta=less,
            delta_color="gray",
            delta_arrow="off",
            border=True,
        )
    return True


def views(panel: FrontPanel, step: int | None, page: Page, answers: Answers) -> None:
    """One view at a time: each costs its part of every redraw. Some need a front to look at."""
    look = panel.question.look
    st.segmented_control(
        "Look at",
        list(LOOK_TITLES),
        key=page.widget("look", look),
        required=True,
        format_func=LOOK_TITLES.__getitem__,
        on_change=page.take,
        args=("look",),
        label_visibility="collapsed",
    )
    if look == "hypervolume" and step is not None:
        _hypervolume(panel, step)
    elif look == "transfer" and step is not None:
        _transfer(panel, step, answers)


def _hypervolume(panel: FrontPanel, step: int) -> None:
    styles = pareto_front.styled(panel)
    chosen: Any = st.segmented_control(
        "Against",
        ["evaluations", "seconds"],
        key="pf_x",
        default="evaluations",
        required=True,
        format_func={"evaluations": "gradient evaluations", "seconds": "seconds"}.__getitem__,
    )
    x: Any = chosen or "evaluations"  # which a browser that has yet to draw it does not send
    bands = [curves.band(one.quality).assign(curve=one.label) for one in panel.shown]
    drawn = pd.concat([one for one in bands if len(one)])
    found = panel.convergence()
    at = curves.band(panel.focus.quality)
    now = at.loc[at["step"] <= step, x]
    title = "hypervolume"
    figures.draw(
        hypervolume_chart(
            drawn,
            styles,
            x=x,
            title=title,
            levels=_levels(panel, found),
            now=float(now.iloc[-1]) if len(now) else None,
            name="pf_hypervolume",
        ),
        key=f"pf_hypervolume_{x}",
        on_select="rerun",
        alt=hypervolume_alt(
            styles,
            x=x,
            title=title,
            bands=None if any(one.answer.active for one in panel.shown) else drawn,
        ),
    )
    caption = (
        "Lines are means over seeds, bands ± 2 standard deviations. The same seeds have the same "
        "starts and batches in every method that has a preference."
    )
    if x == "seconds":
        caption += (
            " Seconds depend on the machine that solved and on what else ran there; seeds that are "
            "solved together share them equally."
        )
    if not panel.problem.own_starts:
        caption += (
            " All solutions of a seed start from one initialisation, MGDA's excepted, so that no "
            "speed-up here comes from averaging starts, and Averaged start is not offered."
        )
    st.caption(caption)
    if panel.front_known and panel.problem.own_starts:
        _speed_up(panel)
        st.markdown("**All measures**")
    _table(panel, found)


def _levels(panel: FrontPanel, found: pd.DataFrame) -> pd.DataFrame:
    """The hypervolumes to reach, as lines across the chart."""
    levels = [(float(row), f"{curves.SHARE:.0%} of the best") for row in found["target"][:1]]
    if panel.front_known:
        levels.append((_true_hypervolume(panel.focus.config), "the true front"))
    return pd.DataFrame(levels, columns=["level", "label"])


@st.cache_data(max_entries=20, show_spinner=False)
def _true_hypervolume(config: ParetoConfig) -> float:
    return toy.true_hypervolume(config)


def _table(panel: FrontPanel, found: pd.DataFrame) -> None:
    by_name = {str(row["name"]): row for row in found.to_dict("records")}
    rows = []
    for one in panel.shown:
        last = one.quality.sort_values("step").groupby("seed").tail(1)
        row = by_name.get(one.label, {"evaluations": math.nan, "ratio": math.nan})
        rows.append(
            {
                "method": one.label,
                "state": one.answer.state,
                "hypervolume": _mean_2sd(last["hypervolume"], ".3f"),
                "evaluations to 90 % of the best": _known(row["evaluations"], ",.0f"),
                "ratio": _known(row["ratio"], ".2f"),
                "reached": f"{row['reached']} of {row['seeds']} seeds" if "reached" in row else "–",
                "spread": _mean_2sd(last["coverage"], ".3f"),
                "distance to true front": _mean_2sd(last["distance"], ".4f"),
                "source": common.origins(one.answer),
                "run": one.config.id,
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="pf_table")


def _speed_up(panel: FrontPanel) -> None:
    """What of the transfers' speed-up is left beside an averaged start, in a table and in words."""
    found = speedup.speed_up(panel, _true_hypervolume(panel.focus.config))
    st.markdown("**What of the speed-up is left?**")
    if found is None:
        st.caption("Known when a front is done.")
        return
    first, *rest = found.words
    st.markdown("\n".join([first, "", *(f"- {sentence}" for sentence in rest)]))
    if not any(pace.reached for pace in found.paces):
        return
    rows = [
        {
            "method": pace.title,
            "start": _start_words(pace.method, pace.start),
            "evaluations, mean": _known(pace.mean, ",.0f"),
            "range over seeds": _range(pace),
            "reached": f"{pace.reached} of {len(pace.counts)} seeds",
            "ratio to Independent": _known(found.ratio(pace, "independent"), ".2f"),
            "ratio to Averaged start": _known(found.ratio(pace, "averaged"), ".2f"),
        }
        for pace in found.paces
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="pf_speedup")
    st.caption(
        f"Gradient evaluations to {curves.SHARE:.0%} of the true front's hypervolume "
        f"({found.level:.3f}), the same for all methods; counted at saved frames, which "
        f"Independent has every {found.every:,}. Differences are means over the same seeds, with "
        "95 % t intervals that hold for all comparisons here together. Taking the mean of the "
        "starts takes no gradient."
    )


def _range(pace: speedup.Pace) -> str:
    known = pace.counts[np.isfinite(pace.counts)]
    return f"{known.min():,.0f} to {known.max():,.0f}" if len(known) else "–"


def _known(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "–"


def _mean_2sd(values: pd.Series, form: str) -> str:
    known = values.dropna()
    if known.empty:
        return "–"
    if len(known) < 2:
        return format(known.iloc[0], form)
    return f"{known.mean():{form}} ± {2 * known.std():{form}}"


def _transfer(panel: FrontPanel, step: int, answers: Answers) -> None:
    focus, seed = panel.focus, panel.question.seed
    if focus.config.method in WITHOUT_TRANSFER:
        st.info(
            f"{escaped(focus.label)} transfers nothing: each solution keeps all of itself "
            "(M = I). Look closely at a method that transfers, such as Decaying.",
            icon=":material/link_off:",
        )
        return
    st.markdown(transfer.rule(focus.config.method).about)
    rows = answers.table(focus.answer, "transfers")
    rows = rows[rows["seed"] == seed]
    if rows.empty or (rows["solution"] == rows["other"]).all():
        st.info("Nothing was taken from others: M = I in all frames.", icon=":material/link_off:")
        return
    labels = _solution_labels(focus)
    at = focus.step_at(step, seed)
    left, right = st.columns(2)
    with left:
        st.markdown(f"**Transfer matrix M of the step to iteration {at or 0:,}**")
        figures.draw(
            transfer_heatmap(rows[rows["step"] == at], labels=labels, name="pf_matrix"),
            key="pf_matrix",
            alt=transfer_alt(labels),
        )
    with right:
        st.markdown("**What each takes from others, over time**")
        kept = rows[rows["solution"] == rows["other"]][["step", "solution", "share"]]
        figures.draw(
            kept_heatmap(kept, labels=labels, now=at, name="pf_kept"),
            key="pf_kept",
            alt=kept_alt(labels),
        )
    known = "weights of the first objective" if len(panel.problem.objectives) == 2 else "places"
    st.caption(
        f"Solutions are named by their {known}. Rows receive, columns give; every row sums to 1. "
        "Colours are on a cube-root scale, so that small shares show."
    )


def _solution_labels(focus: ShownFront) -> list[str]:
    """Short names of its solutions: the first weight of two, else their places."""
    weights = focus.config.weights
    if focus.config.definition.objectives[2:]:
        return [str(i + 1) for i in range(len(weights))]
    if len(weights) > 1:
        return [f"{row[0]:.2f}" for row in weights]
    return [preference_words(row) for row in weights]


# What can be taken away, and what the words mean.


def take_away(panel: FrontPanel, answers: Answers) -> None:
    """Ways to share the page, and to export what it shows."""
    query = panel.question.to_query()
    with st.popover("Share", icon=":material/share:"):
        stage.share(query, pareto_front.TITLE, parts=_PARTS)
        if panel.focus.config.problem_options:
            st.caption("The address names your file, as exported fronts do.")
    with st.popover("Export", icon=":material/download:"):
        if panel.steps:
            exports.draw(
                "pareto_front",
                partial(pareto_front.figure_on, panel),
                figure_code("pareto_front", query),
                [("Solutions at all frames as CSV", partial(_csv, panel))],
            )
        finished = [one.answer for one in panel.shown if one.answer.state == "done"]
        if finished:
            st.download_button(
                "Finished fronts as artifacts",
                partial(exchange.pack, finished, answers),
                file_name="fronts.zip",
                mime="application/zip",
                icon=":material/folder_zip:",
                on_click="ignore",
                help="A zip file that the Library page, or `import`, takes in on another machine.",
            )
        st.caption("The front that you look closely at, on the command line:")
        st.code(
            panel.focus.answer.kind.command.line(panel.focus.config, panel.question.preset),
            language="bash",
            wrap_lines=True,
        )


_PARTS: tuple[stage.Part, ...] = ("controls", "buttons", "cards", "looks", "notes")


def _csv(panel: FrontPanel) -> str:
    tables = [one.rows.assign(method=one.label) for one in panel.shown]
    return csv(pd.concat(tables))


def words(panel: FrontPanel) -> None:
    """How it was computed, and what the words mean."""
    with st.expander("How this was computed", icon=":material/calculate:"):
        _computed(panel)
    with st.expander("What the words mean", icon=":material/menu_book:"):
        st.markdown(GLOSSARY)


def _computed(panel: FrontPanel) -> None:
    rows = []
    for one in panel.shown:
        answer, config = one.answer, one.config
        rows.append(
            {
                "method": one.label,
                "scalarization": "–" if config.method in BASELINES else config.scalarization,
                "solutions": config.solutions,
                "starts": _start_words(config.method, config.start)
                if config.definition.own_starts or config.method == "mgda"
                else _start_words(config.method, "shared"),
                "iterations": config.iterations,
                "optimizer": f"{config.optimizer}, lr {config.lr:g}",
                "batch": "all" if config.batch_size is None else str(config.batch_size),
                "examples": "all" if config.samples is None else f"{config.samples:,}",
                "tested on": "all" if config.held_out is None else f"{config.held_out:,}",
                "seeds": " ".join(map(str, config.seeds)),
                "source": common.origins(one.answer),
                "device": answer.said("device"),
                "torch": answer.versions.get("torch", "–"),
                "created": answer.said("created")[:10],
                "data": answer.said("data_fingerprint"),
            }
        )
    st.dataframe(pd.DataFrame(rows), hide_index=True, key="pf_computed")
    tell("caption", panel.problem.description)


def _start_words(method: str, start: str) -> str:
    """Where a seed's solutions start."""
    if start == "shared":
        return "one a seed"
    return "mean of all" if method == "averaged" else "one a solution"


def _at(one: ShownFront, step: int) -> pd.Series | None:
    """Its hypervolume's band at the last step up to ``step`` that all its seeds have reached."""
    band = curves.band(one.quality)
    before = band[band["step"] <= step]
    return None if before.empty else before.iloc[-1]


GLOSSARY = r"""
**Trade-off.** A solution is Pareto optimal when no objective can be improved without making another
worse; all of them form the *front*. A *preference* $\lambda$, one weight for each objective with
the sum 1, asks for one of them.

**Scalarization** makes one loss of several, from what losses are above the ideal point, in units
that make objectives count alike: *weighted sum* $\sum_k \lambda_k L_k$; *Tchebycheff*
$\max_k \lambda_k L_k$; *smooth Tchebycheff* $\mu \log \sum_k \exp(\lambda_k L_k / \mu)$.

**Multi-task gradient descent with transfer** (MT2O). $N$ preferences are $N$ subproblems $F_i$,
solved together: $\theta_i \leftarrow \sum_j m_{ij}\,\theta_j - \alpha\,\nabla F_i(\theta_i)$. Rows
of $M$ are shares of 1. With $M = I$ each is solved on its own (*independent*). A constant $M$ keeps
pulling neighbours together and ends short of the front; the decaying and the adaptive one fade.

**Averaged start** is the control for that: every solution begins at the mean of the random starts
and is solved for on its own from there, so what it gains over *independent* is what averaging the
starts once gives, and only what a transfer gains over *it* is the transfer's own. With *one start
for a whole seed* there is nothing to average, and *independent* itself is the control.

**Hypervolume.** The share of the box between the ideal and the reference point that at least one
solution dominates (Zitzler & Thiele 1999; computed by moocore). Both points are fixed by the
problem, beforehand.

**Gradient evaluations.** Backward passes of one solution on one batch: one in a step of a
scalarization, one for each objective in a step of MGDA and Pareto MTL.

**Evaluations to 90 %** of the best final hypervolume on a seed, over all that are shown; the
*ratio* divides them by those of Independent. *What of the speed-up is left* counts them to 90 % of
the true front's hypervolume instead, which does not depend on what else is shown.

**Spread.** How much of each objective's range the solutions cover, 1 from ideal to reference point;
more where solutions lie beyond the reference point, which adds nothing to the hypervolume.

Sources: Bai, Gupta & Ong 2024 (MT2O, arXiv 2403.16162); Lin et al. 2019 (Pareto MTL, arXiv
1912.12854); Sener & Koltun 2018 (MGDA, arXiv 1810.04650); Lin et al. 2024 (smooth Tchebycheff,
arXiv 2402.19078).
"""
