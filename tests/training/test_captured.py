"""Captured: nothing is replayed that has not done what the step does, and no run depends on it.

The GPU's part is played by captures that repeat a step rightly, wrongly, or not at all.
"""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from mtl_core import RunConfig, train
from mtl_core.training import captured as module
from mtl_core.training.captured import Capture, Captured, graph
from mtl_core.training.replicas import Replicas, advance

Digits = Callable[..., RunConfig]
CPU = torch.device("cpu")
EVERYTHING = float("inf")
STEPS = 9
EAGER = module._WARM_UP + module._TRIALS


class Counter:
    """A step that moves two buffers by the number that another holds."""

    def __init__(self) -> None:
        self.moved, self.squares = torch.zeros(3), torch.ones(())
        self.by = torch.tensor(1.0)
        self.carried_out = 0

    def step(self) -> None:
        self.carried_out += 1
        self.moved += self.by
        self.squares += self.by.square()

    def buffers(self) -> dict[str, Tensor]:
        return {"moved": self.moved, "squares": self.squares}


def taken(counter: Counter, capture: Capture) -> Captured:
    """After some steps, each of another size."""
    found = Captured(counter.step, counter.buffers, capture)
    for number in range(STEPS):
        counter.by.fill_(number + 1)
        found()
    return found


def assert_right(counter: Counter) -> None:
    numbers = range(1, STEPS + 1)
    assert counter.moved.tolist() == [sum(numbers)] * 3
    assert counter.squares.item() == 1 + sum(number**2 for number in numbers)


def rightly(counter: Counter) -> Capture:
    def capture(step: Callable[[], None]) -> Callable[[], None]:
        step()  # as a capture does, but for its effects

        def replay() -> None:
            counter.moved += counter.by
            counter.squares += counter.by.square()

        return replay

    return capture


def test_a_step_is_replayed_once_it_has_proved_right() -> None:
    counter = Counter()
    found = taken(counter, rightly(counter))
    assert found.trusted
    assert found.trouble == ""
    assert_right(counter)
    assert counter.carried_out == EAGER + 1, "and once to capture it"


def of_its_first_batch(counter: Counter) -> Capture:
    """It has the number of the step that it was captured in, and goes on with that."""

    def capture(step: Callable[[], None]) -> Callable[[], None]:
        by = counter.by.clone()

        def replay() -> None:
            counter.moved += by
            counter.squares += by.square()

        return replay

    return capture


