"""Exchange: artifacts as zip files, out of this machine and into it.

What comes in may come from anybody. It is unpacked into a folder of its own, never unpickled, and
checked in every way that a shipped artifact is before it is moved to ``artifacts.imported_dir()``.
"""

import io
import json
import lzma
import math
import os
import re
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs import artifacts, folders
from mtl_core.runs.answers import Answer, Answers
from mtl_core.runs.artifacts import Artifact
from mtl_core.trajectory import FACTORS, SIDE_TABLES

__all__ = [
    "MOST_ARTIFACTS",
    "MOST_BYTES",
    "MOST_FILE_BYTES",
    "MOST_ROWS",
    "Received",
    "broken",
    "imported",
    "pack",
    "receive_files",
    "receive_path",
    "receive_zip",
    "remove",
]

MOST_ARTIFACTS = 500  # in one zip file
MOST_BYTES = 128 * 2**20  # unpacked, all of a zip file
MOST_FILE_BYTES = 32 * 2**20  # unpacked, one file of it
MOST_ROWS = 2_000_000  # of one table
_MOST_LETTERS = 2_000  # of a word in a table, or a text in a manifest
_MOST_DEPTH = 6  # folders around an artifact
_MANIFEST, _TABLE = "manifest.json", "trajectory.parquet"
_FILES = (_MANIFEST, _TABLE, *(f"{name}.parquet" for name in SIDE_TABLES))
_SCRATCH = ".part-"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_BAD_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What zipfile raises for files that are damaged, encrypted, or packed in other ways."""


@dataclass(frozen=True)
class Received:
    """An artifact that was brought here.

    Args:
        kept: what was here already under its id, which stays; None when it was taken in.
    """

    run: str
    kept: str | None = None


# In.


def receive_zip(file: IO[bytes], name: str, answers: Answers) -> list[Received]:
    """Take in the artifacts of a zip file: all of them, or none when one is not sound.

    Args:
        file: seekable.
        name: what the user calls it.
        answers: what is here already, and stays.

    Raises:
        InputError: naming the file and what is wrong.
    """

    def fill(scratch: Path) -> dict[str, Path]:
        try:
            with zipfile.ZipFile(file) as archive:
                return _unzip(archive, scratch)
        except _BAD_ZIP as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"it is not a sound zip file ({_first_line(error)})") from error

    return _receive(name, fill, answers)


def receive_files(files: Mapping[str, IO[bytes]], answers: Answers) -> list[Received]:
    """Take in one artifact as its files, by name. Raises InputError."""

    def fill(scratch: Path) -> dict[str, Path]:
        folder = scratch / "0"
        folder.mkdir()
        for name, file in files.items():
            _copy(file, folder / _member(name).name, name, MOST_BYTES)
        return {"": folder}

    return _receive(" + ".join(sorted(files)), fill, answers)


def receive_path(path: Path, answers: Answers) -> list[Received]:
    """Take in a zip file, or a folder that is an artifact or holds some. Raises InputError."""
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return receive_zip(file, path.name, answers)
        folders = sorted(manifest.parent for manifest in path.glob(f"**/{_MANIFEST}"))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from error
    if not folders:
        raise InputError(f"{path} holds no {_MANIFEST}; give an artifact's folder or a zip file")

    def fill(scratch: Path) -> dict[str, Path]:
        found, left = {}, MOST_BYTES
        for number, folder in enumerate(folders):
            (scratch / str(number)).mkdir()
            for name in _FILES:
                if (folder / name).is_file():
                    with (folder / name).open("rb") as file:
                        left -= _copy(file, scratch / str(number) / name, name, left)
            found[str(folder.relative_to(path))] = scratch / str(number)
        return found

    return _receive(path.name, fill, answers)


def _receive(
    name: str, fill: Callable[[Path], Mapping[str, Path]], answers: Answers
) -> list[Received]:
    """Fill a scratch folder with artifacts, check all of them, and then move them in.

    Args:
        fill: unpacks into the scratch folder; returns what each artifact is called, and its folder.
    """
    with _scratch() as scratch:
        try:
            found = fill(scratch)
            if not found:
                raise InputError(f"it holds no {_MANIFEST}")
            checked = {place: _checked(folder, place) for place, folder in found.items()}
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        except OSError as error:
            raise InputError(f"{name} cannot be unpacked ({error.strerror})") from error
        ids = [artifact.config.id for artifact in checked.values()]
        if twice := sorted({run for run in ids if ids.count(run) > 1}):
            raise InputError(f"{name}: it holds run {twice[0]} twice")
        return [_place(name, artifact, answers) for artifact in checked.values()]


def _place(name: str, artifact: Artifact, answers: Answers) -> Received:
    run = artifact.config.id
    there = answers.find_id(run)
    if there is not None and there.state == "done":
        return Received(run, kept=there.origin)
    folder = artifacts.imported_dir() / run
    if folder.exists():
        try:
            artifacts.read(folder)
        except InputError as error:
            raise InputError(
                f"{name}: run {run} is here already, damaged ({error}); delete that first"
            ) from error
        return Received(run, kept="imported")
    try:
        os.replace(artifact.folder, folder)
    except OSError as error:
        raise InputError(f"{name}: cannot write {folder} ({error.strerror})") from error
    return Received(run)


def _unzip(archive: zipfile.ZipFile, scratch: Path) -> dict[str, Path]:
    """Unpack files of known names, each artifact into a folder that is named by us."""
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MOST_ARTIFACTS * len(_FILES):
        raise InputError(f"it holds {len(members)} files, more than {MOST_ARTIFACTS} artifacts do")
    if (size := sum(member.file_size for member in members)) > MOST_BYTES:
        raise InputError(_too_large("it", size, MOST_BYTES))
    found: dict[str, Path] = {}
    left = MOST_BYTES
    for member in members:
        path = _member(member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{quoted(member.filename)} is a link")
        folder = found.setdefault(str(path.parent), scratch / str(len(found)))
        folder.mkdir(exist_ok=True)
        if (folder / path.name).exists():
            raise InputError(f"it holds {quoted(member.filename)} twice")
        with archive.open(member) as file:
            left -= _copy(file, folder / path.name, member.filename, left)
    return found


def _member(name: str) -> PurePosixPath:
    """The path of a file that an artifact may have. Raises InputError for any other."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or re.search(r"[\\:\x00-\x1f]", name):
        raise InputError(f"{quoted(name)} points out of it")
    if path.name not in _FILES:
        raise InputError(f"{quoted(name)} is none of an artifact's files: {', '.join(_FILES)}")
    if len(path.parts) > _MOST_DEPTH:
        raise InputError(f"{quoted(name)} lies too deep")
    return path


