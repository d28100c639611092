"""The store: what is in it is exact, owned by one worker, and survives what happens to its file."""

import json
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError
from mtl_core.runs.queue import schema
from mtl_core.runs.queue.schema import SCHEMA_VERSION
from mtl_core.runs.queue.store import Store, default_path
from mtl_core.trajectory import COLUMNS, Cosine

Make = Callable[..., Any]
ALICE, BOB = "1-alice", "2-bob"


def sql(store: Store, statement: str, *values: object) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(store.path)
    try:
        with db:
            return db.execute(statement, values).fetchall()
    finally:
        db.close()


# Life of a run.


def test_a_run_goes_from_queued_to_done(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config(seeds=(0, 1))
    record = store.submit(config)
    assert (record.state, record.place, record.steps_done) == ("queued", 1, 0)
    assert record.config == config
    assert record.id == config.id
    assert store.waiting()

    taken = store.claim(ALICE)
    assert taken is not None
    assert (taken.state, taken.place, taken.worker) == ("running", None, ALICE)
    assert not store.waiting()
    assert store.claim(BOB) is None

    assert store.save(config.id, ALICE, [make_checkpoint(config, (0,), 4)])
    assert store.get(config.id).steps_done == 4
    assert store.save(config.id, ALICE, [make_checkpoint(config, (0, 1), config.steps)])
    assert store.get(config.id).steps_done == record.steps_total == 2 * config.steps
    store.describe(config.id, ALICE, {"device": "cpu"})
    assert store.finish(config.id, ALICE, "done")

    done = store.get(config.id)
    assert (done.state, done.error, dict(done.info)) == ("done", None, {"device": "cpu"})
    assert not done.active
    assert done.finished_at >= done.started_at >= done.queued_at
    assert store.states(config.id) == {}, "a finished run keeps no state to resume from"
    assert [one.id for one in store.runs("done")] == [config.id]


def test_the_same_question_is_one_run(store: Store, make_config: Make) -> None:
    first = store.submit(make_config(auxiliaries=("digits2", "noisy_digits"), seeds=(1, 0)))
    again = store.submit(make_config(auxiliaries=("noisy_digits", "digits2"), seeds=(0, 1)))
    assert again == first
    assert len(store.runs()) == 1
    store.claim(ALICE)
    assert store.submit(first.config).state == "running"
    store.finish(first.id, ALICE, "done")
    assert store.submit(first.config).state == "done"
    assert not store.waiting()


def test_the_queue_is_first_in_first_out_and_says_its_places(
    store: Store, make_config: Make
) -> None:
    configs = [make_config(epochs=n) for n in (3, 1, 2)]
    assert [store.submit(config).place for config in configs] == [1, 2, 3]
    assert [record.config for record in store.runs()] == configs[::-1], "newest first"
    store.cancel(configs[1].id)
    assert [store.get(config.id).place for config in configs] == [1, None, 2]
    assert store.submit(configs[1]).place == 3, "asked for again, it waits behind the others"
    assert [store.claim(ALICE).config for _ in configs] == [configs[0], configs[2], configs[1]]


def test_cancelling_a_queued_run_takes_it_out_at_once(store: Store, make_config: Make) -> None:
    record = store.submit(make_config())
    store.cancel(record.id)
    assert store.get(record.id).state == "cancelled"
    assert store.claim(ALICE) is None


def test_cancelling_a_running_run_reaches_its_worker_only(store: Store, make_config: Make) -> None:
    record = store.submit(make_config())
    store.claim(ALICE)
    assert store.beat(record.id, ALICE) == "go on"
    store.cancel(record.id)
    assert store.get(record.id).state == "running", "until its worker has stopped"
    assert store.beat(record.id, ALICE) == "cancel"
    assert store.beat(record.id, BOB) == "lost"
    assert store.finish(record.id, ALICE, "cancelled")
    assert store.get(record.id).state == "cancelled"
    assert store.beat(record.id, ALICE) == "lost"


def test_asking_again_takes_a_stop_back(store: Store, make_config: Make) -> None:
    record = store.submit(make_config())
    store.claim(ALICE)
    store.cancel(record.id)
    store.submit(record.config)
    assert store.beat(record.id, ALICE) == "go on"

    store.cancel(record.id)
    assert store.beat(record.id, ALICE) == "cancel"
    store.submit(record.config)  # after its worker has heard of the stop
    assert store.finish(record.id, ALICE, "cancelled")
    assert store.get(record.id).state == "queued"
    assert store.claim(BOB).id == record.id


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_resuming_keeps_rows_and_state(
    store: Store, make_config: Make, make_checkpoint: Make, end: Any
) -> None:
    config = make_config(seeds=(0, 1))
    store.submit(config)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0, 1), 4)])
    rows, states = store.rows(config.id), store.states(config.id)
    store.cancel(config.id)
    store.finish(config.id, ALICE, end, "lost power" if end == "failed" else None)
    assert store.get(config.id).error == ("lost power" if end == "failed" else None)

    again = store.submit(config)
    assert (again.state, again.error, again.steps_done) == ("queued", None, 8)
    assert store.rows(config.id) == rows
    assert sorted(store.states(config.id)) == sorted(states) == [0, 1]
    assert store.claim(BOB).worker == BOB
    assert store.beat(config.id, BOB) == "go on", "the earlier stop is forgotten"


