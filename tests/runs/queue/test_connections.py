"""Connections that stay open: few, each lent to one thread, never to a file that is gone."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest

from mtl_core.runs.queue.connections import MOST_IDLE, Connections


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE numbers (x)")
    db.close()
    return path


class Opened:
    """Counts."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0

    def __call__(self) -> sqlite3.Connection:
        self.count += 1
        return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)


def look(connections: Connections) -> list[int]:
    with connections.one() as db:
        return [row[0] for row in db.execute("SELECT x FROM numbers")]


def test_one_is_opened_for_many_uses_in_any_thread(path: Path) -> None:
    opened = Opened(path)
    connections = Connections(path, opened)
    for _ in range(3):
        look(connections)
        thread = threading.Thread(target=look, args=(connections,))
        thread.start()
        thread.join()
    assert opened.count == 1


def test_two_at_once_are_two_and_few_stay_open(path: Path) -> None:
    opened = Opened(path)
    connections = Connections(path, opened)
    lent = [connections.one() for _ in range(MOST_IDLE + 3)]
    found = [one.__enter__() for one in lent]
    assert len({id(db) for db in found}) == len(lent) == opened.count
    for one, db in zip(lent, found, strict=True):
        db.execute("SELECT * FROM numbers").fetchall()
        one.__exit__(None, None, None)
    usable = 0
    for db in found:
        try:
            db.execute("SELECT 1")
            usable += 1
        except sqlite3.ProgrammingError:
            pass
    assert usable == MOST_IDLE


def test_what_went_wrong_with_is_not_lent_again(path: Path) -> None:
    opened = Opened(path)
    connections = Connections(path, opened)

    def half() -> None:
        with connections.one() as db:
            db.execute("BEGIN")
            db.execute("INSERT INTO numbers VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert look(connections) == []
    assert opened.count == 2


def test_a_file_that_was_replaced_is_opened_anew(path: Path) -> None:
    connections = Connections(path, Opened(path))
    assert look(connections) == []
    other = path.with_name("other.db")
    db = sqlite3.connect(other)
    with db:
        db.execute("CREATE TABLE numbers (x)")
        db.execute("INSERT INTO numbers VALUES (7)")
    db.close()
    for side in ("-wal", "-shm"):
        Path(f"{path}{side}").unlink(missing_ok=True)
    os.replace(other, path)
    assert look(connections) == [7]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs forks, as on Unix")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_opens_its_own_and_leaves_the_parents_alone(path: Path) -> None:
    opened = Opened(path)
    connections = Connections(path, opened)
    look(connections)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with connections.one() as db:
                db.execute("INSERT INTO numbers VALUES (3)")
            code = 0 if opened.count == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert look(connections) == [3]
    assert opened.count == 1
