"""Connections to a store's file that stay open: opening one, and closing the last, is slow.

The last connection to close writes the whole log back and waits for the disk, which takes far
longer than a write. So a few stay open, for whichever thread comes next.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MOST_IDLE", "Connections"]

MOST_IDLE = 4
"""Connections that stay open while nobody uses them."""

File = tuple[int, int] | None
"""Which file a path leads to; None for none."""
Idle = list[tuple[sqlite3.Connection, File, File]]
"""Connections, each with the store's file and its log as they were when it was given back."""
_of_parents: list[sqlite3.Connection] = []
"""Connections of the process that this one was forked from: to use or to close one here would
break the locks that the parent counts on, so they are kept until the end."""


class Connections:
    """Lends each connection to one thread at a time.

    Args:
        path: the file. Where it was deleted or replaced, or its log was, no connection to the
            former one is lent any more.
        connect: opens one that may be used in any thread.
    """

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._path = path
        self._connect = connect
        self._lock = threading.Lock()
        self._idle: Idle = []
        self._process = os.getpid()
        weakref.finalize(self, _close, self._idle, self._process)

    @contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """A connection outside any transaction. Raises sqlite3.Error where there can be none."""
        file = _identity(self._path)
        db = self._taken(file) or self._connect()
        try:
            yield db
        except BaseException:
            db.close()  # whatever was wrong with it, the next one begins anew
            raise
        self._give(db, file)

    def _taken(self, file: File) -> sqlite3.Connection | None:
        """One that was given back, if it is to this file and its log of today."""
        log = _identity(self._log)
        with self._lock:
            if self._process != os.getpid():
                _of_parents.extend(one[0] for one in self._idle)
                self._idle, self._process = [], os.getpid()
                weakref.finalize(self, _close, self._idle, self._process)
            while self._idle:
                db, *known = self._idle.pop()
                if known == [file, log]:
                    return db
                db.close()
        return None

    def _give(self, db: sqlite3.Connection, file: File) -> None:
        log = _identity(self._log)
        with self._lock:
            if len(self._idle) < MOST_IDLE and self._process == os.getpid():
                self._idle.append((db, file, log))
                return
        db.close()

    @property
    def _log(self) -> Path:
        return Path(f"{self._path}-wal")


def _identity(path: Path) -> File:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(idle: Idle, process: int) -> None:
    """Close what is left; not in a fork, where they are another process's."""
    if process != os.getpid():
        _of_parents.extend(one[0] for one in idle)
        return
    for db, *_ in idle:
        db.close()
    idle.clear()
