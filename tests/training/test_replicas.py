"""Replicas: the same numbers however they are sliced, stacked, stored or carried out."""

import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mtl_core import RunConfig, TrainingDiverged
from mtl_core.training import Checkpoint, State, checkpoint_steps
from mtl_core.training import replicas as module
from mtl_core.training.checkpoint import split, stack
from mtl_core.training.replicas import Replicas, _ResidentTask, advance
from mtl_core.training.stepping import Stepper

Digits = Callable[..., RunConfig]
Values = Callable[[list[Checkpoint]], list[tuple[Any, ...]]]
BASES = ["adam", "sgd", "momentum"]
LR = {"adam": 5e-3, "sgd": 0.2, "momentum": 0.05}
EVERYTHING = float("inf")


def final(checkpoints: list[Checkpoint]) -> dict[str, np.ndarray]:
    """The last state without its stopwatch."""
    state = checkpoints[-1].state
    assert state is not None
    return {name: value for name, value in state.items() if name != "seconds"}


def assert_equal_states(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("base", BASES)
def test_the_same_config_gives_the_same_bits(digits: Digits, values: Values, base: str) -> None:
    config = digits("digits2", base_optimizer=base, lr=LR[base])
    one, two = (advance(config, (0,), None, slice_seconds=EVERYTHING) for _ in range(2))
    assert values(one) == values(two)
    assert_equal_states(final(one), final(two))
    # ... and another seed gives others.
    other = advance(config, (1,), None, slice_seconds=EVERYTHING)
    assert [row[4] for row in values(other)] != [row[4] for row in values(one)]


def stored(state: State) -> State:
    """Through a file, as the store keeps it."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **state)
    with np.load(io.BytesIO(buffer.getvalue()), allow_pickle=False) as archive:
        loaded = {name: archive[name] for name in archive.files}
    for value in loaded.values():
        value.setflags(write=False)
    return loaded


@pytest.mark.parametrize("base", BASES)
@pytest.mark.filterwarnings("error")
def test_slices_do_not_matter(digits: Digits, values: Values, base: str) -> None:
    """A step at a time, each from a stored state that cannot be written to."""
    config = digits("noisy_digits", base_optimizer=base, lr=LR[base], optimizer="mean")
    whole = advance(config, (3,), None, slice_seconds=EVERYTHING)
    sliced = advance(config, (3,), None)
    assert sliced[-1].step == 0
    while sliced[-1].step < config.steps:
        state = sliced[-1].state
        assert state is not None
        (single,) = split(stored(stack([state])), 1)
        part = advance(config, (3,), single, slice_seconds=1e-9)
        assert part[-1].step == sliced[-1].step + 1
        sliced += part
    assert values(sliced) == values(whole)
    assert_equal_states(final(sliced), final(whole))


def test_a_slice_of_nothing_goes_to_the_next_measured_step(digits: Digits) -> None:
    config = digits(early_checkpoints=2)
    assert checkpoint_steps(config) == (0, 1, 2, 4, 8)
    state, seen = None, []
    while not seen or seen[-1] < config.steps:
        checkpoints = advance(config, (0,), state)
        assert [bool(c.rows) for c in checkpoints] == [True, False]
        assert [c.state is None for c in checkpoints] == [True, False]
        state = checkpoints[-1].state
        seen.append(checkpoints[-1].step)
    assert seen == [0, 1, 2, 4, 8]


def test_a_finished_replica_has_nothing_left_to_do(digits: Digits) -> None:
    config = digits()
    end = advance(config, (0,), None, slice_seconds=EVERYTHING)[-1]
    again = advance(config, (0,), end.state, slice_seconds=EVERYTHING)
    assert [(c.step, c.rows) for c in again] == [(config.steps, ())]


DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("base", BASES)
def test_stacked_replicas_are_single_ones(digits: Digits, device: str, base: str) -> None:
    """Batched matrix products sum in another order: equal within 1e-4 after 8 steps."""
    config = digits(
        "digits2",
        "noisy_digits",
        base_optimizer=base,
        lr=LR[base],
        seeds=(0, 1, 7),
        optimizer="mean",
    )
    together = advance(config, (0, 1, 7), None, slice_seconds=EVERYTHING, device=device)
    state = together[-1].state
    assert state is not None
    for seed, own in zip((0, 1, 7), split(state, 3), strict=True):
        alone = advance(config, (seed,), None, slice_seconds=EVERYTHING, device=device)
        rows = [row for c in together for row in c.rows if row["seed"] == seed]
        expected = [row for c in alone for row in c.rows]
        assert len(rows) == len(expected) == 3 * len(checkpoint_steps(config))
        for row, other in zip(rows, expected, strict=True):
            assert [row[k] for k in ("step", "task", "role")] == [
                other[k] for k in ("step", "task", "role")
            ]
            assert row["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)
            assert row["val_metric"] == pytest.approx(other["val_metric"], abs=1.01 / 150)
            assert row["test_metric"] == pytest.approx(other["test_metric"], abs=1.01 / 498)
        ending = alone[-1].state
        assert ending is not None
        for name, value in own.items():
            if name.startswith("parameter/"):
                np.testing.assert_allclose(value, ending[name], rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
def test_a_stack_goes_on_from_its_split_states(digits: Digits, values: Values, device: str) -> None:
    config = digits("digits2", seeds=(0, 1))
    whole = advance(config, (0, 1), None, slice_seconds=EVERYTHING, device=device)
    sliced = advance(config, (0, 1), None, device=device)
    while sliced[-1].step < config.steps:
        assert sliced[-1].state is not None
        state = stack([stored(single) for single in split(sliced[-1].state, 2)])
        sliced += advance(config, (0, 1), state, slice_seconds=1e-9, device=device)
    if device == "cpu":
        assert values(sliced) == values(whole)
        assert_equal_states(final(sliced), final(whole))
    else:
        for name, value in final(whole).items():
            np.testing.assert_allclose(value, final(sliced)[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("most", [2, 1])
def test_stacks_that_stay_between_slices_give_the_same_bits(
    digits: Digits, values: Values, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Two in turns, as on a GPU, where each is made once unless there is room for one alone."""
    configs = [digits("digits2", optimizer=name, factors=()) for name in ("gradvac", "dwa")]
    whole = [advance(config, (0, 1), None, slice_seconds=EVERYTHING) for config in configs]
    monkeypatch.setattr(module, "_STAY_ON", ("cpu",))
    monkeypatch.setattr(module, "_MOST_STANDING", most)
    count, build = itertools.count(), Replicas.__init__
    monkeypatch.setattr(Replicas, "__init__", lambda *a, **k: (next(count), build(*a, **k))[1])
    sliced = [advance(config, (0, 1), None) for config in configs]
    for _ in range(configs[0].steps):
        for config, so_far in zip(configs, sliced, strict=True):
            so_far += advance(config, (0, 1), so_far[-1].state, slice_seconds=1e-9)
    for ours, theirs in zip(sliced, whole, strict=True):
        assert values(ours) == values(theirs)
        assert_equal_states(final(ours), final(theirs))
    assert (next(count) == len(configs)) is (most == len(configs))
    assert module._STANDING == {}, "nothing stays of a run that is done"


def test_a_stack_that_does_not_fit_is_given_the_room_of_others(
    digits: Digits, values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, other = digits(factors=()), digits("digits2", factors=())
    whole = advance(asked, (0,), None, slice_seconds=EVERYTHING)
    monkeypatch.setattr(module, "_STAY_ON", ("cpu",))
    begun = advance(other, (0,), None)
    step = Stepper.step

    def full(stepper: Stepper, number: int) -> None:
        if module._STANDING:
            raise torch.OutOfMemoryError("CUDA out of memory")
        step(stepper, number)

    monkeypatch.setattr(Stepper, "step", full)
    assert values(advance(asked, (0,), None, slice_seconds=EVERYTHING)) == values(whole)
    assert module._STANDING == {}
    again = advance(other, (0,), begun[-1].state, slice_seconds=1e-9)
    assert again[-1].step == 1

    def always(stepper: Stepper, number: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Stepper, "step", always)
    with pytest.raises(torch.OutOfMemoryError):
        advance(asked, (0,), None, slice_seconds=EVERYTHING)
    assert module._STANDING == {}


def test_stl_and_mtl_of_a_seed_see_the_same_target_batches(digits: Digits) -> None:
    device = torch.device("cpu")
    stl = Replicas(digits(), (4,), device)
    mtl = Replicas(digits("digits2", "noisy_digits"), (4,), device)
    for step in (0, 1, 5):
        stl.step = mtl.step = step
        (stl_inputs,), (stl_targets,) = stl.batches()
        (mtl_inputs, *_), (mtl_targets, *_) = mtl.batches()
        assert torch.equal(stl_inputs, mtl_inputs)
        assert torch.equal(stl_targets, mtl_targets)


def test_stl_and_mtl_of_a_seed_are_measured_equal_before_training(
    digits: Digits, values: Values
) -> None:
    (stl,) = values(advance(digits(), (4,), None)[:1])
    mtl = values(advance(digits("digits2", optimizer="mean"), (4,), None)[:1])
    assert stl in mtl


def test_heads_of_an_auxiliary_learn_nothing_of_the_target(digits: Digits) -> None:
    """The first step moves each head as if its task were alone."""
    config = digits("digits2", base_optimizer="sgd", lr=0.1, batch_size=100, epochs=1)
    alone = RunConfig("digits", "digits2", samples=100, batch_size=100, epochs=1, width=3,
                      base_optimizer="sgd", lr=0.1, seeds=(0,))  # fmt: skip
    together = final(advance(config, (0,), None, slice_seconds=EVERYTHING))
    single = final(advance(alone, (0,), None, slice_seconds=EVERYTHING))
    for part in ("weight", "bias"):
        name = f"parameter/heads.digits2.{part}"
        np.testing.assert_allclose(together[name], single[name], rtol=1e-5, atol=1e-7)


def test_tasks_on_the_same_images_are_measured_as_apart(digits: Digits) -> None:
    config = digits("digits2", "noisy_digits", samples=None, batch_size=50)
    replicas = Replicas(config, (0,), torch.device("cpu"))
    for _ in range(3):
        replicas.train_step()
    shared = replicas.checkpoint().rows
    twins = [replicas._data[task].train[0].data_ptr() for task in config.auxiliaries]
    assert twins[0] == twins[1]
    replicas._data = {
        task: _ResidentTask(
            *((images.clone(), labels) for images, labels in (data.train, data.val, data.test))
        )
        for task, data in replicas._data.items()
    }
    apart = replicas.checkpoint().rows
    assert shared == apart
    losses = {row["task"]: row["train_loss"] for row in shared}
    assert len(set(losses.values())) == 3


def test_fused_adam_is_given_gradients_in_the_parameters_layout(digits: Digits) -> None:
    """It walks both in storage order, whatever their strides."""
    for seeds in ((0,), (0, 1)):
        replicas = Replicas(digits("digits2", seeds=seeds), seeds, torch.device("cpu"))
        replicas.train_step()
        for name, parameter in replicas._network.parameters.items():
            assert parameter.grad is not None
            # Strides of dimensions of size 1 may differ: nothing is stored along them.
            assert parameter.is_contiguous(), name
            assert parameter.grad.is_contiguous(), name
            moment = replicas._stepper.base.state[parameter]["exp_avg"]
            torch.testing.assert_close(moment, 0.1 * parameter.grad, rtol=1e-5, atol=1e-9)


def test_seconds_grow_and_go_on_after_a_pause(digits: Digits) -> None:
    config = digits(epochs=3)
    first = advance(config, (0,), None)
    assert first[0].rows[0]["seconds"] == 0
    rest = advance(config, (0,), first[-1].state, slice_seconds=EVERYTHING)
    seconds = [row["seconds"] for c in rest for row in c.rows]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] < 60
    assert rest[-1].state is not None
    assert float(rest[-1].state["seconds"]) == seconds[-1]


def test_the_number_of_threads_is_left_as_it_was(digits: Digits) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        advance(digits(), (0,), None)
        assert torch.get_num_threads() == 2
        with pytest.raises(TrainingDiverged):
            advance(digits(base_optimizer="sgd", lr=1e30), (0,), None, slice_seconds=EVERYTHING)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
