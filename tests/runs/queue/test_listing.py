"""The listing is what the store has, and what has not changed is not read again."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mtl_core.runs.queue import listing
from mtl_core.runs.queue.records import Key, Record
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
ALICE = "1-alice"


def listed(store: Store) -> dict[Key, Record]:
    found = store.listing().experiments.values()
    return {record.key: record for runs in found for record in runs.records.values()}


def had(store: Store) -> dict[Key, Record]:
    """The same, read anew; a listing does not say places."""
    return {record.key: replace(record, place=None) for record in store.runs()}


def test_it_is_what_the_store_has_whatever_happened(store: Store, make_config: Make) -> None:
    """Against reading everything, after each of many random changes by another store object."""
    random = np.random.default_rng(0)
    configs = [make_config(epochs=1 + number, seeds=(0, 1, 2)) for number in range(4)]
    other = Store(store.path)
    for _ in range(120):
        config = configs[random.integers(4)]
        seeds = [int(seed) for seed in random.choice(3, random.integers(1, 4), replace=False)]
        what = random.integers(6)
        if what <= 1:
            other.submit(replace(config, seeds=tuple(seeds)))
        elif what == 2:
            other.claim(ALICE, int(random.integers(1, 4)))
        elif what == 3:
            for seed in seeds:
                other.finish(Key(config.id, seed), ALICE, "done")
        elif what == 4:
            other.cancel(config.id, seeds)
        elif not any(one.state == "running" for one in other.runs(config.id)):
            other.remove(config.id, seeds)
        assert listed(store) == had(other)
        order = [runs.newest for runs in store.listing().experiments.values()]
        assert order == sorted(order, reverse=True), "what was asked for last comes first"


def test_what_has_not_changed_is_the_same_object(store: Store, make_config: Make) -> None:
    one, two = make_config(epochs=1), make_config(epochs=2)
    store.submit(one)
    store.submit(two)
    before = store.listing()
    assert store.listing() is before
    kept = before.experiments[one.id].derive("x", lambda: object())
    store.claim(ALICE, 1)
    after = store.listing()
    assert after.version != before.version
    assert after.done_version == before.done_version, "nothing was finished"
    assert after.experiments[two.id] is before.experiments[two.id]
    assert after.experiments[one.id].derive("x", lambda: object()) is not kept
    assert before.experiments[one.id].records[0].state == "queued", "who has it keeps it"
    store.finish(Key(one.id, 0), ALICE, "done")
    assert store.listing().done_version != before.done_version


def test_beats_change_nothing(store: Store, make_config: Make) -> None:
    store.submit(make_config())
    store.claim(ALICE)
    before = store.listing()
    store.beat(ALICE)
    assert store.listing() is before


def test_only_changed_runs_are_parsed(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [make_config(epochs=1 + number) for number in range(5)]
    store.submit(*configs)
    store.listing()
    parsed: list[Key] = []

    def record_of(row: Any) -> Record:
        parsed.append(Key(row["experiment"], row["seed"]))
        return original(row)

    original = listing.record_of
    monkeypatch.setattr(listing, "record_of", record_of)
    store.cancel(configs[2].id, [0])
    store.listing()
    assert parsed == [Key(configs[2].id, 0)]


def test_another_file_at_the_path_is_read_as_a_whole(store: Store, make_config: Make) -> None:
    store.submit(make_config(epochs=1))
    assert len(listed(store)) == 1
    for side in store.path.parent.glob("runs.db*"):
        side.unlink()
    assert listed(store) == {}
    store.submit(make_config(epochs=2))
    assert {record.config.epochs for record in listed(store).values()} == {2}


def test_a_number_that_another_run_had_before(store: Store, make_config: Make) -> None:
    """Two runs are removed, and asked for again in the other order, before anybody looks."""
    one, two = make_config(epochs=1), make_config(epochs=2)
    store.submit(one)
    store.submit(two)
    assert set(listed(store)) == {Key(one.id, 0), Key(two.id, 0)}
    other = Store(store.path)
    for config in (one, two):
        other.remove(config.id)
    for config in (two, one):
        other.submit(config)
    assert listed(store) == had(other)
