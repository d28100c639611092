"""Classes: the guesses of many browsers at the steps of a lesson, kept for a day without names.

A file of its own beside the store of runs, so that neither's schema depends on the other. Who
guessed is kept as a keyed hash that differs from class to class, so that a row says nothing of
anybody, and no two classes can be put side by side.
"""

import hashlib
import re
import secrets
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mtl_core.errors import InputError, StoreError
from mtl_core.kept import Kept

__all__ = [
    "LASTS_HOURS",
    "LETTERS",
    "LONGEST_GUESS",
    "MOST_CLASSES",
    "MOST_GUESSES",
    "MOST_MINUTE",
    "MOST_OWN",
    "MOST_TRIES",
    "Class",
    "Classes",
    "written",
]

LASTS_HOURS = 24
"""After which a class has ended; its rows are removed by whatever is asked next."""
MOST_CLASSES = 100
"""Of all visitors, at a time."""
MOST_OWN = 5
"""Of one visitor, at a time."""
MOST_GUESSES = 5_000
"""In a class, of all steps together."""
MOST_MINUTE = 60
"""Guesses of one browser in a minute, changed ones included."""
MOST_TRIES = 120
"""Wrong codes in a minute, of all visitors together."""
LONGEST_GUESS = 40
"""Characters; a guess is no free text."""
LONGEST_STEP = 80
"""Characters of a step's name."""

LETTERS = "BCDFGHJKMNPQRTVWXZ"
"""Of codes: none that is read for another or for a digit, and no vowels, so that none is a word."""
_LENGTH = 8  # 10^10 codes; at MOST_TRIES a minute nobody finds one of a hundred in a day
_CODE = re.compile(f"[{LETTERS}]{{{_LENGTH}}}")
_MINUTE = 60.0
_MOST_REMEMBERED = 10_000
_PATIENCE = 5

