"""The command line of fronts: what it writes, and that nothing wrong costs a traceback."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from mtl_core import cli
from mtl_core.cli import front_line, main, parse_front
from mtl_core.pareto import ParetoConfig, problems, scalarizations, solve
from mtl_core.pareto.config import METHODS, OPTIMIZERS
from mtl_core.runs import front_artifacts, fronts
from mtl_core.runs.library import artifacts
from mtl_core.runs.queue.store import Store

SMALL = shlex.split(
    "front --problem toy --preset quick --iterations 40 --frames 4 --solutions 5 --seeds 0 1"
)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's store or data."""
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A user's table of 100 rows with targets y and z."""
    path = tmp_path / "my table.csv"
    random = Random(0)
    rows = [[random.gauss(0, 1) for _ in range(3)] for _ in range(100)]
    lines = [f"{a},{b},{c},{a + b * c},{a - b}" for a, b, c in rows]
    path.write_text("\n".join(["a,b,c,y,z", *lines]))
    return path


def complaint(arguments: Sequence[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line on standard error of a command that fails."""
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert captured.out == "" or code == 1
    return line.removeprefix("error: ")


def same_as_solved(folder: Path, config: ParetoConfig) -> None:
    """Whether an artifact holds what ``solve`` gives, to the last bit."""
    artifact = front_artifacts.read(folder)
    assert artifact.config == config
    assert artifact.unfinished is None
    found = list(solve(config, device="cpu"))
    losses = fronts.front_table(config, found)
    clockless = [name for name in losses.columns if name != "seconds"]
    pd.testing.assert_frame_equal(artifact.front()[clockless], losses[clockless], check_exact=True)
    transfers = fronts.transfer_table(found)
    if not (transfers["solution"] != transfers["other"]).any():
        transfers = transfers[:0]
    pd.testing.assert_frame_equal(artifact.transfers(), transfers, check_exact=True)


@pytest.mark.parametrize("method", ["adaptive", "independent", "mgda"])
def test_front_writes_what_solve_gives_and_precompute_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    out = tmp_path / "new" / "out"
    words = [*SMALL, "--method", method, "--out", str(out)]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{out}\n", "")
    files = ["front.parquet", "manifest.json"]
    assert sorted(path.name for path in out.iterdir()) == [
        *files,
        *(["transfers.parquet"] if method == "adaptive" else []),
    ]
    config = ParetoConfig.from_preset(
        "toy", "quick", method=method, iterations=40, frames=4, solutions=5, seeds=(0, 1)
    )
    assert parse_front(words[1:]) == config
    same_as_solved(out, config)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["id"] == config.id
    assert (manifest["device"], manifest["data_fingerprint"]) == ("cpu", "formula")
    assert manifest["duration_seconds"] > 0
    assert not (tmp_path / "runs.db").exists(), "the store is the app's"

    plan = tmp_path / "plan.toml"
    plan.write_text(
        f"[[front]]\nproblem = 'toy'\nmethod = '{method}'\niterations = 40\nframes = 4\n"
        "solutions = 5\nseeds = [0, 1]"
    )
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(tmp_path / "cache")]) == 0
    folder = tmp_path / "cache" / front_artifacts.artifact_name(config)
    same_as_solved(folder, config)
    for name in ("versions", "device", "data_fingerprint", "config", "rows"):
        assert front_artifacts.read(folder).manifest[name] == manifest[name]
    capsys.readouterr()
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(tmp_path / "cache")]) == 0
    assert capsys.readouterr().err == "0 configs trained, 1 already there, 0 failed\n"


def test_a_front_of_a_users_table(tmp_path: Path, table: Path) -> None:
    words = [
        *shlex.split("front --problem csv --preset quick --iterations 20 --frames 2 --seeds 3"),
        *("--problem-option", f"file={table}", "--problem-option", "targets=y,z"),
        *("--preferences", "0.2,0.8", "0.5,0.5", "--device", "cpu"),
    ]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    config = ParetoConfig.from_preset(
        "csv",
        "quick",
        problem_options=(("file", str(table)), ("targets", "y,z")),
        preferences=((0.2, 0.8), (0.5, 0.5)),
        iterations=20,
        frames=2,
        seeds=(3,),
    )
    same_as_solved(tmp_path / "out", config)
    artifact = front_artifacts.read(tmp_path / "out")
    assert set(artifact.front()["objective"]) == {"y", "z"}
    assert artifact.front()["test_loss"].notna().all()
    assert artifact.manifest["data_fingerprint"] == front_artifacts.data_fingerprint(config)


def test_a_front_that_diverges_keeps_what_came_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = "--problem linnerud --lr 1e30 --method independent --device cpu"
    line = complaint([*SMALL, *words.split(), "--out", str(out)], capsys, code=1)
    assert line.startswith("solving diverged: ")
    artifact = front_artifacts.read(out)
    assert artifact.unfinished == line
    assert set(artifact.front()["step"]) == {0}
    assert front_artifacts.scan(tmp_path)[0] == {}


def test_a_front_that_is_stopped_keeps_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mtl_core.pareto

    slices = mtl_core.pareto.slices

    def interrupted(config: ParetoConfig, **words: Any) -> Any:
        for part in slices(config, **words):
            if part.step == 20:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(mtl_core.pareto, "slices", interrupted)
    out = tmp_path / "out"
    assert main([*SMALL, "--out", str(out)]) == 130
    assert capsys.readouterr().err == "stopped\n"
    artifact = front_artifacts.read(out)
    assert artifact.unfinished == "stopped before its end"
    assert set(artifact.front()["step"]) == {0, 10}


BAD: dict[str, str] = {
    "--problem mars": "unknown problem 'mars'; one of: toy, ",
    "--method magic": "unknown method 'magic'; one of: independent, ",
    "--method-option strength": "method option 'strength' is not NAME=VALUE",
    "--method-option x=1": "unknown option of transfer 'adaptive' 'x'; one of: ",
    "--method mgda --method-option x=1": "method 'mgda' has no options; leave 'x' out",
    "--problem-option x=1": "toy has no options; leave 'x' out",
    "--problem-option x": "problem option 'x' is not NAME=VALUE",
    "--scalarization sum": "unknown scalarization 'sum'; one of: ",
    "--smoothing 0": "smoothing 0.0 must be a finite number above 0",
    "--solutions 0": "number of solutions 0 must be between 1 and",
    "--layout ring": "unknown layout 'ring'; one of: ",
    "--layout given": "layout 'given' needs preferences",
    "--layout-seed -1": "layout seed -1 must be between 0 and",
    "--preferences 0.2,0.9": "preference ",
    "--preferences 0.2,0.3,0.5": "preference ",
    "--preferences 0.2;0.8": "preference '0.2;0.8' is not numbers with commas between",
    "--preferences": "argument --preferences: expected at least one argument",
    "--preset huge": "unknown preset of toy 'huge'; one of: ",
    "--optimizer adamw": "unknown optimizer 'adamw'; one of: sgd, adam",
    "--lr nan": "learning rate nan must be a finite number above 0",
    "--iterations 0": "iterations 0 must be between 1 and",
    "--frames 0": "frames 0 must be between 1 and",
    "--batch-size few": "argument --batch-size: 'few' is neither a whole number nor all",
    "--held-out 0": "held out 0 must be at least 1",
    "--seeds": "no seeds; give at least one",
    "--seeds 1 1": "seeds 1 1 repeat; give each once",
    "--device tpu": "unknown device 'tpu'; one of: cpu, cuda",
    "--epochs 3": "unrecognized arguments: --epochs 3",
    "--problem csv": "csv needs the option targets, two columns or more to predict",
    "--problem csv --problem-option targets=y": "csv needs the option targets, two columns or more "
    "to predict: a trade-off takes two; 'y' is one",
    "--problem csv --problem-option targets=y,z": "csv needs the option file, the path of a CSV",
    "--problem multimnist": "MNIST is not in ",
}


@pytest.mark.parametrize("words", BAD)
def test_a_bad_front_costs_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    line = complaint([*SMALL, "--out", str(tmp_path / "out"), *words.split()], capsys)
    assert line.startswith(BAD[words])
    assert not (tmp_path / "out").exists()


def test_a_table_without_the_targets_is_named(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = shlex.split("front --problem csv --problem-option targets=y,q --out")
    there = [*words, str(tmp_path / "out"), "--problem-option", f"file={table}"]
    line = complaint(there, capsys)
    assert "'q'" in line
    assert "my table.csv" in line
    gone = [*words, str(tmp_path / "out"), "--problem-option", f"file={tmp_path / 'gone.csv'}"]
    assert "gone.csv" in complaint(gone, capsys)
    assert not (tmp_path / "out").exists()


def test_a_folder_is_of_one_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main([*SMALL, "--out", str(out)]) == 0
    capsys.readouterr()
    run = ["run", "--setting", "digits", "--out", str(out)]
    assert complaint(run, capsys) == (
        f"{out} holds another artifact, with front.parquet; choose another folder"
    )
    assert front_artifacts.read(out).unfinished is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trajectory.parquet").write_bytes(b"")
    line = complaint([*SMALL, "--out", str(tmp_path / "run")], capsys)
    assert "holds another artifact, with trajectory.parquet" in line


# front_line


def sampled(random: Random) -> ParetoConfig:
    name = random.choice([one for one in problems.names() if one != "csv"])
    options: tuple[tuple[str, Any], ...] = ()
    if random.random() < 0.2:
        name, options = "csv", (("file", random.choice(["5", "a b.csv", "1e3", "true"])),)
        options = (*options, ("targets", random.choice(["y,z", "1,2", "x y,'q'"])))
    objectives = len(problems.get(name).given(dict(options)).objectives)
    method = random.choice(METHODS)
    method_options: dict[str, Any] = {}
    if method == "decay":
        method_options = {"halving": random.choice([7, 20, 99]), "strength": random.random() / 2}
    changes: dict[str, Any] = {}
    layout = random.choice(["lattice", "random", "given"])
    if layout == "given":
        rows = []
        for _ in range(random.randint(objectives, 6)):
            drawn = [random.choice([0.0, random.random()]) for _ in range(objectives - 1)]
            scale = max(sum(drawn), 1.0)
            drawn = [one / scale for one in drawn]
            rows.append((*drawn, max(1 - sum(drawn), 0.0)))
        changes["preferences"] = tuple(rows)
    else:
        changes |= {"layout": layout, "layout_seed": random.randint(0, 99)}
        changes["solutions"] = random.randint(objectives, 70)
    samples = random.choice([None, random.randint(64, 5000)])
    return ParetoConfig.from_preset(
        name,
        random.choice(["quick", "standard", "paper"]),
        problem_options=options,
        method=method,
        method_options=tuple(method_options.items()),
        scalarization=random.choice(scalarizations.names()),
        smoothing=10 ** random.uniform(-5, 1),
        optimizer=random.choice(OPTIMIZERS),
        lr=10 ** random.uniform(-9, 3),
        iterations=random.randint(1, 10_000),
        batch_size=random.choice([None, random.randint(1, 64)]),
        samples=samples,
        held_out=random.choice([None, random.randint(1, 1000)]),
        frames=random.randint(1, 200),
        seeds=tuple(random.sample(range(2**31), random.randint(1, 8))),
        **changes,
    )


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_the_printed_line_repeats_any_front(preset: str) -> None:
    for number in range(100):
        config = sampled(Random(number))
        words = shlex.split(front_line(config, preset, "a folder/it's"))
        assert words[:4] == ["python", "-m", "mtl_core", "front"]
        assert words[-2:] == ["--out", "a folder/it's"]
        again = parse_front(words[4:])
        assert again == config
        assert again.id == config.id


def test_the_printed_line_is_short() -> None:
    config = ParetoConfig.from_preset("toy", "quick", method="decay")
    assert cli.front_line(config, "quick") == (
        "python -m mtl_core front --problem toy --method decay --scalarization tchebycheff "
        "--preset quick --seeds 0 1 2 --out out"
    )


# list, doctor, import, export


def test_list_problems(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "problems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == problems.names()
    assert lines[0].split() == ["toy", "data", "found", "f1,", "f2"]
    assert "downloadable" in lines[problems.names().index("multimnist")]


def test_list_runs_shows_fronts(capsys: pytest.CaptureFixture[str]) -> None:
    config = parse_front([*SMALL[1:], "--out", "x"])
    Store().submit(config)
    assert main(["list", "runs"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    words = "toy adaptive tchebycheff 5 solutions lr 0.1 iterations 40 seeds 0 1"
    assert line.split() == [config.id, "queued", "0%", *words.split()]


def test_a_front_is_imported_and_exported_again_and_doctor_counts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "theirs"
    assert main([*SMALL, "--out", str(theirs)]) == 0
    config = parse_front([*SMALL[1:], "--out", "x"])
    capsys.readouterr()
    there = artifacts.imported_dir() / config.id
    assert main(["import", str(theirs)]) == 0
    assert capsys.readouterr().out == f"{config.id}  imported into {there}\n"
    assert main(["import", str(theirs)]) == 0
    assert capsys.readouterr().out == (
        f"{config.id}  is here already (imported); what was here was kept\n"
    )
    assert main(["export", config.id, "--out", str(tmp_path / "a.zip")]) == 0
    original = {path.name: path.read_bytes() for path in theirs.iterdir()}
    assert {path.name: path.read_bytes() for path in there.iterdir()} == original
    capsys.readouterr()
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"artifacts  1 of fronts imported, in {there.parent}" in said
    assert f"artifacts  0 imported, in {there.parent}" in said
    assert "data       of fronts, toy: found, a formula" in said
    assert "data       of fronts, multimnist: downloadable, " in said
    (there / "front.parquet").write_bytes(b"PAR1")
    (there / "x").touch()
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"artifacts  0 of fronts imported, in {there.parent}" in said
    assert f"skipped: artifact {config.id}: front.parquet is not the file" in said
