"""The store's tables, and what each version of them added."""

__all__ = ["SCHEMA_VERSION", "SINCE", "TABLES", "statements"]

SCHEMA_VERSION = 4

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
SINCE = {}
"""What each later schema added to the one before."""
SINCE[2] = """
CREATE TABLE cosines (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seed INTEGER NOT NULL,
    step INTEGER NOT NULL,
    epoch REAL NOT NULL,
    task TEXT NOT NULL,
    other TEXT NOT NULL,
    cosine REAL NOT NULL,
    PRIMARY KEY (run, seed, step, task, other)
) WITHOUT ROWID;
CREATE TABLE notes (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    note TEXT NOT NULL,
    PRIMARY KEY (run, note)
) WITHOUT ROWID;
"""
SINCE[3] = """
CREATE TABLE updates (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seed INTEGER NOT NULL,
    step INTEGER NOT NULL,
    epoch REAL NOT NULL,
    task TEXT NOT NULL,
    weight REAL NOT NULL,
    cosine_to_sum REAL,
    norm_ratio REAL,
    PRIMARY KEY (run, seed, step, task)
) WITHOUT ROWID;
"""
SINCE[4] = """
CREATE TABLE frames (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    seed INTEGER NOT NULL,
    step INTEGER NOT NULL,
    front BLOB NOT NULL,
    PRIMARY KEY (run, seed, step)
) WITHOUT ROWID;
"""
TABLES = {1: {"runs", "workers", "replicas", "checkpoints"}}
"""Those of each version."""
TABLES[2] = TABLES[1] | {"cosines", "notes"}
TABLES[3] = TABLES[2] | {"updates"}
TABLES[4] = TABLES[3] | {"frames"}


def statements(above: int = 0) -> list[str]:
    """What makes a file of version ``above`` one of today; 0 is an empty file."""
    later = [text for version, text in SINCE.items() if version > above]
    return "".join(later if above else [_SCHEMA, *later]).split(";")
