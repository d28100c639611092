"""Artifacts: what is written is read again, and what is wrong is named and skipped."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.library.frames import side_frame, to_frame
from mtl_core.trajectory import COLUMNS, Cosine

Make = Callable[..., Any]
Table = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture
def config(make_config: Make) -> RunConfig:
    return make_config(seeds=(0, 1))


@pytest.fixture
def table(config: RunConfig, make_row: Make) -> pd.DataFrame:
    steps = (0, 1, config.steps)
    rows = [
        make_row(config, s, t, step) for s in config.seeds for t in config.tasks for step in steps
    ]
    return to_frame(rows)


@pytest.fixture
def folder(tmp_path: Path, config: RunConfig, table: pd.DataFrame) -> Path:
    return artifacts.write(tmp_path / "cache" / "good", config, table, {"device": "cpu"})


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not ...}))


def change_table(folder: Path, change: Table) -> None:
    """With the digest that goes with it, so that only its content is wrong."""
    path = folder / "trajectory.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    change_manifest(folder, table_blake2b=folders.digest(path))


@pytest.fixture
def pairs(config: RunConfig) -> pd.DataFrame:
    """Cosines of both seeds at two steps."""
    found = [
        Cosine(seed=s, step=t, epoch=t / 4, task="digits1", other="digits2", cosine=s / 3 - t / 9)
        for s in config.seeds
        for t in (1, 4)
    ]
    return side_frame("cosines", found)


def test_cosines_are_read_as_they_were_written(
    tmp_path: Path, config: RunConfig, table: pd.DataFrame, pairs: pd.DataFrame
) -> None:
    folder = artifacts.write(tmp_path / "a", config, table, {}, {"cosines": pairs})
    pd.testing.assert_frame_equal(artifacts.read(folder).side("cosines"), pairs)
    # Written anew without, the file that is left is not taken for this run's.
    artifacts.write(folder, config, table, {})
    assert len(artifacts.read(folder).side("cosines")) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cosine": 1.5}, "cosines.parquet has impossible values"),
        ({"seed": 7}, "cosines.parquet has impossible values"),
        ({"other": "fashion1"}, "the tasks of cosines.parquet are not those of its config"),
    ],
)
def test_wrong_cosines_are_named(
    tmp_path: Path,
    config: RunConfig,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    change: dict[str, Any],
    reason: str,
) -> None:
    folder = artifacts.write(tmp_path / "a", config, table, {}, {"cosines": pairs.assign(**change)})
    with pytest.raises(InputError, match=reason):
        artifacts.read(folder)


def test_damaged_cosines_are_named(
    tmp_path: Path, config: RunConfig, table: pd.DataFrame, pairs: pd.DataFrame
) -> None:
    folder = artifacts.write(tmp_path / "a", config, table, {}, {"cosines": pairs})
    (folder / "cosines.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match=r"cosines.parquet is not the file that the manifest"):
        artifacts.read(folder)
    change_manifest(folder, cosines_blake2b=folders.digest(folder / "cosines.parquet"))
    with pytest.raises(InputError, match=r"cosines.parquet cannot be read"):
        artifacts.read(folder)
    (folder / "cosines.parquet").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        artifacts.read(folder)


def test_what_is_written_is_read(folder: Path, config: RunConfig, table: pd.DataFrame) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "trajectory.parquet"]
    artifact = artifacts.read(folder)
    assert artifact.config == config
    assert artifact.unfinished is None
    assert artifact.manifest["device"] == "cpu"
    assert artifact.manifest["kind"] == "measured"
    assert artifact.manifest["rows"] == len(table)
    assert artifact.manifest["columns"] == list(COLUMNS)
    pd.testing.assert_frame_equal(artifact.trajectory(), table, check_exact=True)
    found, problems = artifacts.scan(folder.parent)
    assert (list(found), problems) == ([config.id], [])


def test_a_table_that_is_handed_out_can_be_changed(folder: Path, table: pd.DataFrame) -> None:
    artifact = artifacts.read(folder)
    mine = artifact.trajectory()
    mine["train_loss"] = 0.0
    pd.testing.assert_frame_equal(artifact.trajectory(), table)


def test_writing_again_replaces_both_files(
    folder: Path, config: RunConfig, table: pd.DataFrame
) -> None:
    artifacts.read(folder)
    artifacts.write(folder, config, table.assign(seconds=7.0), {"device": "other"})
    artifact = artifacts.read(folder)
    assert artifact.manifest["device"] == "other"
    assert set(artifact.trajectory()["seconds"]) == {7.0}


@pytest.mark.parametrize("at", ["to_parquet", "first replace", "second replace"])
def test_a_write_that_is_cut_short_leaves_the_old_artifact_or_none(
    folder: Path,
    config: RunConfig,
    table: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    at: str,
) -> None:
    replace, calls = folders.os.replace, []

    def cut(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == (1 if at == "first replace" else 2):
            raise KeyboardInterrupt
        replace(*arguments)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if at == "to_parquet":
            patch.setattr(pd.DataFrame, "to_parquet", full)
            with pytest.raises(InputError, match=r"No space left on device.*choose another folder"):
                artifacts.write(folder, config, table.assign(seconds=7.0), {})
        else:
            patch.setattr(folders.os, "replace", cut)
            with pytest.raises(KeyboardInterrupt):
                artifacts.write(folder, config, table.assign(seconds=7.0), {})
    found, problems = artifacts.scan(folder.parent)
    assert problems == [], "never a half"
    assert len(found) == (at == "to_parquet")
    for artifact in found.values():
        pd.testing.assert_frame_equal(artifact.trajectory(), table)


def test_what_a_killed_writer_left_is_no_artifact(folder: Path) -> None:
    scratch = folder / ".part-abc"
    scratch.mkdir()
    (scratch / "manifest.json").write_text((folder / "manifest.json").read_text())
    found, problems = artifacts.scan(folder.parent)
    assert (len(found), problems) == (1, [])


DAMAGES: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "not JSON": (
        lambda folder: (folder / "manifest.json").write_text("{"),
        r"manifest\.json is not JSON \(Expecting",
    ),
    "deep JSON": (
        lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
        r"manifest\.json is not JSON \(",
    ),
    "not text": (
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\x00"),
        r"manifest\.json is not JSON \(",
    ),
    "not an object": (
        lambda folder: (folder / "manifest.json").write_text("[1]"),
        r"not a JSON object but \[1\]",
    ),
    "newer schema": (lambda f: change_manifest(f, schema_version=3), "schema 3 is not 2"),
    "missing key": (lambda f: change_manifest(f, table_blake2b=...), "lacks 'table_blake2b'"),
    "missing config": (lambda f: change_manifest(f, config=...), "lacks 'config'"),
    "strange kind": (lambda f: change_manifest(f, kind="invented"), "kind 'invented' is none of"),
    "wrong id": (lambda f: change_manifest(f, id="0" * 16), "id '0{16}' is not that of its config"),
    "config that is no object": (lambda f: change_manifest(f, config=[]), "must be an object"),
    "config that cannot be trained any more": (
        lambda f: change_manifest(f, config={"setting": "digits", "target": "digits9"}),
        "unknown task of digits 'digits9'",
    ),
    "wrong digest": (lambda f: change_manifest(f, table_blake2b="0" * 32), "is not the file that"),
    "no table": (lambda f: (f / "trajectory.parquet").unlink(), "cannot be read"),
    "table that is no Parquet": (
        lambda f: (
            (f / "trajectory.parquet").write_bytes(b"PAR1 nonsense"),
            change_manifest(f, table_blake2b=folders.digest(f / "trajectory.parquet")),
        ),
        r"trajectory\.parquet cannot be read \(",
    ),
    "foreign columns": (
        lambda f: change_table(f, lambda t: t.rename(columns={"seconds": "minutes"})),
        "the columns of trajectory.parquet are not setting, run,",
    ),
    "column too many": (
        lambda f: change_table(f, lambda t: t.assign(x=1)),
        "the columns of trajectory.parquet are not",
    ),
    "words for numbers": (
        lambda f: change_table(f, lambda t: t.assign(train_loss="low")),
        r"trajectory\.parquet cannot be read \(",
    ),
    "missing seed": (lambda f: change_table(f, lambda t: t[t["seed"] == 0]), "its seeds or tasks"),
    "missing task": (
        lambda f: change_table(f, lambda t: t[t["role"] == "target"]),
        "its seeds or tasks",
    ),
    "other run": (
        lambda f: change_table(f, lambda t: t.assign(auxiliaries="stl")),
        "its setting, run or optimizer",
    ),
    "other roles": (lambda f: change_table(f, lambda t: t.assign(role="target")), "its roles"),
    "row twice": (lambda f: change_table(f, lambda t: pd.concat([t, t[:1]])), "two rows for one"),
    "step too far": (
        lambda f: change_table(f, lambda t: t.assign(step=t["step"] + 1)),
        "it has steps outside 0 and 8",
    ),
    "last step missing": (
        lambda f: change_table(f, lambda t: t[t["step"] < t["step"].max()]),
        "it ends before step 8 without saying why",
    ),
    "missing value": (
        lambda f: change_table(
            f, lambda t: t.assign(test_metric=t["test_metric"].where(t.index > 0))
        ),
        "it has missing values",
    ),
    "endless loss": (
        lambda f: change_table(f, lambda t: t.assign(train_loss=np.inf)),
        "it has impossible values",
    ),
    "endless factor": (
        lambda f: change_table(f, lambda t: t.assign(sharpness=np.inf)),
        "it has impossible values",
    ),
    "loss below 0": (
        lambda f: change_table(f, lambda t: t.assign(train_loss=-t["train_loss"])),
        "it has impossible values",
    ),
    "accuracy above 1": (
        lambda f: change_table(f, lambda t: t.assign(val_metric=t["val_metric"] + 1)),
        "its accuracy of digits1 is outside 0 and 1",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named_and_skipped(
    folder: Path, config: RunConfig, table: pd.DataFrame, damage: str
) -> None:
    do, reason = DAMAGES[damage]
    other = RunConfig.from_dict(config.to_dict() | {"width": 5})
    artifacts.write(folder.parent / "other", other, table, {})
    do(folder)
    found, (problem,) = artifacts.scan(folder.parent)
    assert list(found) == [other.id], "one bad artifact costs no other"
    assert re.search(reason, problem), problem
    assert problem.startswith("artifact good")
    assert len(problem.splitlines()) == 1
    with pytest.raises(InputError, match=re.escape(problem)):
        artifacts.read(folder)


def test_an_unfinished_run_can_be_read_but_is_no_answer(
    tmp_path: Path, config: RunConfig, table: pd.DataFrame
) -> None:
    begun = table[table["step"] < config.steps]
    artifacts.write(tmp_path / "a", config, begun, {"error": "training diverged: loss of x"})
    artifact = artifacts.read(tmp_path / "a")
    assert artifact.unfinished == "training diverged: loss of x"
    assert len(artifact.trajectory()) == len(begun)
    found, problems = artifacts.scan(tmp_path)
    assert found == {}
    assert problems == ["artifact a is unfinished: training diverged: loss of x"]


def test_the_artifacts_that_ship_are_all_good() -> None:
    found, problems = artifacts.scan()
    assert problems == []
    for artifact in found.values():
        assert artifact.manifest["kind"] in ("measured", "published")
        assert {"created", "device", "versions", "data_fingerprint"} <= artifact.manifest.keys()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, config: RunConfig, table: pd.DataFrame, place: str
) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / place
    for attempt in (
        lambda: folders.check_writable(target),
        lambda: artifacts.write(target, config, table, {}),
    ):
        with pytest.raises(InputError) as caught:
            attempt()
        assert str(caught.value).startswith(f"cannot write {target} (")
        assert str(caught.value).endswith("choose another folder")


def test_provenance_says_where_numbers_come_from(config: RunConfig) -> None:
    import torch

    info = artifacts.provenance(config, "cpu")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", info["created"])
    assert info["device"] == "cpu"
    assert info["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert info["versions"]["numpy"] == np.__version__
    assert info["data_fingerprint"] == artifacts.data_fingerprint(config)
    json.dumps(info)


def test_the_fingerprint_is_of_the_tasks_and_nothing_else(make_config: Make) -> None:
    one = artifacts.data_fingerprint(make_config())
    assert re.fullmatch("[0-9a-f]{16}", one)
    assert artifacts.data_fingerprint(make_config(lr=0.1, samples=32, seeds=(7,))) == one
    others = {
        artifacts.data_fingerprint(make_config(auxiliaries=aux))
        for aux in ((), ("noisy_digits",), ("digits2", "noisy_digits"))
    }
    assert len(others) == 3
    assert one not in others


def test_missing_data_has_no_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    with pytest.raises(DataMissing, match="FashionMNIST is not in"):
        artifacts.data_fingerprint(RunConfig.from_preset("fashion", "quick"))


def test_fingerprints_of_real_data(fashion_data: Path) -> None:
    config = RunConfig.from_preset("fashion", "quick")
    assert re.fullmatch("[0-9a-f]{16}", artifacts.data_fingerprint(config))
