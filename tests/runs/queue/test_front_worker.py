"""The worker solves for fronts: exactly, stopped and resumed in between, and killed."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core.pareto import Front, ParetoConfig, solve
from mtl_core.runs.queue.store import Store
from tests.runs.queue.test_worker import end, start_worker

Make = Callable[..., Any]
LONG = ParetoConfig(
    "toy", method="adaptive", solutions=12, iterations=20_000, frames=40, seeds=(0, 1)
)
"""Some seconds of solving."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Store, "list[subprocess.Popen[bytes]]"]]:
    """A store and its workers, of which the last lives."""
    store = Store(tmp_path_factory.mktemp("served") / "runs.db")
    workers = [start_worker(store)]
    yield store, workers
    for worker in workers:
        end(worker)


def over(store: Store, run: str) -> Callable[[], Any]:
    def look() -> Any:
        record = store.get_front(run)
        assert record is not None
        return None if record.active else record

    return look


def assert_equal(found: list[Front], expected: list[Front]) -> None:
    by_place = {(front.seed, front.step): front for front in expected}
    assert {(front.seed, front.step) for front in found} == set(by_place)
    for front in found:
        other = by_place[front.seed, front.step]
        assert np.array_equal(front.train, other.train)
        assert np.array_equal(front.matrix, other.matrix)
        assert front.evaluations == other.evaluations


def test_what_it_solves_for_is_what_solve_gives(served: Any, until: Make) -> None:
    store, _ = served
    config = ParetoConfig("three", method="decay", solutions=6, iterations=40, frames=4, seeds=(3,))
    store.submit(config)
    record = until(over(store, config.id), "the end")
    assert (record.state, record.error) == ("done", None)
    assert record.steps_done == record.steps_total
    assert record.info["data_fingerprint"] == "formula"
    assert_equal(store.frames(config.id), list(solve(config)))


def test_a_diverging_front_fails_with_its_reason_and_keeps_its_frames(
    served: Any, until: Make
) -> None:
    store, _ = served
    config = ParetoConfig("convex", solutions=3, lr=1e200, iterations=50, frames=50, seeds=(0,))
    store.submit(config)
    record = until(over(store, config.id), "the end")
    assert record.state == "failed"
    assert "choose a smaller learning rate" in record.error
    assert store.frames(config.id)


def test_stopped_killed_and_resumed_it_ends_as_if_nothing_had_happened(
    served: Any, until: Make
) -> None:
    store, workers = served
    store.submit(LONG)
    until(lambda: len(store.frames(LONG.id)) >= 4, "some frames")
    store.cancel(LONG.id)
    record = until(over(store, LONG.id), "the stop", 10)
    assert record.state == "cancelled"
    assert 0 < record.steps_done < record.steps_total
    assert set(store.states(LONG.id)) == {0, 1}

    store.submit(LONG)
    seen = len(store.frames(LONG.id))
    until(lambda: len(store.frames(LONG.id)) > seen, "more frames")
    os.kill(workers[-1].pid, signal.SIGKILL)
    workers[-1].wait()
    workers.append(start_worker(store))
    record = until(over(store, LONG.id), "that its death was noticed")
    assert record.state == "failed"
    assert "resume to go on" in record.error

    store.submit(LONG)
    record = until(over(store, LONG.id), "the end")
    assert (record.state, record.error) == ("done", None)
    assert_equal(store.frames(LONG.id), list(solve(LONG)))
