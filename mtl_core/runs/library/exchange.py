"""Exchange: artifacts of runs and fronts as zip files, out of this machine and into it.

What comes in may come from anybody. It is unpacked into a folder of its own, never unpickled, and
checked in every way that a shipped artifact is before it is moved to ``artifacts.imported_dir()``.
"""

import io
import json
import lzma
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

from mtl_core.errors import InputError, quoted
from mtl_core.runs import front_artifacts
from mtl_core.runs.front_answers import FrontAnswer, FrontAnswers
from mtl_core.runs.front_artifacts import FrontArtifact
from mtl_core.runs.library import artifacts, folders, soundness
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.soundness import (
    MANIFEST,
    MOST_FILE_BYTES,
    MOST_ROWS,
    TABLES,
    AnyArtifact,
    checked,
    too_large,
)
from mtl_core.runs.queue.records import FrontRecord, RunRecord
from mtl_core.trajectory import SIDE_TABLES

__all__ = [
    "MOST_ARTIFACTS",
    "MOST_BYTES",
    "MOST_FILE_BYTES",
    "MOST_ROWS",
    "Received",
    "broken",
    "imported",
    "imported_fronts",
    "pack",
    "receive_files",
    "receive_path",
    "receive_zip",
    "remove",
]

MOST_ARTIFACTS = 500  # in one zip file
MOST_BYTES = 128 * 2**20  # unpacked, all of a zip file
_MOST_DEPTH = 6  # folders around an artifact
_FILES = (MANIFEST, *(f"{name}.parquet" for name in TABLES))
_MOST_FILES = MOST_ARTIFACTS * (2 + len(SIDE_TABLES))  # a front has no more than a run
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


def receive_zip(
    file: IO[bytes], name: str, answers: Answers, fronts: FrontAnswers | None = None
) -> list[Received]:
    """Take in the artifacts of a zip file: all of them, or none when one is not sound.

    Args:
        file: seekable.
        name: what the user calls it.
        answers: what is here already, and stays.
        fronts: the same of fronts; default the shipped, the imported and those of ``answers``'s
            store.

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
            raise InputError(f"it is not a sound zip file ({folders.first_line(error)})") from error

    return _receive(name, fill, answers, fronts)


def receive_files(
    files: Mapping[str, IO[bytes]], answers: Answers, fronts: FrontAnswers | None = None
) -> list[Received]:
    """Take in one artifact as its files, by name. Raises InputError."""

    def fill(scratch: Path) -> dict[str, Path]:
        folder = scratch / "0"
        folder.mkdir()
        for name, file in files.items():
            _copy(file, folder / _member(name).name, name, MOST_BYTES)
        return {"": folder}

    return _receive(" + ".join(sorted(files)), fill, answers, fronts)


def receive_path(
    path: Path, answers: Answers, fronts: FrontAnswers | None = None
) -> list[Received]:
    """Take in a zip file, or a folder that is an artifact or holds some. Raises InputError."""
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                return receive_zip(file, path.name, answers, fronts)
        folders = sorted(manifest.parent for manifest in path.glob(f"**/{MANIFEST}"))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from error
    if not folders:
        raise InputError(f"{path} holds no {MANIFEST}; give an artifact's folder or a zip file")

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

    return _receive(path.name, fill, answers, fronts)


def _receive(
    name: str,
    fill: Callable[[Path], Mapping[str, Path]],
    answers: Answers,
    fronts: FrontAnswers | None,
) -> list[Received]:
    """Fill a scratch folder with artifacts, check all of them, and then move them in.

    Args:
        fill: unpacks into the scratch folder; returns what each artifact is called, and its folder.
    """
    with _scratch() as scratch:
        try:
            found = fill(scratch)
            if not found:
                raise InputError(f"it holds no {MANIFEST}")
            sound = [checked(folder, place) for place, folder in found.items()]
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        except OSError as error:
            raise InputError(f"{name} cannot be unpacked ({error.strerror})") from error
        ids = [artifact.config.id for artifact in sound]
        if twice := sorted({run for run in ids if ids.count(run) > 1}):
            raise InputError(f"{name}: it holds run {twice[0]} twice")
        if fronts is None and any(isinstance(one, FrontArtifact) for one in sound):
            fronts = _fronts_here(answers)
        return [
            _place(name, one, fronts if fronts and isinstance(one, FrontArtifact) else answers)
            for one in sound
        ]


def _fronts_here(answers: Answers) -> FrontAnswers:
    return FrontAnswers(answers.store, {**imported_fronts()[0], **front_artifacts.scan()[0]})


def _place(name: str, artifact: AnyArtifact, answers: Answers | FrontAnswers) -> Received:
    run = artifact.config.id
    there = answers.find_id(run)
    if there is not None and there.state == "done":
        return Received(run, kept=there.origin)
    folder = artifacts.imported_dir() / run
    if folder.exists():
        try:
            soundness.read(folder)
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
    if len(members) > _MOST_FILES:
        raise InputError(f"it holds {len(members)} files, more than {MOST_ARTIFACTS} artifacts do")
    if (size := sum(member.file_size for member in members)) > MOST_BYTES:
        raise InputError(too_large("it", size, MOST_BYTES))
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
                raise InputError(too_large(quoted(name), size, most))
            out.write(part)
    return size


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


def imported_fronts() -> tuple[dict[str, FrontArtifact], list[str]]:
    """As ``imported``, of fronts."""
    found, problems = _imported_fronts(artifacts.imported_dir(), _stamps())
    return dict(found), list(problems)


def broken() -> dict[Path, str]:
    """Folders among the imported artifacts that hold none which can be shown, and why."""
    sound = {artifact.folder for artifact in imported()[0].values()}
    sound |= {artifact.folder for artifact in imported_fronts()[0].values()}
    reasons = {}
    for folder in (artifacts.imported_dir() / name for name, _ in _stamps()):
        if not any(one.is_relative_to(folder) for one in sound):
            try:
                reason = soundness.read(folder).unfinished or "it has another's id"
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


@lru_cache(maxsize=1)
def _imported_fronts(
    folder: Path, _stamps: tuple[tuple[str, int], ...]
) -> tuple[dict[str, FrontArtifact], list[str]]:
    return front_artifacts.scan(folder) if _stamps else ({}, [])


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


def pack(found: Sequence[Answer | FrontAnswer], answers: Answers | FrontAnswers) -> bytes:
    """Finished runs and fronts as a zip file with a folder for each, named by its id.

    Args:
        answers: of either kind; what is not an artifact yet is read from its store.

    Raises:
        InputError: for one that is not finished, or that cannot be read.
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


