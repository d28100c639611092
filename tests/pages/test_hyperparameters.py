"""*How this was computed* says where learning rate and batch size come from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mtl_core import RunConfig
from mtl_core.cli import main
from mtl_core.runs.library import sweeps
from mtl_core.runs.library.sweeps import SweepTable, SweptRun, tables_dir

SHARED = "Single-task and multi-task runs of a setting share both. The paper does not say"


def said(app) -> str:
    (line,) = [one.value for one in app.markdown if one.value.startswith("Learning rate ")]
    assert SHARED in line
    return line


def sweep_of(app) -> dict[str, list[str]]:
    (table,) = [one.value for one in app.dataframe if "learning rate" in one.value]
    return table.to_dict("list")


def test_what_a_sweep_has_chosen_is_shown_with_all_that_was_tried(open_page) -> None:
    app = open_page(
        "what_if",
        setting="fashion",
        preset="paper",
        target="fashion1",
        lr="0.001",
        batch_size="256",
    )
    assert said(app).startswith(
        "Learning rate 0.001 and batch size 256 were chosen by a sweep of 9 pairs, by the target's "
        "best validation metric: fashion1 alone; seed 100, 20 epochs, 25,000 training examples per "
        "task, width 16 (`python -m mtl_core sweep plans/fashion_sweep.toml`). They lie at the "
        "edge of the grid in batch size: a wider one may find better. "
    )
    table = sweeps.read(tables_dir() / "fashion_sweep" / "fashion.json")
    best = {(r.config.lr, r.config.batch_size): f"{r.best:.2%}" for r in table.runs}
    best[1e-3, 256] += " ◂ chosen"
    rates = (5e-3, 1e-3, 5e-4)
    assert sweep_of(app) == {"learning rate": ["0.005", "0.001", "0.0005"]} | {
        f"batch {size}": [best[lr, size] for lr in rates] for size in (64, 128, 256)
    }


@pytest.mark.parametrize(
    ("page", "query"), [("what_if", {"setting": "digits"}), ("generalization_gap", {})]
)
def test_else_they_are_a_presets(open_page, page: str, query: dict[str, str]) -> None:
    app = open_page(page, **query)
    line = said(app)
    assert " are those of the preset " in line
    assert "; no sweep has chosen them. " in line
    assert not [one for one in app.dataframe if "learning rate" in one.value]


def test_a_damaged_sweep_is_said_where_it_would_be_shown(
    open_page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ship = sweeps.tables_dir() / "fashion_sweep" / "fashion.json"
    copy = tmp_path / "sweeps" / "fashion_sweep" / "fashion.json"
    copy.parent.mkdir(parents=True)
    whole = json.loads(ship.read_text())
    whole["winner"]["lr"] = 5e-4
    copy.write_text(json.dumps(whole))
    monkeypatch.setattr(sweeps, "tables_dir", lambda: tmp_path / "sweeps")
    app = open_page(
        "what_if",
        setting="fashion",
        preset="paper",
        target="fashion1",
        lr="0.001",
        batch_size="256",
    )
    assert "; no sweep that can be read has chosen them. " in said(app)
    (warning,) = [one.value for one in app.warning if "sweep table" in one.value]
    why = "sweep table fashion_sweep/fashion.json: its fields do not follow from its runs"
    assert warning.replace("\\", "") == f"Skipped: {why}"
    assert not [
        one.value
        for one in open_page("what_if", setting="digits").warning
        if "sweep table" in one.value
    ]
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"           0 sweep tables, in {tmp_path / 'sweeps'}" in lines
    assert f"           skipped: {why}" in lines


def test_or_nobodys(open_page) -> None:
    app = open_page("what_if", setting="digits", lr="0.5")
    assert said(app).startswith(
        "Learning rate 0.5 and batch size 16 were set for these runs; no sweep has chosen them. "
    )


def test_a_paper_page_shows_the_sweep_of_its_runs(
    open_page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of metrics averaged over two experiments, one of which diverged at one pair."""
    single = RunConfig.from_preset("digits", "quick", seeds=(100,), factors=())
    runs = []
    for lr, bests in ((single.lr, (0.9, 0.8)), (2 * single.lr, (0.95, None))):
        for names, best in zip(((), ("digits2",)), bests, strict=True):
            config = replace(single, lr=lr, auxiliaries=names)
            runs.append(SweptRun(config, best, best and 1.0, diverged=best is None))
    table = SweepTable("mine.toml", tuple(runs), ())
    sweeps.write(tmp_path / "sweeps", table)
    monkeypatch.setattr(sweeps, "tables_dir", lambda: tmp_path / "sweeps")
    app = open_page("generalization_gap", setting="digits", budget="quick")
    assert (
        "were chosen by a sweep of 2 pairs, by the target's best validation metric averaged over "
        "the runs of a pair: digits1 alone, digits1 with digits2; seed 100, "
    ) in said(app)
    assert " (mine.toml). They lie at the edge of the grid in learning rate: a wider" in said(app)
    assert list(sweep_of(app).values())[1] == ["lost", "85.00% ◂ chosen"]
