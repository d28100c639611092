"""Small configs, and one pool of processes for all tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.training import Checkpoint
from mtl_core.training.pool import ReplicaPool
from mtl_core.trajectory import METRICS

Digits = Callable[..., RunConfig]
Values = list[tuple[Any, ...]]


@pytest.fixture(scope="session")
def pool() -> Iterator[ReplicaPool]:
    """Two processes."""
    with ReplicaPool(2) as running:
        yield running


@pytest.fixture
def digits() -> Digits:
    """A config that trains in a moment: 4 steps an epoch, 2 epochs."""

    def make(*auxiliaries: str, **changes: Any) -> RunConfig:
        small = {"samples": 100, "batch_size": 25, "epochs": 2, "width": 3, "seeds": (0,)}
        return RunConfig("digits", "digits1", auxiliaries, **(small | changes))

    return make


@pytest.fixture
def values() -> Callable[[list[Checkpoint]], Values]:
    """What a config decides of its rows, sorted: everything but the seconds."""

    def of(checkpoints: list[Checkpoint]) -> Values:
        keys = ("seed", "task", "step", "epoch", *METRICS)
        rows = [row for checkpoint in checkpoints for row in checkpoint.rows]
        return sorted(tuple(row[key] for key in keys) for row in rows)

    return of
