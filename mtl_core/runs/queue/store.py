"""The store: which runs exist, what state they are in, and what they have measured.

One SQLite file in WAL mode, shared by the app, the command line and the workers. Every method takes
a connection of its own, so a store can be used from any thread and survives its processes. What
opens the file, and mends it, is ``StoreFile``.
"""

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mtl_core.errors import InputError, StoreError
from mtl_core.kept import Kept
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Columns, Experiment, Piece, State
from mtl_core.runs.queue.beside import Beside
from mtl_core.runs.queue.checksums import piece_checksum, state_checksum
from mtl_core.runs.queue.file import StoreFile, default_path
from mtl_core.runs.queue.listing import Listing, Mirror
from mtl_core.runs.queue.places import PLACES
from mtl_core.runs.queue.records import Key, Record, RunState, index_of, record_of
from mtl_core.runs.queue.schema import SCHEMA_VERSION
from mtl_core.runs.states import BROKEN, packed, unpacked

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Store", "default_path"]

_RECORDS = """
SELECT runs.*, experiments.kind, experiments.config
FROM runs JOIN experiments ON experiments.id = runs.experiment
"""
_PIECES = """
SELECT CAST(name AS BLOB) AS name, step, CAST(rows AS BLOB) AS rows, checksum FROM pieces
WHERE run = ?
"""
_NUMBER = "(SELECT number FROM runs WHERE experiment = ? AND seed = ?)"
_MOST_NAMED = 3  # damaged steps of a run
_mirrors: Kept[Mirror] = Kept(most=4)
"""Listings by the path of their store: whoever opens one again need not read it again."""
_damage: Kept[tuple[str, ...]] = Kept(most=16_384)
"""What is wrong with a run's rows, by the store's path, its number and its last change."""


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
        self._file = StoreFile(Path(path) if path else default_path())
        self._beside = Beside(self._file.path)

    @property
    def path(self) -> Path:
        return self._file.path

    @property
    def notice(self) -> str | None:
        return self._file.notice

    # What is asked for.

    def submit(self, *configs: Experiment, visitor: str = "") -> list[Record]:
        """Queue the runs of experiments as one question: each run is carried out once, ever.

        A cancelled or failed run goes on where it stopped; one that was just asked to stop goes on.
        Runs of one question advance together.

        Args:
            visitor: who asks, however named: visitors share the processes fairly. A run that others
                have asked for, and that has not ended, stays theirs.

        Returns:
            The runs in the order of ``configs`` and their seeds, with the states they are in.
        """
        now, question = time.time(), uuid.uuid4().hex[:12]
        with self._file.write() as db:
            order = db.execute("SELECT last + 1 FROM changes").fetchone()[0]
            for config in configs:
                db.execute(
                    "INSERT INTO experiments (id, kind, config, baseline, pace) "
                    "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                    "baseline = excluded.baseline, pace = excluded.pace WHERE baseline IS NULL",
                    (config.id, config.kind, json.dumps(config.to_dict()), *index_of(config)),
                )
                keys = [(config.id, seed) for seed in config.seeds]
                db.executemany(
                    "INSERT OR IGNORE INTO runs "
                    "(experiment, seed, question, visitor, starter, state, queued, queued_at) "
                    "VALUES (?, ?, ?, ?, ?, 'queued', ?, ?)",
                    [(*key, question, visitor, visitor, order, now) for key in keys],
                )
                db.executemany(
                    "UPDATE runs SET state = 'queued', queued = ?, queued_at = ?, question = ?, "
                    "visitor = ?, error = NULL, worker = NULL, finished_at = NULL "
                    "WHERE experiment = ? AND seed = ? AND state IN ('cancelled', 'failed')",
                    [(order, now, question, visitor, *key) for key in keys],
                )
                db.executemany(
                    "UPDATE runs SET cancel = 0 WHERE experiment = ? AND seed = ? AND cancel != 0",
                    keys,
                )
        records = []
        for config in configs:
            found = {record.seed: record for record in self.runs(config.id)}
            records += [found.get(seed) for seed in config.seeds]
        if None in records:
            raise StoreError("a run was removed while it was queued; ask for it again")
        return [record for record in records if record is not None]

    def cancel(self, experiment: str, seeds: Iterable[int]) -> None:
        """Ask runs to stop; they keep their points and can be resumed."""
        keys = [(experiment, seed) for seed in seeds]
        with self._file.write() as db:
            db.executemany(
                "UPDATE runs SET cancel = 1 WHERE experiment = ? AND seed = ? "
                "AND state = 'running'",
                keys,
            )
            db.executemany(
                "UPDATE runs SET state = 'cancelled', finished_at = ? "
                "WHERE experiment = ? AND seed = ? AND state = 'queued'",
                [(time.time(), *key) for key in keys],
            )

    def remove(self, experiment: str, seeds: Iterable[int] | None = None) -> None:
        """Delete runs of an experiment (all of them by default) and their rows.

        Raises:
            InputError: while one of them is running; nothing is deleted then.
        """
        with self._file.write() as db:
            there = db.execute(
                "SELECT number, seed, state FROM runs WHERE experiment = ?", (experiment,)
            ).fetchall()
            wanted = None if seeds is None else set(seeds)
            gone = [row for row in there if wanted is None or row["seed"] in wanted]
            if any(row["state"] == "running" for row in gone):
                raise InputError(f"run {experiment} is running; stop it before removing it")
            db.executemany("DELETE FROM runs WHERE number = ?", [(row["number"],) for row in gone])
            db.execute(
                "DELETE FROM experiments WHERE id = ? "
                "AND NOT EXISTS (SELECT 1 FROM runs WHERE experiment = experiments.id)",
                (experiment,),
            )
        self._tidy()
        self._file.shrink()

    def _tidy(self) -> None:
        """Remove what is beside the store and no longer of use."""
        if self._beside.any:
            with suppress(OSError, StoreError), self._file.write() as db:
                self._beside.tidy(db)

    # What is known.

    def get(self, experiment: str, seed: int) -> Record | None:
        """The run of an experiment and a seed, if there is one."""
        found = self._records("WHERE experiment = ? AND seed = ?", (experiment, seed))
        return found[0] if found else None

    def runs(
        self,
        experiment: str | None = None,
        state: RunState | None = None,
        *,
        baseline: str | None = None,
    ) -> list[Record]:
        """All runs, or those of an experiment, in a state or with a baseline, the newest first.

        Args:
            baseline: the id of what their experiments are compared with (``Kind.baseline``).
        """
        asked = {"experiment": experiment, "state": state}
        given = {name: value for name, value in asked.items() if value is not None}
        terms = [f"{name} = ?" for name in given]
        if baseline is not None:
            terms.append("(baseline = ? OR baseline IS NULL)")
            given["baseline"] = baseline
        where = f"WHERE {' AND '.join(terms)} " if terms else ""
        found = self._records(f"{where}ORDER BY queued DESC, number DESC", tuple(given.values()))
        if baseline is None:
            return found
        return [one for one in found if index_of(one.config)[0] == baseline]

    def listing(self) -> Listing:
        """All runs by experiment; what has not changed since the last time is not read again."""
        mirror = _mirrors.get(self.path, Mirror)
        with self._file.read() as db:
            return mirror.look(db, self._file.identity)

    def last_finished(self, kind: str, pace: str) -> Record | None:
        """The run of a kind and pace (``Kind.pace``) that was finished last and took time."""
        with self._file.read() as db:
            rows = db.execute(
                f"{_RECORDS} WHERE kind = ? AND (pace = ? OR pace IS NULL) AND state = 'done' "
                "AND seconds > 0 ORDER BY changed DESC",
                (kind, pace),
            )
            found = None
            for row in rows:
                with suppress(InputError):
                    record = record_of(row)
                    if index_of(record.config)[1] == pace:
                        found = record
                        break
            rows.close()  # before somebody else has the connection
        return found

    def former(self, run: str) -> tuple[str, tuple[int, ...]] | None:
        """The experiment and seeds that an id meant when seeds were a part of it; else None."""
        with self._file.read() as db:
            row = db.execute("SELECT * FROM former WHERE id = ?", (run,)).fetchone()
        return (row["experiment"], tuple(json.loads(row["seeds"]))) if row else None

    def unreadable(self) -> dict[str, str]:
        """Experiments that this version cannot carry out or show, by id, and why.

        They can be removed.
        """
        return dict(self.listing().unreadable)

    def table(
        self, config: Experiment, name: str, seeds: Iterable[int] | None = None
    ) -> "pd.DataFrame":
        """The rows of a table of an experiment's kind so far, of its seeds by default.

        Damaged ones are left out; ``notes`` says so.
        """
        wanted = config.seeds if seeds is None else tuple(seeds)
        parts: list[Columns] = []
        with self._file.read() as db:
            for seed in wanted:
                number = _number(db, Key(config.id, seed))
                rows = db.execute(f"{_PIECES} AND name = ? ORDER BY step", (number, name))
                parts += [json.loads(row["rows"]) for row in rows if _sound(number, row)]
        return kinds.of(config).tables[name].frame(parts)

    def notes(self, config: Experiment) -> list[str]:
        """Why quantities of an experiment's runs are missing, or measured another way."""
        found: set[str] = set()
        with self._file.read() as db:
            for seed in config.seeds:
                row = db.execute(
                    "SELECT number, changed, pieces FROM runs WHERE experiment = ? AND seed = ?",
                    (config.id, seed),
                ).fetchone()
                if row is None:
                    continue
                notes = db.execute("SELECT note FROM notes WHERE run = ?", (row["number"],))
                found |= {str(note["note"]) for note in notes}
                key = (self.path, config.id, seed, row["changed"])
                found |= {*_damage.get(key, partial(_damaged, db, seed, row))}
        return sorted(found)

    # What workers do.

    def held(self) -> AbstractContextManager[None]:
        """Keeps the file open inside, so that many small writes are quick."""
        return self._file.held()

    def enlist(self, worker: str, device: str, title: str) -> None:
        """Announce the store's worker and forget those before it."""
        with self._file.write() as db:
            db.execute("DELETE FROM workers")
            db.execute(
                "INSERT INTO workers VALUES (?, ?, ?, ?, ?)",
                (worker, os.getpid(), device, title, time.time()),
            )

    def worker(self) -> Mapping[str, Any] | None:
        """The worker that was announced last: its name, pid, device, title and start."""
        with self._file.read() as db:
            row = db.execute("SELECT * FROM workers").fetchone()
        return dict(row) if row else None

    def waiting(self) -> bool:
        """Whether any run is queued."""
        with self._file.read() as db:
            found = db.execute("SELECT 1 FROM runs WHERE state = 'queued' LIMIT 1").fetchone()
        return found is not None

    def claim(self, worker: str, most: int = 1_000_000) -> list[Record]:
        """Take queued runs, those asked for first; no two workers ever take the same one.

        A run that this version cannot carry out is marked failed.
        """
        now = time.time()
        with self._file.write() as db:
            taken = db.execute(
                "UPDATE runs SET state = 'running', worker = ?, started_at = ?, heartbeat = ?, "
                "cancel = 0, error = NULL WHERE number IN (SELECT number FROM runs "
                "WHERE state = 'queued' ORDER BY queued, number LIMIT ?) "
                "RETURNING number",
                (worker, now, now, most),
            ).fetchall()
            rows = []
            for number in sorted(int(row["number"]) for row in taken):
                rows += db.execute(f"{_RECORDS} WHERE number = ?", (number,)).fetchall()
            places = _places(db) if rows else {}
        records = []
        for row in rows:
            try:
                records.append(record_of(row, places.get(row["number"])))
            except InputError as error:
                key = Key(row["experiment"], row["seed"])
                self.finish(key, worker, "failed", f"{error}; remove this run")
        return sorted(records, key=lambda record: record.order)

    def beat(self, worker: str) -> dict[Key, bool]:
        """Say that ``worker`` is alive, and hear of its runs whether each is to be stopped.

        A run that is not among them is no longer its own.
        """
        with self._file.write() as db:
            rows = db.execute(
                "UPDATE runs SET heartbeat = ? WHERE worker = ? AND state = 'running' "
                "RETURNING experiment, seed, cancel",
                (time.time(), worker),
            ).fetchall()
        return {Key(row["experiment"], row["seed"]): bool(row["cancel"]) for row in rows}

    def save(self, key: Key, worker: str, pieces: Sequence[Piece], *, seconds: float = 0.0) -> bool:
        """Commit what a slice of a run brought, all or nothing.

        Args:
            seconds: how long the slice took.

        Returns:
            False, with nothing written, when the run is no longer this worker's.
        """
        with self._file.write() as db:
            number = _owned(db, key, worker)
            if number is None:
                return False
            before = _count(db, number)
            db.executemany(
                "INSERT OR REPLACE INTO pieces (run, name, step, rows, checksum) "
                "VALUES (?, ?, ?, ?, ?)",
                [
                    (number, name, piece.step, rows, checksum)
                    for piece in pieces
                    for name, columns in piece.tables.items()
                    for rows in (json.dumps(columns, separators=(",", ":")),)
                    for checksum in (
                        piece_checksum(number, name.encode(), piece.step, rows.encode()),
                    )
                ],
            )
            more = _count(db, number) - before
            db.executemany(
                "INSERT OR IGNORE INTO notes (run, note) VALUES (?, ?)",
                [(number, note) for piece in pieces for note in piece.notes],
            )
            for piece in reversed(pieces):
                if piece.state is not None:
                    kept = self._beside.put(number, packed(piece.state))
                    _save_state(db, number, piece.step, kept)
                    break
            step = max((piece.step for piece in pieces), default=-1)
            db.execute(
                "UPDATE runs SET step = max(step, ?), seconds = seconds + ?, pieces = pieces + ? "
                "WHERE number = ?",
                (step, seconds, more, number),
            )
        self._tidy()
        return True

    def state(self, key: Key) -> State | None:
        """What a run can go on from.

        None for one that has none, and for a damaged one: the run starts anew then, gets the same
        values again, and says so in a note.
        """
        with self._file.read() as db:
            row = db.execute(
                "SELECT run, step, CAST(state AS BLOB) AS state, checksum FROM states "
                f"WHERE run = {_NUMBER}",
                key,
            ).fetchone()
        if row is None:
            return None
        content = None
        if row["checksum"] == state_checksum(row["run"], row["step"], row["state"]):
            content = self._beside.get(row["state"])
        if content is not None:
            with suppress(*BROKEN):
                state = unpacked(content)
                int(state["step"])  # whoever goes on from it asks for that first
                return state
        with self._file.write() as db:
            _forget_state(db, row["run"], key.seed)
        return None

    def describe(
        self, key: Key, worker: str, info: Mapping[str, Any], notes: Sequence[str] = ()
    ) -> None:
        """Record the provenance of a run: device, versions, data; and what is to be noted of it."""
        with self._file.write() as db:
            number = _owned(db, key, worker)
            if number is not None:
                db.execute(
                    "UPDATE runs SET info = ? WHERE number = ?", (json.dumps(dict(info)), number)
                )
                db.executemany(
                    "INSERT OR IGNORE INTO notes (run, note) VALUES (?, ?)",
                    [(number, note) for note in notes],
                )

    def finish(
        self,
        key: Key,
        worker: str,
        state: Literal["done", "failed", "cancelled"],
        error: str | None = None,
    ) -> bool:
        """End a run; False when it is no longer this worker's.

        A run that was asked for again after it was cancelled is queued instead.
        """
        with self._file.write() as db:
            number = _owned(db, key, worker)
            if number is None:
                return False
            if state == "cancelled" and not _cancelled(db, number):
                _end(db, number, "queued", None)
            else:
                _end(db, number, state, error)
        self._tidy()
        return True

    def release(self, worker: str) -> None:
        """Put a worker's runs back at the head of the queue, since it is asked to leave."""
        with self._file.write() as db:
            own = db.execute(
                "SELECT number, cancel FROM runs WHERE worker = ? AND state = 'running'", (worker,)
            ).fetchall()
            for row in own:
                _end(db, row["number"], "cancelled" if row["cancel"] else "queued", None)

    def reap(self, last_words: str = "") -> list[Key]:
        """Mark running runs as failed, for a caller that knows that no worker lives.

        Args:
            last_words: what the dead worker wrote last.

        Returns:
            The runs that were marked.
        """
        with self._file.read() as db:
            if not db.execute("SELECT 1 FROM runs WHERE state = 'running' LIMIT 1").fetchone():
                return []
        said = f" (its last words: {last_words})" if last_words else ""
        error = f"the worker died while training{said}; resume to go on where it stopped"
        with self._file.write() as db:
            dead = db.execute(
                "SELECT number, experiment, seed FROM runs WHERE state = 'running'"
            ).fetchall()
            for row in dead:
                _end(db, row["number"], "failed", error)
        return [Key(row["experiment"], row["seed"]) for row in dead]

    def health(self) -> str:
        """One line on the state of the file, for ``doctor``."""
        with self._file.read() as db:
            verdict = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            runs = db.execute("SELECT number, seed, pieces FROM runs").fetchall()
            damaged = sum(bool(_damaged(db, run["seed"], run)) for run in runs)
        words = f"{len(runs)} runs" + (f", {damaged} with damaged rows" if damaged else "")
        return f"{verdict}, schema {SCHEMA_VERSION}, {words}, {self.path}"

    def _records(self, rest: str, values: tuple[Any, ...]) -> list[Record]:
        places: dict[int, int] = {}
        with self._file.read() as db:
            found = db.execute(f"{_RECORDS} {rest}", values).fetchall()
            if any(row["state"] in ("queued", "running") for row in found):
                places = _places(db)
        records = []
        for row in found:
            with suppress(InputError):  # `unreadable` names those
                records.append(record_of(row, places.get(row["number"])))
        return records


