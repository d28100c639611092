"""The library: which experiments there are, what is said of them, and how chosen ones differ."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, exchange
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import COLUMNS
from mtl_core.views import library, links
from mtl_core.views.library_search import Search

Make = Callable[..., Any]
ALICE = "1-alice"


def shelved(*found: artifacts.Artifact) -> Answers:
    return Answers(None, {one.config.id: one for one in found})


# Which there are.


def test_every_experiment_is_there_the_newest_first(
    store: Store, make_config: Make, make_front: Make, ship: Make, put_runs: Make
) -> None:
    shipped, front = ship(make_config(width=5)), ship(make_front(), created="2025-01-01T00:00:00Z")
    brought = ship(make_config(width=6), imported=True, created="2026-01-03T00:00:00Z")
    own = put_runs(store, make_config(width=7))
    begun = put_runs(store, make_config(width=8), "failed", step=2)
    solved = put_runs(store, make_front(solutions=7))
    store.submit(make_config(width=9))
    here = {one.config.id: one for one in (shipped, front)}
    found = library.entries(Answers(store, here, {brought.config.id: brought}))
    assert [(one.source, one.answer.state, one.config) for one in found] == [
        ("own", "queued", make_config(width=9)),
        ("own", "done", solved),
        ("own", "failed", begun),
        ("own", "done", own),
        ("imported", "done", brought.config),
        ("shipped", "done", shipped.config),
        ("shipped", "done", front.config),
    ]
    assert [one.key for one in found] == [one.config.id for one in found]
    assert [one.answer.share for one in found] == [0, 1, 2 / begun.steps, 1, 1, 1, 1]
    table = library.table(found)
    assert list(table["id"]) == [one.config.id for one in found]
    assert list(table["kind"]) == ["training", "front", *["training"] * 4, "front"]
    row = table.iloc[-2]
    assert row["device"] == "NVIDIA H200"
    assert row["seconds"] == 61.5
    assert row["created"] == pd.Timestamp("2026-01-02T03:04:05Z")
    assert row["numbers"] == "measured"
    assert row["optimizer"] == "UMTG (sum)"
    assert row["seeds"] == "0"
    assert pd.isna(table.iloc[0]["seconds"])
    assert len(library.table([])) == 0


def test_a_front_stands_in_the_same_columns(make_front: Make, ship: Make) -> None:
    (row,) = library.table(library.entries(shelved(ship(make_front())))).to_dict("records")
    assert row["setting"] == "Toy: two peaks"
    assert (row["target"], row["auxiliaries"]) == ("", "")
    assert row["optimizer"] == "Adaptive · tchebycheff"
    assert row["budget"] == "quick · N 5 · iterations 40 · frames 4"


def test_runs_of_one_experiment_are_told_by_their_source(
    store: Store, make_config: Make, ship: Make, put_runs: Make
) -> None:
    config = make_config()
    shipped = ship(make_config(seeds=(0, 1)))
    brought = ship(make_config(seeds=(2,)), imported=True, device="cpu")
    put_runs(store, make_config(seeds=(3, 4, 5)))
    store.submit(make_config(seeds=(6,)))
    answers = Answers(store, {config.id: shipped}, {config.id: brought})
    found = {one.key: one for one in library.entries(answers)}
    seeds = {key: one.config.seeds for key, one in found.items()}
    assert seeds == {
        config.id: (0, 1),
        f"imported:{config.id}": (2,),
        f"own:{config.id}": (3, 4, 5, 6),
    }
    own = found[f"own:{config.id}"]
    assert (own.answer.state, own.answer.share, own.answer.active) == ("queued", 3 / 4, True)
    assert own.answer.origins == ("own",)
    assert own.seconds == 3
    assert len(set(library.labels(list(found.values())).values())) == 3
    rows = library.rows(list(found.values()), answers)
    assert sorted(rows["seed"].unique()) == [0, 1, 2, 3, 4, 5]


def test_an_own_run_that_an_artifact_has_too_can_still_be_told_and_deleted(
    store: Store, make_config: Make, ship: Make, put_runs: Make
) -> None:
    config = put_runs(store, make_config())
    answers = Answers(store, {config.id: ship(config)})
    own, shipped = library.entries(answers)
    assert (own.key, shipped.key) == (f"own:{config.id}", config.id)
    assert len(set(library.labels([own, shipped]).values())) == 2
    assert len(library.rows([own, shipped], answers)) == len(library.rows([own], answers))
    library.remove(own, answers)
    assert [one.key for one in library.entries(answers)] == [config.id]
    with pytest.raises(InputError, match=f"{config.id} ships with the app and stays"):
        library.remove(shipped, answers)
    assert shipped.answer.artifacts[0].folder.exists()


def test_what_runs_is_not_removed_and_what_was_imported_is(
    store: Store, make_config: Make, make_front: Make, ship: Make, put_runs: Make
) -> None:
    config = put_runs(store, make_config(), None, step=1)
    brought = [ship(one, imported=True) for one in (make_config(width=6), make_front())]
    answers = Answers(store, {}, {one.config.id: one for one in brought})
    running, *imported = library.entries(answers)
    with pytest.raises(InputError, match=f"run {config.id} is running; stop it before"):
        library.remove(running, answers)
    for one in imported:
        library.remove(one, answers)
    assert exchange.imported() == ({}, [])
    assert store.get(config.id, 0) is not None


def test_an_experiment_with_very_many_own_runs_is_there(store: Store, make_config: Make) -> None:
    first, last = range(checks.MOST_SEEDS), range(checks.MOST_SEEDS, checks.MOST_SEEDS + 2)
    store.submit(make_config(seeds=tuple(first)), make_config(seeds=tuple(last)))
    (found,) = library.entries(Answers(store, {}))
    assert found.config.seeds == tuple(first)
    library.remove(found, Answers(store, {}))
    (found,) = library.entries(Answers(store, {}))
    assert found.config.seeds == tuple(last)


def test_thousands_of_experiments_are_listed_at_once(store: Store, make_config: Make) -> None:
    configs = [make_config(lr=1e-4 * (1 + number)) for number in range(2000)]
    with store._file.write() as db:
        db.executemany(
            "INSERT INTO experiments (id, kind, config) VALUES (?, 'training', ?)",
            [(one.id, json.dumps(one.to_dict())) for one in configs],
        )
        db.executemany(
            "INSERT INTO runs (experiment, seed, question, state, queued_at) "
            "VALUES (?, 0, 'q', 'done', 0)",
            [(one.id,) for one in configs],
        )
    answers = Answers(store, {})
    search = Search(text="digits2 umtg", state=("done",))
    found = library.entries(answers)
    library.table([one for one in found if search.passes(one)])
    started = time.perf_counter()
    found = library.entries(answers)
    library.table([one for one in found if search.passes(one)])
    assert len(found) == 2000
    assert time.perf_counter() - started < 2, "0.2 s where nobody else computes"


# How they differ.


def test_a_comparison_says_what_differs_and_nothing_else(make_config: Make, ship: Make) -> None:
    one = make_config(optimizer="mgda", options=(("normalization", "l2"),), lr=0.01)
    other = make_config(lr=0.02, samples=None, batch_size=32)
    parts = ship(one, versions={"torch": "2.1"}), ship(other, data_fingerprint="ab")
    found = library.entries(shelved(*parts))
    found = sorted(found, key=lambda entry: entry.config.lr)
    table = library.comparison(found)
    assert table.index.tolist() == [
        "optimizer",
        "options",
        "lr",
        "batch size",
        "samples",
        "torch",
        "data",
    ]
    first, second = table.columns
    assert table[first].tolist() == [
        "MGDA",
        "normalization l2",
        "0.01",
        "16",
        "64",
        "2.1",
        "unknown",
    ]
    assert table[second].tolist() == ["UMTG (sum)", "none", "0.02", "32", "all", "–", "ab"]
    assert library.comparison([found[0], found[0]]).empty


def test_a_single_task_has_no_optimizer_to_compare(make_config: Make, entry: Make) -> None:
    table = library.comparison([entry(make_config(auxiliaries=())), entry(make_config())])
    assert table.index.tolist() == ["auxiliaries", "optimizer", "options", "auxiliary factors"]
    assert table.iloc[:, 0].tolist() == ["none", "–", "–", "–"]


def test_labels_say_what_differs_and_never_repeat(make_config: Make, entry: Make) -> None:
    found = [
        entry(make_config(auxiliaries=())),
        entry(make_config()),
        entry(make_config(optimizer="mgda")),
        entry(make_config(optimizer="mgda", lr=0.5)),
    ]
    assert list(library.labels(found).values()) == [
        "single task · lr 0.01",
        "+ digits2 · UMTG (sum) · lr 0.01",
        "+ digits2 · MGDA · lr 0.01",
        "+ digits2 · MGDA · lr 0.5",
    ]
    assert library.labels(found[:1]) == {found[0].key: "single task"}
    assert library.labels([]) == {}
    turned = entry(make_config(target="digits2", auxiliaries=("digits1",)))
    assert list(library.labels([found[1], turned]).values()) == [
        "digits1: + digits2",
        "digits2: + digits1",
    ]
    far = entry(make_config(epochs=3, width=5, samples=80, held_out=20, optimizer="mgda"))
    assert library.labels([found[1], far])[far.key] == f"+ digits2 · MGDA · {far.key[:8]}"


def test_tasks_in_common(make_config: Make, entry: Make) -> None:
    all_three = entry(make_config(auxiliaries=("digits2", "noisy_digits")))
    turned = entry(make_config(target="digits2", auxiliaries=("digits1",)))
    single = entry(make_config(target="noisy_digits", auxiliaries=()))
    fashion = entry(RunConfig.from_preset("fashion", "quick"))
    assert library.common_tasks([all_three]) == ("digits1", "digits2", "noisy_digits")
    assert library.common_tasks([turned, all_three]) == ("digits2", "digits1")
    assert library.common_tasks([turned, single]) == ()
    assert library.common_tasks([all_three, fashion]) == ()
    assert library.common_tasks([]) == ()


def test_experiments_of_two_kinds_are_not_compared_field_by_field(
    make_config: Make, make_front: Make, entry: Make
) -> None:
    front = entry(make_front(method="mgda"))
    table = library.comparison([entry(make_config(auxiliaries=())), front])
    assert list(table.columns) == ["digits1: single task", "Toy: two peaks: MGDA"]
    assert table.index.tolist() == ["kind"], "what else is called alike means something else"
    assert table.loc["kind"].tolist() == ["training", "front"]
    others = [entry(make_front(method=name)) for name in ("decay", "adaptive")]
    assert library.comparison(others).index.tolist() == ["method"]
    table = library.comparison([front, others[0]])
    assert table.to_dict("split")["data"] == [["MGDA", "Decaying"], ["–", "tchebycheff"]]
    assert table.index.tolist() == ["method", "scalarization"]
    named = library.labels([front, *others])
    assert list(named.values()) == ["MGDA", "Decaying", "Adaptive"]


def test_a_kind_that_nobody_speaks_of_is_listed(
    make_config: Make, ship: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    third = replace(kinds.of(config), name="third")
    shipped = ship(config)
    monkeypatch.setitem(kinds.KINDS, "third", third)
    monkeypatch.setattr(RunConfig, "kind", "third")
    found = library.entries(shelved(shipped))
    (row,) = library.table(found).to_dict("records")
    said = third.command.words(config)
    assert (row["kind"], row["setting"], row["target"]) == ("third", said, "")
    assert library.labels(found) == {config.id: said}
    assert Search(kind=("third",), text="digits2").passes(found[0])
    assert library.common_tasks(found) == ()
    assert links.links([one.answer for one in found]) == []


def test_main_tables_are_one_tidy_table(make_config: Make, make_front: Make, ship: Make) -> None:
    shipped = [ship(make_config(width=width)) for width in (5, 6)]
    answers = shelved(*shipped)
    found = sorted(library.entries(answers), key=lambda one: one.config.width)
    rows = library.rows([*found, found[0]], answers)
    assert list(rows.columns) == ["experiment", *COLUMNS]
    assert list(rows["experiment"].unique()) == [one.config.id for one in shipped]
    for one in shipped:
        mine = rows[rows["experiment"] == one.config.id].drop(columns="experiment")
        pd.testing.assert_frame_equal(mine.reset_index(drop=True), one.table("trajectory"))
    front = ship(make_front())
    answers = shelved(front)
    rows = library.rows(library.entries(answers), answers)
    pd.testing.assert_frame_equal(rows.drop(columns="experiment"), front.table("front"))


def test_what_was_not_measured_yet_has_the_same_columns(
    make_config: Make, ship: Make, entry: Make
) -> None:
    answers = shelved(ship(make_config()))
    nothing, one = entry(make_config(width=9)), library.entries(answers)[0]
    assert list(library.rows([nothing], answers).columns) == ["experiment", *COLUMNS]
    assert len(library.rows([nothing, one], answers)) == len(library.rows([one], answers)) > 0


# Where the numbers come from.


def test_every_group_of_runs_says_where_it_comes_from(
    store: Store, make_config: Make, put_runs: Make, make_pieces: Make
) -> None:
    config = make_config(seeds=(0, 1, 2))
    store.submit(config)
    store.claim(ALICE)
    for seed, device in ((0, "cpu"), (1, "H200"), (2, "cpu")):
        key = Key(config.id, seed)
        versions = {"python": "3.11", "torch": "2.0"}
        store.describe(key, ALICE, {"device": device, "versions": versions})
        store.save(key, ALICE, make_pieces(config, (seed,), config.steps), seconds=20.5)
        store.finish(key, ALICE, "done")
    (one,) = library.entries(Answers(store, {}))
    rows = library.provenance(one.answer)
    assert [(row["seeds"], row["device"], row["duration"]) for row in rows] == [
        ("0 2", "cpu", "41.0 s"),
        ("1", "H200", "20.5 s"),
    ]
    assert rows[0]["versions"] == "python 3.11, torch 2.0"
    assert rows[0]["data"] == "not recorded"
    assert rows[0]["created"] == time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one.created))
    begun = Answers(store, {}).find(make_config(width=9))
    assert library.provenance(begun) == []


def test_data_is_compared_with_what_is_here(
    make_config: Make,
    make_front: Make,
    ship: Make,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = make_config()
    here = artifacts.provenance(config, "cpu")["data_fingerprint"]

    def data(config: Any, **made: Any) -> str:
        answer = shelved(ship(config, **made)).find(config)
        return library.provenance(answer)[0]["data"]

    assert data(config, data_fingerprint=here) == f"{here}, the same as on this machine"
    assert data(config, data_fingerprint="ab") == f"ab, other data than on this machine ({here})"
    assert data(config) == "not recorded"
    assert data(make_front(), data_fingerprint="formula") == "formula, the same as on this machine"
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    fashion = RunConfig.from_preset("fashion", "quick")
    words = "ab; this machine does not have the data to compare"
    assert data(fashion, data_fingerprint="ab") == words
