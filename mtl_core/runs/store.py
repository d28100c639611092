"""The store: which runs exist, what state they are in, and what they have measured.

One SQLite file in WAL mode, shared by the app, the command line and the workers. Every method opens
its own short connection, so a store can be used from any thread and survives its processes.
"""

import io
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError
from mtl_core.trajectory import COLUMNS, FACTORS, Row

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.training.checkpoint import Checkpoint, State

__all__ = ["SCHEMA_VERSION", "RunRecord", "Store", "default_path"]

SCHEMA_VERSION = 1
RunState = Literal["queued", "running", "done", "failed", "cancelled"]

_SCHEMA = """
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    queued_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    seconds REAL NOT NULL DEFAULT 0,
    worker TEXT,
    heartbeat REAL,
    cancel INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    info TEXT NOT NULL DEFAULT '{}'
);
CREATE TABLE workers (
    name TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    device TEXT NOT NULL,
    title TEXT NOT NULL,
    started_at REAL NOT NULL
);
CREATE INDEX runs_by_state ON runs (state, queued_at);
CREATE TABLE replicas (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seed INTEGER NOT NULL,
    step INTEGER NOT NULL,
    saved_step INTEGER,
    state BLOB,
    PRIMARY KEY (run, seed)
) WITHOUT ROWID;
CREATE TABLE checkpoints (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seed INTEGER NOT NULL,
    step INTEGER NOT NULL,
    task TEXT NOT NULL,
    epoch REAL NOT NULL,
    train_loss REAL NOT NULL,
    val_metric REAL NOT NULL,
    test_metric REAL NOT NULL,
    sharpness REAL,
    fisher_trace REAL,
    gradient_covariance REAL,
    gradient_similarity REAL,
    seconds REAL NOT NULL,
    PRIMARY KEY (run, seed, step, task)
) WITHOUT ROWID;
"""
_MEASURED = ("epoch", "train_loss", "val_metric", "test_metric", *FACTORS, "seconds")


def default_path() -> Path:
    """``MTL_STORE``, or ``runs.db`` in the user's data folder."""
    if named := os.environ.get("MTL_STORE"):
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("mtl-explorer", appauthor=False) / "runs.db"


@dataclass(frozen=True)
class RunRecord:
    """A run in the store, without its rows.

    Args:
        place: 1 for the queued run that is next, None for others.
        steps_done: summed over replicas; ``steps_total`` likewise.
        seconds: time spent running so far, over all attempts.
        info: what its worker reported: device, versions, data fingerprint.
    """

    config: RunConfig
    state: RunState
    place: int | None
    steps_done: int
    queued_at: float
    started_at: float | None
    finished_at: float | None
    seconds: float
    heartbeat: float | None
    worker: str | None
    error: str | None
    info: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def steps_total(self) -> int:
        return self.config.steps * len(self.config.seeds)

    @property
    def active(self) -> bool:
        """Whether it may still change without anybody asking for it."""
        return self.state in ("queued", "running")


