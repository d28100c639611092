"""The store: which runs exist, what state they are in, and what they have measured.

One SQLite file in WAL mode, shared by the app, the command line and the workers. Every method opens
its own short connection, so a store can be used from any thread and survives its processes.
"""

import io
import json
import os
import sqlite3
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, overload

import numpy as np
from filelock import FileLock, Timeout

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs.queue.records import (
    AnyConfig,
    FrontRecord,
    Record,
    RunRecord,
    RunState,
    config_of,
    record_of,
)
from mtl_core.runs.queue.schema import SCHEMA_VERSION, TABLES, statements
from mtl_core.trajectory import COLUMNS, FACTORS, SIDE_TABLES, Row

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.pareto.front import Front
    from mtl_core.training.checkpoint import Checkpoint, State

__all__ = ["SCHEMA_VERSION", "RunRecord", "Store", "default_path"]

_OLDER = "an older schema"
_BROKEN = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What a damaged blob raises."""
_MEASURED = ("epoch", "train_loss", "val_metric", "test_metric", *FACTORS, "seconds")


def default_path() -> Path:
    """``MTL_STORE``, or ``runs.db`` in the user's data folder."""
    if named := os.environ.get("MTL_STORE"):
        return _expanded(Path(named))
    import platformdirs

    return platformdirs.user_data_path("mtl-explorer", appauthor=False) / "runs.db"


