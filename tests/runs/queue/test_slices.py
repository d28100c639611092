"""Slices: what goes wrong in one comes back in words, and processes that die are replaced."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Piece
from mtl_core.runs.queue import slices
from mtl_core.runs.queue.slices import Done, Processes, Slice, Stacks, carry

Make = Callable[..., Any]


class Pool:
    """Stands in for a pool: what is called is carried out when a test says so."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.begun: list[int] = []
        self.futures: list[Future[Any]] = []
        self.dead: set[int] = set()
        self.unfit: set[int] = set()
        self.starting: set[int] = set()
        self.wrong: dict[int, str] = {}
        self.renewed: list[int] = []

    def call_in(self, place: int, function: Any, *arguments: Any) -> "Future[Any]":
        if place in self.dead:
            raise RuntimeError("a process died")
        assert function is carry
        self.begun.append(place)
        self.futures.append(Future())
        return self.futures[-1]

    def renew(self, place: int) -> None:
        self.renewed.append(place)
        self.dead.discard(place)
        self.unfit.discard(place)
        self.wrong.pop(place, None)
        self.starting.add(place)

    def ready(self, place: int) -> bool:
        return place not in self.starting

    def fit(self, place: int) -> bool:
        return place not in self.unfit

    def troubles(self) -> dict[int, str]:
        return dict(self.wrong)

    def shutdown(self, *, kill: bool) -> None:
        pass


@pytest.fixture
def part(make_config: Make) -> Slice:
    config = make_config()
    return Slice(kinds.of(config), config, {}, 0.0, "cpu")


DONE = Done([], 1.0)


def test_as_many_slices_as_processes(part: Slice) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    assert carrier.free
    carrier.begin("a", part)
    assert carrier.free
    carrier.begin("b", part)
    assert not carrier.free
    assert carrier.ended(0.0) == []
    pool.futures[1].set_result(DONE)
    assert carrier.ended(1.0) == [("b", DONE)]
    assert carrier.free
    assert carrier.ended(0.0) == []


def test_a_run_prefers_the_process_that_has_its_network(part: Slice) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    for order in (("a", "b"), ("b", "a")):
        for name in order:
            carrier.begin(name, part)
        for future in pool.futures[-2:]:
            future.set_result(DONE)
        assert {name for name, _ in carrier.ended(1.0)} == {"a", "b"}
    assert pool.begun == [0, 1, 1, 0]
    carrier.begin("a", part)
    carrier.begin("c", part)
    assert pool.begun[-2:] == [0, 1], "another takes what is free"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BrokenProcessPool("it was\nkilled"), "died"),
        (MemoryError("out\nof memory"), "broke (MemoryError: out)"),
    ],
)
def test_a_process_that_dies_is_replaced_and_its_slice_says_so(
    part: Slice, error: Exception, words: str
) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    carrier.begin("a", part)
    carrier.begin("b", part)
    pool.futures[0].set_exception(error)
    ((name, done),) = carrier.ended(1.0)
    assert (name, done.lost, done.error) == ("a", words, None)
    assert list(done.pieces) == []
    assert pool.renewed == [0]
    assert carrier.free
    pool.futures[1].set_result(DONE)
    assert carrier.ended(1.0) == [("b", DONE)]


def test_a_process_that_died_while_it_rested_is_replaced(part: Slice) -> None:
    pool = Pool(1)
    pool.dead = {0}
    carrier = Processes(pool)
    carrier.begin("a", part)
    pool.futures[0].set_result(DONE)
    assert carrier.ended(1.0) == [("a", DONE)]
    assert pool.renewed == [0]


@pytest.fixture
def always_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "LOOK_SECONDS", 0.0)


@pytest.mark.usefixtures("always_looking")
def test_a_process_that_hangs_is_replaced_and_its_slice_says_so(part: Slice) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    carrier.begin("a", part)
    carrier.begin("b", part)
    pool.wrong = {1: "was stopped"}
    ((name, done),) = carrier.ended(0.0)
    assert (name, done.lost, list(done.pieces)) == ("b", "was stopped", [])
    assert pool.renewed == [1]
    carrier.begin("b", part)
    pool.futures[1].set_result(Done([], 9.0))  # of before: nobody hears of it
    assert carrier.ended(0.0) == []
    pool.futures[2].set_result(DONE)
    assert carrier.ended(1.0) == [("b", DONE)]


