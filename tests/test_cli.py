"""The command line: what it writes, what it prints, and that nothing wrong costs a traceback."""

import json
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest

from mtl_core import cli, optimizers, settings
from mtl_core.cli import command_line, main, parse_config
from mtl_core.config import BASE_OPTIMIZERS, RunConfig
from mtl_core.runs.grids import engines
from mtl_core.runs.library import artifacts
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import FACTORS, METRICS

ROOT = Path(__file__).resolve().parents[1]
SMALL = shlex.split(
    "run --setting digits --preset quick --aux digits2 --seeds 0 --epochs 1 --batch-size 16 "
    "--samples 64 --held-out 50 --width 4 --device cpu"
)
COLUMNS = shlex.split(
    "setting run optimizer seed task role step epoch train_loss val_metric test_metric "
    "sharpness fisher_trace gradient_covariance gradient_similarity seconds"
)
"""As the documentation lists them, not as the code does."""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's store or data."""
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))


def python_m(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "mtl_core", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
    )


def complaint(arguments: Sequence[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """The one line on standard error of a command that fails."""
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert captured.out == "" or code == 1
    return line.removeprefix("error: ")


# run


def test_run_writes_the_trajectory_and_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    assert main([*SMALL, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{out}\n", "")
    files = ["cosines.parquet", "manifest.json", "trajectory.parquet"]
    assert sorted(path.name for path in out.iterdir()) == files

    config = parse_config([*SMALL[1:], "--out", "x"])
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
    manifest = json.loads((out / "manifest.json").read_text())
    assert RunConfig.from_dict(manifest["config"]) == config
    assert manifest["id"] == config.id
    assert manifest["device"] == "cpu"
    assert set(manifest["factors"]) == set(FACTORS)
    assert "1 draw" in manifest["factors"]["fisher_trace"]
    (note,) = manifest["notes"]
    assert note.startswith("sharpness of digits1: 64 training examples are fewer than the 128")
    assert table["sharpness"].isna().all()
    for factor in set(FACTORS) - {"sharpness"}:
        assert table[(table["role"] == "target") & (table["step"] > 0)][factor].notna().all()
    cosines = artifacts.read(out).side("cosines")
    assert list(cosines["step"]) == sorted(set(table["step"]) - {0})
    assert set(cosines["task"]) == {"digits1"}
    assert set(cosines["other"]) == {"digits2"}
    assert artifacts.read(out).unfinished is None
    assert not (tmp_path / "runs.db").exists(), "the store is the app's"


def test_run_twice_gives_the_same_metrics_also_from_a_process_of_its_own(tmp_path: Path) -> None:
    assert main([*SMALL, "--out", str(tmp_path / "a")]) == 0
    done = python_m(*SMALL, "--out", str(tmp_path / "b"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'b'}\n", "")
    one, two = (pd.read_parquet(tmp_path / name / "trajectory.parquet") for name in "ab")
    unmeasured = [name for name in COLUMNS if name != "seconds"]
    assert set(METRICS) < set(unmeasured)
    pd.testing.assert_frame_equal(one[unmeasured], two[unmeasured], check_exact=True)


def test_a_single_task_run_is_called_stl(tmp_path: Path) -> None:
    arguments = [word for word in SMALL if word not in ("--aux", "digits2")]
    assert main([*arguments, "--out", str(tmp_path / "a")]) == 0
    table = pd.read_parquet(tmp_path / "a" / "trajectory.parquet")
    assert set(table["auxiliaries"]) == {"stl"}
    assert set(table["role"]) == {"target"}


def test_a_diverging_run_ends_with_one_line_and_keeps_its_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    bad = [*SMALL, "--lr", "1e30", "--base-optimizer", "sgd", "--out", str(out)]
    line = complaint(bad, capsys, code=1)
    assert line.startswith("training diverged: loss of ")
    artifact = artifacts.read(out)
    assert artifact.unfinished == line
    assert set(artifact.trajectory()["step"]) == {0}


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
    assert main([*SMALL, "--out", str(out)]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert artifacts.read(out).unfinished == "stopped before its end"
    assert artifacts.scan(tmp_path)[0] == {}


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


@pytest.mark.parametrize("words", BAD_RUNS)
def test_a_bad_run_costs_one_line_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    line = complaint([*SMALL, "--out", str(tmp_path / "out"), *words.split()], capsys)
    assert line.startswith(BAD_RUNS[words])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "the following arguments are required: COMMAND; see `python -m mtl_core --help`"),
        (["fly"], "argument COMMAND: invalid choice: 'fly'"),
        (["run", "--out", "x"], "the following arguments are required: --setting; see "),
        (["run", "--setting", "digits"], "the following arguments are required: --out; see "),
        (["list"], "the following arguments are required: what"),
        (["list", "papers"], "argument what: invalid choice: 'papers'"),
        (["download", "imagenet"], "unknown data set 'imagenet'; one of: fashion_mnist"),
        (["precompute", "nowhere.toml"], "cannot read plan nowhere.toml (No such file"),
        (["precompute", "x", "--backend", "carrier-pigeon"], "argument --backend: invalid choice"),
        (["precompute", "x", "--jobs", "0"], "jobs 0 must be at least 1"),
        (
            ["precompute", str(ROOT / "plans" / "overview.toml"), "--scheduler", "a:1"],
            "scheduler 'a:1' is for the backends dask and ray; loky's processes are on this",
        ),
        (["doctor", "two\nlines"], "unrecognized arguments: two lines"),
    ],
)
def test_a_bad_command_costs_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert complaint(arguments, capsys).startswith(reason)


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
    line = complaint([*SMALL, "--out", str(tmp_path / "file" / "out")], capsys)
    assert line.startswith(f"cannot write {tmp_path / 'file' / 'out'} (")


def test_a_device_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = complaint([*SMALL, "--out", str(tmp_path / "out"), "--device", "cuda"], capsys)
    assert line == "device 'cuda' is not on this machine; choose cpu, or leave it out"


def test_a_training_process_that_dies_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    import mtl_core.training

    def dies(*_: Any, **__: Any) -> Any:
        raise BrokenProcessPool("A process was killed.\nFor reasons.")

    monkeypatch.setattr(mtl_core.training, "train", dies)
    line = complaint([*SMALL, "--out", str(tmp_path / "out")], capsys, code=1)
    assert line == "A process was killed. For reasons."


def test_no_traceback_reaches_a_user() -> None:
    for arguments, code in [
        (["run", "--setting", "marsian", "--out", "x"], 2),
        (["nonsense"], 2),
        (["run", "--help"], 0),
    ]:
        done = python_m(*arguments)
        assert done.returncode == code
        assert len(done.stderr.splitlines()) == (code == 2)
        assert "Traceback" not in done.stderr


# command_line


def sampled(random: Random) -> RunConfig:
    setting = settings.get(random.choice(settings.names()))
    tasks = [task.name for task in setting.tasks]
    target = random.choice(tasks)
    others = [name for name in tasks if name != target]
    return RunConfig.from_preset(
        setting.name,
        random.choice(list(setting.presets)),
        target=target,
        auxiliaries=tuple(random.sample(others, random.randint(0, len(others)))),
        optimizer=random.choice(optimizers.names()),
        base_optimizer=random.choice(BASE_OPTIMIZERS),
        lr=10 ** random.uniform(-9, 3),
        epochs=random.randint(1, 1000),
        samples=random.choice([None, random.randint(64, 250)]),
        held_out=random.choice([None, random.randint(1, 150)]),
        batch_size=random.randint(2, 64),  # BatchNorm needs two
        width=random.randint(1, 512),
        early_checkpoints=random.randint(0, 64),
        seeds=tuple(random.sample(range(2**31), random.randint(1, 8))),
    )


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_the_printed_line_repeats_any_run(preset: str) -> None:
    for number in range(100):
        config = sampled(Random(number))
        words = shlex.split(command_line(config, preset, "a folder/it's"))
        assert words[:4] == ["python", "-m", "mtl_core", "run"]
        assert words[-2:] == ["--out", "a folder/it's"]
        again = parse_config(words[4:])
        assert again == config
        assert again.id == config.id


def test_the_printed_line_is_short() -> None:
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",))
    assert command_line(config) == (
        "python -m mtl_core run --setting digits --target digits1 --aux digits2 --optimizer umtg "
        "--preset quick --seeds 0 1 2 --out out"
    )


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("cagrad", {"c": 0.1 + 0.2, "scale": "match_sum"}),
        ("cagrad", {"c": 0}),
        ("mgda", {"normalization": "loss+"}),
        ("famo", {"weight_decay": 1e-07}),
    ],
)
def test_options_of_an_optimizer_survive_the_printed_line(
    optimizer: str, options: dict[str, Any]
) -> None:
    config = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("digits2",), optimizer=optimizer,
        options=tuple(options.items()),
    )  # fmt: skip
    assert dict(config.options) == options
    again = parse_config(shlex.split(command_line(config))[4:])
    assert again == config
    assert [type(v) for _, v in again.options] == [type(v) for _, v in config.options]


