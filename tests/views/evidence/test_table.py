"""The table of evidence: every claim, as ``docs/evidence.md`` has it."""

import re
from pathlib import Path

import pytest

from mtl_core.places import shipped
from mtl_core.views.evidence import (
    CLAIMS,
    OUTCOMES,
    PAPERS,
    EvidenceView,
    Row,
    by_claim,
    frame,
    markdown,
    summary,
    text,
)
from mtl_core.views.evidence.table import COMMAND

ROOT = Path(__file__).resolve().parents[3]
Rows = tuple[Row, ...]


def test_the_document_is_what_the_artifacts_say(shipped_evidence: Rows) -> None:
    """Where it differs, the command in its first sentence writes it anew."""
    found = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert found == markdown(shipped_evidence), f"run {COMMAND}"
    assert COMMAND in found.splitlines()[2]


def test_every_figure_and_section_of_the_claims_is_there() -> None:
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS)
    places = " ".join(claim.place for claim in CLAIMS if claim.paper == "M24")
    figures = {
        int(number)
        for part in re.findall(r"Fig\. ([\d, ]+)", places)
        for number in re.findall(r"\d+", part)
    }
    assert figures == set(range(1, 11))
    assert {"§3.1", "§4.1", "§4.2", "§5.1", "§5.2", "Table 1"} <= set(
        re.findall(r"§\d\.\d|Table 1", places)
    )
    assert {claim.paper for claim in CLAIMS} == set(PAPERS)


def test_every_claim_has_rows_that_say_what_they_are_of(shipped_evidence: Rows) -> None:
    assert [claim for claim, _ in by_claim(shipped_evidence)] == list(CLAIMS)
    for row in shipped_evidence:
        assert row.found.outcome in OUTCOMES
        assert row.found.why
        if row.query is None:
            assert row.found.outcome == "cannot tell"
        else:
            assert row.on
            assert re.search("seed|best evidence", row.on)
            assert (ROOT / "pages" / f"{row.claim.page}.py").exists()
        if row.found.outcome == "cannot tell":
            assert row.power, "what they would have found, or what it takes"
    takes = [row.power for row in shipped_evidence if row.query is None]
    plans = {name for power in takes for name in re.findall(r"plans/\w+\.toml", power)}
    assert plans
    assert all((shipped("plans") / name.removeprefix("plans/")).exists() for name in plans)


@pytest.fixture
def few(shipped_evidence: Rows) -> Rows:
    return tuple(row for row in shipped_evidence if row.claim.key in ("help", "harm", "twice"))


def test_text_is_aligned_and_says_the_same(few: Rows) -> None:
    lines = text(few).splitlines()
    assert lines[0] == summary(few)
    assert lines[0].startswith("3 claims in 3 rows: the runs here agree in ")
    starts = [line for line in lines if line.strip().startswith(OUTCOMES)]
    assert len(starts) == 3
    assert len({line.index(row.title) for line, row in zip(starts, few, strict=True)}) == 1
    assert all(row.found.number in line for line, row in zip(starts, few, strict=True))
    assert "**" not in text(few)


def test_the_frame_has_a_row_each(few: Rows) -> None:
    table = frame(few)
    assert table["number"].tolist() == [row.found.number for row in few]
    assert table["runs_say"].tolist() == [row.found.outcome for row in few]
    assert not table["why"].str.contains("**", regex=False).any()


def test_markdown_has_a_table_for_each_paper(few: Rows) -> None:
    said = markdown(few)
    heads = [line for line in said.splitlines() if line.startswith("## ")]
    assert heads[:2] == [f"## {paper}: {authors}" for paper, authors in PAPERS.items()]
    rows = [line for line in said.splitlines() if line.startswith("| ")]
    assert all(line.count("|") - line.count("\\|") == 8 for line in rows)


# The URL.


@pytest.mark.parametrize(
    ("query", "view"),
    [
        ({}, EvidenceView()),
        ({"paper": "MT2O"}, EvidenceView("MT2O")),
        ({"outcome": "cannot tell"}, EvidenceView(None, "cannot tell")),
        ({"paper": "all", "outcome": "agree"}, EvidenceView(None, "agree")),
    ],
)
def test_a_url_says_which_rows(query: dict[str, str], view: EvidenceView) -> None:
    found, problems = EvidenceView.from_query(query)
    assert (found, problems) == (view, [])
    assert EvidenceView.from_query(view.to_query()) == (view, [])


def test_a_url_that_is_wrong_shows_all() -> None:
    found, problems = EvidenceView.from_query({"paper": "M25", "outcome": "maybe"})
    assert found == EvidenceView()
    assert len(problems) == 2
    assert "unknown paper 'M25'; one of: M24, MT2O" in problems[0]


def test_rows_are_shown_by_paper_and_outcome(shipped_evidence: Rows) -> None:
    shown = EvidenceView("MT2O", "cannot tell").shown(shipped_evidence)
    assert shown
    assert {(row.claim.paper, row.found.outcome) for row in shown} == {("MT2O", "cannot tell")}
    assert EvidenceView().shown(shipped_evidence) == list(shipped_evidence)