def _files(
    answer: Answer | FrontAnswer, answers: Answers | FrontAnswers
) -> Iterable[tuple[str, bytes]]:
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
            if isinstance(answer, FrontAnswer):
                _write_own_front(Path(scratch), answer, FrontAnswers(answers.store, {}))
            else:
                _write_own(Path(scratch), answer, Answers(answers.store, {}))
            yield from _read_files(Path(scratch))
    except OSError as error:
        raise InputError(f"run {answer.config.id} cannot be exported ({error})") from error


def _read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    main, *side = soundness.tables(folder)
    there = [main, *(name for name in side if f"{name}_blake2b" in manifest)]
    for name in (MANIFEST, *(f"{one}.parquet" for one in there)):
        yield name, (folder / name).read_bytes()


def _write_own(folder: Path, answer: Answer, answers: Answers) -> None:
    assert answer.record is not None
    info = {"factors": {}, **_info(answer.record), "notes": answers.notes(answer)}
    side = {name: answers.side(name, answer) for name in SIDE_TABLES}
    artifacts.write(folder, answer.config, answers.trajectory(answer), info, side)


def _write_own_front(folder: Path, answer: FrontAnswer, answers: FrontAnswers) -> None:
    assert answer.record is not None
    tables, info = answers.tables(answer), _info(answer.record)
    front_artifacts.write(folder, answer.config, tables.front, tables.transfers, info)


def _info(record: RunRecord | FrontRecord) -> dict[str, Any]:
    """What a manifest says of a run that is done."""
    finished = record.finished_at or record.queued_at
    return {
        # A worker that lost its data at the end could not say.
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(finished)),
        "device": "unknown",
        "versions": dict.fromkeys(("python", "torch", "numpy"), "unknown"),
        "data_fingerprint": "unknown",
        **record.info,
        "duration_seconds": round(record.seconds, 3),
    }
