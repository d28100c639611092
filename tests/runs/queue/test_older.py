"""Stores of schemas 1 to 4, in which a run had all its seeds: every number has its place today."""

import io
import json
import lzma
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from mtl_core import checks
from mtl_core.errors import StoreError
from mtl_core.runs import kinds
from mtl_core.runs.kinds.front import LEAST
from mtl_core.runs.queue import older
from mtl_core.runs.queue.launch import lock_path
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.schema import SCHEMA_VERSION
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
DATA = Path(__file__).with_name("data")
SAID: dict[str, Any] = json.loads((DATA / "schema4.json").read_text())
"""What the code of that time wrote into ``schema4.db``: configs and states, by the ids of then."""


def experiment(values: Mapping[str, Any]) -> Any:
    """A config of then, which has its seeds in it."""
    kind, plain, seeds = older.split_config(values)
    return kinds.experiment(kind, plain, seeds=seeds)


CONFIGS = {run: experiment(said["config"]) for run, said in SAID.items()}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as a user has it who updates the app."""
    path = tmp_path / "old" / "runs.db"
    path.parent.mkdir()
    path.write_bytes(lzma.decompress((DATA / "schema4.db.xz").read_bytes()))
    return path


def sql(path: Path, *statements: str) -> list[sqlite3.Row]:
    """What the last statement finds."""
    with closing(sqlite3.connect(path)) as db, db:
        db.row_factory = sqlite3.Row
        return [db.execute(statement).fetchall() for statement in statements][-1]


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    there = {row["name"] for row in sql(path, "SELECT name FROM sqlite_master")}
    return [dict(row) for row in sql(path, f"SELECT * FROM {table}")] if table in there else []


def configs(path: Path) -> dict[str, Any]:
    """The experiments of an old file by id, with their seeds."""
    return {row["id"]: experiment(json.loads(row["config"])) for row in rows(path, "runs")}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return list(db.iterdump())


Place = tuple[Any, ...]
KEYS = {
    "trajectory": ("seed", "step", "task"),
    "cosines": ("seed", "step", "task", "other"),
    "updates": ("seed", "step", "task"),
    "front": ("seed", "step", "solution", "objective"),
    "transfers": ("seed", "step", "solution", "other"),
}
"""Columns that tell the rows of an experiment's table from each other."""


def expected(path: Path) -> dict[str, dict[Place, list[dict[str, Any]]]]:
    """Every row of an old file at its place in today's tables; several where runs overlapped."""
    runs = configs(path)
    found: dict[str, dict[Place, list[dict[str, Any]]]] = {}

    def put(table: str, row: dict[str, Any]) -> None:
        place = (runs[row["run"]].id, *(row[name] for name in KEYS[table]))
        found.setdefault(table, {}).setdefault(place, []).append(row)

    for table, source in (("trajectory", "checkpoints"), ("cosines",) * 2, ("updates",) * 2):
        for row in rows(path, source):
            put(table, row)
    for row in rows(path, "frames"):
        for table, part in front_rows(runs[row["run"]], row):
            put(table, part)
    return found


