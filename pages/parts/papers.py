"""What the pages on the paper's figures share: the claim and its verdict, sources, choices."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pandas as pd
import streamlit as st

from mtl_core import settings
from mtl_core.analysis import FEWEST_EPOCHS, FactorVerdict, Finding
from mtl_core.runs.library.answers import Answer, Answers, other_data
from mtl_core.views import comparisons, explaining, former, smtos
from mtl_core.views.comparisons import Pool
from mtl_core.views.phrases import title
from mtl_core.views.spreadsheets import csv
from pages.parts import common, hyperparameters, stage, words
from pages.parts.state import Page
from pages.parts.words import escaped

FINDINGS: Mapping[Finding, tuple[str, str, Literal["blue", "orange", "gray"]]] = {
    "agree": (":material/check:", "the runs here agree", "blue"),
    "disagree": (":material/close:", "the runs here disagree", "orange"),
    "cannot tell": (":material/pending:", "the runs here cannot tell", "gray"),
}
"""Icon, words and colour: neither side is good or bad news, and colour-blind people tell them
apart."""
AGGREGATES = {"bins": "at comparable loss", "footnote": "by footnote 7"}
MOST_REASONS = 3  # that are written out for a factor
LONGEST_COMMAND = 140  # characters of one that is written below its figure


# The view: changed by callbacks only.


def page(
    key: str,
    read: Callable[..., tuple[Any, list[str]]],
    pools: Sequence[Pool],
    answers: Answers,
) -> Page[Any]:
    """The state of a page on some pools; links from when ids were others are read as meant."""
    budgets = [pool.budget for pool in pools]

    def read_current(query: Mapping[str, str]) -> tuple[Any, list[str]]:
        return read(former.current(query, answers, budgets), found=pools)

    return Page(key, read_current, anew=True)


def place(page: Page[Any], pools: Sequence[Pool]) -> None:
    """Choose setting and budget; another one starts anew."""

    def anew(**query: str) -> None:
        fresh, _ = page.read(query)
        page.put(fresh)

    chosen = page.view
    names = list(dict.fromkeys(pool.setting.name for pool in pools))
    own = page.widget("setting", chosen.setting)
    st.selectbox(
        "Setting",
        names,
        key=own,
        format_func=lambda name: settings.get(name).title,
        on_change=lambda: anew(setting=st.session_state[own]),
        help=settings.get(chosen.setting).description,
    )
    there = {pool.name: pool for pool in pools if pool.setting.name == chosen.setting}
    which = page.widget("budget", chosen.budget)
    st.selectbox(
        "Budget",
        list(there),
        key=which,
        format_func=lambda name: smtos.budget_label(there[name].budget) if name in there else name,
        on_change=lambda: anew(setting=chosen.setting, budget=st.session_state[which]),
        help="Budgets with finished runs. Runs are compared within one budget only.",
    )


def reading(page: Page[Any], epochs: int) -> None:
    """Choose how a quantity becomes one number: footnote 7's means take long runs."""
    usual = page.view.aggregate == "bins"
    st.segmented_control(
        "Read",
        list(AGGREGATES),
        key=page.widget("aggregate", page.view.aggregate),
        required=True,
        disabled=usual and epochs < FEWEST_EPOCHS,
        format_func=AGGREGATES.__getitem__,
        on_change=page.take,
        args=("aggregate",),
        help="At comparable loss: factors by the paper's App. C.4, E at the best validation "
        "epoch. By footnote 7: means over the best, the last and the largest of many epochs.",
    )
    if usual and epochs < FEWEST_EPOCHS:
        st.caption(too_short(epochs))


def too_short(epochs: int) -> str:
    """Why there are no numbers by footnote 7."""
    return (
        f"Footnote 7's means take runs of at least {FEWEST_EPOCHS} whole epochs, and these have "
        f"{epochs}: its ten best would be most of the way up."
    )


def nothing(what: str) -> None:
    """Say what it takes where there are no runs at all."""
    st.info(f"{what} Train them on What if; they show here once they are done.")
    st.page_link("pages/what_if.py", label="Ask What if", icon=":material/experiment:")


# The claim, and whether it holds here.


def claim(said: str, where: str) -> None:
    """What the paper says."""
    if stage.shows("notes"):
        st.markdown(f"> {said}  \n> :small[Mueller, Dredze & Andrews 2024, {where}]")


def finding(outcome: Finding, why: str, *, of: str = "") -> None:
    """What our runs say of a claim, as computed from them, with the reason in one sentence.

    Args:
        why: as Markdown, whose names are escaped.
    """
    if not stage.shows("cards"):
        return
    icon, say, colour = FINDINGS[outcome]
    title = f"{of}: {say}" if of else f"{say[0].upper()}{say[1:]}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(title, icon=icon, color=colour)
        st.markdown(why)