_SCHEMA = """
CREATE TABLE IF NOT EXISTS classes (
    code TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    salt BLOB NOT NULL,
    opened_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS guesses (
    code TEXT NOT NULL REFERENCES classes (code) ON DELETE CASCADE,
    step TEXT NOT NULL,
    who TEXT NOT NULL,
    guess TEXT NOT NULL,
    PRIMARY KEY (code, step, who)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Class:
    """A class that goes on.

    Args:
        presents: whether the visitor who asks opened it.
        opened_at: in seconds since 1970.
    """

    code: str
    presents: bool
    opened_at: float


class Classes:
    """The classes of this server.

    Args:
        path: of an SQLite file, created when it is not there.

    Raises:
        StoreError: by every method, when the file cannot be created, read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, visitor: str) -> Class:
        """A new class, which its visitor presents. Raises InputError where there are too many."""
        now = time.time()
        with self._file() as db:
            _end_old(db, now)
            owners = [owner for (owner,) in db.execute("SELECT owner FROM classes")]
            if owners.count(_keyed(b"", visitor)) >= MOST_OWN:
                raise InputError(f"you present {MOST_OWN} classes already; end one of them first")
            if len(owners) >= MOST_CLASSES:
                raise InputError(
                    f"this server has {MOST_CLASSES} classes, which is the most; each ends after "
                    f"{LASTS_HOURS} hours"
                )
            code = "".join(secrets.choice(LETTERS) for _ in range(_LENGTH))
            row = (code, _keyed(b"", visitor), secrets.token_bytes(16), now)
            db.execute("INSERT INTO classes VALUES (?, ?, ?, ?)", row)
        return Class(code, presents=True, opened_at=now)

    def find(self, code: str, visitor: str) -> Class:
        """The class of a code as somebody has written it.

        Raises:
            InputError: when there is none, it has ended, or too many wrong codes were tried.
        """
        with self._file() as db:
            return self._found(db, code, visitor)[0]

    def guess(self, code: str, visitor: str, step: str, guess: str) -> None:
        """Keep a visitor's guess at a step; one from before is replaced.

        Args:
            step: any name of it, the same for all of the class.

        Raises:
            InputError: as ``find`` does, and for too many guesses, or too long ones.
        """
        if len(guess) > LONGEST_GUESS or len(step) > LONGEST_STEP:
            raise InputError(f"a guess of {len(guess)} characters; {LONGEST_GUESS} are the most")
        with self._file() as db:
            found, salt = self._found(db, code, visitor)
            if not _paces.get((found.code, visitor), _Minute).take(MOST_MINUTE):
                raise InputError("your guesses come too quickly for the class; wait a minute")
            who = _keyed(salt, visitor)
            key = (found.code, step, who)
            known = db.execute(
                "SELECT 1 FROM guesses WHERE code = ? AND step = ? AND who = ?", key
            ).fetchone()
            if known is None:
                count = "SELECT count(*) FROM guesses WHERE code = ?"
                if db.execute(count, (found.code,)).fetchone()[0] >= MOST_GUESSES:
                    raise InputError(
                        f"the class has {MOST_GUESSES:,} guesses, which is the most; open another"
                    )
            db.execute("INSERT OR REPLACE INTO guesses VALUES (?, ?, ?, ?)", (*key, guess))

    def guesses(self, code: str, visitor: str, step: str) -> list[str]:
        """All guesses at a step, in no order that tells of anybody; for who presents alone.

        Raises:
            InputError: as ``find`` does, and for anybody else.
        """
        with self._file() as db:
            found = self._owned(db, code, visitor)
            query = "SELECT guess FROM guesses WHERE code = ? AND step = ? ORDER BY guess"
            return [str(guess) for (guess,) in db.execute(query, (found.code, step))]

    def browsers(self, code: str, visitor: str) -> int:
        """How many browsers have guessed at any step; for who presents alone."""
        with self._file() as db:
            found = self._owned(db, code, visitor)
            query = "SELECT count(DISTINCT who) FROM guesses WHERE code = ?"
            return int(db.execute(query, (found.code,)).fetchone()[0])

    def end(self, code: str, visitor: str) -> None:
        """Remove a class and its guesses; for who presents alone."""
        with self._file() as db:
            found = self._owned(db, code, visitor)
            _remove(db, found.code)

    def _found(self, db: sqlite3.Connection, code: str, visitor: str) -> tuple[Class, bytes]:
        _end_old(db, time.time())
        plain = "".join(code.upper().split()).replace("-", "")
        row = None
        # Who has said it before is let in whatever others try.
        if _CODE.fullmatch(plain) and ((plain, visitor) in _members or _tries.room(MOST_TRIES)):
            query = "SELECT owner, salt, opened_at FROM classes WHERE code = ?"
            row = db.execute(query, (plain,)).fetchone()
        if row is None:
            if not _tries.take(MOST_TRIES):
                raise InputError("too many wrong class codes were tried; wait a minute")
            raise InputError(
                "there is no class of this code, or it has ended; ask for its link again, or "
                "leave the class and go on alone"
            )
        _members.add((plain, visitor))
        owner, salt, opened_at = row
        return Class(plain, owner == _keyed(b"", visitor), opened_at), salt

    def _owned(self, db: sqlite3.Connection, code: str, visitor: str) -> Class:
        found, _ = self._found(db, code, visitor)
        if not found.presents:
            raise InputError("only the browser that opened a class sees its guesses")
        return found

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # No autocommit: what is counted and then written is one step for all who write.
            with closing(
                sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
            ) as db:
                db.execute("PRAGMA foreign_keys = ON")
                db.execute("PRAGMA secure_delete = ON")  # what has ended is not left on the disk
                if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'guesses'").fetchone():
                    db.executescript(_SCHEMA)
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                except InputError:
                    db.execute("COMMIT")  # classes that had ended stay removed
                    raise
                db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the classes of this server cannot be kept in {self._path.name}: {error}; whoever "
                "runs it can remove that file"
            ) from error


def written(code: str) -> str:
    """A code as it is read out: in two halves."""
    return f"{code[: _LENGTH // 2]} {code[_LENGTH // 2 :]}"


class _Minute:
    """How often something was done in this minute; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since, self._count = 0.0, 0

    def room(self, most: int) -> bool:
        """Whether it may be done once more."""
        with self._lock:
            return self._now() < most

    def take(self, most: int) -> bool:
        """The same, and count it where it may."""
        with self._lock:
            if self._now() >= most:
                return False
            self._count += 1
            return True

    def _now(self) -> int:
        now = time.monotonic()
        if now - self._since >= _MINUTE:
            self._since, self._count = now, 0
        return self._count


class _Recent:
    """Keys that were seen last, at most so many; for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: OrderedDict[object, None] = OrderedDict()

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._keys

    def add(self, key: object) -> None:
        with self._lock:
            self._keys[key] = None
            self._keys.move_to_end(key)
            while len(self._keys) > _MOST_REMEMBERED:
                self._keys.popitem(last=False)


_tries = _Minute()
_members = _Recent()
_paces: Kept[_Minute] = Kept(most=_MOST_REMEMBERED)
"""Of each browser in each class."""


def _keyed(salt: bytes, visitor: str) -> str:
    return hashlib.blake2b(visitor.encode(), digest_size=12, key=salt).hexdigest()


def _end_old(db: sqlite3.Connection, now: float) -> None:
    ended = "SELECT code FROM classes WHERE opened_at < ? OR opened_at > ?"
    times = (now - LASTS_HOURS * 3600, now + 3600)  # a clock may have been set back
    for (code,) in db.execute(ended, times).fetchall():
        _remove(db, code)


def _remove(db: sqlite3.Connection, code: str) -> None:
    db.execute("DELETE FROM classes WHERE code = ?", (code,))
