"""Evidence: every claim of both papers, what the runs that ship say of it, and how surely."""

import re
from collections.abc import Sequence
from urllib.parse import urlencode

import streamlit as st

from mtl_core.analysis import Finding
from mtl_core.runs import Answers, Artifact
from mtl_core.views.evidence import (
    OUTCOMES,
    PAPERS,
    RULES,
    Claim,
    EvidenceView,
    Row,
    by_claim,
    evidence,
    frame,
    summary,
)
from mtl_core.views.phrases import escaped, listed
from mtl_core.views.spreadsheets import csv
from pages.parts import common, papers, stage, state

Page = state.Page[EvidenceView]
KEY = "evidence"
ANY = "any"


@common.errors_in_words
def main() -> None:
    shipped = dict(common.answers().shipped)
    page: Page = state.Page(KEY, EvidenceView.from_query)
    view = page.open()
    st.title("What do the papers claim, and what do the runs here say?")
    page.problems()
    rows = _rows(tuple((run, one.stamp) for run, one in shipped.items()), shipped)
    if stage.shows("controls"):
        with st.sidebar:
            _controls(page, rows)
    st.markdown(summary(rows))
    with st.expander("What do these words mean?", icon=":material/help:"):
        st.markdown(RULES)
    shown = view.shown(rows)
    if not shown:
        st.info("No claim is like that.", icon=":material/filter_alt_off:")
    for paper, authors in PAPERS.items():
        own = [row for row in shown if row.claim.paper == paper]
        if own:
            st.subheader(authors)
        for claim, its in by_claim(own):
            _claim(claim, its)
    st.download_button(
        "Table as CSV",
        csv(frame(shown)),
        file_name="evidence.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"{KEY}_csv",
    )
    st.caption(
        "Only runs that ship count here, so that the table is the same on every machine; the pages "
        "that it leads to count your own runs too. The same table: "
        "`python -m mtl_core evidence`, and `docs/evidence.md`."
    )


@st.cache_resource(max_entries=2, show_spinner="Judging the runs that ship …")
def _rows(stamps: tuple[tuple[str, str], ...], _shipped: dict[str, Artifact]) -> tuple[Row, ...]:
    """What follows from artifacts, which do not change while their stamps are the same."""
    return evidence(Answers(None, _shipped))


def _controls(page: Page, rows: Sequence[Row]) -> None:
    st.subheader("Which claims")
    st.segmented_control(
        "Of",
        [ANY, *PAPERS],
        key=page.widget("paper", page.view.paper or ANY),
        required=True,
        format_func=lambda paper: "both papers" if paper == ANY else paper,
        on_change=page.take,
        args=("paper", _chosen),
        help="; ".join(f"{paper}: {authors}" for paper, authors in PAPERS.items()),
    )
    st.radio(
        "The runs here",
        [ANY, *OUTCOMES],
        key=page.widget("outcome", page.view.outcome or ANY),
        format_func=lambda outcome: _counted(outcome, rows),
        on_change=page.take,
        args=("outcome", _chosen),
    )


def _chosen(word: str) -> str | None:
    return None if word == ANY else word


def _counted(outcome: str, rows: Sequence[Row]) -> str:
    """An outcome, and how many rows have it."""
    if outcome == ANY:
        return f"say anything ({len(rows)})"
    return f"{outcome} ({sum(row.found.outcome == outcome for row in rows)})"


def _claim(claim: Claim, rows: Sequence[Row]) -> None:
    st.markdown(f"**{claim.place}** {claim.statement}", help=claim.judged)
    measured = [row for row in rows if row.query is not None]
    lines = [f"- {_badge(row.found.outcome)} {_measured(row)}" for row in measured]
    if missing := [row for row in rows if row.query is None]:
        lines.append(f"- {_badge('cannot tell')} {_missing(missing)}")
    # A list, as columns of a table are as wide as their own rows take: no two claims' agree.
    st.markdown("\n".join(lines))


def _badge(outcome: Finding) -> str:
    icon, _, colour = papers.FINDINGS[outcome]
    return f":{colour}-badge[{icon} {outcome}]"


def _measured(row: Row) -> str:
    """The setting, as a link to the page that shows what it is judged by, and the numbers."""
    link = f"[{escaped(row.title)}]({row.claim.page}?{urlencode(row.query or {})})"
    ours = " :gray[:small[not the paper's]]" if row.ours else ""
    lines = [f"{link}{ours}: {escaped(_unbroken(row.found.number))}"]
    lines += [f":gray[:small[{part}]]" for part in (escaped(_on(row)), row.power) if part]
    return "  \n".join(lines)


def _unbroken(number: str) -> str:
    """The same, with every interval on one line."""
    return re.sub(r"\[[^]]*\]", lambda found: found[0].replace(" ", "\u00a0"), number)


def _missing(rows: Sequence[Row]) -> str:
    """Settings that nothing was measured in, and what it takes."""
    titles = escaped(listed([row.title for row in rows]))
    takes = "; ".join(dict.fromkeys(row.power for row in rows))
    return f"{titles}: nothing measured  \n:gray[:small[{takes}]]"


def _on(row: Row) -> str:
    return "; ".join(filter(None, (row.on, row.elsewhere)))


main()
