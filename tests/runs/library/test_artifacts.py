"""Artifacts: what is written is read again, and what is wrong is named and skipped."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.library.artifacts import Content
from tests.runs.library.tampering import DAMAGES, change_manifest, change_table, files_of

Make = Callable[..., Any]


@pytest.fixture
def content(config: Any, content_of: Callable[..., Content]) -> Content:
    return content_of(config)


@pytest.fixture
def folder(tmp_path: Path, content: Content) -> Path:
    return artifacts.write(tmp_path / "cache" / "good", content)


def test_what_is_written_is_read(folder: Path, config: Any, content: Content) -> None:
    artifact = artifacts.read(folder)
    assert (artifact.config, artifact.config.seeds) == (config, (0, 1))
    assert artifact.kind is kinds.of(config)
    assert artifact.unfinished is None
    assert artifact.notes == ("nothing of note",)
    (made,) = artifact.made
    assert (made["seeds"], made["device"], made["duration_seconds"]) == ([0, 1], "cpu", 1.5)
    assert artifact.manifest["numbers"] == "measured"
    filled = {name: rows for name, rows in content.tables.items() if len(rows)}
    names = {"manifest.json", *(f"{name}.parquet" for name in filled)}
    assert {path.name for path in folder.iterdir()} == names
    for name, form in artifact.kind.tables.items():
        pd.testing.assert_frame_equal(artifact.table(name), content.tables[name], check_exact=True)
        assert artifact.table(name).columns.tolist() == list(form.columns)
    for name, said in artifact.manifest["tables"].items():
        assert said["rows"] == len(filled[name])
        assert said["columns"] == list(artifact.kind.tables[name].columns)
    assert artifacts.scan(folder.parent) == ({config.id: artifact}, [])


def test_no_flipped_bit_of_any_file_passes(folder: Path) -> None:
    """A manifest has a hash of its own, and one of every table."""
    random = np.random.default_rng(0)
    for file in sorted(folder.iterdir()):
        content = file.read_bytes()
        for place in random.integers(len(content), size=25):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(random.integers(8))
            file.write_bytes(flipped)
            try:
                whole = json.loads(flipped) == json.loads(content)
            except ValueError:
                whole = False
            if not whole:  # space between values says nothing
                with pytest.raises(InputError):
                    artifacts.read(folder)
        file.write_bytes(content)
    assert artifacts.read(folder).unfinished is None


def test_a_number_that_was_changed_in_the_manifest_shows(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"duration_seconds": 1.5', '"duration_seconds": 9.5'))
    with pytest.raises(InputError, match=r"manifest\.json is not as it was written, by its hash"):
        artifacts.read(folder)


def test_a_manifest_of_before_it_had_a_hash_is_read(folder: Path) -> None:
    change_manifest(folder, blake2b=...)
    assert artifacts.read(folder).manifest["numbers"] == "measured"


@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_one_of_before_whole_epochs_were_marked_gets_the_mark(folder: Path) -> None:
    """Schema 3 had no such column at first; the files stay as they are."""
    new = artifacts.read(folder)
    expected = new.table("trajectory")
    marks = expected.groupby("step")["whole_epoch"].agg(["min", "max"])
    assert marks.to_dict("index") == {
        0: {"min": False, "max": False},
        1: {"min": False, "max": False},
        8: {"min": True, "max": True},
    }
    change_table(folder, "trajectory", lambda t: t.drop(columns="whole_epoch"))
    before = files_of(folder)
    old = artifacts.read(folder)
    assert old.config.id == new.config.id
    pd.testing.assert_frame_equal(old.table("trajectory"), expected, check_exact=True)
    assert files_of(folder) == before


def test_what_ships_has_its_whole_epochs_marked() -> None:
    """Artifacts of before included: one row at least for each epoch of each seed."""
    found = [one for one in artifacts.scan()[0].values() if one.kind.name == "training"]
    assert found
    for one in found:
        rows, per_epoch = one.table("trajectory"), one.config.steps_per_epoch
        expected = (rows["step"] > 0) & (rows["step"] % per_epoch == 0)
        assert rows["whole_epoch"].tolist() == expected.tolist(), one.folder
        assert rows["whole_epoch"].sum() == len(one.config.seeds) * one.config.epochs * len(
            one.config.tasks
        )


def test_a_table_that_is_handed_out_can_be_changed(folder: Path, content: Content) -> None:
    artifact = artifacts.read(folder)
    main = artifact.kind.main
    mine = artifact.table(main)
    mine["train_loss"] = 0.0
    pd.testing.assert_frame_equal(artifact.table(main), content.tables[main])


def test_writing_again_replaces_all_files(folder: Path, content: Content) -> None:
    """A file that is left from before is not taken for one of these runs'."""
    before = artifacts.read(folder)
    main, *side = before.kind.tables
    assert any(len(before.table(name)) for name in side)
    tables = {name: content.tables[name][:0] for name in side}
    tables |= {main: content.tables[main].assign(seconds=7.0)}
    made = [dict(group) | {"device": "other"} for group in content.made]
    artifacts.write(folder, replace(content, tables=tables, made=made))
    artifact = artifacts.read(folder)
    assert artifact.made[0]["device"] == "other"
    assert set(artifact.table(main)["seconds"]) == {7.0}
    assert artifact.stamp != before.stamp
    for name in side:
        assert len(artifact.table(name)) == 0
    artifacts._tables.clear()
    with pytest.raises(InputError, match=rf"{main}\.parquet was replaced a moment ago; look again"):
        before.table(main)