def test_a_released_run_is_next_unless_it_was_to_stop(store: Store, make_config: Make) -> None:
    first, second = store.submit(make_config(epochs=1)), store.submit(make_config(epochs=2))
    store.claim(ALICE)
    store.release(first.id, ALICE)
    assert [store.get(one.id).place for one in (first, second)] == [1, 2]
    store.claim(BOB)
    store.cancel(first.id)
    store.release(first.id, BOB)
    assert store.get(first.id).state == "cancelled"


def test_a_running_run_is_not_removed_and_others_are_with_all_they_have(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0,), 2)])
    with pytest.raises(InputError, match=f"{config.id} is running; stop it"):
        store.remove(config.id)
    assert len(store.rows(config.id)) == 2
    store.finish(config.id, ALICE, "failed", "no reason")
    store.remove(config.id)
    assert store.get(config.id) is None
    assert store.rows(config.id) == []
    for table in ("runs", "replicas", "checkpoints"):
        assert sql(store, f"SELECT count(*) FROM {table}") == [(0,)]
    store.remove(config.id)  # gone is gone


def test_a_worker_that_lost_its_run_writes_nothing(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0,), 2)])
    assert store.reap() == [config.id]
    store.submit(config)
    store.claim(BOB)
    before = store.rows(config.id), store.get(config.id)

    late = make_checkpoint(config, (0,), 4)
    assert store.save(config.id, ALICE, [late]) is False
    assert store.finish(config.id, ALICE, "done") is False
    assert store.beat(config.id, ALICE) == "lost"
    store.describe(config.id, ALICE, {"device": "alice's"})
    store.release(config.id, ALICE)
    assert (store.rows(config.id), store.get(config.id)) == before
    assert store.save(config.id, BOB, [late]) is True


def test_reaping_fails_what_runs_with_the_last_words(store: Store, make_config: Make) -> None:
    running, queued = store.submit(make_config(epochs=1)), store.submit(make_config(epochs=2))
    store.claim(ALICE)
    assert store.reap("MemoryError") == [running.id]
    assert store.reap("again") == []
    failed = store.get(running.id)
    assert failed.state == "failed"
    assert failed.error == (
        "the worker died while training (its last words: MemoryError); "
        "resume to go on where it stopped"
    )
    assert store.get(queued.id).state == "queued"


