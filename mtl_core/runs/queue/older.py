"""Stores of older schemas, made today's.

In schemas 1 to 4 a run was an experiment with all its seeds. Schema 5 had neither checksums nor
what listings are searched by.
"""

import io
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.kinds.base import Columns, columns_of
from mtl_core.runs.queue.checksums import piece_checksum, state_checksum
from mtl_core.runs.queue.records import index_of
from mtl_core.runs.queue.schema import COUNT_CHANGES

__all__ = ["bring_up_to_date", "split_config"]

_BROKEN = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What a damaged front raises."""
_RENAMED = ("runs", "replicas", "checkpoints", "cosines", "updates", "frames", "notes")


def split_config(values: Mapping[str, Any]) -> tuple[str, dict[str, Any], tuple[int, ...]]:
    """The kind, the experiment and the seeds of a config that had its seeds in it.

    Raises:
        InputError: when its seeds are none.
    """
    if not isinstance(values, Mapping):
        raise InputError("a config must be an object")
    experiment = dict(values)
    seeds = checks.seeds(experiment.pop("seeds", (0, 1, 2)))
    return ("front" if experiment.get("kind") == "pareto" else "training"), experiment, seeds


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Inside a transaction: every row of an older file has its place in today's tables."""
    if db.execute("PRAGMA user_version").fetchone()[0] < 5:
        _split_runs(db)
    _add_checksums(db)


# From schema 5: the same rows, and what can be computed from them.


def _add_checksums(db: sqlite3.Connection) -> None:
    for table, columns in _ADDED.items():
        for column in columns:
            db.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
    db.create_function("piece_checksum", 4, piece_checksum, deterministic=True)
    db.create_function("state_checksum", 3, state_checksum, deterministic=True)
    db.execute(
        "UPDATE pieces SET checksum = piece_checksum(run, CAST(name AS BLOB), step, "
        "CAST(rows AS BLOB))"
    )
    db.execute("UPDATE states SET checksum = state_checksum(run, step, CAST(state AS BLOB))")
    db.execute("UPDATE runs SET pieces = (SELECT count(*) FROM pieces WHERE run = number)")
    db.execute(
        "UPDATE runs SET queued = place, changed = place FROM (SELECT number AS of, "
        "dense_rank() OVER (ORDER BY queued_at) AS place FROM runs) WHERE number = of"
    )
    for row in db.execute("SELECT id, kind, config FROM experiments").fetchall():
        with suppress(InputError, ValueError, TypeError, RecursionError):
            config = kinds.experiment(row["kind"], json.loads(row["config"]), seeds=(0,))
            db.execute(
                "UPDATE experiments SET baseline = ?, pace = ? WHERE id = ?",
                (*index_of(config), row["id"]),
            )
    db.execute("DROP INDEX IF EXISTS runs_by_state")
    for statement in COUNT_CHANGES:
        db.execute(statement)


_ADDED = {
    "experiments": ("baseline TEXT", "pace TEXT"),
    "runs": (
        "visitor TEXT NOT NULL DEFAULT ''",  # nobody knew who had asked for a run
        "starter TEXT NOT NULL DEFAULT ''",
        "queued INTEGER NOT NULL DEFAULT 0",
        "changed INTEGER NOT NULL DEFAULT 0",
        "pieces INTEGER NOT NULL DEFAULT 0",
    ),
    "states": ("checksum INTEGER NOT NULL DEFAULT 0",),
    "pieces": ("checksum INTEGER NOT NULL DEFAULT 0",),
}


# From schemas 1 to 4: a run for each seed.


def _split_runs(db: sqlite3.Connection) -> None:
    found = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    there = {row["name"] for row in found} & set(_RENAMED)
    for name in there:
        db.execute(f"ALTER TABLE {name} RENAME TO old_{name}")
    db.execute("DROP INDEX IF EXISTS runs_by_state")
    db.execute("DROP TABLE IF EXISTS workers")
    for statement in _SCHEMA_5:
        db.execute(statement)
    # Of runs that share an experiment and a seed the most advanced comes first; its rows are those
    # of the others and more.
    order = "ORDER BY state = 'done' DESC, (SELECT max(step) FROM old_replicas WHERE run = id) DESC"
    for row in db.execute(f"SELECT * FROM old_runs {order}").fetchall():
        _move(db, row, there)
    for name in there:
        db.execute(f"DROP TABLE old_{name}")


