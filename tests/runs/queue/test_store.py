"""The store: what is in it is exact, owned by one worker, and survives what happens to its file."""

import contextlib
import errno
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

import filelock
import numpy as np
import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError
from mtl_core.runs import kinds
from mtl_core.runs.queue import file
from mtl_core.runs.queue.checksums import piece_checksum
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.schema import SCHEMA_VERSION
from mtl_core.runs.queue.store import Store, default_path
from mtl_core.trajectory import COLUMNS

Make = Callable[..., Any]
ALICE, BOB = "1-alice", "2-bob"


def sql(store: Store, statement: str, *values: object) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(store.path)
    try:
        with db:
            db.execute("PRAGMA foreign_keys = ON")
            return db.execute(statement, values).fetchall()
    finally:
        db.close()


def key(config: Any, seed: int = 0) -> Key:
    return Key(config.id, seed)


def main(store: Store, config: Any) -> pd.DataFrame:
    """The rows of an experiment's main table."""
    return store.table(config, kinds.of(config).main)


def same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """To the last bit."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    return True


# Life of a run.


def test_a_run_goes_from_queued_to_done(store: Store, make: Make, make_pieces: Make) -> None:
    config = make(seeds=(0, 1))
    first, second = store.submit(config)
    assert [(one.state, one.place, one.step) for one in (first, second)] == [
        ("queued", 1, -1),
        ("queued", 2, -1),
    ]
    assert (first.config, first.config.seeds, first.seed) == (config, (0,), 0)
    assert (first.key, second.key) == (key(config, 0), key(config, 1))
    assert first.question == second.question
    assert first.share == 0
    assert first.steps == kinds.of(config).steps(config)
    assert store.waiting()

    taken = store.claim(ALICE)
    assert [(one.state, one.place, one.worker) for one in taken] == [
        ("running", 1, ALICE),
        ("running", 2, ALICE),
    ], "until it has its first turn"
    assert not store.waiting()
    assert store.claim(BOB) == []

    assert store.save(key(config), ALICE, make_pieces(config, (0,), 4), seconds=0.25)
    assert [store.get(*one.key).step for one in taken] == [4, -1]
    assert store.get(config.id, 0).share == 4 / first.steps
    assert store.save(key(config), ALICE, make_pieces(config, (0,), first.steps), seconds=0.5)
    store.describe(key(config), ALICE, {"device": "cpu"})
    assert store.finish(key(config), ALICE, "done")

    done = store.get(config.id, 0)
    assert (done.state, done.error, dict(done.info)) == ("done", None, {"device": "cpu"})
    assert (done.step, done.share, done.seconds) == (done.steps, 1, 0.75)
    assert not done.active
    assert done.finished_at >= done.started_at >= done.queued_at
    assert store.state(key(config)) is None, "a finished run keeps no state to resume from"
    assert [one.key for one in store.runs(state="done")] == [key(config, 0)]
    assert [one.key for one in store.runs(state="running")] == [key(config, 1)], "each by itself"
    assert {one.key for one in store.runs(config.id)} == {key(config, 0), key(config, 1)}


def test_each_run_is_asked_for_once_whatever_it_is_asked_for_with(store: Store, make: Make) -> None:
    """Ten seeds where three are known train seven."""
    first = store.submit(make(seeds=(1, 0)))
    again = store.submit(make(seeds=(0, 1, 2)))
    assert [one.key for one in again[:2]] == [one.key for one in first]
    assert [one.question for one in again[:2]] == [one.question for one in first]
    assert len(store.runs()) == 3
    assert again[2].question != first[0].question
    store.claim(ALICE)
    assert {one.state for one in store.submit(make(seeds=(0, 1)))} == {"running"}
    store.finish(first[0].key, ALICE, "done")
    assert [one.state for one in store.submit(make(seeds=(0, 2)))] == ["done", "running"]
    assert not store.waiting()


def test_the_same_auxiliaries_in_another_order_are_one_experiment(
    store: Store, make_config: Make
) -> None:
    first = store.submit(make_config(auxiliaries=("digits2", "noisy_digits")))
    assert store.submit(make_config(auxiliaries=("noisy_digits", "digits2"))) == first
    assert len(store.runs()) == 1


def test_experiments_of_all_kinds_are_one_question(
    store: Store, make_config: Make, make_front: Make
) -> None:
    stl, mtl = make_config(auxiliaries=(), seeds=(3, 5)), make_config(seeds=(3,))
    front = make_front()
    records = store.submit(stl, mtl, front)
    assert [(one.config, one.seed) for one in records] == [(stl, 3), (stl, 5), (mtl, 3), (front, 0)]
    assert [one.place for one in records] == [1, 4, 2, 3], "a point of each first"
    assert len({one.question for one in records}) == 1
    assert {one.kind.name for one in store.claim(ALICE)} == {"training", "front"}


def test_the_queue_is_first_in_first_out(store: Store, make: Make) -> None:
    configs = [make(size) for size in (3, 1, 2)]
    for config in configs:
        store.submit(config)
    assert [record.config for record in store.runs()] == configs[::-1], "newest first"
    store.cancel(configs[1].id, [0])
    store.submit(configs[1])
    taken = [store.claim(ALICE, 1) for _ in configs]
    assert [record.config for (record,) in taken] == [configs[0], configs[2], configs[1]]
    assert store.claim(ALICE, 1) == []


def places(store: Store, *configs: Any) -> list[int | None]:
    return [store.get(config.id, seed).place for config in configs for seed in config.seeds]


def test_places_are_in_the_order_of_first_turns(
    store: Store, make: Make, make_pieces: Make
) -> None:
    """The newest question's experiments first, then seeds of what has points."""
    first, second = make(1, seeds=(0, 1)), make(2)
    store.submit(first)
    assert places(store, first) == [1, 2]
    store.submit(second)
    assert places(store, second, first) == [1, 2, 3]
    store.claim(ALICE)
    assert places(store, second, first) == [1, 2, 3]
    assert store.save(key(second), ALICE, make_pieces(second, (0,), 0))
    assert places(store, second, first) == [None, 1, 2]
    third = make(3)
    store.submit(third)
    assert store.save(key(first, 0), ALICE, make_pieces(first, (0,), 0))
    assert places(store, third, first) == [1, None, 2], "seed 1's curve has a point already"
    store.release(ALICE)
    assert sorted(places(store, second, first)) == [1, 2, 4], "what goes on goes first"
    assert places(store, third) == [3]


