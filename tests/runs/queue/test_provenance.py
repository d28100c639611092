"""Provenance: taken when a run starts, held against what is there when it goes on."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core import checks
from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds, provenance
from mtl_core.runs.queue.lockstep import Lockstep
from mtl_core.runs.queue.slices import Carrier, Slice
from mtl_core.runs.queue.store import Store
from tests.runs.queue.conftest import Singly

Make = Callable[..., Any]
ALICE = "1-alice"

pytestmark = pytest.mark.usefixtures("short_slices")


def begun(store: Store, *configs: Any, carrier: Carrier | None = None) -> Lockstep:
    """Experiments that are queued, and taken."""
    store.submit(*configs)
    made = Lockstep(store, ALICE, "cpu", carrier or Singly())
    made.add(store.claim(ALICE))
    return made


def advance(made: Lockstep, turns: int = 10_000) -> None:
    while made.going and turns:
        made.turn({}, 0.0)
        turns -= 1


def write_table(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal(size=(40, 4))
    lines = ["x1,x2,y1,y2", *(",".join(map(repr, row)) for row in rows.tolist())]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    write_table(path, 0)
    return path


@pytest.fixture
def front(table: Path) -> ParetoConfig:
    """On a user's file."""
    options = (("file", str(table)), ("targets", "y1,y2"))
    return ParetoConfig(
        "csv", options, solutions=3, iterations=60, frames=12, lr=0.01, batch_size=8, seeds=(0, 1)
    )


def test_it_is_there_with_the_first_points(store: Store, make: Make) -> None:
    """It is what the run is begun on, not what is there at its end."""
    config = make(20)
    made = begun(store, config)
    advance(made, 1)
    record = store.get(config.id, 0)
    assert (record.state, record.step) == ("running", 0)
    assert set(record.info) == {"created", "device", "versions", "data_fingerprint", "factors"}
    assert record.info["device"] == "cpu"
    assert dict(record.info["versions"]) == provenance.versions()
    assert record.info["data_fingerprint"] == kinds.of(config).fingerprint(config)
    assert dict(record.info["factors"]) == dict(kinds.of(config).protocol(config))
    advance(made)
    assert store.get(config.id, 0).info == record.info


def test_data_that_is_replaced_under_a_run_fails_it_with_both_fingerprints(
    store: Store, front: ParetoConfig, table: Path, make_config: Make
) -> None:
    other = make_config()
    made = begun(store, front, other)
    advance(made, 8)
    was = kinds.of(front).fingerprint(front)
    steps = [store.get(front.id, seed).step for seed in front.seeds]
    assert min(steps) > 0
    write_table(table, 1)
    now = kinds.of(front).fingerprint(front)
    assert now != was
    advance(made)
    for seed, step in zip(front.seeds, steps, strict=True):
        record = store.get(front.id, seed)
        assert record.state == "failed"
        assert "its data changed while it was going on" in record.error
        assert was in record.error
        assert now in record.error
        assert len(record.error.splitlines()) == 1
        assert record.info["data_fingerprint"] == was
        assert step <= record.step < record.steps
    assert set(store.table(front, "front")["seed"]) == {0, 1}, "what was measured before stays"
    assert store.get(other.id, 0).state == "done"

    # With the new data it goes on when it is asked to, and says so ever after.
    advance(begun(store, front))
    for seed in front.seeds:
        record = store.get(front.id, seed)
        assert (record.state, record.error) == ("done", None)
        assert record.info["data_fingerprint"] == was, "what it was begun on"
    assert store.notes(front) == [
        f"seed {seed} was resumed after a change: data {was} before, {now} now"
        for seed in front.seeds
    ]


def test_with_the_old_data_back_it_goes_on_as_if_nothing_had_happened(
    store: Store,
    front: ParetoConfig,
    table: Path,
    undisturbed: Make,
    stored: Make,
    assert_same: Make,
) -> None:
    expected = undisturbed(front)
    made = begun(store, front)
    advance(made, 8)
    write_table(table, 1)
    advance(made)
    assert {record.state for record in store.runs()} == {"failed"}
    write_table(table, 0)
    advance(begun(store, front))
    assert {record.state for record in store.runs()} == {"done"}
    assert store.notes(front) == []
    assert_same(stored(store, front), expected)


def test_data_that_is_replaced_after_the_first_slice_is_noticed(
    store: Store, front: ParetoConfig, table: Path
) -> None:
    """The second begins before what the first brought is written."""

    class Replaced(Singly):
        begun = 0

        def begin(self, name: Any, part: Slice) -> None:
            self.begun += 1
            if self.begun == 2:
                write_table(table, 1)
            super().begin(name, part)

    config = checks.with_seeds(front, [0])
    advance(begun(store, config, carrier=Replaced()))
    record = store.get(config.id, 0)
    assert (record.state, record.step) == ("failed", 0)
    assert "its data changed while it was going on" in record.error
    assert store.notes(config) == []


def test_a_file_that_is_gone_fails_its_runs_with_its_name(
    store: Store, front: ParetoConfig, table: Path
) -> None:
    made = begun(store, front)
    advance(made, 6)
    table.unlink()
    advance(made)
    for record in store.runs():
        assert record.state == "failed"
        assert str(table) in record.error
        assert "unexpectedly" not in record.error


def test_what_runs_with_other_versions_than_it_began_with_says_so(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(4, seeds=(0, 1))
    made = begun(store, config)
    advance(made, 4)
    made.rest()
    assert {record.state for record in store.runs()} == {"queued"}
    real = provenance.versions()
    monkeypatch.setattr(provenance, "versions", lambda: real | {"torch": "9.0"})
    advance(begun(store, config))
    assert {record.state for record in store.runs()} == {"done"}
    assert store.notes(config) == [
        f"seed {seed} was resumed after a change: torch {real['torch']} before, 9.0 now"
        for seed in (0, 1)
    ]
    assert store.get(config.id, 0).info["versions"]["torch"] == real["torch"]


def test_what_goes_on_unchanged_says_nothing(store: Store, make: Make) -> None:
    config = make(4)
    made = begun(store, config)
    advance(made, 3)
    made.rest()
    info = store.get(config.id, 0).info
    advance(begun(store, config))
    record = store.get(config.id, 0)
    assert (record.state, record.info) == ("done", info)
    assert store.notes(config) == []


BEFORE = {"device": "cpu", "data_fingerprint": "a", "versions": {"torch": "1", "numpy": "2"}}


@pytest.mark.parametrize(
    ("now", "words"),
    [
        ({}, []),
        ({"created": "later", "factors": {"x": "y"}}, []),
        ({"data_fingerprint": "b"}, ["data a before, b now"]),
        ({"device": "NVIDIA X"}, ["device cpu before, NVIDIA X now"]),
        ({"versions": {"torch": "1", "numpy": "3"}}, ["numpy 2 before, 3 now"]),
        ({"versions": {"torch": "1", "numpy": "2", "python": "3"}}, []),
        (
            {"data_fingerprint": "b", "versions": {"torch": "4", "numpy": "2"}},
            ["data a before, b now", "torch 1 before, 4 now"],
        ),
    ],
)
def test_changes_are_what_decides_numbers(now: Mapping[str, Any], words: list[str]) -> None:
    assert provenance.changes(BEFORE, BEFORE | now) == words


def test_what_was_not_recorded_has_not_changed() -> None:
    assert provenance.changes({}, BEFORE) == []
