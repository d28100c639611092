"""Steps of several experiments as one computation: the numbers of each by itself."""

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import torch

from mtl_core import RunConfig, optimizers
from mtl_core.errors import InputError
from mtl_core.training import checkpoint_steps
from mtl_core.training import replicas as module
from mtl_core.training.checkpoint import Checkpoint, split, stack
from mtl_core.training.replicas import Replicas, Stack, advance, advance_together
from mtl_core.training.room import step_bytes
from mtl_core.training.stepping import Stepper, shape
from tests.training import tiny
from tests.training.host import watched
from tests.training.test_stepping import AUXILIARIES, replayed_as_it_is

Digits = Callable[..., RunConfig]
CPU = torch.device("cpu")
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
EVERYTHING = float("inf")
SEEDS = ((0, 5), (3,))
"""Of every other experiment."""


def asked(digits: Digits, name: str, auxiliaries: tuple[str, ...], **more: Any) -> RunConfig:
    small = {"samples": 48, "batch_size": 8, "width": 2, "epochs": 2, "factors": ()} | more
    return digits(*auxiliaries, optimizer=name, lr=0.01, **small)


def families(digits: Digits, tasks: int, **more: Any) -> list[list[RunConfig]]:
    """All methods, and the plain sum on other auxiliaries too, by what can be together."""
    every = [asked(digits, name, AUXILIARIES[tasks], **more) for name in optimizers.names()]
    others = {2: ("noisy_digits",), 3: ("noisy_digits", "digits2")}[tasks]
    every += [asked(digits, name, others, **more) for name in ("umtg", "pcgrad", "uncertainty")]
    every.sort(key=lambda config: str(shape(config)))
    return [list(of) for _, of in groupby(every, key=shape)]


def stacks(configs: list[RunConfig]) -> list[Stack]:
    return [Stack(config, SEEDS[place % 2]) for place, config in enumerate(configs)]


def final(checkpoints: list[Checkpoint]) -> dict[str, np.ndarray]:
    state = checkpoints[-1].state
    assert state is not None
    return {name: value for name, value in state.items() if name != "seconds"}


def whole(checkpoints: list[Checkpoint]) -> np.ndarray:
    """All parameters of the first replica at the end."""
    found = final(checkpoints).items()
    return np.concatenate([value[0].ravel() for name, value in found if "parameter/" in name])


