"""Folders: tables on disk, with a manifest that describes them.

A folder holds Parquet files and ``manifest.json``, which names each by its hash, and has one of its
own. Nothing in it is ever unpickled, and everything is checked before it is shown.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.errors import InputError, quoted
from mtl_core.runs.kinds import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MANIFEST",
    "SCRATCH",
    "brief",
    "check_manifest",
    "check_writable",
    "checking",
    "checking_text",
    "clear",
    "digest",
    "first_line",
    "found",
    "manifest",
    "manifest_digest",
    "stamps",
    "table",
    "write",
    "write_text",
]

MANIFEST = "manifest.json"
SCRATCH = ".part-"
_MOST_LETTERS = 400  # of a message that quotes a file from anywhere

Stamps = tuple[tuple[str, int, int, int], ...]


def write(folder: Path, head: Mapping[str, Any], tables: "Mapping[str, pd.DataFrame]") -> Path:
    """Write tables into ``folder``: afterwards it holds all of them, or has no manifest.

    Args:
        head: the manifest's other fields: ``schema_version``, ``kind``, ….
        tables: by name; those without rows are left out, and a file of theirs is removed.

    Raises:
        InputError: when the folder cannot be written.
    """
    filled = {name: rows for name, rows in tables.items() if len(rows)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            for name, rows in filled.items():
                rows.to_parquet(_file(scratch, name), index=False, compression="zstd")
            said = {
                name: {
                    "rows": len(rows),
                    "columns": list(rows.columns),
                    "blake2b": digest(_file(scratch, name)),
                }
                for name, rows in filled.items()
            }
            text = Path(scratch) / MANIFEST
            whole = {**head, "tables": said}
            whole["blake2b"] = manifest_digest(whole)
            content = json.dumps(whole, indent=2, ensure_ascii=False) + "\n"
            text.write_text(content, encoding="utf-8")
            # The manifest goes first and comes last: it is what makes the folder an artifact.
            (folder / MANIFEST).unlink(missing_ok=True)
            for name in tables:
                _file(folder, name).unlink(missing_ok=True)
                if name in filled:
                    os.replace(_file(scratch, name), _file(folder, name))
            os.replace(text, folder / MANIFEST)
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder") from error
    return folder


def write_text(path: Path, said: Mapping[str, Any], *, indent: int) -> Path:
    """Write plain JSON values into a file of its own, whole or not at all.

    Raises:
        InputError: when that is impossible.
    """
    part = path.with_suffix(f".part-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(said, indent=indent, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error}); choose another folder") from error
    return path


def found(root: Path) -> list[Path]:
    """Folders below ``root`` with a manifest, but those that are being written, or were once."""
    manifests = sorted(root.glob(f"**/{MANIFEST}"))
    return [
        manifest.parent
        for manifest in manifests
        if not any(part.startswith(SCRATCH) for part in manifest.relative_to(root).parts)
    ]


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


def manifest(folder: Path) -> dict[str, Any]:
    """What a folder's manifest says; raises InputError where there is none."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{MANIFEST} is not JSON ({first_line(error)})") from error
    if not isinstance(found, dict):
        raise InputError(f"{MANIFEST} is not a JSON object but {quoted(found)}")
    return found


def check_manifest(said: Mapping[str, Any]) -> None:
    """Raises InputError for a manifest that is not as it was written; older ones do not tell."""
    try:
        as_written = "blake2b" not in said or said["blake2b"] == manifest_digest(said)
    except RecursionError:
        as_written = False
    if not as_written:
        raise InputError(
            f"{MANIFEST} is not as it was written, by its hash; take the artifact from its source "
            "again"
        )


def manifest_digest(said: Mapping[str, Any]) -> str:
    """32 hex digits of the hash of what a manifest says, but for the hash itself."""
    others = {name: value for name, value in said.items() if name != "blake2b"}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def checking(folder: Path) -> Iterator[None]:
    """Errors of reading inside become an InputError that names the folder."""
    try:
        yield
    except KeyError as error:
        raise InputError(f"artifact {folder.name}: {MANIFEST} lacks {error}") from error
    except InputError as error:
        raise InputError(f"artifact {folder.name}: {brief(error)}") from error
    except OSError as error:
        raise InputError(f"artifact {folder.name} cannot be read ({error})") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"artifact {folder.name}: {first_line(error)}") from error


@contextmanager
def checking_text(what: str) -> Iterator[None]:
    """The same of a JSON file of ``write_text``; ``what`` names it where a sentence starts."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{what}: {brief(error)}") from error
    except (
        OSError,
        ArithmeticError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise InputError(f"{what} cannot be read ({first_line(error)})") from error


def stamps(folder: Path) -> Stamps:
    """What changes when a file of a folder does: name, time, size and inode of each.

    Raises:
        InputError: where it cannot be read.
    """
    try:
        found = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except OSError as error:
        raise InputError(f"artifact {folder.name} cannot be read ({error})") from error
    return tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in found)


def table(path: Path, form: Table) -> "pd.DataFrame":
    """A table with this form's columns and no others; derived ones may be missing.

    Raises:
        InputError: for anything else, and for a derived column that contradicts its source.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(path)
        there = set(found.column_names) | set(form.given)
        if found.column_names != [name for name in form.columns if name in there]:
            raise InputError(f"the columns of {path.name} are not {', '.join(form.columns)}")
        rows = found.to_pandas(ignore_metadata=True)
        if name := form.contradiction(rows):
            source = form.derived[name].source
            raise InputError(f"{name} of {path.name} is not what follows from its {source}")
        return form.tidied(rows)
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        if isinstance(error, (InputError, MemoryError)):
            raise
        raise InputError(f"{path.name} cannot be read ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, shortened."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:120]


def brief(said: object) -> str:
    """An error's message on one line, shortened where it quotes much of a strange file."""
    text = " ".join(str(said).split())
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"


def digest(path: Path) -> str:
    """32 hex digits of a file's hash."""
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _file(folder: Path | str, name: str) -> Path:
    return Path(folder) / f"{name}.parquet"
