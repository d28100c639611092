"""Remembered: which artifacts this version found sound before, so that fewer tables are checked.

Checking every table of hundreds of artifacts takes longer than all else that a start does. A mark
is a hash of what was checked, a manifest, which names its tables by their hashes, and of the code
that checked it. The files themselves are hashed at every start: of damaged ones nothing is
remembered.
"""

import atexit
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mtl_core.runs.library import folders
from mtl_core.runs.queue.file import default_path

__all__ = ["keep", "mark", "sound", "was_sound"]

MOST = 50_000
"""Marks that are kept, the newest; a line of 33 bytes each."""
_MANY = 64
"""New ones that are written down at once; fewer wait for others, or for the process's end."""
_PACKAGES = ("numpy", "pandas", "pyarrow")
_new: dict[str, None] = {}
"""Found by this process and not written down yet, in order."""


def mark(manifest: Mapping[str, Any]) -> str:
    """32 hex digits of a manifest and of this version."""
    said = f"{folders.manifest_digest(manifest)}{_code()}"
    return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()


def was_sound(mark: str) -> bool:
    """Whether an artifact with this mark was found sound, by this process or an earlier one."""
    return mark in _known(_file()) or mark in _new


def sound(mark: str) -> None:
    """An artifact with this mark was found sound."""
    _new[mark] = None
    if len(_new) >= _MANY:
        keep()


@atexit.register
def keep() -> None:
    """Writes down what was found, beside the store; without a place to write all is read again."""
    if not _new:
        return
    file = _file()
    _known.cache_clear()
    marks = dict.fromkeys([*_known(file), *_new])
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("".join(f"{one}\n" for one in list(marks)[-MOST:]))
        os.replace(part, file)
        _new.clear()
    _known.cache_clear()


def _file() -> Path:
    return default_path().with_name("sound.txt")


@lru_cache(maxsize=4)
def _known(file: Path) -> Mapping[str, None]:
    try:
        return dict.fromkeys(file.read_text().split())
    except (OSError, ValueError):
        return {}


@cache
def _code() -> str:
    """A hash of this package's code, and of those that read tables for it."""
    total = hashlib.blake2b(digest_size=16)
    package = Path(__file__).parents[2]
    for file in sorted(package.rglob("*.py")):
        total.update(f"{file.relative_to(package)}\n".encode())
        total.update(file.read_bytes())
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            total.update(f"{name} {version(name)}\n".encode())
    return total.hexdigest()
