"""Exchange: what goes out comes in unchanged, and what is not sound stays out and harms nothing."""

import io
import json
import os
import pickle
import re
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, exchange, parcels, soundness
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.exchange import Received
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from tests.runs.library.tampering import (
    change_made,
    change_manifest,
    change_table,
    files_of,
    put_table,
    write_older,
    zipped,
)

Make = Callable[..., Any]
Files = dict[str, bytes]


@pytest.fixture
def shipped(config: Any, ship: Make) -> Artifact:
    return ship(config)


@pytest.fixture
def files(shipped: Artifact) -> Files:
    """Those of a sound artifact."""
    return files_of(shipped.folder)


@pytest.fixture
def tampered(shipped: Artifact) -> Callable[..., Files]:
    """The files with something else said of where the runs come from."""

    def change(**changes: Any) -> Files:
        change_made(shipped.folder, **changes)
        return files_of(shipped.folder)

    return change


@pytest.fixture
def done(store: Store, make_pieces: Make) -> Callable[..., None]:
    """Lets runs of some seeds be finished in the store."""

    def carry_out(config: Any, info: Mapping[str, Any] | None = None) -> None:
        store.submit(config)
        store.claim("1-alice", len(config.seeds))
        last = kinds.of(config).steps(config)
        for seed in config.seeds:
            key = Key(config.id, seed)
            if info:
                store.describe(key, "1-alice", info)
            for step in (0, 1, last) if config.kind == "training" else config.steps:
                store.save(key, "1-alice", make_pieces(config, (seed,), step), seconds=0.5)
            store.finish(key, "1-alice", "done")

    return carry_out


def nothing() -> Answers:
    return Answers(None, {})


def receive(content: bytes | io.BytesIO, answers: Answers | None = None) -> list[Received]:
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    return exchange.receive_zip(file, "a.zip", answers or nothing())


def left() -> list[str]:
    """What there is beside the store: nothing half done."""
    root = artifacts.imported_dir()
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def same(one: Artifact, other: Artifact) -> None:
    assert one.manifest == other.manifest
    for name in one.kind.tables:
        pd.testing.assert_frame_equal(one.table(name), other.table(name), check_exact=True)


# Out and in.


def test_an_artifact_goes_out_and_comes_in_unchanged(config: Any, shipped: Artifact) -> None:
    there = Answers(None, {config.id: shipped})
    content = exchange.pack([there.find(config)], there)
    assert content == exchange.pack([there.find(config)], there), "the same every time"
    assert receive(content) == [Received(config.id, (0, 1))]
    found, problems = exchange.imported()
    assert (list(found), problems) == ([config.id], [])
    same(found[config.id], shipped)
    assert found[config.id].folder == artifacts.imported_dir() / config.id
    assert (found[config.id].imported, shipped.imported) == (True, False)
    assert Answers(None, {}, found).find(config).origins == ("imported",)
    assert left() == [config.id]
    assert exchange.broken() == {}


def test_both_kinds_go_together(makers: dict[str, Make], ship: Make) -> None:
    configs = [make() for make in makers.values()]
    there = Answers(None, {one.id: ship(one) for one in configs})
    content = exchange.pack([there.find(one) for one in configs], there)
    assert receive(content) == [Received(one.id, (0, 1)) for one in configs]
    found, _ = exchange.imported()
    assert {one.config.kind for one in found.values()} == set(kinds.KINDS)
    for one in configs:
        same(found[one.id], there.shipped[one.id])
    assert exchange.broken() == {}


@pytest.mark.parametrize("described", [True, False])
def test_own_runs_go_out_with_all_that_is_known_of_them(
    store: Store, config: Any, done: Make, described: bool
) -> None:
    here = Answers(store, {})
    store.submit(config)
    with pytest.raises(InputError, match=f"run {config.id} is queued; only finished runs"):
        exchange.pack([here.find(config)], here)
    info = {"device": "a GPU", "versions": {"torch": "2.0"}, "data_fingerprint": "0123456789abcdef"}
    done(config, info if described else None)
    receive(exchange.pack([here.find(config)], here))
    brought = exchange.imported()[0][config.id]
    for name in brought.kind.tables:
        pd.testing.assert_frame_equal(brought.table(name), store.table(config, name))
    (made,) = brought.made
    assert made["seeds"] == [0, 1]
    if described:
        assert info.items() <= made.items()
    else:
        assert made["device"] == "unknown"
    records = store.runs(config.id)
    assert made["duration_seconds"] == round(sum(record.seconds for record in records), 3) > 0
    finished = max(record.finished_at or 0.0 for record in records)
    assert made["created"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(finished))


