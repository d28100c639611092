"""Own data in words, and what a page offers of it."""

from pathlib import Path

import pytest

from mtl_core import settings
from mtl_core.data import choices, sheet
from mtl_core.views import own_data
from tests import owned


def read(text: str) -> sheet.Sheet:
    return sheet.read(text.encode(), "t.csv")


def test_what_columns_look_like() -> None:
    found = read("a,b,c,d,e\n1,0.5,x,2020-01-01,1\n2,,y,2020-01-02,x\n")
    table = own_data.columns(found)
    assert table["column"].tolist() == ["a", "b", "c", "d", "e"]
    assert table["looks like"].tolist()[:4] == [
        "whole numbers, 2 different",
        "numbers, 1 different",
        "text, 2 different",
        "dates, as days, 2 different",
    ]
    assert table["looks like"][4].startswith("text, 2 different; has text in row 2, where other")
    assert table["missing"].tolist() == [0, 1, 0, 0, 0]
    assert table["first values"][2] == "x, y"
    assert own_data.summary(found) == "2 rows, 5 columns"
    many = read("a,b\n" + "".join(f"w{number},1\n" for number in range(21)))
    assert own_data.looks(many.columns[0]) == "text, 21 different, too many for an input"
    assert own_data.split(many).startswith("About 15 rows are trained on, 3 validate, and 3 test;")


def test_a_column_of_both_may_be_taken_as_names() -> None:
    found = read("a,b,c\n1,0.5,x\nx,1,y\n")
    offered = own_data.offered(found, ["c"])
    assert offered.labels == ("a", "b", "c")
    assert offered.able == ("a", "b")
    assert offered.inputs == offered.groups == ("a", "b")


def test_balances_in_lines() -> None:
    found = sheet.read(owned.frame(60).to_csv(index=False).encode(), "t.csv")
    choice = choices.guessed(found, ["y", "kind"])
    number, kinds = own_data.balances(found, choice)
    assert number.startswith("y: a number, ")
    assert number.endswith(" in 60 rows")
    assert kinds.startswith("kind: 2 classes: ")
    counts = [int(part.split("(")[1][:-1]) for part in kinds.split(": ")[2].split(", ")]
    assert sum(counts) == 60
    assert counts[0] >= counts[1]


def test_a_visitor_is_offered_nothing_that_others_have_brought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    shipped = settings.names()
    one, other = owned.store(), owned.store(owned.frame(seed=1), title="Theirs")
    assert own_data.settings_offered("digits", shared=False) == [*shipped, one, other]
    assert own_data.settings_offered("digits", shared=True) == shipped
    assert own_data.settings_offered("digits", shared=True, known=[one]) == [*shipped, one]
    assert own_data.settings_offered(other, shared=True) == [*shipped, other]