def _copy(file: IO[bytes], to: Path, name: str, left: int) -> int:
    """Copy a file that says nothing true of its size; returns how large it was."""
    most = min(MOST_FILE_BYTES, left)
    size = 0
    with to.open("xb") as out:
        while part := file.read(2**20):
            size += len(part)
            if size > most:
                raise InputError(_too_large(quoted(name), size, most))
            out.write(part)
    return size


def _too_large(what: str, size: int, most: int) -> str:
    return f"{what} unpacks to {size / 2**20:,.0f} MB or more, above the limit of {most >> 20} MB"


def _checked(folder: Path, place: str) -> Artifact:
    """A finished artifact in ``folder`` whose every part may be shown."""
    where = "" if place in ("", ".") else f"{place}: "
    for name in (_MANIFEST, _TABLE):
        if not (folder / name).is_file():
            raise InputError(f"{where}it lacks {name}")
    try:
        for table in sorted(folder.glob("*.parquet")):
            _check_size(table)
        artifact = artifacts.read(folder)
        _check_manifest(artifact.manifest)
        for name in SIDE_TABLES:
            if (folder / f"{name}.parquet").exists() and not len(artifact.side(name)):
                raise InputError(f"{name}.parquet is not in the manifest")
    except InputError as error:
        words = str(error).removeprefix(f"artifact {folder.name}").lstrip(": ")
        raise InputError(f"{where}{words}") from error
    if artifact.unfinished is not None:
        raise InputError(f"{where}run {artifact.config.id} is unfinished: {artifact.unfinished}")
    return artifact


