"""The commands of the kinds: what they write, what they keep, and what they cannot do."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.cli import main, words
from mtl_core.config import RunConfig
from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds
from mtl_core.runs.kinds import KINDS, Piece
from mtl_core.runs.library import artifacts
from mtl_core.trajectory import FACTORS, METRICS
from tests.cli.asking import FRONT, ROOT, RUN, SMALL, complaint, config_of, python_m

COLUMNS = shlex.split(
    "setting auxiliaries optimizer seed task role step epoch whole_epoch train_loss val_metric "
    "test_metric sharpness fisher_trace gradient_covariance gradient_similarity seconds"
)
"""As the documentation lists them, not as the code does."""


def alone(config: Any) -> dict[str, pd.DataFrame]:
    """What carrying an experiment out gives, seed by seed, without seconds."""
    kind = kinds.of(config)
    pieces: list[Piece] = []
    for seed in config.seeds:
        pieces += kind.advance(config, (seed,), {}, float("inf"), "cpu")
    return {name: clockless(rows) for name, rows in kind.frames(pieces).items()}


def held(folder: Path) -> dict[str, pd.DataFrame]:
    artifact = artifacts.read(folder)
    return {name: clockless(artifact.table(name)) for name in artifact.kind.tables}


def clockless(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns="seconds", errors="ignore").reset_index(drop=True)


def same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    """To the last bit."""
    assert set(found) == set(expected)
    for name, rows in expected.items():
        pd.testing.assert_frame_equal(found[name], rows, check_exact=True)


def sole(folder: Path) -> Any:
    """Where all runs of an artifact come from, which is one place."""
    (made,) = artifacts.read(folder).made
    return made


# what is written


def test_run_writes_the_trajectory_and_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert main([*RUN, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{out}\n", "")
    files = ["cosines.parquet", "manifest.json", "trajectory.parquet"]
    assert sorted(path.name for path in out.iterdir()) == files

    config = config_of(RUN)
    table = pd.read_parquet(out / "trajectory.parquet")
    assert list(table.columns) == COLUMNS
    assert set(zip(table["task"], table["role"], strict=True)) == {
        ("digits1", "target"),
        ("digits2", "auxiliary"),
    }
    assert set(table["auxiliaries"]) == {"digits2"}
    assert table["step"].min() == 0
    assert table["step"].max() == config.steps == 4
    assert table["epoch"].max() == 1.0
    assert table["whole_epoch"].dtype == bool
    assert table["whole_epoch"].tolist() == (table["step"] == 4).tolist()
    manifest = json.loads((out / "manifest.json").read_text())
    assert RunConfig.from_dict(manifest["config"], seeds=[0]) == config
    assert (manifest["kind"], manifest["id"]) == ("training", config.id)
    (made,) = manifest["made"]
    assert (made["seeds"], made["device"]) == ([0], "cpu")
    assert made["duration_seconds"] > 0
    assert set(made["factors"]) == set(FACTORS)
    assert "1 draw" in made["factors"]["fisher_trace"]
    (note,) = manifest["notes"]
    assert note.startswith("sharpness of digits1: 64 training examples are fewer than the 128")
    assert table["sharpness"].isna().all()
    for factor in set(FACTORS) - {"sharpness"}:
        assert table[(table["role"] == "target") & (table["step"] > 0)][factor].notna().all()
    assert not (tmp_path / "runs.db").exists(), "the store is the app's"


def test_run_writes_what_training_gives_with_the_cosines_of_its_tasks(tmp_path: Path) -> None:
    assert main([*RUN, "--out", str(tmp_path)]) == 0
    artifact = artifacts.read(tmp_path)
    assert artifact.unfinished is None
    same(held(tmp_path), alone(config_of(RUN)))
    cosines = artifact.table("cosines")
    assert list(cosines["step"]) == sorted(set(artifact.table("trajectory")["step"]) - {0})
    assert set(cosines["task"]) == {"digits1"}
    assert set(cosines["other"]) == {"digits2"}


@pytest.mark.parametrize("method", ["adaptive", "averaged", "independent", "mgda"])
def test_front_writes_what_solve_gives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], method: str
) -> None:
    out = tmp_path / "new" / "out"
    words = [*FRONT, "--method", method, "--out", str(out)]
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
    assert config_of(words) == config
    assert config_of(words).seeds == (0, 1)
    same(held(out), alone(config))
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["kind"], manifest["id"]) == ("front", config.id)
    made = sole(out)
    assert (made["device"], made["data_fingerprint"]) == ("cpu", "formula")
    assert made["duration_seconds"] > 0
    assert not (tmp_path / "runs.db").exists(), "the store is the app's"


PLANS = {
    "training": "[[grid]]\nsetting = 'digits'\nauxiliaries = [['digits2']]\nepochs = 1\n"
    "batch_size = 16\nsamples = 64\nheld_out = 50\nwidth = 4\nseeds = [0]",
    "front": "[[front]]\nproblem = 'toy'\niterations = 40\nframes = 4\nsolutions = 5\n"
    "seeds = [0, 1]",
}


@pytest.mark.parametrize("kind", SMALL)
def test_precompute_writes_the_same(tmp_path: Path, kind: str) -> None:
    out, cache, plan = tmp_path / "out", tmp_path / "cache", tmp_path / "plan.toml"
    assert main([*SMALL[kind], "--out", str(out)]) == 0
    plan.write_text(PLANS[kind])
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(cache)]) == 0
    folder = cache / KINDS[kind].folder(config_of(SMALL[kind]))
    same(held(folder), held(out))
    here, there = (artifacts.read(place).manifest for place in (out, folder))
    for name in ("kind", "id", "config", "notes", "former"):
        assert there[name] == here[name]
    clocks = ("created", "duration_seconds")
    assert {n: v for n, v in sole(folder).items() if n not in clocks} == {
        n: v for n, v in sole(out).items() if n not in clocks
    }


@pytest.mark.parametrize("kind", SMALL)
def test_twice_gives_the_same_numbers_also_from_a_process_of_its_own(
    tmp_path: Path, kind: str
) -> None:
    assert main([*SMALL[kind], "--out", str(tmp_path / "a")]) == 0
    done = python_m(*SMALL[kind], "--out", str(tmp_path / "b"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'b'}\n", "")
    assert set(METRICS) < set(COLUMNS) - {"seconds"}
    same(held(tmp_path / "a"), held(tmp_path / "b"))


def test_a_single_task_run_is_called_stl(tmp_path: Path) -> None:
    arguments = [word for word in RUN if word not in ("--aux", "digits2")]
    assert main([*arguments, "--out", str(tmp_path / "a")]) == 0
    table = pd.read_parquet(tmp_path / "a" / "trajectory.parquet")
    assert set(table["auxiliaries"]) == {"stl"}
    assert set(table["role"]) == {"target"}


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
    artifact = artifacts.read(tmp_path / "out")
    assert artifact.config == config
    same(held(tmp_path / "out"), alone(config))
    rows = artifact.table("front")
    assert set(rows["objective"]) == {"y", "z"}
    assert rows["test_loss"].notna().all()
    assert sole(tmp_path / "out")["data_fingerprint"] == artifact.kind.fingerprint(config)


# what ends early


DIVERGING = {
    "training": "--lr 1e30 --base-optimizer sgd",
    "front": "--problem linnerud --lr 1e30 --method independent --device cpu",
}


@pytest.mark.parametrize("kind", SMALL)
def test_what_diverges_ends_with_one_line_and_keeps_its_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    out = tmp_path / "out"
    bad = [*SMALL[kind], *DIVERGING[kind].split(), "--out", str(out)]
    line = complaint(bad, capsys, code=1)
    assert line.startswith(
        {"training": "training diverged: loss of ", "front": "solving diverged: "}[kind]
    )
    artifact = artifacts.read(out)
    assert artifact.unfinished == line
    assert set(artifact.table(artifact.kind.main)["step"]) == {0}
    assert artifacts.scan(tmp_path)[0] == {}


def test_a_run_that_is_stopped_keeps_its_rows_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import mtl_core.training

    train = mtl_core.training.train

    def interrupted(config: RunConfig, **words: Any) -> Any:
        for checkpoint in train(config, **words):
            yield checkpoint
            if checkpoint.rows:
                raise KeyboardInterrupt

    monkeypatch.setattr(mtl_core.training, "train", interrupted)
    out = tmp_path / "out"
    assert main([*RUN, "--out", str(out)]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert artifacts.read(out).unfinished == "stopped before its end"
    assert artifacts.scan(tmp_path)[0] == {}


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
    assert main([*FRONT, "--out", str(out)]) == 130
    assert capsys.readouterr().err == "stopped\n"
    artifact = artifacts.read(out)
    assert artifact.unfinished == "stopped before its end"
    assert set(artifact.table("front")["step"]) == {0, 10}


KILLED = """
import os, signal, sys
from mtl_core.cli import main, run
from mtl_core.runs.grids import replica