def test_an_option_at_its_default_is_no_option() -> None:
    plain = parse_config([*SMALL[1:], "--optimizer", "cagrad", "--out", "x"])
    said = parse_config([*SMALL[1:], "--optimizer", "cagrad", "--option", "c=0.5", "--out", "x"])
    assert (said, said.id) == (plain, plain.id)


# import, export


def sent(folder: Path, optimizer: str = "mgda") -> RunConfig:
    """A run that another machine trained, in ``folder``."""
    arguments = [*SMALL, "--optimizer", optimizer, "--factors", "--out", str(folder)]
    assert main(arguments) == 0
    return parse_config(arguments[1:])


def test_a_run_is_imported_and_exported_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sent(tmp_path / "theirs")
    capsys.readouterr()
    there = tmp_path / "imported" / config.id
    assert main(["import", str(tmp_path / "theirs")]) == 0
    assert capsys.readouterr().out == f"{config.id}  imported into {there}\n"
    out = tmp_path / "out.zip"
    assert main(["export", config.id, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    original = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    with zipfile.ZipFile(out) as archive:
        packed = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert packed == original
    assert main(["import", str(out)]) == 0
    assert capsys.readouterr().out == (
        f"{config.id}  is here already (imported); what was here was kept\n"
    )
    assert main(["doctor"]) == 0
    assert f"artifacts  1 imported, in {there.parent}" in capsys.readouterr().out


def test_a_bad_import_or_export_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK no")
    bad = str(tmp_path / "bad.zip")
    assert "bad.zip: it is not a sound zip file" in complaint(["import", bad], capsys)
    nowhere = str(tmp_path / "nowhere")
    assert f"cannot read {nowhere} (No such file" in complaint(["import", nowhere], capsys)
    out = str(tmp_path / "out.zip")
    lost = complaint(["export", "0" * 16, "--out", out], capsys)
    assert lost == f"there is no run {'0' * 16!r} here; see `list runs` and cache/"
    config = parse_config([*SMALL[1:], "--out", "x"])
    Store().submit(config)
    queued = complaint(["export", config.id, "--out", out], capsys)
    assert queued == f"run {config.id} is queued; only finished runs can be exported"
    assert not Path(out).exists()


def test_an_export_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sent(tmp_path / "theirs", "cagrad")
    assert main(["import", str(tmp_path / "theirs")]) == 0
    capsys.readouterr()
    out = str(tmp_path / "none" / "out.zip")
    assert f"cannot write {out} (No such file" in complaint(
        ["export", config.id, "--out", out], capsys
    )


# list, doctor, precompute


def test_list_settings_and_optimizers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == settings.names()
    assert "data found" in lines[settings.names().index("digits")]
    assert "downloadable" in lines[settings.names().index("fashion")]
    assert main(["list", "optimizers"]) == 0
    assert capsys.readouterr().out.splitlines() == optimizers.names()


def test_list_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "runs"]) == 0
    assert capsys.readouterr().out == ""
    config = parse_config([*SMALL[1:], "--out", "x"])
    record = Store().submit(config)
    assert main(["list", "runs"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == [record.id, "queued", "0%"]
    assert "digits digits1 digits2" in line


def test_doctor_reports_on_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    heads = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert list(dict.fromkeys(heads)) == ["device", "data", "artifacts", "store", "worker"]
    assert f"store      ok, schema 4, 0 runs, {tmp_path / 'runs.db'}" in out
    assert "worker     none; the app starts one" in out


def test_doctor_sets_a_damaged_store_aside_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs.db").write_bytes(b"garbage " * 600)
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"store      store {tmp_path / 'runs.db'} was damaged (" in out
    (aside,) = tmp_path.glob("runs.corrupt-*")
    assert aside.read_bytes() == b"garbage " * 600


@pytest.mark.parametrize("command", [["list", "runs"], ["doctor"]])
@pytest.mark.parametrize("problem", ["newer schema", "no folder", "not a store"])
def test_a_store_that_cannot_be_used_costs_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    problem: str,
) -> None:
    import sqlite3

    path = tmp_path / "runs.db"
    if problem == "no folder":
        path.write_text("x")
        path = path / "runs.db"
        monkeypatch.setenv("MTL_STORE", str(path))
    else:
        db = sqlite3.connect(path)
        db.execute(
            "PRAGMA user_version = 99" if problem == "newer schema" else "CREATE TABLE x (y)"
        )
        db.commit()
        db.close()
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(path) in line
    assert "MTL_STORE" in line


def test_precompute_writes_artifacts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[[grid]]\nsetting = 'digits'\nauxiliaries = [[], ['digits2']]\nepochs = 1\nsamples = 64\n"
        "held_out = 50\nwidth = 4\nseeds = [0]\n"
    )
    out = tmp_path / "cache"
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(out)]) == 0
    found, problems = artifacts.scan(out)
    assert problems == []
    assert sorted(artifact.config.auxiliaries_label for artifact in found.values()) == ["digits2", "stl"]
    capsys.readouterr()
    assert main(["precompute", str(plan), "--jobs", "1", "--out", str(out)]) == 0
    assert capsys.readouterr().err == "0 configs trained, 2 already there, 0 failed\n"


def test_precompute_offers_the_backends_that_there_are() -> None:
    assert tuple(engines.BACKENDS) == cli.BACKENDS


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m mtl_core list settings | true",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
