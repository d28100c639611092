"""How a run's learning rate and batch size were chosen, for *How this was computed*."""

import math

import pandas as pd
import streamlit as st

from mtl_core import RunConfig
from mtl_core.runs.library.sweeps import SweepTable, damaged
from mtl_core.views import sweeps
from mtl_core.views.measures import measure
from pages.parts import words
from pages.parts.words import escaped

__all__ = ["chosen"]

SHARED = (
    "Single-task and multi-task runs of a setting share both. The paper does not say whether its "
    "own do."
)
EDGES = {"lr": "learning rate", "batch_size": "batch size"}


def chosen(config: RunConfig, key: str) -> None:
    """Say it in a sentence, with the table of the sweep where there was one."""
    table = sweeps.chosen_by(config)
    broken = damaged(config.setting)
    for line in broken:
        words.tell("warning", f"Skipped: {line}", icon=":material/broken_image:")
    pair = f"Learning rate {config.lr:g} and batch size {config.batch_size}"
    if table is None:
        preset = sweeps.preset_with(config)
        origin = f"are those of the preset {preset}" if preset else "were set for these runs"
        none = "no sweep that can be read" if broken else "no sweep"
        st.markdown(f"{pair} {origin}; {none} has chosen them. {SHARED}")
        return
    st.markdown(f"{pair} {_won(table)} {SHARED}")
    st.dataframe(_written(table), hide_index=True, key=f"{key}_sweep")


def _won(table: SweepTable) -> str:
    """By what they were chosen, and among how many, as the rest of a sentence."""
    line = sweeps.command(table)
    several = len(sweeps.experiments(table)) > 1
    won = (
        f"were chosen by a sweep of {sweeps.grid(table).size} pairs, by the target's best "
        f"validation metric{' averaged over the runs of a pair' if several else ''}: "
        f"{sweeps.on(table)} ({f'`{line}`' if line else escaped(table.plan)})."
    )
    edges = " and ".join(EDGES[name] for name in table.choice.edges)
    if edges:
        won += f" They lie at the edge of the grid in {edges}: a wider one may find better."
    return won


def _written(table: SweepTable) -> pd.DataFrame:
    """The scores as text, the winner marked: a row for every learning rate."""
    measures = [measure(table.setting, run.config.target) for run in table.runs]
    form = ".2%" if all(one.share for one in measures) else ".4g"
    won = (table.choice.lr, table.choice.batch_size)

    def cell(score: float, pair: object) -> str:
        text = "lost" if math.isnan(score) else format(score, form)
        return f"{text} ◂ chosen" if pair == won else text

    return pd.DataFrame(
        [
            {"learning rate": f"{lr:g}"}
            | {f"batch {size}": cell(score, (lr, size)) for size, score in row.items()}
            for lr, row in sweeps.grid(table).iterrows()
        ]
    )
