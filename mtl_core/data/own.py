"""A user's own files: where they may lie, and how they are opened.

On the command line and in notebooks a file is named by its path. The app names files in links,
which anybody may write, so there it takes them from one folder only: ``own/`` in the data folder.
"""

import os
import re
import stat
from pathlib import Path

from mtl_core.data.sources import data_dir
from mtl_core.errors import InputError, quoted

__all__ = [
    "called",
    "content",
    "folder",
    "located",
    "most_bytes",
    "names",
    "only",
    "plain",
    "restricted",
    "shared",
]

_MOST_BYTES = 64 * 2**20
_MOST_BYTES_IN_APP = 20 * 2**20
_ONLY = "MTL_FILES"
_MOST_LETTERS = 100  # of a file's name
_NAME = re.compile(r"[^\W_][\w .()+-]*")


def only() -> None:
    """From now on this process, and those that it starts, open files of ``own/`` and no others.

    The app and its worker call it first.
    """
    os.environ[_ONLY] = "own"


def restricted() -> bool:
    """Whether files are taken from ``own/`` only."""
    return os.environ.get(_ONLY) == "own"


def shared() -> bool:
    """Whether strangers bring files."""
    return os.environ.get("MTL_SHARED", "").strip().lower() in ("1", "true", "yes", "on")


def folder() -> Path:
    """Where the app's own files lie; it need not be there."""
    return data_dir() / "own"


def most_bytes() -> int:
    """The largest file that is read."""
    return _MOST_BYTES_IN_APP if restricted() else _MOST_BYTES


def plain(name: str) -> bool:
    """Whether a text is a name that a file in ``own/`` may have."""
    short = len(name) <= _MOST_LETTERS and not name.endswith((" ", "."))
    return short and _NAME.fullmatch(name) is not None


def located(name: str | Path) -> Path:
    """Where a file lies that somebody names: a path, or in the app a name in ``own/``.

    Raises:
        InputError: for what no file can be called, and in the app for anything but a plain name.
    """
    if restricted():
        text = str(name)
        if not plain(text):
            raise InputError(
                f"{quoted(text)} is not the name of a file in the app's folder own; upload the "
                "file, or have it put there and give its name alone"
            )
        return folder() / text
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise InputError(f"{quoted(str(name))}: {error}") from None


def content(path: Path, most: int | None = None) -> bytes:
    """All of a file, which is regular and no larger than ``most``, by default ``most_bytes()``.

    Messages call it as ``called`` does.

    Raises:
        InputError: where it is not there, or not so.
    """
    name, most = called(path), most or most_bytes()
    # Not to wait for a pipe's other end, nor to be led out of the folder by a link.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if restricted():
        flags |= getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        way_out = "upload it" if restricted() else "name a file that is there"
        raise InputError(f"there is no file {name}; {way_out}") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name} cannot be read ({why}); name another file") from None
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{name} cannot be read (Is a directory); name a file")
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InputError(f"{name} cannot be read (it is not a regular file); name another file")
        # What a file says of its size need not be so.
        found = file.read(most + 1)
    if len(found) > most:
        raise InputError(
            f"{name} has more than {most >> 20} MB, which is the limit; take a smaller file"
        )
    return found


def called(path: Path) -> str:
    """What messages call a file: its path, and in the app only its name."""
    return path.name if restricted() else str(path)


def names(ending: str | tuple[str, ...]) -> list[str]:
    """The files in ``own/`` that have an ending, such as ``.csv``, or one of several, by name."""
    try:
        with os.scandir(folder()) as found:
            return sorted(
                entry.name
                for entry in found
                if entry.name.lower().endswith(ending)
                and _NAME.fullmatch(entry.name)
                and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return []
