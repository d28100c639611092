"""Lockstep: runs of a question side by side, in slices that nobody sees in their numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

from mtl_core.errors import TrainingDiverged
from mtl_core.runs import kinds
from mtl_core.runs.queue import lockstep
from mtl_core.runs.queue.lockstep import Lockstep
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.slices import Carrier, Done, Slice, Stacks
from mtl_core.runs.queue.store import Store
from tests.runs.queue.conftest import Singly

Make = Callable[..., Any]
ALICE = "1-alice"

pytestmark = pytest.mark.usefixtures("short_slices")


class Noted:
    """Notes the slices that another carrier carries out."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.stacks = carrier.stacks
        self.slices: list[tuple[str, tuple[int, ...], int]] = []  # experiment, seeds, step
        self.together: list[list[tuple[str, tuple[int, ...]]]] = []  # experiments and seeds

    @property
    def free(self) -> bool:
        return self._carrier.free

    def begin(self, name: Sequence[Key], part: Slice) -> None:
        (experiment,) = {key.experiment for key in name}
        seeds = tuple(key.seed for key in name)
        assert part.config.seeds == tuple(sorted(seeds))
        steps = {int(state["step"]) for state in part.states.values()} or {-1}
        assert len(steps) == 1, "all at one step"
        self.slices.append((experiment, seeds, steps.pop()))
        self._carrier.begin(name, part)

    def begin_together(self, parts: Sequence[tuple[Any, Slice]]) -> None:
        self.together.append([(part.config.id, part.config.seeds) for _, part in parts])
        self._carrier.begin_together(parts)

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        return self._carrier.ended(0.0)

    def give_up(self, name: Any) -> None:
        self._carrier.give_up(name)

    def close(self) -> None:
        pass


def begun(store: Store, carrier: Carrier) -> tuple[Lockstep, Noted]:
    """All that is queued, under way."""
    noted = Noted(carrier)
    made = Lockstep(store, ALICE, "cpu", noted)
    made.add(store.claim(ALICE))
    return made, noted


def to_the_end(made: Lockstep, told: Callable[[], Any] = dict) -> None:
    turns = 0
    while made.going:
        made.turn(told(), 0.0)
        turns += 1
        assert turns < 10_000, "it never ends"


