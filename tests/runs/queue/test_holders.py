"""Who holds a file is named with command and process id."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mtl_core.errors import StoreError
from mtl_core.runs.queue import file
from mtl_core.runs.queue.holders import holders
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]

pytestmark = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="needs Linux's /proc")

HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute(sys.argv[2])
db.execute("SELECT * FROM runs").fetchall()
print("ready", flush=True)
sys.stdin.readline()
"""


@contextmanager
def holding(path: Path, statement: str) -> Iterator[int]:
    """Another process that has the file open; its id."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), statement],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
    finally:
        process.communicate("go\n")


def test_a_lock_names_the_process_that_holds_it(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "PATIENCE", 0.1)
    with holding(store.path, "BEGIN IMMEDIATE") as pid, pytest.raises(StoreError) as caught:
        Store(store.path).submit(make_config())
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert f"another program has it open and is writing: {Path(sys.executable).name} -c" in said
    assert f"(process {pid})" in said


def test_whoever_has_it_open_is_named_where_nobody_has_locked_it(store: Store) -> None:
    with holding(store.path, "SELECT 1") as pid:
        (named,) = holders(store.path)
    assert named.endswith(f"(process {pid})")
    assert holders(store.path.with_name("nothing.db")) == []


def test_this_process_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("CREATE TABLE runs (x)")
    db.execute("BEGIN IMMEDIATE")
    (named,) = holders(path)
    assert named.startswith("this app itself (process ")
    db.close()
