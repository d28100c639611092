"""Soundness: what may come from anybody is shown only when every part of it is checked."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, exchange, soundness
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.exchange import Received
from tests.runs.library.receiving import left, receive, refused
from tests.runs.library.tampering import (
    DAMAGES,
    change_made,
    change_manifest,
    change_table,
    files_of,
    main_of,
    pickled,
    put_table,
    side_of,
    tables_of,
    write_older,
    zipped,
)

Make = Callable[..., Any]
Spoil = Callable[[Path], object]


def often(file: Path, rows: int, **columns: Any) -> pa.Table:
    """The first row of a table many times, in few bytes; some columns with another value."""
    first = pq.read_table(file).slice(0, 1)
    arrays = {
        name: pa.array([columns.get(name, first[name][0].as_py())] * rows, first[name].type)
        for name in first.column_names
    }
    return pa.table(arrays)


def many(folder: Path) -> pa.Table:
    return often(main_of(folder), soundness.MOST_ROWS + 1)


def long_word(folder: Path) -> pa.Table:
    schema = pq.read_schema(main_of(folder))
    word = next(column.name for column in schema if pa.types.is_large_string(column.type))
    return often(main_of(folder), 100, **{word: "x" * 100_000})


def foreign(folder: Path) -> Path:
    """A table of another kind."""
    return folder / f"{'front' if main_of(folder).stem == 'trajectory' else 'cosines'}.parquet"


def of_a_table(folder: Path, targets: str) -> ParetoConfig:
    """As of a user's table with these targets, otherwise sound."""
    manifest = json.loads((folder / "manifest.json").read_text())
    options = {"file": "x.csv", "targets": targets}
    values = manifest["config"] | {"problem": "csv", "problem_options": options}
    config = ParetoConfig.from_dict(values)
    names = [objective.name for objective in config.definition.objectives]
    columns = {"objective": lambda t: names * (len(t) // 2), "test_loss": lambda t: t["train_loss"]}
    change_table(folder, "front", lambda t: t.assign(**columns))
    change_manifest(folder, id=config.id, config=config.to_dict())
    return config


OF_ANY_SCHEMA: dict[str, tuple[Spoil, str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "it lacks manifest.json"),
    "no table": (lambda f: main_of(f).unlink(), "it lacks {main}.parquet"),
    "changed table": (
        lambda f: main_of(f).write_bytes(side_of(f).read_bytes()),
        "{main}.parquet is not the file that the manifest describes",
    ),
    "damaged table": (
        lambda f: main_of(f).write_bytes(b"gASVAAAA"),
        "{main}.parquet cannot be read",
    ),
    "changed side table": (
        lambda f: side_of(f).write_bytes(main_of(f).read_bytes()),
        "{side}.parquet is not the file that the manifest describes",
    ),
    "another kind's table": (
        lambda f: foreign(f).write_bytes(main_of(f).read_bytes()),
        "{foreign} is not a table of a {noun}",
    ),
    "pickle for a manifest": (
        lambda f: (f / "manifest.json").write_bytes(pickled()),
        "manifest.json is not JSON",
    ),
    "many rows in a small table": (
        lambda f: pq.write_table(many(f), main_of(f)),
        "{main}.parquet has 2,000,001 rows, above the limit of 2,000,000",
    ),
    "long words in a small table": (
        lambda f: pq.write_table(long_word(f), main_of(f)),
        "{main}.parquet has words of more than 2000 letters",
    ),
    "nested column": (
        lambda f: pq.write_table(pa.table({"x": [[1]]}), main_of(f)),
        "{main}.parquet has a column of type list",
    ),
    "nested column of a side table": (
        lambda f: pq.write_table(pa.table({"x": [[1]]}), side_of(f)),
        "{side}.parquet has a column of type list",
    ),
    "unfinished": (
        lambda f: change_manifest(f, error="stopped"),
        "{noun} {id} is unfinished: stopped",
    ),
    "picture": (
        lambda f: change_manifest(f, notes=["![x](https://example.org/x.png)"]),
        "is not plain text on one line",
    ),
    "long note": (lambda f: change_manifest(f, notes=["x" * 2001]), "is not a short text"),
    "note that is none": (lambda f: change_manifest(f, notes=[7]), "notes 7 is not a short text"),
}
OF_TODAY: dict[str, tuple[Spoil, str]] = {
    "side table not listed": (
        lambda f: change_manifest(f, tables={main_of(f).stem: tables_of(f)[main_of(f).stem]}),
        "{side}.parquet is not in the manifest",
    ),
    "another kind's table in the manifest": (
        lambda f: put_table(f, foreign(f).stem, pa.table({"x": [1]})),
        "is not a table of a {noun}",
    ),
    "null for a side table": (
        lambda f: change_manifest(f, tables=tables_of(f) | {side_of(f).stem: None}),
        "run: ",
    ),
    "pickle for a table": (
        lambda f: put_table(f, main_of(f).stem, pickled()),
        "{main}.parquet cannot be read",
    ),
    "older in name only": (lambda f: change_manifest(f, schema_version=2), "run: "),
}
OF_OLDER: dict[str, tuple[Spoil, str]] = {
    "another's id": (
        lambda f: change_manifest(f, id="1e2f303c0118b861"),
        "id '1e2f303c0118b861' is not that of its config",
    ),
    "side table not listed": (
        lambda f: change_manifest(f, cosines_blake2b=..., transfers_blake2b=...),
        "{side}.parquet is not in the manifest",
    ),
    "notes": (lambda f: change_manifest(f, notes=5), "notes 5 is not a JSON list"),
}

MADE: dict[str, tuple[dict[str, Any], str]] = {
    "no device": ({"device": ...}, "manifest.json lacks 'device'"),
    "created": ({"created": 5}, "created 5 is not a time"),
    "duration": ({"duration_seconds": -1}, "duration_seconds -1 is not a length of time"),
    "duration in words": ({"duration_seconds": "long"}, "duration_seconds 'long' is not a number"),
    "endless duration": ({"duration_seconds": 10**400}, "must be a finite number"),
    "versions": ({"versions": [1]}, "versions [1] are not an object"),
    "version": ({"versions": {"torch": 2}}, "versions 2 is not a short text"),
    "factors": ({"factors": [1]}, "factors [1] are not an object"),
    "foreign factor": (
        {"factors": {"flatness": "x"}},
        "unknown factor 'flatness'; one of: epoch",
    ),
    "fingerprint": ({"data_fingerprint": "a\nb"}, "is not plain text on one line"),
    "lines": ({"device": "a\nb"}, "is not plain text on one line"),
    "half a letter": ({"device": "\ud800"}, "run: "),
}
"""What is said of where runs come from, which older schemas say in another place."""


def spoil(folder: Path, damage: Spoil, reason: str) -> str:
    """Damage an artifact; returns the reason in the words of its kind."""
    kind = next(kind for kind in kinds.KINDS.values() if kind.main == main_of(folder).stem)
    words = {"main": kind.main, "side": side_of(folder).stem, "noun": kind.noun}
    words |= {"foreign": foreign(folder).name, "id": "[0-9a-f]{16}"}
    damage(folder)
    for name, word in words.items():
        reason = reason.replace(f"{{{name}}}", word)
    return reason


def said_of(folder: Path, other: str) -> str:
    said = refused(zipped(files_of(folder)))
    assert said.startswith("a.zip: run: ")
    assert left() == [other]
    assert not (folder.parents[1] / "boom").exists()
    return said


@pytest.mark.parametrize("damage", OF_ANY_SCHEMA | OF_TODAY)
def test_what_is_not_sound_is_named_and_leaves_nothing(
    shipped: Artifact, other: str, damage: str
) -> None:
    reason = spoil(shipped.folder, *(OF_ANY_SCHEMA | OF_TODAY)[damage])
    assert re.search(pattern(reason), said_of(shipped.folder, other))


@pytest.mark.parametrize("damage", OF_ANY_SCHEMA | OF_OLDER)
def test_an_older_one_is_checked_as_well(
    tmp_path: Path, config: Any, content_of: Make, other: str, damage: str
) -> None:
    folder = write_older(tmp_path / "old" / "a", content_of(config))
    reason = spoil(folder, *(OF_ANY_SCHEMA | OF_OLDER)[damage])
    assert re.search(pattern(reason), said_of(folder, other))


@pytest.mark.parametrize("damage", MADE)
def test_where_runs_come_from_is_checked_in_every_schema(
    tmp_path: Path, shipped: Artifact, content_of: Make, other: str, damage: str
) -> None:
    changes, reason = MADE[damage]
    older = write_older(tmp_path / "old" / "a", content_of(shipped.config))
    change_made(shipped.folder, **changes)
    change_manifest(older, **changes)
    for folder in (shipped.folder, older):
        assert reason in said_of(folder, other)


@pytest.mark.parametrize("make", DAMAGES, indirect=True)
def test_whatever_is_no_artifact_is_not_taken_in(
    shipped: Artifact, config: Any, other: str
) -> None:
    for number, (damage, _) in enumerate(DAMAGES[config.kind].values()):
        folder = shipped.folder.with_name(str(number))
        shutil.copytree(shipped.folder, folder)
        damage(folder)
        said_of(folder, other)


def pattern(reason: str) -> str:
    return re.escape(reason).replace(re.escape("[0-9a-f]{16}"), "[0-9a-f]{16}")


HUGE = {
    "text": "x" * 100_000,
    "list": [0] * 30_000,
    "object": {"x" * 100_000: "![x](https://example.org/" + "x" * 100_000},
    "number": int("9" * 4_000),
}


@pytest.mark.parametrize("value", HUGE)
def test_what_is_refused_is_not_echoed(shipped: Artifact, config: Any, value: str) -> None:
    """Whatever of a manifest has 100 kB, the message says what is wrong in a line."""
    path, huge = shipped.folder / "manifest.json", HUGE[value]
    manifest = json.loads(path.read_text())
    fields = [*config.to_dict(), "x" * 100_000]
    for changes in (
        *({"config": manifest["config"] | {name: huge}} for name in fields),
        *({name: huge} for name in manifest),
        {"error": huge},
        {"tables": {"x" * 100_000: huge}},
        {"tables": manifest["tables"] | {shipped.kind.main: huge}},
        {"former": {"x" * 100_000: [0]}},
        {"former": {artifacts.former_id(config, (0,)): huge}},
        *({"made": [manifest["made"][0] | {name: huge}]} for name in manifest["made"][0]),
        {"made": [huge]},
        {"notes": [huge]},
    ):
        path.write_text(json.dumps(manifest | changes))
        if [*changes] == ["config"] and not artifacts.scan(shipped.folder)[1]:
            assert artifacts.read(shipped.folder).config == config, "of no use to its problem"
            continue
        refused(zipped(files_of(shipped.folder)))
        found, problems = artifacts.scan(shipped.folder)
        assert len(found) + len(problems) == 1
        assert all(len(line) < 500 for line in problems)


@pytest.mark.parametrize("make", ["front"], indirect=True)
def test_names_in_a_users_table_are_plain_text(shipped: Artifact) -> None:
    """Its front comes in without the table."""
    config = of_a_table(shipped.folder, "y,z")
    sound = (shipped.folder / "manifest.json").read_text()
    for name in ("![x](https://example.org/x.png)", "a\u202eb", "a\nb", "a\x1b[2Jb"):
        changed = json.loads(sound)
        changed["config"]["problem_options"]["targets"] = f"{name},z"
        change_manifest(shipped.folder, config=changed["config"])
        assert "is not plain text on one line" in refused(zipped(files_of(shipped.folder)))
    (shipped.folder / "manifest.json").write_text(sound)
    assert receive(zipped(files_of(shipped.folder))) == [Received(config.id, (0, 1))]
    brought = exchange.imported()[0][config.id]
    assert list(brought.table("front")["objective"].unique()) == ["y", "z"]


ODD = (
    "Preis\u00a0€",
    "Preis\u00ad",
    "Pre\u200bis",
    "Pre\tis",
    "Preis\u2009€",
    "x" * 990 + "é" * 900,
)
"""Names with spaces of other kinds, with what is not seen, and as long as a text may be."""


@pytest.mark.parametrize("make", ["front"], indirect=True)
@pytest.mark.parametrize("name", ODD)
def test_odd_names_that_anybody_packed_come_in_as_they_are(shipped: Artifact, name: str) -> None:
    config = of_a_table(shipped.folder, f"{name},z")
    assert receive(zipped(files_of(shipped.folder))) == [Received(config.id, (0, 1))]
    brought = exchange.imported()[0][config.id]
    assert list(brought.table("front")["objective"].unique()) == [name, "z"]
