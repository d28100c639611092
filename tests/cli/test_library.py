"""The commands ``list``, ``doctor``, ``import`` and ``export``."""

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core import checks, optimizers, settings
from mtl_core.cli import main
from mtl_core.pareto import problems
from mtl_core.runs import Store
from mtl_core.runs.library import artifacts
from mtl_core.runs.queue.schema import SCHEMA_VERSION
from tests.cli.asking import FRONT, RUN, SMALL, complaint, config_of

LEAN = {"training": [*RUN, "--optimizer", "mgda", "--factors"], "front": FRONT}


def sent(folder: Path, kind: str = "training") -> Any:
    """An experiment that another machine carried out, in ``folder``."""
    assert main([*LEAN[kind], "--out", str(folder)]) == 0
    return config_of(LEAN[kind])


# import, export


@pytest.mark.parametrize("kind", SMALL)
def test_an_experiment_is_imported_and_exported_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    theirs = tmp_path / "theirs"
    config = sent(theirs, kind)
    capsys.readouterr()
    there = artifacts.imported_dir() / config.id
    assert there.parent == tmp_path / "imported"
    assert main(["import", str(theirs)]) == 0
    assert capsys.readouterr().out == f"{config.id}  imported into {there}\n"
    original = {path.name: path.read_bytes() for path in theirs.iterdir()}
    assert {path.name: path.read_bytes() for path in there.iterdir()} == original
    out = tmp_path / "out.zip"
    assert main(["export", config.id, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    with zipfile.ZipFile(out) as archive:
        packed = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert packed == original
    assert main(["import", str(out)]) == 0
    assert capsys.readouterr().out == (
        f"{config.id}  is here already (imported); what was here was kept\n"
    )


@pytest.mark.parametrize("kind", SMALL)
def test_seeds_that_are_new_are_taken_in_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    config = sent(tmp_path / "a", kind)
    assert main(["import", str(tmp_path / "a")]) == 0
    more = [*LEAN[kind], "--seeds", "1", "7", "--out", str(tmp_path / "b")]
    assert main(more) == 0
    capsys.readouterr()
    assert main(["import", str(tmp_path / "b")]) == 0
    there = artifacts.imported_dir() / config.id
    known = [seed for seed in (1, 7) if seed in config.seeds]
    new = " ".join(str(seed) for seed in (1, 7) if seed not in known)
    assert capsys.readouterr().out == (
        f"{config.id}  seeds {new} imported into {there}; seeds 1 are here already (imported) and "
        "were kept\n"
        if known
        else f"{config.id}  imported into {there}\n"
    )
    assert artifacts.read(there).config.seeds == tuple(sorted({*config.seeds, 1, 7}))


@pytest.mark.parametrize("kind", SMALL)
def test_a_former_id_exports_the_seeds_that_it_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    theirs = tmp_path / "theirs"
    assert main([*LEAN[kind], "--seeds", "0", "1", "2", "--out", str(theirs)]) == 0
    artifact = artifacts.read(theirs)
    former = artifacts.former_id(artifact.config, [0, 2])
    content = replace(artifacts.content(artifact), former={former: (0, 2)})
    artifacts.write(theirs, content)
    assert main(["import", str(theirs)]) == 0
    out = tmp_path / "out.zip"
    assert main(["export", former, "--out", str(out)]) == 0
    with zipfile.ZipFile(out) as archive:
        archive.extractall(tmp_path / "unpacked")
    exported = artifacts.read(tmp_path / "unpacked" / artifact.config.id)
    assert exported.config.seeds == (0, 2)
    assert exported.former == {former: (0, 2)}


@pytest.mark.parametrize("kind", SMALL)
def test_a_bad_import_or_export_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (tmp_path / "bad.zip").write_bytes(b"PK no")
    bad = str(tmp_path / "bad.zip")
    assert "bad.zip: it is not a sound zip file" in complaint(["import", bad], capsys)
    nowhere = str(tmp_path / "nowhere")
    assert f"cannot read {nowhere} (No such file" in complaint(["import", nowhere], capsys)
    out = str(tmp_path / "out.zip")
    lost = complaint(["export", "0" * 16, "--out", out], capsys)
    assert lost == f"there is no run {'0' * 16!r} here; see `list runs` and cache/"
    config = config_of(SMALL[kind])
    Store().submit(config)
    queued = complaint(["export", config.id, "--out", out], capsys)
    assert queued == f"run {config.id} is queued; only finished runs can be exported"
    assert not Path(out).exists()


def test_an_export_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = sent(tmp_path / "theirs")
    assert main(["import", str(tmp_path / "theirs")]) == 0
    capsys.readouterr()
    out = str(tmp_path / "none" / "out.zip")
    assert f"cannot write {out} (No such file" in complaint(
        ["export", config.id, "--out", out], capsys
    )


# list


def test_list_settings_and_optimizers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == settings.names()
    assert "data found" in lines[settings.names().index("digits")]
    assert "downloadable" in lines[settings.names().index("fashion")]
    assert main(["list", "optimizers"]) == 0
    assert capsys.readouterr().out.splitlines() == optimizers.names()


def test_list_problems(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "problems"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == problems.names()
    assert lines[0].split() == ["toy", "data", "found", "f1,", "f2"]
    assert "downloadable" in lines[problems.names().index("multimnist")]


WORDS = {
    "training": "digits digits1 digits2 lr 0.01 epochs 1",
    "front": "toy adaptive tchebycheff 5 solutions lr 0.1 iterations 40",
}


def listed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["list", "runs"]) == 0
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("kind", SMALL)
def test_list_runs_has_a_line_for_each_experiment(
    capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert listed(capsys) == []
    config = config_of(SMALL[kind])
    run, words = config.id, f"{WORDS[kind]} seeds"
    store = Store()
    store.submit(checks.with_seeds(config, [0, 1, 5]))
    assert listed(capsys) == [f"{run} queued 0% {words} 0 1 5"]
    first, second, _ = sorted(store.claim("w", 3), key=lambda record: record.seed)
    store.finish(first.key, "w", "done")
    assert listed(capsys) == [f"{run} running 33% {words} 1 5 running, 0 done"]
    store.finish(second.key, "w", "failed", "the cat")
    store.release("w")
    assert listed(capsys) == [f"{run} queued 33% {words} 5 queued, 1 failed, 0 done"]
    (other,) = set(SMALL) - {kind}
    store.submit(config_of(SMALL[other]))
    newest, *rest = listed(capsys)
    assert newest.startswith(f"{config_of(SMALL[other]).id} queued 0% {WORDS[other]} seeds 0")
    assert len(rest) == 1


def test_list_runs_names_what_this_version_cannot_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import sqlite3

    config = config_of(RUN)
    Store().submit(config)
    with sqlite3.connect(tmp_path / "runs.db") as db:
        db.execute("UPDATE experiments SET config = '{}'")
    (line,) = listed(capsys)
    assert line.startswith(f"{config.id} skipped: its config is not one of this version")


# doctor


def test_doctor_reports_on_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    heads = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert list(dict.fromkeys(heads)) == ["device", "data", "artifacts", "store", "worker"]
    assert f"store      ok, schema {SCHEMA_VERSION}, 0 runs, {tmp_path / 'runs.db'}" in out
    assert "worker     none; the app starts one" in out


def test_doctor_counts_look_aheads_and_says_which_are_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    broken = tmp_path / "look_ahead" / "digits" / "broken.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{}")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert f"           1 look-aheads, in {artifacts.cache_dir() / 'look_ahead'} and " in out
    assert "skipped: look-ahead broken.json cannot be read ('version')" in out


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


def test_doctor_counts_all_kinds_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = [sent(tmp_path / kind, kind) for kind in SMALL]
    assert main(["doctor"]) == 0
    before = capsys.readouterr().out
    there = artifacts.imported_dir()
    shipped = len(artifacts.scan()[0])
    assert f"artifacts  {shipped} in {artifacts.cache_dir()}\n" in before
    assert f"artifacts  0 imported, in {there}\n" in before
    for kind in SMALL:
        assert main(["import", str(tmp_path / kind)]) == 0
    capsys.readouterr()
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"artifacts  2 imported, in {there}\n" in said
    assert said.count("artifacts  ") == 2
    assert "data       of fronts, toy: found, a formula" in said
    assert "data       of fronts, multimnist: downloadable, " in said
    for config, name in zip(configs, ("trajectory", "front"), strict=True):
        (there / config.id / f"{name}.parquet").write_bytes(b"PAR1")
        (there / config.id / "x").touch()
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert f"artifacts  0 imported, in {there}\n" in said
    for config, name in zip(configs, ("trajectory", "front"), strict=True):
        assert f"skipped: artifact {config.id}: {name}.parquet is not the file" in said
