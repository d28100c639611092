"""Exchange: what goes out comes in unchanged, and what is not sound stays out and harms nothing."""

import hashlib
import io
import json
import os
import pickle
import re
import stat
import time
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
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.frames import side_frame, to_frame
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import SIDE_TABLES, Cosine

Make = Callable[..., Any]
Files = dict[str, bytes]
ALICE = "1-alice"
INFO = {
    "created": "2026-01-02T03:04:05Z",
    "device": "cpu",
    "versions": {"torch": "2.0"},
    "data_fingerprint": "0123456789abcdef",
    "factors": {"sharpness": "by APGD"},
    "duration_seconds": 1.5,
    "notes": ["nothing of note"],
}


@pytest.fixture
def config(make_config: Make) -> RunConfig:
    return make_config(seeds=(0, 1))


@pytest.fixture
def write(tmp_path: Path, make_row: Make) -> Callable[..., artifacts.Artifact]:
    """Writes an artifact somewhere and reads it."""

    def make(config: RunConfig, place: str = "ship", **info: Any) -> artifacts.Artifact:
        steps = (0, 1, config.steps)
        rows = [
            make_row(config, s, t, step)
            for s in config.seeds
            for t in config.tasks
            for step in steps
        ]
        pair = {"task": config.tasks[0], "other": config.tasks[-1]}
        cosines = [Cosine(seed=s, step=1, epoch=0.25, cosine=0.5, **pair) for s in config.seeds]
        side = {"cosines": side_frame("cosines", cosines)}
        folder = tmp_path / place / config.id
        return artifacts.read(artifacts.write(folder, config, to_frame(rows), INFO | info, side))

    return make


@pytest.fixture
def files(config: RunConfig, write: Make) -> Files:
    """Those of a sound artifact."""
    return {path.name: path.read_bytes() for path in write(config).folder.iterdir()}


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


def with_table(files: Files, table: bytes) -> Files:
    """With another table, and the digest that goes with it."""
    digest = hashlib.blake2b(table, digest_size=16).hexdigest()
    return tampered(files, table_blake2b=digest) | {"trajectory.parquet": table}


