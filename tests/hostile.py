"""Hostile files: what anybody may bring, with what it takes to find out that it is not sound.

    python tests/hostile.py [--every N]

Every file goes the way that the app sends it: imports are checked in a process of their own, tables
are read as those of the app's folder. For each, one line must say why it is refused, within 10
seconds of a processor and 300 MB of memory on top of what Python and its libraries take.
"""

import argparse
import hashlib
import io
import json
import os
import resource
import struct
import tempfile
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts, exchange, folders
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.library.look_aheads import JointRun
from mtl_core.training.looks import LookAhead, looks

MOST_SECONDS = 10.0
MOST_MB = 300.0

Files = dict[str, bytes]
Spoil = Callable[[Files, str], bytes | Files]


class Cost(NamedTuple):
    """What a file took.

    Args:
        said: why it was refused; None if it was not.
        seconds: of processors.
        mb: memory of this process and of those that it started, at most, on top of before.
    """

    said: str | None
    seconds: float
    mb: float

    @property
    def fine(self) -> bool:
        return (
            self.said is not None
            and len(self.said.splitlines()) == 1
            and len(self.said) < 500
            and self.seconds < MOST_SECONDS
            and self.mb < MOST_MB
        )


# Zip files.


def zipped(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def renamed(name: str) -> Spoil:
    return lambda files, main: zipped(
        {name: files[main], "r/manifest.json": files["manifest.json"]}
    )


def bomb(name: str, compression: int) -> Spoil:
    """A gigabyte of zeros as one of the files."""

    def spoil(files: Files, main: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            with archive.open(f"r/{name or main}", "w", force_zip64=True) as file:
                for _ in range(256):
                    file.write(bytes(4 * 2**20))
            archive.writestr("r/x.txt", b"")
        return buffer.getvalue()

    return spoil


def patched(change: Callable[[bytes], bytes]) -> Spoil:
    """A sound zip file, with its bytes changed."""
    return lambda files, main: change(zipped({f"r/{k}": v for k, v in files.items()}))


def lying(size: int) -> Spoil:
    """Sizes in the directory that are not those of the content."""

    def change(content: bytes) -> bytes:
        place = content.index(b"PK\x01\x02")
        return content[: place + 24] + struct.pack("<I", size) + content[place + 28 :]

    return patched(change)


def many_members(files: Files, main: str) -> bytes:
    """A directory of very many entries."""
    one = struct.pack(
        "<4s4B4HL2L5H2L", b"PK\x01\x02", *[20, 0] * 2, *[0] * 4, *[0] * 3, 1, *[0] * 6
    )
    entries = (one + b"x") * 380_000
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 65_535, 65_535, len(entries), 0, 0)
    return entries + end


def linked(files: Files, main: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("r/manifest.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def twice(files: Files, main: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that is there already
        for _ in range(2):
            archive.writestr("r/manifest.json", files["manifest.json"])
    return buffer.getvalue()


ZIPS: dict[str, Spoil] = {
    "nothing": lambda files, main: b"",
    "no zip file": lambda files, main: b"gASVAAAA" * 100,
    "an empty zip file": lambda files, main: zipped({}),
    "cut in half": patched(lambda content: content[: len(content) // 2]),
    "its end alone": patched(lambda content: content[-200:]),
    "bytes that differ": patched(lambda content: content[:300] + b"\xff" * 64 + content[364:]),
    "encrypted": patched(
        lambda content: content.replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
        )
    ),
    "another way of packing": patched(lambda content: content.replace(b"\x08\x00", b"\x63\x00")),
    "more than its directory says": lying(10),
    "less than its directory says": lying(2**32 - 2),
    "very many members": many_members,
    "a link": linked,
    "a member twice": twice,
    "a gigabyte of manifest": bomb("manifest.json", zipfile.ZIP_DEFLATED),
    "a gigabyte of table": bomb("", zipfile.ZIP_DEFLATED),
    "a gigabyte by bzip2": bomb("manifest.json", zipfile.ZIP_BZIP2),
    "a gigabyte by lzma": bomb("manifest.json", zipfile.ZIP_LZMA),
    "a zip file in it": lambda files, main: zipped({"r/a.zip": zipped({"manifest.json": b"{}"})}),
    "a way out": renamed("../trajectory.parquet"),
    "another way out": renamed("r/../../../trajectory.parquet"),
    "a way out by backslashes": renamed("..\\trajectory.parquet"),
    "the root": renamed("/etc/trajectory.parquet"),
    "a drive": renamed("c:/trajectory.parquet"),
    "an end of line": renamed("r/a\nb/trajectory.parquet"),
    "a name of 60,000 letters": renamed(f"{'x' * 60_000}/trajectory.parquet"),
    "very deep": renamed(f"{'x/' * 5_000}trajectory.parquet"),
    "a program": renamed("r/trajectory.py"),
}


# Manifests.


def manifest(**changes: Any) -> Spoil:
    """With other values; a function takes the value that was there."""

    def spoil(files: Files, main: str) -> Files:
        said = json.loads(files["manifest.json"])
        for name, value in changes.items():
            said[name] = value(said.get(name)) if callable(value) else value
        return {**files, "manifest.json": json.dumps(said).encode()}

    return spoil


def made(**changes: Any) -> Spoil:
    return manifest(made=lambda groups: [group | changes for group in groups])


def config(**changes: Any) -> Spoil:
    return manifest(config=lambda values: values | changes)


def text(content: bytes) -> Spoil:
    return lambda files, main: {**files, "manifest.json": content}


MANIFESTS: dict[str, Spoil] = {
    "no manifest": lambda files, main: {main: files[main]},
    "a pickle": text(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os"),
    "spaces without end": text(b" " * (31 * 2**20)),
    "lists in lists": text(b"[" * (20 * 2**20)),
    "objects in objects": text(b'{"a":' * (4 * 2**20)),
    "millions of keys": text(b"{" + b",".join(b'"%d":[]' % n for n in range(1_500_000)) + b"}"),
    "a number without end": text(b'{"schema_version": ' + b"9" * (4 * 2**20) + b"}"),
    "no object": text(b"[]"),
    "half a letter": text(b'{"schema_version": "\\ud800"}'),
    "another schema": manifest(schema_version=10**300),
    "another kind": manifest(kind="tracking"),
    "a kind that is a list": manifest(kind=["training"] * 100_000),
    "numbers that are ours alone": manifest(numbers="published"),
    "another id": manifest(id="0" * 16),
    "no config": manifest(config=None),
    "seeds without end": made(seeds=list(range(200_000))),
    "a seed that is none": made(seeds=[10**40]),
    "a duration of 400 digits": made(duration_seconds=10**400),
    "a duration below 0": made(duration_seconds=-1),
    "a duration without end": made(duration_seconds=float("inf")),
    "no time": made(created="yesterday"),
    "many versions": made(versions={str(n): "1" for n in range(300_000)}),
    "a picture for a device": made(device="![x](http://localhost/x.png)"),
    "text that turns": made(device="cpu\u202egnp"),
    "a very long text": made(device="x" * 10**6),
    "many notes": manifest(notes=["note"] * 500_000),
    "a note on two lines": manifest(notes=["a\nb"]),
    "many groups": manifest(made=lambda groups: groups * 100_000),
    "somebody else's id": manifest(former={"0" * 16: [0]}),
    "a table out of the folder": manifest(tables=lambda t: t | {"../x": {"blake2b": "0"}}),
    "another hash": manifest(tables=lambda t: {n: v | {"blake2b": "0" * 32} for n, v in t.items()}),
    "a rate that is no number": config(lr=float("nan")),
    "a rate of 400 digits": config(lr=10**400),
}


# Tables.


def put(files: Files, name: str, content: bytes) -> Files:
    """A table with the hash that goes with it."""
    said = json.loads(files["manifest.json"])
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    stem = name.removesuffix(".parquet")
    said["tables"][stem] = said["tables"].get(stem, {}) | {"blake2b": digest}
    return {**files, name: content, "manifest.json": json.dumps(said).encode()}


def packed(table: pa.Table, **options: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **({"compression": "zstd"} | options))
    return buffer.getvalue()


def frame(change: Callable[[pa.Table], pa.Table], **options: Any) -> Spoil:
    def spoil(files: Files, main: str) -> Files:
        return put(files, main, packed(change(pq.read_table(io.BytesIO(files[main]))), **options))

    return spoil


def raw(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda files, main: put(files, main, change(files[main]))


def often(rows: int, **values: Any) -> Callable[[pa.Table], pa.Table]:
    """Its first row so many times, some columns with another value."""

    def change(table: pa.Table) -> pa.Table:
        return pa.table(
            {
                name: pa.array([values.get(name, table[name][0].as_py())] * rows, table[name].type)
                for name in table.column_names
            }
        )

    return change


def column(values: Callable[[int], Any], place: int | str = -1) -> Callable[[pa.Table], pa.Table]:
    """With another column in the place of one."""

    def change(table: pa.Table) -> pa.Table:
        at = table.column_names.index(place) if isinstance(place, str) else place
        at = at % table.num_columns
        return table.set_column(at, table.column_names[at], pa.array(values(len(table))))

    return change


def footer(size: int) -> Callable[[bytes], bytes]:
    return lambda content: content[:-8] + struct.pack("<I", size) + b"PAR1"


TABLES: dict[str, Spoil] = {
    "rows without end": frame(often(1_990_000)),
    "more rows than are read": frame(often(2_000_001)),
    "rows in many groups": frame(often(60_000), row_group_size=2),
    "no rows": frame(lambda table: table.slice(0, 0)),
    "a row twice": frame(lambda table: pa.concat_tables([table, table.slice(0, 1)])),
    "half of its rows": frame(lambda table: table.slice(0, len(table) // 2)),
    "long words": frame(column(lambda n: ["x" * 300_000] * n, 0)),
    "bytes": frame(column(lambda n: [b"gASV"] * n)),
    "lists": frame(column(lambda n: [[1]] * n)),
    "objects in objects": frame(column(lambda n: [{"a": {"b": {"c": 1}}}] * n)),
    "times": frame(column(lambda n: pa.array([2**62] * n, pa.timestamp("ns")))),
    "numbers that are text": frame(column(lambda n: ["x"] * n)),
    "what is not finite": frame(column(lambda n: [float("inf")] * n)),
    "what is not there": frame(column(lambda n: pa.array([None] * n, pa.float64()), "train_loss")),
    "a column more": frame(lambda table: table.append_column("x", table[0])),
    "a column less": frame(lambda table: table.drop_columns(table.column_names[-1:])),
    "columns in another order": frame(lambda table: table.select(table.column_names[::-1])),
    "thousands of columns": frame(
        lambda table: pa.table({f"c{n}": pa.array([1.0]) for n in range(20_000)})
    ),
    "much said of it": frame(
        lambda table: table.replace_schema_metadata({f"k{n}": "v" * 900 for n in range(9_000)})
    ),
    "cut": raw(lambda content: content[: len(content) // 2]),
    "a footer that lies": raw(footer(2**31 - 1)),
    "a footer without end": raw(lambda content: content[:4] + b"\x15" * 2_000_000 + content[-8:]),
    "another format": raw(lambda content: b"ARROW1" + content[6:]),
    "bits that differ": raw(
        lambda content: content[:40] + bytes(b ^ 64 for b in content[40:90]) + content[90:]
    ),
}


# Look-aheads, which go with what they foretell.


def ahead(change: Callable[[dict[str, Any]], Any] | bytes, times: int = 1) -> Spoil:
    """A sound artifact with a look-ahead of its target that is not: changed, with its own hash."""

    def spoil(files: Files, main: str) -> bytes:
        if isinstance(change, bytes):
            content = change
        else:
            said = change(_joint(json.loads(files["manifest.json"])["config"]))
            if isinstance(said, dict):
                said["blake2b"] = folders.manifest_digest(said)
            content = json.dumps(said).encode()
        sound = {f"r/{name}": one for name, one in files.items()}
        names = (f"look_ahead/s/{place}.json" for place in range(times))
        return zipped(sound | dict.fromkeys(names, content))

    return spoil


def _joint(values: dict[str, Any]) -> dict[str, Any]:
    """A sound look-ahead of a training, from its config."""
    config = RunConfig.from_dict(values, seeds=[0])
    tasks = (config.target, *config.auxiliaries)
    found = LookAhead(dict.fromkeys(tasks, (0.1,) * config.epochs), looks(config))
    made = {"created": "2026-01-02T03:04:05Z", "device": "cpu", "versions": {"torch": "2"}}
    return JointRun(config, found, made | {"data_fingerprint": "0123"}).to_dict()


def said(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Fields with other values; a function takes the value that was there."""
    return lambda values: (
        values
        | {
            name: value(values[name]) if callable(value) else value
            for name, value in changes.items()
        }
    )


AHEAD: dict[str, Spoil] = {
    "a pickle": ahead(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os"),
    "lists in lists": ahead(b"[" * 2**20),
    "spaces without end": ahead(b" " * (31 * 2**20)),
    "very many": ahead(said(), 5_000),
    "no object": ahead(lambda values: [values]),
    "another id": ahead(said(id="0" * 16)),
    "another hash": ahead(json.dumps({"version": 1}).encode()),
    "a number of 400 digits": ahead(said(affinity=lambda a: {n: [10**400] * len(a[n]) for n in a})),
    "what is not finite": ahead(
        said(affinity=lambda a: {n: [float("nan")] * len(a[n]) for n in a})
    ),
    "epochs without end": ahead(said(affinity=lambda a: {n: [0.1] * 20_000 for n in a})),
    "tasks without end": ahead(said(affinity=lambda a: a | {f"t{n}": [0.1] for n in range(9_999)})),
    "a seed that is none": ahead(said(seed=10**40)),
    "a config without end": ahead(said(config=lambda c: c | {"epochs": 10**12})),
    "a picture for a device": ahead(
        said(made=lambda m: m | {"device": "cpu\n![x](http://x/y.png)"})
    ),
    "a very long command": ahead(said(made=lambda m: m | {"command": "x" * 10**6})),
    "many versions": ahead(
        said(made=lambda m: m | {"versions": {str(n): "1" for n in range(9_999)}})
    ),
    "a duration of 400 digits": ahead(said(made=lambda m: m | {"duration_seconds": 10**400})),
    "more than is to be said": ahead(said(made=lambda m: m | {"script": "<b>"})),
    "another task's": lambda files, main: ahead(_elsewhere)(files, main),
    "a way out": lambda files, main: zipped(
        {f"r/{name}": one for name, one in files.items()} | {"look_ahead/../../x.json": b"{}"}
    ),
    "in another place": lambda files, main: zipped(
        {f"r/{name}": one for name, one in files.items()} | {"ahead/s/x.json": b"{}"}
    ),
    "alone": lambda files, main: zipped({"look_ahead/s/x.json": b"{}"}),
}


def _elsewhere(values: dict[str, Any]) -> dict[str, Any]:
    """A look-ahead that is sound, of a setting that is not the artifact's."""
    other = "synthetic" if values["config"]["setting"] != "synthetic" else "digits"
    return _joint(RunConfig.from_preset(other, "quick").to_dict())


def imports(files: Mapping[str, Files]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """What each is about, and what makes its zip file."""
    for kind, sound in files.items():
        main = "front.parquet" if kind == "front" else "trajectory.parquet"
        for about, spoil in ZIPS.items():
            if kind == "training":
                yield f"zip file: {about}", partial(_whole, spoil, sound, main)
        if kind == "training":
            for about, spoil in AHEAD.items():
                yield f"look-ahead: {about}", partial(_whole, spoil, sound, main)
        for group, spoils in (("manifest", MANIFESTS), ("table", TABLES)):
            for about, spoil in spoils.items():
                yield f"{kind}, {group}: {about}", partial(_whole, spoil, sound, main)


def _whole(spoil: Spoil, sound: Files, main: str) -> bytes:
    spoilt = spoil(sound, main)
    if isinstance(spoilt, bytes):
        return spoilt
    return zipped({f"r/{name}": content for name, content in spoilt.items()})


# Tables of a user's own.

ROWS = b"".join(b"%d,%d,%d,%d\n" % (n, n % 3, n * n, 2 * n) for n in range(30))
HEAD = b"a,b,y,z\n"
LARGE = 19 * 2**20


def wide(columns: int, rows: int) -> bytes:
    header = b",".join(b"c%d" % place for place in range(columns))
    return b"\n".join([header, *[b",".join([b"1"] * columns)] * rows])


DATA: dict[str, bytes] = {
    "nothing": b"",
    "a header": HEAD,
    "no header": ROWS,
    "one column": b"a\n" + b"1\n" * 30,
    "a program": b"\x7fELF\x02\x01\x01" + bytes(4_000),
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os",
    "a zip file": zipped({"a.csv": HEAD + ROWS}),
    "a table of another program": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2_000),
    "Parquet": packed(pa.table({"a": [1.0], "y": [2.0], "z": [3.0]})),
    "zeros": bytes(LARGE),
    "commas": b"," * LARGE,
    "empty lines": HEAD + b"\n" * LARGE,
    "commas on lines": HEAD + b",,,\n" * (LARGE // 4),
    "one long line": b"a" * LARGE,
    "one long value": HEAD + b"1,2,3," + b"9" * (LARGE // 2) + b"\n",
    "many values": HEAD + b"1,2,3,4\n" * (LARGE // 8),
    "many different values": HEAD + b"".join(b"%d,%d,3,4\n" % (n, n + 1) for n in range(900_000)),
    "many columns": wide(200_000, 1),
    "9,000 columns": wide(9_000, 230),
    "a quote that never ends": HEAD + b'"' + b"1,2\n" * (LARGE // 4),
    "quotes without end": HEAD + b'""' * (LARGE // 2),
    "quotes and lines": HEAD + b'"\n"' * (LARGE // 3),
    "UTF-16": (HEAD + ROWS).decode().encode("utf-16"),
    "Latin-1": "größe,b,y,z\n".encode("latin-1") + ROWS,
    "half a letter": HEAD + b"\xed\xa0\x80,1,2,3\n" + ROWS,
    "letters of four bytes": HEAD + "\U0001f600".encode() * (LARGE // 4),
    "a name twice": b"a,a,y,z\n" + ROWS,
    "no name": b"a,,y,z\n" + ROWS,
    "a very long name": b"a" * 100_000 + b",b,y,z\n" + ROWS,
    "a picture for a name": b"![x](http://localhost/x.png),b,y,z\n" + ROWS,
    "a name that turns": "a\u202e,b,y,z\n".encode() + ROWS,
    "a name with control letters": b"a\x1b[2J,b,y,z\n" + ROWS,
    "a name over two lines": b'"a\nb",b,y,z\n' + ROWS,
    "rows of different lengths": HEAD + ROWS + b"1,2,3\n",
    "a gap": HEAD + ROWS + b"1,,3,4\n",
    "not a number": HEAD + ROWS + b"1,nan,3,4\n",
    "infinite": HEAD + ROWS + b"1,inf,3,4\n",
    "huge": HEAD + ROWS + b"1,1e308,3,4\n",
    "a number of 300 digits": HEAD + ROWS + b"1," + b"9" * 300 + b",3,4\n",
    "a number of 100,000 digits": HEAD + ROWS + b"1," + b"9" * 100_000 + b",3,4\n",
    "text among numbers": HEAD + ROWS + b"1,secret,3,4\n",
    "a formula": HEAD + ROWS + b"1,=cmd|' /C calc'!A0,3,4\n",
    "units": HEAD + b"".join(b"%d kg,1,%d,%d\n" % (n, n, n * n) for n in range(30)),
    "ambiguous commas": b"a,b,y,z\n" + b'"1,250",1.5,2,3\n' * 20,
    "targets of text": HEAD + b"".join(b"%d,1,word,%d\n" % (n, n) for n in range(30)),
    "targets that are constant": HEAD + b"".join(b"%d,1,7,%d\n" % (n, n) for n in range(30)),
    "categories without end": HEAD + b"".join(b"k%d,1,%d,%d\n" % (n, n, n * n) for n in range(30)),
    "nine rows": HEAD + ROWS[:70],
    "targets alone": b"y,z\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(30)),
    "no such targets": b"a,b,c,d\n" + ROWS,
    "a secret on its first line": b"db_password=hunter2,host=db,user=root\n" + b"1,2,3\n" * 20,
}


# What they take.


def sound_files() -> dict[str, Files]:
    """Those of a shipped artifact of each kind, the smallest."""
    found = sorted(artifacts.scan()[0].values(), key=lambda one: one.config.id)
    files = {}
    for kind in ("training", "front"):
        folders = [
            one.folder
            for one in found
            if one.kind.name == kind and one.manifest["numbers"] == "measured"
        ]
        folder = min(folders, key=lambda folder: sum(p.stat().st_size for p in folder.iterdir()))
        files[kind] = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files


def brought(content: bytes) -> Cost:
    """What importing a zip file takes."""
    return _cost(lambda: exchange.receive_zip(io.BytesIO(content), "a.zip", Answers(None, {})))


def dropped(content: bytes) -> Cost:
    """What reading a table of the app's folder takes, in a process that may open no others."""
    from mtl_core.data import own
    from mtl_core.pareto.problems import tables

    own.folder().mkdir(parents=True, exist_ok=True)
    (own.folder() / "table.csv").write_bytes(content)
    return _cost(lambda: tables.split(tables.read(own.located("table.csv"), ("y", "z"))))


def added(content: bytes, name: str = "table.csv") -> Cost:
    """What making a setting of a table takes that a stranger brings."""
    from dataclasses import replace

    from mtl_core.data import choices, sheet

    def take() -> None:
        found = sheet.read(content, name)
        others = tuple(one.name for one in found.columns if one.name not in ("y", "z"))
        choices.prepared(found, replace(choices.guessed(found, ("y", "z")), inputs=others))

    return _cost(take)


def _cost(take: Callable[[], object]) -> Cost:
    before = _seconds()
    said: str | None = None
    with _watched() as peak:
        try:
            take()
        except InputError as error:
            said = str(error)
    return Cost(said, _seconds() - before, peak[0])


def _seconds() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


@contextmanager
def _watched() -> Iterator[list[float]]:
    """The megabytes that were added at most, here and in other processes of ours."""
    peak, over, own_before = [0.0], threading.Event(), _own()

    def watch() -> None:
        while not over.wait(0.005):
            here = _own() - own_before
            others = (max(0.0, _resident(pid) - LIBRARIES_MB) for pid in _inspectors())
            peak[0] = max(peak[0], here + sum(others))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


LIBRARIES_MB = 150.0
"""What Python, NumPy, pandas and PyArrow take by themselves."""


def _own() -> float:
    """Megabytes that this process has for itself.

    Not those of files that are mapped, as libraries are: the system takes idle ones away, and they
    would count as new when they are read again.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith(("RssAnon", "RssShmem"))]
    return sum(map(int, sizes)) / 2**10


def _resident(pid: str) -> float:
    try:
        words = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return int(words[1]) * resource.getpagesize() / 2**20


def _inspectors() -> list[str]:
    """Processes of ours that look at what is imported."""
    found: list[str] = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += path.read_text().split()
    return [pid for pid in found if _is_inspector(pid)]


def _is_inspector(pid: str) -> bool:
    with suppress(OSError):
        return b"mtl_core.runs.library.customs" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every Nth only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"MTL_STORE": f"{folder}/runs.db", "MTL_DATA_DIR": folder, "MTL_FILES": "own"}
        zips = list(imports(sound_files()))
        rows = [(about, brought(make())) for about, make in zips[:: options.every]]
        rows += [(f"data: {about}", dropped(DATA[about])) for about in list(DATA)[:: options.every]]
        os.environ["MTL_SHARED"] = "1"
        rows += [(f"setting: {about}", added(DATA[about])) for about in [*DATA][:: options.every]]
    for about, cost in rows:
        mark = " " if cost.fine else "!"
        print(f"{mark} {cost.seconds:5.1f} s {cost.mb:6.0f} MB  {about}: {cost.said}")
    bad = [about for about, cost in rows if not cost.fine]
    started = time.strftime("%Y-%m-%d")
    print(f"{started}: {len(rows)} files, {len(bad)} not refused as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