class Store:
    """A store file, created when it is not there.

    Args:
        path: the SQLite file; default ``default_path()``.

    Attributes:
        notice: what was wrong with the file that was found, if it was set aside.

    Raises:
        StoreError: when the file is of a newer schema, or cannot be created, read or written.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path).expanduser() if path else default_path()
        self.notice: str | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error
        self._open_or_set_aside()

    def submit(self, config: RunConfig) -> RunRecord:
        """Queue a run, unless it is there already: the same question is trained once.

        A cancelled or failed run goes on where it stopped.
        """
        now = time.time()
        with self._write() as db:
            db.execute(
                "INSERT INTO runs (id, config, state, queued_at) VALUES (?, ?, 'queued', ?) "
                "ON CONFLICT (id) DO UPDATE SET state = 'queued', queued_at = ?, cancel = 0, "
                "error = NULL, worker = NULL, finished_at = NULL "
                "WHERE state IN ('cancelled', 'failed')",
                (config.id, json.dumps(config.to_dict()), now, now),
            )
            db.executemany(
                "INSERT OR IGNORE INTO replicas (run, seed, step) VALUES (?, ?, -1)",
                [(config.id, seed) for seed in config.seeds],
            )
        record = self.get(config.id)
        assert record is not None
        return record

    def get(self, run: str) -> RunRecord | None:
        """The run with this id, if there is one."""
        found = self._records("WHERE id = ?", (run,))
        return found[0] if found else None

    def runs(self, state: RunState | None = None) -> list[RunRecord]:
        """All runs, or those in one state, the newest first."""
        if state:
            return self._records("WHERE state = ? ORDER BY queued_at DESC, rowid DESC", (state,))
        return self._records("ORDER BY queued_at DESC, rowid DESC", ())

    def cancel(self, run: str) -> None:
        """Ask a run to stop; it keeps its points and can be resumed."""
        with self._write() as db:
            db.execute("UPDATE runs SET cancel = 1 WHERE id = ? AND state = 'running'", (run,))
            db.execute(
                "UPDATE runs SET state = 'cancelled', finished_at = ? "
                "WHERE id = ? AND state = 'queued'",
                (time.time(), run),
            )

    def remove(self, run: str) -> None:
        """Delete a run and its rows.

        Raises:
            InputError: while it is running.
        """
        with self._write() as db:
            gone = db.execute(
                "DELETE FROM runs WHERE id = ? AND state != 'running'", (run,)
            ).rowcount
        if not gone and self.get(run):
            raise InputError(f"run {run} is running; stop it before removing it")

    def rows(self, run: str) -> list[Row]:
        """The rows of a run so far, by seed, step and task."""
        record = self.get(run)
        if record is None:
            return []
        config = record.config
        with self._read() as db:
            found = db.execute(
                f"SELECT seed, step, task, {', '.join(_MEASURED)} FROM checkpoints WHERE run = ? "
                "ORDER BY seed, step, task",
                (run,),
            ).fetchall()
        return [
            Row(
                setting=config.setting,
                run=config.run,
                optimizer=config.optimizer,
                role="target" if row["task"] == config.target else "auxiliary",
                **dict(row),
            )
            for row in found
        ]

    def trajectory(self, run: str) -> "pd.DataFrame":
        """The rows of a run so far as a tidy table with the columns of ``trajectory.COLUMNS``."""
        from mtl_core.runs.frames import to_frame

        return to_frame(self.rows(run))

    # What workers do.

    def enlist(self, worker: str, device: str, title: str) -> None:
        """Announce the store's worker and forget those before it."""
        with self._write() as db:
            db.execute("DELETE FROM workers")
            db.execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?, ?)",
                (worker, os.getpid(), device, title, time.time()),
            )

    def worker(self) -> Mapping[str, Any] | None:
        """The worker that was announced last: its name, pid, device, title and start."""
        with self._read() as db:
            row = db.execute("SELECT * FROM workers").fetchone()
        return dict(row) if row else None

    def waiting(self) -> bool:
        """Whether any run is queued."""
        with self._read() as db:
            found = db.execute("SELECT 1 FROM runs WHERE state = 'queued' LIMIT 1").fetchone()
        return found is not None

    def claim(self, worker: str) -> RunRecord | None:
        """Take the run that has waited longest; no two workers ever take the same one."""
        now = time.time()
        with self._write() as db:
            taken = db.execute(
                "UPDATE runs SET state = 'running', worker = ?, started_at = ?, heartbeat = ?, "
                "cancel = 0, error = NULL WHERE id = (SELECT id FROM runs WHERE state = 'queued' "
                "ORDER BY queued_at, rowid LIMIT 1) RETURNING id",
                (worker, now, now),
            ).fetchone()
        return self.get(taken["id"]) if taken else None

    def beat(self, run: str, worker: str) -> Literal["go on", "cancel", "lost"]:
        """Say that ``worker`` is alive, and hear whether its run is still wanted and its own."""
        with self._write() as db:
            row = db.execute(
                "UPDATE runs SET heartbeat = ? WHERE id = ? AND worker = ? AND state = 'running' "
                "RETURNING cancel",
                (time.time(), run, worker),
            ).fetchone()
        if row is None:
            return "lost"
        return "cancel" if row["cancel"] else "go on"

    def save(self, run: str, worker: str, checkpoints: "Sequence[Checkpoint]") -> bool:
        """Commit checkpoints and the state to resume from, all or nothing.

        Returns:
            False, with nothing written, when the run is no longer this worker's.
        """
        from mtl_core.training.checkpoint import split

        with self._write() as db:
            if not _owned(db, run, worker):
                return False
            for checkpoint in checkpoints:
                db.executemany(
                    "INSERT OR REPLACE INTO checkpoints (run, seed, step, task, "
                    f"{', '.join(_MEASURED)}) VALUES (?, ?, ?, ?{', ?' * len(_MEASURED)})",
                    [
                        (run, row["seed"], row["step"], row["task"])
                        + tuple(row[name] for name in _MEASURED)  # type: ignore[literal-required]
                        for row in checkpoint.rows
                    ],
                )
                db.executemany(
                    "UPDATE replicas SET step = ? WHERE run = ? AND seed = ?",
                    [(checkpoint.step, run, seed) for seed in checkpoint.seeds],
                )
                if checkpoint.state is not None:
                    states = split(checkpoint.state, len(checkpoint.seeds))
                    db.executemany(
                        "UPDATE replicas SET saved_step = ?, state = ? WHERE run = ? AND seed = ?",
                        [
                            (checkpoint.step, _pack(state), run, seed)
                            for seed, state in zip(checkpoint.seeds, states, strict=True)
                        ],
                    )
        return True

    def states(self, run: str) -> "dict[int, State]":
        """What each replica of a run can be resumed from, by seed."""
        with self._read() as db:
            found = db.execute(
                "SELECT seed, state FROM replicas WHERE run = ? AND state IS NOT NULL", (run,)
            ).fetchall()
        return {row["seed"]: _unpack(row["state"]) for row in found}

    def describe(self, run: str, worker: str, info: Mapping[str, Any]) -> None:
        """Record what a worker knows of its run: device, versions, data."""
        with self._write() as db:
            if _owned(db, run, worker):
                db.execute("UPDATE runs SET info = ? WHERE id = ?", (json.dumps(dict(info)), run))

    def finish(
        self,
        run: str,
        worker: str,
        state: Literal["done", "failed", "cancelled"],
        error: str | None = None,
    ) -> bool:
        """End a run; False when it is no longer this worker's."""
        with self._write() as db:
            if not _owned(db, run, worker):
                return False
            _end(db, run, state, error)
        return True

    def release(self, run: str, worker: str) -> None:
        """Put a run back at the head of the queue, for a worker that is asked to leave."""
        with self._write() as db:
            if _owned(db, run, worker):
                db.execute("UPDATE runs SET state = 'queued', worker = NULL WHERE id = ?", (run,))

    def reap(self, last_words: str = "") -> list[str]:
        """Mark running runs as failed, for a caller that knows that no worker lives.

        Args:
            last_words: what the dead worker wrote last.

        Returns:
            Ids of the runs that were marked.
        """
        with self._write() as db:
            dead = db.execute("SELECT id FROM runs WHERE state = 'running'").fetchall()
            for row in dead:
                said = f" (its last words: {last_words})" if last_words else ""
                error = f"the worker died while training{said}; resume to go on where it stopped"
                _end(db, row["id"], "failed", error)
        return [row["id"] for row in dead]

    def health(self) -> str:
        """One line on the state of the file, for ``doctor``."""
        with self._read() as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            count = db.execute("SELECT count(*) FROM runs").fetchone()[0]
        return f"{verdict}, schema {SCHEMA_VERSION}, {count} runs, {self.path}"

    # Private: records, connections, errors.

    def _records(self, where: str, values: tuple[Any, ...]) -> list[RunRecord]:
        with self._read() as db:
            found = db.execute(
                "SELECT runs.*, "
                "(SELECT sum(max(step, 0)) FROM replicas WHERE run = runs.id) AS steps_done, "
                "CASE WHEN state = 'queued' THEN (SELECT count(*) FROM runs AS other WHERE "
                "other.state = 'queued' AND (other.queued_at, other.rowid) <= "
                "(runs.queued_at, runs.rowid)) END AS place "
                f"FROM runs {where}",
                values,
            ).fetchall()
        records = []
        for row in found:
            try:
                config = RunConfig.from_dict(json.loads(row["config"]))
            except (InputError, ValueError):
                continue  # from another version or an extension that is not here
            records.append(
                RunRecord(
                    config=config,
                    state=row["state"],
                    place=row["place"],
                    steps_done=row["steps_done"] or 0,
                    queued_at=row["queued_at"],
                    started_at=row["started_at"],
                    finished_at=row["finished_at"],
                    seconds=row["seconds"],
                    heartbeat=row["heartbeat"],
                    worker=row["worker"],
                    error=row["error"],
                    info=json.loads(row["info"]),
                )
            )
        return records

    def _open_or_set_aside(self) -> None:
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) or not self.path.exists():
                raise self._unusable(error) from error
            aside = self.path.with_name(
                f"{self.path.stem}.corrupt-{time.strftime('%Y%m%d-%H%M%S')}{self.path.suffix}"
            )
            try:
                self.path.rename(aside)
                for suffix in ("-wal", "-shm"):
                    if (side := Path(f"{self.path}{suffix}")).exists():
                        side.rename(f"{aside}{suffix}")
                self._prepare()
            except (OSError, sqlite3.Error) as again:
                raise self._unusable(again) from again
            self.notice = (
                f"store {self.path} was not readable ({error}); it was kept as {aside.name} and a "
                "new one was started"
            )

    def _prepare(self) -> None:
        with self._connection() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StoreError(
                    f"store {self.path} has schema {version}, newer than this app's "
                    f"{SCHEMA_VERSION}; update the app, or set MTL_STORE to another file"
                )
            tables = {
                row["name"]
                for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if not tables:
                self._create(db)
            elif version != SCHEMA_VERSION or not {"runs", "replicas", "checkpoints"} <= tables:
                raise StoreError(
                    f"{self.path} is an SQLite file of something else (tables "
                    f"{', '.join(sorted(tables)[:3])}); set MTL_STORE to another file"
                )
            elif (verdict := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(verdict)

    def _create(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        # Another process may have been first.
        if db.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            # In WAL mode NORMAL never corrupts and loses nothing to a crash of the process.
            db.execute("PRAGMA synchronous = NORMAL")
            yield db

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connection() as db:
                yield db
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._connection() as db:
                db.execute("BEGIN IMMEDIATE")
                try:
                    yield db
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> StoreError:
        return StoreError(
            f"store {self.path} cannot be used ({error}); make the file and its folder writable, "
            "free some disk space, or set MTL_STORE to another file"
        )


def _owned(db: sqlite3.Connection, run: str, worker: str) -> bool:
    """A worker that was given up for dead must not write into its successor's run."""
    return bool(
        db.execute(
            "SELECT 1 FROM runs WHERE id = ? AND worker = ? AND state = 'running'", (run, worker)
        ).fetchone()
    )


def _end(db: sqlite3.Connection, run: str, state: str, error: str | None) -> None:
    now = time.time()
    db.execute(
        "UPDATE runs SET state = ?, error = ?, finished_at = ?, cancel = 0, "
        "seconds = seconds + coalesce(heartbeat, ?) - coalesce(started_at, ?) WHERE id = ?",
        (state, error, now, now, now, run),
    )
    if state == "done":
        db.execute("UPDATE replicas SET state = NULL, saved_step = NULL WHERE run = ?", (run,))


def _pack(state: "State") -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **state)
    return buffer.getvalue()


def _unpack(blob: bytes) -> "State":
    with np.load(io.BytesIO(blob), allow_pickle=False) as archive:
        return dict(archive)


assert set(_MEASURED) < set(COLUMNS)