def parquet(table: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def nothing() -> Answers:
    return Answers(None, {})


def left() -> list[str]:
    """What there is beside the store: nothing half done."""
    root = artifacts.imported_dir()
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def same(one: artifacts.Artifact, other: artifacts.Artifact) -> None:
    assert one.manifest == other.manifest
    pd.testing.assert_frame_equal(one.trajectory(), other.trajectory(), check_exact=True)
    for name in SIDE_TABLES:
        pd.testing.assert_frame_equal(one.side(name), other.side(name), check_exact=True)


def test_an_artifact_goes_out_and_comes_in_unchanged(config: RunConfig, write: Make) -> None:
    shipped = write(config)
    there = Answers(None, {config.id: shipped})
    content = exchange.pack([there.find(config)], there)
    assert content == exchange.pack([there.find(config)], there), "the same every time"
    (received,) = exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    assert (received.run, received.kept) == (config.id, None)
    found, problems = exchange.imported()
    assert (list(found), problems) == ([config.id], [])
    same(found[config.id], shipped)
    assert found[config.id].folder == artifacts.imported_dir() / config.id
    assert (found[config.id].imported, shipped.imported) == (True, False)
    assert Answers(None, found).find(config).origin == "imported"
    assert left() == [config.id]


def test_an_own_run_goes_out_with_all_that_is_known_of_it(
    store: Store, config: RunConfig, make_checkpoint: Make
) -> None:
    store.submit(config)
    store.claim(ALICE)
    info = {name: INFO[name] for name in ("created", "device", "versions", "data_fingerprint")}
    store.describe(config.id, ALICE, info)
    for step in (0, 1, config.steps):
        store.save(config.id, ALICE, [make_checkpoint(config, config.seeds, step)])
    here = Answers(store, {})
    with pytest.raises(InputError, match=f"run {config.id} is running; only finished runs"):
        exchange.pack([here.find(config)], here)
    store.finish(config.id, ALICE, "done")
    content = exchange.pack([here.find(config)], here)
    exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    brought = exchange.imported()[0][config.id]
    pd.testing.assert_frame_equal(brought.trajectory(), store.trajectory(config.id))
    assert info.items() <= brought.manifest.items()
    record = store.get(config.id)
    assert record is not None
    assert brought.manifest["duration_seconds"] == round(record.seconds, 3)


def test_an_own_run_that_nobody_described_can_still_be_imported(
    store: Store, config: RunConfig, make_checkpoint: Make
) -> None:
    store.submit(config)
    store.claim(ALICE)
    for step in (0, config.steps):
        store.save(config.id, ALICE, [make_checkpoint(config, config.seeds, step)])
    store.finish(config.id, ALICE, "done")
    here = Answers(store, {})
    content = exchange.pack([here.find(config)], here)
    exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    assert exchange.imported()[0][config.id].manifest["device"] == "unknown"


@pytest.mark.parametrize("folder", ["", "run/", "cache/digits/deep/"])
def test_folders_around_the_files_do_not_matter(
    files: Files, config: RunConfig, folder: str
) -> None:
    (received,) = exchange.receive_zip(zipped(files, folder), "a.zip", nothing())
    assert received.run == config.id


def test_several_runs_come_together_or_not_at_all(
    make_config: Make, write: Make, files: Files
) -> None:
    configs = [make_config(width=width) for width in (5, 6)]
    shipped = {one.id: write(one) for one in configs}
    there = Answers(None, shipped)
    content = exchange.pack([there.find(one) for one in configs], there)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    bad = {f"bad/{name}": part for name, part in tampered(files, device=7).items()}
    with pytest.raises(InputError, match=r"^a\.zip: bad: device 7 is not a short text$"):
        exchange.receive_zip(zipped(parts | bad, ""), "a.zip", nothing())
    assert left() == []
    received = exchange.receive_zip(io.BytesIO(content), "a.zip", nothing())
    assert [one.run for one in received] == [one.id for one in configs]
    assert set(exchange.imported()[0]) == set(shipped)


def test_files_come_in_by_themselves(files: Files, config: RunConfig) -> None:
    loose = {name: io.BytesIO(content) for name, content in files.items()}
    (received,) = exchange.receive_files(loose, nothing())
    assert received.run == config.id
    alone = {"trajectory.parquet": io.BytesIO(files["trajectory.parquet"])}
    with pytest.raises(InputError, match=r"^trajectory\.parquet: it lacks manifest\.json$"):
        exchange.receive_files(alone, nothing())
    with pytest.raises(InputError, match=r"'\.\./manifest\.json' points out of it"):
        exchange.receive_files({"../manifest.json": io.BytesIO(b"{}")}, nothing())


def test_a_folder_comes_in_as_a_zip_file_does(
    tmp_path: Path, make_config: Make, write: Make
) -> None:
    configs = [make_config(width=width) for width in (5, 6)]
    for one in configs:
        write(one, "brought")
    received = exchange.receive_path(tmp_path / "brought", nothing())
    assert {one.run for one in received} == {one.id for one in configs}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty holds no manifest\.json; give an artifact's"):
        exchange.receive_path(tmp_path / "empty", nothing())
    with pytest.raises(InputError, match=r"cannot read .*nowhere\.zip \(No such file"):
        exchange.receive_path(tmp_path / "nowhere.zip", nothing())


# What is here stays.


def test_what_is_here_already_is_kept(
    store: Store, config: RunConfig, write: Make, files: Files, make_checkpoint: Make
) -> None:
    shipped = Answers(None, {config.id: write(config)})
    (received,) = exchange.receive_zip(zipped(files), "a.zip", shipped)
    assert (received.kept, left()) == ("shipped", [])

    store.submit(config)  # it has only begun, so that an artifact answers sooner
    exchange.receive_zip(zipped(files), "a.zip", Answers(store, {}))
    found, _ = exchange.imported()
    (received,) = exchange.receive_zip(
        zipped(tampered(files, device="another")), "a.zip", Answers(store, found)
    )
    assert received.kept == "imported"
    # Also for who does not know yet, because another session brought it a moment ago.
    (received,) = exchange.receive_zip(
        zipped(tampered(files, device="another")), "a.zip", Answers(store, {})
    )
    assert received.kept == "imported"
    assert exchange.imported()[0][config.id].manifest["device"] == "cpu"

    exchange.remove(artifacts.imported_dir() / config.id)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, config.seeds, config.steps)])
    store.finish(config.id, ALICE, "done")
    (received,) = exchange.receive_zip(zipped(files), "a.zip", Answers(store, {}))
    assert (received.kept, left()) == ("own", [])