run._KEEP_SECONDS, replica.KEEPING = 0.0, float("inf")
taken, take = [], run._UnderWay.take

def counted(self, piece):
    take(self, piece)
    taken.append(piece)
    if len(taken) == int(sys.argv[1]):
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))

run._UnderWay.take = counted
sys.exit(main(sys.argv[3:]))
"""
"""A command that is ended from outside when it has taken so many pieces."""


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM"])
def test_a_run_that_is_ended_from_outside_keeps_its_rows_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, end: str
) -> None:
    out = tmp_path / "out"
    asked = [*seeds(kind, 0), "--out", str(out)]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, "4", end, *asked],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )
    code, said = (-signal.SIGKILL, "") if end == "SIGKILL" else (130, "stopped\n")
    assert (ended.returncode, ended.stderr) == (code, said)
    config = config_of(seeds(kind, 0))
    undisturbed = alone(config)
    artifact = artifacts.read(out)
    assert artifact.unfinished == "stopped before its end"
    main_table = artifact.kind.main
    rows = held(out)[main_table]
    first = undisturbed[main_table].head(len(rows))
    assert 0 < len(rows) < len(undisturbed[main_table])
    assert set(rows["step"]) == set(first["step"])
    assert artifacts.scan(tmp_path)[0] == {}

    assert main(asked) == 0
    steps = artifact.kind.steps(config)
    line = capsys.readouterr().err
    assert re.fullmatch(rf"seed 0 goes on from step \d+ of {steps}\n", line)
    assert artifacts.read(out).unfinished is None
    same(held(out), undisturbed)
    assert not (out / ".unfinished").exists()


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(words.time, "monotonic", lambda: now[0])
    progress = words.Progress(400, 100)
    for seconds, done in ((10.0, 110), (29.9, 140), (30.0, 160), (59.0, 200), (61.0, 250)):
        now[0] = 100.0 + seconds
        progress.show(done)
    progress.end()
    # 60 of 300 steps in 30 s, then 150 of them in 61 s.
    assert capsys.readouterr().err == "40 %, 2 min left\n62 %, 61 s left\n"


def test_a_training_process_that_dies_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    import mtl_core.training

    def dies(*_: Any, **__: Any) -> Any:
        raise BrokenProcessPool("A process was killed.\nFor reasons.")

    monkeypatch.setattr(mtl_core.training, "train", dies)
    line = complaint([*RUN, "--out", str(tmp_path / "out")], capsys, code=1)
    assert line == "A process was killed. For reasons."
    assert list((tmp_path / "out").iterdir()) == []


# more seeds


def seeds(kind: str, *numbers: int) -> list[str]:
    return [*SMALL[kind], "--seeds", *map(str, numbers)]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The seeds that were carried out, call by call."""
    calls: list[tuple[int, ...]] = []

    def noting(carry_out: Callable[..., Any]) -> Callable[..., Any]:
        def carried(config: Any, *rest: Any) -> Any:
            calls.append(config.seeds)
            return carry_out(config, *rest)

        return carried

    for name, kind in KINDS.items():
        monkeypatch.setitem(KINDS, name, replace(kind, carry_out=noting(kind.carry_out)))
    return calls


