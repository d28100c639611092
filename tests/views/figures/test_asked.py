"""The figures of pages by their question: whole, the same numbers, and given by lines of code."""

import doctest
import re
from pathlib import Path
from unittest.mock import Mock
from xml.etree import ElementTree

import pandas as pd
import pytest

import mtl_core
from mtl_core import InputError, RunConfig, analysis
from mtl_core.runs.library.artifacts import scan
from mtl_core.views.compare import compare
from mtl_core.views.figures import asked
from mtl_core.views.figures.asked import FIGURES
from mtl_core.views.figures.base import Figure
from mtl_core.views.takeaways import figure_code

ROOT = Path(__file__).resolve().parents[3]
QUESTIONS = [
    ("overview", {"overview_setting": "digits"}),
    ("what_if", {"setting": "synthetic", "aux": "cos100", "optimizer": "umtg mgda"}),
    ("which_auxiliary", {"setting": "digits", "target": "digits1", "candidates": "digits2"}),
    ("which_auxiliary", {"setting": "digits", "look": "pairs"}),
    ("pareto_front", {"problem": "toy"}),
    ("generalization_gap", {"setting": "fashion", "budget": "paper", "task": "fashion1"}),
    ("factors", {"setting": "fashion", "budget": "paper", "task": "fashion1"}),
    ("smtos", {"setting": "digits", "target": "digits1"}),
    ("conflict", {"setting": "digits"}),
]


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))


def test_the_example_holds() -> None:
    done = doctest.testmod(asked)
    assert done.attempted > 0
    assert done.failed == 0


def test_every_page_with_a_figure_is_a_page() -> None:
    assert set(FIGURES) == {page for page, _ in QUESTIONS}
    assert all((ROOT / "pages" / f"{page}.py").exists() for page in FIGURES)


@pytest.mark.parametrize(("page", "question"), QUESTIONS)
def test_the_lines_of_code_give_the_figure_and_its_table(
    page: str, question: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(figure_code(page, question), names)
    found = names["found"]
    assert isinstance(found, Figure)
    assert len(found.table)
    root = ElementTree.parse(tmp_path / f"{page}.svg").getroot()
    texts = {"".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")}
    panels = [panel for row in found.rows for panel in row]
    titles = {panel.title for panel in panels if panel.title and len(panels) > 1}
    assert {found.title, *titles} <= texts
    assert len(found.charts) == len(panels)
    assert all(panel.alt() for panel in panels)
    written = found.latex()
    assert written.count(r"\\") == len(found.table) + 1, "a line each, and the head"
    assert found.bibtex.startswith("@misc{")


def test_the_lines_of_code_ask_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called = Mock()
    monkeypatch.setattr(mtl_core, "figure", called, raising=False)
    question = {"aux": "cos'0", "mgda.normalization": "l2", "optimizer": "umtg mgda", "class": "1"}
    exec(figure_code("what_if", question), {})
    called.assert_called_once_with("what_if", **question)


def test_the_table_is_that_of_a_comparison() -> None:
    found = mtl_core.figure("what_if", setting="synthetic", aux="cos100")
    known = compare("synthetic", "target", ["cos100"], train=False).table
    pd.testing.assert_frame_equal(found.table, known)


def test_a_gap_in_the_table_is_that_of_the_runs() -> None:
    found = mtl_core.figure(
        "generalization_gap", setting="fashion", budget="paper", task="fashion1"
    )
    shipped, _ = scan()
    helped = RunConfig.from_preset("fashion", "paper", auxiliaries=("fashion2",))
    rows = pd.concat(
        shipped[run.id].table("trajectory").assign(curve=name)
        for name, run in (("alone", helped.baseline), ("helped", helped))
    )
    moved = analysis.transfer(rows, analysis.Versus("fashion1", "helped", "alone", "higher"))
    row = found.table.set_index("case").loc["+ fashion2"]
    assert moved is not None
    assert row[["transfer", "transfer_low", "transfer_high"]].tolist() == pytest.approx(
        [moved.delta, moved.low, moved.high]
    )


@pytest.mark.parametrize(
    ("page", "question", "said"),
    [
        ("library", {}, "unknown page with a figure 'library'; one of: overview, what_if"),
        ("factors", {"setting": "mars"}, "unknown setting 'mars'"),
        ("conflict", {"reading": "late"}, "unknown reading 'late'"),
        ("overview", {"overview_setting": "mars"}, "unknown setting with runs that ship 'mars'"),
        ("pareto_front", {"seeds": "77"}, "none of these fronts has been solved for yet"),
    ],
)
def test_what_cannot_be_shown_is_said(page: str, question: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        mtl_core.figure(page, **question)


def test_an_unknown_ending_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    found = mtl_core.figure("what_if", setting="synthetic", aux="cos100")
    with pytest.raises(InputError, match=r"unknown ending of a file '.doc'; one of: .svg, .pdf"):
        found.save(tmp_path / "figure.doc")
    assert not list(tmp_path.glob("figure*"))
    for ending, begins in ((".png", b"\x89PNG"), (".pdf", b"%PDF-"), (".bib", b"@misc{mueller")):
        found.save(tmp_path / f"figure{ending}")
        assert (tmp_path / f"figure{ending}").read_bytes().startswith(begins)
