"""The worker as a process: what it carries out is exact, and no death of it goes unnoticed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mtl_core.runs.queue.launch import lock_path, log_path, tend, worker_alive
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
LONG = {"epochs": 100, "seeds": (0, 1)}
"""Some seconds of training, even where there is nothing else to do."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def start_worker(store: Store) -> "subprocess.Popen[bytes]":
    with log_path(store.path).open("ab") as log:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "mtl_core.runs.queue.worker"),
                *("--store", str(store.path), "--device", "cpu"),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name: state, parent, …; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pid: int) -> bool:
    return bool(stat(pid)) and stat(pid)[0] != "Z"


def children(pid: int) -> list[int]:
    every = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [one for one in every if (found := stat(one)) and found[1] == str(pid)]


def cpu_ticks(pids: list[int]) -> int:
    return sum(int(found[11]) + int(found[12]) for pid in pids if (found := stat(pid)))


def trainers(pid: int) -> list[int]:
    """The worker's pool: its children that compute."""
    return [one for one in children(pid) if cpu_ticks([one]) > 50]


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a worker, and the processes that it started should they not end by themselves."""
    others = children(process.pid)
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    deadline = time.monotonic() + 5
    while any(map(alive, others)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in filter(alive, others):
        os.kill(pid, signal.SIGKILL)


def finished(store: Store, run: str, *states: str) -> Callable[[], Any]:
    def look() -> Any:
        record = store.get(run)
        assert record is not None
        return record if record.state in (states or ("done", "failed", "cancelled")) else None

    return look


def has_begun(store: Store, run: str) -> Callable[[], bool]:
    """Whether every seed has a state after some steps to resume from."""

    def look() -> bool:
        states = store.states(run)
        return len(states) == 2 and all(int(state["step"]) > 0 for state in states.values())

    return look


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Store, "subprocess.Popen[bytes]"]]:
    """A store and its worker, shared by the tests of this file."""
    store = Store(tmp_path_factory.mktemp("served") / "runs.db")
    process = start_worker(store)
    yield store, process
    end(process)


def test_a_warm_worker_gives_the_first_point_within_three_seconds(
    served: Any, make_config: Make, until: Make
) -> None:
    store, process = served
    until(store.worker, "the worker")

    def rests() -> bool:
        before = trainers(process.pid)
        ticks = cpu_ticks(before)
        time.sleep(0.7)
        return len(before) >= 2 and cpu_ticks(trainers(process.pid)) == ticks

    until(rests, "a warm pool")
    quick = make_config(
        epochs=40, batch_size=32, samples=None, held_out=None, width=16, early_checkpoints=6
    )
    asked = time.monotonic()
    store.submit(quick)
    until(lambda: store.rows(quick.id), "the first point", 10)
    waited = time.monotonic() - asked
    store.cancel(quick.id)
    assert waited < 3
    until(finished(store, quick.id), "the end")


def test_it_carries_out_the_queue_in_order_one_at_a_time(
    served: Any, make_config: Make, until: Make, expected_rows: Make, metric_rows: Make
) -> None:
    store, process = served
    configs = [
        make_config(seeds=(0, 1)),
        make_config(auxiliaries=(), base_optimizer="momentum", lr=0.01),
        make_config(auxiliaries=("noisy_digits",), optimizer="mean"),
    ]
    for config in configs:
        store.submit(config)
    records = [until(finished(store, config.id), "the end") for config in configs]
    for record, later in pairwise(records):
        assert record.finished_at <= later.started_at
    for config, record in zip(configs, records, strict=True):
        assert (record.state, record.error) == ("done", None)
        assert record.steps_done == record.steps_total
        assert 0 < record.seconds < 30
        assert record.info["device"] == "cpu"
        assert {"torch", "numpy", "python"} <= record.info["versions"].keys()
        assert len(record.info["data_fingerprint"]) == 16
        assert metric_rows(store.rows(config.id)) == expected_rows(config), "to the last bit"
    assert store.worker()["pid"] == process.pid
    assert store.worker()["title"].startswith("CPU, ")
    # Asked again, it is not trained again.
    before = store.rows(configs[0].id)
    assert store.submit(configs[0]).state == "done"
    assert store.rows(configs[0].id) == before


def test_a_second_worker_leaves_at_once(served: Any, until: Make) -> None:
    store, process = served
    assert worker_alive(store)
    second = start_worker(store)
    try:
        assert second.wait(30) == 0
    finally:
        end(second)
    assert process.poll() is None
    assert store.worker()["pid"] == process.pid


def test_a_diverging_run_fails_with_its_reason_and_keeps_its_points(
    served: Any, make_config: Make, until: Make
) -> None:
    store, _ = served
    config = make_config(lr=1e30, base_optimizer="sgd")
    store.submit(config)
    record = until(finished(store, config.id), "the end")
    assert record.state == "failed"
    assert record.error.startswith("training diverged: loss of ")
    assert "choose a smaller learning rate" in record.error
    assert {row["step"] for row in store.rows(config.id)} == {0}


def test_a_stop_takes_effect_soon_keeps_the_points_and_frees_the_queue(
    served: Any, make_config: Make, until: Make
) -> None:
    store, _ = served
    long, next_one = make_config(**LONG), make_config(epochs=1)
    store.submit(long)
    store.submit(next_one)
    until(has_begun(store, long.id), "some points")
    assert store.get(next_one.id).place == 1
    asked = time.monotonic()
    store.cancel(long.id)
    record = until(finished(store, long.id), "the stop")
    assert time.monotonic() - asked < 4
    assert (record.state, record.error) == ("cancelled", None)
    assert 0 < record.steps_done < record.steps_total
    rows = store.rows(long.id)
    assert {row["seed"] for row in rows} == {0, 1}
    assert until(finished(store, next_one.id), "the next run").state == "done"
    assert store.rows(long.id) == rows, "nothing is written after the stop"


def test_a_process_of_the_pool_that_dies_fails_its_run_only(
    served: Any, make_config: Make, until: Make
) -> None:
    store, process = served
    config, next_one = make_config(**(LONG | {"lr": 2e-3})), make_config(epochs=3)
    store.submit(config)
    until(has_begun(store, config.id), "some points")
    os.kill(trainers(process.pid)[0], signal.SIGKILL)
    record = until(finished(store, config.id), "the end")
    assert record.state == "failed"
    assert record.error.startswith("training stopped unexpectedly (TerminatedWorkerError: ")
    assert len(record.error.splitlines()) == 1
    assert store.rows(config.id)
    store.submit(next_one)
    assert until(finished(store, next_one.id), "the next run").state == "done"
    assert process.poll() is None


def test_asked_to_leave_it_puts_its_run_back_at_the_head_of_the_queue(
    served: Any, make_config: Make, until: Make
) -> None:
    store, process = served
    config, behind = make_config(**(LONG | {"lr": 4e-3})), make_config(epochs=4)
    store.submit(config)
    store.submit(behind)
    until(has_begun(store, config.id), "some points")
    others = children(process.pid)
    process.terminate()
    assert process.wait(20) == 0
    record = store.get(config.id)
    assert (record.state, record.place, record.error) == ("queued", 1, None)
    assert record.seconds > 0
    assert store.rows(config.id)
    assert len(store.states(config.id)) == 2
    assert store.get(behind.id).place == 2
    assert not worker_alive(store)
    until(lambda: not any(map(alive, others)), "the end of its pool", 10)


def test_a_killed_worker_leaves_a_failed_run_that_resumes_to_the_same_rows(
    store: Store, make_config: Make, until: Make, expected_rows: Make, metric_rows: Make
) -> None:
    config = make_config(**LONG)
    started: list[int] = []
    try:
        store.submit(config)
        assert tend(store) is None
        until(has_begun(store, config.id), "some points")
        started.append(store.worker()["pid"])
        others = children(started[0])
        assert len(others) >= 2

        os.kill(started[0], signal.SIGKILL)
        until(lambda: not worker_alive(store), "the lock", 5)
        assert tend(store) is None
        record = store.get(config.id)
        assert record.state == "failed"
        assert record.error == ("the worker died while training; resume to go on where it stopped")
        assert 0 < record.steps_done < record.steps_total
        assert not alive(started[0]), "no zombie stays"
        until(lambda: not any(map(alive, others)), "the end of its pool", 5)
        kept = store.rows(config.id)
        saved = {seed: int(state["step"]) for seed, state in store.states(config.id).items()}

        store.submit(config)  # Resume
        record = until(finished(store, config.id), "the end")
        started.append(store.worker()["pid"])
        assert started[1] != started[0]
        assert (record.state, record.error) == ("done", None)
        rows = store.rows(config.id)
        assert metric_rows(rows) == expected_rows(config), "as if nothing had happened"
        again = {(row["seed"], row["step"], row["task"]): row for row in rows}
        for row in kept:
            if row["step"] <= saved[row["seed"]]:
                key = (row["seed"], row["step"], row["task"])
                assert again[key] == row, "measured once, so even its seconds are the same"
        for seed in config.seeds:
            spent = [row["seconds"] for row in rows if row["seed"] == seed]
            assert spent == sorted(spent), "the clock goes on, too"
    finally:
        if (worker := store.worker()) and worker["pid"] not in started:
            started.append(worker["pid"])
        for pid in started:
            if alive(pid):
                os.kill(pid, signal.SIGTERM)
        until(lambda: not any(map(alive, started)) or tended(store), "the workers' end", 20)
    assert not lock_path(store.path).is_dir()


def tended(store: Store) -> bool:
    """Collects the worker that ``tend`` started here; a Popen that nobody polls stays a zombie."""
    from mtl_core.runs.queue import launch

    started = launch._started.get(store.path)
    return started is None or started.process.poll() is not None