@dataclass(frozen=True)
class _Old:
    """A run with all its seeds."""

    row: sqlite3.Row
    kind: str
    values: Mapping[str, Any]
    experiment: str
    config: Any  # None where this version cannot read it


def _move(db: sqlite3.Connection, row: sqlite3.Row, there: set[str]) -> None:
    old, seeds = _read(db, row)
    db.execute(
        "INSERT OR IGNORE INTO experiments VALUES (?, ?, ?)",
        (old.experiment, old.kind, json.dumps(old.values) if old.values else row["config"]),
    )
    db.execute(
        "INSERT OR IGNORE INTO former VALUES (?, ?, ?)",
        (row["id"], old.experiment, json.dumps(seeds)),
    )
    for seed in seeds:
        replica = db.execute(
            "SELECT * FROM old_replicas WHERE run = ? AND seed = ?", (row["id"], seed)
        ).fetchone()
        new = _add_run(db, old, seed, replica, len(seeds))
        number = db.execute(
            "SELECT number FROM runs WHERE experiment = ? AND seed = ?", (old.experiment, seed)
        ).fetchone()["number"]
        pieces = _training(db, old, seed, there) if old.kind == "training" else ()
        if old.kind == "front" and "frames" in there:
            pieces = _fronts(db, old, seed)
        for step, name, columns in pieces:
            db.execute(
                "INSERT OR IGNORE INTO pieces (run, name, step, rows) VALUES (?, ?, ?, ?)",
                (number, name, step, json.dumps(columns, separators=(",", ":"))),
            )
        if new and replica is not None and replica["state"] is not None:
            db.execute(
                "INSERT OR IGNORE INTO states VALUES (?, ?, ?)",
                (number, replica["saved_step"], replica["state"]),
            )
        if "notes" in there:
            db.execute(
                "INSERT OR IGNORE INTO notes SELECT ?, note FROM old_notes WHERE run = ?",
                (number, row["id"]),
            )


def _read(db: sqlite3.Connection, row: sqlite3.Row) -> tuple[_Old, tuple[int, ...]]:
    kind, config = "training", None
    values: Mapping[str, Any] = {}
    replicas = db.execute("SELECT seed FROM old_replicas WHERE run = ?", (row["id"],)).fetchall()
    seeds = tuple(sorted(replica["seed"] for replica in replicas))
    experiment = str(row["id"])
    with suppress(InputError, ValueError, TypeError, RecursionError):
        kind, values, _ = split_config(json.loads(row["config"]))
        config = kinds.experiment(kind, values, seeds=seeds or (0,))
        experiment = config.id
    return _Old(row, kind, values, experiment, config), seeds or (0,)


def _add_run(
    db: sqlite3.Connection, old: _Old, seed: int, replica: sqlite3.Row | None, seeds: int
) -> bool:
    """Whether the run is new; what is not readable keeps its state."""
    row, step = old.row, replica["step"] if replica is not None else -1
    whole = kinds.get(old.kind).steps(old.config) if old.config is not None else None
    done = row["state"] == "done" or step == whole
    # Those that had ended when others of its seeds had not are done; they keep no state.
    state = "done" if done else row["state"]
    cursor = db.execute(
        "INSERT OR IGNORE INTO runs (experiment, seed, question, state, step, queued_at, "
        "started_at, finished_at, seconds, worker, heartbeat, cancel, error, info) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            old.experiment,
            seed,
            row["id"],
            state,
            step,
            row["queued_at"],
            row["started_at"],
            row["finished_at"] or (row["heartbeat"] if done else None),
            row["seconds"] / seeds,
            row["worker"] if state == "running" else None,
            row["heartbeat"],
            row["cancel"] if state == "running" else 0,
            None if done else row["error"],
            row["info"],
        ),
    )
    return cursor.rowcount > 0 and not done