def without_a_part(counter: Counter) -> Capture:
    def capture(step: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            counter.moved += counter.by

        return replay

    return capture


def off_by_a_little(counter: Counter) -> Capture:
    def capture(step: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            step()
            counter.moved[2] *= 1.1

        return replay

    return capture


def spoiled(counter: Counter) -> Capture:
    return lambda step: lambda: counter.squares.fill_(torch.nan) and None


@pytest.mark.parametrize(
    ("wrong", "buffer"),
    [
        (of_its_first_batch, "moved"),
        (without_a_part, "squares"),
        (off_by_a_little, "moved"),
        (spoiled, "moved"),
    ],
)
def test_one_that_gives_other_numbers_is_not(
    wrong: Callable[[Counter], Capture], buffer: str
) -> None:
    counter = Counter()
    found = taken(counter, wrong(counter))
    assert not found.trusted
    assert found.trouble == f"a captured step gave another {buffer} than the step itself"
    assert_right(counter)


def test_rounding_is_not_another_number_and_nan_is_nan() -> None:
    counter = Counter()

    def rounded(step: Callable[[], None]) -> Callable[[], None]:
        def replay() -> None:
            step()
            counter.moved *= 1 + 2**-20

        return replay

    assert taken(counter, rounded).trusted
    counter = Counter()
    counter.squares.fill_(torch.nan)
    assert taken(counter, rightly(counter)).trusted


def refused(step: Callable[[], None]) -> Callable[[], None]:
    raise RuntimeError("operation not permitted\nwhen stream is capturing")


def broken_off(step: Callable[[], None]) -> Callable[[], None]:
    step()
    raise torch.OutOfMemoryError("no room for a graph")


def broken_in_the_middle(step: Callable[[], None]) -> Callable[[], None]:
    with patch.object(torch.optim.Adam, "step", side_effect=RuntimeError("not while capturing")):
        step()
    raise AssertionError


def broken_later(step: Callable[[], None]) -> Callable[[], None]:
    def replay() -> None:
        step()
        raise ValueError

    return replay


@pytest.mark.parametrize(
    ("fails", "words"),
    [
        (refused, "RuntimeError: operation not permitted when stream is capturing"),
        (broken_off, "OutOfMemoryError: no room for a graph"),
        (broken_later, "ValueError"),
    ],
)
def test_a_capture_that_fails_changes_nothing(fails: Capture, words: str) -> None:
    counter = Counter()
    found = taken(counter, fails)
    assert not found.trusted
    assert found.trouble == words
    assert_right(counter)


def test_without_memory_for_copies_it_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(module, "_copies", full)
    counter = Counter()
    assert taken(counter, rightly(counter)).trouble == "OutOfMemoryError"
    assert_right(counter)


def test_a_step_that_fails_by_itself_fails() -> None:
    def step() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Captured(step, dict, lambda step: step)()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_machine_without_a_gpu_captures_nothing_and_goes_on() -> None:
    counter = Counter()
    found = taken(counter, graph)
    assert found.trouble
    assert "\n" not in found.trouble
    assert_right(counter)


# In a run.


@pytest.mark.parametrize("name", ["gradvac", "famo", "dwa"])
@pytest.mark.parametrize("fails", [broken_off, broken_in_the_middle, broken_later])
def test_a_run_whose_steps_are_not_captured_says_so_and_gives_the_same_bits(
    digits: Digits, name: str, fails: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a captured step leaves nothing behind in parameters, moments, state or tally."""
    asked = digits("digits2", optimizer=name, epochs=3, factors=())
    states, notes, updates = [], [], []
    for capture in (lambda step: step, fails):
        replicas = Replicas(asked, (0, 3), CPU, capture=capture)
        said = []
        while replicas.step < asked.steps:
            replicas.train_step()
            if replicas.step in replicas._stepper._due:
                checkpoint = replicas.checkpoint()
                said.append(checkpoint.notes)
                updates.append(checkpoint.updates)
        states.append({key: v for key, v in replicas.state().items() if key != "seconds"})
        notes.append(said)
    half = len(updates) // 2
    assert updates[:half] == updates[half:]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert (value == states[1][key]).all(), key
    assert not any(notes[0])
    (note,) = {note for said in notes[1] for note in said}
    assert note.startswith("steps on cpu were carried out one operation after the other")
    assert "could not be captured (" in note
    assert notes[1][0] == ()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("base", ["adam", "sgd", "momentum"])
@pytest.mark.parametrize("name", ["umtg", "mgda", "gradnorm", "gradvac", "famo", "graddrop"])
def test_a_gpu_replays_what_it_would_carry_out(digits: Digits, name: str, base: str) -> None:
    asked = digits(
        "digits2", optimizer=name, base_optimizer=base, lr=0.01, epochs=5, factors=(), seeds=(0, 3)
    )
    cuda = torch.device("cuda")
    ours = Replicas(asked, (0, 3), cuda)
    plain = Replicas(asked, (0, 3), cuda, capture=refused)
    for _ in range(asked.steps):
        ours.train_step()
        plain.train_step()
    stepper = ours._stepper
    assert stepper.trouble == ""
    assert stepper._captured is not None
    assert stepper._captured.trusted
    theirs = plain._stepper.buffers()
    for key, value in stepper.buffers().items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_run_on_a_gpu_captures_and_has_nothing_to_say(digits: Digits) -> None:
    asked = digits("digits2", optimizer="pcgrad", factors=(), seeds=(0, 1), epochs=4)
    assert {note for one in train(asked, device="cuda") for note in one.notes} == set()
    whole = advance(asked, (0, 1), None, device="cuda", slice_seconds=EVERYTHING)
    assert whole[-1].step == asked.steps
