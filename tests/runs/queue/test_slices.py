"""Slices: what goes wrong in one comes back in words, and processes that die are replaced."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Piece
from mtl_core.runs.queue.slices import Done, Processes, Slice, Stacks, carry

Make = Callable[..., Any]


class Pool:
    """Stands in for a pool: what is called is carried out when a test says so."""

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self.begun: list[int] = []
        self.futures: list[Future[Any]] = []
        self.dead: set[int] = set()
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

    def shutdown(self) -> None:
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


def test_a_process_that_dies_is_replaced_and_its_slice_says_so(part: Slice) -> None:
    pool = Pool(2)
    carrier = Processes(pool)
    carrier.begin("a", part)
    carrier.begin("b", part)
    pool.futures[0].set_exception(MemoryError("out\nof memory"))
    ((name, done),) = carrier.ended(1.0)
    assert (name, done.error, done.expected) == ("a", "MemoryError: out", False)
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