def _training(
    db: sqlite3.Connection, old: _Old, seed: int, there: set[str]
) -> Iterator[tuple[int, str, Columns]]:
    values = old.values
    auxiliaries = old.config.auxiliaries if old.config else values.get("auxiliaries", ())
    same = {
        "setting": values.get("setting", ""),
        "auxiliaries": "+".join(auxiliaries) or "stl",
        "optimizer": old.config.optimizer if old.config else values.get("optimizer", ""),
    }
    sources = {"trajectory": "checkpoints", "cosines": "cosines", "updates": "updates"}
    for name, source in sources.items():
        if source not in there:
            continue
        columns = kinds.get("training").tables[name].given
        rows = db.execute(
            f"SELECT * FROM old_{source} WHERE run = ? AND seed = ? ORDER BY step, task",
            (old.row["id"], seed),
        ).fetchall()
        by_step: dict[int, list[dict[str, Any]]] = {}
        for row in rows:
            role = "target" if row["task"] == values.get("target") else "auxiliary"
            by_step.setdefault(row["step"], []).append(same | {"role": role} | dict(row))
        for step, found in by_step.items():
            yield step, name, columns_of(found, columns)


def _fronts(db: sqlite3.Connection, old: _Old, seed: int) -> Iterator[tuple[int, str, Columns]]:
    """The fronts of a seed; a damaged one is left out, as the version before did."""
    from mtl_core.pareto.front import Front
    from mtl_core.runs.kinds.front import tables

    if old.config is None:
        return
    rows = db.execute(
        "SELECT step, front FROM old_frames WHERE run = ? AND seed = ? ORDER BY step",
        (old.row["id"], seed),
    ).fetchall()
    for row in rows:
        with suppress(*_BROKEN):
            with np.load(io.BytesIO(row["front"]), allow_pickle=False) as archive:
                arrays = dict(archive)
            front = Front(
                seed=seed,
                step=row["step"],
                evaluations=int(arrays["evaluations"]),
                seconds=float(arrays["seconds"]),
                train=arrays["train"],
                test=arrays.get("test"),
                metrics=arrays.get("metrics"),
                matrix=arrays["matrix"],
                solutions=None,
                state={},
            )
            for name, columns in tables(old.config, front).items():
                yield row["step"], name, columns


_SCHEMA_5 = (
    """
CREATE TABLE experiments (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    config TEXT NOT NULL
) WITHOUT ROWID""",
    """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    experiment TEXT NOT NULL REFERENCES experiments (id),
    seed INTEGER NOT NULL,
    question TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    step INTEGER NOT NULL DEFAULT -1,
    queued_at REAL NOT NULL,
    started_at REAL,
    finished_at REAL,
    seconds REAL NOT NULL DEFAULT 0,
    worker TEXT,
    heartbeat REAL,
    cancel INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    info TEXT NOT NULL DEFAULT '{}',
    UNIQUE (experiment, seed)
)""",
    "CREATE INDEX runs_by_state ON runs (state, queued_at)",
    """
CREATE TABLE states (
    run INTEGER PRIMARY KEY REFERENCES runs (number) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    state BLOB NOT NULL
)""",
    """
CREATE TABLE pieces (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    step INTEGER NOT NULL,
    rows TEXT NOT NULL,
    PRIMARY KEY (run, name, step)
) WITHOUT ROWID""",
    """
CREATE TABLE notes (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    note TEXT NOT NULL,
    PRIMARY KEY (run, note)
) WITHOUT ROWID""",
    """
CREATE TABLE former (
    id TEXT PRIMARY KEY,
    experiment TEXT NOT NULL,
    seeds TEXT NOT NULL
) WITHOUT ROWID""",
    """
CREATE TABLE workers (
    name TEXT PRIMARY KEY,
    pid INTEGER NOT NULL,
    device TEXT NOT NULL,
    title TEXT NOT NULL,
    started_at REAL NOT NULL
)""",
)