def test_a_stranger_with_many_runs_does_not_push_others_back(store: Store, make: Make) -> None:
    mine, more = make(1), make(1, seeds=(1,))
    many = [make(size) for size in range(2, 30)]
    store.submit(mine, visitor="me")
    store.submit(*many, visitor="stranger")
    assert store.get(mine.id, 0).place == 2, "the stranger's newest has its first point before"
    store.submit(more, visitor="me")
    assert store.get(more.id, 1).place == 1
    assert store.get(mine.id, 0).place == 4
    assert [record.visitor for record in store.runs(mine.id)] == ["me", "me"]


def test_a_run_is_its_first_askers_until_it_has_ended(store: Store, make: Make) -> None:
    config = make()
    assert store.submit(config)[0].visitor == ""
    assert store.submit(config, visitor="me")[0].visitor == ""
    store.cancel(config.id, [0])
    assert store.submit(config, visitor="me")[0].visitor == "me"


def test_all_of_the_queue_is_taken_at_once_in_its_order(store: Store, make: Make) -> None:
    """By design since runs advance in lockstep: a worker carries out all that is asked for."""
    configs = [make(size) for size in (3, 1, 2)]
    for config in configs:
        store.submit(config)
    assert [record.config for record in store.claim(ALICE)] == configs


def test_cancelling_a_queued_run_takes_it_out_at_once(store: Store, make: Make) -> None:
    config = make(seeds=(0, 1, 2))
    store.submit(config)
    store.cancel(config.id, [0, 2])
    assert [store.get(config.id, seed).state for seed in (0, 1, 2)] == [
        "cancelled",
        "queued",
        "cancelled",
    ]
    assert [one.seed for one in store.claim(ALICE)] == [1]


def test_cancelling_a_running_run_reaches_its_worker_only(store: Store, make: Make) -> None:
    config = make(seeds=(0, 1))
    store.submit(config)
    store.claim(ALICE)
    assert store.beat(ALICE) == {key(config, 0): False, key(config, 1): False}
    store.cancel(config.id, [0])
    assert store.get(config.id, 0).state == "running", "until its worker has stopped"
    assert store.beat(ALICE) == {key(config, 0): True, key(config, 1): False}
    assert store.beat(BOB) == {}
    assert store.finish(key(config), ALICE, "cancelled")
    assert store.get(config.id, 0).state == "cancelled"
    assert store.beat(ALICE) == {key(config, 1): False}


