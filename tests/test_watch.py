"""Watch: a process that is stopped or dead-locked is told from one that is slow."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mtl_core import watch
from mtl_core.watch import SEES, Sign, Watch, children, sign

needs_proc = pytest.mark.skipif(not SEES, reason="needs /proc")


class Process:
    """A process as it is seen, and the clock by which it is looked at."""

    def __init__(self, *, sees: bool = True) -> None:
        self.now = 100.0
        self.seen: Sign | None = Sign("S", 3.0)
        self.watch = Watch(1, look=lambda _: self.seen, sees=sees, clock=lambda: self.now)

    def troubles(self, work: Any, seconds: int, every: float = 1.0, cpu: float = 0.0) -> list[str]:
        """All that is said within so many seconds, while it uses so much CPU time a second."""
        said = []
        for _ in range(int(seconds / every)):
            self.now += every
            if self.seen is not None:
                self.seen = Sign(self.seen.state, self.seen.cpu + cpu * every)
            said.append(self.watch.trouble(work))
        return [words for words in said if words]


@pytest.mark.parametrize("cpu", [1.0, 0.01])
def test_what_uses_cpu_time_gets_on_however_long_it_takes(cpu: float) -> None:
    assert Process().troubles("work", 10_000, cpu=cpu) == []


@pytest.mark.parametrize("state", ["R", "D", "t"])
def test_what_waits_for_a_core_a_disk_or_a_debugger_gets_on(state: str) -> None:
    process = Process()
    process.seen = Sign(state, 3.0)
    assert process.troubles("work", 1000) == []


def test_what_does_nothing_is_given_two_minutes_and_only_while_it_has_work() -> None:
    process = Process()
    assert process.troubles(None, 1000) == []
    assert process.troubles("work", 121) == []
    assert process.troubles("work", 1) == ["did nothing for 120 s"]
    assert process.troubles("other work", 121) == [], "what is new gets its own time"


def test_threads_that_only_wait_are_no_sign_of_life() -> None:
    assert Process().troubles("work", 125, cpu=0.0002)


@pytest.mark.parametrize("work", [None, "work"])
def test_what_is_stopped_is_given_ten_seconds_with_work_or_without(work: Any) -> None:
    process = Process()
    process.seen = Sign("T", 3.0)
    assert process.troubles(work, 10) == []
    assert process.troubles(work, 1) == ["was stopped"]
    process.seen = Sign("S", 3.0)
    assert process.troubles(work, 5) == [], "somebody let it go on"
    process.seen = Sign("T", 3.0)
    assert process.troubles(work, 10) == []


def test_time_in_which_nobody_looked_does_not_count() -> None:
    """Who looks was stopped too, as when a whole container is frozen."""
    process = Process()
    process.seen = Sign("T", 3.0)
    assert process.troubles("work", 9, every=1.0) == []
    assert process.troubles("work", 10_000, every=10_000) == []
    assert process.troubles("work", 2) == ["was stopped", "was stopped"]


@pytest.mark.parametrize("seen", [None, Sign("Z", 3.0), Sign("X", 3.0)])
def test_what_is_gone_has_died_when_it_is_so_for_two_looks(seen: Sign | None) -> None:
    process = Process()
    process.seen = seen
    assert process.watch.trouble("work") is None
    assert process.troubles(None, 2) == ["died", "died"]


def test_where_nothing_is_seen_there_is_a_generous_bound_that_grows_with_the_work() -> None:
    process = Process(sees=False)
    assert process.troubles(None, 100_000) == []
    assert process.troubles("first", 3601) == []
    assert process.troubles("first", 1) == ["did not come back within 3601 s"]
    assert process.troubles("second", 20 * 3601) == [], "twenty times the longest so far"
    assert process.troubles("second", 10)[-1] == "did not come back within 72029 s"


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@needs_proc
def test_a_real_process_is_seen(
    sleeper: "subprocess.Popen[bytes]", until: Callable[..., Any]
) -> None:
    pid = sleeper.pid
    assert pid in children(os.getpid())
    assert sign(pid).parent == os.getpid()
    until(lambda: sign(pid).state == "S", "its sleep")
    os.kill(pid, signal.SIGSTOP)
    until(lambda: sign(pid).state == "T", "its stop")
    sleeper.kill()
    until(lambda: sign(pid).state == "Z", "its death")
    sleeper.wait()
    assert sign(pid) is None
    assert pid not in children(os.getpid())


def test_where_there_is_no_proc_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SEES", False)
    assert children(os.getpid()) == []