def test_a_damaged_one_is_in_the_way_until_it_is_deleted(files: Files, config: RunConfig) -> None:
    exchange.receive_zip(zipped(files), "a.zip", nothing())
    folder = artifacts.imported_dir() / config.id
    (folder / "trajectory.parquet").write_bytes(b"PAR1")
    os.utime(folder)
    found, (problem,) = exchange.imported()
    assert found == {}
    assert "is not the file that the manifest describes" in problem
    assert exchange.broken() == {folder: problem}
    with pytest.raises(InputError, match=r"is here already, damaged \(.*\); delete that first"):
        exchange.receive_zip(zipped(files), "a.zip", nothing())
    exchange.remove(folder)
    assert exchange.broken() == {}
    exchange.receive_zip(zipped(files), "a.zip", nothing())
    assert list(exchange.imported()[0]) == [config.id]


def test_whoever_brings_or_deletes_one_everybody_sees_it(files: Files, config: RunConfig) -> None:
    assert exchange.imported() == ({}, [])
    exchange.receive_zip(zipped(files), "a.zip", nothing())
    assert list(exchange.imported()[0]) == [config.id]
    time.sleep(0.01)  # of which the file system's clock takes note
    artifact = exchange.imported()[0][config.id]
    for path in artifact.folder.iterdir():
        path.unlink()
    artifact.folder.rmdir()
    assert exchange.imported() == ({}, [])
    # A page that was drawing with it says so in a line.
    artifacts._table.cache_clear()
    with pytest.raises(InputError, match=r"trajectory\.parquet cannot be read"):
        artifact.trajectory()


def test_only_imported_artifacts_are_deleted(
    tmp_path: Path, config: RunConfig, write: Make, files: Files
) -> None:
    shipped = write(config)
    exchange.receive_zip(zipped(files), "a.zip", nothing())
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


# What is not sound stays out.


def pickled() -> bytes:
    class Boom:
        def __reduce__(self) -> Any:
            return os.mkdir, ("boom",)

    return pickle.dumps(Boom())


def repeated(config_rows: bytes, **columns: Any) -> bytes:
    """The table with columns that hold one value each, for many more rows than it has."""
    table = pq.read_table(io.BytesIO(config_rows))
    count = columns.pop("rows")
    arrays = {
        name: pa.array([columns.get(name, table[name][0].as_py())] * count, table[name].type)
        for name in table.column_names
    }
    return parquet(pa.table(arrays))