def close(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """As far as stacked computations agree with single ones: see ``training/test_replicas``."""
    pd.testing.assert_frame_equal(
        one.select_dtypes(exclude="float"), other.select_dtypes(exclude="float")
    )
    loss = "train_loss"
    assert one[loss].tolist() == pytest.approx(other[loss].tolist(), rel=1e-4)
    for name in {"val_metric", "test_metric"} & {*one.columns}:  # an example or two of 50
        assert one[name].tolist() == pytest.approx(other[name].tolist(), abs=2.02 / 50)


# One at a time, as in the processes of a pool.


def test_curves_of_a_question_grow_side_by_side_and_end_together(
    store: Store, make_config: Make, stored: Make, undisturbed: Make, assert_same: Make
) -> None:
    """STL and MTL, two seeds each, and one that is longer than they are."""
    stl = make_config(auxiliaries=(), epochs=4, early_checkpoints=0, seeds=(0, 1))
    mtl = make_config(epochs=4, early_checkpoints=0, seeds=(0, 1))
    long = make_config(auxiliaries=("noisy_digits",), epochs=8, early_checkpoints=0)
    asked = store.submit(stl, mtl, long)
    made, noted = begun(store, Singly())
    largest = 1 / 4  # of a run: from one epoch's end to the next
    measured = []
    while made.going:
        made.turn({}, 0.0)
        records = [store.get(*one.key) for one in asked]
        shares = [record.share for record in records]
        measured.append(sum(record.step >= 0 for record in records))
        if min(record.step for record in records) >= 0:
            assert max(shares) - min(shares) <= largest + 1e-9
    assert measured[:3] == [1, 2, 3]
    firsts = [experiment for experiment, _, step in noted.slices[:3] if step == -1]
    assert set(firsts) == {stl.id, mtl.id, long.id}, "a point of each curve first"
    assert len(noted.slices) == 4 * 5 + 9
    for config in (stl, mtl, long):
        assert_same(stored(store, config), undisturbed(config))
    assert {record.state for record in store.runs()} == {"done"}


def test_a_quick_question_does_not_wait_behind_a_long_one(
    store: Store, make: Make, stored: Make, undisturbed: Make, assert_same: Make
) -> None:
    long, quick = make(200, seeds=(0, 1, 2)), make(2)
    store.submit(long)
    made, noted = begun(store, Singly())
    for _ in range(10):
        made.turn({}, 0.0)
    store.submit(quick)
    made.add(store.claim(ALICE))
    made.turn({}, 0.0)
    assert noted.slices[-1] == (quick.id, (0,), -1), "its first point is the next"
    while store.get(quick.id, 0).state != "done":
        made.turn({}, 0.0)
    assert_same(stored(store, quick), undisturbed(quick))
    assert {record.state for record in store.runs(long.id)} == {"running"}


def test_seeds_that_are_added_join_those_that_go_on(store: Store, make: Make) -> None:
    config = make(20)
    store.submit(config)
    made, _ = begun(store, Singly())
    for _ in range(4):
        made.turn({}, 0.0)
    step = store.get(config.id, 0).step
    store.submit(make(20, seeds=(0, 1)))
    made.add(store.claim(ALICE))
    assert store.get(config.id, 0).step == step
    to_the_end(made)
    assert {(one.seed, one.state) for one in store.runs()} == {(0, "done"), (1, "done")}


def test_what_is_stopped_ends_and_the_others_go_on(
    store: Store, make: Make, stored: Make, undisturbed: Make, assert_same: Make
) -> None:
    config = make(4, seeds=(0, 1))
    store.submit(config)
    made, _ = begun(store, Singly())
    for _ in range(5):
        made.turn({}, 0.0)
    store.cancel(config.id, [1])
    to_the_end(made, lambda: store.beat(ALICE))
    assert [store.get(config.id, seed).state for seed in (0, 1)] == ["done", "cancelled"]
    stopped = store.get(config.id, 1)
    assert 0 < stopped.step == int(store.state(stopped.key)["step"]) < stopped.steps

    store.submit(config)
    again, _ = begun(store, Singly())
    to_the_end(again)
    assert_same(stored(store, config), undisturbed(config))


def test_a_stop_that_was_taken_back_before_it_was_heard_stops_nothing(
    store: Store, make: Make
) -> None:
    config = make(4)
    store.submit(config)
    made, _ = begun(store, Singly())
    made.turn({}, 0.0)
    store.cancel(config.id, [0])
    stale = store.beat(ALICE)
    store.submit(config)
    for _ in range(2):  # the slice that is under way, and its end
        made.turn(stale, 0.0)
    assert store.get(config.id, 0).state == "queued", "as it was asked for again"
    made.add(store.claim(ALICE))
    to_the_end(made, lambda: store.beat(ALICE))
    assert store.get(config.id, 0).state == "done"


# States.


@pytest.mark.parametrize("carrier", [Singly, Stacks])
def test_states_that_do_not_fit_into_memory_leave_it_and_are_read_back(
    store: Store,
    make: Make,
    stored: Make,
    monkeypatch: pytest.MonkeyPatch,
    assert_same: Make,
    carrier: Callable[[], Carrier],
) -> None:
    """Large ones at that, which are not saved with every slice."""
    config, other = make(3, seeds=(0, 1)), make(4, seeds=(0, 1))
    calm = Store(store.path.with_name("calm.db"))
    calm.submit(config, other)
    to_the_end(begun(calm, carrier())[0])

    monkeypatch.setattr(lockstep, "STATES_BYTES", 1)
    monkeypatch.setattr(lockstep, "SNAPSHOT_BYTES", 0)
    monkeypatch.setattr(lockstep, "SNAPSHOT_SECONDS", 1e9)
    read, state = [], Store.state

    def look(self: Store, key: Key) -> Any:
        read.append(key)
        return state(self, key)

    monkeypatch.setattr(Store, "state", look)
    store.submit(config, other)
    made, _ = begun(store, carrier())
    read.clear()
    to_the_end(made)
    assert set(read) == {record.key for record in store.runs()}
    for one in (config, other):
        assert_same(stored(store, one), stored(calm, one))


def test_a_state_is_never_in_the_store_before_the_rows_that_led_to_it(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever the worker is killed, what resumes has all rows up to its state."""
    monkeypatch.setattr(lockstep, "STATES_BYTES", 1)
    config = make(3, seeds=(0, 1))
    store.submit(config)
    save, main = Store.save, kinds.of(config).main
    looked = []

    def look(self: Store, key: Key, *arguments: Any, **words: Any) -> bool:
        done = save(self, key, *arguments, **words)
        for seed in config.seeds:
            state = self.state(Key(config.id, seed))
            if state is not None:
                steps = set(self.table(config, main, [seed])["step"])
                assert int(state["step"]) in steps, "every slice ends with a measured step here"
                looked.append(seed)
        return done

    monkeypatch.setattr(Store, "save", look)
    to_the_end(begun(store, Stacks())[0])
    assert set(looked) == {0, 1}
    assert {record.state for record in store.runs()} == {"done"}


# Processes that are lost.


class Losing(Noted):
    """Loses slices of seed 0 on the way, or lets them never end, as a test says."""

    def __init__(self, carrier: Carrier) -> None:
        super().__init__(carrier)
        self.losses: dict[int, str] = {}  # by the number of the slice of seed 0
        self.hangs: set[int] = set()
        self.given_up: list[Any] = []
        self._count = -1
        self._lost: list[tuple[Any, Done]] = []
        self._hanging: list[Any] = []

    @property
    def free(self) -> bool:
        return not self._hanging and not self._lost and super().free

    def begin(self, name: Sequence[Key], part: Slice) -> None:
        self._count += name[0].seed == 0
        if name[0].seed == 0 and self._count in self.losses:
            self._lost.append((name, Done([], 0.1, lost=self.losses[self._count])))
        elif name[0].seed == 0 and self._count in self.hangs:
            self._hanging.append(name)
        else:
            super().begin(name, part)

    def ended(self, seconds: float) -> list[tuple[Any, Done]]:
        found, self._lost = self._lost, []
        return found + super().ended(seconds)

    def give_up(self, name: Any) -> None:
        self.given_up.append(name)
        self._hanging.remove(name)


def losing(store: Store) -> tuple[Lockstep, Losing]:
    carrier = Losing(Singly())
    made = Lockstep(store, ALICE, "cpu", carrier)
    made.add(store.claim(ALICE))
    return made, carrier


def test_a_slice_that_does_not_come_back_keeps_no_worker_that_is_to_end(
    store: Store,
    make: Make,
    stored: Make,
    undisturbed: Make,
    assert_same: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lockstep, "REST_SECONDS", 0.0)
    config = make(5, seeds=(0, 1))
    store.submit(config)
    made, carrier = losing(store)
    carrier.hangs = {3}
    while not carrier._hanging:
        made.turn({}, 0.0)
    made.rest()
    for record in store.runs():
        assert (record.state, record.error) == ("queued", None)
        assert int(store.state(record.key)["step"]) == record.step >= 0
    again, _ = losing(store)
    while again.going:
        again.turn({}, 0.0)
    assert_same(stored(store, config), undisturbed(config))


@pytest.mark.parametrize("large", [False, True])
def test_a_slice_whose_process_is_lost_is_tried_again_from_the_state_before_it(
    store: Store,
    make: Make,
    stored: Make,
    undisturbed: Make,
    assert_same: Make,
    monkeypatch: pytest.MonkeyPatch,
    large: bool,
) -> None:
    """Each of the first slices once; the next may be lost again, since that one was not."""
    if large:
        monkeypatch.setattr(lockstep, "SNAPSHOT_BYTES", 0)
        monkeypatch.setattr(lockstep, "SNAPSHOT_SECONDS", 1e9)
    config = make(3, seeds=(0, 1))
    store.submit(config)
    made, carrier = losing(store)
    carrier.losses = {0: "died", 2: "was stopped", 4: "died"}
    to_the_end(made)
    assert {(run.state, run.error) for run in store.runs()} == {("done", None)}
    assert_same(stored(store, config), undisturbed(config))
    notes = store.notes(config)
    again = "was replaced; what it had to do was done again, with the same values"
    assert f"a process that carried on seed 0 from its start died and {again}" in notes
    assert f"a process that carried on seed 0 from step 0 was stopped and {again}" in notes
    assert len(notes) == 3
    assert {run.info["device"] for run in store.runs()} == {"cpu"}


def test_a_slice_that_loses_two_processes_fails_its_run_and_no_other(
    store: Store, make: Make, stored: Make, undisturbed: Make, assert_same: Make
) -> None:
    config = make(3, seeds=(0, 1))
    store.submit(config)
    made, carrier = losing(store)
    carrier.losses = {2: "was stopped", 3: "died"}
    to_the_end(made)
    failed, other = store.get(config.id, 0), store.get(config.id, 1)
    assert (failed.state, other.state) == ("failed", "done")
    assert failed.error == (
        f"two processes in a row did not carry it on from step {failed.step}: the first was "
        "stopped, the second died; resume to try again, or remove it"
    )
    assert int(store.state(failed.key)["step"]) == failed.step > 0

    store.submit(config)
    again, _ = begun(store, Singly())
    to_the_end(again)
    assert_same(stored(store, config), undisturbed(config))


def test_a_slice_that_does_not_come_back_is_given_up_when_its_run_is_stopped(
    store: Store, make: Make, stored: Make, assert_same: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(lockstep.time, "monotonic", lambda: now)
    monkeypatch.setattr(lockstep, "SNAPSHOT_BYTES", 0)
    config = make(3)
    store.submit(config)
    made, carrier = losing(store)
    carrier.hangs = {3}
    for _ in range(20):
        made.turn(store.beat(ALICE), 0.0)
    before, key = store.get(config.id, 0), Key(config.id, 0)
    assert before.state == "running"
    store.cancel(config.id, [0])
    told = store.beat(ALICE)
    made.turn(told, 0.0)
    now += lockstep.STOP_SECONDS - 0.1
    made.turn(told, 0.0)
    assert carrier.given_up == [], "it may come back"
    now += 0.1
    made.turn(told, 0.0)
    assert carrier.given_up == [(key,)]
    stopped = store.get(config.id, 0)
    assert (stopped.state, stopped.step, stopped.error) == ("cancelled", before.step, None)
    assert int(store.state(key)["step"]) == before.step > 0, "a large state is saved, too"
    assert not made.going
    assert lockstep.STOP_SECONDS + 1 < 3, "with the time until it is heard"


# Stacked, as on a GPU.


def test_seeds_at_one_step_are_stacked_and_stacks_take_turns(
    store: Store, make: Make, stored: Make, undisturbed: Make
) -> None:
    config, other = make(2, seeds=(0, 1)), make(3, seeds=(0, 1, 2))
    store.submit(config, other)
    made, noted = begun(store, Stacks())
    to_the_end(made)
    assert {(run, seeds) for run, seeds, _ in noted.slices} == {
        (config.id, (0, 1)),
        (other.id, (0, 1, 2)),
    }
    assert {run for run, _, _ in noted.slices[:2]} == {config.id, other.id}, "first points first"
    share = dict.fromkeys((config.id, other.id), 0.0)
    for run, _, step in noted.slices:
        one = config if run == config.id else other
        share[run] = max(step, 0) / kinds.of(one).steps(one)
        assert share[run] <= min(share.values()) + 1 / 2
    for one in (config, other):
        found, expected = stored(store, one), undisturbed(one)
        close(found[kinds.of(one).main], expected[kinds.of(one).main])
    assert {record.state for record in store.runs()} == {"done"}


def test_stacked_seeds_share_the_time(store: Store, make: Make) -> None:
    config = make(4, seeds=(0, 1))
    store.submit(config)
    made, _ = begun(store, Stacks())
    to_the_end(made)
    seconds = [record.seconds for record in store.runs()]
    table = store.table(config, kinds.of(config).main)
    assert seconds[0] == seconds[1] > 0
    assert len(table["seed"].unique()) == 2


def test_seeds_at_other_steps_are_not_stacked(store: Store, make: Make) -> None:
    config, added = make(4, seeds=(0, 1)), make(4, seeds=(2,))
    store.submit(config)
    made, noted = begun(store, Stacks())
    for _ in range(3):
        made.turn({}, 0.0)
    store.submit(added)
    made.add(store.claim(ALICE))
    to_the_end(made)
    assert {seeds for _, seeds, _ in noted.slices} >= {(0, 1), (2,)}
    assert {record.state for record in store.runs()} == {"done"}


def diverging(
    monkeypatch: pytest.MonkeyPatch,
    config: Any,
    seed: int,
    calls: list[tuple[int, ...]],
    after: float = 1 / 2,
) -> str:
    """From now on a seed of a config's kind diverges after a share of its steps; its words."""
    kind = kinds.of(config)
    said = f"training diverged: loss is nan of seed {seed}; choose a smaller learning rate"

    def advance(one: Any, seeds: tuple[int, ...], *rest: Any) -> Any:
        calls.append(seeds)
        pieces = kind.advance(one, seeds, *rest)
        last = kind.steps(one) * after
        if any(piece.seed == seed and piece.step > last for piece in pieces):
            sound = [replace(piece, state=None) for piece in pieces if piece.step <= last]
            raise TrainingDiverged(said, sound)
        return pieces

    monkeypatch.setitem(kinds.KINDS, kind.name, replace(kind, advance=advance))
    return said


def test_a_seed_that_diverges_in_a_stack_fails_and_the_others_go_on(
    store: Store, make: Make, stored: Make, undisturbed: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(4, seeds=(0, 1, 2))
    expected = undisturbed(config)[kinds.of(config).main]
    calls: list[tuple[int, ...]] = []
    said = diverging(monkeypatch, config, 1, calls)
    store.submit(config)
    made, _ = begun(store, Stacks())
    to_the_end(made)
    records = [store.get(config.id, seed) for seed in config.seeds]
    assert [record.state for record in records] == ["done", "failed", "done"]
    assert [record.error for record in records] == [None, said, None]
    assert 0 < records[1].step < records[1].steps
    assert (0, 1, 2) in calls
    found = stored(store, config)[kinds.of(config).main]
    for seed in (0, 2):
        of_seed = found["seed"] == seed
        close(
            found[of_seed].reset_index(drop=True),
            expected[expected["seed"] == seed].reset_index(drop=True),
        )
    kept = found.loc[found["seed"] == 1, "step"]
    assert 0 < kept.max() <= records[1].steps / 2, "its points stay"


def test_a_stack_that_fails_at_once_leaves_no_run_without_its_provenance(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(1, seeds=(0, 1))
    diverging(monkeypatch, config, 1, [], after=-1)
    store.submit(config)
    to_the_end(begun(store, Stacks())[0])
    assert [store.get(config.id, seed).state for seed in (0, 1)] == ["done", "failed"]
    for record in store.runs():
        assert record.info["data_fingerprint"] == kinds.of(config).fingerprint(config)


def test_a_diverging_run_keeps_the_points_before_it(
    store: Store,
    make: Make,
    stored: Make,
    undisturbed: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lockstep, "SLICE_SECONDS", 1e9)  # it diverges within a slice
    config = make(4)
    name = kinds.of(config).main
    expected = undisturbed(config)[name]
    said = diverging(monkeypatch, config, 0, [])
    store.submit(config)
    to_the_end(begun(store, Singly())[0])
    failed = store.get(config.id, 0)
    assert (failed.state, failed.error) == ("failed", said)
    kept = expected[expected["step"] <= failed.steps / 2].reset_index(drop=True)
    assert len(kept)
    pd.testing.assert_frame_equal(stored(store, config)[name], kept, check_exact=True)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_a_stack_that_memory_has_no_room_for_is_split(
    store: Store,
    make: Make,
    stored: Make,
    undisturbed: Make,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    config = make(4, seeds=(0, 1, 2))
    kind = kinds.of(config)
    expected = undisturbed(config)[kind.main]

    def advance(one: Any, seeds: tuple[int, ...], *rest: Any) -> Any:
        if len(seeds) > 1:
            raise error
        return kind.advance(one, seeds, *rest)

    monkeypatch.setitem(kinds.KINDS, kind.name, replace(kind, advance=advance))
    store.submit(config)
    to_the_end(begun(store, Stacks())[0])
    assert {record.state for record in store.runs()} == {"done"}
    close(stored(store, config)[kind.main], expected)


def test_a_run_that_memory_has_no_room_for_fails_with_the_way_out(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(1)
    kind = kinds.of(config)

    def advance(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore lines")

    monkeypatch.setitem(kinds.KINDS, kind.name, replace(kind, advance=advance))
    store.submit(config)
    to_the_end(begun(store, Stacks())[0])
    (record,) = store.runs()
    assert record.state == "failed"
    assert record.error is not None
    assert record.error.startswith("this machine ran out of memory at ")
    assert record.error.endswith("; make it smaller, or end what else takes memory")
    assert "\n" not in record.error


# Several experiments as one computation, as on a GPU.


@pytest.fixture
def question(make_config: Make) -> list[Any]:
    """Alone, and two methods and another auxiliary that can be together."""
    small = {"epochs": 3, "early_checkpoints": 0, "factors": ()}
    return [
        make_config(auxiliaries=(), seeds=(0, 1), **small),
        make_config(optimizer="pcgrad", seeds=(0, 1), **small),
        make_config(optimizer="mgda", seeds=(0, 1), **small),
        make_config(auxiliaries=("noisy_digits",), optimizer="pcgrad", seeds=(1,), **small),
    ]


def test_experiments_of_one_shape_are_one_computation(
    store: Store, question: list[Any], stored: Make, undisturbed: Make
) -> None:
    store.submit(*question)
    made, noted = begun(store, Stacks())
    to_the_end(made)
    assert {run for run, _, _ in noted.slices} == {question[0].id}, "what has no like is by itself"
    same = [(config.id, config.seeds) for config in question[1:]]
    assert {tuple(sorted(of)) for of in noted.together} == {tuple(sorted(same))}
    steps = question[0].steps
    assert len(noted.together) == len(noted.slices), "in lockstep with it"
    for config in question:
        (found, expected) = stored(store, config)["trajectory"], undisturbed(config)["trajectory"]
        close(found, expected)
        assert found["step"].max() == steps
        for record in store.runs(config.id):
            assert record.state == "done"
            assert record.info["data_fingerprint"] == kinds.of(config).fingerprint(config)
            assert record.seconds > 0
    beside = [note for note in store.notes(question[1]) if "computed together" in note]
    assert len(beside) == 1
    assert "2 other experiments" in beside[0]
    assert not store.notes(question[0])


def test_other_questions_are_other_computations(store: Store, question: list[Any]) -> None:
    """Their visitors share the time, and one that stops does not take the other's along."""
    _, one, other, _ = question
    store.submit(one)
    store.submit(other)
    made, noted = begun(store, Stacks())
    to_the_end(made)
    assert noted.together == []
    assert {run for run, _, _ in noted.slices} == {one.id, other.id}


def test_one_that_is_stopped_leaves_the_others_to_go_on(
    store: Store, question: list[Any], stored: Make, undisturbed: Make
) -> None:
    _, one, other, _ = question
    store.submit(one, other)
    made, noted = begun(store, Stacks())
    for _ in range(2):
        made.turn({}, 0.0)
    assert len(noted.together) == 2
    store.cancel(one.id, one.seeds)
    to_the_end(made, lambda: store.beat(ALICE))
    assert {record.state for record in store.runs(one.id)} == {"cancelled"}
    assert {record.state for record in store.runs(other.id)} == {"done"}
    close(stored(store, other)["trajectory"], undisturbed(other)["trajectory"])


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[int]:
    """From now on experiments cannot be together; how often that was tried, of how many."""
    kind, tried = kinds.get("training"), []
    assert kind.together is not None

    def advance(parts: Sequence[Any], *rest: Any) -> Any:
        tried.append(len(parts))
        raise error

    apart = replace(kind, together=replace(kind.together, advance=advance))
    monkeypatch.setitem(kinds.KINDS, kind.name, apart)
    return tried


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        TrainingDiverged("loss is nan"),
        RuntimeError("a fault of ours"),
    ],
)
def test_what_cannot_be_together_goes_on_apart(
    store: Store,
    question: list[Any],
    stored: Make,
    undisturbed: Make,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    tried = broken(monkeypatch, error)
    store.submit(*question)
    made, noted = begun(store, Stacks())
    to_the_end(made)
    assert tried == [3], "once"
    assert {seeds for run, seeds, _ in noted.slices if run == question[1].id} == {(0, 1)}
    for config in question:
        close(stored(store, config)["trajectory"], undisturbed(config)["trajectory"])
        assert {record.state for record in store.runs(config.id)} == {"done"}


def test_one_that_diverges_fails_and_the_others_end(
    store: Store, question: list[Any], stored: Make, undisturbed: Make, make_config: Make
) -> None:
    """With real numbers: GradDrop's kind apart, a learning rate that all of them share."""
    _, one, other, _ = question
    wild = make_config(
        optimizer="imtl_l", epochs=3, early_checkpoints=0, factors=(), lr=3e4, base_optimizer="sgd"
    )
    calm = make_config(
        optimizer="dwa", epochs=3, early_checkpoints=0, factors=(), lr=3e4, base_optimizer="sgd"
    )
    store.submit(one, other, wild, calm)
    to_the_end(begun(store, Stacks())[0])
    assert {record.state for record in store.runs(one.id)} == {"done"}
    for config in (wild, calm):
        (record,) = store.runs(config.id)
        assert record.state == "failed"
        assert record.error is not None
        assert "training diverged: loss of" in record.error
    close(stored(store, other)["trajectory"], undisturbed(other)["trajectory"])


@pytest.mark.parametrize(("room", "largest"), [(3.5, 3), (2.5, 2), (0.5, 1)])
def test_a_stack_is_no_larger_than_there_is_room_for(
    store: Store,
    question: list[Any],
    stored: Make,
    undisturbed: Make,
    monkeypatch: pytest.MonkeyPatch,
    room: float,
    largest: int,
) -> None:
    kind = kinds.get("training")
    assert kind.together is not None
    each = kind.together.run_bytes(question[1])
    assert each > 0
    small = replace(kind.together, room=lambda device: int(room * each))
    monkeypatch.setitem(kinds.KINDS, kind.name, replace(kind, together=small))
    store.submit(*question[1:])
    made, noted = begun(store, Stacks())
    to_the_end(made)
    counts = [len(seeds) for _, seeds, _ in noted.slices]
    counts += [sum(len(seeds) for _, seeds in of) for of in noted.together]
    assert max(counts) == largest
    for config in question[1:]:
        assert {record.state for record in store.runs(config.id)} == {"done"}
        close(stored(store, config)["trajectory"], undisturbed(config)["trajectory"])