@pytest.mark.parametrize("kind", SMALL)
def test_more_seeds_train_what_is_missing_and_leave_old_rows_bit_for_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[Any], kind: str
) -> None:
    out = tmp_path / "out"
    assert main([*seeds(kind, 0, 1, 2), "--out", str(out)]) == 0
    before = artifacts.read(out)
    old = {name: before.table(name) for name in before.kind.tables}
    capsys.readouterr()
    assert main([*seeds(kind, 0, 1, 2, 3, 4), "--out", str(out)]) == 0
    assert asked == [(0, 1, 2), (3, 4)]
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert captured.err == f"seeds 0 1 2 are in {out} already, and stay\n"
    after = artifacts.read(out)
    assert after.config.seeds == (0, 1, 2, 3, 4)
    assert sole(out)["seeds"] == [0, 1, 2, 3, 4]
    for name, rows in old.items():
        found = after.table(name)
        kept = found[found["seed"] < 3].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, rows, check_exact=True)
    same(held(out), alone(after.config))

    assert main([*seeds(kind, 1, 4), "--out", str(out)]) == 0
    assert len(asked) == 2, "there is nothing to train"
    assert artifacts.read(out).config.seeds == (0, 1, 2, 3, 4)
    assert capsys.readouterr().err == f"seeds 1 4 are in {out} already, and stay\n"


