"""Soundness: whether an artifact that may come from anybody can be shown.

It is never unpickled, it may not take more memory than a run of ours would, and what pages show of
it is plain text.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_core import checks
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs.kinds import KINDS
from mtl_core.runs.library import artifacts, folders, older
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.folders import MANIFEST

__all__ = ["MOST_BYTES", "MOST_FILE_BYTES", "MOST_ROWS", "checked", "too_large"]

MOST_BYTES = 96 * 2**20  # of an artifact's tables, in memory
MOST_FILE_BYTES = 32 * 2**20  # of one file, unpacked
MOST_ROWS = 2_000_000  # of one table
_MOST_LETTERS = 2_000  # of a word in a table
_MOST_NOTES = 200
_MOST_NAMES = 100  # of versions, and of quantities
_MOST_MANIFEST = 4 * 2**20  # bytes
_MOST_SECONDS = 1e10  # that runs have taken
_MOST_PLACE = 60  # letters of a folder's name in a message


def checked(folder: Path, place: str) -> Artifact:
    """A finished artifact in ``folder`` whose every part may be shown.

    Args:
        folder: a copy of ours; one of an older schema is converted in it.
        place: what the user calls it, for messages.

    Raises:
        InputError: naming the place and what is wrong.
    """
    plain = len(place) <= _MOST_PLACE and place.isprintable()
    where = "" if place in ("", ".") else f"{place if plain else quoted(place)}: "
    try:
        if not (folder / MANIFEST).is_file():
            raise InputError(f"it lacks {MANIFEST}")
        if (size := (folder / MANIFEST).stat().st_size) > _MOST_MANIFEST:
            raise InputError(f"{MANIFEST} has {size / 2**20:,.0f} MB, above the limit of 4 MB")
        tables = sorted(folder.glob("*.parquet"))
        for table in tables:
            _check_size(table)
        if older.is_older(folder):
            artifacts.write(folder, older.read(folder))
        artifact = artifacts.read(folder)
        _check_manifest(artifact)
        _check_tables(artifact)
        for table in filter(Path.exists, tables):
            if table.stem not in artifact.kind.tables:
                raise InputError(f"{table.name} is not a table of a {artifact.kind.noun}")
            if table.stem not in artifact.manifest["tables"]:
                raise InputError(f"{table.name} is not in the manifest")
    except InputError as error:
        words = folders.brief(error).removeprefix(f"artifact {folder.name}").lstrip(": ")
        raise InputError(f"{where}{words}") from error
    if artifact.unfinished is not None:
        what = f"{artifact.kind.noun} {artifact.config.id}"
        raise InputError(f"{where}{what} is unfinished: {folders.brief(artifact.unfinished)}")
    return artifact


def _check_size(path: Path) -> None:
    """Whether a table may be read at all: small files can hold large ones."""
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
            lengths = pyarrow.compute.utf8_length(part.dictionary)
            if (pyarrow.compute.max(lengths).as_py() or 0) > _MOST_LETTERS:
                raise InputError(f"{path.name} has words of more than {_MOST_LETTERS} letters")
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        if isinstance(error, (InputError, MemoryError)):
            raise
        raise InputError(f"{path.name} cannot be read ({folders.first_line(error)})") from error


def _check_tables(artifact: Artifact) -> None:
    """Whether its tables have no more rows than its experiment, and find room in memory."""
    size, most = 0, artifact.kind.most_rows(artifact.config)
    for name in artifact.kind.tables:
        table = artifact.table(name)
        if len(table) > most.get(name, MOST_ROWS):
            raise InputError(
                f"{name}.parquet has {len(table):,} rows, more than its config's {most[name]:,}"
            )
        size += int(table.memory_usage().sum())
    if size > MOST_BYTES:
        raise InputError(too_large("it", size, MOST_BYTES))


def _check_manifest(artifact: Artifact) -> None:
    """Whether all that pages show of it is there, and of the type that they expect."""
    if artifact.manifest["numbers"] != "measured":
        raise InputError("it says that its numbers were published; only those that ship may")
    if len(artifact.notes) > _MOST_NOTES or len(artifact.made) > len(artifact.config.seeds):
        raise InputError(f"{MANIFEST} says more than there can be to say")
    _check_words("config", artifact.config.to_dict())
    for text in artifact.notes:
        checks.plain_text("notes", text)
    for group in artifact.made:
        _check_origin(group)


def _quantities() -> list[str]:
    """What runs of any kind measure: columns of their tables."""
    tables = [table for kind in KINDS.values() for table in kind.tables.values()]
    measured = (n for t in tables for n in t.given if n not in (*t.words, "seed", "step"))
    return list(dict.fromkeys(measured))


def _check_origin(made: Mapping[str, Any]) -> None:
    for name in ("created", "device", "versions", "data_fingerprint"):
        if name not in made:
            raise InputError(f"{MANIFEST} lacks {name!r}")
    try:
        time.strptime(str(made["created"])[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise InputError(f"created {quoted(made['created'])} is not a time") from None
    seconds = checks.finite("duration_seconds", made.get("duration_seconds", 0.0))
    if not 0 <= seconds <= _MOST_SECONDS:
        raise InputError(f"duration_seconds {seconds:g} is not a length of time")
    for name in ("versions", "factors"):
        if not isinstance(texts := made.get(name, {}), dict):
            raise InputError(f"{name} {quoted(texts)} are not an object")
        if len(texts) > _MOST_NAMES:
            raise InputError(f"{name} has {len(texts):,} names, above the limit of {_MOST_NAMES}")
        for key, text in texts.items():
            checks.plain_text(name, key)
            checks.plain_text(name, text)
    if foreign := sorted({*made.get("factors", {})} - {*_quantities()}):
        raise unknown("factor", foreign[0], _quantities())
    for name in ("created", "device", "data_fingerprint"):
        checks.plain_text(name, made[name])


def _check_words(name: str, value: object) -> None:
    """Check all texts in plain JSON values, keys included."""
    if isinstance(value, str):
        checks.plain_text(name, value)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            checks.plain_text(name, key)
            _check_words(key, one)
    elif isinstance(value, Sequence):
        for one in value:
            _check_words(name, one)


def too_large(what: str, size: int, most: int) -> str:
    """The message on a file that would take more room than so many bytes."""
    return f"{what} unpacks to {size / 2**20:,.0f} MB or more, above the limit of {most >> 20} MB"