class Store:
    """A store file, created when it is not there.

    Args:
        path: the SQLite file; default ``default_path()``.

    Attributes:
        notice: what was wrong with the file that was found, if it was set aside.

    Raises:
        StoreError: when the file is of a newer schema or of something else, or cannot be created,
            read or written.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.notice: str | None = None
        self.path = (_expanded(Path(path)) if path else default_path()).absolute()
        self._open()

    @overload
    def submit(self, config: RunConfig) -> RunRecord: ...

    @overload
    def submit(self, config: ParetoConfig) -> FrontRecord: ...

    def submit(self, config: AnyConfig) -> Record[AnyConfig]:
        """Queue a run, unless it is there already: the same question is trained once.

        A cancelled or failed run goes on where it stopped; one that was just asked to stop goes on.
        """
        now = time.time()
        with self._write() as db:
            db.execute(
                "INSERT OR IGNORE INTO runs (id, config, state, queued_at) "
                "VALUES (?, ?, 'queued', ?)",
                (config.id, json.dumps(config.to_dict()), now),
            )
            db.execute(
                "UPDATE runs SET state = 'queued', queued_at = ?, cancel = 0, error = NULL, "
                "worker = NULL, finished_at = NULL "
                "WHERE id = ? AND state IN ('cancelled', 'failed')",
                (now, config.id),
            )
            db.execute("UPDATE runs SET cancel = 0 WHERE id = ?", (config.id,))
            db.executemany(
                "INSERT OR IGNORE INTO replicas (run, seed, step) VALUES (?, ?, -1)",
                [(config.id, seed) for seed in config.seeds],
            )
        record = self._find(config.id)
        if record is None:
            raise StoreError(f"run {config.id} was removed while it was queued; ask for it again")
        return record

    def get(self, run: str) -> RunRecord | None:
        """The training run with this id, if there is one."""
        found = self._find(run)
        return next(iter(_training([found])), None) if found else None

    def get_front(self, run: str) -> FrontRecord | None:
        """The front with this id, if there is one."""
        found = self._find(run)
        return next(iter(_fronts([found])), None) if found else None

    def runs(self, state: RunState | None = None) -> list[RunRecord]:
        """All training runs, or those in one state, the newest first."""
        return _training(self._all(state))

    def fronts(self, state: RunState | None = None) -> list[FrontRecord]:
        """All fronts, or those in one state, the newest first."""
        return _fronts(self._all(state))

    def unreadable(self) -> dict[str, str]:
        """Runs that this version cannot train or show, by id, and why. They can be removed."""
        found = {}
        with self._read() as db:
            rows = db.execute("SELECT id, config FROM runs ORDER BY queued_at, rowid").fetchall()
        for row in rows:
            try:
                config_of(row)
            except InputError as error:
                found[str(row["id"])] = str(error)
        return found

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
        if not gone and self._find(run):
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
                seed=row["seed"],
                task=row["task"],
                role="target" if row["task"] == config.target else "auxiliary",
                step=row["step"],
                epoch=row["epoch"],
                train_loss=row["train_loss"],
                val_metric=row["val_metric"],
                test_metric=row["test_metric"],
                sharpness=row["sharpness"],
                fisher_trace=row["fisher_trace"],
                gradient_covariance=row["gradient_covariance"],
                gradient_similarity=row["gradient_similarity"],
                seconds=row["seconds"],
            )
            for row in found
        ]

    def trajectory(self, run: str) -> "pd.DataFrame":
        """The rows of a run so far as a tidy table with the columns of ``trajectory.COLUMNS``."""
        from mtl_core.runs.library.frames import to_frame

        return to_frame(self.rows(run))

    def side(self, name: str, run: str) -> list[dict[str, Any]]:
        """Rows of a run so far in a table of ``trajectory.SIDE_TABLES``, by seed and step."""
        with self._read() as db:
            found = db.execute(
                f"SELECT {', '.join(SIDE_TABLES[name])} FROM {name} WHERE run = ? "
                "ORDER BY seed, step, task",
                (run,),
            ).fetchall()
        return [dict(row) for row in found]

    def notes(self, run: str) -> list[str]:
        """Why factors of a run are missing, or measured another way."""
        with self._read() as db:
            found = db.execute("SELECT note FROM notes WHERE run = ? ORDER BY note", (run,))
            return [str(row["note"]) for row in found]

    def frames(self, run: str) -> "list[Front]":
        """The fronts that a run has measured so far, by step and seed; they hold no states.

        A damaged one is left out.
        """
        from mtl_core.runs.fronts import unpacked

        with self._read() as db:
            found = db.execute(
                "SELECT seed, step, front FROM frames WHERE run = ? ORDER BY step, seed", (run,)
            ).fetchall()
        fronts = []
        for row in found:
            with suppress(*_BROKEN):
                fronts.append(unpacked(row["seed"], row["step"], _unpack(row["front"])))
        return fronts

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

    def claim(self, worker: str) -> Record[AnyConfig] | None:
        """Take the run that has waited longest; no two workers ever take the same one.

        A run that this version cannot train is marked failed, and the next one is taken.
        """
        while True:
            now = time.time()
            with self._write() as db:
                taken = db.execute(
                    "UPDATE runs SET state = 'running', worker = ?, started_at = ?, heartbeat = ?, "
                    "cancel = 0, error = NULL WHERE id = (SELECT id FROM runs "
                    "WHERE state = 'queued' ORDER BY queued_at, rowid LIMIT 1) "
                    "RETURNING id, config",
                    (worker, now, now),
                ).fetchone()
            if taken is None:
                return None
            try:
                config_of(taken)
            except InputError as error:
                self.finish(taken["id"], worker, "failed", f"{error}; remove this run")
            else:
                return self._find(taken["id"])

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
                        (run, row["seed"], row["step"], row["task"], *_measured(row))
                        for row in checkpoint.rows
                    ],
                )
                for name, columns in SIDE_TABLES.items():
                    rows: Sequence[Mapping[str, Any]] = getattr(checkpoint, name)
                    db.executemany(
                        f"INSERT OR REPLACE INTO {name} (run, {', '.join(columns)}) "
                        f"VALUES (?{', ?' * len(columns)})",
                        [(run, *(row[column] for column in columns)) for row in rows],
                    )
                db.executemany(
                    "INSERT OR IGNORE INTO notes (run, note) VALUES (?, ?)",
                    [(run, note) for note in checkpoint.notes],
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

    def save_frames(
        self,
        run: str,
        worker: str,
        fronts: "Sequence[Front]",
        step: int,
        states: "Mapping[int, State]",
    ) -> bool:
        """Commit fronts, and states to resume from at ``step`` by seed; as ``save``."""
        from mtl_core.runs.fronts import packed

        with self._write() as db:
            if not _owned(db, run, worker):
                return False
            db.executemany(
                "INSERT OR REPLACE INTO frames (run, seed, step, front) VALUES (?, ?, ?, ?)",
                [(run, front.seed, front.step, _pack(packed(front))) for front in fronts],
            )
            db.executemany(
                "UPDATE replicas SET step = ? WHERE run = ? AND seed = ?",
                [(step, run, seed) for seed in {*states, *(front.seed for front in fronts)}],
            )
            db.executemany(
                "UPDATE replicas SET saved_step = ?, state = ? WHERE run = ? AND seed = ?",
                [(step, _pack(state), run, seed) for seed, state in states.items()],
            )
        return True

    def states(self, run: str) -> "dict[int, State]":
        """What each replica of a run can be resumed from, by seed.

        A damaged state is left out: its replica starts anew, and gets the same values again.
        """
        with self._read() as db:
            found = db.execute(
                "SELECT seed, state FROM replicas WHERE run = ? AND state IS NOT NULL", (run,)
            ).fetchall()
        states = {}
        for row in found:
            with suppress(*_BROKEN):
                states[row["seed"]] = _unpack(row["state"])
        return states

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
        """End a run; False when it is no longer this worker's.

        A run that was asked for again after it was cancelled is queued instead.
        """
        with self._write() as db:
            owned = _owned(db, run, worker)
            if owned is None:
                return False
            if state == "cancelled" and not owned["cancel"]:
                _end(db, run, "queued", None, time.time())
            else:
                _end(db, run, state, error, time.time())
        return True

    def release(self, run: str, worker: str) -> None:
        """Put a run back at the head of the queue, for a worker that is asked to leave."""
        with self._write() as db:
            if owned := _owned(db, run, worker):
                _end(db, run, "cancelled" if owned["cancel"] else "queued", None, time.time())

    def reap(self, last_words: str = "") -> list[str]:
        """Mark running runs as failed, for a caller that knows that no worker lives.

        Args:
            last_words: what the dead worker wrote last.

        Returns:
            Ids of the runs that were marked.
        """
        with self._read() as db:
            if not db.execute("SELECT 1 FROM runs WHERE state = 'running' LIMIT 1").fetchone():
                return []
        said = f" (its last words: {last_words})" if last_words else ""
        error = f"the worker died while training{said}; resume to go on where it stopped"
        with self._write() as db:
            dead = db.execute("SELECT id, heartbeat FROM runs WHERE state = 'running'").fetchall()
            for row in dead:
                _end(db, row["id"], "failed", error, row["heartbeat"] or 0.0)
        return [row["id"] for row in dead]

    def health(self) -> str:
        """One line on the state of the file, for ``doctor``."""
        with self._read() as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            count = db.execute("SELECT count(*) FROM runs").fetchone()[0]
        return f"{verdict}, schema {SCHEMA_VERSION}, {count} runs, {self.path}"

    # Private: records, connections, errors.

    def _find(self, run: str) -> Record[AnyConfig] | None:
        found = self._records("WHERE id = ?", (run,))
        return found[0] if found else None

    def _all(self, state: RunState | None) -> list[Record[AnyConfig]]:
        if state:
            return self._records("WHERE state = ? ORDER BY queued_at DESC, rowid DESC", (state,))
        return self._records("ORDER BY queued_at DESC, rowid DESC", ())

    def _records(self, where: str, values: tuple[Any, ...]) -> list[Record[AnyConfig]]:
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
            with suppress(InputError):  # `unreadable` names those
                records.append(record_of(row))
        return records

    def _open(self) -> None:
        """Check the file; create it where there is none, and set a corrupt one aside."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._examine() is None:
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

    def _examine(self) -> str | None:
        """What is wrong with the file: None, ``""`` for an empty or missing one, or its damage.

        A sound file of an older schema is ``_OLDER``.
        """
        if not os.path.exists(self.path):
            return ""
        try:
            with self._connection() as db:
                db.execute("BEGIN")  # what is read belongs together
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
                if not tables >= TABLES.get(version, {"no such version"}):
                    raise StoreError(
                        f"{self.path} is an SQLite file of something else (tables "
                        f"{', '.join(sorted(tables)[:3]) or 'none'}); set MTL_STORE to another file"
                    )
                verdict = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
                if verdict == "ok" and version < SCHEMA_VERSION:
                    return _OLDER
        except sqlite3.Error as error:
            if not _is_damage(error):
                raise
            verdict = str(error)
        return None if verdict == "ok" else " ".join(verdict.split())[:120]

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
        self.notice = (
            f"store {path} was damaged ({problem}); it was kept as {aside.name} and a new one was "
            "started"
        )

    def _create(self) -> None:
        with self._connection("rwc") as db:
            # Where a file system has no WAL, the rollback journal does, with less at once.
            with suppress(sqlite3.OperationalError):
                db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            for statement in statements():
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")

    def _bring_up_to_date(self) -> None:
        """Add what a file of an older schema lacks; nothing in it is touched."""
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            older = db.execute("PRAGMA user_version").fetchone()[0]
            for statement in statements(older):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")
        # A worker of the version before does not know today's configs; without its lock it leaves.
        self.path.with_name(f"{self.path.name}.worker.lock").unlink(missing_ok=True)

    @contextmanager
    def _connection(self, mode: Literal["rw", "rwc"] = "rw") -> Iterator[sqlite3.Connection]:
        address = f"{self.path.as_uri()}?mode={mode}"
        with closing(sqlite3.connect(address, uri=True, timeout=30, isolation_level=None)) as db:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA foreign_keys = ON")
            # In WAL mode NORMAL never corrupts and loses nothing to a crash of the process.
            db.execute("PRAGMA synchronous = NORMAL")
            yield db

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        if not os.path.exists(self.path):
            self._open()  # deleted while in use: whoever did that wants an empty one
        try:
            with self._connection() as db:
                yield db
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._read() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                if db.in_transaction:  # SQLite itself rolls back when the disk is full
                    db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _unusable(self, error: Exception) -> StoreError:
        if _is_damage(error):
            return StoreError(
                f"store {self.path} is damaged ({error}); start the app again, which keeps the "
                "file under another name and begins a new one, or set MTL_STORE to another file"
            )
        return StoreError(
            f"store {self.path} cannot be used ({error}); make the file and its folder writable, "
            "free some disk space, or set MTL_STORE to another file"
        )


