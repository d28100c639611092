"""The pool: processes that die or are stopped are noticed and replaced, with work or without."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import pytest

from mtl_core import watch
from mtl_core.training.pool import ReplicaPool

Make = Callable[..., Any]

pytestmark = pytest.mark.skipif(not watch.SEES, reason="needs /proc")


def test_processes_that_die_or_are_stopped_are_noticed_and_replaced(
    until: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "STOPPED_SECONDS", 0.3)
    pool = ReplicaPool(1, rehearse=False)
    try:
        assert pool.troubles() == {}, "nothing has started"
        pool.warm()
        assert not pool.ready(0)
        until(lambda: pool.ready(0), "the start")
        first = pool.call(os.getpid).result()
        assert (pool.fit(0), pool.troubles()) == (True, {})

        os.kill(first, signal.SIGKILL)
        assert until(pool.troubles, "that it is missed") == {0: "died"}
        pool.renew(0)
        second = pool.call(os.getpid).result()
        assert second != first

        hangs = pool.call(time.sleep, 600)
        os.kill(second, signal.SIGSTOP)
        until(lambda: not pool.fit(0), "its stop")
        assert until(pool.troubles, "that it hangs") == {0: "was stopped"}
        pool.renew(0)
        assert isinstance(hangs.exception(60), (BrokenExecutor, RuntimeError))
        until(lambda: watch.sign(second) is None, "its end")
        third = pool.call(os.getpid).result()
        assert third not in (first, second)
        os.kill(third, signal.SIGSTOP)
    finally:
        pool.shutdown(kill=True)
    until(lambda: watch.sign(third) is None, "the end of one that is stopped")


def test_a_process_that_did_not_start_is_not_started_again_and_again() -> None:
    pool = ReplicaPool(1)
    failed: Future[None] = Future()
    failed.set_exception(MemoryError())
    pool._starts = [failed]
    assert not pool.ready(0)
    assert pool.troubles() == {}


def test_a_process_with_nothing_to_do_ends_where_asked_and_comes_back(until: Make) -> None:
    pool = ReplicaPool(1, rehearse=False, idle_seconds=0.5)
    try:
        first = pool.call(os.getpid).result()
        until(lambda: watch.sign(first) is None, "its end")
        assert pool.call(os.getpid).result() != first
    finally:
        pool.shutdown(kill=True)