def test_runs_of_one_experiment_go_out_in_one_folder_wherever_they_are(
    store: Store, config: Any, ship: Make, done: Make
) -> None:
    """Those that are not finished stay."""
    done(checks.with_seeds(config, (5,)))
    done(checks.with_seeds(config, (6,)), {"device": "a GPU"})
    store.submit(checks.with_seeds(config, (7,)))
    here = Answers(store, {config.id: ship(config)})
    asked = [here.find(checks.with_seeds(config, seeds)) for seeds in ((1, 5, 7), (6,))]
    content = exchange.pack(asked, here)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {config.id}
    assert receive(content) == [Received(config.id, (1, 5, 6))]
    brought = exchange.imported()[0][config.id]
    assert [(m["seeds"], m["device"]) for m in brought.made] == [
        ([1], "cpu"),
        ([5], "unknown"),
        ([6], "a GPU"),
    ]
    with pytest.raises(InputError, match="is queued; only finished"):
        exchange.pack([here.find(checks.with_seeds(config, (7,)))], here)


@pytest.mark.parametrize("folder", ["", "run/", "cache/digits/deep/", "run\\", "a\\b/c\\"])
def test_folders_around_the_files_do_not_matter(files: Files, config: Any, folder: str) -> None:
    (received,) = receive(zipped(files, folder))
    assert (received.run, received.seeds) == (config.id, (0, 1))


def test_litter_of_other_systems_is_ignored(files: Files, config: Any) -> None:
    litter = {
        "__MACOSX/r/._manifest.json": b"\0",
        "__MACOSX/r/anything.pkl": b"x",
        "r/.DS_Store": b"\0",
        "r/._front.parquet": b"\0",
        "r\\Thumbs.db": b"\0",
        "desktop.ini": b"x",
        "r/": b"",
        "empty\\": b"",
    }
    parts = {f"r/{name}": content for name, content in files.items()}
    assert receive(zipped(litter | parts, "")) == [Received(config.id, (0, 1))]
    assert sorted(path.name for path in (artifacts.imported_dir() / config.id).iterdir()) == (
        sorted(files)
    )
    with pytest.raises(InputError, match=r"a\.zip: it holds no manifest\.json"):
        receive(zipped(litter, ""))
    with pytest.raises(InputError, match=r"'__MACOSX/\.\./\.\./\.DS_Store' points out of it"):
        receive(zipped(parts | {"__MACOSX/../../.DS_Store": b""}, ""))


def test_several_runs_come_together_or_not_at_all(
    make: Make, ship: Make, tampered: Make
) -> None:
    configs = [make(lr=lr) for lr in (0.02, 0.03)]
    there = Answers(None, {one.id: ship(one) for one in configs})
    content = exchange.pack([there.find(one) for one in configs], there)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    bad = {f"bad/{name}": part for name, part in tampered(device=7).items()}
    with pytest.raises(InputError, match=r"^a\.zip: bad: device 7 is not a short text$"):
        receive(zipped(parts | bad, ""))
    assert left() == []
    assert [one.run for one in receive(content)] == [one.id for one in configs]
    assert set(exchange.imported()[0]) == set(there.shipped)


def test_files_come_in_by_themselves(files: Files, config: Any) -> None:
    main = f"{kinds.of(config).main}.parquet"
    loose = {name: io.BytesIO(content) for name, content in files.items()}
    (received,) = exchange.receive_files(loose | {".DS_Store": io.BytesIO(b"x")}, nothing())
    assert received.run == config.id
    with pytest.raises(InputError, match=rf"^{main}: it lacks manifest\.json$"):
        exchange.receive_files({main: io.BytesIO(files[main])}, nothing())
    for name in ("../manifest.json", "..\\manifest.json"):
        with pytest.raises(InputError, match="points out of it"):
            exchange.receive_files({name: io.BytesIO(b"{}")}, nothing())


