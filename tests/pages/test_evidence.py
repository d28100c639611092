"""Evidence: every row as its page says it, filters in the URL, and a table to take along."""

import io
import re
from collections.abc import Callable
from urllib.parse import parse_qsl

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mtl_core.views.evidence import Row, frame, summary
from mtl_core.views.phrases import plain
from pages.parts.papers import FINDINGS

Open = Callable[..., AppTest]
Rows = tuple[Row, ...]


@pytest.fixture
def evidence(shipped_evidence: Rows, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Judged once for all tests."""
    monkeypatch.setattr("mtl_core.views.evidence.evidence", lambda answers: shipped_evidence)
    return shipped_evidence


def cells(app: AppTest) -> list[str]:
    """A text for each row of a claim."""
    lists = [one.value for one in app.markdown if one.value.startswith("- :")]
    return [row for told in lists for row in told.removeprefix("- ").split("\n- ")]


def param(app: AppTest, name: str) -> str:
    """A parameter of the address, however it came there."""
    value = app.query_params[name]
    return value if isinstance(value, str) else value[0]


def test_every_claim_and_row_is_there(open_page: Open, evidence: Rows) -> None:
    app = open_page("evidence")
    assert app.title[0].value == "What do the papers claim, and what do the runs here say?"
    said = [one.value for one in app.markdown]
    assert summary(evidence) in said
    for row in evidence:
        assert f"**{row.claim.place}** {row.claim.statement}" in said
    shown = cells(app)
    badges = [cell for cell in shown if "-badge[" in cell]
    icons = {outcome: icon for outcome, (icon, _, _) in FINDINGS.items()}
    for outcome, icon in icons.items():
        count = sum(row.found.outcome == outcome and row.query is not None for row in evidence)
        assert sum(f"[{icon} {outcome}]" in cell for cell in badges) >= count
    assert len({colour for _, _, colour in FINDINGS.values()}) == 3
    numbers = " ".join(plain(cell).replace("\u00a0", " ") for cell in shown)
    assert all(row.found.number in numbers for row in evidence if row.query is not None)


def test_the_filter_is_in_the_url(open_page: Open, evidence: Rows) -> None:
    app = open_page("evidence", paper="MT2O", outcome="cannot tell")
    shown = [
        row for row in evidence if row.claim.paper == "MT2O" and row.found.outcome == "cannot tell"
    ]
    assert len(app.subheader) == 2, "of the sidebar and of one paper"
    links = [cell for cell in cells(app) if "](" in cell]
    assert len(links) == sum(row.query is not None for row in shown)
    app.sidebar.radio[0].set_value("agree").run()
    assert param(app, "outcome") == "agree"
    assert param(app, "paper") == "MT2O"
    assert not any("cannot tell]" in cell for cell in cells(app))
    app.sidebar.radio[0].set_value("any").run()
    assert "outcome" not in app.query_params


def test_a_url_that_is_wrong_is_said(open_page: Open, evidence: Rows) -> None:
    app = open_page("evidence", outcome="maybe")
    assert "unknown outcome 'maybe'" in app.warning[0].value
    assert len(cells(app)) >= 80, "everything is shown"


def test_the_table_can_be_taken_along(
    open_page: Open, evidence: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    monkeypatch.setattr(st, "download_button", lambda label, data, **more: taken.append(data))
    open_page("evidence", paper="MT2O")
    table = pd.read_csv(io.StringIO(taken[0]), keep_default_na=False)
    expected = frame([row for row in evidence if row.claim.paper == "MT2O"])
    pd.testing.assert_frame_equal(table, expected)


# One number, one meaning: a row says what the page that it leads to says.

SAID = {
    "early": "",
    "no_factor": "",
    "smtos": "",
    "conflict_optimization": "Worsens optimization: ",
    "conflict_generalization": "Does not foretell generalization: ",
}
LOOKED_AT = [
    ("early", "fashion"),
    ("early", "cifar100"),
    ("no_factor", "fashion"),
    ("no_factor", "mnists"),
    ("smtos", "fashion"),
    ("conflict_optimization", "synthetic"),
    ("conflict_generalization", "synthetic"),
]


def find(rows: Rows, key: str, name: str) -> Row:
    (row,) = (row for row in rows if (row.claim.key, row.name) == (key, name))
    assert row.query is not None
    return row


@pytest.mark.parametrize(("key", "name"), LOOKED_AT)
def test_a_row_is_what_its_page_says(
    open_page: Open, shipped_evidence: Rows, key: str, name: str
) -> None:
    row = find(shipped_evidence, key, name)
    app = open_page(row.claim.page, **row.query)
    badge = SAID[key] + FINDINGS[row.found.outcome][1]
    said = [one.value for one in app.markdown]
    assert any(badge.lower() in one.lower() for one in said)
    assert row.found.why in said
    assert param(app, "budget") == dict(row.query or {})["budget"]


@pytest.mark.parametrize(
    ("key", "name"), [("early", "fashion"), ("conflict_optimization", "synthetic")]
)
def test_a_page_takes_the_same_budget_without_being_told(
    open_page: Open, shipped_evidence: Rows, key: str, name: str
) -> None:
    row = find(shipped_evidence, key, name)
    app = open_page(row.claim.page, setting=name)
    assert param(app, "budget") == dict(row.query or {})["budget"]
    assert row.found.why in [one.value for one in app.markdown]


def test_the_speed_up_is_that_of_the_pareto_page(open_page: Open, shipped_evidence: Rows) -> None:
    found = [row for row in shipped_evidence if row.claim.key == "speed" and row.name == "toy"]
    app = open_page("pareto_front", **(found[0].query or {}))
    said = " ".join(one.value for one in app.markdown)
    for row in found:
        ratio, difference = re.match(r"×([\d.]+) of .*: ([+−][\d,]+) ", row.found.number).groups()
        assert ratio in said
        assert difference.replace("−", "-") in said


def test_links_lead_to_what_was_judged(open_page: Open, evidence: Rows) -> None:
    app = open_page("evidence", paper="M24")
    links = {
        (page, tuple(sorted(parse_qsl(query))))
        for cell in cells(app)
        for page, query in re.findall(r"\]\((\w+)\?([^)]*)\)", cell)
    }
    expected = {
        (row.claim.page, tuple(sorted(row.query.items())))
        for row in evidence
        if row.claim.paper == "M24" and row.query is not None
    }
    assert links == expected