def of_its_own(found: FactorVerdict, verdicts: Sequence[FactorVerdict]) -> str:
    """Why a factor's verdict is what it is, as far as that is not true of all factors."""
    missing = explaining.shared(verdicts)
    own = tuple(each for each in found.missing if each not in missing)
    return common.because(replace(found, missing=own), MOST_REASONS)


# Where a figure's numbers come from.


def source(runs: Iterable[Answer], *, measuring: bool = False) -> None:
    """Measured or published, on what, and by which command; reduced runs say so."""
    runs = list({run.config.id: run for run in runs}.values())
    if not runs or not stage.shows("notes"):
        return
    config = runs[0].config
    kinds = _listed(run.numbers for run in runs)
    devices = _listed(run.said("device") for run in runs)
    seeds = sorted({len(run.config.seeds) for run in runs})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}"
    less = _listed(
        filter(None, (comparisons.reduced(run.config, measuring=measuring) for run in runs))
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(escaped(kinds), icon=":material/science:", color="blue")
        if less:
            st.badge("reduced", icon=":material/compress:", color="orange")
    st.caption(
        f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} on "
        f"{settings.get(config.setting).title}, {config.train_size:,} training examples per task, "
        f"{config.epochs} epochs, {many} seeds, on {escaped(devices)}; by {_commands(runs)}."
        + (f" Smaller than the paper's setup: {less}." if less else "")
    )


def _commands(runs: Sequence[Answer]) -> str:
    """The lines that train these runs, or where they are."""
    lines = list(dict.fromkeys(map(_command, runs)))
    short = [line for line in lines if len(line) <= LONGEST_COMMAND]
    if len(short) == len(lines) <= 2:
        return " and ".join(f"`{line}`" for line in lines)
    return f"the {len(lines)} commands under *How this was computed*"


def _command(run: Answer) -> str:
    plan = comparisons.plan(run.config) if run.shipped else None
    if plan:
        return f"python -m mtl_core precompute {plan}"
    return run.kind.command.line(run.config, smtos.nearest_preset(run.config.baseline))


def computed(
    key: str, method: str, runs: Sequence[Answer], table: pd.DataFrame | None = None
) -> None:
    """How a figure was computed, down to the manifests of its runs."""
    if not stage.shows("notes"):
        return
    with st.expander("How this was computed", icon=":material/precision_manufacturing:"):
        st.markdown(method)
        for name, how in next((run.factors for run in runs if run.factors), {}).items():
            st.markdown(f"- **{escaped(title(name))}** here: {escaped(str(how))}")
        if runs:  # of one budget, which both are a part of
            hyperparameters.chosen(runs[0].config, key)
        st.dataframe(_manifests(runs), hide_index=True, key=f"{key}_runs")
        for line in dict.fromkeys(filter(None, map(other_data, runs))):
            words.tell("warning", line)
        if table is not None:
            st.download_button(
                "Numbers as CSV",
                partial(csv, table),
                file_name=f"{key}_numbers.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key=f"{key}_csv",
            )


def _manifests(runs: Sequence[Answer]) -> pd.DataFrame:
    rows = []
    for run in runs:
        config = run.config
        rows.append(
            {
                "target": config.target,
                "auxiliaries": config.auxiliaries_label
                if len(config.auxiliaries) <= 3
                else f"{len(config.auxiliaries)} tasks",
                "optimizer": smtos.Entry.of(config).label if config.auxiliaries else "–",
                "seeds": len(config.seeds),
                "run": config.id,
                "numbers": run.numbers,
                "source": common.origins(run),
                "device": run.said("device"),
                "torch": run.versions.get("torch", "–"),
                "created": run.said("created")[:10],
                "data": run.said("data_fingerprint"),
                "command": _command(run),
            }
        )
    return pd.DataFrame(rows)


def ask_what_if(run: Answer, task: str) -> None:
    """A button that opens the same question on the What if page."""
    if not stage.shows("notes"):
        return
    name = next(iter(comparisons.labels([run], task)))
    asked = comparisons.question(run.config, task)
    if asked is None:
        st.caption(f"What if has no such budget; on the command line: `{_command(run)}`")
        return
    st.page_link(
        "pages/what_if.py",
        label=f"Open {task} on What if",
        icon=":material/experiment:",
        query_params=asked.to_query(),
        help=f"{task} {name}, at the same budget.",
    )


def versions(runs: Iterable[Answer]) -> tuple[object, ...]:
    """A key for what is computed from finished runs, which do not change."""
    return tuple(run.version for run in runs)


def _listed(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(words))
