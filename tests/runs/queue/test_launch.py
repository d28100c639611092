"""Launch: one worker to a store, and a reason where none stays alive."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from filelock import FileLock

from mtl_core.errors import StoreError
from mtl_core.runs.queue import launch
from mtl_core.runs.queue.launch import lock_path, log_path, tend, worker_alive
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
SLEEPS = "import time; time.sleep(60)"
DIES = "import sys; print('error: no such device'); sys.exit(2)"


class Starter:
    """Stands in for ``start_module``: what it starts is no worker but runs ``code``."""

    def __init__(self) -> None:
        self.code = SLEEPS
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self, *_: str, output: Any, **__: Any) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen([sys.executable, "-c", self.code], stdout=output)
        self.started.append(process)
        return process


@pytest.fixture
def starter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Starter]:
    starter = Starter()
    monkeypatch.setattr(launch, "start_module", starter)
    yield starter
    for process in starter.started:
        process.kill()
        process.wait()


def test_many_tend_and_one_worker_starts(store: Store, starter: Starter) -> None:
    threads = [threading.Thread(target=tend, args=(store,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(starter.started) == 1


def test_nothing_is_touched_while_a_worker_lives(
    store: Store, make_config: Make, starter: Starter
) -> None:
    config = make_config()
    store.submit(config)
    store.claim("1-alice")
    with FileLock(lock_path(store.path)):
        assert worker_alive(store)
        assert tend(store) is None
        assert store.get(config.id, 0).state == "running"
        assert starter.started == []
    assert not worker_alive(store)
    tend(store)
    assert store.get(config.id, 0).state == "failed"
    assert len(starter.started) == 1


def test_a_worker_that_dies_at_once_is_not_started_again_and_again(
    store: Store, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(launch.time, "monotonic", lambda: now)
    starter.code = DIES
    pauses = []
    for count in range(1, 8):
        assert tend(store) is None
        assert len(starter.started) == count
        starter.started[-1].wait()
        for _ in range(3):
            line = tend(store)
            assert line.startswith("no worker stays alive (no such device); trying again in ")
            assert str(log_path(store.path)) in line
            assert len(line.splitlines()) == 1
        assert len(starter.started) == count
        pauses.append(float(line.split("again in ")[1].split(" s")[0]))
        now += pauses[-1] + 0.1
    assert pauses == [2, 4, 8, 16, 32, 60, 60]


def test_a_worker_that_left_or_died_after_a_while_is_replaced_at_once(
    store: Store, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(launch.time, "monotonic", lambda: now)
    starter.code = "pass"
    tend(store)
    starter.started[-1].wait()
    starter.code = DIES
    assert tend(store) is None
    assert len(starter.started) == 2
    starter.started[-1].wait()
    now += 61
    assert tend(store) is None
    assert len(starter.started) == 3


def test_what_keeps_it_from_starting_is_said_not_raised(
    store: Store, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(launch, "start_module", refuse)
    assert "no worker can be started ([Errno 11]" in tend(store)
    lock_path(store.path).unlink(missing_ok=True)
    lock_path(store.path).mkdir()
    line = tend(store)
    assert line.startswith(f"lock {lock_path(store.path)} cannot be used (")
    assert line.endswith("set MTL_STORE to a file in another folder")
    with pytest.raises(StoreError, match="cannot be used"):
        worker_alive(store)


def test_the_log_does_not_grow_for_ever(store: Store, starter: Starter) -> None:
    log = log_path(store.path)
    log.write_bytes(b"x" * (2**20 + 1))
    starter.code = "print('hello')"
    tend(store)
    starter.started[-1].wait()
    assert log.read_text() == "hello\n"
