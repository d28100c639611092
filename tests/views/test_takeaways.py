"""What goes into papers: LaTeX that compiles by its rules, BibTeX that parses, code that runs."""

import re
from pathlib import Path

import pandas as pd
import pytest

from mtl_core import optimizers
from mtl_core.views.citations import FRONTS, bibtex
from mtl_core.views.compare import Compared
from mtl_core.views.takeaways import comparison_code, latex
from mtl_core.views.what_if import Question


def test_a_table_has_booktabs_rules_and_nothing_that_latex_would_take_for_more() -> None:
    table = pd.DataFrame(
        {"curve": ["+ a_b & 50%", "ΔE ±2"], "transfer": [0.0631234, -0.5], "p": [float("nan"), 1.0]}
    )
    assert latex(table).splitlines() == [
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"curve & transfer & p \\",
        r"\midrule",
        r"+ a\_b \& 50\% & 0.06312 & -- \\",
        r"$\Delta$E $\pm$2 & $-0.5$ & 1 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_every_optimizer_has_its_paper_and_the_app_its_own() -> None:
    text = bibtex(optimizers.names())
    entries = re.findall(r"^@misc\{(\w+),\n((?:  .+\n)+)\}$", text, re.M)
    assert len(entries) == text.count("@misc")
    keys = [key for key, _ in entries]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "mueller2024trajectories"
    assert all("author = {" in body and "year = {" in body for _, body in entries)
    for name in optimizers.names():
        if name not in ("umtg", "mean"):
            assert len(bibtex([name])) > len(bibtex()), name
    assert "author = {Kendall and Gal and Cipolla}" in text
    assert "author = {Yu and others}" in text
    assert "eprint = {2110.14048}" in bibtex(["cagrad"])
    assert "Désidéri" in bibtex(["mgda"])
    assert "1810.04650" in bibtex(["mgda"]), "and the other paper"
    assert bibtex([], paper=FRONTS).startswith("@misc{bai2024mt2o,")


@pytest.mark.parametrize(
    "query",
    [
        {"setting": "synthetic", "aux": "cos100"},
        {"setting": "synthetic", "aux": "cos100 cos0", "optimizer": "umtg mgda", "lr": "0.01"},
        {
            "setting": "digits",
            "aux": "digits2",
            "optimizer": "umtg mgda",
            "mgda.normalization": "l2",
        },
        {"setting": "digits", "aux": ""},
    ],
)
def test_the_lines_of_code_ask_the_same(
    query: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    question, told = Question.from_query(query)
    assert not told
    code = comparison_code(question)
    names: dict[str, object] = {}
    exec(code.replace("\n)\n", "\n    train=False,\n)\n"), names)
    found = names["found"]
    assert isinstance(found, Compared)
    asked = {question.configs[0].baseline, *question.configs}
    assert {one.config for one in found.panel.shown} == asked