def assert_alike(one: list[Checkpoint], other: list[Checkpoint], *, exactly: bool = False) -> None:
    """To within rounding, which products of other sizes do in another order."""
    assert [(of.seeds, of.step) for of in one] == [(of.seeds, of.step) for of in other]
    for ours, theirs in zip(one, other, strict=True):
        for row, expected in zip(ours.rows, theirs.rows, strict=True):
            for key in ("seed", "step", "task", "role", "optimizer", "auxiliaries"):
                assert row[key] == expected[key]
            assert row["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-4)
            assert row["test_metric"] == pytest.approx(expected["test_metric"], abs=1.01 / 498)
        assert len(ours.updates) == len(theirs.updates)
        for told, expected in zip(ours.updates, theirs.updates, strict=True):
            for key in ("weight", "cosine_to_sum", "norm_ratio"):
                assert told[key] == pytest.approx(expected[key], rel=2e-3, abs=2e-3)
    mine, others = final(one), final(other)
    assert mine.keys() == others.keys()
    for name, value in others.items():
        if exactly:
            np.testing.assert_array_equal(mine[name], value, err_msg=name)
        else:
            np.testing.assert_allclose(mine[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("base", ["adam", "sgd", "momentum"])
@pytest.mark.parametrize("tasks", [2, 3])
def test_stacks_of_experiments_are_separate_ones(
    digits: Digits, tasks: int, base: str, device: str
) -> None:
    """Every method, beside all others that it can be together with, on its own seeds and data."""
    found = families(digits, tasks, base_optimizer=base)
    assert {config.optimizer for of in found for config in of} == {*optimizers.names()}
    assert len(found) <= 6
    for configs in found:
        together = advance_together(stacks(configs), device=device, slice_seconds=EVERYTHING)
        ends, alike = [], []
        for one, ours in zip(stacks(configs), together, strict=True):
            alone = advance(one.config, one.seeds, None, device=device, slice_seconds=EVERYTHING)
            assert len(alone) == 1 + len(checkpoint_steps(one.config))
            assert_alike(ours, alone)
            ends.append((one.seeds, one.config, whole(alone)))
            alike.append(float(np.linalg.norm(whole(ours) - ends[-1][2])))
        # The control: one in place of another, which is but another method, would be seen.
        for (seeds, config, end), off in zip(ends, alike, strict=True):
            for others, other, theirs in ends:
                if seeds == others and config != other:
                    assert off < 0.01 * np.linalg.norm(end - theirs)


@pytest.mark.parametrize("device", DEVICES)
def test_they_go_on_from_what_each_left(digits: Digits, device: str) -> None:
    """Together, then one by itself, and together again: a run is the same in any company."""
    configs = [asked(digits, name, ("digits2",)) for name in ("pcgrad", "gradvac", "cagrad")]
    undisturbed = advance_together(stacks(configs), device=device, slice_seconds=EVERYTHING)
    parts = stacks(configs)
    so_far: list[list[Checkpoint]] = [[], [], []]
    turn = 0
    while so_far[0] == [] or so_far[0][-1].step < configs[0].steps:
        seconds = 1e-9 if turn else 0.0
        if turn % 3 == 1:
            found = [
                advance(of.config, of.seeds, of.state, device=device, slice_seconds=seconds)
                for of in parts
            ]
        else:
            found = advance_together(parts, device=device, slice_seconds=seconds)
        turn += 1
        for own, new in zip(so_far, found, strict=True):
            own += new
        parts = [
            replace(of, state=stack(split(new[-1].state, len(of.seeds))))  # type: ignore[arg-type]
            for of, new in zip(parts, found, strict=True)
        ]
    for ours, theirs in zip(so_far, undisturbed, strict=True):
        measured = [one for one in ours if one.rows]
        assert_alike([*measured, ours[-1]], theirs)


def test_slices_give_the_same_bits(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what is together stays on the device, as on a GPU."""
    configs = [asked(digits, name, ("digits2",)) for name in ("famo", "dwa", "rlw")]
    undisturbed = advance_together(stacks(configs), slice_seconds=EVERYTHING)
    for stay in ((), ("cpu",)):
        monkeypatch.setattr(module, "_STAY_ON", stay)
        found = advance_together(stacks(configs))
        while found[0][-1].step < configs[0].steps:
            parts = [
                replace(of, state=new[-1].state)
                for of, new in zip(stacks(configs), found, strict=True)
            ]
            found = advance_together(parts, slice_seconds=1e-9)
        for ours, theirs in zip(found, undisturbed, strict=True):
            assert_alike([ours[-1]], [theirs[-1]], exactly=True)
    assert module._STANDING == {}


def joint(configs: list[RunConfig], device: torch.device) -> tuple[list[Replicas], Stepper]:
    members = [Replicas(config, (0, 3), device, capture=replayed_as_it_is) for config in configs]
    stepper = Stepper([one.member for one in members], device, capture=replayed_as_it_is)
    for place, one in enumerate(members):
        one.enter(stepper, place)
    return members, stepper


@pytest.mark.parametrize("tasks", [2, 3])
def test_a_step_of_several_can_be_captured(digits: Digits, tasks: int) -> None:
    """Nothing in it waits for the host, all of it is on the device, and it is replayed."""
    for configs in families(digits, tasks, base_optimizer="momentum"):
        members, stepper = joint(configs, CPU)
        captured = stepper._captured
        hosts = {optimizers.create(c.optimizer, num_tasks=tasks).on_host for c in configs}
        if captured is None:
            assert "" not in hosts
            continue
        assert hosts == {""}
        stepper.step(0)  # makes what is made once
        stepper.ready(1)
        with watched() as seen:
            stepper._carry_out()
        assert seen == []
        before = {key: value.data_ptr() for key, value in stepper.buffers().items()}
        for number in range(2, 12):
            stepper.step(number)
        assert stepper.trouble == ""
        assert captured.trusted
        places = {key: value.data_ptr() for key, value in stepper.buffers().items()}
        assert before.items() <= places.items(), "every buffer stays where it is"
        # Members are measured where the steps are taken.
        for one in members:
            for name, value in stepper.saved(one._place).items():
                if name.startswith("parameter/"):
                    own = one.network.parameters[name.removeprefix("parameter/")]
                    assert own.data_ptr() == value.data_ptr()
        _, nowhere = joint(configs, torch.device("meta"))
        for _ in range(2):
            nowhere.step(0)
        assert {value.device.type for value in nowhere.buffers().values()} == {"meta"}


def test_members_share_the_time(digits: Digits) -> None:
    configs = [asked(digits, name, ("digits2",)) for name in ("pcgrad", "cagrad")]
    parts = [Stack(configs[0], (0, 1, 2)), Stack(configs[1], (4,))]
    seconds = [
        float(found[-1].state["seconds"])  # type: ignore[index]
        for found in advance_together(parts, slice_seconds=EVERYTHING)
    ]
    assert seconds[0] == pytest.approx(3 * seconds[1])
    assert seconds[1] > 0
    (said,) = {note for one in advance_together(parts)[0] for note in one.notes}
    assert said.startswith("steps were computed together with those of 1 other experiments")
    assert not any(one.notes for one in advance(configs[0], (0,), None))


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.02},
        {"batch_size": 4},
        {"width": 3},
        {"epochs": 3},
        {"samples": 32},
        {"base_optimizer": "sgd"},
        {"precision": "bf16"},
        {"early_checkpoints": 3},
        {"auxiliaries": ()},
        {"auxiliaries": ("digits2", "noisy_digits")},
        {"optimizer": "umtg"},
        {"optimizer": "graddrop"},
    ],
)
def test_what_would_step_another_way_is_of_another_shape(
    digits: Digits, change: dict[str, Any]
) -> None:
    one = asked(digits, "pcgrad", ("digits2",))
    other = replace(one, **change)
    assert shape(one) != shape(other)
    with pytest.raises(InputError, match="apart"):
        advance_together([Stack(one, (0,)), Stack(other, (0,))])


def test_what_is_only_measured_another_way_is_of_the_same(digits: Digits) -> None:
    one = asked(digits, "pcgrad", ("digits2",))
    for change in (
        {"factors": ("sharpness",)},
        {"optimizer": "cagrad", "options": (("c", 0.2),)},
        {"auxiliaries": ("noisy_digits",)},
        {"held_out": 40},
    ):
        assert shape(one) == shape(replace(one, **change))  # type: ignore[arg-type]


def test_experiments_at_other_steps_are_refused(digits: Digits) -> None:
    one = asked(digits, "pcgrad", ("digits2",))
    state = advance(one, (0,), None)[-1].state
    other = advance(one, (0,), state, slice_seconds=1e-9)[-1].state
    with pytest.raises(InputError, match="other steps"):
        advance_together([Stack(one, (0,), state), Stack(one, (0,), other)])


def test_texts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = tiny.register(monkeypatch, tiny.texts())
    configs = [
        RunConfig.from_preset(
            setting.name, "quick", auxiliaries=("score",), optimizer=name, factors=()
        )
        for name in ("pcgrad", "cagrad")
    ]
    with pytest.raises(InputError, match="apart"):
        advance_together([Stack(config, (0,)) for config in configs])


def test_what_a_step_takes_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A linear layer keeps what goes in, tanh what comes out."""
    setting = tiny.register(monkeypatch, tiny.vectors())
    width, batch = 6, 8
    parameters, example = 4 * (5 * width + width), 4 * (5 + width) + 2 * 4 * width
    usual = {"auxiliaries": ("sign",), "width": width, "batch_size": batch, "factors": ()}

    def asks(**more: Any) -> int:
        return step_bytes(RunConfig.from_preset(setting.name, "quick", **(usual | more)))

    summed = asks(optimizer="umtg", base_optimizer="sgd")
    assert summed == 2 * parameters + 2 * batch * example
    assert asks(optimizer="umtg", base_optimizer="adam") == summed + 2 * parameters
    assert asks(optimizer="mgda", base_optimizer="sgd") == summed + 6 * parameters
    alone = asks(auxiliaries=(), base_optimizer="sgd")
    assert alone == 2 * parameters + batch * example
