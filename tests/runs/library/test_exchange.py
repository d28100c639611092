"""Exchange: what goes out comes in unchanged, and what is here already stays."""

import csv
import io
import os
import re
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.pareto import ParetoConfig
from mtl_core.pareto.problems import sheets
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.exchange import Received
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from tests import stored
from tests.runs.library.receiving import Files, left, nothing, receive, refused
from tests.runs.library.tampering import (
    change_made,
    change_manifest,
    change_table,
    files_of,
    write_older,
    zipped,
)

Make = Callable[..., Any]


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


@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_one_of_before_whole_epochs_were_marked_comes_in_and_goes_out_with_the_mark(
    shipped: Artifact, config: Any
) -> None:
    expected = shipped.table("trajectory")
    change_table(shipped.folder, "trajectory", lambda t: t.drop(columns="whole_epoch"))
    old = files_of(shipped.folder)
    assert receive(zipped(old)) == [Received(config.id, (0, 1))]
    place = artifacts.imported_dir() / config.id
    assert files_of(place) == old, "as it was packed"
    (brought,) = exchange.imported()[0].values()
    pd.testing.assert_frame_equal(brought.table("trajectory"), expected, check_exact=True)

    here = Answers(None, {}, {config.id: brought})
    out = exchange.pack([here.find(config)], here)
    with zipfile.ZipFile(io.BytesIO(out)) as archive:
        sent = pd.read_parquet(io.BytesIO(archive.read(f"{config.id}/trajectory.parquet")))
    pd.testing.assert_frame_equal(sent, expected, check_exact=True)
    exchange.remove(place)
    assert receive(out) == [Received(config.id, (0, 1))]
    same_rows = exchange.imported()[0][config.id].table("trajectory")
    pd.testing.assert_frame_equal(same_rows, expected, check_exact=True)


@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_seeds_of_before_and_after_whole_epochs_were_marked_become_one(
    shipped: Artifact, config: Any, ship: Make
) -> None:
    change_table(shipped.folder, "trajectory", lambda t: t.drop(columns="whole_epoch"))
    receive(zipped(files_of(shipped.folder)))
    new = ship(checks.with_seeds(config, (1, 2)), "later")
    here = Answers(None, {}, exchange.imported()[0])
    (received,) = receive(zipped(files_of(new.folder)), here)
    assert received.seeds == (2,)
    (brought,) = exchange.imported()[0].values()
    rows = brought.table("trajectory")
    assert rows["seed"].unique().tolist() == [0, 1, 2]
    assert rows["whole_epoch"].tolist() == (rows["step"] == config.steps).tolist()


@pytest.mark.parametrize("make", ["training"], indirect=True)
def test_a_forged_mark_is_refused_in_one_line(shipped: Artifact) -> None:
    change_table(shipped.folder, "trajectory", lambda t: t.assign(whole_epoch=~t["whole_epoch"]))
    assert refused(zipped(files_of(shipped.folder))) == (
        "a.zip: run: whole_epoch of trajectory.parquet is not what follows from its epoch"
    )


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


@pytest.mark.parametrize(
    "name",
    [
        "Preis\u00a0€",
        "Pre\u00adis",
        "Pre\u200bis",
        "Pre\tis",
        "Preis, €",
        'say "x"',
        "价格",
        "x" * 1_900,
    ],
)
def test_a_front_of_a_users_table_goes_out_and_comes_in_with_its_names(
    store: Store, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name[:20].strip()}.csv"
    values = np.random.default_rng(0).normal(size=(24, 3)).round(3)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", name, "z"], *values.tolist()])
    targets = ",".join(map(sheets.written, (name, "z")))
    options = (("file", str(path)), ("targets", targets))
    config = ParetoConfig(
        "csv", options, solutions=2, iterations=2, frames=1, lr=0.01, batch_size=8, seeds=(0,)
    )
    stored.put(store, config, stored.solved(config))
    here = Answers(store, {})
    assert receive(exchange.pack([here.find(config)], here)) == [Received(config.id, (0,))]
    brought = exchange.imported()[0][config.id]
    assert list(brought.table("front")["objective"].unique()) == [name, "z"]
    assert brought.config == config


@pytest.mark.parametrize("name", ["Pre\u202eis", "Pre\x1bis", "Pre\nis", "![x](y)", "x" * 2_001])
def test_what_could_not_come_in_again_is_refused_at_the_start(tmp_path: Path, name: str) -> None:
    for options in ({"file": "x.csv", "targets": f"{name},z"}, {"file": name, "targets": "y,z"}):
        with pytest.raises(InputError, match=r"not plain text on one line|not a short text|quotes"):
            ParetoConfig("csv", tuple(options.items()))


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


def test_several_runs_come_together_or_not_at_all(make: Make, ship: Make, tampered: Make) -> None:
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
    assert receive(zipped(files), here) == [Received(config.id, (), {0: "shipped", 1: "shipped"})]
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
    assert [answer.origin(seed) for seed in (0, 1, 3, 4)] == [
        "shipped",
        "imported",
        "own",
        "imported",
    ]


def test_new_runs_join_those_that_were_imported(config: Any, ship: Make) -> None:
    first = ship(config, "first", device="first")
    receive(zipped(files_of(first.folder)))
    before = exchange.imported()[0][config.id]
    second = ship(checks.with_seeds(config, (1, 2)), "second", device="second")
    assert receive(zipped(files_of(second.folder))) == [Received(config.id, (2,), {1: "imported"})]
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
    artifacts._tables.clear()
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
    twice = {
        f"{place}/{name}": part for place in "ab" for name, part in files_of(folders[0]).items()
    }
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


def test_an_older_one_joins_what_was_imported_since(
    config: Any, ship: Make, content_of: Make
) -> None:
    receive(zipped(files_of(ship(config, device="today").folder)))
    old = content_of(checks.with_seeds(config, (1, 2)), device="before")
    write_older(artifacts.imported_dir() / "old", old)
    (artifact,) = exchange.imported()[0].values()
    assert [(m["seeds"], m["device"]) for m in artifact.made] == [
        ([0, 1], "today"),
        ([2], "before"),
    ]
    assert artifact.former == {artifacts.former_id(config, (1, 2)): (1, 2)}
    assert left() == [config.id]


# Where it is kept.


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
