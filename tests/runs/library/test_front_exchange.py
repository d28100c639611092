"""Exchange of fronts: out and in unchanged, and what is not sound stays out."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.pareto import Front, ParetoConfig, solve
from mtl_core.runs import front_artifacts
from mtl_core.runs.collected import CollectedFronts
from mtl_core.runs.front_answers import FrontAnswers
from mtl_core.runs.front_artifacts import FrontArtifact
from mtl_core.runs.library import artifacts, exchange, soundness
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.frames import to_frame
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
Files = dict[str, bytes]
ALICE = "1-alice"
INFO = {
    "created": "2026-01-02T03:04:05Z",
    "device": "cpu",
    "versions": {"torch": "2.0"},
    "data_fingerprint": "formula",
    "duration_seconds": 1.5,
}


@pytest.fixture(scope="module")
def config() -> ParetoConfig:
    return ParetoConfig.from_preset(
        "toy", "quick", method="decay", iterations=9, frames=3, solutions=4, seeds=(0, 1)
    )


@pytest.fixture(scope="module")
def solved(config: ParetoConfig) -> list[Front]:
    return list(solve(config, device="cpu"))


@pytest.fixture
def artifact(tmp_path: Path, config: ParetoConfig, solved: list[Front]) -> FrontArtifact:
    collected = CollectedFronts()
    collected.add(solved)
    folder = tmp_path / "ship" / config.id
    collected.write(folder, config, INFO)
    return front_artifacts.read(folder)


@pytest.fixture
def files(artifact: FrontArtifact) -> Files:
    return {path.name: path.read_bytes() for path in artifact.folder.iterdir()}


@pytest.fixture
def run(tmp_path: Path, make_config: Make, make_row: Make) -> artifacts.Artifact:
    """An artifact of a training run."""
    config: RunConfig = make_config()
    rows = [make_row(config, 0, task, step) for task in config.tasks for step in (0, config.steps)]
    info = {**INFO, "factors": {}}
    folder = tmp_path / "ship" / config.id
    return artifacts.read(artifacts.write(folder, config, to_frame(rows), info))


def nothing() -> Answers:
    return Answers(None, {})


def zipped(files: Mapping[str, bytes], folder: str = "run/") -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}{name}", content)
    return io.BytesIO(buffer.getvalue())


def tampered(files: Files, **changes: Any) -> Files:
    """With another manifest; ``...`` takes a key out."""
    manifest = json.loads(files["manifest.json"]) | changes
    kept = {key: value for key, value in manifest.items() if value is not ...}
    return files | {"manifest.json": json.dumps(kept).encode()}


def changed(files: Files, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Files:
    """With another table, and the digest that goes with it."""
    return with_table(files, name, change(pd.read_parquet(io.BytesIO(files[f"{name}.parquet"]))))


def with_table(files: Files, name: str, table: pd.DataFrame | pa.Table) -> Files:
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    key = "table_blake2b" if name == "front" else f"{name}_blake2b"
    return tampered(files, **{key: digest}) | {f"{name}.parquet": content}


def left() -> list[str]:
    """What there is beside the store: nothing half done."""
    root = artifacts.imported_dir()
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def same(one: FrontArtifact, other: FrontArtifact) -> None:
    assert one.manifest == other.manifest
    pd.testing.assert_frame_equal(one.front(), other.front(), check_exact=True)
    pd.testing.assert_frame_equal(one.transfers(), other.transfers(), check_exact=True)
    assert len(one.transfers())


def test_a_front_goes_out_and_comes_in_unchanged(
    artifact: FrontArtifact, config: ParetoConfig
) -> None:
    there = FrontAnswers(None, {config.id: artifact})
    content = exchange.pack([there.find(config)], there)
    assert content == exchange.pack([there.find(config)], there), "the same every time"
    (received,) = exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    assert (received.run, received.kept) == (config.id, None)
    found, damaged = exchange.imported_fronts()
    assert (list(found), damaged) == ([config.id], [])
    same(found[config.id], artifact)
    assert found[config.id].folder == artifacts.imported_dir() / config.id
    assert FrontAnswers(None, found).find(config).origin == "imported"
    assert exchange.imported() == ({}, []), "it is no run"
    assert exchange.broken() == {}, "nor is it broken"
    exchange.remove(found[config.id].folder)
    assert left() == []


def test_both_kinds_go_together(
    artifact: FrontArtifact, run: artifacts.Artifact, config: ParetoConfig
) -> None:
    fronts = FrontAnswers(None, {config.id: artifact})
    runs = Answers(None, {run.config.id: run})
    content = exchange.pack([runs.find(run.config), fronts.find(config)], runs)
    received = exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    assert [(one.run, one.kept) for one in received] == [(run.config.id, None), (config.id, None)]
    assert list(exchange.imported()[0]) == [run.config.id]
    assert list(exchange.imported_fronts()[0]) == [config.id]
    assert exchange.broken() == {}


def test_files_and_folders_come_in_too(
    tmp_path: Path, artifact: FrontArtifact, files: Files, config: ParetoConfig
) -> None:
    loose = {name: io.BytesIO(content) for name, content in files.items()}
    assert exchange.receive_files(loose, nothing())[0].run == config.id
    same(exchange.imported_fronts()[0][config.id], artifact)
    exchange.remove(artifacts.imported_dir() / config.id)
    assert exchange.receive_path(tmp_path / "ship", nothing())[0].run == config.id
    same(exchange.imported_fronts()[0][config.id], artifact)


def finished(store: Store, config: ParetoConfig, solved: list[Front], **info: Any) -> None:
    store.submit(config)
    store.claim(ALICE)
    if info:
        store.describe(config.id, ALICE, info)
    for step in config.steps:
        due = [front for front in solved if front.step == step]
        assert store.save_frames(config.id, ALICE, due, step, {})
    store.finish(config.id, ALICE, "done")


@pytest.mark.parametrize("described", [True, False])
def test_an_own_front_goes_out_with_all_that_is_known_of_it(
    store: Store,
    config: ParetoConfig,
    solved: list[Front],
    artifact: FrontArtifact,
    described: bool,
) -> None:
    here = FrontAnswers(store, {})
    store.submit(config)
    with pytest.raises(InputError, match=f"run {config.id} is queued; only finished runs"):
        exchange.pack([here.find(config)], here)
    info = {name: INFO[name] for name in ("created", "device", "versions", "data_fingerprint")}
    finished(store, config, solved, **(info if described else {}))
    content = exchange.pack([here.find(config)], here)
    exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    brought = exchange.imported_fronts()[0][config.id]
    pd.testing.assert_frame_equal(brought.front(), artifact.front(), check_exact=True)
    pd.testing.assert_frame_equal(brought.transfers(), artifact.transfers(), check_exact=True)
    if described:
        assert info.items() <= brought.manifest.items()
    else:
        assert brought.manifest["device"] == "unknown"
    record = store.get_front(config.id)
    assert record is not None
    assert brought.manifest["duration_seconds"] == round(record.seconds, 3)


# What is here stays.


def test_what_is_here_already_is_kept(
    store: Store,
    config: ParetoConfig,
    solved: list[Front],
    artifact: FrontArtifact,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = FrontAnswers(None, {config.id: artifact})
    (received,) = exchange.receive_zip(zipped(files), "a.zip", nothing(), shipped)
    assert (received.kept, left()) == ("shipped", [])
    with monkeypatch.context() as patched:  # also for who does not say what is here
        patched.setattr(artifacts, "cache_dir", lambda: artifact.folder.parent)
        (received,) = exchange.receive_zip(zipped(files), "a.zip", nothing())
        assert (received.kept, left()) == ("shipped", [])

    store.submit(config)  # it has only begun, so that an artifact answers sooner
    exchange.receive_zip(zipped(files), "a.zip", Answers(store, {}))
    other = tampered(files, device="another")
    (received,) = exchange.receive_zip(zipped(other), "a.zip", Answers(store, {}))
    assert received.kept == "imported"
    # Another session brought it a moment ago.
    blind = FrontAnswers(None, {})
    (received,) = exchange.receive_zip(zipped(other), "a.zip", nothing(), blind)
    assert received.kept == "imported"
    assert exchange.imported_fronts()[0][config.id].manifest["device"] == "cpu"

    exchange.remove(artifacts.imported_dir() / config.id)
    finished(store, config, solved)
    (received,) = exchange.receive_zip(zipped(files), "a.zip", Answers(store, {}))
    assert (received.kept, left()) == ("own", [])


@pytest.mark.parametrize("name", ["front.parquet", "transfers.parquet", "manifest.json"])
def test_a_damaged_one_is_named_and_in_the_way_until_it_is_deleted(
    files: Files, config: ParetoConfig, name: str
) -> None:
    exchange.receive_zip(zipped(files), "a.zip", nothing())
    folder = artifacts.imported_dir() / config.id
    (folder / name).write_bytes(b"PAR1")
    (folder / "x").touch()  # of which the folder's clock takes note
    found, (problem,) = exchange.imported_fronts()
    assert found == {}
    assert name in problem
    assert exchange.broken() == {folder: problem}
    with pytest.raises(InputError, match=r"is here already, damaged \(.*\); delete that first"):
        exchange.receive_zip(zipped(files), "a.zip", nothing())
    exchange.remove(folder)
    assert exchange.broken() == {}
    exchange.receive_zip(zipped(files), "a.zip", nothing())
    assert list(exchange.imported_fronts()[0]) == [config.id]


# What is not sound stays out.


def many(files: Files) -> Files:
    """The first row very often, in few bytes."""
    first = pq.read_table(io.BytesIO(files["front.parquet"])).slice(0, 1)
    count = exchange.MOST_ROWS + 1
    arrays = {
        name: pa.array([first[name][0].as_py()] * count, first[name].type)
        for name in first.column_names
    }
    return with_table(files, "front", pa.table(arrays))


def optioned(files: Files, targets: str) -> Files:
    """As of a table with these targets, otherwise sound."""
    manifest = json.loads(files["manifest.json"])
    values = manifest["config"] | {
        "problem": "csv",
        "problem_options": {"file": "x.csv", "targets": targets},
    }
    config = ParetoConfig.from_dict(values)
    names = [objective.name for objective in config.definition.objectives]
    columns = {"objective": lambda t: names * (len(t) // 2), "test_loss": lambda t: t["train_loss"]}
    new = changed(files, "front", lambda t: t.assign(**columns))
    return tampered(new, id=config.id, config=config.to_dict())


BAD: Mapping[str, tuple[Callable[[Files], Files], str]] = {
    "no manifest": (
        lambda f: {n: c for n, c in f.items() if n != "manifest.json"},
        "run: it lacks manifest.json",
    ),
    "no table": (
        lambda f: {n: c for n, c in f.items() if n != "front.parquet"},
        "run: it lacks trajectory.parquet, or front.parquet of a front",
    ),
    "no transfers": (
        lambda f: {n: c for n, c in f.items() if n != "transfers.parquet"},
        "transfers.parquet",
    ),
    "transfers unlisted": (
        lambda f: tampered(f, transfers_blake2b=...),
        "run: transfers.parquet is not in the manifest",
    ),
    "no digest": (
        lambda f: tampered(f, table_blake2b=None),
        "run: front.parquet is not the file that the manifest describes",
    ),
    "null transfers": (
        lambda f: tampered(f, transfers_blake2b=None),
        "run: transfers.parquet is not in the manifest",
    ),
    "a run's table too": (
        lambda f: f | {"trajectory.parquet": f["front.parquet"]},
        "run: trajectory.parquet is no table of a front",
    ),
    "a run's side table too": (
        lambda f: f | {"cosines.parquet": f["front.parquet"]},
        "run: cosines.parquet is no table of a front",
    ),
    "changed table": (
        lambda f: f | {"front.parquet": f["transfers.parquet"]},
        "run: front.parquet is not the file that the manifest describes",
    ),
    "no parquet": (
        lambda f: f | {"front.parquet": b"gASVAAAA"},
        "run: front.parquet cannot be read",
    ),
    "other columns": (
        lambda f: with_table(f, "front", pa.table({"x": [1]})),
        "run: the columns of front.parquet are not seed, step",
    ),
    "nested column": (
        lambda f: with_table(f, "transfers", pa.table({"x": [[1]]})),
        "run: transfers.parquet has a column of type list",
    ),
    "many rows": (many, "run: front.parquet has 2,000,001 rows, above the limit of 2,000,000"),
    "long words": (
        lambda f: changed(f, "front", lambda t: t.assign(objective="x" * 9_999)),
        "run: front.parquet has words of more than 2000 letters",
    ),
    "too few rows": (
        lambda f: changed(f, "front", lambda t: t[:-1]),
        "run: it has not a row for each solution and objective of its config",
    ),
    "too few steps": (
        lambda f: changed(f, "front", lambda t: t[t["step"] > 0]),
        "run: it lacks steps without saying why",
    ),
    "infinite losses": (
        lambda f: changed(f, "front", lambda t: t.assign(train_loss=np.inf)),
        "run: it has missing or infinite training losses",
    ),
    "too much taken": (
        lambda f: changed(f, "transfers", lambda t: t.assign(share=0.9)),
        "run: transfers.parquet has rows that are not shares of 1",
    ),
    "nothing taken": (
        lambda f: changed(f, "transfers", lambda t: t.assign(share=np.nan)),
        "run: transfers.parquet has rows that are not shares of 1",
    ),
    "other steps": (
        lambda f: changed(f, "transfers", lambda t: t.assign(step=t["step"] + 1)),
        "run: transfers.parquet has seeds or steps that its config does not have",
    ),
    "other solutions": (
        lambda f: changed(f, "transfers", lambda t: t.assign(other=t["other"] + 99)),
        "run: transfers.parquet names solutions that its config does not have",
    ),
    "unfinished": (
        lambda f: tampered(f, error="stopped"),
        "run: front {id} is unfinished: stopped",
    ),
    "config": (
        lambda f: tampered(f, config={"kind": "pareto", "problem": "mars"}),
        "run: unknown problem 'mars'",
    ),
    "a run's config": (
        lambda f: tampered(f, config={"setting": "digits", "target": "digits1"}),
        "run: unknown config field 'setting'",
    ),
    "other id": (lambda f: tampered(f, id="0" * 16), "is not that of its config, {id}"),
    "newer schema": (lambda f: tampered(f, schema_version=99), "run: schema 99 is not"),
    "no device": (lambda f: tampered(f, device=...), "manifest.json lacks 'device'"),
    "created": (lambda f: tampered(f, created=5), "run: created 5 is not a time"),
    "versions": (lambda f: tampered(f, versions=[1]), "versions [1] are not an object"),
    "fingerprint": (
        lambda f: tampered(f, data_fingerprint="a\nb"),
        "is not plain text on one line",
    ),
    "picture": (
        lambda f: optioned(f, "![x](https://example.org/x.png),z"),
        "is not plain text on one line",
    ),
    "pickle beside": (
        lambda f: f | {"model.pkl": b"x"},
        "'run/model.pkl' is none of an artifact's files: manifest.json, trajectory.parquet",
    ),
    "path upwards": (
        lambda f: f | {"../../front.parquet": b""},
        "'run/../../front.parquet' points out of it",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_sound_is_named_and_leaves_nothing(
    files: Files, config: ParetoConfig, kind: str
) -> None:
    spoil, reason = BAD[kind]
    with pytest.raises(InputError) as caught:
        exchange.receive_zip(zipped(spoil(files)), "theirs.zip", nothing())
    message = str(caught.value)
    assert message.startswith("theirs.zip: ")
    assert reason.replace("{id}", config.id) in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    assert left() == []


def test_a_front_of_a_users_table_comes_in_without_the_table(files: Files) -> None:
    (received,) = exchange.receive_zip(zipped(optioned(files, "y,z")), "a.zip", nothing())
    brought = exchange.imported_fronts()[0][received.run]
    assert list(brought.front()["objective"].unique()) == ["y", "z"]


def test_a_run_has_no_tables_of_a_front(run: artifacts.Artifact, files: Files) -> None:
    own = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    mixed = own | {"transfers.parquet": files["transfers.parquet"]}
    with pytest.raises(InputError, match=r"run: transfers\.parquet is no table of a run"):
        exchange.receive_zip(zipped(mixed), "a.zip", nothing())


def test_random_bytes_are_never_a_traceback(files: Files) -> None:
    random = np.random.default_rng(0)
    sound = zipped(files).getvalue()
    refused = []
    for _ in range(60):
        content = bytearray(sound)
        for place in random.integers(0, len(content), 3):
            content[place] ^= int(random.integers(1, 256))
        try:
            exchange.receive_zip(io.BytesIO(bytes(content)), "a.zip", nothing())
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 30
    assert all(len(line.splitlines()) == 1 for line in refused)


def test_the_kinds_are_told_apart_by_their_tables(
    artifact: FrontArtifact, run: artifacts.Artifact
) -> None:
    assert soundness.is_front(artifact.folder)
    assert not soundness.is_front(run.folder)
    assert soundness.read(artifact.folder) == artifact
    assert soundness.read(run.folder) == run