def test_time_spent_is_summed_over_attempts(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("mtl_core.runs.queue.store.time.time", lambda: now)
    record = store.submit(make_config())
    store.claim(ALICE)
    now += 5
    store.beat(record.id, ALICE)
    now += 100  # nobody knows how long it lived after its last sign of life
    store.reap()
    assert store.get(record.id).seconds == 5
    store.submit(record.config)
    now += 50
    store.claim(BOB)
    now += 2
    store.finish(record.id, BOB, "done")
    assert store.get(record.id).seconds == 7


# What is in it.


def test_rows_come_back_exactly(
    store: Store, make_config: Make, make_checkpoint: Make, make_row: Make
) -> None:
    config = make_config(auxiliaries=("digits2", "noisy_digits"), seeds=(0, 3))
    store.submit(config)
    store.claim(ALICE)
    for step in (0, 1, 2):
        for seed in (3, 0):
            store.save(config.id, ALICE, [make_checkpoint(config, (seed,), step)])
    expected = [
        make_row(config, seed, task, step)
        for seed in (0, 3)
        for step in (0, 1, 2)
        for task in sorted(config.tasks)
    ]
    assert store.rows(config.id) == expected, "every float to its last bit"


def test_the_trajectory_has_the_documented_columns_and_puts_the_target_first(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config(target="digits2", auxiliaries=("digits1",))
    store.submit(config)
    assert list(store.trajectory(config.id).columns) == list(COLUMNS), "also without rows"
    assert list(store.trajectory("0" * 16).columns) == list(COLUMNS), "also without a run"
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0,), step) for step in (0, 1)])
    table = store.trajectory(config.id)
    assert list(table.columns) == list(COLUMNS)
    assert table["task"].tolist() == ["digits2", "digits1"] * 2
    assert table["fisher_trace"].isna().tolist() == [True, True, False, False]
    assert str(table["seed"].dtype) == str(table["step"].dtype) == "int64"


def test_states_come_back_bit_equal_without_a_pickle(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config(seeds=(0, 1))
    store.submit(config)
    store.claim(ALICE)
    checkpoint = make_checkpoint(config, (0, 1), 3)
    store.save(config.id, ALICE, [checkpoint])
    for seed, state in store.states(config.id).items():
        assert state.keys() == checkpoint.state.keys()
        for name, value in checkpoint.state.items():
            mine = value[seed : seed + 1] if value.ndim else value
            assert state[name].dtype == mine.dtype
            assert state[name].tobytes() == mine.tobytes()
    for (blob,) in sql(store, "SELECT state FROM replicas"):
        assert blob[:2] == b"PK", "an .npz archive"


def test_a_state_that_would_need_a_pickle_is_refused(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    checkpoint = make_checkpoint(config, (0,), 3)
    checkpoint.state["code"] = np.array([print])
    with pytest.raises(TypeError, match="'code' holds Python objects"):
        store.save(config.id, ALICE, [checkpoint])
    assert store.rows(config.id) == [], "all or nothing"


def test_a_damaged_or_pickled_state_is_not_loaded(
    store: Store, make_config: Make, make_checkpoint: Make, tmp_path: Path
) -> None:
    config = make_config(seeds=(0, 1, 2))
    store.submit(config)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0, 1, 2), 3)])
    sql(store, "UPDATE replicas SET state = substr(state, 1, 90) WHERE seed = 0")
    np.savez(tmp_path / "evil.npz", step=np.array([print], dtype=object), allow_pickle=True)
    evil = (tmp_path / "evil.npz").read_bytes()
    sql(store, "UPDATE replicas SET state = ? WHERE seed = 1", evil)
    assert list(store.states(config.id)) == [2], "the others start anew"


def test_a_run_of_another_version_is_named_not_trained_and_can_be_removed(
    store: Store, make_config: Make
) -> None:
    strange, foreign, good = (store.submit(make_config(epochs=n)) for n in (1, 2, 3))
    sql(store, "UPDATE runs SET config = ? WHERE id = ?", '{"setting": "marsian"}', strange.id)
    sql(
        store,
        "UPDATE runs SET config = ? WHERE id = ?",
        json.dumps(good.config.to_dict()),
        foreign.id,
    )
    assert [record.id for record in store.runs()] == [good.id]
    reasons = store.unreadable()
    assert list(reasons) == [strange.id, foreign.id]
    assert "lacks 'target'" in reasons[strange.id]
    assert good.id in reasons[foreign.id]

    assert store.claim(ALICE).id == good.id, "those before it do not block the queue"
    found = dict(sql(store, "SELECT id, state FROM runs"))
    assert found == {strange.id: "failed", foreign.id: "failed", good.id: "running"}
    store.remove(strange.id)
    assert list(store.unreadable()) == [foreign.id]