def _places(db: sqlite3.Connection) -> dict[int, int]:
    """The places of runs that wait for a turn, by their numbers."""
    return {row["number"]: row["place"] for row in db.execute(PLACES)}


def _owned(db: sqlite3.Connection, key: Key, worker: str) -> int | None:
    """A run's number; None when it is not this worker's: a worker that was given up for dead must
    not write into its successor's run."""
    row = db.execute(
        "SELECT number FROM runs WHERE experiment = ? AND seed = ? AND worker = ? "
        "AND state = 'running'",
        (*key, worker),
    ).fetchone()
    return int(row["number"]) if row else None


def _number(db: sqlite3.Connection, key: Key) -> int | None:
    row = db.execute("SELECT number FROM runs WHERE experiment = ? AND seed = ?", key).fetchone()
    return int(row["number"]) if row else None


def _count(db: sqlite3.Connection, number: int) -> int:
    return int(db.execute("SELECT count(*) FROM pieces WHERE run = ?", (number,)).fetchone()[0])


def _sound(number: int | None, piece: sqlite3.Row) -> bool:
    """Whether a piece of a run is what was written."""
    found = piece_checksum(number, piece["name"], piece["step"], piece["rows"])
    return bool(piece["checksum"] == found)


def _damaged(db: sqlite3.Connection, seed: int, run: sqlite3.Row) -> tuple[str, ...]:
    """What damage has left out of a run's rows, and what to do about it."""
    pieces = db.execute(_PIECES, (run["number"],)).fetchall()
    steps = sorted({str(one["step"]) for one in pieces if not _sound(run["number"], one)})
    lost = run["pieces"] - len(pieces)
    if not (steps or lost):
        return ()
    way_out = "remove the run and run it again to have them back"
    named = ", ".join(steps[:_MOST_NAMED]) + (" and others" if steps[_MOST_NAMED:] else "")
    where = f"at step {named}" if steps else "at some steps"
    return (f"seed {seed}: rows {where} are damaged in the store and left out; {way_out}",)


