"""The matrix of all pairs, on the page Which auxiliary."""

from typing import Any

import streamlit as st

from mtl_core import settings
from mtl_core.charts import CELL, cosine_alt, cosine_heatmap
from mtl_core.runs import Answers
from mtl_core.runs.queue.launch import tend
from mtl_core.views import comparisons, links, transfer_matrix
from mtl_core.views.figures import which_auxiliary as drawn
from mtl_core.views.phrases import counted
from mtl_core.views.transfer_matrix import Cell, Matrix
from mtl_core.views.turns import in_turn
from mtl_core.views.what_if import Question
from mtl_core.views.which_auxiliary import Asked, RaceView
from pages.parts import buttons, common, exports, figures, stage, state, words

__all__ = ["controls", "draw"]

TICK_SECONDS = 4.0
Page = state.Page[RaceView]


def controls(page: Page) -> None:
    """What can be chosen of it."""

    @page.once_drawn
    def ask_seeds() -> None:
        page.change(seeds=int(page.entered("seeds", RaceView.seeds)))

    st.number_input(
        "Seeds of each pair",
        min_value=2,
        max_value=10,
        key=page.widget("seeds", page.view.seeds),
        on_change=ask_seeds,
        help="What Run trains where nothing is known; all seeds that are known count.",
    )
    st.toggle(
        "Like beside like",
        key=page.widget("clustered", page.view.clustered),
        on_change=page.take,
        args=("clustered",),
        help="Puts targets that gain from the same auxiliaries side by side, and auxiliaries that "
        "help the same targets.",
    )


def draw(page: Page, answers: Answers) -> None:
    """The matrix, what can be trained for it, and what it says."""
    view = page.view
    found = transfer_matrix.matrix(view.setting, view.preset, answers)
    asked = transfer_matrix.asked(found, view.seeds, answers)
    if stage.shows("buttons"):
        buttons.draw(
            asked,
            answers,
            ready=lambda: common.data_ready(view.setting, TICK_SECONDS),
            noun=("network", "to train", "runs"),
            beside=lambda: None,
        )
    active = any(one.answer.active for one in asked)
    st.fragment(_live, run_every=TICK_SECONDS if active else None)(page, answers, active)
    if found.cells:
        query = view.to_query()
        exports.offer("which_auxiliary", query, answers, title=view.title, ways=stage.FIGURE)
        if stage.shows("looks"):
            _cosines(found, found.ordered(by_likeness=view.clustered)[0])


@in_turn
@common.errors_in_words
def _live(page: Page, answers: Answers, was_active: bool) -> None:
    view = page.view
    found = transfer_matrix.matrix(view.setting, view.preset, answers)
    if was_active:
        if answers.store is not None and (problem := tend(answers.store)):
            words.tell("warning", problem, icon=":material/engineering:")
        asked = transfer_matrix.asked(found, view.seeds, answers)
        if not any(one.answer.active for one in asked):
            st.rerun()
        _progress(asked)
    if not found.cells:
        st.info(
            "No pair of these tasks has finished at this budget. Run trains them; or choose "
            "another budget or setting."
        )
        return
    if stage.shows("cards"):
        st.markdown(_summary(found))
    panel = drawn.matrix(view, found, going=was_active)
    event = figures.draw(panel.chart, key="wa_matrix", on_select="rerun", alt=panel.alt)
    if stage.shows("notes"):
        _opened(event, found)
    stage.note(
        "Each row is a target, each column the one task that it is trained with; a run of two "
        "tasks counts for both where they have equally many examples. ΔE is what the target's test "
        "metric gains over training it alone, with its 95 % interval; *decided* after Holm's "
        f"correction for all {found.judged} cells. Blank cells are not known."
    )


def _progress(asked: list[Asked]) -> None:
    share = sum(one.answer.share for one in asked) / len(asked)
    st.progress(share, text=f"{share:.0%} of all pairs")


def _summary(found: Matrix) -> str:
    tasks = len(found.tasks)
    helps = sum(one.comparison.verdict == "better" for one in found.cells)
    harms = sum(one.comparison.verdict == "worse" for one in found.cells)
    return (
        f"Of {counted(tasks * (tasks - 1), 'pair')}, {len(found.cells):,} are known: "
        f"**{helps:,}** help, **{harms:,}** harm, and {len(found.cells) - helps - harms:,} cannot "
        "be told yet."
    )


def _opened(event: Any, found: Matrix) -> None:
    """A way to the curves of the cell that was clicked."""
    chosen = event.selection.get(CELL) if event and event.selection else None
    if not chosen:
        st.caption("Click a cell for its curves.")
        return
    cell = found.cell(chosen[0].get("target", ""), chosen[0].get("auxiliary", ""))
    if cell is None:
        return
    st.page_link(
        "pages/what_if.py",
        label=f"The curves of {cell.target} with {cell.auxiliary} on What if",
        icon=":material/experiment:",
        query_params=_question(cell).to_query(),
    )


def _question(cell: Cell) -> Question:
    """The target with the auxiliary, whichever of them the run has for its target."""
    return comparisons.question(cell.run.config, cell.target) or links.question([cell.run])


def _cosines(found: Matrix, tasks: list[str]) -> None:
    """The known cosine of every pair, in the same order, where the setting has one."""
    cells = found.table()
    if settings.get(found.setting).relatedness is None or cells.empty:
        return
    with st.expander("The true cosine of each pair", icon=":material/join_inner:"):
        pairs = cells.rename(columns={"target": "task", "auxiliary": "other"})
        figures.draw(
            cosine_heatmap(pairs, tasks, height=max(24 * len(tasks), 180), name="wa_cosines"),
            key="wa_cosines",
            alt=cosine_alt(tasks, pairs),
        )
        st.caption(
            "Of the true functions, of the pairs that are known above. Each task has a head of its "
            "own, which can undo a sign: what counts is how far a cosine is from 0."
        )