def first_changed(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


BAD: Mapping[str, tuple[Callable[[Files], io.BytesIO], str]] = {
    "not a zip": (lambda f: io.BytesIO(b"PK no"), "it is not a sound zip file (File is not a zip"),
    "empty": (lambda f: io.BytesIO(b""), "it is not a sound zip file (File is not a zip file)"),
    "empty zip": (lambda f: zipped({}), "it holds no manifest.json"),
    "cut short": (lambda f: io.BytesIO(zipped(f).getvalue()[:-400]), "it is not a sound zip file"),
    "damaged inside": (
        lambda f: io.BytesIO(zipped(f).getvalue().replace(b"PK\x03\x04", b"PK\x03\x05", 1)),
        "it is not a sound zip file (Bad magic number",
    ),
    "no manifest": (
        lambda f: zipped({n: c for n, c in f.items() if n != "manifest.json"}),
        "run: it lacks manifest.json",
    ),
    "no table": (
        lambda f: zipped({n: c for n, c in f.items() if n != "trajectory.parquet"}),
        "run: it lacks trajectory.parquet",
    ),
    "changed table": (
        lambda f: zipped(f | {"trajectory.parquet": f["trajectory.parquet"] + b"\0"}),
        "run: trajectory.parquet cannot be read",
    ),
    "changed values": (
        lambda f: zipped(
            f
            | {
                "trajectory.parquet": with_table(
                    f, repeated(f["trajectory.parquet"], rows=3, test_metric=1.0)
                )["trajectory.parquet"]
            }
        ),
        "run: trajectory.parquet is not the file that the manifest describes",
    ),
    "changed side table": (
        lambda f: zipped(f | {"cosines.parquet": f["trajectory.parquet"]}),
        "run: cosines.parquet is not the file that the manifest describes",
    ),
    "side table too many": (
        lambda f: zipped(f | {"updates.parquet": f["cosines.parquet"]}),
        "run: updates.parquet is not in the manifest",
    ),
    "pickle beside": (
        lambda f: zipped(f | {"model.pkl": pickled()}),
        "'run/model.pkl' is none of an artifact's files: manifest.json, trajectory.parquet",
    ),
    "pickle for a table": (
        lambda f: zipped(with_table(f, pickled())),
        "run: trajectory.parquet cannot be read",
    ),
    "pickle for a manifest": (
        lambda f: zipped(f | {"manifest.json": pickled()}),
        "run: manifest.json is not JSON",
    ),
    "path upwards": (
        lambda f: zipped(f | {"../../manifest.json": b"{}"}),
        "'run/../../manifest.json' points out of it",
    ),
    "absolute path": (
        lambda f: zipped({"/tmp/manifest.json": b"{}"}, ""),
        "'/tmp/manifest.json' points out of it",
    ),
    "Windows path": (
        lambda f: zipped({"C:\\manifest.json": b"{}"}, ""),
        "'C:\\\\manifest.json' points out of it",
    ),
    "deep path": (lambda f: zipped(f, "a/" * 9), "lies too deep"),
    "link": (lambda f: link(f), "'run/manifest.json' is a link"),
    "twice": (lambda f: twice(f), "it holds 'run/manifest.json' twice"),
    "same run twice": (
        lambda f: zipped({f"{p}/{n}": c for p in "ab" for n, c in f.items()}, ""),
        "it holds run {id} twice",
    ),
    "large file": (
        lambda f: zipped(f | {"manifest.json": b" " * (exchange.MOST_FILE_BYTES + 1)}),
        "'run/manifest.json' unpacks to 32 MB or more, above the limit of 32 MB",
    ),
    "many large files": (
        lambda f: zipped({f"{p}/manifest.json": b" " * 2**25 for p in "abcde"}, ""),
        "it unpacks to 160 MB or more, above the limit of 128 MB",
    ),
    "lie about its size": (lambda f: lie(f), "it is not a sound zip file"),
    "too many files": (
        lambda f: zipped({f"{n}/manifest.json": b"" for n in range(2001)}, ""),
        "it holds 2001 files, more than 500 artifacts do",
    ),
    "encrypted": (lambda f: encrypted(f), "it is not a sound zip file"),
    "many rows in a small table": (
        lambda f: zipped(
            with_table(f, repeated(f["trajectory.parquet"], rows=exchange.MOST_ROWS + 1))
        ),
        "run: trajectory.parquet has 2,000,001 rows, above the limit of 2,000,000",
    ),
    "long words in a small table": (
        lambda f: zipped(
            with_table(f, repeated(f["trajectory.parquet"], rows=100, auxiliaries="x" * 100_000))
        ),
        "run: trajectory.parquet has words of more than 2000 letters",
    ),
    "nested column": (
        lambda f: zipped(with_table(f, parquet(pa.table({"x": [[1]]})))),
        "run: trajectory.parquet has a column of type list",
    ),
    "other columns": (
        lambda f: zipped(with_table(f, parquet(pa.table({"x": [1]})))),
        "run: the columns of trajectory.parquet are not setting",
    ),
    "impossible values": (
        lambda f: zipped(
            with_table(f, parquet(pq.read_table(io.BytesIO(f["trajectory.parquet"])).slice(0, 3)))
        ),
        "run: its seeds or tasks are not those of its config",
    ),
    "unfinished": (
        lambda f: zipped(tampered(f, error="stopped")),
        "run: run {id} is unfinished: stopped",
    ),
    "config": (
        lambda f: zipped(tampered(f, config={"setting": "imagenet", "target": "cats"})),
        "run: unknown setting 'imagenet'",
    ),
    "other id": (lambda f: zipped(tampered(f, id="0" * 16)), "is not that of its config, {id}"),
    "newer schema": (lambda f: zipped(tampered(f, schema_version=99)), "run: schema 99 is not"),
    "no device": (lambda f: zipped(tampered(f, device=...)), "manifest.json lacks 'device'"),
    "created": (lambda f: zipped(tampered(f, created=5)), "run: created 5 is not a time"),
    "duration": (
        lambda f: zipped(tampered(f, duration_seconds=-1)),
        "duration_seconds -1 is not a length of time",
    ),
    "duration in words": (
        lambda f: zipped(tampered(f, duration_seconds="long")),
        "duration_seconds 'long' is not a number",
    ),
    "versions": (lambda f: zipped(tampered(f, versions=[1])), "versions [1] are not an object"),
    "version": (
        lambda f: zipped(tampered(f, versions={"torch": 2})),
        "versions 2 is not a short text",
    ),
    "foreign factor": (
        lambda f: zipped(tampered(f, factors={"flatness": "x"})),
        "unknown factor 'flatness'; one of: sharpness",
    ),
    "picture": (
        lambda f: zipped(tampered(f, notes=["![x](https://example.org/x.png)"])),
        "is not plain text on one line",
    ),
    "lines": (lambda f: zipped(tampered(f, device="a\nb")), "is not plain text on one line"),
}


def link(files: Files) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("run/manifest.json")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    return io.BytesIO(buffer.getvalue())


def twice(files: Files) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("run/manifest.json", files["manifest.json"])
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("run/manifest.json", b"{}")
    return io.BytesIO(buffer.getvalue())


def lie(files: Files) -> io.BytesIO:
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


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_sound_is_named_and_leaves_nothing(
    files: Files,
    config: RunConfig,
    make_config: Make,
    write: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    other = make_config(width=7)
    before = Answers(None, {other.id: write(other)})
    exchange.receive_zip(io.BytesIO(exchange.pack([before.find(other)], before)), "b", nothing())
    monkeypatch.chdir(tmp_path)
    make, reason = BAD[kind]
    with pytest.raises(InputError) as caught:
        exchange.receive_zip(make(files), "theirs.zip", nothing())
    message = str(caught.value)
    assert message.startswith("theirs.zip: ")
    assert reason.replace("{id}", config.id) in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    assert left() == [other.id], "what was here is here, and nothing else"
    assert not (tmp_path / "boom").exists()


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
        exchange.receive_zip(zipped(files), "a.zip", nothing())
    assert exchange.imported() == ({}, [])


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