@pytest.mark.parametrize("at", ["to_parquet", "first replace", "second replace"])
def test_a_write_that_is_cut_short_leaves_the_old_artifact_or_none(
    folder: Path, content: Content, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    replaced, calls = os.replace, []
    main = kinds.of(content.config).main
    tables = {**content.tables, main: content.tables[main].assign(seconds=7.0)}

    def cut(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == (1 if at == "first replace" else 2):
            raise KeyboardInterrupt
        replaced(*arguments)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if at == "to_parquet":
            patch.setattr(pd.DataFrame, "to_parquet", full)
            with pytest.raises(InputError, match=r"No space left on device.*choose another folder"):
                artifacts.write(folder, replace(content, tables=tables))
        else:
            patch.setattr(os, "replace", cut)
            with pytest.raises(KeyboardInterrupt):
                artifacts.write(folder, replace(content, tables=tables))
    found, problems = artifacts.scan(folder.parent)
    assert problems == [], "never a half"
    assert len(found) == (at == "to_parquet")
    for artifact in found.values():
        pd.testing.assert_frame_equal(artifact.table(main), content.tables[main])


@pytest.mark.parametrize("place", [".part-abc", ".part-abc/0"])
def test_what_a_killed_writer_left_is_no_artifact(folder: Path, place: str) -> None:
    (folder / place).mkdir(parents=True)
    (folder / place / "manifest.json").write_text((folder / "manifest.json").read_text())
    found, problems = artifacts.scan(folder.parent)
    assert (len(found), problems) == (1, [])


def test_an_unfinished_run_can_be_read_but_is_no_answer(
    tmp_path: Path, config: Any, content: Content
) -> None:
    main = kinds.of(config).main
    rows = content.tables[main]
    begun = {main: rows[rows["step"] < rows["step"].max()]}
    error = "training diverged: loss of x"
    some = replace(content, tables={**content.tables, **begun}, error=error)
    artifact = artifacts.read(artifacts.write(tmp_path / "a", some))
    assert artifact.unfinished == error
    assert len(artifact.table(main)) == len(begun[main])
    assert artifacts.scan(tmp_path) == ({}, [f"artifact a is unfinished: {error}"])


@pytest.mark.parametrize(
    ("make", "damage"),
    [(kind, damage) for kind, damages in DAMAGES.items() for damage in damages],
    indirect=["make"],
)
def test_every_damage_is_named_and_skipped(
    folder: Path, config: Any, make: Make, content_of: Make, damage: str
) -> None:
    do, reason = DAMAGES[config.kind][damage]
    other = make(lr=0.05)
    artifacts.write(folder.parent / "other", content_of(other))
    do(folder)
    found, (problem,) = artifacts.scan(folder.parent)
    assert list(found) == [other.id], "one bad artifact costs no other"
    assert re.search(reason.replace("{main}", kinds.of(config).main), problem), problem
    assert problem.startswith("artifact good")
    assert len(problem.splitlines()) == 1
    with pytest.raises(InputError, match=re.escape(problem)):
        artifacts.read(folder)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, content: Content, place: str
) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / place
    for attempt in (
        lambda: folders.check_writable(target),
        lambda: artifacts.write(target, content),
    ):
        with pytest.raises(InputError) as caught:
            attempt()
        assert str(caught.value).startswith(f"cannot write {target} (")
        assert str(caught.value).endswith("choose another folder")


# Contents.


def test_some_seeds_of_an_artifact_are_as_if_no_others_had_been_there(
    folder: Path, config: Any, content_of: Make
) -> None:
    part = artifacts.content(artifacts.read(folder), (1,))
    alone = content_of(checks.with_seeds(config, (1,)))
    assert part.config.seeds == (1,)
    for name, rows in alone.tables.items():
        pd.testing.assert_frame_equal(part.tables[name].reset_index(drop=True), rows)
    assert [(made["seeds"], made["duration_seconds"]) for made in part.made] == [([1], 0.75)]


def test_of_a_seed_that_several_have_the_first_counts(config: Any, content_of: Make) -> None:
    kind = kinds.of(config)
    first = replace(content_of(config), former={"a": (0, 1)}, notes=["b"])
    later = content_of(checks.with_seeds(config, (1, 5)), device="gpu", created="2027-01-01T00:00Z")
    changed = {name: rows.assign(step=rows["step"]) for name, rows in later.tables.items()}
    changed[kind.main] = changed[kind.main].assign(seconds=99.0)
    both = artifacts.joined([first, replace(later, tables=changed, former={"c": (1, 5)})])
    assert both.config.seeds == (0, 1, 5)
    assert both.former == {"a": (0, 1), "c": (1, 5)}
    assert both.notes == ["b", "nothing of note"]
    rows = both.tables[kind.main]
    assert set(rows.loc[rows["seconds"] == 99.0, "seed"]) == {5}
    for name, mine in first.tables.items():
        found = both.tables[name]
        old = found[found["seed"].isin((0, 1))].reset_index(drop=True)
        pd.testing.assert_frame_equal(old, mine, check_exact=True)
    said = [(made["seeds"], made["device"], made["duration_seconds"]) for made in both.made]
    assert said == [([0, 1], "cpu", 1.5), ([5], "gpu", 0.75)]


def test_groups_of_one_origin_become_one(config: Any, content_of: Make) -> None:
    parts = [content_of(checks.with_seeds(config, seeds)) for seeds in ((4,), (0, 2))]
    later = [{**made, "created": "2027-01-01T00:00:00Z"} for made in parts[1].made]
    (made,) = artifacts.joined([parts[0], replace(parts[1], made=later)]).made
    assert made["seeds"] == [0, 2, 4]
    assert made["created"] == "2027-01-01T00:00:00Z", "when the last of them was"
    assert made["duration_seconds"] == 3.0


# Where numbers come from.


def test_the_artifacts_that_ship_are_all_good() -> None:
    found, problems = artifacts.scan()
    assert problems == []
    assert {artifact.config.kind for artifact in found.values()} == set(kinds.KINDS)
    for artifact in found.values():
        assert artifact.manifest["numbers"] == "measured"
        for made in artifact.made:
            assert {"created", "device", "versions", "data_fingerprint"} <= made.keys()


def test_provenance_says_where_numbers_come_from(config: Any) -> None:
    import torch

    info = artifacts.provenance(config, "cpu")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", info["created"])
    assert info["device"] == "cpu"
    assert info["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert info["versions"]["numpy"] == np.__version__
    assert info["data_fingerprint"] == kinds.of(config).fingerprint(config)
    json.dumps(info)


def fingerprint(config: RunConfig) -> str:
    return kinds.of(config).fingerprint(config)


def test_the_fingerprint_is_of_the_tasks_and_nothing_else(make_config: Make) -> None:
    one = fingerprint(make_config())
    assert re.fullmatch("[0-9a-f]{16}", one)
    assert fingerprint(make_config(lr=0.1, samples=32, seeds=(7,))) == one
    others = {
        fingerprint(make_config(auxiliaries=aux))
        for aux in ((), ("noisy_digits",), ("digits2", "noisy_digits"))
    }
    assert len(others) == 3
    assert one not in others


def test_missing_data_has_no_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    with pytest.raises(DataMissing, match="FashionMNIST is not in"):
        fingerprint(RunConfig.from_preset("fashion", "quick"))


def test_fingerprints_of_real_data(fashion_data: Path) -> None:
    config = RunConfig.from_preset("fashion", "quick")
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(config))
