"""train: the public contract, in this process and in a pool's."""

import pickle
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch

import mtl_core
from mtl_core import InputError, RunConfig, TrainingDiverged
from mtl_core.training import Checkpoint, State, checkpoint_steps
from mtl_core.training.pool import ReplicaPool
from mtl_core.training.replicas import advance
from mtl_core.trajectory import COLUMNS, FACTORS

Digits = Callable[..., RunConfig]
Values = Callable[[list[Checkpoint]], list[tuple[Any, ...]]]
EVERYTHING = float("inf")
MODULE = sys.modules["mtl_core.training.train"]  # its package has the function by that name


def alone(config: RunConfig) -> list[Checkpoint]:
    """Every seed in this process, in one go."""
    return [
        checkpoint
        for seed in config.seeds
        for checkpoint in advance(config, (seed,), None, slice_seconds=EVERYTHING)
    ]


def test_rows_have_exactly_the_columns(digits: Digits) -> None:
    config = digits("digits2", optimizer="mean", seeds=(5,), factors=())
    checkpoints = list(mtl_core.train(config, device="cpu"))
    assert all(isinstance(checkpoint, mtl_core.Checkpoint) for checkpoint in checkpoints)
    rows = [row for checkpoint in checkpoints for row in checkpoint.rows]
    for row in rows:
        assert tuple(row) == COLUMNS
        assert (row["setting"], row["auxiliaries"], row["optimizer"]) == (
            "digits",
            "digits2",
            "mean",
        )
        assert row["role"] == ("target" if row["task"] == "digits1" else "auxiliary")
        assert row["seed"] == 5
        assert row["epoch"] == row["step"] / config.steps_per_epoch
        assert row["whole_epoch"] is (row["step"] in (4, 8))
        assert all(row[factor] is None for factor in FACTORS)
        assert 0 <= row["val_metric"] <= 1
        assert 0 <= row["test_metric"] <= 1
        floats = ("epoch", "train_loss", "val_metric", "test_metric", "seconds")
        assert all(type(row[name]) is float for name in floats)
    expected = [(step, task) for step in checkpoint_steps(config) for task in config.tasks]
    assert [(row["step"], row["task"]) for row in rows] == expected


def test_the_end_of_an_epoch_is_marked_also_where_its_last_batch_wraps_around(
    digits: Digits,
) -> None:
    """97 examples in batches of 25: the fourth batch of an epoch takes three of the next."""
    config = digits(samples=97, epochs=3, early_checkpoints=3, factors=())
    assert config.steps_per_epoch == 4
    rows = [row for checkpoint in alone(config) for row in checkpoint.rows]
    assert [(row["step"], row["epoch"], row["whole_epoch"]) for row in rows] == [
        (0, 0.0, False),
        (1, 0.25, False),
        (2, 0.5, False),
        (3, 0.75, False),
        (4, 1.0, True),
        (8, 2.0, True),
        (12, 3.0, True),
    ]
    assert all(type(row["whole_epoch"]) is bool for row in rows), "so that JSON can hold it"


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_pool_gives_the_bits_of_this_process(
    digits: Digits, values: Values, pool: ReplicaPool, seeds: tuple[int, ...]
) -> None:
    config = digits("digits2", "noisy_digits", seeds=seeds)
    checkpoints = list(mtl_core.train(config, device="cpu", pool=pool))
    assert values(checkpoints) == values(alone(config))
    for seed in seeds:
        own = [c for c in checkpoints if c.seeds == (seed,)]
        assert [c.step for c in own] == sorted(c.step for c in own)
        ending = own[-1].state
        reference = advance(config, (seed,), None, slice_seconds=EVERYTHING)[-1].state
        assert ending is not None
        assert reference is not None
        assert own[-1].step == config.steps
        for name, value in reference.items():
            if name != "seconds":
                assert value.tobytes() == ending[name].tobytes()


@pytest.mark.parametrize(("available", "processes"), [(2, 2), (8, 3)])
def test_without_a_pool_there_are_as_many_processes_as_are_of_use(
    digits: Digits,
    values: Values,
    pool: ReplicaPool,
    monkeypatch: pytest.MonkeyPatch,
    available: int,
    processes: int,
) -> None:
    asked: list[int] = []
    ended: list[bool] = []

    class Lent:
        """The tests' own pool, under another name."""

        def __init__(self, processes: int, *, rehearse: bool) -> None:
            asked.append(processes)
            assert not rehearse, "they are asked to train at once"
            self.processes = processes
            self.submit = pool.submit

        def __enter__(self) -> "Lent":
            return self

        def __exit__(self, *_: object) -> None:
            ended.append(True)

    monkeypatch.setattr(MODULE, "cores", lambda: available)
    monkeypatch.setattr(MODULE, "ReplicaPool", Lent)
    config = digits(seeds=(0, 1, 2), epochs=1)
    assert values(list(mtl_core.train(config, device="cpu"))) == values(alone(config))
    assert (asked, ended) == ([processes], [True])