@pytest.mark.parametrize("kind", SMALL)
def test_what_was_stopped_keeps_the_seeds_that_had_ended(
    tmp_path: Path, asked: list[Any], kind: str
) -> None:
    out = tmp_path / "out"
    config = checks.with_seeds(config_of(SMALL[kind]), [0, 1])
    declared = kinds.of(config)
    ended = declared.advance(config, (0,), {}, float("inf"), "cpu")
    begun = declared.advance(config, (1,), {}, 0.0, "cpu")[:1]
    made = artifacts.provenance(config, "cpu")
    artifacts.write(out, artifacts.collected(config, [*ended, *begun], made, 1.0, "the cat"))
    assert artifacts.read(out).unfinished == "the cat"
    assert main([*seeds(kind, 0, 1), "--out", str(out)]) == 0
    assert asked == [(1,)]
    assert artifacts.read(out).unfinished is None
    same(held(out), alone(config))


@pytest.mark.parametrize("kind", SMALL)
def test_more_seeds_that_are_stopped_take_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    out = tmp_path / "out"
    assert main([*seeds(kind, 0), "--out", str(out)]) == 0
    declared = KINDS[kind]

    def interrupted(config: Any, *rest: Any) -> Any:
        for piece in declared.carry_out(config, *rest):
            yield piece
            raise KeyboardInterrupt

    monkeypatch.setitem(KINDS, kind, replace(declared, carry_out=interrupted))
    assert main([*seeds(kind, 0, 1), "--out", str(out)]) == 130
    assert artifacts.read(out).unfinished == "stopped before its end"
    monkeypatch.setitem(KINDS, kind, declared)
    assert main([*seeds(kind, 0, 1), "--out", str(out)]) == 0
    assert artifacts.read(out).unfinished is None
    same(held(out), alone(checks.with_seeds(config_of(SMALL[kind]), [0, 1])))


@pytest.mark.parametrize("kind", SMALL)
def test_a_folder_is_of_one_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    out = tmp_path / "out"
    assert main([*SMALL[kind], "--out", str(out)]) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    (other,) = set(SMALL) - {kind}
    main_table = f"{KINDS[kind].main}.parquet"
    assert complaint([*SMALL[other], "--out", str(out)], capsys) == (
        f"{out} holds another artifact, with {main_table}; choose another folder"
    )
    words = " ".join(KINDS[kind].command.words(config_of(SMALL[kind])).split())
    assert complaint([*SMALL[kind], "--lr", "0.07", "--out", str(out)], capsys) == (
        f"{out} holds another artifact, of {words}; choose another folder"
    )
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    left = tmp_path / "left"
    left.mkdir()
    (left / main_table).write_bytes(b"")
    line = complaint([*SMALL[other], "--out", str(left)], capsys)
    assert f"holds another artifact, with {main_table}" in line


@pytest.mark.parametrize("kind", SMALL)
def test_a_damaged_artifact_is_made_anew_and_one_that_nobody_knows_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    out = tmp_path / "out"
    words = [*SMALL[kind], "--out", str(out)]
    assert main(words) == 0
    before = held(out)
    (out / f"{KINDS[kind].main}.parquet").write_bytes(b"x")
    capsys.readouterr()
    assert main(words) == 0
    assert capsys.readouterr().err.startswith(f"not taken as done: artifact {out.name}: ")
    same(held(out), before)
    for content in ("not JSON", "{}", "[]", '{"schema_version": 2}'):
        (out / "manifest.json").write_text(content)
        line = complaint(words, capsys)
        assert line.startswith(f"{out} holds another artifact (artifact {out.name}: ")
        assert line.endswith("; choose another folder")
        assert (out / "manifest.json").read_text() == content


