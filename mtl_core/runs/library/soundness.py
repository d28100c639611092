"""Soundness: whether an artifact that may come from anybody can be shown.

It is never unpickled, it may not take more memory than a run of ours would, and what pages show of
it is plain text.
"""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs import front_artifacts
from mtl_core.runs.front_artifacts import FrontArtifact
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.trajectory import FACTORS, SIDE_TABLES

__all__ = [
    "MANIFEST",
    "MOST_FILE_BYTES",
    "MOST_ROWS",
    "TABLES",
    "AnyArtifact",
    "checked",
    "is_front",
    "read",
    "tables",
    "too_large",
]

AnyArtifact = Artifact | FrontArtifact

MANIFEST = folders.MANIFEST
RUN_TABLES = ("trajectory", *SIDE_TABLES)
FRONT_TABLES = ("front", "transfers")
TABLES = (*RUN_TABLES, *FRONT_TABLES)
MOST_FILE_BYTES = 32 * 2**20  # of one file, unpacked
MOST_ROWS = 2_000_000  # of one table
_MOST_LETTERS = 2_000  # of a word in a table, or a text in a manifest


def is_front(folder: Path) -> bool:
    """Whether what a folder holds is a front, sound or not; else it is a run."""
    return (folder / f"{FRONT_TABLES[0]}.parquet").exists()


def tables(folder: Path) -> tuple[str, ...]:
    """Names of the tables that it may have, the main one first."""
    return FRONT_TABLES if is_front(folder) else RUN_TABLES


def read(folder: Path) -> AnyArtifact:
    """``read`` of either kind; raises InputError."""
    return front_artifacts.read(folder) if is_front(folder) else artifacts.read(folder)


def checked(folder: Path, place: str) -> AnyArtifact:
    """A finished artifact in ``folder`` whose every part may be shown.

    Args:
        place: what the user calls the folder, for messages.

    Raises:
        InputError: naming the place and what is wrong.
    """
    where = "" if place in ("", ".") else f"{place}: "
    kind, names = "front" if is_front(folder) else "run", tables(folder)
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{where}it lacks {MANIFEST}")
    if not (folder / f"{names[0]}.parquet").is_file():
        raise InputError(f"{where}it lacks {names[0]}.parquet, or front.parquet of a front")
    try:
        for table in sorted(folder.glob("*.parquet")):
            if table.stem not in names:
                raise InputError(f"{table.name} is no table of a {kind}")
            _check_size(table)
        artifact = read(folder)
        _check_manifest(artifact.manifest)
        if isinstance(artifact, FrontArtifact):
            # Names of a user's columns, which pages show.
            for name, value in artifact.config.problem_options:
                _check_text("problem option", f"{name}={value}")
        for name in names[1:]:
            listed = artifact.manifest.get(f"{name}_blake2b") is not None
            if not listed and (folder / f"{name}.parquet").exists():
                raise InputError(f"{name}.parquet is not in the manifest")
    except InputError as error:
        words = str(error).removeprefix(f"artifact {folder.name}").lstrip(": ")
        raise InputError(f"{where}{words}") from error
    if artifact.unfinished is not None:
        run = artifact.config.id
        raise InputError(f"{where}{kind} {run} is unfinished: {artifact.unfinished}")
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
            raise InputError(too_large(path.name, size, MOST_FILE_BYTES))
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
        raise InputError(f"{path.name} cannot be read ({folders.first_line(error)})") from error


def _check_manifest(manifest: Mapping[str, Any]) -> None:
    """Whether what pages show of it is there, and of the kind that they expect."""
    for name in ("created", "device", "versions", "data_fingerprint"):
        if name not in manifest:
            raise InputError(f"{MANIFEST} lacks {name!r}")
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


def too_large(what: str, size: int, most: int) -> str:
    """The words for what would take more room than it may, in bytes."""
    return f"{what} unpacks to {size / 2**20:,.0f} MB or more, above the limit of {most >> 20} MB"
