"""The worker inside the test's process, where everything around it can be made to fail."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import StoreError
from mtl_core.runs import kinds
from mtl_core.runs.queue import lockstep, slices, worker
from mtl_core.runs.queue.launch import last_words, lock_path, log_path, worker_alive
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]


def full() -> StoreError:
    return StoreError("store x cannot be used (database or disk is full); free some disk space")


def leave_after(saves: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker finds its lock gone after so many saves, and leaves."""
    save, saved = Store.save, []

    def unlock(self: Store, *arguments: Any, **words: Any) -> bool:
        saved.append(arguments)
        if len(saved) == saves:
            lock_path(store.path).unlink()
        return save(self, *arguments, **words)

    monkeypatch.setattr(Store, "save", unlock)


def test_it_leaves_when_there_is_nothing_to_do(store: Store, make: Make, serve: Make) -> None:
    config = make()
    store.submit(config)
    assert serve(store) == 0
    assert store.get(config.id, 0).state == "done"
    assert not worker_alive(store)


@pytest.mark.parametrize("what", ["save", "finish", "describe", "release"])
def test_a_disk_that_is_full_for_a_moment_costs_nothing(
    store: Store,
    make: Make,
    serve: Make,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """By design: before, the run failed, and had to be resumed by hand."""
    original, calls = getattr(Store, what), []

    def fail_now_and_then(*arguments: Any, **words: Any) -> Any:
        calls.append(arguments)
        if len(calls) % 3 == 1:
            raise full()
        return original(*arguments, **words)

    monkeypatch.setattr(Store, what, fail_now_and_then)
    config, other = make(), make(1)
    store.submit(config)
    store.submit(other)
    assert serve(store) == 0
    assert len(calls) >= 2
    for one in (config, other):
        record = store.get(one.id, 0)
        assert (record.state, record.error) == ("done", None)
        assert record.info["device"] == "cpu"
        assert_same(stored(store, one), undisturbed(one))


def test_a_disk_that_stays_full_ends_the_worker_and_the_reason_reaches_its_runs(
    store: Store,
    make: Make,
    serve: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    attempts = []

    def fail(*arguments: Any, **_: Any) -> bool:
        attempts.append(arguments)
        raise full()

    config, other = make(seeds=(0, 1)), make(1)
    store.submit(config, other)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "save", fail)
        patch.setattr(Store, "finish", fail)
        assert serve(store) == 2, "it does not try the run again and again"
    assert len(attempts) == len(lockstep.END_PAUSES) == 2
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"error: {full()}"
    assert {record.state for record in store.runs()} == {"running"}

    log_path(store.path).write_text(out)
    assert serve(store) == 0
    for failed in store.runs():
        assert failed.state == "failed"
        assert f"its last words: {full()}" in failed.error


def test_a_log_that_cannot_be_written_stops_nothing(
    store: Store, make: Make, serve: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def boom(self: Store, key: Key, *_: object) -> None:
        if key.experiment == bad.id:
            raise ZeroDivisionError

    config, bad, worse = make(), make(1), make(3)
    advance = kinds.of(config).advance

    def crash(one: Any, *rest: Any) -> Any:
        if one == worse:
            raise ZeroDivisionError
        return advance(one, *rest)

    monkeypatch.setattr("builtins.print", no_space)
    monkeypatch.setattr(slices.traceback, "print_exc", no_space)
    monkeypatch.setattr(Store, "describe", boom)
    declare(monkeypatch, config, advance=crash)
    store.submit(config, bad, worse)
    assert serve(store) == 0
    assert store.get(config.id, 0).state == "done"
    assert "ZeroDivisionError" in store.get(bad.id, 0).error
    assert "ZeroDivisionError" in store.get(worse.id, 0).error


def declare(monkeypatch: pytest.MonkeyPatch, config: Any, **changes: Any) -> None:
    """Something else of a config's kind."""
    kind = kinds.of(config)
    monkeypatch.setitem(kinds.KINDS, kind.name, replace(kind, **changes))


def test_an_error_that_nobody_foresaw_fails_one_run_in_one_line(
    store: Store,
    make: Make,
    serve: Make,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bad, good = make(1, seeds=(0, 1)), make()
    advance = kinds.of(bad).advance

    def boom(config: Any, seeds: tuple[int, ...], *rest: Any) -> Any:
        if config == bad and seeds == (1,):
            raise RuntimeError("CUDA error: gone\nwith a long story")
        return advance(config, seeds, *rest)

    declare(monkeypatch, bad, advance=boom)
    store.submit(bad, good)
    assert serve(store) == 0
    assert store.get(bad.id, 1).error == (
        "training stopped unexpectedly (RuntimeError: CUDA error: gone); "
        "resume to try again, or remove it"
    )
    assert store.get(bad.id, 0).state == store.get(good.id, 0).state == "done"

    said = capsys.readouterr()
    assert "with a long story" in said.err, "the log has all of it"
    log_path(store.path).write_text(said.err + said.out)
    assert last_words(store.path) == "", "and it is not what a worker died of that is killed later"


def test_missing_data_fails_the_run_with_the_way_out(
    store: Store, serve: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "empty"))
    config = RunConfig.from_preset("fashion", "quick", seeds=(0,))
    store.submit(config)
    assert serve(store) == 0
    failed = store.get(config.id, 0)
    assert failed.state == "failed"
    assert "FashionMNIST is not in" in failed.error
    assert "unexpectedly" not in failed.error


@pytest.mark.parametrize("what", ["the file", "its folder"])
def test_a_store_that_is_deleted_mid_run_ends_its_runs_only(
    store: Store, make: Make, serve: Make, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    save = Store.save

    def save_and_delete(self: Store, *arguments: Any, **words: Any) -> bool:
        done = save(self, *arguments, **words)
        if done:
            if what == "its folder":
                shutil.rmtree(self.path.parent)
            else:
                for path in self.path.parent.glob("runs.db*"):
                    if path.suffix != ".lock":
                        path.unlink()
        return done

    monkeypatch.setattr(Store, "save", save_and_delete)
    store.submit(make(seeds=(0, 1)))
    assert serve(store) == 0
    assert store.runs() == [], "a new store, without the runs"


def test_a_run_that_was_taken_away_is_dropped_and_the_others_go_on(
    store: Store, make: Make, serve: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a reap by somebody who took this worker for dead."""
    config = make(seeds=(0, 1))
    save, mine = Store.save, []

    def lose(self: Store, key: Key, *arguments: Any, **words: Any) -> bool:
        if key.seed == 1:
            mine.append(key)
            return False
        return save(self, key, *arguments, **words)

    monkeypatch.setattr(Store, "save", lose)
    store.submit(config)
    assert serve(store) == 0
    assert store.get(config.id, 0).state == "done"
    assert len(mine) == 1, "no second slice of it is carried out"


def test_a_worker_whose_lock_was_deleted_leaves(
    store: Store, serve: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        lock_path(store.path).unlink()

    monkeypatch.setattr(worker.time, "sleep", nap)
    assert serve(store, idle_minutes=10) == 0
    assert len(naps) == 1, "another worker may serve the store by now"


def test_a_worker_whose_lock_was_deleted_hands_its_runs_over(
    store: Store,
    make: Make,
    serve: Make,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make(4, seeds=(0, 1))
    leave_after(4, store, monkeypatch)
    store.submit(config)
    assert serve(store) == 0
    assert {(one.state, one.error) for one in store.runs()} == {("queued", None)}
    assert all(one.step > 0 for one in store.runs())
    assert serve(store) == 0
    assert {one.state for one in store.runs()} == {"done"}
    assert_same(stored(store, config), undisturbed(config))


def test_a_large_state_is_kept_seldom_and_when_it_stops(
    store: Store, make: Make, serve: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockstep, "SNAPSHOT_BYTES", 0)
    monkeypatch.setattr(lockstep, "SNAPSHOT_SECONDS", 1e9)
    monkeypatch.setattr(worker, "HEARTBEAT_SECONDS", 0.01)
    config = make(2000)
    save, seen = Store.save, []

    def look(self: Store, key: Key, *arguments: Any, **words: Any) -> bool:
        done = save(self, key, *arguments, **words)
        seen.append(int(self.state(key)["step"]))
        if len(seen) == 4:
            self.cancel(*key[:1], [key.seed])
        return done

    monkeypatch.setattr(Store, "save", look)
    store.submit(config)
    assert serve(store) == 0
    ended = store.get(config.id, 0)
    assert ended.state == "cancelled"
    assert seen[:4] == [0] * 4, "the first, then none for long"
    assert int(store.state(Key(config.id, 0))["step"]) == ended.step > 0, "a stop loses nothing"


def test_a_large_state_is_saved_when_the_worker_leaves(
    store: Store, make: Make, serve: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lockstep, "SNAPSHOT_BYTES", 0)
    monkeypatch.setattr(lockstep, "SNAPSHOT_SECONDS", 1e9)
    config = make(100, seeds=(0, 1))
    leave_after(6, store, monkeypatch)
    store.submit(config)
    assert serve(store) == 0
    for record in store.runs():
        assert record.state == "queued"
        assert int(store.state(record.key)["step"]) == record.step > 0


def test_a_damaged_state_starts_its_run_anew_and_gives_the_same_rows(
    store: Store,
    make: Make,
    serve: Make,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make(4)
    save, saved = Store.save, []

    def leave_after_three(self: Store, *arguments: Any, **words: Any) -> bool:
        saved.append(arguments)
        if len(saved) == 3:
            lock_path(store.path).unlink()
        return save(self, *arguments, **words)

    monkeypatch.setattr(Store, "save", leave_after_three)
    store.submit(config)
    assert serve(store) == 0
    with store._file.write() as db:
        db.execute("UPDATE states SET state = substr(state, 1, 90)")
    assert serve(store) == 0
    assert store.get(config.id, 0).state == "done"
    assert_same(stored(store, config), undisturbed(config))


def test_a_store_that_cannot_be_used_costs_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
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
        ("worker 1-a serves x\n", ""),
        ("worker 1-a serves x\nerror: disk full\nworker 2-b serves x\n", ""),
        ("worker 1-a serves x\nerror: store x cannot be used\n", "store x cannot be used"),
        (
            "worker 1-a serves x\nTraceback (most recent call last):\n  File x\nMemoryError\n",
            "MemoryError",
        ),
        (
            "run 1 of seed 0 failed: y\nFatal Python error: Segmentation fault\n\nThread 0x1:\n"
            "  File x\n",
            "Fatal Python error: Segmentation fault",
        ),
        ("worker 1-a serves x\nRuntimeError: handled\nrun 1 of seed 0 failed: y\n", ""),
        ("worker 1-a serves x\n/x/resource_tracker.py:1: UserWarning: leaked\n  warn()\n", ""),
        (
            "worker 1-a serves x\ntorch.OutOfMemoryError: no\nUserWarning: leaked\n",
            "torch.OutOfMemoryError: no",
        ),
        ("run 1 starts: y\nRuntimeError: of the version before\nrun 1 ends\nrun 2 starts: y\n", ""),
    ],
)
def test_last_words_are_what_it_died_of(store: Store, log: str, words: str) -> None:
    log_path(store.path).write_text(log)
    assert last_words(store.path) == words