@pytest.mark.parametrize("kind", SMALL)
def test_seeds_of_other_data_are_not_added(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    out = tmp_path / "out"
    assert main([*seeds(kind, 0, 1), "--out", str(out)]) == 0
    before = sole(out)["data_fingerprint"]
    capsys.readouterr()
    other = replace(KINDS[kind], fingerprint=lambda config: "0123")
    monkeypatch.setitem(KINDS, kind, other)
    assert complaint([*seeds(kind, 2), "--out", str(out)], capsys) == (
        f"its seeds 0 1 in {out} were made on other data (fingerprint {before}) than there is now "
        "(0123); remove that folder, or choose another with --out"
    )
    assert artifacts.read(out).config.seeds == (0, 1)


# what cannot be


BAD_RUNS: dict[str, str] = {
    "--setting marsian": "unknown setting 'marsian'; one of: ",
    "--target digits9": "unknown task of digits 'digits9'; one of: ",
    "--aux digits9": "unknown task of digits 'digits9'; one of: ",
    "--aux digits1": "target 'digits1' is among its own auxiliaries",
    "--optimizer pcgard": "unknown optimizer 'pcgard'; one of: ",
    "--base-optimizer adamw": "unknown base optimizer 'adamw'; one of: ",
    "--preset huge": "unknown preset of digits 'huge'; one of: ",
    "--factors flatness": "unknown factor 'flatness'; one of: ",
    "--device tpu": "unknown device 'tpu'; one of: cpu, cuda",
    "--seeds": "no seeds; give at least one",
    "--seeds 1 1": "seeds 1 1 repeat; give each once",
    "--seeds -1": "seed -1 must be between",
    "--seeds one": "argument --seeds: invalid int value: 'one'; see `python -m mtl_core run",
    "--epochs 0": "epochs 0 must be between 1 and",
    "--epochs 1.5": "argument --epochs: invalid int value: '1.5'",
    "--batch-size 65": "batch size 65 is larger than the 64 training examples of a task",
    "--batch-size 0": "batch size 0 must be at least 1",
    "--lr 0": "learning rate 0.0 must be a finite number above 0",
    "--lr -1": "learning rate -1.0 must be a finite number above 0",
    "--lr nan": "learning rate nan must be a finite number above 0",
    "--lr fast": "argument --lr: invalid float value: 'fast'",
    "--samples 10000": "samples 10000 must be between 1 and 250",
    "--samples few": "argument --samples: 'few' is neither a whole number nor all",
    "--held-out -1": "argument --held-out: '-1' is neither a whole number nor all",
    "--width 0": "width 0 must be between",
    "--option c": "optimizer option 'c' is not NAME=VALUE",
    "--option =1": "optimizer option '=1' is not NAME=VALUE",
    "--option c=1": "unknown option",
    "--momentum 1": "unrecognized arguments: --momentum 1",
    "--epoch 1": "unrecognized arguments: --epoch 1",
    "--out": "argument --out: expected one argument",
}


BAD_FRONTS: dict[str, str] = {
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
    "--start mine": "unknown start 'mine'; one of: own, shared",
    "--problem linnerud --method averaged": "method 'averaged' is 'independent' in problem "
    "'linnerud', whose networks share a start; use method 'independent'",
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


@pytest.mark.parametrize(
    ("kind", "words"),
    [*(("training", words) for words in BAD_RUNS), *(("front", words) for words in BAD_FRONTS)],
)
def test_a_bad_request_costs_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, words: str
) -> None:
    line = complaint([*SMALL[kind], "--out", str(tmp_path / "out"), *words.split()], capsys)
    assert line.startswith({"training": BAD_RUNS, "front": BAD_FRONTS}[kind][words])
    assert not (tmp_path / "out").exists()


def test_missing_data_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(["run", "--setting", "fashion", "--out", str(tmp_path / "out")], capsys)
    assert line.startswith(f"FashionMNIST is not in {tmp_path / 'data'}: ")
    assert "python -m mtl_core download fashion_mnist" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"\x93NUMPY"])
def test_damaged_data_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    path = tmp_path / "data" / "fashion_mnist.npz"
    path.parent.mkdir()
    path.write_bytes(content)
    line = complaint(["run", "--setting", "fashion", "--out", str(tmp_path / "out")], capsys)
    assert line.startswith(f"{path} is not a readable FashionMNIST (")
    assert "replace it" in line


def test_a_folder_that_cannot_be_written_is_said_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    line = complaint([*RUN, "--out", str(tmp_path / "file" / "out")], capsys)
    assert line.startswith(f"cannot write {tmp_path / 'file' / 'out'} (")


def test_a_device_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = complaint([*RUN, "--out", str(tmp_path / "out"), "--device", "cuda"], capsys)
    assert line == "device 'cuda' is not on this machine; choose cpu, or leave it out"


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
