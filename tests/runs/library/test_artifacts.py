"""Artifacts: what is written is read again, and what is wrong is named and skipped."""

import json
import re
from collections.abc import Callable, Mapping
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
from tests.runs.library.tampering import change_made, change_manifest, change_table, put_table

Make = Callable[..., Any]


@pytest.fixture
def content(config: Any, content_of: Make) -> Content:
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
    artifacts._table.cache_clear()
    with pytest.raises(InputError, match=rf"{main}\.parquet was replaced a moment ago; look again"):
        before.table(main)


@pytest.mark.parametrize("at", ["to_parquet", "first replace", "second replace"])
def test_a_write_that_is_cut_short_leaves_the_old_artifact_or_none(
    folder: Path, content: Content, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    replaced, calls = folders.os.replace, []
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
            patch.setattr(folders.os, "replace", cut)
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


# Damage.

Damage = tuple[Callable[[Path], object], str]

OF_ALL: Mapping[str, Damage] = {
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
    "newer schema": (lambda f: change_manifest(f, schema_version=4), "schema 4 is not 3"),
    "older schema": (lambda f: change_manifest(f, schema_version=2), "schema 2 is not 3"),
    "missing tables": (lambda f: change_manifest(f, tables=...), "lacks 'tables'"),
    "no tables": (lambda f: change_manifest(f, tables={}), "it has no table {main}"),
    "tables that are none": (lambda f: change_manifest(f, tables=[]), r"tables \[\] is not a JSON"),
    "missing hash": (
        lambda f: change_manifest(f, tables={"front": {}, "trajectory": {}}),
        "lacks 'blake2b'|is no table of",
    ),
    "missing config": (lambda f: change_manifest(f, config=...), "lacks 'config'"),
    "strange kind": (lambda f: change_manifest(f, kind="x"), "unknown kind of experiment 'x'; one"),
    "kind of a kind": (lambda f: change_manifest(f, kind=[]), r"unknown kind of experiment \[\]"),
    "strange numbers": (
        lambda f: change_manifest(f, numbers="invented"),
        "numbers 'invented' is none of: measured, published",
    ),
    "wrong id": (lambda f: change_manifest(f, id="0" * 16), "id '0{16}' is not that of its config"),
    "config that is no object": (lambda f: change_manifest(f, config=[]), "must be an object"),
    "config of another kind": (lambda f: change_manifest(f, config={"x": 1}), "config field 'x'"),
    "made by nobody": (lambda f: change_manifest(f, made=[]), "no seeds; give at least one"),
    "made in words": (lambda f: change_manifest(f, made=["x"]), "made 'x' is not an object with"),
    "made of nothing": (lambda f: change_made(f, seeds=[]), "is not an object with seeds"),
    "seeds twice": (lambda f: change_made(f, seeds=[0, 1, 1]), "seeds 0 1 1 repeat"),
    "a seed too many": (lambda f: change_made(f, seeds=[0, 1, 2]), "its seeds"),
    "a seed in words": (lambda f: change_made(f, seeds=["0", 1]), "seed '0' is not a whole number"),
    "notes that are none": (lambda f: change_manifest(f, notes="x"), "notes 'x' is not a JSON list"),
    "former of another": (
        lambda f: change_manifest(f, former={"1e2f303c0118b861": [0]}),
        "former '1e2f303c0118b861' was no id of its config",
    ),
    "former that is none": (lambda f: change_manifest(f, former={"x": 5}), "seeds 5 must be a list"),
    "wrong hash": (
        lambda f: change_table_hash(f, "0" * 32),
        r"{main}\.parquet is not the file that the manifest describes",
    ),
    "no table": (lambda f: main_of(f).unlink(), r"it lacks {main}\.parquet"),
    "table that is no Parquet": (
        lambda f: put_table(f, main_of(f).stem, b"PAR1 nonsense"),
        r"{main}\.parquet cannot be read \(",
    ),
    "side table that is no Parquet": (
        lambda f: put_table(f, side_of(f).stem, b"PAR1 nonsense"),
        r"(cosines|transfers)\.parquet cannot be read \(",
    ),
    "changed side table": (
        lambda f: side_of(f).write_bytes(b"PAR1 no"),
        r"(cosines|transfers)\.parquet is not the file that the manifest",
    ),
    "no side table": (lambda f: side_of(f).unlink(), r"it lacks (cosines|transfers)\.parquet"),
    "foreign columns": (
        lambda f: change_main(f, lambda t: t.rename(columns={"seconds": "minutes"})),
        r"the columns of {main}\.parquet are not [a-z]+, ",
    ),
    "column too many": (
        lambda f: change_main(f, lambda t: t.assign(x=1)),
        r"the columns of {main}\.parquet are not",
    ),
    "words for numbers": (
        lambda f: change_main(f, lambda t: t.assign(train_loss="low")),
        r"{main}\.parquet cannot be read \(",
    ),
    "missing seed": (lambda f: change_main(f, lambda t: t[t["seed"] == 0]), "its seeds"),
    "endless loss": (
        lambda f: change_main(f, lambda t: t.assign(train_loss=np.inf)),
        "it has impossible values|it has missing or infinite training losses",
    ),
}
OF_TRAINING: Mapping[str, Damage] = {
    "task that is not there any more": (
        lambda f: change_manifest(f, config={"setting": "digits", "target": "digits9"}),
        "unknown task of digits 'digits9'",
    ),
    "missing task": (
        lambda f: change_main(f, lambda t: t[t["role"] == "target"]),
        "its seeds or tasks",
    ),
    "other auxiliaries": (
        lambda f: change_main(f, lambda t: t.assign(auxiliaries="stl")),
        "its setting, auxiliaries or optimizer",
    ),
    "other roles": (lambda f: change_main(f, lambda t: t.assign(role="target")), "its roles"),
    "row twice": (lambda f: change_main(f, lambda t: pd.concat([t, t[:1]])), "two rows for one"),
    "step too far": (
        lambda f: change_main(f, lambda t: t.assign(step=t["step"] + 1)),
        "it has steps outside 0 and 8",
    ),
    "last step missing": (
        lambda f: change_main(f, lambda t: t[t["step"] < t["step"].max()]),
        "it ends before step 8 without saying why",
    ),
    "missing value": (
        lambda f: change_main(
            f, lambda t: t.assign(test_metric=t["test_metric"].where(t.index > 0))
        ),
        "it has missing values",
    ),
    "endless factor": (
        lambda f: change_main(f, lambda t: t.assign(sharpness=np.inf)),
        "it has impossible values",
    ),
    "loss below 0": (
        lambda f: change_main(f, lambda t: t.assign(train_loss=-t["train_loss"])),
        "it has impossible values",
    ),
    "accuracy above 1": (
        lambda f: change_main(f, lambda t: t.assign(val_metric=t["val_metric"] + 1)),
        "its accuracy of digits1 is outside 0 and 1",
    ),
    "cosine above 1": (
        lambda f: change_table(f, "cosines", lambda t: t.assign(cosine=1.5)),
        "cosines.parquet has impossible values",
    ),
    "cosines of another seed": (
        lambda f: change_table(f, "cosines", lambda t: t.assign(seed=7)),
        "cosines.parquet has impossible values",
    ),
    "cosines with another's task": (
        lambda f: change_table(f, "cosines", lambda t: t.assign(other="fashion1")),
        "the tasks of cosines.parquet are not those of its config",
    ),
    "a front's table": (
        lambda f: put_table(f, "front", b""),
        "'front' is no table of a training run",
    ),
}
OF_FRONTS: Mapping[str, Damage] = {
    "missing frame": (
        lambda f: change_main(f, lambda t: t[t["step"] != 20]),
        "lacks steps without saying why",
    ),
    "step of another config": (
        lambda f: change_main(f, lambda t: t.replace({"step": {20: 30}})),
        "not a row for each solution",
    ),
    "step that is not measured": (
        lambda f: change_main(f, lambda t: t.replace({"step": {20: 21}})),
        "steps that its config does not measure",
    ),
    "missing solution": (
        lambda f: change_main(f, lambda t: t[t["solution"] != 3]),
        "not a row for each solution",
    ),
    "other objectives": (
        lambda f: change_main(f, lambda t: t.replace({"objective": {"f1": "f3"}})),
        "objectives are not those",
    ),
    "shares that are none": (
        lambda f: change_table(f, "transfers", lambda t: t.assign(share=t["share"] * 0.9)),
        "not shares of 1",
    ),
    "solution too many": (
        lambda f: change_table(f, "transfers", lambda t: t.replace({"other": {3: 99}})),
        "solutions that its config does not have",
    ),
}


def main_of(folder: Path) -> Path:
    kind = json.loads((folder / "manifest.json").read_text())["kind"]
    return folder / f"{kinds.get(kind).main}.parquet"


def side_of(folder: Path) -> Path:
    return next(path for path in folder.glob("*.parquet") if path != main_of(folder))


def change_main(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change_table(folder, main_of(folder).stem, change)


def change_table_hash(folder: Path, digest: str) -> None:
    tables = json.loads((folder / "manifest.json").read_text())["tables"]
    main = main_of(folder).stem
    change_manifest(folder, tables=tables | {main: tables[main] | {"blake2b": digest}})


DAMAGES = {
    "training": OF_ALL | OF_TRAINING,
    "front": OF_ALL | OF_FRONTS,
}


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
