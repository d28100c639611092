"""Who keeps a file locked, as far as Linux tells it to this user; elsewhere nobody is named."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["holders"]

_MOST_NAMED = 4
_MOST_LETTERS = 60  # of a command
_LOCK = re.compile(r"\d+: +\w+ +\w+ +WRITE +(\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) ")


def holders(path: Path) -> list[str]:
    """Processes that hold a lock on an SQLite file for writing; else others that have it open.

    Returns:
        For each its command and process id, such as ``sqlite3 runs.db (process 4711)``.
    """
    files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal", ".lock")]
    found = _locking(files) or _opening(files)
    return [f"{_command(pid)} (process {pid})" for pid in found[:_MOST_NAMED]]


def _locking(files: Iterable[Path]) -> list[int]:
    inodes = set()
    for file in files:
        try:
            inodes.add(file.stat().st_ino)
        except OSError:
            continue
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    locks = (_LOCK.match(line) for line in lines)
    held = [int(lock[1]) for lock in locks if lock and int(lock[2]) in inodes]
    return sorted({pid for pid in held if pid > 0})


def _opening(files: Iterable[Path]) -> list[int]:
    """Other processes of this user that have one of the files open."""
    names = {os.path.realpath(file) for file in files}
    found = []
    try:
        processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
    for pid in processes:
        if pid == os.getpid():
            continue
        try:
            open_files = [
                os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")
            ]
        except OSError:
            continue  # another user's, or it has just ended
        if names.intersection(open_files):
            found.append(pid)
    return found


def _command(pid: int) -> str:
    if pid == os.getpid():
        return "this app itself"
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "a program"
    text = " ".join(word.decode(errors="replace") for word in words if word)
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    first, _, rest = text.partition(" ")
    said = f"{os.path.basename(first)} {rest}".strip() or "a program"
    return said if len(said) <= _MOST_LETTERS else f"{said[:_MOST_LETTERS]}…"
