"""The store's file: created, checked, brought up to date, set aside when it is damaged."""

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from mtl_core.errors import StoreError
from mtl_core.runs.queue import holders, older
from mtl_core.runs.queue.connections import Connections
from mtl_core.runs.queue.schema import OLDEST, SCHEMA, SCHEMA_VERSION, TABLES

__all__ = ["PATIENCE", "StoreFile", "default_path"]

PATIENCE = 5
"""Seconds until a write that another program holds up is given up; our own take far less."""
_SMALL = ("experiments", "runs", "notes", "former", "workers", "changes")
"""Tables that are checked whenever a file is opened. The others take seconds once they have
millions of rows, have checksums, and are checked when damage was met."""
_VACUUMED = 2_000
"""Pages that are given back at a time, so that nobody waits for all of them."""
_OLDER = "an older schema"
_INCREMENTAL = 2
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BROKEN = (sqlite3.Error, UnicodeDecodeError)
_FORBIDDEN = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)


def default_path() -> Path:
    """``MTL_STORE``, or ``runs.db`` in the user's data folder."""
    if named := os.environ.get("MTL_STORE"):
        return _expanded(Path(named))
    import platformdirs

    return platformdirs.user_data_path("mtl-explorer", appauthor=False) / "runs.db"


class StoreFile:
    """An SQLite file that is a store whenever it is opened.

    Attributes:
        path: absolute.
        notice: what was wrong with the file that was found, if it was set aside, or lost what was
            written last.

    Raises:
        StoreError: as ``Store``.
    """

    def __init__(self, path: Path) -> None:
        self.notice: str | None = None
        self._noted = ""
        self.path = _expanded(path).absolute()
        self._connections = Connections(self.path, self._connect)
        self._open()

    def _open(self) -> None:
        """Check the file; create it where there is none, and set a corrupt one aside."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            before = self._last_seen()  # before the file, which may only have come further
            if self._sound():
                self._compare(before)
                return
            # One process at a time; another may have been first.
            with FileLock(self.path.with_name(f"{self.path.name}.lock"), timeout=30):
                problem = self._examine()
                if problem == _OLDER:
                    self._bring_up_to_date()
                    return
                if problem:
                    self._set_aside(problem)
                if problem is not None:
                    self._create()
        except (sqlite3.Error, OSError, NotImplementedError, Timeout) as error:
            raise self._unusable(error) from error

    def _last_seen(self) -> tuple[str, int]:
        """Which store was at the path, and how many changes it had, as was noted beside it."""
        try:
            store, last = self._seen.read_text(encoding="utf-8").split()
            return store, int(last)
        except (OSError, ValueError):
            return "", 0

    def _compare(self, before: tuple[str, int]) -> None:
        """Say where changes are missing: SQLite drops what is damaged at the end of a log."""
        with self._connection() as db:
            store, last = db.execute("SELECT store, last FROM changes").fetchone()
        if before[0] == store and before[1] > last:
            missing = before[1] - last
            self.notice = (
                f"store {self.path} lacks what was written last ({missing} "
                f"change{'s' * (missing > 1)}), as its log was damaged or an older copy was put in "
                "its place; runs go on from what is there"
            )
            self._note_seen(store, last)

    def _note_seen(self, store: str, last: int) -> None:
        """Note beside the file how many changes it has had, for ``_compare``."""
        if (text := f"{store} {last}") == self._noted:
            return
        part = self._seen.with_name(f"{self._seen.name}.{os.getpid()}-{threading.get_ident()}")
        with suppress(OSError):
            part.write_text(text, encoding="utf-8")
            os.replace(part, self._seen)
            self._noted = text

    @property
    def _seen(self) -> Path:
        return self.path.with_name(f"{self.path.name}.seen")

    def _sound(self) -> bool:
        """Whether nothing has to be done about the file, as far as can be said without its lock."""
        try:
            return self._examine() is None
        except sqlite3.OperationalError as error:
            # Another process may have set it aside this moment.
            if "unable to open" in str(error):
                return False
            raise

    def _examine(self) -> str | None:
        """What is wrong with the file: None, ``""`` for an empty or missing one, or its damage.

        A sound file of an older schema is ``_OLDER``.
        """
        if not os.path.exists(self.path):
            return ""
        try:
            with self._connection() as db:
                db.execute("BEGIN")  # so that all reads see one state
                version = db.execute("PRAGMA user_version").fetchone()[0]
                found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
                tables = {row["name"] for row in found}
                if version > SCHEMA_VERSION:
                    raise StoreError(
                        f"store {self.path} has schema {version}, newer than this app's "
                        f"{SCHEMA_VERSION}; update the app, or set MTL_STORE to another file"
                    )
                if not tables and version == 0:
                    return ""
                if not tables >= _tables(version):
                    raise StoreError(
                        f"{self.path} is an SQLite file of something else (tables "
                        f"{', '.join(sorted(tables)[:3]) or 'none'}); set MTL_STORE to another file"
                    )
                verdict = self._check(db, tables)
                if verdict == "ok" and version < SCHEMA_VERSION:
                    return _OLDER
        except _BROKEN as error:
            if not _is_damage(error):
                raise
            verdict = str(error)
        if verdict == "ok":
            self._suspected.unlink(missing_ok=True)
            return None
        return " ".join(verdict.split())[:120]

    def _check(self, db: sqlite3.Connection, tables: set[str]) -> str:
        """``ok``, or the first damage: of the whole file only where some was met before."""
        if self._suspected.exists():
            return str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
        pages, size = (
            db.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size")
        )
        log = Path(f"{self.path}-wal")
        if not (log.exists() and log.stat().st_size) and self.path.stat().st_size < pages * size:
            return "the file is shorter than it says"
        verdicts = (
            str(db.execute(f"PRAGMA quick_check('{name}')").fetchone()[0])
            for name in _SMALL
            if name in tables
        )
        return next((verdict for verdict in verdicts if verdict != "ok"), "ok")

    @property
    def _suspected(self) -> Path:
        """A file that is there when damage was met where an opening does not look."""
        return self.path.with_name(f"{self.path.name}.suspected")

    def _set_aside(self, problem: str) -> None:
        stamp, path = time.strftime("%Y%m%d-%H%M%S"), self.path
        names = (
            f"{path.stem}.corrupt-{stamp}{more}{path.suffix}"
            for more in ("", *(f"-{count}" for count in range(2, 1000)))
        )
        aside = next(free for name in names if not (free := path.with_name(name)).exists())
        path.rename(aside)
        for suffix in ("-wal", "-shm"):
            if (side := Path(f"{path}{suffix}")).exists():
                side.rename(f"{aside}{suffix}")
        self._suspected.unlink(missing_ok=True)
        self.notice = (
            f"store {path} was damaged ({problem}); it was kept as {aside.name} and a new one was "
            "started"
        )

    def _create(self) -> None:
        """Make the file under another name first: nobody must meet an empty one.

        Each process that opens an empty file deletes the log beside it, and whoever comes second
        fails with "disk I/O error".
        """
        part = self.path.with_name(f"{self.path.name}.new")
        _remove(part)
        with closing(self._connect(part, "rwc")) as db:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only an empty file takes it
            # Where a file system has no WAL, the rollback journal does, with less at once.
            with suppress(sqlite3.OperationalError):
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")
        _remove(self.path)  # an empty one, or the log of one that is gone: it is not this file's
        os.replace(part, self.path)

    def _bring_up_to_date(self) -> None:
        """Make a file of an older schema one of today's; every row that it has stays."""
        with self._connection() as db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute("BEGIN IMMEDIATE")
            try:
                older.bring_up_to_date(db)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
            _vacuum(db)
        # A worker of the version before does not know today's configs; without its lock it leaves.
        self.path.with_name(f"{self.path.name}.worker.lock").unlink(missing_ok=True)

    def _connect(
        self, path: Path | None = None, mode: Literal["rw", "rwc"] = "rw"
    ) -> sqlite3.Connection:
        address = f"{(path or self.path).as_uri()}?mode={mode}"
        db = sqlite3.connect(
            address, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )
        db.row_factory = sqlite3.Row
        db.text_factory = _text
        db.execute("PRAGMA foreign_keys = ON")
        # In WAL mode NORMAL never corrupts and loses nothing to a crash of the process.
        db.execute("PRAGMA synchronous = NORMAL")
        return db

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """One of its own, for the time that the file is looked at."""
        with closing(self._connect()) as db:
            yield db

    @property
    def identity(self) -> tuple[object, ...]:
        """Which file is at the path at present."""
        try:
            found = os.stat(self.path)
        except OSError:
            return (str(self.path),)
        return str(self.path), found.st_dev, found.st_ino

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises StoreError where the file cannot be read; otherwise it is open from then on."""
        with self.read() as db:
            db.execute("SELECT count(*) FROM workers").fetchone()
        yield

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to look with. Raises StoreError."""
        if not os.path.exists(self.path):
            self._open()  # deleted while in use, by somebody who wants an empty one
        try:
            with self._connections.one() as db:
                yield db
        except _BROKEN as error:
            if _is_damage(error):
                with suppress(OSError):
                    self._suspected.touch()
            raise self._unusable(error) from error

    def shrink(self) -> None:
        """Give the space of deleted rows back to the disk, as far as nobody is in the way."""
        with suppress(StoreError), self.read() as db:
            _vacuum(db)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A connection inside a transaction: all of it is written, or nothing."""
        with self.read() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:  # SQLite itself rolls back when the disk is full
                    db.execute("ROLLBACK")
                raise
            seen = db.execute("SELECT store, last FROM changes").fetchone()
            db.execute("COMMIT")
            self._note_seen(*seen)

    def _unusable(self, error: Exception) -> StoreError:
        if _is_damage(error):
            return StoreError(
                f"store {self.path} is damaged ({error}); start the app again, which keeps the "
                "file under another name and begins a new one, or set MTL_STORE to another file"
            )
        return StoreError(
            f"store {self.path} cannot be used ({error}); {self._remedy(error)}, or set MTL_STORE "
            "to another file"
        )

    def _remedy(self, error: Exception) -> str:
        """What to do about an error that is no damage, by its cause."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not isinstance(error, Timeout) and code not in _BUSY:
            return _remedy(error)
        who = holders.holders(self.path)
        named = f": {', '.join(who)}" if who else ""
        return (
            f"another program has it open and is writing{named}; close that, try again when it is "
            "done"
        )