@pytest.mark.usefixtures("always_looking")
def test_what_came_back_before_its_process_was_seen_dead_counts(part: Slice) -> None:
    pool = Pool(1)
    carrier = Processes(pool)
    carrier.begin("a", part)
    troubles = pool.troubles

    def look() -> dict[int, str]:
        pool.futures[0].set_result(DONE)
        return troubles()

    pool.troubles, pool.wrong = look, {0: "died"}
    assert carrier.ended(0.0) == []
    pool.troubles = troubles
    assert carrier.ended(0.0) == [("a", DONE)]


@pytest.mark.usefixtures("always_looking")
def test_processes_without_work_are_replaced_without_a_word(part: Slice) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    pool.wrong = {0: "died", 1: "died"}
    assert carrier.ended(0.0) == []
    assert pool.renewed == [0, 1]


def test_a_process_that_is_not_fit_gets_no_slice(part: Slice) -> None:
    pool = Pool(3)
    pool.unfit = {0}
    pool.starting = {1}
    carrier = Processes(pool)
    carrier.begin("a", part)
    assert (pool.begun, pool.renewed) == ([2], [0]), "one that has started already comes first"
    pool.unfit = {0, 1}
    carrier.begin("b", part)
    assert (pool.begun, pool.renewed) == ([2, 0], [0, 0, 1]), "where none is fit, a new one"


def test_a_slice_that_is_given_up_brings_nothing_and_its_process_is_replaced(part: Slice) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    carrier.begin("a", part)
    carrier.begin("b", part)
    carrier.give_up("a")
    carrier.give_up("nobody")
    assert (pool.renewed, carrier.free) == ([0], True)
    pool.futures[0].set_result(DONE)
    pool.futures[1].set_result(DONE)
    assert carrier.ended(1.0) == [("b", DONE)]


def test_a_process_that_still_starts_is_not_killed_for_a_slice_that_is_given_up(
    part: Slice,
) -> None:
    pool = Pool(1)
    pool.starting = {0}
    carrier = Processes(pool)
    carrier.begin("a", part)
    carrier.give_up("a")
    assert (pool.renewed, carrier.free) == ([], False)
    pool.futures[0].set_result(DONE)
    assert carrier.ended(1.0) == []
    assert carrier.free


def test_stacks_are_carried_out_one_at_a_time(part: Slice) -> None:
    carrier = Stacks()
    assert carrier.free
    carrier.begin("a", part)
    assert not carrier.free
    ((name, done),) = carrier.ended(0.0)
    assert (name, done.error) == ("a", None)
    assert [piece.step for piece in done.pieces] == [0, 0]
    assert carrier.free


def carried(
    pieces: Sequence[Piece] | BaseException, *, data: str | None = None, here: str = "now"
) -> Done:
    """A slice of something that gives pieces, or raises."""

    class Config:
        seeds = (0,)

    def advance(*_: Any) -> Any:
        if isinstance(pieces, BaseException):
            raise pieces
        return pieces

    return carry(advance, lambda _: here, lambda _: {}, (Config(), {}, 0.0, "cpu", data))


def test_provenance_is_taken_where_a_run_begins_or_resumes() -> None:
    first = carried([])
    assert first.provenance is not None
    assert first.provenance["data_fingerprint"] == "now"
    assert carried([], data="now").provenance is None


def test_other_data_in_between_is_an_error_with_both_fingerprints() -> None:
    done = carried([Piece(0, 1)], data="then")
    assert (done.expected, list(done.pieces)) == (True, [])
    assert "(the fingerprint was 'then', and is 'now' now)" in done.error


@pytest.mark.parametrize(
    ("error", "words", "expected"),
    [
        (InputError("choose another"), "choose another", True),
        (TrainingDiverged("diverged", [Piece(0, 3), "no piece"]), "diverged", True),
        (RuntimeError("CUDA error\nlong story"), "RuntimeError: CUDA error", False),
        (AssertionError(), "AssertionError:", False),
    ],
)
def test_what_goes_wrong_comes_back_in_one_line(
    error: Exception, words: str, expected: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    done = carried(error)
    assert (done.error, done.expected) == (words, expected)
    assert done.provenance is not None
    kept = [Piece(0, 3)] if isinstance(error, TrainingDiverged) else []
    assert list(done.pieces) == kept
    assert ("Traceback" in capsys.readouterr().err) is not expected, "the log has it all"
