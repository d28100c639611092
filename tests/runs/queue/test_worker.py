"""The worker as a process: what it carries out is exact, and no death of it goes unnoticed."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds
from mtl_core.runs.queue.launch import lock_path, log_path, tend, worker_alive
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
ROOT = Path(__file__).resolve().parents[3]
LONG = 500
"""Epochs that take some seconds, even where there is nothing else to do."""
QUICK = """
import sys
from mtl_core.runs.queue import lockstep, worker

lockstep.SLICE_SECONDS, worker.HEARTBEAT_SECONDS = 0.1, 0.1
sys.exit(worker.main(sys.argv[1:]))
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def start_worker(store: Store, *, quick: bool = False) -> "subprocess.Popen[bytes]":
    """A worker of its own; a quick one has short slices and hears of a stop soon."""
    what = ("-c", QUICK) if quick else ("-m", "mtl_core.runs.queue.worker")
    with log_path(store.path).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *what, "--store", str(store.path), "--device", "cpu"],
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


def ended(store: Store, process: "subprocess.Popen[bytes]") -> int:
    """The exit code of a worker that was asked to leave; one that hangs says where."""
    process.terminate()
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # faulthandler writes where each thread is
        process.wait()
        pytest.fail(log_path(store.path).read_text(errors="replace")[-6000:])


def over(store: Store, *configs: Any) -> Callable[[], Any]:
    """Whether all runs of some experiments have ended; then their records."""

    def look() -> Any:
        records = [store.get(config.id, seed) for config in configs for seed in config.seeds]
        return None if any(record.active for record in records) else records

    return look


def has_begun(store: Store, *configs: Any) -> Callable[[], bool]:
    """Whether every run has a state after some steps to resume from."""

    def look() -> bool:
        states = [store.state(Key(one.id, seed)) for one in configs for seed in one.seeds]
        return all(state is not None and int(state["step"]) > 0 for state in states)

    return look


def main(store: Store, config: Any) -> pd.DataFrame:
    return store.table(config, kinds.of(config).main)


@pytest.fixture(params=list(kinds.KINDS))
def make_long(request: pytest.FixtureRequest, make_config: Make) -> Make:
    """An experiment of either kind that takes some seconds, two seeds; ``lr`` tells them apart."""

    def make(lr: float, **changes: Any) -> Any:
        changes = {"seeds": (0, 1), "lr": lr} | changes
        if request.param == "training":
            return make_config(epochs=LONG, **changes)
        return ParetoConfig(
            "toy", method="adaptive", solutions=12, iterations=30_000, frames=40, **changes
        )

    return make


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Store, "subprocess.Popen[bytes]"]]:
    """A store and its worker, shared by the tests of this file."""
    store = Store(tmp_path_factory.mktemp("served") / "runs.db")
    process = start_worker(store)
    yield store, process
    end(process)


def rests(pid: int) -> bool:
    """Whether a worker's pool is warm and has nothing to do."""
    before = trainers(pid)
    ticks = cpu_ticks(before)
    time.sleep(0.7)
    return len(before) >= 2 and cpu_ticks(trainers(pid)) == ticks


def test_a_warm_worker_gives_the_first_point_within_three_seconds(
    served: Any, make_config: Make, make_front: Make, until: Make
) -> None:
    store, process = served
    until(store.worker, "the worker")
    until(lambda: rests(process.pid), "a warm pool")
    quick = make_config(
        epochs=40, batch_size=32, samples=None, held_out=None, width=16, early_checkpoints=6
    )
    front = make_front("three", iterations=50_000)
    for config in (quick, front):
        asked = time.monotonic()
        store.submit(config)
        until(lambda config=config: len(main(store, config)), "the first point", 10)
        waited = time.monotonic() - asked
        store.cancel(config.id, [0])
        assert waited < 3
        until(over(store, config), "the end")


def test_it_carries_out_experiments_of_all_kinds_side_by_side(
    served: Any,
    make_config: Make,
    until: Make,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
) -> None:
    """By design: before, one run after the other, in the order of the queue."""
    store, process = served
    factors = {"factors": ("gradient_similarity",), "factor_points": 2, "similarity_batches": 2}
    configs = [
        make_config(seeds=(0, 1)),
        make_config(auxiliaries=(), base_optimizer="momentum", lr=0.01),
        make_config(auxiliaries=("noisy_digits",), optimizer="gradnorm", **factors),
        ParetoConfig("three", method="decay", solutions=6, iterations=40, frames=4, seeds=(3,)),
    ]
    store.submit(*configs)
    records = until(over(store, *configs), "the end")
    assert max(r.started_at for r in records) <= min(r.finished_at for r in records)
    for record in records:
        assert (record.state, record.error) == ("done", None)
        assert (record.step, record.share) == (record.steps, 1)
        assert 0 < record.seconds < 30
        assert record.info["device"] == "cpu"
        assert {"torch", "numpy", "python"} <= record.info["versions"].keys()
        front = record.config.kind == "front"
        assert len(record.info["data_fingerprint"]) == (7 if front else 16)
    for config in configs:
        assert_same(stored(store, config), undisturbed(config))
    assert store.worker()["pid"] == process.pid
    assert store.worker()["title"].startswith("CPU, ")
    # Asked again, it is not trained again.
    before = main(store, configs[0])
    assert {record.state for record in store.submit(configs[0])} == {"done"}
    pd.testing.assert_frame_equal(main(store, configs[0]), before)


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