def test_asking_again_takes_a_stop_back(store: Store, make: Make) -> None:
    config = make()
    store.submit(config)
    store.claim(ALICE)
    store.cancel(config.id, [0])
    store.submit(config)
    assert store.beat(ALICE) == {key(config): False}

    store.cancel(config.id, [0])
    assert store.beat(ALICE) == {key(config): True}
    store.submit(config)  # after its worker has heard of the stop
    assert store.finish(key(config), ALICE, "cancelled")
    assert store.get(config.id, 0).state == "queued"
    assert [one.key for one in store.claim(BOB)] == [key(config)]


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_resuming_keeps_rows_and_state(
    store: Store, make: Make, make_pieces: Make, end: Any
) -> None:
    config = make()
    (asked,) = store.submit(config)
    store.claim(ALICE)
    store.save(key(config), ALICE, make_pieces(config, (0,), 4), seconds=2.0)
    rows = main(store, config)
    store.cancel(config.id, [0])
    store.finish(key(config), ALICE, end, "lost power" if end == "failed" else None)
    stopped = store.get(config.id, 0)
    assert (stopped.state, stopped.error) == (end, "lost power" if end == "failed" else None)

    (again,) = store.submit(config)
    assert (again.state, again.error, again.step, again.seconds) == ("queued", None, 4, 2.0)
    assert again.question != asked.question, "it goes on with what it is asked for with now"
    assert same(main(store, config), rows)
    assert int(store.state(key(config))["step"]) == 4
    assert store.claim(BOB)[0].worker == BOB
    assert store.beat(BOB) == {key(config): False}, "the earlier stop is forgotten"


def test_released_runs_are_next_unless_they_were_to_stop(store: Store, make: Make) -> None:
    first, second, other = make(1), make(1, seeds=(1,)), make(2)
    store.submit(first)
    store.submit(second)
    store.submit(other)
    store.claim(ALICE, 2)
    store.cancel(second.id, [1])
    store.release(ALICE)
    assert store.get(second.id, 1).state == "cancelled"
    assert [one.key for one in store.claim(BOB)] == [key(first), key(other)]