def test_one_core_needs_no_processes(
    digits: Digits, values: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "cores", lambda: 1)
    monkeypatch.setattr(MODULE, "ReplicaPool", None)
    config = digits("digits2", seeds=(0, 1))
    assert values(list(mtl_core.train(config, device="cpu"))) == values(alone(config))


def test_seeds_grow_together(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is behind goes first: no curve is more than a slice ahead."""
    monkeypatch.setattr(MODULE, "cores", lambda: 1)
    monkeypatch.setattr(MODULE, "SLICE_SECONDS", 1e-9)
    config = digits(seeds=(0, 1, 2), factors=())
    at = dict.fromkeys(config.seeds, 0)
    for checkpoint in mtl_core.train(config, device="cpu"):
        at |= dict.fromkeys(checkpoint.seeds, checkpoint.step)
        assert max(at.values()) - min(at.values()) <= 1
    assert set(at.values()) == {config.steps}


def test_seeds_grow_together_in_a_pool(
    digits: Digits, pool: ReplicaPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the seeds that wait, the one that is behind goes first.

    So curves are as far apart as one process is slower than the other: that is up to the machine.
    """
    monkeypatch.setattr(MODULE, "SLICE_SECONDS", 1e-9)
    config = digits(seeds=(0, 1, 2), factors=())
    at = dict.fromkeys(config.seeds, -1)
    under_way: set[int] = set()

    class Watched:
        processes = pool.processes

        def submit(
            self, config: RunConfig, seed: int, state: State | None, seconds: float
        ) -> "Future[list[Checkpoint]]":
            assert len(under_way) < self.processes
            assert at[seed] == (-1 if state is None else int(state["step"]))
            assert at[seed] == min(at[other] for other in at if other not in under_way)
            under_way.add(seed)
            return pool.submit(config, seed, state, seconds)

    for checkpoint in mtl_core.train(config, device="cpu", pool=Watched()):  # type: ignore[arg-type]
        (seed,) = checkpoint.seeds
        assert checkpoint.step <= max(at[seed], 0) + 1, "a slice is a step"
        at[seed] = checkpoint.step
        under_way.discard(seed)
    assert set(at.values()) == {config.steps}


@pytest.mark.parametrize("pooled", [False, True])
def test_an_interrupted_run_resumes_to_the_same_numbers(
    digits: Digits,
    values: Values,
    pool: ReplicaPool,
    pooled: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MODULE, "cores", lambda: 1)
    monkeypatch.setattr(MODULE, "SLICE_SECONDS", 1e-9)
    config = digits("digits2", seeds=(0, 1, 2))
    chosen = pool if pooled else None
    kept: list[Checkpoint] = []
    states: dict[int, State] = {}
    steps: Any = mtl_core.train(config, device="cpu", pool=chosen)
    for checkpoint in steps:
        kept.append(checkpoint)
        if checkpoint.state is not None:
            states[checkpoint.seeds[0]] = checkpoint.state
        if checkpoint.step == 3:
            steps.close()
            break
    assert states
    assert max(int(state["step"]) for state in states.values()) < config.steps
    # What was measured after the last state is measured again, and equal.
    kept += mtl_core.train(config, device="cpu", pool=chosen, states=states)
    assert sorted(set(values(kept))) == values(alone(config))


def test_a_finished_run_resumes_to_nothing(digits: Digits, pool: ReplicaPool) -> None:
    config = digits(seeds=(0, 1), epochs=1)
    states = {c.seeds[0]: c.state for c in alone(config) if c.state is not None}
    assert list(mtl_core.train(config, device="cpu", pool=pool, states=states)) == []


def test_who_stops_listening_gets_an_idle_pool(digits: Digits, pool: ReplicaPool) -> None:
    submitted: list[Future[list[Checkpoint]]] = []

    class Watched:
        processes = pool.processes

        def submit(self, *arguments: Any) -> "Future[list[Checkpoint]]":
            submitted.append(pool.submit(*arguments))
            return submitted[-1]

    steps: Any = mtl_core.train(digits(seeds=(0, 1, 2)), device="cpu", pool=Watched())  # type: ignore[arg-type]
    next(steps)
    steps.close()
    assert len(submitted) >= 2
    assert all(future.done() for future in submitted)


# --- what cannot be trained -------------------------------------------------------------------


@pytest.mark.parametrize("device", ["tpu", "", "cuda:9", 3])
def test_unknown_device(digits: Digits, device: Any) -> None:
    with pytest.raises(InputError) as caught:
        next(iter(mtl_core.train(digits(), device=device)))
    assert str(caught.value).startswith(f"unknown device {device!r}; one of: cpu, cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_that_is_not_there(digits: Digits) -> None:
    with pytest.raises(InputError) as caught:
        next(iter(mtl_core.train(digits(), device="cuda")))
    assert str(caught.value) == "device 'cuda' is not on this machine; use cpu"


def test_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "cores", lambda: 1)
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    config = RunConfig("fashion", "fashion1", samples=21, batch_size=10, seeds=(0, 1))
    with pytest.raises(mtl_core.DataMissing) as caught:
        list(mtl_core.train(config, device="cpu"))
    assert str(caught.value).startswith(f"FashionMNIST is not in {tmp_path}")
    copy = pickle.loads(pickle.dumps(caught.value))  # as between processes
    assert type(copy) is mtl_core.DataMissing
    assert str(copy) == str(caught.value)


# --- divergence -------------------------------------------------------------------------------


def until_diverged(steps: Iterator[Checkpoint]) -> tuple[list[Checkpoint], TrainingDiverged]:
    found: list[Checkpoint] = []
    try:
        while True:
            found.append(next(steps))
    except TrainingDiverged as error:
        return found, error


@pytest.mark.parametrize("pooled", [False, True])
def test_divergence_yields_what_came_before(
    digits: Digits, pool: ReplicaPool, pooled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At this learning rate the loss is huge after one step and no number after two."""
    monkeypatch.setattr(MODULE, "cores", lambda: 1)
    config = digits("digits2", base_optimizer="sgd", lr=1e6, seeds=(6,), early_checkpoints=2)
    assert checkpoint_steps(config) == (0, 1, 2, 4, 8)
    found, error = until_diverged(
        mtl_core.train(config, device="cpu", pool=pool if pooled else None)
    )
    rows = [row for checkpoint in found for row in checkpoint.rows]
    assert [(row["step"], row["task"]) for row in rows] == [
        (step, task) for step in (0, 1) for task in ("digits1", "digits2")
    ]
    assert all(row["train_loss"] < float("inf") for row in rows)
    message = str(error)
    assert "\n" not in message
    for part in ("loss of 'digits1' is nan at step 2", "seed 6", "sgd", "lr 1e+06"):
        assert part in message
    assert message.endswith("choose a smaller learning rate")


@pytest.mark.parametrize("pooled", [False, True])
def test_divergence_at_the_first_step(
    digits: Digits, pool: ReplicaPool, pooled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MODULE, "cores", lambda: 1)
    config = digits(base_optimizer="sgd", lr=1e30, seeds=(0, 1))
    found, error = until_diverged(
        mtl_core.train(config, device="cpu", pool=pool if pooled else None)
    )
    assert {row["step"] for c in found for row in c.rows} == {0}
    assert "at step 1 (epoch 0.25)" in str(error)
    assert "sgd, lr 1e+30" in str(error)
    assert "\n" not in str(error)


def test_a_pool_trains_on_after_a_divergence(
    digits: Digits, values: Values, pool: ReplicaPool
) -> None:
    until_diverged(mtl_core.train(digits(base_optimizer="sgd", lr=1e30), device="cpu", pool=pool))
    config = digits(epochs=1)
    after = list(mtl_core.train(config, device="cpu", pool=pool))
    assert values(after) == values(alone(config))


def test_the_error_survives_pickling(digits: Digits) -> None:
    config = digits(base_optimizer="sgd", lr=1e30)
    with pytest.raises(TrainingDiverged) as caught:
        advance(config, (0,), None, slice_seconds=EVERYTHING)
    original = caught.value
    assert [c.step for c in original.checkpoints] == [0]
    copy = pickle.loads(pickle.dumps(original))
    assert type(copy) is TrainingDiverged
    assert str(copy) == str(original)
    assert copy.checkpoints == original.checkpoints