def test_a_folder_comes_in_as_a_zip_file_does(tmp_path: Path, make: Make, ship: Make) -> None:
    configs = [make(lr=lr) for lr in (0.02, 0.03)]
    brought = {one.id: ship(one, "brought") for one in configs}
    received = exchange.receive_path(tmp_path / "brought", nothing())
    assert {one.run for one in received} == set(brought)
    for run, artifact in exchange.imported()[0].items():
        same(artifact, brought[run])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no manifest\.json; give an artifact's"):
        exchange.receive_path(tmp_path / "empty", nothing())
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.zip \(No such file"):
        exchange.receive_path(tmp_path / "nowhere.zip", nothing())


# What is here stays.


def test_what_is_here_already_is_kept(
    store: Store, config: Any, shipped: Artifact, files: Files, done: Make, tampered: Make
) -> None:
    here = Answers(None, {config.id: shipped})
    assert receive(zipped(files), here) == [
        Received(config.id, (), {0: "shipped", 1: "shipped"})
    ]
    assert left() == []

    store.submit(config)  # they have only begun, so that an artifact answers sooner
    assert receive(zipped(files), Answers(store, {})) == [Received(config.id, (0, 1))]
    # Also for who does not know yet, because another session brought it a moment ago.
    other = zipped(tampered(device="another"))
    for known in ({}, exchange.imported()[0]):
        assert receive(other, Answers(store, {}, known)) == [
            Received(config.id, (), {0: "imported", 1: "imported"})
        ]
    assert exchange.imported()[0][config.id].made[0]["device"] == "cpu"

    exchange.remove(artifacts.imported_dir() / config.id)
    done(config)
    assert receive(zipped(files), Answers(store, {})) == [
        Received(config.id, (), {0: "own", 1: "own"})
    ]
    assert left() == []


def test_only_runs_that_are_new_are_taken_in(
    store: Store, config: Any, ship: Make, done: Make, content_of: Make
) -> None:
    mine = checks.with_seeds(config, (0,))
    done(checks.with_seeds(config, (3,)))
    brought = ship(checks.with_seeds(config, (0, 1, 3, 4)), "theirs", device="theirs")
    here = Answers(store, {config.id: ship(mine)})
    assert receive(zipped(files_of(brought.folder)), here) == [
        Received(config.id, (1, 4), {0: "shipped", 3: "own"})
    ]
    taken = exchange.imported()[0][config.id]
    assert taken.config.seeds == (1, 4)
    wanted = content_of(checks.with_seeds(config, (1, 4)))
    for name in taken.kind.tables:
        pd.testing.assert_frame_equal(taken.table(name), wanted.tables[name])
    answer = Answers(store, here.shipped, exchange.imported()[0]).find(brought.config)
    assert [answer.origin(seed) for seed in (0, 1, 3, 4)] == ["shipped", "imported", "own", "imported"]


def test_new_runs_join_those_that_were_imported(config: Any, ship: Make) -> None:
    first = ship(config, "first", device="first")
    receive(zipped(files_of(first.folder)))
    before = exchange.imported()[0][config.id]
    second = ship(checks.with_seeds(config, (1, 2)), "second", device="second")
    assert receive(zipped(files_of(second.folder))) == [
        Received(config.id, (2,), {1: "imported"})
    ]
    after = exchange.imported()[0][config.id]
    assert after.folder == before.folder
    assert left() == [config.id]
    assert after.config.seeds == (0, 1, 2)
    assert [(made["seeds"], made["device"]) for made in after.made] == [
        ([0, 1], "first"),
        ([2], "second"),
    ]
    for name in after.kind.tables:
        rows = after.table(name)
        old = rows[rows["seed"] < 2].reset_index(drop=True)
        pd.testing.assert_frame_equal(old, first.table(name), check_exact=True)


@pytest.mark.parametrize("at", [1, 2, 3])
def test_who_is_killed_while_runs_are_joined_loses_none(
    config: Any, ship: Make, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    receive(zipped(files_of(ship(config).folder)))
    more = ship(checks.with_seeds(config, (2,)), "more")
    replaced, calls = os.replace, []

    def killed(source: Any, target: Any) -> None:
        if artifacts.imported_dir() in (Path(source).parent, Path(target).parent):
            calls.append(source)
            if len(calls) == at:
                raise KeyboardInterrupt
        replaced(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            receive(zipped(files_of(more.folder)))
    found, problems = exchange.imported()
    assert problems == []
    assert {0, 1} <= set(found[config.id].config.seeds)
    for folder in exchange.broken():
        exchange.remove(folder)
    receive(zipped(files_of(more.folder)))
    assert exchange.imported()[0][config.id].config.seeds == (0, 1, 2)
    assert len(left()) == 1


@pytest.mark.parametrize("part", ["main", "side", "manifest.json"])
def test_a_damaged_one_is_in_the_way_until_it_is_deleted(
    files: Files, config: Any, part: str
) -> None:
    main = f"{kinds.of(config).main}.parquet"
    side = next(name for name in files if name not in (main, "manifest.json"))
    name = {"main": main, "side": side}.get(part, part)
    receive(zipped(files))
    folder = artifacts.imported_dir() / config.id
    (folder / name).write_bytes(b"PAR1")
    os.utime(folder)  # of which the folder's clock takes note
    found, (problem,) = exchange.imported()
    assert found == {}
    assert name in problem
    assert exchange.broken() == {folder: problem}
    with pytest.raises(InputError, match=r"is here already, damaged \(.*\); delete that first"):
        receive(zipped(files))
    exchange.remove(folder)
    assert exchange.broken() == {}
    receive(zipped(files))
    assert list(exchange.imported()[0]) == [config.id]


def test_whoever_brings_or_deletes_one_everybody_sees_it(files: Files, config: Any) -> None:
    assert exchange.imported() == ({}, [])
    receive(zipped(files))
    assert list(exchange.imported()[0]) == [config.id]
    time.sleep(0.01)  # of which the file system's clock takes note
    artifact = exchange.imported()[0][config.id]
    for path in artifact.folder.iterdir():
        path.unlink()
    artifact.folder.rmdir()
    assert exchange.imported() == ({}, [])
    # A page that was drawing with it says so in a line.
    artifacts._table.cache_clear()
    main = artifact.kind.main
    with pytest.raises(InputError, match=rf"{main}\.parquet cannot be read"):
        artifact.table(main)


def test_only_imported_artifacts_are_deleted(config: Any, shipped: Artifact, files: Files) -> None:
    receive(zipped(files))
    root = artifacts.imported_dir()
    (root / "link").symlink_to(shipped.folder)
    for folder in (
        shipped.folder,
        root,
        root / "..",
        root / config.id / "..",
        root / "gone",
        root / "link",
    ):
        with pytest.raises(InputError, match="only imported artifacts are deleted"):
            exchange.remove(folder)
    assert shipped.folder.exists()
    (root / "link").unlink()
    exchange.remove(root / config.id)
    assert left() == []


def test_a_strangers_artifact_takes_no_link_from_anybody(
    make: Make, ship: Make, content_of: Make
) -> None:
    """Old ids say which experiment they were of, and shipped artifacts are asked first."""
    mine, theirs = make(), make(lr=0.05)
    own = replace(content_of(mine), former={artifacts.former_id(mine, (0, 1)): (0, 1)})
    place = ship(mine, "mine").folder
    shipped = artifacts.read(artifacts.write(place, own))
    (old,) = shipped.former
    brought = ship(theirs, "theirs").folder
    for taken in (old, mine.id):
        change_manifest(brought, former={taken: [0, 1]})
        with pytest.raises(InputError, match=f"former '{taken}' was no id of its config"):
            receive(zipped(files_of(brought)))
    # One that came here another way is asked last.
    hijacker = Artifact(brought, theirs, {**shipped.manifest, "former": {old: [0], mine.id: [0]}})
    answers = Answers(None, {mine.id: shipped}, {theirs.id: hijacker})
    for run in (old, mine.id):
        answer = answers.find_id(run)
        assert answer is not None
        assert answer.config == mine


# Of older schemas.


def test_older_artifacts_are_converted_on_the_way_in(
    tmp_path: Path, config: Any, content_of: Make
) -> None:
    contents = [content_of(checks.with_seeds(config, seeds)) for seeds in ((0, 1), (1, 2, 3))]
    folders = [write_older(tmp_path / str(n), one) for n, one in enumerate(contents)]
    parts = {f"{f.name}/{name}": part for f in folders for name, part in files_of(f).items()}
    assert receive(zipped(parts, "")) == [Received(config.id, (0, 1, 2, 3))]
    found = exchange.imported()[0]
    answers = Answers(None, {}, found)
    for content in contents:
        answer = answers.find_id(artifacts.former_id(config, content.config.seeds))
        assert answer is not None
        assert (answer.config, answer.config.seeds) == (config, content.config.seeds)
        for name, rows in content.tables.items():
            pd.testing.assert_frame_equal(answers.table(answer, name), rows, check_exact=True)
    twice = {f"{place}/{name}": part for place in "ab" for name, part in files_of(folders[0]).items()}
    with pytest.raises(InputError, match=f"it holds run {config.id} twice"):
        receive(zipped(twice, ""))


def test_older_artifacts_that_were_imported_are_converted_once(
    config: Any, content_of: Make, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = artifacts.imported_dir()
    several = [content_of(checks.with_seeds(config, seeds)) for seeds in ((0, 1), (1, 2))]
    olds = {artifacts.former_id(one.config, one.config.seeds): one for one in several}
    for run, one in olds.items():
        write_older(root / run, one)
    receive(zipped(files_of(write_older(root.parent / "more", content_of(make(lr=0.05))))))
    damaged = write_older(root / "damaged", content_of(make(lr=0.06)))
    (damaged / f"{kinds.of(config).main}.parquet").write_bytes(b"PAR1")
    before = files_of(damaged)

    found, (problem,) = exchange.imported()
    assert set(found) == {config.id, make(lr=0.05).id}
    assert set(left()) == {*found, "damaged"}
    assert found[config.id].config.seeds == (0, 1, 2)
    assert re.match(r"artifact damaged: \w+\.parquet cannot be read", problem)
    assert exchange.broken() == {damaged: problem}
    assert files_of(damaged) == before, "a damaged one is not lost"
    answers = Answers(None, {}, found)
    for run, one in olds.items():
        answer = answers.find_id(run)
        assert answer is not None
        assert (answer.config, answer.config.seeds) == (config, one.config.seeds)
    folder = found[config.id].folder
    times = [path.stat().st_mtime_ns for path in sorted(folder.iterdir())]
    assert exchange.imported() == (found, [problem])
    assert [path.stat().st_mtime_ns for path in sorted(folder.iterdir())] == times
    exchange.remove(damaged)
    assert exchange.imported() == (found, [])


def test_an_older_one_joins_what_was_imported_since(config: Any, ship: Make, content_of: Make) -> None:
    receive(zipped(files_of(ship(config, device="today").folder)))
    old = content_of(checks.with_seeds(config, (1, 2)), device="before")
    write_older(artifacts.imported_dir() / "old", old)
    (artifact,) = exchange.imported()[0].values()
    assert [(m["seeds"], m["device"]) for m in artifact.made] == [([0, 1], "today"), ([2], "before")]
    assert artifact.former == {artifacts.former_id(config, (1, 2)): (1, 2)}
    assert left() == [config.id]


# What is not sound stays out.


def pickled() -> bytes:
    class Boom:
        def __reduce__(self) -> Any:
            return os.mkdir, ("boom",)

    return pickle.dumps(Boom())


def repeated(path: Path, rows: int, **columns: Any) -> pa.Table:
    """The first row of a table very often, in few bytes; some columns with another value."""
    first = pq.read_table(path).slice(0, 1)
    return pa.table(
        {
            name: pa.array([columns.get(name, first[name][0].as_py())] * rows, first[name].type)
            for name in first.column_names
        }
    )


def link(name: str) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return io.BytesIO(buffer.getvalue())


def twice(manifest: bytes, other: str) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("run/manifest.json", manifest)
        archive.writestr(zipfile.ZipInfo(other), b"{}")
    return io.BytesIO(buffer.getvalue())


def lie() -> io.BytesIO:
    """A file that unpacks to more than the directory says."""
    content = zipped({"manifest.json": b" " * 2**26}).getvalue()
    size = (2**26).to_bytes(4, "little")
    return io.BytesIO(content.replace(size, (100).to_bytes(4, "little")))


def encrypted(files: Files) -> io.BytesIO:
    """With the flag set that says so, in both places."""
    content = bytearray(zipped(files).getvalue())
    for head, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        for found in re.finditer(re.escape(head), bytes(content)):
            content[found.start() + flag] |= 1
    return io.BytesIO(bytes(content))


BAD_ZIPS: Mapping[str, tuple[Callable[[Files], io.BytesIO], str]] = {
    "not a zip": (lambda f: io.BytesIO(b"PK no"), "it is not a sound zip file (File is not a zip"),
    "empty": (lambda f: io.BytesIO(b""), "it is not a sound zip file (File is not a zip file)"),
    "empty zip": (lambda f: zipped({}), "it holds no manifest.json"),
    "cut short": (lambda f: io.BytesIO(zipped(f).getvalue()[:-400]), "it is not a sound zip file"),
    "damaged inside": (
        lambda f: io.BytesIO(zipped(f).getvalue().replace(b"PK\x03\x04", b"PK\x03\x05", 1)),
        "it is not a sound zip file (Bad magic number",
    ),
    "pickle beside": (
        lambda f: zipped(f | {"model.pkl": pickled()}),
        "'run/model.pkl' is none of an artifact's files: manifest.json, trajectory.parquet",
    ),
    "path upwards": (
        lambda f: zipped(f | {"../../manifest.json": b"{}"}),
        "'run/../../manifest.json' points out of it",
    ),
    "table upwards": (
        lambda f: zipped(f | {"../../front.parquet": b""}),
        "'run/../../front.parquet' points out of it",
    ),
    "Windows path upwards": (
        lambda f: zipped(f | {"..\\..\\manifest.json": b"{}"}),
        "'run/..\\\\..\\\\manifest.json' points out of it",
    ),
    "absolute path": (
        lambda f: zipped({"/tmp/manifest.json": b"{}"}, ""),
        "'/tmp/manifest.json' points out of it",
    ),
    "Windows path": (
        lambda f: zipped({"C:\\manifest.json": b"{}"}, ""),
        "'C:\\\\manifest.json' points out of it",
    ),
    "Windows share": (
        lambda f: zipped({"\\\\host\\share\\manifest.json": b"{}"}, ""),
        "manifest.json' points out of it",
    ),
    "deep path": (lambda f: zipped(f, "a/" * 9), "lies too deep"),
    "deep Windows path": (lambda f: zipped(f, "a\\" * 9), "lies too deep"),
    "link": (lambda f: link("run/manifest.json"), "'run/manifest.json' is a link"),
    "twice": (
        lambda f: twice(f["manifest.json"], "run//manifest.json"),
        "it holds 'run//manifest.json' twice",
    ),
    "twice on Windows": (
        lambda f: twice(f["manifest.json"], "run\\manifest.json"),
        "it holds 'run\\\\manifest.json' twice",
    ),
    "same run twice": (
        lambda f: zipped({f"{p}/{n}": c for p in "ab" for n, c in f.items()}, ""),
        "it holds run {id} twice",
    ),
    "large file": (
        lambda f: zipped(f | {"manifest.json": b" " * (soundness.MOST_FILE_BYTES + 1)}),
        "'run/manifest.json' unpacks to 32 MB or more, above the limit of 32 MB",
    ),
    "many large files": (
        lambda f: zipped({f"{p}/manifest.json": b" " * 2**25 for p in "abcde"}, ""),
        "it unpacks to 160 MB or more, above the limit of 128 MB",
    ),
    "lie about its size": (lambda f: lie(), "it is not a sound zip file"),
    "too many files": (
        lambda f: zipped({f"{n}/manifest.json": b"" for n in range(2001)}, ""),
        f"it holds 2001 files, more than {parcels.MOST_ARTIFACTS} artifacts do",
    ),
    "encrypted": (encrypted, "it is not a sound zip file"),
    "strange folder": (
        lambda f: zipped({"manifest.json": b""}, "\u2028" + "![x](https://example.org)" * 99 + "/"),
        "'\\u2028![x](https://example.org)",
    ),
}

Spoil = Callable[[Path, str], object]
"""Of a folder with an artifact and the name of its main table."""

BAD: Mapping[str, tuple[Spoil, str]] = {
    "no manifest": (lambda f, main: (f / "manifest.json").unlink(), "run: it lacks manifest.json"),
    "no table": (lambda f, main: (f / f"{main}.parquet").unlink(), "run: it lacks {main}.parquet"),
    "no side table": (lambda f, main: side_of(f, main).unlink(), "run: it lacks {side}.parquet"),
    "changed table": (
        lambda f, main: (f / f"{main}.parquet").write_bytes(side_of(f, main).read_bytes()),
        "run: {main}.parquet is not the file that the manifest describes",
    ),
    "damaged table": (
        lambda f, main: (f / f"{main}.parquet").write_bytes(b"gASVAAAA"),
        "run: {main}.parquet cannot be read",
    ),
    "changed side table": (
        lambda f, main: side_of(f, main).write_bytes((f / f"{main}.parquet").read_bytes()),
        "run: {side}.parquet is not the file that the manifest describes",
    ),
    "side table not listed": (
        lambda f, main: change_manifest(f, tables={main: tables_of(f)[main]}),
        "run: {side}.parquet is not in the manifest",
    ),
    "another kind's table": (
        lambda f, main: (f / other_table(main)).write_bytes((f / f"{main}.parquet").read_bytes()),
        "run: {other} is no table of a {noun}",
    ),
    "another kind's table in the manifest": (
        lambda f, main: put_table(f, other_table(main).split(".")[0], pa.table({"x": [1]})),
        "is no table of a {noun}",
    ),
    "no hash": (
        lambda f, main: change_manifest(f, tables=tables_of(f) | {main: {"blake2b": None}}),
        "run: {main}.parquet is not the file that the manifest describes",
    ),
    "null for a side table": (
        lambda f, main: change_manifest(f, tables=tables_of(f) | {side_of(f, main).stem: None}),
        "run: ",
    ),
    "pickle for a table": (
        lambda f, main: put_table(f, main, pickled()),
        "run: {main}.parquet cannot be read",
    ),
    "pickle for a manifest": (
        lambda f, main: (f / "manifest.json").write_bytes(pickled()),
        "run: manifest.json is not JSON",
    ),
    "many rows in a small table": (
        lambda f, main: put_table(
            f, main, repeated(f / f"{main}.parquet", soundness.MOST_ROWS + 1)
        ),
        "run: {main}.parquet has 2,000,001 rows, above the limit of 2,000,000",
    ),
    "long words in a small table": (
        lambda f, main: put_table(
            f, main, repeated(f / f"{main}.parquet", 100, **{word_of(main): "x" * 100_000})
        ),
        "run: {main}.parquet has words of more than 2000 letters",
    ),
    "nested column": (
        lambda f, main: put_table(f, main, pa.table({"x": [[1]]})),
        "run: {main}.parquet has a column of type list",
    ),
    "nested column of a side table": (
        lambda f, main: put_table(f, side_of(f, main).stem, pa.table({"x": [[1]]})),
        "run: {side}.parquet has a column of type list",
    ),
    "other columns": (
        lambda f, main: put_table(f, main, pa.table({"x": [1]})),
        "run: the columns of {main}.parquet are not ",
    ),
    "other seeds": (
        lambda f, main: change_table(f, main, lambda t: t[t["seed"] > 0]),
        "run: its seeds",
    ),
    "unfinished": (
        lambda f, main: change_manifest(f, error="stopped"),
        "run: {noun} {id} is unfinished: stopped",
    ),
    "other id": (
        lambda f, main: change_manifest(f, id="0" * 16),
        "is not that of its config, {id}",
    ),
    "newer schema": (lambda f, main: change_manifest(f, schema_version=99), "run: schema 99 is not"),
    "older schema in name only": (
        lambda f, main: change_manifest(f, schema_version=1 + (main == "trajectory")),
        "run: ",
    ),
    "no kind": (lambda f, main: change_manifest(f, kind=...), "run: manifest.json lacks 'kind'"),
    "no device": (lambda f, main: change_made(f, device=...), "manifest.json lacks 'device'"),
    "created": (lambda f, main: change_made(f, created=5), "run: created 5 is not a time"),
    "duration": (
        lambda f, main: change_made(f, duration_seconds=-1),
        "duration_seconds -1 is not a length of time",
    ),
    "duration in words": (
        lambda f, main: change_made(f, duration_seconds="long"),
        "duration_seconds 'long' is not a number",
    ),
    "endless duration": (
        lambda f, main: change_made(f, duration_seconds=10**400),
        "must be a finite number",
    ),
    "versions": (lambda f, main: change_made(f, versions=[1]), "versions [1] are not an object"),
    "version": (
        lambda f, main: change_made(f, versions={"torch": 2}),
        "versions 2 is not a short text",
    ),
    "foreign factor": (
        lambda f, main: change_made(f, factors={"flatness": "x"}),
        "unknown factor 'flatness'; one of: sharpness",
    ),
    "factors": (lambda f, main: change_made(f, factors=[1]), "factors [1] are not an object"),
    "fingerprint": (
        lambda f, main: change_made(f, data_fingerprint="a\nb"),
        "is not plain text on one line",
    ),
    "picture": (
        lambda f, main: change_manifest(f, notes=["![x](https://example.org/x.png)"]),
        "is not plain text on one line",
    ),
    "long note": (
        lambda f, main: change_manifest(f, notes=["x" * 2001]),
        "is not a short text",
    ),
    "lines": (lambda f, main: change_made(f, device="a\nb"), "is not plain text on one line"),
    "half a letter": (lambda f, main: change_made(f, device="\ud800"), "is not plain text on one"),
    "former": (
        lambda f, main: change_manifest(f, former={"1e2f303c0118b861": [0]}),
        "former '1e2f303c0118b861' was no id of its config",
    ),
}
BAD_OF: Mapping[str, Mapping[str, tuple[Spoil, str]]] = {
    "training": {
        "unknown setting": (
            lambda f, main: change_manifest(f, config={"setting": "imagenet", "target": "cats"}),
            "run: unknown setting 'imagenet'",
        ),
    },
    "front": {
        "unknown problem": (
            lambda f, main: change_manifest(f, config={"kind": "pareto", "problem": "mars"}),
            "run: unknown problem 'mars'",
        ),
        "a run's config": (
            lambda f, main: change_manifest(f, config={"setting": "digits", "target": "digits1"}),
            "run: unknown config field 'setting'",
        ),
        "too few rows": (
            lambda f, main: change_table(f, main, lambda t: t[:-1]),
            "run: it has not a row for each solution and objective of its config",
        ),
        "too few steps": (
            lambda f, main: change_table(f, main, lambda t: t[t["step"] > 0]),
            "run: it lacks steps without saying why",
        ),
        "infinite losses": (
            lambda f, main: change_table(f, main, lambda t: t.assign(train_loss=np.inf)),
            "run: it has missing or infinite training losses",
        ),
        "too much taken": (
            lambda f, main: change_table(f, "transfers", lambda t: t.assign(share=0.9)),
            "run: transfers.parquet has rows that are not shares of 1",
        ),
        "nothing taken": (
            lambda f, main: change_table(f, "transfers", lambda t: t.assign(share=np.nan)),
            "run: transfers.parquet has rows that are not shares of 1",
        ),
        "other steps": (
            lambda f, main: change_table(f, "transfers", lambda t: t.assign(step=t["step"] + 1)),
            "run: transfers.parquet has seeds or steps that its config does not have",
        ),
        "other solutions": (
            lambda f, main: change_table(f, "transfers", lambda t: t.assign(other=t["other"] + 99)),
            "run: transfers.parquet names solutions that its config does not have",
        ),
        "picture in its config": (
            lambda f, main: of_a_table(f, "![x](https://example.org/x.png),z"),
            "is not plain text on one line",
        ),
    },
}


def side_of(folder: Path, main: str) -> Path:
    return next(path for path in folder.glob("*.parquet") if path.stem != main)


def tables_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["tables"]
    return found


def other_table(main: str) -> str:
    return "front.parquet" if main == "trajectory" else "cosines.parquet"


def word_of(main: str) -> str:
    return "auxiliaries" if main == "trajectory" else "objective"


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


def refused(content: io.BytesIO) -> str:
    """What is said of a zip file that is not taken in."""
    before = left()
    with pytest.raises(InputError) as caught:
        exchange.receive_zip(content, "theirs.zip", nothing())
    message = str(caught.value)
    assert message.startswith("theirs.zip: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    assert left() == before, "what was here is here, and nothing else"
    return message


@pytest.fixture
def other(make: Make, ship: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of what is here already; a pickle that ran would leave a folder beside it."""
    one = ship(make(lr=0.07))
    receive(zipped(files_of(one.folder)))
    monkeypatch.chdir(tmp_path)
    return str(one.config.id)


@pytest.mark.parametrize("kind", BAD_ZIPS)
@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_a_zip_file_that_is_not_sound_is_named_and_leaves_nothing(
    files: Files, config: Any, other: str, kind: str
) -> None:
    spoiled, reason = BAD_ZIPS[kind]
    assert reason.replace("{id}", config.id) in refused(spoiled(files))
    assert left() == [other]


@pytest.mark.parametrize(
    ("make", "damage"),
    [(kind, damage) for kind in BAD_OF for damage in [*BAD, *BAD_OF[kind]]],
    indirect=["make"],
)
def test_what_is_not_sound_is_named_and_leaves_nothing(
    tmp_path: Path, shipped: Artifact, config: Any, other: str, damage: str
) -> None:
    main, folder = shipped.kind.main, shipped.folder
    words = {
        "main": main,
        "side": side_of(folder, main).stem,
        "other": other_table(main),
        "noun": shipped.kind.noun,
        "id": config.id,
    }
    spoil, reason = (BAD | BAD_OF[config.kind])[damage]
    spoil(folder, main)
    assert reason.format(**words) in refused(zipped(files_of(folder)))
    assert left() == [other]
    assert not (tmp_path / "boom").exists()


BAD_OLDER: Mapping[str, tuple[Spoil, str]] = {
    name: BAD[name]
    for name in (
        "no manifest",
        "no table",
        "changed table",
        "damaged table",
        "changed side table",
        "another kind's table",
        "pickle for a manifest",
        "unfinished",
        "picture",
        "long note",
    )
} | {
    "many rows in a small table": (
        lambda f, main: put_older(f, main, repeated(f / f"{main}.parquet", 2_000_001)),
        "run: {main}.parquet has 2,000,001 rows",
    ),
    "nested column": (
        lambda f, main: put_older(f, main, pa.table({"x": [[1]]})),
        "run: {main}.parquet has a column of type list",
    ),
    "other columns": (
        lambda f, main: put_older(f, main, pa.table({"x": [1]})),
        "run: the columns of {main}.parquet are not ",
    ),
    "other id": (
        lambda f, main: change_manifest(f, id="1e2f303c0118b861"),
        "run: id '1e2f303c0118b861' is not that of its config",
    ),
    "no device": (lambda f, main: change_manifest(f, device=...), "lacks 'device'"),
    "created": (lambda f, main: change_manifest(f, created=5), "created 5 is not a time"),
    "duration": (
        lambda f, main: change_manifest(f, duration_seconds=-1),
        "duration_seconds -1 is not a length of time",
    ),
    "versions": (lambda f, main: change_manifest(f, versions=[1]), "versions [1] are not an"),
    "notes": (lambda f, main: change_manifest(f, notes=5), "notes 5 is not a JSON list"),
    "half a letter": (lambda f, main: change_manifest(f, device="\ud800"), "run: "),
    "side table not listed": (
        lambda f, main: change_manifest(f, cosines_blake2b=..., transfers_blake2b=...),
        "run: {side}.parquet is not in the manifest",
    ),
}


def put_older(folder: Path, name: str, table: pa.Table) -> None:
    change_manifest(folder, tables={})
    put_table(folder, name, table)
    change_manifest(folder, table_blake2b=tables_of(folder)[name]["blake2b"], tables=...)


@pytest.mark.parametrize("damage", BAD_OLDER)
def test_an_older_one_is_checked_as_well(
    tmp_path: Path, config: Any, content_of: Make, other: str, damage: str
) -> None:
    kind = kinds.of(config)
    folder = write_older(tmp_path / "old", content_of(config))
    words = {"main": kind.main, "side": side_of(folder, kind.main).stem, "noun": kind.noun}
    spoil, reason = BAD_OLDER[damage]
    spoil(folder, kind.main)
    said = refused(zipped(files_of(folder)))
    assert reason.format(**words, id=config.id, other=other_table(kind.main)) in said
    assert left() == [other]
    assert not (tmp_path / "boom").exists()


HUGE = {
    "text": "x" * 100_000,
    "list": ["x"] * 30_000,
    "nested list": [["x" * 100_000]],
    "object": {"x" * 100_000: "y"},
    "number": int("9" * 4_000),
    "picture": "![x](https://example.org/" + "x" * 100_000,
}


@pytest.mark.parametrize("value", HUGE)
def test_what_is_refused_is_not_echoed(shipped: Artifact, config: Any, value: str) -> None:
    """Whatever of a manifest has 100 kB, the message says what is wrong in a line."""
    path = shipped.folder / "manifest.json"
    sound, huge = path.read_text(), HUGE[value]
    manifest = json.loads(sound)
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
        refused(zipped(files_of(shipped.folder)))
        with pytest.raises(InputError) as caught:
            artifacts.read(shipped.folder)
            raise InputError("nothing that is not checked on import")
        assert len(str(caught.value)) < 500
        found, problems = artifacts.scan(shipped.folder)
        assert len(found) + len(problems) == 1
        assert all(len(line) < 500 for line in problems)


@pytest.mark.parametrize("make", ["front"], indirect=True)
def test_a_front_of_a_users_table_comes_in_without_the_table(shipped: Artifact) -> None:
    config = of_a_table(shipped.folder, "y,z")
    assert receive(zipped(files_of(shipped.folder))) == [Received(config.id, (0, 1))]
    brought = exchange.imported()[0][config.id]
    assert list(brought.table("front")["objective"].unique()) == ["y", "z"]


def test_the_folder_is_beside_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert artifacts.imported_dir() == tmp_path / "imported"
    assert artifacts.imported_dir() != artifacts.cache_dir()
    monkeypatch.setenv("MTL_STORE", "~nobody-of-that-name/runs.db")
    assert artifacts.imported_dir().name == "imported"


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "file" / "runs.db"))
    with pytest.raises(InputError, match=r"cannot write .*imported \(.*choose another folder"):
        receive(zipped(files))
    assert exchange.imported() == ({}, [])


def test_random_bytes_are_never_a_traceback(files: Files) -> None:
    random = np.random.default_rng(0)
    sound = zipped(files).getvalue()
    said = []
    for _ in range(60):
        content = bytearray(sound)
        for place in random.integers(0, len(content), 3):
            content[place] ^= int(random.integers(1, 256))
        try:
            receive(bytes(content))
        except InputError as error:
            said.append(str(error))
    assert len(said) > 30
    assert all(len(line.splitlines()) == 1 for line in said)
