"""Hung: a worker that is stopped is replaced, and nothing that is none is touched."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mtl_core import watch
from mtl_core.runs.queue import launch
from mtl_core.runs.queue.hung import Warden, hand_back, is_worker
from mtl_core.runs.queue.launch import hold_lock, lock_path, tend
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from tests.runs.queue.test_launch import Starter

Make = Callable[..., Any]
HOLDS = """
import sys, time
from pathlib import Path
from mtl_core.runs.queue.launch import hold_lock
from mtl_core.runs.queue.store import Store

store = Store(sys.argv[1])
with hold_lock(store.path):
    store.enlist("1-alice", "cpu", "a stand-in")
    print("ready", flush=True)
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(not watch.SEES, reason="needs /proc")


@pytest.fixture
def holder(store: Store, python: Make) -> "subprocess.Popen[str]":
    """A process that is a worker to all appearances."""
    process = python(HOLDS, store.path)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    starter = Starter()
    monkeypatch.setattr(launch, "start_module", starter)
    monkeypatch.setattr(watch, "STOPPED_SECONDS", 0.5)
    yield starter
    for process in starter.started:
        process.kill()
        process.wait()


def looked_after(store: Store, seconds: float = 30.0, until: Make = lambda: False) -> list[Any]:
    """What is said to one whose page comes round several times a second."""
    said, end = [], time.monotonic() + seconds
    while time.monotonic() < end and not until():
        said.append(tend(store))
        time.sleep(0.05)
    return said


def test_a_worker_that_is_stopped_is_replaced_and_its_runs_go_on(
    store: Store,
    holder: "subprocess.Popen[str]",
    starter: Starter,
    make_config: Make,
    make_pieces: Make,
) -> None:
    config = make_config(seeds=(0, 1, 2))
    store.submit(config)
    store.claim("1-alice")
    assert store.save(Key(config.id, 0), "1-alice", make_pieces(config, (0,), 4))
    store.cancel(config.id, [2])
    os.kill(holder.pid, signal.SIGSTOP)
    said = looked_after(store, until=lambda: holder.poll() is not None)
    line = f"the worker (process {holder.pid}) is stopped; unless it goes on, another takes over in"
    assert {words for words in said if words} == {f"{line} some seconds"}
    assert holder.wait() == -signal.SIGKILL
    assert len(starter.started) == 1
    states = [store.get(config.id, seed).state for seed in config.seeds]
    assert states == ["queued", "queued", "cancelled"]
    note = (
        "the worker that carried out seed 0 was stopped at step 4 and was replaced; the seed went"
    )
    assert any(words.startswith(note) for words in store.notes(config))
    assert not store.save(Key(config.id, 0), "1-alice", []), "the old one may write no more"


def test_a_stopped_worker_that_goes_on_soon_is_let_be(
    store: Store, holder: "subprocess.Popen[str]", starter: Starter
) -> None:
    warden = Warden(store, lock_path(store.path))
    os.kill(holder.pid, signal.SIGSTOP)
    while warden.look() is None:
        time.sleep(0.02)
    os.kill(holder.pid, signal.SIGCONT)
    assert set(looked_after(store, 1.0)) == {None}
    assert (holder.poll(), starter.started) == (None, [])


@pytest.mark.parametrize("what", ["another program", "another store's"])
def test_what_is_not_surely_the_worker_of_this_store_is_not_touched(
    store: Store, python: Make, starter: Starter, what: str
) -> None:
    """As where the pid is one of another machine's."""
    sleeps = "print('ready', flush=True); import time; time.sleep(600)"
    other = Store(store.path.with_name("other.db"))
    stranger = python(HOLDS, other.path) if what == "another store's" else python(sleeps)
    assert stranger.stdout.readline() == "ready\n"
    with store._file.write() as db:
        values = ("1-alice", stranger.pid, "cpu", "it", 0.0)
        db.execute("INSERT INTO workers VALUES (?, ?, ?, ?, ?)", values)
    os.kill(stranger.pid, signal.SIGSTOP)
    with hold_lock(store.path):
        assert set(looked_after(store, 2.0)) == {None}
    assert stranger.poll() is None
    assert starter.started == []


def test_a_worker_is_known_by_its_lock_and_its_command_line(
    store: Store, holder: "subprocess.Popen[str]"
) -> None:
    lock = lock_path(store.path)
    assert is_worker(holder.pid, lock)
    assert not is_worker(os.getpid(), lock)
    assert not is_worker(holder.pid, lock.with_name("other.lock"))
    assert not is_worker(2**22 + 1, lock)


def test_a_run_with_which_two_workers_hang_at_the_same_step_fails(
    store: Store, make_config: Make, make_pieces: Make
) -> None:
    config = make_config(seeds=(0, 1))
    for worker in ("1-alice", "2-bob"):
        store.submit(config)
        store.claim(worker)
        step = 4 if worker == "2-bob" else 2
        assert store.save(Key(config.id, 1), worker, make_pieces(config, (1,), step))
        hand_back(store, "was stopped")
    failed, other = store.get(config.id, 0), store.get(config.id, 1)
    assert (failed.state, other.state) == ("failed", "queued"), "the other one had gone on"
    assert failed.error == (
        "two workers in a row hung with it before its first step; resume to try again, or remove it"
    )