def test_diverging_runs_fail_with_their_reasons_and_keep_their_points(
    served: Any, make_config: Make, make_front: Make, until: Make
) -> None:
    store, _ = served
    training = make_config(lr=1e30, base_optimizer="sgd")
    front = make_front("convex", solutions=3, lr=1e200, iterations=50, frames=50)
    store.submit(training, front)
    records = until(over(store, training, front), "the end")
    for record, words in zip(records, ("training", "solving"), strict=True):
        assert record.state == "failed"
        assert record.error.startswith(f"{words} diverged: ")
        assert "choose a smaller learning rate" in record.error
    assert set(main(store, training)["step"]) == {0}
    assert 0 in set(main(store, front)["step"])


def test_a_stop_takes_effect_soon_keeps_the_points_and_leaves_the_others(
    served: Any, make_long: Make, make_config: Make, until: Make
) -> None:
    store, _ = served
    long = make_long(1e-3)
    next_one = make_config(epochs=1, seeds=(7 if long.kind == "training" else 8,))
    store.submit(long)
    until(has_begun(store, long), "some points")
    asked = time.monotonic()
    store.cancel(long.id, [0])
    until(lambda: not store.get(long.id, 0).active, "the stop", 10)
    assert time.monotonic() - asked < 4
    assert store.get(long.id, 1).state == "running", "the other seed goes on"
    store.submit(next_one)
    store.cancel(long.id, [1])
    for record in until(over(store, long), "the stop"):
        assert (record.state, record.error) == ("cancelled", None)
        assert 0 < record.step < record.steps
    rows = main(store, long)
    assert set(rows["seed"]) == {0, 1}
    (record,) = until(over(store, next_one), "the next run")
    assert record.state == "done"
    pd.testing.assert_frame_equal(main(store, long), rows)  # nothing is written after the stop


def test_a_process_of_the_pool_that_dies_is_replaced_and_its_run_goes_on(
    served: Any,
    make_config: Make,
    until: Make,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
) -> None:
    """By design: before, the run that it had failed."""
    store, process = served
    config = make_config(epochs=120, lr=2e-3, seeds=(0, 1, 2))
    store.submit(config)
    until(has_begun(store, config), "some points")
    os.kill(trainers(process.pid)[0], signal.SIGKILL)
    records = until(over(store, config), "the end")
    assert {(record.state, record.error) for record in records} == {("done", None)}
    assert_same(stored(store, config), undisturbed(config))
    (note,) = store.notes(config)
    assert re.fullmatch(
        r"a process that carried on seed \d from step \d+ died and was replaced; what it had to do "
        r"was done again, with the same values",
        note,
    )
    assert process.poll() is None


def test_a_stop_takes_effect_soon_though_every_process_hangs(
    served: Any, make_config: Make, until: Make
) -> None:
    """By design: before, it had no effect at all."""
    store, process = served
    config, next_one = make_config(epochs=LONG, lr=5e-3, seeds=(0, 1)), make_config(epochs=3)
    store.submit(config)
    until(has_begun(store, config), "some points")
    stopped = trainers(process.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    asked = time.monotonic()
    store.cancel(config.id, config.seeds)
    for record in until(over(store, config), "the stop", 10):
        assert (record.state, record.error) == ("cancelled", None)
        assert 0 < record.step == int(store.state(record.key)["step"]) < record.steps
    assert time.monotonic() - asked < 5, "three seconds, and two for a machine with much to do"
    until(lambda: not any(map(alive, stopped)), "their end", 10)
    store.submit(next_one)
    assert until(over(store, next_one), "the next run")[0].state == "done"


def test_processes_of_the_pool_that_die_while_they_rest_are_replaced(
    served: Any, make_config: Make, until: Make
) -> None:
    store, process = served
    until(lambda: rests(process.pid), "an idle pool", 30)
    for pid in trainers(process.pid):
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: not alive(pid), "its end")
    time.sleep(1)  # until the pool has noticed; a slice in between would be one that it had
    config = make_config(epochs=5, seeds=(0, 1))
    store.submit(config)
    records = until(over(store, config), "the end")
    assert {(record.state, record.error) for record in records} == {("done", None)}
    assert process.poll() is None