def _check_size(path: Path) -> None:
    """Small files can hold large tables: whether this one may be read at all."""
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        rows, columns = file.metadata.num_rows, file.schema_arrow
        if rows > MOST_ROWS:
            raise InputError(f"{path.name} has {rows:,} rows, above the limit of {MOST_ROWS:,}")
        groups = [file.metadata.row_group(place) for place in range(file.num_row_groups)]
        if (size := sum(group.total_byte_size for group in groups)) > MOST_FILE_BYTES:
            raise InputError(_too_large(path.name, size, MOST_FILE_BYTES))
        types = pyarrow.types
        words = [
            c.name for c in columns if types.is_string(c.type) or types.is_large_string(c.type)
        ]
        for column in columns:
            plain = types.is_primitive(column.type) or types.is_null(column.type)
            if not (plain or column.name in words):
                raise InputError(f"{path.name} has a column of type {column.type}")
        # One long word, repeated, takes little room here and much in memory.
        table = pyarrow.parquet.read_table(path, columns=words, read_dictionary=words)
        for part in (part for column in table.columns for part in column.chunks):
            lengths = pyarrow.compute.binary_length(part.dictionary)
            if (pyarrow.compute.max(lengths).as_py() or 0) > _MOST_LETTERS:
                raise InputError(f"{path.name} has words of more than {_MOST_LETTERS} letters")
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} cannot be read ({_first_line(error)})") from error


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    """Whether what pages show of it is there, and of the kind that they expect."""
    for name in ("created", "device", "versions", "data_fingerprint"):
        if name not in manifest:
            raise InputError(f"{_MANIFEST} lacks {name!r}")
    try:
        time.strptime(str(manifest["created"])[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise InputError(f"created {quoted(manifest['created'])} is not a time") from None
    seconds = manifest.get("duration_seconds", 0.0)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InputError(f"duration_seconds {quoted(seconds)} is not a number")
    if not (math.isfinite(seconds) and seconds >= 0):
        raise InputError(f"duration_seconds {quoted(seconds)} is not a length of time")
    if not isinstance(manifest["versions"], dict):
        raise InputError(f"versions {quoted(manifest['versions'])} are not an object")
    if foreign := sorted(set(manifest.get("factors", {})) - {*FACTORS}):
        raise unknown("factor", foreign[0], FACTORS)
    for name in ("created", "device", "data_fingerprint"):
        _check_text(name, manifest[name])
    for name in ("versions", "factors"):
        for key, text in manifest.get(name, {}).items():
            _check_text(name, key)
            _check_text(name, text)
    for text in manifest.get("notes", []):
        _check_text("notes", text)


def _check_text(name: str, text: object) -> None:
    """Pages may set it as Markdown: it must not fetch a picture from elsewhere."""
    if not isinstance(text, str) or len(text) > _MOST_LETTERS:
        raise InputError(f"{name} {quoted(text)} is not a short text")
    if len(text.splitlines()) > 1 or not text.isprintable() or "![" in text:
        raise InputError(f"{name} {quoted(text)} is not plain text on one line")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:120]


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder beside the imported artifacts, from which a move is one step."""
    root = artifacts.imported_dir()
    folders.check_writable(root)
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=_SCRATCH) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise InputError(f"cannot write {root} ({error.strerror}); free some disk space") from error


# Here.


def imported() -> tuple[dict[str, Artifact], list[str]]:
    """The artifacts that were brought to this machine by id, and what is wrong with others.

    Looked at again when one came or went, whichever process or session did that.
    """
    found, problems = _imported(artifacts.imported_dir(), _stamps())
    return dict(found), list(problems)


def broken() -> dict[Path, str]:
    """Folders among the imported artifacts that hold none which can be shown, and why."""
    found, _ = imported()
    sound = {artifact.folder for artifact in found.values()}
    reasons = {}
    for folder in (artifacts.imported_dir() / name for name, _ in _stamps()):
        if not any(one.is_relative_to(folder) for one in sound):
            try:
                reason = artifacts.read(folder).unfinished or "it has another's id"
            except InputError as error:
                reason = str(error)
            reasons[folder] = reason
    return reasons


def remove(folder: Path) -> None:
    """Delete an imported artifact. Raises InputError for any other folder."""
    root = artifacts.imported_dir()
    named = folder.parent == root and folder.name != ".."
    if not named or not folder.is_dir() or folder.is_symlink():
        raise InputError(f"{folder} is no folder in {root}; only imported artifacts are deleted")
    try:
        with tempfile.TemporaryDirectory(dir=root, prefix=_SCRATCH) as scratch:
            os.replace(folder, Path(scratch) / folder.name)  # gone at once, or not at all
    except OSError as error:
        raise InputError(f"cannot delete {folder} ({error.strerror})") from error


@lru_cache(maxsize=1)
def _imported(
    folder: Path, _stamps: tuple[tuple[str, int], ...]
) -> tuple[dict[str, Artifact], list[str]]:
    return artifacts.scan(folder) if _stamps else ({}, [])


def _stamps() -> tuple[tuple[str, int], ...]:
    """The folders in ``imported_dir``, each with when it was changed last."""
    try:
        with os.scandir(artifacts.imported_dir()) as folders:
            return tuple(
                sorted(
                    (folder.name, folder.stat().st_mtime_ns)
                    for folder in folders
                    if folder.is_dir() and not folder.name.startswith(_SCRATCH)
                )
            )
    except OSError:
        return ()


# Out.


def pack(found: Sequence[Answer], answers: Answers) -> bytes:
    """Finished runs as a zip file with a folder for each, named by its id.

    Raises:
        InputError: for a run that is not finished, or that cannot be read.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for answer in {one.config.id: one for one in found}.values():
            for name, content in _files(answer, answers):
                member = zipfile.ZipInfo(f"{answer.config.id}/{name}", _EPOCH)
                member.compress_type = zipfile.ZIP_DEFLATED
                member.external_attr = 0o644 << 16
                archive.writestr(member, content)
    return buffer.getvalue()


def _files(answer: Answer, answers: Answers) -> Iterable[tuple[str, bytes]]:
    """An artifact's files: those that there are, or what they would be."""
    if answer.state != "done":
        raise InputError(
            f"run {answer.config.id} is {answer.state}; only finished runs can be exported"
        )
    try:
        if answer.artifact is not None:
            yield from _read_files(answer.artifact.folder)
            return
        with tempfile.TemporaryDirectory(prefix="mtl-export-") as scratch:
            _write_own(Path(scratch), answer, answers)
            yield from _read_files(Path(scratch))
    except OSError as error:
        raise InputError(f"run {answer.config.id} cannot be exported ({error})") from error


def _read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    side = [f"{name}.parquet" for name in SIDE_TABLES if f"{name}_blake2b" in manifest]
    for name in (_MANIFEST, _TABLE, *side):
        yield name, (folder / name).read_bytes()


def _write_own(folder: Path, answer: Answer, answers: Answers) -> None:
    record = answer.record
    assert record is not None
    finished = record.finished_at or record.queued_at
    info = {
        # A worker that lost its data at the end could not say.
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(finished)),
        "device": "unknown",
        "versions": dict.fromkeys(("python", "torch", "numpy"), "unknown"),
        "data_fingerprint": "unknown",
        "factors": {},
        **record.info,
        "duration_seconds": round(record.seconds, 3),
        "notes": answers.notes(answer),
    }
    side = {name: answers.side(name, answer) for name in SIDE_TABLES}
    artifacts.write(folder, answer.config, answers.trajectory(answer), info, side)