def _remove(path: Path) -> None:
    """A database with all that SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", "-journal", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _text(content: bytes) -> str:
    """Damaged letters are replaced: a row with one must not keep all others from being read."""
    return content.decode(errors="replace")


def _vacuum(db: sqlite3.Connection) -> None:
    """Give free pages back; a file of before this was possible is written anew for it once."""
    with suppress(sqlite3.OperationalError):  # somebody writes, or the disk is full
        if db.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            db.execute("VACUUM")
        free = db.execute("PRAGMA freelist_count").fetchone()[0]
        for _ in range(0, free, _VACUUMED):
            # Not execute, which takes one step of a statement without columns: one page.
            db.executescript(f"PRAGMA incremental_vacuum({_VACUUMED})")
        db.execute("PRAGMA busy_timeout = 0")  # others may read meanwhile, and the next one does it
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.execute(f"PRAGMA busy_timeout = {round(1000 * PATIENCE)}")


def _remedy(error: Exception) -> str:
    """What to do about an error that is neither damage nor another's lock."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    number = getattr(error, "errno", None)
    if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
        return "free some disk space"
    if code in _FORBIDDEN or number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "make the file and its folder writable"
    return "make the file and its folder writable, free some disk space"


def _tables(version: int) -> set[str]:
    """What a file of a version has at least."""
    if version < OLDEST:
        return {"no such version"}
    return TABLES[max(known for known in TABLES if known <= version)]


def _expanded(path: Path) -> Path:
    with suppress(RuntimeError):  # ~somebody who does not exist: then it is a name like others
        return path.expanduser()
    return path


def _is_damage(error: Exception) -> bool:
    if isinstance(error, UnicodeDecodeError):
        return True  # SQLite's own words quote what is damaged
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