def test_asked_to_leave_it_puts_its_runs_back_at_the_head_of_the_queue(
    served: Any, make_config: Make, until: Make
) -> None:
    store, process = served
    front = ParetoConfig("toy", solutions=12, iterations=50_000, frames=40, seeds=(0,))
    config = make_config(epochs=LONG, lr=4e-3, seeds=(0, 1))
    records = store.submit(config, front)
    until(has_begun(store, config, front), "some points")
    others = children(process.pid)
    assert ended(store, process) == 0
    behind = store.submit(make_config(epochs=4))[0]
    for record in (store.get(*one.key) for one in records):
        assert (record.state, record.error) == ("queued", None)
        assert record.place < behind.place == 4
        assert record.seconds > 0
        assert record.info["device"] == "cpu", "known since it started"
        assert int(store.state(record.key)["step"]) == record.step > 0
    assert set(main(store, config)["seed"]) == {0, 1}
    assert not worker_alive(store)
    until(lambda: not any(map(alive, others)), "the end of its pool", 10)


def test_asked_to_leave_it_waits_for_no_process_that_hangs(
    store: Store, make_config: Make, until: Make
) -> None:
    """By design: before, it waited until each slice came back."""
    process = start_worker(store)
    try:
        config = make_config(epochs=LONG, lr=6e-3, seeds=(0, 1))
        store.submit(config)
        until(has_begun(store, config), "some points")
        stopped = trainers(process.pid)
        assert len(stopped) >= 2
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        assert ended(store, process) == 0
        for record in store.runs():
            assert (record.state, record.error) == ("queued", None)
            assert int(store.state(record.key)["step"]) == record.step > 0
        until(lambda: not any(map(alive, stopped)), "the end of its pool", 10)
    finally:
        end(process)


def test_a_thread_that_hangs_does_not_hold_a_worker_that_is_done(tmp_path: Path) -> None:
    code = """
import faulthandler, threading
from mtl_core.runs.queue import worker

faulthandler.enable()
worker.END_SECONDS = 0.2
threading.Thread(target=threading.Event().wait, name="stays").start()
worker._end(3)
"""
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 3
    assert "in wait" in made.stderr, "where it hung"


def test_stopped_killed_and_resumed_a_question_ends_as_if_nothing_had_happened(
    store: Store,
    make_config: Make,
    until: Make,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
) -> None:
    """Single-task, multi-task and a front, two seeds each, in the middle of their lockstep."""
    stl = make_config(auxiliaries=(), epochs=150, seeds=(0, 1))
    mtl = make_config(epochs=120, seeds=(0, 1))
    front = ParetoConfig(
        "toy", method="adaptive", solutions=12, iterations=3_000, frames=30, seeds=(0, 1)
    )
    question = (stl, mtl, front)
    store.submit(*question)
    first = start_worker(store, quick=True)
    started = [first.pid]
    try:
        until(has_begun(store, *question), "some points")
        for config in (stl, front):
            store.cancel(config.id, [1])
        for config in (stl, front):
            until(lambda one=config: not store.get(one.id, 1).active, "the stop", 10)
            assert store.get(config.id, 1).state == "cancelled"
        store.submit(*question)
        until(lambda: len(store.runs(state="running")) == 6, "that it goes on")
        others = children(first.pid)
        assert len(others) >= 2

        os.kill(first.pid, signal.SIGKILL)
        until(lambda: not worker_alive(store), "the lock", 5)
        first.wait()
        assert tend(store) is None
        kept: dict[Key, tuple[int, pd.DataFrame]] = {}
        for record in store.runs():
            assert record.state == "failed"
            assert record.error == (
                "the worker died while training; resume to go on where it stopped"
            )
            assert 0 < record.step < record.steps
            saved = int(store.state(record.key)["step"])
            kept[record.key] = saved, main(store, record.config)
        assert len(kept) == 6
        until(lambda: not any(map(alive, others)), "the end of its pool", 5)

        store.submit(*question)  # Resume
        records = until(over(store, *question), "the end")
        started.append(store.worker()["pid"])
        assert started[1] != started[0]
        assert {(record.state, record.error) for record in records} == {("done", None)}
        assert {note for config in question for note in store.notes(config)} == set()
        for config in question:
            assert_same(stored(store, config), undisturbed(config))
        for record in records:
            rows = main(store, record.config)
            saved, before = kept[record.key]
            measured = before[before["step"] <= saved].reset_index(drop=True)
            again = rows[rows["step"] <= saved].reset_index(drop=True)
            pd.testing.assert_frame_equal(again, measured)  # even its seconds are the same
            assert rows["seconds"].is_monotonic_increasing, "the clock goes on, too"
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