def test_a_running_run_is_not_removed_and_others_are_with_all_they_have(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make(seeds=(0, 1, 2))
    store.submit(config)
    store.claim(ALICE)
    for seed in config.seeds:
        noted = [replace(one, notes=("why",)) for one in make_pieces(config, (seed,), 2)]
        store.save(key(config, seed), ALICE, noted)
    store.finish(key(config, 0), ALICE, "failed", "no reason")
    before = main(store, config)
    for seeds in (None, [0, 1]):
        with pytest.raises(InputError, match=f"{config.id} is running; stop it"):
            store.remove(config.id, seeds)
    assert same(main(store, config), before), "nothing is removed then"

    store.remove(config.id, [0])
    assert store.get(config.id, 0) is None
    assert same(main(store, config), before[before["seed"] > 0].reset_index(drop=True))
    for seed in (1, 2):
        store.finish(key(config, seed), ALICE, "failed", "no reason")
    store.remove(config.id)
    assert store.runs() == []
    assert main(store, config).empty
    for table in ("experiments", "runs", "states", "pieces", "notes"):
        assert sql(store, f"SELECT count(*) FROM {table}") == [(0,)]
    store.remove(config.id)  # gone is gone


def test_a_worker_that_lost_its_run_writes_nothing(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make()
    store.submit(config)
    store.claim(ALICE)
    store.save(key(config), ALICE, make_pieces(config, (0,), 2))
    assert store.reap() == [key(config)]
    store.submit(config)
    store.claim(BOB)
    rows, record = main(store, config), store.get(config.id, 0)

    late = make_pieces(config, (0,), 4)
    assert store.save(key(config), ALICE, late, seconds=1.0) is False
    assert store.finish(key(config), ALICE, "done") is False
    assert store.beat(ALICE) == {}
    store.describe(key(config), ALICE, {"device": "alice's"}, ["hers"])
    store.release(ALICE)
    assert same(main(store, config), rows)
    assert store.get(config.id, 0) == record
    assert store.notes(config) == []
    assert store.save(key(config), BOB, late) is True


def test_a_run_that_was_removed_takes_nothing_in(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make()
    store.submit(config)
    store.claim(ALICE)
    sql(store, "DELETE FROM runs")
    assert store.save(key(config), ALICE, make_pieces(config, (0,), 2)) is False
    assert main(store, config).empty
    assert store.state(key(config)) is None


def test_reaping_fails_what_runs_with_the_last_words(store: Store, make: Make) -> None:
    running, queued = make(1), make(2)
    store.submit(running)
    store.claim(ALICE)
    store.submit(queued)
    assert store.reap("MemoryError") == [key(running)]
    assert store.reap("again") == []
    failed = store.get(running.id, 0)
    assert failed.state == "failed"
    assert failed.error == (
        "the worker died while training (its last words: MemoryError); "
        "resume to go on where it stopped"
    )
    assert store.get(queued.id, 0).state == "queued"


def test_time_spent_is_that_of_its_slices_over_all_attempts(
    store: Store, make: Make, make_pieces: Make
) -> None:
    """By design since runs take turns: not the time between its start and its end."""
    config = make(seeds=(0, 1))
    store.submit(config)
    store.claim(ALICE)
    for step in (1, 2):
        store.save(key(config), ALICE, make_pieces(config, (0,), step), seconds=2.5)
    store.reap()
    assert [store.get(config.id, seed).seconds for seed in (0, 1)] == [5, 0]
    store.submit(config)
    store.claim(BOB)
    store.save(key(config), BOB, make_pieces(config, (0,), 3), seconds=2)
    store.finish(key(config), BOB, "done")
    assert store.get(config.id, 0).seconds == 7


def test_clocks_that_jump_change_no_order(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they do where a machine wakes up, or its clock is set right."""
    configs = [make(size) for size in (1, 2, 3)]
    for config, now in zip(configs, (2e9, 1e9, 0.0), strict=True):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        store.submit(config)
    assert [store.get(config.id, 0).place for config in configs] == [3, 2, 1]
    assert [one.config for one in store.runs()] == configs[::-1]
    assert list(store.listing().experiments) == [one.id for one in configs[::-1]]
    store.cancel(configs[0].id, [0])
    assert store.submit(configs[0])[0].place == 1, "the newest question gets its points first"
    taken = store.claim(ALICE)
    assert [one.config for one in taken] == [configs[1], configs[2], configs[0]]
    assert [one.order for one in taken] == sorted(one.order for one in taken)
    pace = kinds.of(configs[0]).pace(configs[0])
    for config in (configs[2], configs[1]):
        store.save(key(config), ALICE, [], seconds=1.0)
        store.finish(key(config), ALICE, "done")
    assert store.last_finished(configs[0].kind, pace).config == configs[1]


def test_runs_are_found_by_their_baseline_and_pace(
    store: Store, make_config: Make, make_front: Make
) -> None:
    multi, single = make_config(), make_config(auxiliaries=())
    other, front = make_config(lr=0.5), make_front()
    store.submit(multi, single, other, front)
    assert {one.config for one in store.runs(baseline=single.id)} == {multi, single}
    assert {one.config for one in store.runs(baseline=other.baseline.id)} == {other}
    assert [one.config for one in store.runs(baseline=front.id)] == [front]
    assert store.runs(baseline=multi.id) == []
    assert store.runs(state="done", baseline=single.id) == []
    assert store.last_finished("training", "setting digits") is None
    store.claim(ALICE)
    store.finish(key(multi), ALICE, "done")
    assert store.last_finished("training", "setting digits") is None, "it took no time"
    store.save(key(other), ALICE, [], seconds=2.0)
    store.finish(key(other), ALICE, "done")
    assert store.last_finished("training", "setting digits").config == other
    assert store.last_finished("training", "setting fashion") is None
    # Of a version that could read it, when this one could not.
    sql(store, "UPDATE experiments SET baseline = NULL, pace = NULL")
    assert {one.config for one in store.runs(baseline=single.id)} == {multi, single}
    assert store.last_finished("training", "setting digits").config == other
    assert store.last_finished("front", "setting digits") is None


# What is in it.


def test_rows_come_back_exactly(
    store: Store, make_config: Make, make_pieces: Make, make_row: Make
) -> None:
    config = make_config(auxiliaries=("digits2", "noisy_digits"), seeds=(0, 3))
    store.submit(config)
    store.claim(ALICE)
    for step in (0, 1, 2):
        for seed in (3, 0):
            store.save(key(config, seed), ALICE, make_pieces(config, (seed,), step))
    expected = [
        make_row(config, seed, task, step)
        for seed in (0, 3)
        for step in (0, 1, 2)
        for task in config.tasks
    ]
    found = store.table(config, "trajectory")
    assert same(found, pd.DataFrame(expected)[list(COLUMNS)].astype(found.dtypes.to_dict()))
    assert same(
        store.table(config, "trajectory", [3]),
        found[found["seed"] == 3].reset_index(drop=True),
    )


def test_rows_of_before_whole_epochs_were_marked_get_the_mark(
    store: Store, make_config: Make, make_pieces: Make
) -> None:
    """A run that an older version began and this one goes on with has pieces of both sorts."""
    config = make_config(samples=61)
    assert (config.steps_per_epoch, config.steps) == (4, 8), "the last batch wraps around"
    store.submit(config)
    store.claim(ALICE)
    for step in (0, 1, 4, 8):
        (piece,) = make_pieces(config, (0,), step)
        store.save(key(config), ALICE, [piece])
    expected = store.table(config, "trajectory")
    per_step = expected.groupby("step")["whole_epoch"].unique().map(list).to_dict()
    assert per_step == {0: [False], 1: [False], 4: [True], 8: [True]}
    for step, text in sql(store, "SELECT step, rows FROM pieces WHERE step < 8"):
        columns = json.loads(text)
        assert columns.pop("whole_epoch") is (step == 4)
        rows = json.dumps(columns)
        sql(
            store,
            "UPDATE pieces SET rows = ?, checksum = ? WHERE step = ?",
            *(rows, piece_checksum(1, b"trajectory", step, rows.encode()), step),
        )
    assert same(store.table(config, "trajectory"), expected)
    assert expected["whole_epoch"].dtype == bool


def test_every_table_of_a_kind_comes_back_exactly(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make(seeds=(0, 3))
    store.submit(config)
    store.claim(ALICE)
    pieces = [piece for step in (0, 1, 2) for piece in make_pieces(config, (3, 0), step)]
    for piece in pieces:
        store.save(key(config, piece.seed), ALICE, [piece])
    for name, expected in kinds.of(config).frames(pieces).items():
        assert same(store.table(config, name), expected)
    assert not main(store, config).empty


def test_tables_have_their_columns_and_types_also_without_rows(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make()
    for asked in (False, True):
        if asked:
            store.submit(config)
        for name, table in kinds.of(config).tables.items():
            found = store.table(config, name)
            assert tuple(found.columns) == table.columns
            assert found.empty
    empty = main(store, config).dtypes
    store.claim(ALICE)
    store.save(key(config), ALICE, make_pieces(config, (0,), 1))
    found = main(store, config)
    assert tuple(found.columns) == kinds.of(config).tables[kinds.of(config).main].columns
    assert found.dtypes.to_dict() == empty.to_dict()
    assert str(found["seed"].dtype) == str(found["step"].dtype) == "int64"


def test_the_trajectory_puts_the_target_first(
    store: Store, make_config: Make, make_pieces: Make
) -> None:
    config = make_config(target="digits2", auxiliaries=("digits1",))
    store.submit(config)
    store.claim(ALICE)
    for step in (0, 1):
        store.save(key(config), ALICE, make_pieces(config, (0,), step))
    table = store.table(config, "trajectory")
    assert list(table.columns) == list(COLUMNS)
    assert table["task"].tolist() == ["digits2", "digits1"] * 2
    assert table["fisher_trace"].isna().tolist() == [True, True, False, False]


def test_a_step_that_is_measured_again_counts_once(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make()
    store.submit(config)
    store.claim(ALICE)
    (piece,) = make_pieces(config, (0,), 4)
    noted = replace(piece, notes=("sharpness: none", "b"))
    for _ in range(2):  # as a resumed run does
        assert store.save(key(config), ALICE, [noted])
    assert same(main(store, config), kinds.of(config).frames([piece])[kinds.of(config).main])
    assert store.notes(config) == ["b", "sharpness: none"]
    assert store.notes(checks.with_seeds(config, [1])) == []


def test_it_never_goes_back(store: Store, make: Make, make_pieces: Make) -> None:
    """A run that resumes behind its last points shows how far it had got."""
    config = make()
    store.submit(config)
    store.claim(ALICE)
    for step in (5, 3):
        store.save(key(config), ALICE, make_pieces(config, (0,), step))
    assert store.get(config.id, 0).step == 5
    assert int(store.state(key(config))["step"]) == 3


def test_states_come_back_bit_equal_without_a_pickle(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make(seeds=(0, 1))
    store.submit(config)
    store.claim(ALICE)
    pieces = make_pieces(config, (0, 1), 3)
    for piece in pieces:
        store.save(key(config, piece.seed), ALICE, [piece])
    for piece in pieces:
        state = store.state(key(config, piece.seed))
        assert state.keys() == piece.state.keys()
        for name, value in piece.state.items():
            assert (state[name].dtype, state[name].shape) == (value.dtype, value.shape)
            assert state[name].tobytes() == value.tobytes()
    for (blob,) in sql(store, "SELECT state FROM states"):
        assert blob[:2] == b"PK", "an .npz archive"


def test_a_state_that_would_need_a_pickle_is_refused(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make()
    store.submit(config)
    store.claim(ALICE)
    (piece,) = make_pieces(config, (0,), 3)
    piece.state["code"] = np.array([print])
    with pytest.raises(TypeError, match="'code' holds Python objects"):
        store.save(key(config), ALICE, [piece])
    assert main(store, config).empty, "all or nothing"
    assert store.get(config.id, 0).step == -1


def test_a_damaged_or_pickled_state_is_not_loaded(
    store: Store, make: Make, make_pieces: Make, tmp_path: Path
) -> None:
    config = make(seeds=(0, 1, 2))
    store.submit(config)
    store.claim(ALICE)
    for seed in config.seeds:
        store.save(key(config, seed), ALICE, make_pieces(config, (seed,), 3))
    number = "(SELECT number FROM runs WHERE seed = {})"
    sql(store, f"UPDATE states SET state = substr(state, 1, 90) WHERE run = {number.format(0)}")
    np.savez(tmp_path / "evil.npz", step=np.array([print], dtype=object), allow_pickle=True)
    evil = (tmp_path / "evil.npz").read_bytes()
    sql(store, f"UPDATE states SET state = ? WHERE run = {number.format(1)}", evil)
    assert store.state(key(config, 0)) is None
    assert store.state(key(config, 1)) is None
    assert int(store.state(key(config, 2))["step"]) == 3, "the others start anew"


def test_an_experiment_of_another_version_is_named_not_trained_and_can_be_removed(
    store: Store, make: Make
) -> None:
    strange, foreign, unheard, good = (make(size) for size in (1, 2, 3, 4))
    for config in (strange, foreign, unheard, good):
        store.submit(checks.with_seeds(config, [0, 1]))
    update = "UPDATE experiments SET {} = ? WHERE id = ?"
    sql(store, update.format("config"), '{"setting": "marsian"}', strange.id)
    sql(store, update.format("config"), json.dumps(good.to_dict()), foreign.id)
    sql(store, update.format("kind"), "alchemy", unheard.id)
    assert {record.config.id for record in store.runs()} == {good.id}
    assert store.get(strange.id, 0) is None
    reasons = store.unreadable()
    assert list(reasons) == [strange.id, foreign.id, unheard.id]
    assert "its config is not one of this version" in reasons[strange.id]
    assert good.id in reasons[foreign.id]
    assert "alchemy" in reasons[unheard.id]

    taken = store.claim(ALICE)
    assert {one.config.id for one in taken} == {good.id}, "those before it do not block the queue"
    states = sql(store, "SELECT DISTINCT experiment, state FROM runs")
    failed = (strange.id, foreign.id, unheard.id)
    assert dict(states) == dict.fromkeys(failed, "failed") | {good.id: "running"}
    errors = {error for (error,) in sql(store, "SELECT error FROM runs WHERE state = 'failed'")}
    assert errors == {f"{reason}; remove this run" for reason in reasons.values()}
    store.remove(strange.id)
    assert list(store.unreadable()) == [foreign.id, unheard.id]


def test_the_announced_worker_is_the_last_one(store: Store) -> None:
    assert store.worker() is None
    store.enlist(ALICE, "cuda", "a GPU")
    store.enlist(BOB, "cpu", "CPU, 2 cores")
    found = store.worker()
    assert (found["name"], found["pid"], found["title"]) == (BOB, os.getpid(), "CPU, 2 cores")


def test_only_ids_from_before_lead_to_seeds(store: Store, make: Make) -> None:
    config = make()
    store.submit(config)
    assert store.former(config.id) is None
    assert store.former("0" * 16) is None


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


def test_it_says_how_it_is(store: Store, make: Make) -> None:
    store.submit(make(seeds=(0, 1)))
    assert store.health() == f"ok, schema {SCHEMA_VERSION}, 2 runs, {store.path}"


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
    store: Store, make_config: Make, make_pieces: Make, how: str
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    pieces = [piece for step in range(200) for piece in make_pieces(config, (0,), step)]
    store.save(key(config), ALICE, pieces)
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
    assert len(store.claim(ALICE)) == 1


@pytest.mark.parametrize("place", ["below a file", "a folder"])
def test_a_path_that_cannot_be_a_store_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    path = tmp_path / "file" / "runs.db" if place == "below a file" else tmp_path
    with pytest.raises(StoreError) as caught:
        Store(path)
    one_line(caught.value, str(path), "MTL_STORE")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_store_that_another_program_writes_says_so_soon(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    assert file.PATIENCE <= 5
    monkeypatch.setattr(file, "PATIENCE", 0.2)
    store.submit(make_config())
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute(f"BEGIN {how}")
    started = time.monotonic()
    with pytest.raises(StoreError) as caught:
        store.cancel(make_config().id, (0,))
    assert time.monotonic() - started < 5
    one_line(caught.value, str(store.path), "another program has it open", "MTL_STORE")
    assert "writable" not in str(caught.value)
    assert "disk" not in str(caught.value)
    other.execute("ROLLBACK")
    other.close()
    store.cancel(make_config().id, (0,))
    assert [run.state for run in store.runs()].count("cancelled") == 1


def test_a_file_that_another_program_keeps_to_itself_is_no_store_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a database browser that holds it while it is opened."""
    path = Store(tmp_path / "runs.db").path
    monkeypatch.setattr(file, "PATIENCE", 0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError) as caught:
        Store(path)
    one_line(caught.value, str(path), "another program has it open")
    assert "writable" not in str(caught.value)
    other.close()
    assert Store(path).runs() == []


@pytest.mark.parametrize(
    ("error", "words", "other"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some disk space", "writable"),
        (OSError(errno.EROFS, "Read-only file system"), "make the file and its folder", "disk sp"),
        (PermissionError(errno.EACCES, "Permission denied"), "make the file and", "disk space"),
        (filelock.Timeout("x.lock"), "another program has it open", "writable"),
    ],
)
def test_a_remedy_fits_its_cause(store: Store, error: Exception, words: str, other: str) -> None:
    said = str(store._file._unusable(error))
    assert words in said
    assert other not in said


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
    assert "make the file and its folder writable, or set MTL_STORE" in out
    assert len(out.splitlines()) == 1
    assert len(store.runs()) == 1


@pytest.mark.parametrize("old", [False, True])
def test_what_is_removed_gives_its_space_back(
    store: Store, make_config: Make, make_pieces: Make, old: bool
) -> None:
    if old:  # from before space could be given back
        sql(store, "PRAGMA journal_mode = DELETE")
        with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as db:
            db.execute("PRAGMA auto_vacuum = NONE")
            db.execute("VACUUM")
            db.execute("PRAGMA journal_mode = WAL")
        assert sql(store, "PRAGMA auto_vacuum") == [(0,)]
    config, kept = make_config(seeds=(0,)), make_config(epochs=3, seeds=(0,))
    for one, steps in ((kept, 3), (config, 300)):
        store.submit(one)
        store.claim(ALICE)
        pieces = [piece for step in range(steps) for piece in make_pieces(one, (0,), step)]
        store.save(key(one), ALICE, pieces)
        store.finish(key(one), ALICE, "done")
    sql(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    rows, large = main(store, kept), store.path.stat().st_size
    store.remove(config.id)
    assert sql(store, "PRAGMA freelist_count") == [(0,)]
    assert store.path.stat().st_size < large / 2
    assert same(main(store, kept), rows)
    assert store.health().startswith("ok")


def test_a_full_disk_says_so_and_loses_nothing(
    store: Store, make_config: Make, make_pieces: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    store.submit(config)
    store.claim(ALICE)
    store.save(key(config), ALICE, make_pieces(config, (0,), 0))
    rows = main(store, config)
    connect = sqlite3.connect

    def small(*arguments: Any, **words: Any) -> sqlite3.Connection:
        db = connect(*arguments, **words)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        return db

    monkeypatch.setattr("mtl_core.runs.queue.file.sqlite3.connect", small)
    pieces = [piece for step in range(99) for piece in make_pieces(config, (0,), step)]
    with pytest.raises(StoreError) as caught:
        Store(store.path).save(key(config), ALICE, pieces)
    one_line(caught.value, "database or disk is full", "free some disk space")
    monkeypatch.undo()
    assert same(main(store, config), rows)
    assert "ok" in store.health()
    assert store.save(key(config), ALICE, make_pieces(config, (0,), 1))


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes, as on Unix")
def test_a_disk_that_fills_up_under_a_process_loses_no_committed_row(
    store: Store, python: Make
) -> None:
    config = RunConfig("digits", "digits1", seeds=(0,))
    store.submit(config)
    store.claim(ALICE)
    code = WRITER + (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
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
    assert set(main(store, config)["step"]) == set(map(int, committed))


# Many processes.

WRITER = """
import sys
from mtl_core.runs.kinds import Piece
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import COLUMNS

path, run, worker = sys.argv[1:]
store = Store(path)
words = dict.fromkeys(("setting", "auxiliaries", "optimizer", "role"), "x")

def write(steps):
    for step in range(steps):
        columns = {"": 20, **dict.fromkeys(COLUMNS, step / 3), **words, "seed": 0, "step": step,
                   "task": [f"task{k}" for k in range(20)]}
        assert store.save(Key(run, 0), worker, [Piece(0, step, {"trajectory": columns})])
        print(step, flush=True)
"""


def test_a_killed_process_loses_no_committed_row(store: Store, python: Make, until: Make) -> None:
    config = RunConfig("digits", "digits1", seeds=(0,))
    store.submit(config)
    store.claim(ALICE)
    process = python(WRITER + "write(10**9)\n", store.path, config.id, ALICE)
    until(lambda: len(main(store, config)) > 600, "some rows")
    process.kill()
    out, _ = process.communicate()
    said = [int(line) for line in out.splitlines()]

    again = Store(store.path)
    assert again.notice is None
    rows = main(again, config)
    steps = set(rows["step"])
    assert set(said) <= steps <= set(range(len(said) + 1)), "at most one more than it could say"
    assert len(rows) == 20 * len(steps), "no half of a checkpoint"
    assert set(rows["train_loss"]) == {step / 3 for step in steps}


def test_many_processes_create_one_store(tmp_path: Path, python: Make) -> None:
    path = tmp_path / "new" / "runs.db"
    code = (
        "import sys, time\n"
        "from mtl_core.runs.queue.store import Store\n"
        "from mtl_core import RunConfig\n"
        "time.sleep(max(0, float(sys.argv[2]) - time.time()))\n"
        "store = Store(sys.argv[1])\n"
        "config = RunConfig('digits', 'digits1', epochs=int(sys.argv[3]), seeds=(0,))\n"
        "store.submit(config)\n"
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
        "config = RunConfig('digits', 'digits1', epochs=int(sys.argv[2]), seeds=(0,))\n"
        "Store(sys.argv[1]).submit(config)\n"
    )
    for process in [python(code, path, number + 1) for number in range(5)]:
        assert process.communicate(timeout=60)[1] == ""
    assert len(list(tmp_path.glob("runs.corrupt-*"))) == 1
    assert len(Store(path).runs()) == 5, "nobody set the new store aside"


def test_nobody_meets_a_store_that_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that opens an empty one deletes the log beside it; the second fails (SQLite 3.40)."""
    path = tmp_path / "runs.db"
    Path(f"{path}-wal").write_bytes(b"left over from one that was deleted")
    seen, replace_ = [], os.replace

    def replaced(source: Path, target: Path) -> None:
        if target == path:
            with contextlib.closing(sqlite3.connect(source)) as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
            seen.append((sorted(file.name for file in tmp_path.glob("runs.db*")), version))
        replace_(source, target)

    monkeypatch.setattr(os, "replace", replaced)
    Store(path)
    assert seen == [(["runs.db.lock", "runs.db.new"], SCHEMA_VERSION)]
    Store(path).submit(RunConfig("digits", "digits1", epochs=1, seeds=(0,)))
    assert not Path(f"{path}.new").exists()


def test_many_processes_ask_for_the_same_runs_and_each_is_there_once(
    store: Store, python: Make
) -> None:
    code = (
        "import sys\n"
        "from mtl_core.runs.queue.store import Store\n"
        "from mtl_core import RunConfig\n"
        "for last in range(1, 20):\n"
        "    config = RunConfig('digits', 'digits1', seeds=tuple(range(last)))\n"
        "    Store(sys.argv[1]).submit(config)\n"
    )
    for process in [python(code, store.path) for _ in range(4)]:
        assert process.communicate(timeout=60)[1] == ""
    assert sorted(record.seed for record in store.runs()) == list(range(19))


def test_each_run_is_claimed_by_exactly_one_process(
    store: Store, make_config: Make, python: Make
) -> None:
    for size in range(1, 31):
        store.submit(make_config(epochs=size, seeds=(0, 1)))
    keys = {record.key for record in store.runs()}
    assert len(keys) == 60
    code = (
        "import os, sys\n"
        "from mtl_core.runs.queue.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "while (records := store.claim(str(os.getpid()), 1)):\n"
        "    for record in records:\n"
        "        print(*record.key)\n"
    )
    claimed: dict[Key, str] = {}
    for process in [python(code, store.path) for _ in range(5)]:
        out, err = process.communicate(timeout=60)
        assert err == ""
        for line in out.splitlines():
            experiment, seed = line.split()
            assert Key(experiment, int(seed)) not in claimed
            claimed[Key(experiment, int(seed))] = str(process.pid)
    assert claimed.keys() == keys
    assert {record.key: record.worker for record in store.runs(state="running")} == claimed


def test_who_asked_first_and_who_asked_last(store: Store, make: Make) -> None:
    """Who resumes a run has it carried out; what was measured before is still another's."""
    config = make(1)
    store.submit(config, visitor="a")
    store.submit(config, visitor="b")
    record = store.get(config.id, 0)
    assert (record.starter, record.visitor) == ("a", "a"), "what goes on stays on its account"
    store.cancel(config.id, [0])
    store.submit(config, visitor="b")
    record = store.get(config.id, 0)
    assert (record.starter, record.visitor) == ("a", "b")