def test_the_announced_worker_is_the_last_one(store: Store) -> None:
    assert store.worker() is None
    store.enlist(ALICE, "cuda", "a GPU")
    store.enlist(BOB, "cpu", "CPU, 2 cores")
    found = store.worker()
    assert (found["name"], found["pid"], found["title"]) == (BOB, os.getpid(), "CPU, 2 cores")


# Its file.


def test_default_path_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "deep" / "er" / "x.db"))
    assert Store().path == tmp_path / "deep" / "er" / "x.db" == default_path()
    assert Store().path.is_file()
    monkeypatch.delenv("MTL_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_path().name == "runs.db"


def test_a_path_with_odd_characters_is_only_a_path(tmp_path: Path, make_config: Make) -> None:
    store = Store(tmp_path / "a ?mode=ro&%23#ü.db")
    store.submit(make_config())
    assert store.path.is_file()
    assert len(Store(store.path).runs()) == 1


def one_line(error: BaseException, *parts: str) -> None:
    text = str(error)
    assert len(text.splitlines()) == 1
    for part in parts:
        assert part in text


def test_a_newer_schema_is_left_alone(store: Store) -> None:
    sql(store, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = store.path.read_bytes()
    with pytest.raises(StoreError) as caught:
        Store(store.path)
    one_line(caught.value, str(store.path), f"schema {SCHEMA_VERSION + 1}", "update the app")
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_of_an_older_schema_is_brought_up_to_date_with_all_that_it_has(
    store: Store, make_config: Make, make_checkpoint: Make, version: int
) -> None:
    config = make_config()
    store.submit(config)
    store.claim("1-a")
    store.save(config.id, "1-a", [make_checkpoint(config, config.seeds, 1)])
    before = store.rows(config.id)
    for table in schema.TABLES[SCHEMA_VERSION] - schema.TABLES[version]:
        sql(store, f"DROP TABLE {table}")
    sql(store, f"PRAGMA user_version = {version}")
    again = Store(store.path)
    assert again.notice is None
    assert again.rows(config.id) == before
    assert (again.side("cosines", config.id), again.notes(config.id)) == ([], [])
    assert again.side("updates", config.id) == []
    assert sql(again, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert Store(store.path).health().startswith("ok, schema 4, 1 runs")


def test_cosines_and_notes_come_back_and_go_with_their_run(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config()
    store.submit(config)
    store.claim("1-a")
    pair = Cosine(seed=0, step=4, epoch=1.0, task="digits1", other="digits2", cosine=0.1 + 0.2)
    checkpoint = replace(
        make_checkpoint(config, config.seeds, 4), cosines=(pair,), notes=("sharpness: none", "b")
    )
    for _ in range(2):  # a resumed run measures some steps again
        assert store.save(config.id, "1-a", [checkpoint])
    assert store.side("cosines", config.id) == [pair]
    assert store.notes(config.id) == ["b", "sharpness: none"]
    store.finish(config.id, "1-a", "done")
    store.remove(config.id)
    assert (store.side("cosines", config.id), store.notes(config.id)) == ([], [])
    assert sql(store, "SELECT count(*) FROM cosines") == [(0,)]


def test_an_sqlite_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE photos (x)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        Store(path)
    one_line(caught.value, str(path), "photos", "MTL_STORE")
    assert path.read_bytes() == before


def test_garbage_is_set_aside_under_a_name_of_its_own(tmp_path: Path, make_config: Make) -> None:
    path = tmp_path / "runs.db"
    kept = set()
    for content in (b"garbage " * 600, b"other garbage " * 600, b"more" * 2000):
        path.write_bytes(content)
        store = Store(path)
        one_line(StoreError(store.notice), str(path), "not a database", ".corrupt-")
        store.submit(make_config())
        kept.add(content)
        asides = [aside.read_bytes() for aside in tmp_path.glob("runs.corrupt-*.db")]
        assert set(asides) == kept, "also three within a second"
        assert len(asides) == len(kept)
    assert Store(path).notice is None


@pytest.mark.parametrize("how", ["truncated", "overwritten"])
def test_a_damaged_store_is_set_aside(
    store: Store, make_config: Make, make_checkpoint: Make, how: str
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0,), step) for step in range(200)])
    sql(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    size = store.path.stat().st_size
    assert size > 10 * 4096
    with store.path.open("r+b") as file:
        if how == "truncated":
            file.truncate(size // 2)
        else:
            file.seek(2 * 4096)
            file.write(os.urandom(size - 3 * 4096))
    damaged = store.path.read_bytes()
    again = Store(store.path)
    assert again.notice is not None
    one_line(StoreError(again.notice), "damaged")
    assert again.runs() == []
    (aside,) = store.path.parent.glob("runs.corrupt-*.db")
    assert aside.read_bytes() == damaged


def test_damage_that_shows_while_in_use_says_what_to_do(store: Store, make_config: Make) -> None:
    store.submit(make_config())
    for side in store.path.parent.glob("runs.db-*"):
        side.unlink()
    store.path.write_bytes(b"garbage " * 600)
    with pytest.raises(StoreError) as caught:
        store.runs()
    one_line(caught.value, str(store.path), "damaged", "start the app again")


def test_a_store_that_is_deleted_while_in_use_begins_anew(store: Store, make_config: Make) -> None:
    store.submit(make_config())
    shutil.rmtree(store.path.parent)
    assert store.runs() == []
    store.submit(make_config())
    assert store.claim(ALICE) is not None


@pytest.mark.parametrize("place", ["below a file", "a folder"])
def test_a_path_that_cannot_be_a_store_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "runs.db" if place == "below a file" else tmp_path
    with pytest.raises(StoreError) as caught:
        Store(path)
    one_line(caught.value, str(path), "MTL_STORE")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs users, as on Unix")
def test_a_read_only_folder_costs_one_line(store: Store, make_config: Make, python: Make) -> None:
    store.submit(make_config())
    code = (
        "import os, sys\n"
        "from mtl_core.runs.queue.store import Store\n"
        "from mtl_core import RunConfig\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try:\n"
        "    Store(sys.argv[1]).submit(RunConfig('digits', 'digits1'))\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    for folder in (store.path.parent, *store.path.parent.parents[:2]):
        folder.chmod(0o755)
    store.path.parent.chmod(0o555)
    try:
        out, err = python(code, store.path).communicate()
    finally:
        store.path.parent.chmod(0o755)
    assert err == ""
    assert out.startswith(f"StoreError store {store.path} cannot be used (")
    assert len(out.splitlines()) == 1
    assert len(store.runs()) == 1


def test_a_full_disk_says_so_and_loses_nothing(
    store: Store, make_config: Make, make_checkpoint: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    store.save(config.id, ALICE, [make_checkpoint(config, (0,), 0)])
    rows = store.rows(config.id)
    connect = sqlite3.connect

    def small(*arguments: Any, **words: Any) -> sqlite3.Connection:
        db = connect(*arguments, **words)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        return db

    monkeypatch.setattr("mtl_core.runs.queue.store.sqlite3.connect", small)
    with pytest.raises(StoreError) as caught:
        store.save(config.id, ALICE, [make_checkpoint(config, (0,), step) for step in range(99)])
    one_line(caught.value, "database or disk is full", "free some disk space")
    monkeypatch.undo()
    assert store.rows(config.id) == rows
    assert "ok" in store.health()
    assert store.save(config.id, ALICE, [make_checkpoint(config, (0,), 1)])


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes, as on Unix")
def test_a_disk_that_fills_up_under_a_process_loses_no_committed_row(
    store: Store, make_config: Make, python: Make
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    code = WRITER + (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))\n"
        "try:\n"
        "    write(99_999)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    process = python(code, store.path, config.id, ALICE)
    out, err = process.communicate(timeout=60)
    assert err == ""
    *committed, last = out.splitlines()
    assert last.startswith("StoreError store")
    assert "cannot be used" in last
    assert len(committed) > 1
    assert {row["step"] for row in store.rows(config.id)} == set(map(int, committed))


# Many processes.

WRITER = """
import sys
from mtl_core.runs.queue.store import Store
from mtl_core.training.checkpoint import Checkpoint

path, run, worker = sys.argv[1:]
store = Store(path)

def write(steps):
    for step in range(steps):
        row = dict.fromkeys(
            ("epoch", "train_loss", "val_metric", "test_metric", "sharpness", "fisher_trace",
             "gradient_covariance", "gradient_similarity", "seconds"), step / 3)
        rows = tuple(dict(row, seed=0, step=step, task=f"task{k}") for k in range(20))
        assert store.save(run, worker, [Checkpoint((0,), step, rows)])
        print(step, flush=True)
"""


def test_a_killed_process_loses_no_committed_row(
    store: Store, make_config: Make, python: Make, until: Make
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    process = python(WRITER + "write(10**9)\n", store.path, config.id, ALICE)
    until(lambda: len(store.rows(config.id)) > 600, "some rows")
    process.kill()
    out, _ = process.communicate()
    said = [int(line) for line in out.splitlines()]

    again = Store(store.path)
    assert again.notice is None
    steps = {row["step"] for row in again.rows(config.id)}
    assert set(said) <= steps <= set(range(len(said) + 1)), "at most one more than it could say"
    assert len(again.rows(config.id)) == 20 * len(steps), "no half of a checkpoint"
    assert {row["train_loss"] for row in again.rows(config.id)} == {step / 3 for step in steps}


def test_many_processes_create_one_store(tmp_path: Path, python: Make, make_config: Make) -> None:
    path = tmp_path / "new" / "runs.db"
    code = (
        "import sys, time\n"
        "from mtl_core.runs.queue.store import Store\n"
        "from mtl_core import RunConfig\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "store = Store(sys.argv[1])\n"
        "store.submit(RunConfig('digits', 'digits1', epochs=int(sys.argv[3])))\n"
        "assert store.notice is None\n"
    )
    start = time.time() + 1.5
    processes = [python(code, path, start, number + 1) for number in range(8)]
    for process in processes:
        assert process.communicate(timeout=60)[1] == ""
    assert sorted(record.config.epochs for record in Store(path).runs()) == list(range(1, 9))


def test_many_processes_set_one_damaged_store_aside_once(tmp_path: Path, python: Make) -> None:
    path = tmp_path / "runs.db"
    path.write_bytes(b"garbage " * 600)
    code = (
        "import sys\n"
        "from mtl_core.runs.queue.store import Store\n"
        "from mtl_core import RunConfig\n"
        "Store(sys.argv[1]).submit(RunConfig('digits', 'digits1', epochs=int(sys.argv[2])))\n"
    )
    for process in [python(code, path, number + 1) for number in range(5)]:
        assert process.communicate(timeout=60)[1] == ""
    assert len(list(tmp_path.glob("runs.corrupt-*"))) == 1
    assert len(Store(path).runs()) == 5, "nobody set the new store aside"


def test_each_run_is_claimed_by_exactly_one_process(
    store: Store, make_config: Make, python: Make
) -> None:
    configs: list[RunConfig] = [make_config(epochs=n) for n in range(1, 61)]
    for config in configs:
        store.submit(config)
    code = (
        "import os, sys\n"
        "from mtl_core.runs.queue.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "while (record := store.claim(str(os.getpid()))):\n"
        "    print(record.id)\n"
    )
    claimed: dict[str, str] = {}
    for process in [python(code, store.path) for _ in range(5)]:
        out, err = process.communicate(timeout=60)
        assert err == ""
        for run in out.split():
            assert run not in claimed
            claimed[run] = str(process.pid)
    assert set(claimed) == {config.id for config in configs}
    assert {record.id: record.worker for record in store.runs("running")} == claimed
