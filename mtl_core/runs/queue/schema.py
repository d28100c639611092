"""The store's tables."""

__all__ = ["COUNT_CHANGES", "OLDEST", "SCHEMA", "SCHEMA_VERSION", "TABLES"]

SCHEMA_VERSION = 6
OLDEST = 1
"""Files of this version and later are brought up to date (``older``)."""

_SHOWN = (
    "experiment, seed, question, visitor, state, step, queued, queued_at, started_at, "
    "finished_at, seconds, worker, cancel, error, info"
)
"""Columns of a run that anybody is shown; its heartbeat is not among them."""

COUNT_CHANGES = (
    """
CREATE TABLE changes (
    store TEXT NOT NULL,
    last INTEGER NOT NULL,
    removed INTEGER NOT NULL
)""",
    """
INSERT INTO changes
SELECT lower(hex(randomblob(8))), last, last FROM (SELECT abs(random() >> 20) AS last)""",
    """
CREATE TRIGGER run_added AFTER INSERT ON runs BEGIN
    UPDATE changes SET last = last + 1;
    UPDATE runs SET changed = (SELECT last FROM changes) WHERE number = NEW.number;
END""",
    f"""
CREATE TRIGGER run_changed AFTER UPDATE OF {_SHOWN} ON runs BEGIN
    UPDATE changes SET last = last + 1;
    UPDATE runs SET changed = (SELECT last FROM changes) WHERE number = NEW.number;
END""",
    """
CREATE TRIGGER run_removed AFTER DELETE ON runs BEGIN
    UPDATE changes SET last = last + 1, removed = last + 1;
END""",
    "CREATE INDEX runs_by_change ON runs (changed)",
    "CREATE INDEX runs_by_state ON runs (state, queued, number)",
    "CREATE INDEX experiments_by_baseline ON experiments (baseline)",
    "CREATE INDEX experiments_by_pace ON experiments (kind, pace)",
)
"""Every change of a run gets the next number, kept with the run, so that whoever has looked before
asks for what has changed since. The count begins at a random number: another file at the same path
has others."""

SCHEMA = (
    """
CREATE TABLE experiments (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    config TEXT NOT NULL,
    baseline TEXT,
    pace TEXT
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
    starter TEXT NOT NULL DEFAULT '',
    queued INTEGER NOT NULL DEFAULT 0,
    changed INTEGER NOT NULL DEFAULT 0,
    pieces INTEGER NOT NULL DEFAULT 0,
    UNIQUE (experiment, seed)
)""",
    """
CREATE TABLE states (
    run INTEGER PRIMARY KEY REFERENCES runs (number) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    state BLOB NOT NULL,
    checksum INTEGER NOT NULL DEFAULT 0
)""",
    """
CREATE TABLE pieces (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    step INTEGER NOT NULL,
    rows TEXT NOT NULL,
    checksum INTEGER NOT NULL DEFAULT 0,
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
    *COUNT_CHANGES,
)
"""Statements that make an empty file a store: experiments, their runs (an experiment and a seed),
what each can go on from and what it measured (``pieces``: the rows of a table at a step as JSON),
and the ids that experiments had when their seeds were a part of them (``former``).

``baseline`` and ``pace`` follow from a config and are there to be searched for; NULL where no
version that wrote the file could read it. ``queued`` orders the queue: runs of one question have
one number, and later questions have larger ones. ``runs.pieces`` is how many a run has, so that one
that is lost is missed.
"""

TABLES = {
    1: {"runs", "workers", "replicas", "checkpoints"},
    5: {"experiments", "runs", "states", "pieces", "notes", "former", "workers"},
    6: {"experiments", "runs", "states", "pieces", "notes", "former", "workers", "changes"},
}
"""Those of a version; versions between have those of the one before, and more."""
