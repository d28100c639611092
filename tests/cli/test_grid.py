"""The commands ``precompute`` and ``sweep``."""

from pathlib import Path

import pytest

from mtl_core.cli import grid, main
from mtl_core.runs.grids import engines
from mtl_core.runs.library import artifacts, sweeps
from tests.cli.asking import complaint


def test_precompute_writes_artifacts_of_all_kinds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[[grid]]\nsetting = 'digits'\nauxiliaries = [[], ['digits2']]\nepochs = 1\nsamples = 64\n"
        "held_out = 50\nwidth = 4\nseeds = [0]\n"
        "[[front]]\nproblem = 'toy'\niterations = 20\nframes = 2\nsolutions = 3\nseeds = [0]\n"
    )
    out = tmp_path / "cache"
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(out)]) == 0
    found, problems = artifacts.scan(out)
    assert problems == []
    labels = [artifact.config.auxiliaries_label for artifact in _of("training", found)]
    assert sorted(labels) == ["digits2", "stl"]
    assert [artifact.config.problem for artifact in _of("front", found)] == ["toy"]
    capsys.readouterr()
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(out)]) == 0
    said = "0 experiments trained, 3 already there, 0 failed\n"
    assert capsys.readouterr().err == said

    more = plan.read_text().replace("seeds = [0]", "seeds = [0, 1]")
    plan.write_text(more)
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(out)]) == 0
    assert "3/3 runs, 100 %" in capsys.readouterr().err
    assert {one.config.seeds for one in artifacts.scan(out)[0].values()} == {(0, 1)}


def _of(kind: str, found: dict[str, artifacts.Artifact]) -> list[artifacts.Artifact]:
    return [artifact for artifact in found.values() if artifact.kind.name == kind]


def test_precompute_offers_the_backends_that_there_are() -> None:
    assert tuple(engines.BACKENDS) == grid.BACKENDS


def test_sweep_writes_a_table_and_the_winner_into_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real, plan = tmp_path / "real.toml", tmp_path / "try.toml"
    real.write_text("# mine\n[[grid]]\nsetting = 'digits'\n")
    plan.write_text(
        "[[sweep]]\nsetting = 'digits'\nepochs = 1\nsamples = 64\nheld_out = 50\nwidth = 4\n"
        "lr = [1e-2, 1e-3]\nbatch_size = [16]\ninto = 'real.toml'\n"
    )
    places = ["--out", str(tmp_path / "runs"), "--tables", str(tmp_path / "tables")]
    assert main(["sweep", str(plan), "--jobs", "1", *places]) == 0
    table = sweeps.read(tmp_path / "tables" / "try" / "digits.json")
    won = {1e-2: "1e-2", 1e-3: "1e-3"}[table.choice.lr]
    pair = f"lr = {won}\nbatch_size = 16\n"
    assert real.read_text() == f"# mine\n[[grid]]\nsetting = 'digits'\n{pair}"
    assert f"digits: learning rate {table.choice.lr:g} and" in capsys.readouterr().out
    assert main(["sweep", str(plan), *places]) == 0
    assert "0 experiments trained, 2 already there, 0 failed" in capsys.readouterr().err

    plan.write_text(plan.read_text().replace("real.toml", "nowhere.toml"))
    said = complaint(["sweep", str(plan), *places], capsys)
    assert f"sweep 1 of plan {plan}: cannot read plan {tmp_path / 'nowhere.toml'} (No such" in said
    assert complaint(["sweep", str(plan), "--jobs", "0"], capsys) == "jobs 0 must be at least 1"
