"""The worker inside the test's process, where everything around it can be made to fail."""

import shutil
import signal
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import StoreError
from mtl_core.runs.queue import worker
from mtl_core.runs.queue.launch import last_words, lock_path, log_path, worker_alive
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
training = import_module("mtl_core.training.train")  # the module, not the function of its name


@pytest.fixture(autouse=True)
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One seed needs no pool; what the worker does to its process is undone."""
    monkeypatch.setattr(worker, "_warm_pool", lambda: None)
    monkeypatch.setattr(worker, "END_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def serve(store: Store, idle_minutes: float = 0.003) -> int:
    return worker.main(
        ["--store", str(store.path), "--device", "cpu", "--idle-minutes", str(idle_minutes)]
    )


def full() -> StoreError:
    return StoreError("store x cannot be used (database or disk is full); free some disk space")


def test_it_leaves_when_there_is_nothing_to_do(store: Store, make_config: Make) -> None:
    record = store.submit(make_config())
    assert serve(store) == 0
    assert store.get(record.id).state == "done"
    assert not worker_alive(store)


def test_a_disk_that_fills_up_mid_run_fails_it_with_the_reason(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = Store.save, []

    def fail_at_third(*arguments: Any) -> bool:
        saved.append(arguments)
        if len(saved) == 3:
            raise full()
        return save(*arguments)

    monkeypatch.setattr(Store, "save", fail_at_third)
    monkeypatch.setattr(training, "SLICE_SECONDS", 0.0)
    first, second = store.submit(make_config()), store.submit(make_config(epochs=1))
    assert serve(store) == 0, "it goes on with the next run"
    record = store.get(first.id)
    assert (record.state, record.error) == ("failed", str(full()))
    assert store.rows(first.id)
    assert store.get(second.id).state == "done"


def test_a_disk_that_stays_full_ends_the_worker_and_the_reason_reaches_the_run(
    store: Store,
    make_config: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempts = []

    def fail(*arguments: Any) -> bool:
        attempts.append(arguments)
        raise full()

    record = store.submit(make_config())
    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", fail)
        patch.setattr(Store, "finish", fail)
        assert serve(store) == 2, "it does not try the run again and again"
    assert len(attempts) == 3
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"error: {full()}"
    assert store.get(record.id).state == "running"

    log_path(store.path).write_text(out)
    assert serve(store) == 0
    failed = store.get(record.id)
    assert failed.state == "failed"
    assert f"its last words: {full()}" in failed.error


def test_a_log_that_cannot_be_written_stops_nothing(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def boom(self: Store, run: str, *_: object) -> None:
        if run == bad.id:
            raise ZeroDivisionError

    monkeypatch.setattr("builtins.print", no_space)
    monkeypatch.setattr(worker.traceback, "print_exc", no_space)
    monkeypatch.setattr(Store, "describe", boom)
    record, bad = store.submit(make_config()), store.submit(make_config(epochs=1))
    assert serve(store) == 0
    assert store.get(record.id).state == "done"
    assert "ZeroDivisionError" in store.get(bad.id).error


def test_an_error_that_nobody_foresaw_fails_one_run_in_one_line(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mtl_core.training

    train = mtl_core.training.train

    def boom(config: RunConfig, **words: Any) -> Any:
        if config.epochs == 1:
            raise RuntimeError("CUDA error: gone\nwith a long story")
        return train(config, **words)

    monkeypatch.setattr(mtl_core.training, "train", boom)
    bad, good = store.submit(make_config(epochs=1)), store.submit(make_config())
    assert serve(store) == 0
    assert store.get(bad.id).error == (
        "training stopped unexpectedly (RuntimeError: CUDA error: gone); "
        "resume to try again, or remove it"
    )
    assert store.get(good.id).state == "done"


def test_missing_data_fails_the_run_with_the_way_out(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "empty"))
    record = store.submit(RunConfig.from_preset("fashion", "quick", seeds=(0,)))
    assert serve(store) == 0
    failed = store.get(record.id)
    assert failed.state == "failed"
    assert "FashionMNIST is not in" in failed.error


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_a_store_that_is_deleted_mid_run_ends_the_run_only(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    save = Store.save

    def save_and_delete(self: Store, *arguments: Any) -> bool:
        done = save(self, *arguments)
        if done:
            if what == "its folder":
                shutil.rmtree(self.path.parent)
            else:
                for path in self.path.parent.glob("runs.db*"):
                    if path.suffix != ".lock":
                        path.unlink()
        return done

    monkeypatch.setattr(Store, "save", save_and_delete)
    store.submit(make_config())
    assert serve(store) == 0
    assert store.runs() == [], "a new store, without the run"


def test_a_worker_whose_lock_was_deleted_leaves(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        lock_path(store.path).unlink()

    monkeypatch.setattr(worker.time, "sleep", nap)
    assert serve(store, idle_minutes=10) == 0
    assert len(naps) == 1, "another worker may serve the store by now"


def test_a_large_state_is_kept_seldom_and_when_it_stops(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SNAPSHOT_BYTES", 0)
    monkeypatch.setattr(worker, "SNAPSHOT_SECONDS", 1e9)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.01)
    monkeypatch.setattr(training, "SLICE_SECONDS", 0.0)
    save, seen = Store.save, []

    def look(self: Store, run: str, name: str, checkpoints: Any) -> bool:
        done = save(self, run, name, checkpoints)
        seen.append([int(state["step"]) for state in self.states(run).values()])
        if len(seen) == 6:
            self.cancel(run)
        return done

    monkeypatch.setattr(Store, "save", look)
    record = store.submit(make_config(epochs=2000))
    assert serve(store) == 0
    ended = store.get(record.id)
    assert ended.state == "cancelled"
    assert {step for steps in seen[:6] for step in steps} == {0}, "the first, then none for long"
    (state,) = store.states(record.id).values()
    assert int(state["step"]) == ended.steps_done > 0, "nothing is lost by a stop"


def test_a_store_that_cannot_be_used_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert worker.main(["--store", str(tmp_path / "file" / "runs.db")]) == 2
    captured = capsys.readouterr()
    assert captured.out.startswith("error: store ")
    assert len(captured.out.splitlines()) == 1
    assert captured.err == ""


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("worker 1-a serves x\nrun 1 starts: RunConfig\n", ""),
        ("worker 1-a serves x\nerror: disk full\nworker 2-b serves x\nrun 1 starts: y\n", ""),
        ("run 1 starts: y\nerror: store x cannot be used\n", "store x cannot be used"),
        (
            "run 1 starts: y\nTraceback (most recent call last):\n  File x\nMemoryError\n",
            "MemoryError",
        ),
        (
            "run 1 starts: y\nFatal Python error: Segmentation fault\n\nThread 0x1:\n  File x\n",
            "Fatal Python error: Segmentation fault",
        ),
        ("run 1 starts: y\nRuntimeError: handled\nrun 1 ends\nrun 2 starts: y\n", ""),
        ("run 1 starts: y\n/x/resource_tracker.py:1: UserWarning: leaked\n  warn()\n", ""),
        (
            "run 1 starts: y\ntorch.OutOfMemoryError: no\nUserWarning: leaked\n",
            "torch.OutOfMemoryError: no",
        ),
    ],
)
def test_last_words_are_what_it_died_of(store: Store, log: str, words: str) -> None:
    log_path(store.path).write_text(log)
    assert last_words(store.path) == words