def _save_state(db: sqlite3.Connection, number: int, step: int, state: bytes) -> None:
    db.execute(
        "INSERT OR REPLACE INTO states (run, step, state, checksum) VALUES (?, ?, ?, ?)",
        (number, step, state, state_checksum(number, step, state)),
    )


def _forget_state(db: sqlite3.Connection, number: int, seed: int) -> None:
    """Let a run begin anew whose state is damaged; it measures all that it has again."""
    db.execute("DELETE FROM states WHERE run = ?", (number,))
    db.execute(
        "INSERT OR IGNORE INTO notes (run, note) VALUES (?, ?)",
        (number, f"seed {seed} was begun anew: what it could go on from was damaged in the store"),
    )
    db.execute("UPDATE runs SET pieces = ? WHERE number = ?", (_count(db, number), number))


def _cancelled(db: sqlite3.Connection, number: int) -> bool:
    return bool(db.execute("SELECT cancel FROM runs WHERE number = ?", (number,)).fetchone()[0])


def _end(db: sqlite3.Connection, number: int, state: RunState, error: str | None) -> None:
    """Let a running run be no longer running."""
    over = time.time() if state != "queued" else None
    db.execute(
        "UPDATE runs SET state = ?, error = ?, finished_at = ?, cancel = 0, worker = NULL "
        "WHERE number = ?",
        (state, error, over, number),
    )
    if state == "done":
        db.execute("DELETE FROM states WHERE run = ?", (number,))