def front_rows(config: Any, row: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The numbers of an archive that was a front."""
    with np.load(io.BytesIO(row["front"]), allow_pickle=False) as archive:
        arrays = dict(archive)
    place = {"run": row["run"], "seed": row["seed"], "step": row["step"]}
    names = [objective.name for objective in config.definition.objectives]
    assert not {"test", "metrics"} & arrays.keys(), "toy has no data"
    for (solution, k), loss in np.ndenumerate(arrays["train"]):
        yield (
            "front",
            place
            | {"solution": solution, "objective": names[k], "train_loss": loss}
            | {"evaluations": int(arrays["evaluations"]), "seconds": float(arrays["seconds"])}
            | {"test_loss": None, "metric": None},
        )
    if config.method != "mgda":  # it has no transfers
        for (solution, other), share in np.ndenumerate(arrays["matrix"]):
            if share >= LEAST:
                yield "transfers", place | {"solution": solution, "other": other, "share": share}


def every_number_is_there(store: Store, numbers: Mapping[str, Any], runs: Mapping[str, Any]) -> int:
    """Whether a store has all of ``expected`` and nothing else; how many rows that are."""
    known: dict[str, set[int]] = {}
    for config in runs.values():
        known.setdefault(config.id, set()).update(config.seeds)
    wide = {
        config.id: checks.with_seeds(config, sorted(known[config.id])) for config in runs.values()
    }
    total = 0
    for name in KEYS:
        places = numbers.get(name, {})
        here = 0
        for config in wide.values():
            if name not in kinds.of(config).tables:
                continue
            table = store.table(config, name)
            table = table.astype(object).where(table.notna(), None)
            for row in table.to_dict("records"):
                candidates = places[config.id, *(row[key] for key in KEYS[name])]
                measured = set(candidates[0]) - {"run", "seconds"}
                for old_row in candidates:  # equal, since a seed decides them
                    for column in measured:
                        assert row[column] == old_row[column], (name, column)
                if "seconds" in row:
                    assert row["seconds"] in [old_row["seconds"] for old_row in candidates]
                here += 1
        assert here == len(places), name
        total += here
    return total


def test_every_row_has_its_place(old: Path) -> None:
    numbers, runs = expected(old), configs(old)
    store = Store(old)
    assert store.notice is None
    assert every_number_is_there(store, numbers, runs) > 62 + 6 + 12 + 28
    assert sql(old, "PRAGMA user_version")[0][0] == SCHEMA_VERSION
    assert store.health().startswith(f"ok, schema {SCHEMA_VERSION}, 14 runs")
    assert store.unreadable() == {}
    tables = {row["name"] for row in sql(old, "SELECT name FROM sqlite_master WHERE type='table'")}
    assert not any(name.startswith("old_") for name in tables), "nothing is left behind"


def test_words_are_those_of_the_experiment(old: Path) -> None:
    """Columns that the old tables did not have, since all rows of a run shared them."""
    store = Store(old)
    config = CONFIGS["7bc4bad179f14abb"]
    table = store.table(config, "trajectory")
    assert set(table["setting"]) == {"digits"}
    assert set(table["auxiliaries"]) == {"digits2"}
    assert set(table["optimizer"]) == {"umtg"}
    assert dict(zip(table["task"], table["role"], strict=True)) == {
        "digits1": "target",
        "digits2": "auxiliary",
    }
    kinds.of(config).check(
        config, {n: store.table(config, n) for n in kinds.of(config).tables}, True
    )
    single = store.table(CONFIGS["27c31717c667613e"], "trajectory")
    assert set(single["auxiliaries"]) == {"stl"}


def test_each_seed_is_a_run_with_what_its_run_was(old: Path) -> None:
    before = {row["id"]: row for row in rows(old, "runs")}
    replicas = {(row["run"], row["seed"]): row for row in rows(old, "replicas")}
    store = Store(old)
    keys = {Key(config.id, seed) for config in CONFIGS.values() for seed in config.seeds}
    assert keys < {record.key for record in store.runs()}
    for run, config in CONFIGS.items():
        for seed in config.seeds:
            record, row = store.get(config.id, seed), before[run]
            assert record.steps == kinds.of(config).steps(config)
            if (run, seed) == ("298acf1f5fd71aaa", 0):
                # Another run had this seed too, and had finished.
                assert record.question == "27c31717c667613e"
                assert record.state == "done"
                continue
            assert record.question == run, "runs that were one advance together"
            assert (record.state, record.error) == (row["state"], row["error"])
            assert record.step == replicas[run, seed]["step"]
            assert (record.queued_at, record.started_at) == (row["queued_at"], row["started_at"])
            assert record.finished_at == row["finished_at"]
            assert record.seconds == pytest.approx(row["seconds"] / len(config.seeds))
            assert dict(record.info) == json.loads(row["info"])
            saved = replicas[run, seed]["state"]
            state = store.state(record.key)
            assert (saved is None) == (state is None)
            if state is not None:
                with np.load(io.BytesIO(saved)) as archive:
                    for name, value in archive.items():
                        assert state[name].tobytes() == value.tobytes()
                assert int(state["step"]) == record.step
    assert store.waiting()


def test_former_ids_lead_to_the_experiment_and_its_seeds(old: Path) -> None:
    runs = configs(old)
    assert runs.keys() > CONFIGS.keys()
    store = Store(old)
    for run, config in runs.items():
        assert store.former(run) == (config.id, config.seeds)
        assert store.former(config.id) is None


def test_notes_stay_with_all_seeds_of_their_run(old: Path) -> None:
    run = "7bc4bad179f14abb"
    sql(old, f"INSERT INTO notes VALUES ('{run}', 'sharpness: none')")
    store, config = Store(old), CONFIGS[run]
    assert store.notes(config) == ["sharpness: none"]
    assert store.notes(checks.with_seeds(config, [1])) == ["sharpness: none"]
    assert store.notes(CONFIGS["27c31717c667613e"]) == []


def test_what_was_not_finished_goes_on_and_ends_as_if_nothing_had_happened(
    old: Path, serve: Make, undisturbed: Make, stored: Make
) -> None:
    """Cancelled, failed and queued ones of both kinds; rows of then included.

    To a tolerance, since the rows of then were computed on another machine, maybe.
    """
    store = Store(old)
    ended = {run for run, said in SAID.items() if said["state"] in ("failed", "cancelled")}
    assert {CONFIGS[run].kind for run in ended} == {"training", "front"}
    before = {run: stored(store, CONFIGS[run]) for run in ended}
    for run in ended:
        states = [record.state for record in store.submit(CONFIGS[run])]
        assert set(states) <= {"queued", "done"}
        assert "queued" in states
    assert serve(store) == 0
    assert {record.state for record in store.runs()} == {"done"}
    for run, config in CONFIGS.items():
        found, expected = stored(store, config), undisturbed(config)
        for name, table in found.items():
            pd.testing.assert_frame_equal(table, expected[name], rtol=1e-3, atol=1e-6, obj=name)
        for name, table in before.get(run, {}).items():
            kept = found[name].merge(table, how="inner", on=list(table.columns))
            assert len(kept) == len(table), "what was measured then has not changed"
    # Versions are the same or not; data and device are.
    assert not any("data" in note for config in CONFIGS.values() for note in store.notes(config))


def test_a_second_opening_changes_nothing(old: Path) -> None:
    Store(old)
    once = dump(old)
    assert len(once) > 50
    assert Store(old).notice is None
    assert dump(old) == once


def test_a_worker_of_the_version_before_loses_its_lock(old: Path) -> None:
    """It looks after it, and leaves: it does not know today's tables."""
    lock = lock_path(old)
    with FileLock(lock):
        Store(old)
        with FileLock(lock, timeout=0):
            pass  # a worker of today may begin


def test_what_was_running_then_is_reaped(old: Path) -> None:
    run = "7bc4bad179f14abb"
    sql(old, f"UPDATE runs SET state = 'running', worker = '7-old', cancel = 1 WHERE id = '{run}'")
    sql(old, f"UPDATE replicas SET step = 9 WHERE run = '{run}'")
    store, config = Store(old), CONFIGS[run]
    assert {record.state for record in store.runs(config.id)} == {"running"}
    assert store.beat("7-old") == {Key(config.id, seed): True for seed in config.seeds}
    store.reap()
    assert {record.state for record in store.runs(config.id)} == {"failed"}


def test_a_seed_that_had_ended_before_the_others_is_done(old: Path) -> None:
    """Its run was cancelled when others had steps to go."""
    sql(old, "DELETE FROM runs WHERE id = '27c31717c667613e'")
    sql(old, "DELETE FROM replicas WHERE run = '27c31717c667613e'")
    config = CONFIGS["298acf1f5fd71aaa"]
    store = Store(old)
    assert [store.get(config.id, seed).state for seed in (0, 2)] == ["done", "cancelled"]
    assert store.state(Key(config.id, 0)) is None
    assert store.get(config.id, 0).error is None


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_of_an_older_schema_is_brought_up_to_date_with_all_that_it_has(
    old: Path, version: int
) -> None:
    """Version 2 added cosines and notes, 3 updates, 4 fronts."""
    fronts = "SELECT id FROM runs WHERE config LIKE '%pareto%'"
    sql(
        old,
        f"DELETE FROM replicas WHERE run IN ({fronts})",
        f"DELETE FROM runs WHERE id IN ({fronts})",
    )
    later = {"frames": 4, "updates": 3, "cosines": 2, "notes": 2}
    for table in [table for table, since in later.items() if since > version]:
        sql(old, f"DROP TABLE {table}")
    sql(old, f"PRAGMA user_version = {version}")
    numbers, runs = expected(old), configs(old)
    store = Store(old)
    assert store.notice is None
    assert every_number_is_there(store, numbers, runs) == len(numbers["trajectory"]) + (
        6 * (version >= 2) + 12 * (version >= 3)
    )
    assert sql(old, "PRAGMA user_version")[0][0] == SCHEMA_VERSION
    assert Store(old).health().startswith(f"ok, schema {SCHEMA_VERSION}, 7 runs")


def test_what_nobody_can_read_any_more_does_not_keep_the_rest(old: Path) -> None:
    run, front = "7bc4bad179f14abb", "b011c66a76965ede"
    sql(old, f"UPDATE runs SET config = '{{\"setting\": \"marsian\"}}' WHERE id = '{run}'")
    sql(old, f"UPDATE frames SET front = substr(front, 1, 90) WHERE run = '{front}' AND step = 5")
    sql(old, "UPDATE replicas SET state = substr(state, 1, 90) WHERE run = 'd033e9c6da4a73cf'")
    store = Store(old)
    assert list(store.unreadable()) == [run]
    store.remove(run)
    assert store.unreadable() == {}
    steps = set(store.table(CONFIGS[front], "front")["step"])
    assert steps == {0, 10, 15, 20, 25, 30}, "all but the damaged one"
    failed = CONFIGS["d033e9c6da4a73cf"]
    assert store.state(Key(failed.id, 0)) is None, "it starts anew"
    assert len(store.table(failed, "trajectory"))


def test_a_full_disk_leaves_the_old_file_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, connect = dump(old), sqlite3.connect
    lock_path(old).touch()

    def small(*arguments: Any, **words: Any) -> sqlite3.Connection:
        db = connect(*arguments, **words)
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
        return db

    with monkeypatch.context() as patch:
        patch.setattr("mtl_core.runs.queue.file.sqlite3.connect", small)
        with pytest.raises(StoreError, match="database or disk is full") as caught:
            Store(old)
    assert len(str(caught.value).splitlines()) == 1
    assert dump(old) == before
    assert lock_path(old).exists(), "a worker of then goes on"
    assert len(Store(old).runs()) == 14, "and with space again it is brought up to date"


def test_many_processes_bring_it_up_to_date_once(old: Path, python: Make) -> None:
    numbers, runs = expected(old), configs(old)
    code = "import sys; from mtl_core.runs.queue.store import Store; Store(sys.argv[1]).runs()"
    for process in [python(code, old) for _ in range(4)]:
        assert process.communicate(timeout=60)[1] == ""
    store = Store(old)
    assert store.notice is None
    assert every_number_is_there(store, numbers, runs) > 100


# Schema 5: today's tables without checksums and what listings are searched by.


@pytest.fixture
def five(tmp_path: Path, make_config: Make, make_front: Make, make_pieces: Make) -> Path:
    """A store as the version before wrote it: the rows of one of today's, as far as it had them."""
    today = Store(tmp_path / "today.db")
    configs = make_config(seeds=(0, 1)), make_config(auxiliaries=()), make_front()
    for config in configs:
        today.submit(config)
    for record in today.claim("1-alice", 2):
        pieces = [p for step in range(3) for p in make_pieces(record.config, (record.seed,), step)]
        today.save(record.key, "1-alice", pieces, seconds=1.5)
    today.finish(Key(configs[0].id, 0), "1-alice", "done")
    path = tmp_path / "five.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in older._SCHEMA_5:
            db.execute(statement)
        db.execute(f"ATTACH '{today.path}' AS today")
        for table in ("experiments", "runs", "states", "pieces", "notes"):
            names = [row[1] for row in db.execute(f"PRAGMA main.table_info({table})")]
            listed = ", ".join(names)
            db.execute(f"INSERT INTO main.{table} ({listed}) SELECT {listed} FROM today.{table}")
        db.execute("UPDATE main.runs SET queued_at = 1000 - number WHERE state = 'queued'")
        db.execute("PRAGMA user_version = 5")
    return path


def test_a_store_of_schema_5_has_all_it_had_and_what_today_adds(
    five: Path, tmp_path: Path, stored: Make
) -> None:
    today, before = Store(tmp_path / "today.db"), rows(five, "runs")
    store = Store(five)
    assert store.notice is None
    assert sql(five, "PRAGMA user_version")[0][0] == SCHEMA_VERSION
    assert sql(five, "PRAGMA auto_vacuum")[0][0] == 2, "deleted rows give their space back"
    for row, old in zip(rows(five, "runs"), before, strict=True):
        assert {name: row[name] for name in old} == old
    for table in ("experiments", "pieces", "states", "notes"):
        assert rows(five, table) == rows(today.path, table), "with checksums, and what is searched"
    for record in today.runs():
        found, expected = stored(store, record.config), stored(today, record.config)
        for name, frame in expected.items():
            pd.testing.assert_frame_equal(found[name], frame, check_exact=True)
        assert store.notes(record.config) == []
        state, its = store.state(record.key), today.state(record.key)
        assert (state is None) == (its is None)
        for name, value in (its or {}).items():
            assert state[name].tobytes() == value.tobytes()
    pieces = {row["number"]: row["pieces"] for row in rows(today.path, "runs")}
    assert {row["number"]: row["pieces"] for row in rows(five, "runs")} == pieces
    waiting = store.runs(state="queued")
    assert [one.queued_at for one in waiting] == sorted(
        (one.queued_at for one in waiting), reverse=True
    )
    assert {one.visitor for one in store.runs()} == {""}, "nobody knows who had asked"
    asked = store.submit(checks.with_seeds(waiting[0].config, [7]), visitor="me")[0]
    assert (asked.visitor, asked.order) == ("me", max(one.order for one in store.runs()))


def test_a_store_that_was_brought_up_to_date_is_made_as_a_new_one(five: Path, old: Path) -> None:
    new = Store(five.with_name("new.db")).path
    what = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
    for path in (five, old):
        Store(path)
        assert [tuple(row) for row in sql(path, what)] == [tuple(row) for row in sql(new, what)]
        for table in ("experiments", "runs", "states", "pieces", "notes", "former", "changes"):
            info = f"PRAGMA table_info({table})"
            assert [tuple(row) for row in sql(path, info)] == [tuple(row) for row in sql(new, info)]
        (changes,) = sql(path, "SELECT * FROM changes")
        store = Store(path)
        store.submit(store.runs(state="queued")[0].config)
        assert changes["last"] > max(row["changed"] for row in rows(path, "runs"))
