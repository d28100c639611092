"""Folders: tables and what is said of them, on disk.

A folder holds Parquet files and ``manifest.json``, which names each by its hash. Nothing in it is
ever unpickled, and everything is checked before it is shown.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mtl_core.errors import InputError, quoted
from mtl_core.runs.queue.records import AnyConfig

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MANIFEST",
    "SCRATCH",
    "check_without",
    "check_writable",
    "clear",
    "digest",
    "first_line",
    "manifest",
    "table",
    "tables",
    "write",
]

MANIFEST = "manifest.json"
SCRATCH = ".part-"


class _Unfinished(Protocol):
    @property
    def unfinished(self) -> str | None: ...

    @property
    def config(self) -> AnyConfig: ...


Artifact = TypeVar("Artifact", bound=_Unfinished)

_MAIN = "table_blake2b"
_KINDS = ("measured", "published")


def write(
    folder: Path,
    head: Mapping[str, Any],
    name: str,
    main: "pd.DataFrame",
    side: "Mapping[str, pd.DataFrame]",
) -> Path:
    """Write tables into ``folder``: afterwards it holds all of them, or has no manifest.

    Args:
        head: what the manifest says beside the tables: ``schema_version``, ``kind``, ….
        name: of the main table, whose columns the manifest lists.
        side: other tables by name; those without rows are left out.

    Raises:
        InputError: when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            filled = {name: main} | {other: rows for other, rows in side.items() if len(rows)}
            for one, rows in filled.items():
                rows.to_parquet(_file(scratch, one), index=False, compression="zstd")
            said = {
                **head,
                "rows": len(main),
                "columns": list(main.columns),
                _MAIN: digest(_file(scratch, name)),
                **{f"{one}_blake2b": digest(_file(scratch, one)) for one in filled if one != name},
            }
            text = Path(scratch) / MANIFEST
            content = json.dumps(said, indent=2, ensure_ascii=False) + "\n"
            text.write_text(content, encoding="utf-8")
            # The manifest goes first and comes last: it is what makes the folder an artifact.
            (folder / MANIFEST).unlink(missing_ok=True)
            for one in dict.fromkeys((name, *side)):
                _file(folder, one).unlink(missing_ok=True)
                if one in filled:
                    os.replace(_file(scratch, one), _file(folder, one))
            os.replace(text, folder / MANIFEST)
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder") from error
    return folder


def clear(folder: Path) -> None:
    """Remove what was left in ``folder`` by a process that was killed while it wrote."""
    for scratch in folder.glob(f"{SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Raises InputError, before hours of training, when ``folder`` cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder") from error


def check_without(folder: Path, table: str) -> None:
    """Raises InputError when ``folder`` holds the table of another kind of artifact."""
    if (folder / table).exists():
        raise InputError(f"{folder} holds another artifact, with {table}; choose another folder")


def manifest(folder: Path, schema: int) -> dict[str, Any]:
    """What a folder's manifest says; raises InputError for one of another schema, or none."""
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{MANIFEST} is not JSON ({first_line(error)})") from error
    if not isinstance(found, dict):
        raise InputError(f"{MANIFEST} is not a JSON object but {quoted(found)}")
    if (version := found["schema_version"]) != schema:
        raise InputError(f"schema {quoted(version)} is not {schema}; export it anew")
    if not isinstance(found.get("notes", []), list):
        raise InputError(f"notes {quoted(found['notes'])} are not a list")
    if not isinstance(found.get("factors", {}), dict):
        raise InputError(f"factors {quoted(found['factors'])} are not an object")
    if found["kind"] not in _KINDS:
        raise InputError(f"kind {quoted(found['kind'])} is none of: {', '.join(_KINDS)}")
    return found


@contextmanager
def checking(folder: Path) -> Iterator[None]:
    """Whatever is wrong with what is read inside becomes an InputError that names the folder."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"artifact {folder.name}: {MANIFEST} lacks {error}") from error
    except InputError as error:
        raise InputError(f"artifact {folder.name}: {error}") from error
    except OSError as error:
        raise InputError(f"artifact {folder.name} cannot be read ({error})") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"artifact {folder.name}: {first_line(error)}") from error


def stamps(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """What changes when a file of a folder does: name, time, size and inode of each.

    Raises:
        InputError: where it cannot be read.
    """
    try:
        found = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except OSError as error:
        raise InputError(f"artifact {folder.name} cannot be read ({error})") from error
    return tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in found)


def scan(
    found: Iterable[Path], read: "Callable[[Path], Artifact]"
) -> "tuple[dict[str, Artifact], list[str]]":
    """Finished artifacts by id, and what was skipped.

    Args:
        found: files, one in each folder that may be an artifact.
        read: a folder to its artifact; raises InputError.
    """
    artifacts: dict[str, Artifact] = {}
    problems: list[str] = []
    for folder in (file.parent for file in sorted(found)):
        if folder.name.startswith(SCRATCH):
            continue  # left by a process that was killed while it wrote
        try:
            artifact = read(folder)
        except InputError as error:
            problems.append(str(error))
            continue
        if artifact.unfinished is not None:
            problems.append(f"artifact {folder.name} is unfinished: {artifact.unfinished}")
        else:
            artifacts[artifact.config.id] = artifact
    return artifacts, problems


def tables(found: Mapping[str, Any], main: str) -> list[str]:
    """Names of the tables that a manifest speaks of, the main one first."""
    ends = "_blake2b"
    side = [name.removesuffix(ends) for name in found if name.endswith(ends) and name != _MAIN]
    return [main, *side]


def table(
    path: Path, columns: tuple[str, ...], tidied: "Callable[[pd.DataFrame], pd.DataFrame]"
) -> "pd.DataFrame":
    """A table with these columns and no others. Raises InputError for anything else."""
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(path)
        if found.column_names != list(columns):
            raise InputError(f"the columns of {path.name} are not {', '.join(columns)}")
        return tidied(found.to_pandas(ignore_metadata=True))
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} cannot be read ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """Of what an error says."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:120]


def digest(path: Path) -> str:
    """32 hex digits of a file's hash."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _file(folder: Path | str, name: str) -> Path:
    return Path(folder) / f"{name}.parquet"