def _expanded(path: Path) -> Path:
    with suppress(RuntimeError):  # ~somebody who does not exist: then it is a name like others
        return path.expanduser()
    return path


def _training(records: Sequence[Record[AnyConfig]]) -> list[RunRecord]:
    return [cast(RunRecord, one) for one in records if isinstance(one.config, RunConfig)]


def _fronts(records: Sequence[Record[AnyConfig]]) -> list[FrontRecord]:
    return [cast(FrontRecord, one) for one in records if isinstance(one.config, ParetoConfig)]


def _measured(row: Row) -> tuple[float | None, ...]:
    values: Mapping[str, Any] = row
    return tuple(values[name] for name in _MEASURED)


def _owned(db: sqlite3.Connection, run: str, worker: str) -> sqlite3.Row | None:
    """A worker that was given up for dead must not write into its successor's run."""
    found: sqlite3.Row | None = db.execute(
        "SELECT cancel FROM runs WHERE id = ? AND worker = ? AND state = 'running'", (run, worker)
    ).fetchone()
    return found


def _end(
    db: sqlite3.Connection, run: str, state: RunState, error: str | None, until: float
) -> None:
    """Let a running run be no longer running since ``until``."""
    over = state != "queued"
    db.execute(
        "UPDATE runs SET state = ?, error = ?, finished_at = ?, cancel = 0, worker = NULL, "
        "seconds = seconds + max(0, ? - coalesce(started_at, ?)) WHERE id = ?",
        (state, error, time.time() if over else None, until, until, run),
    )
    if state == "done":
        db.execute("UPDATE replicas SET state = NULL, saved_step = NULL WHERE run = ?", (run,))


def _is_damage(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _pack(state: "State") -> bytes:
    arrays: dict[str, Any] = dict(state)
    if objects := [name for name, value in arrays.items() if value.dtype.hasobject]:
        raise TypeError(f"state {objects[0]!r} holds Python objects, which need a pickle")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpack(blob: bytes) -> "State":
    with np.load(io.BytesIO(blob), allow_pickle=False) as archive:
        return dict(archive)


assert set(_MEASURED) < set(COLUMNS)
