"""Every multi-task optimizer in training: resumable, reproducible, finite, and told about."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mtl_core import RunConfig, TrainingDiverged, optimizers, train
from mtl_core.training import Checkpoint
from mtl_core.training.replicas import Replicas, advance
from mtl_core.trajectory import Update

Digits = Callable[..., RunConfig]
Values = Callable[[list[Checkpoint]], list[tuple[Any, ...]]]
EVERYTHING = float("inf")
NAMES = optimizers.names()
TOLD = [name for name in NAMES if not optimizers.create(name, num_tasks=2).constant]


def updates(checkpoints: list[Checkpoint]) -> list[Update]:
    return [row for checkpoint in checkpoints for row in checkpoint.updates]


@pytest.mark.parametrize("name", NAMES)
def test_slices_change_nothing(digits: Digits, values: Values, name: str) -> None:
    """A run that stops after every step and goes on from its state, in the middle of an epoch and
    of what is told about it, gives the same bits: state and random numbers are carried over."""
    config = digits("digits2", "noisy_digits", optimizer=name, epochs=3, factors=())
    whole = advance(config, (3,), None, slice_seconds=EVERYTHING)
    parts: list[Checkpoint] = []
    state = None
    while state is None or int(state["step"]) < config.steps:
        found = advance(config, (3,), state, slice_seconds=0 if state is None else 1e-9)
        parts += found
        state = found[-1].state
    assert values(parts) == values(whole)
    assert updates(parts) == updates(whole)
    final = whole[-1].state
    assert final is not None
    for key, value in final.items():
        if key != "seconds":
            np.testing.assert_array_equal(state[key], value, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_stacked_replicas_are_told_what_they_are_told_alone(digits: Digits, name: str) -> None:
    """float32 sums in another order, over four steps."""
    config = digits("digits2", optimizer=name, epochs=1, factors=())
    device = torch.device("cpu")
    stacked = Replicas(config, (0, 1), device)
    alone = [Replicas(config, (seed,), device) for seed in (0, 1)]
    for one in (stacked, *alone):
        for _ in range(config.steps):
            one.train_step()
    together = stacked.checkpoint().updates
    apart = [row for one in alone for row in one.checkpoint().updates]
    assert len(together) == len(apart)
    for ours, theirs in zip(together, apart, strict=True):
        assert (ours["seed"], ours["task"]) == (theirs["seed"], theirs["task"])
        for key in ("weight", "cosine_to_sum", "norm_ratio"):
            assert ours[key] == pytest.approx(theirs[key], rel=2e-3, abs=2e-3), key


@pytest.mark.parametrize("lr", [1e-3, 1e-2])
@pytest.mark.parametrize("name", NAMES)
def test_every_method_learns_and_stays_finite(digits: Digits, name: str, lr: float) -> None:
    config = digits(
        "digits2", "noisy_digits", optimizer=name, lr=lr, epochs=8, samples=None, width=4,
        factors=(), held_out=None, early_checkpoints=0,
    )  # fmt: skip
    found = advance(config, (0,), None, slice_seconds=EVERYTHING)
    losses = [
        row["train_loss"] for one in found for row in one.rows if row["task"] == config.target
    ]
    assert all(map(math.isfinite, losses))
    assert losses[-1] < 0.9 * losses[0]
    assert all(math.isfinite(row["weight"]) for row in updates(found))


@pytest.mark.parametrize("name", ["mgda", "nash_mtl", "famo", "graddrop"])
def test_divergence_is_named_and_keeps_what_came_before(digits: Digits, name: str) -> None:
    config = digits("digits2", optimizer=name, base_optimizer="sgd", lr=1e30, epochs=2)
    kept: list[Checkpoint] = []
    with pytest.raises(TrainingDiverged, match=r"training diverged: loss of .* is (nan|inf)"):
        kept.extend(train(config, device="cpu"))
    rows = [row for checkpoint in kept for row in checkpoint.rows]
    assert {row["step"] for row in rows} >= {0}
    assert all(math.isfinite(row["train_loss"]) for row in rows)


@pytest.mark.parametrize("name", TOLD)
def test_every_checkpoint_after_the_first_tells_what_was_done(digits: Digits, name: str) -> None:
    config = digits("digits2", optimizer=name, epochs=2, factors=())
    found = advance(config, (0,), None, slice_seconds=EVERYTHING)
    measured = [one.step for one in found if one.rows]
    told = updates(found)
    assert sorted({row["step"] for row in told}) == measured[1:]
    assert [row["task"] for row in told[:2]] == ["digits1", "digits2"]
    assert all(row["cosine_to_sum"] is not None for row in told)
    assert all(-1 <= row["cosine_to_sum"] <= 1 for row in told)  # type: ignore[operator]
    assert all(row["norm_ratio"] > 0 for row in told)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["umtg", "mean"])
def test_weights_that_never_change_are_not_told(digits: Digits, name: str) -> None:
    config = digits("digits2", optimizer=name)
    assert updates(advance(config, (0,), None, slice_seconds=EVERYTHING)) == []


def test_a_single_task_is_not_combined(digits: Digits) -> None:
    assert updates(advance(digits(), (0,), None, slice_seconds=EVERYTHING)) == []


def test_what_is_told_is_the_mean_since_the_last_checkpoint(digits: Digits) -> None:
    config = digits("digits2", optimizer="rlw", epochs=1, early_checkpoints=0)
    replicas = Replicas(config, (5,), torch.device("cpu"))
    replicas.checkpoint()
    drawn = []
    method = replicas._stepper.method()
    weights = method.weights

    def spy(*arguments: Any, **more: Any) -> torch.Tensor:
        found = weights(*arguments, **more)
        drawn.append(found)
        return found

    method.weights = spy  # type: ignore[method-assign]
    for _ in range(config.steps):
        replicas.train_step()
    mean = torch.stack(drawn).double().mean(dim=0)[0]
    told = replicas.checkpoint().updates
    assert [row["weight"] for row in told] == pytest.approx(mean.tolist(), rel=1e-12)


def test_match_sum_gives_every_update_the_length_of_the_sum(digits: Digits) -> None:
    for name in ("mgda", "rlw", "graddrop"):
        config = digits("digits2", optimizer=name, options=(("scale", "match_sum"),), epochs=1)
        for row in updates(advance(config, (0,), None, slice_seconds=EVERYTHING)):
            assert row["norm_ratio"] == pytest.approx(1, rel=1e-4)
