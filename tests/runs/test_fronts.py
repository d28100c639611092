"""Fronts in the store, as tables and as artifacts: what comes back is what was solved for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.pareto import Front, ParetoConfig, solve
from mtl_core.runs import front_artifacts
from mtl_core.runs.front_answers import FrontAnswers
from mtl_core.runs.fronts import LEAST, front_table, packed, transfer_table, unpacked
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.queue.store import Store

CONFIG = ParetoConfig("toy", method="decay", solutions=4, iterations=6, frames=3, seeds=(0, 2))


def same(one: Front, other: Front) -> bool:
    """To the last bit, but for the seconds."""
    mine, theirs = packed(one), packed(other)
    values = [np.array_equal(mine[name], theirs[name]) for name in mine if name != "seconds"]
    return (one.seed, one.step) == (other.seed, other.step) and all(values)


@pytest.fixture(scope="module")
def fronts() -> list[Front]:
    return list(solve(CONFIG))


@pytest.fixture
def folder(tmp_path: Path, fronts: list[Front]) -> Path:
    info = {**front_artifacts.provenance(CONFIG, "cpu"), "duration_seconds": 1.5}
    tables = front_table(CONFIG, fronts), transfer_table(fronts)
    return front_artifacts.write(tmp_path / "one", CONFIG, *tables, info)


def change_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def change_table(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = folder / f"{name}.parquet"
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    key = "table_blake2b" if name == "front" else f"{name}_blake2b"
    change_manifest(folder, **{key: folders.digest(path)})


def test_packing_loses_nothing_but_the_state(fronts: list[Front]) -> None:
    for front in fronts:
        again = unpacked(front.seed, front.step, packed(front))
        assert same(front, again)
        assert again.state == {}
        assert (again.evaluations, again.seconds) == (front.evaluations, front.seconds)


def test_tables_have_every_number_of_every_front(fronts: list[Front]) -> None:
    table, transfers = front_table(CONFIG, fronts), transfer_table(fronts)
    assert len(table) == 2 * 4 * 4 * 2  # seeds, frames, solutions, objectives
    for front in fronts:
        at = table[(table["seed"] == front.seed) & (table["step"] == front.step)]
        assert at["objective"].tolist() == ["f1", "f2"] * 4
        assert np.array_equal(at["train_loss"].to_numpy().reshape(4, 2), front.train)
        assert set(at["evaluations"]) == {4 * front.step}
        assert at[["test_loss", "metric"]].isna().all(axis=None)
        rows = transfers[(transfers["seed"] == front.seed) & (transfers["step"] == front.step)]
        matrix = np.zeros((4, 4))
        matrix[rows["solution"], rows["other"]] = rows["share"]
        assert np.allclose(matrix, front.matrix, rtol=0, atol=LEAST)
    assert front_table(CONFIG, []).columns.tolist() == table.columns.tolist()


def test_an_artifact_comes_back_whole(folder: Path, fronts: list[Front]) -> None:
    artifact = front_artifacts.read(folder)
    assert artifact.config == CONFIG
    pd.testing.assert_frame_equal(artifact.front(), front_table(CONFIG, fronts))
    pd.testing.assert_frame_equal(artifact.transfers(), transfer_table(fronts))
    assert artifact.manifest["data_fingerprint"] == front_artifacts.FORMULA
    assert front_artifacts.scan(folder.parent) == ({CONFIG.id: artifact}, [])
    assert artifacts.scan(folder.parent) == ({}, [])  # no training run


def test_without_transfer_no_matrices_are_written(tmp_path: Path) -> None:
    config = replace(CONFIG, method="independent")
    found = list(solve(config))
    info = front_artifacts.provenance(config, "cpu")
    tables = front_table(config, found), transfer_table(found)
    front_artifacts.write(tmp_path / "one", config, *tables, info)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "front.parquet",
        "manifest.json",
    ]
    assert front_artifacts.read(tmp_path / "one").transfers().empty


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another id": (lambda f: change_manifest(f, id="0" * 16), "is not that of its config"),
    "a newer schema": (lambda f: change_manifest(f, schema_version=2), "schema 2 is not 1"),
    "another file": (
        lambda f: (f / "front.parquet").write_bytes(b"PAR1"),
        r"front\.parquet is not the file that the manifest describes",
    ),
    "a missing frame": (
        lambda f: change_table(f, "front", lambda t: t[t["step"] != 2]),
        "lacks steps without saying why",
    ),
    "a missing seed": (
        lambda f: change_table(f, "front", lambda t: t[t["seed"] != 2]),
        "seeds are not those",
    ),
    "a step of another config": (
        lambda f: change_table(f, "front", lambda t: t.replace({"step": {2: 3}})),
        "steps that its config does not measure",
    ),
    "a missing solution": (
        lambda f: change_table(f, "front", lambda t: t[t["solution"] != 3]),
        "not a row for each solution",
    ),
    "other objectives": (
        lambda f: change_table(f, "front", lambda t: t.replace({"objective": {"f1": "f3"}})),
        "objectives are not those",
    ),
    "an infinite loss": (
        lambda f: change_table(f, "front", lambda t: t.assign(train_loss=np.inf)),
        "missing or infinite training losses",
    ),
    "shares that are none": (
        lambda f: change_table(f, "transfers", lambda t: t.assign(share=t["share"] * 0.9)),
        "not shares of 1",
    ),
    "a solution too many": (
        lambda f: change_table(f, "transfers", lambda t: t.replace({"other": {3: 4}})),
        "solutions that its config does not have",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_not_sound_is_named(folder: Path, damage: str) -> None:
    tamper, words = DAMAGE[damage]
    tamper(folder)
    with pytest.raises(InputError, match=words):
        front_artifacts.read(folder)
    assert len(front_artifacts.scan(folder.parent)[1]) == 1


def test_the_store_tells_fronts_from_training_runs(
    store: Store, make_config: Callable[..., RunConfig]
) -> None:
    run = make_config()
    store.submit(run)
    record = store.submit(CONFIG)
    assert (record.config, record.state, record.place) == (CONFIG, "queued", 2)
    assert record.steps_total == 6 * 2
    assert [one.config for one in store.runs()] == [run]
    assert [one.config for one in store.fronts()] == [CONFIG]
    assert store.get(CONFIG.id) is None
    assert store.get_front(run.id) is None
    assert store.unreadable() == {}


def test_the_store_keeps_frames_and_states_together(store: Store, fronts: list[Front]) -> None:
    store.submit(CONFIG)
    assert store.claim("1-a") is not None
    first, middle = fronts[:2], fronts[2:4]
    assert store.save_frames(CONFIG.id, "1-a", first, 0, {})
    states = {front.seed: front.state for front in middle}
    assert store.save_frames(CONFIG.id, "1-a", middle, 2, states)
    record = store.get_front(CONFIG.id)
    assert record is not None
    assert record.steps_done == 4
    assert all(map(same, store.frames(CONFIG.id), [*first, *middle]))
    later = list(solve(CONFIG, states=store.states(CONFIG.id)))
    assert all(map(same, later, fronts[4:]))
    assert not store.save_frames(CONFIG.id, "2-b", fronts[4:], 4, {})  # not its run
    assert len(store.frames(CONFIG.id)) == 4
    store.finish(CONFIG.id, "1-a", "done")
    assert store.states(CONFIG.id) == {}
    store.remove(CONFIG.id)
    assert store.frames(CONFIG.id) == []


def test_answers_prefer_artifacts_and_give_the_same_tables(
    store: Store, folder: Path, fronts: list[Front]
) -> None:
    store.submit(CONFIG)
    store.claim("1-a")
    store.save_frames(CONFIG.id, "1-a", fronts, 6, {})
    store.finish(CONFIG.id, "1-a", "done")
    own = FrontAnswers(store, {})
    shipped = FrontAnswers(store, front_artifacts.scan(folder.parent)[0])
    one, other = own.find(CONFIG), shipped.find(CONFIG)
    assert (one.origin, other.origin) == ("own", "shipped")
    pd.testing.assert_frame_equal(own.tables(one).front, shipped.tables(other).front)
    pd.testing.assert_frame_equal(own.tables(one).transfers, shipped.tables(other).transfers)
    assert own.find(replace(CONFIG, lr=0.2)).state == "new"
    assert own.find_id("0" * 16) is None


def test_time_is_estimated_from_the_last_front_of_the_problem(store: Store) -> None:
    answers = FrontAnswers(store, {})
    assert answers.estimate_seconds(CONFIG) is None
    store.submit(CONFIG)
    store.claim("1-a")
    store.finish(CONFIG.id, "1-a", "done")
    record = store.get_front(CONFIG.id)
    assert record is not None
    longer = replace(CONFIG, iterations=18)
    assert answers.estimate_seconds(longer) == pytest.approx(3 * record.seconds, rel=0.2)
