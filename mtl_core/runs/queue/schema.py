"""The store's tables."""

__all__ = ["OLDEST", "SCHEMA", "SCHEMA_VERSION", "TABLES"]

SCHEMA_VERSION = 6
OLDEST = 1
"""Files of this version and later are brought up to date (``older``)."""

SCHEMA = (
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
    visitor TEXT NOT NULL DEFAULT '',
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
"""Statements that make an empty file a store: experiments, their runs (an experiment and a seed),
what each can go on from and what it measured (``pieces``: the rows of a table at a step as JSON),
and the ids that experiments had when their seeds were a part of them (``former``)."""

TABLES = {
    1: {"runs", "workers", "replicas", "checkpoints"},
    5: {"experiments", "runs", "states", "pieces", "notes", "former", "workers"},
}
"""Those of a version; versions between have those of the one before, and more."""
