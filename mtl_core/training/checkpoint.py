"""What a training run hands out while it goes on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.trajectory import Cosine, Row, Update

__all__ = ["Checkpoint", "State", "split", "stack"]

State = Mapping[str, NDArray[Any]]
"""Everything that a stack of replicas needs to go on exactly where it stopped: parameters and
optimizer moments, (R, ...) each, and scalars that the stack has in common, such as its step."""


@dataclass(frozen=True)
class Checkpoint:
    """Where some replicas of a run have got to.

    Args:
        seeds: the replicas, in order.
        step: steps that they have taken.
        rows: one per seed and task, if this step is measured; empty for a mere sign of progress.
        state: what ``train`` can be resumed from; None when a later checkpoint has it.
        cosines: of the pairs of task gradients, where gradient similarity was due.
        updates: what the multi-task optimizer did since the checkpoint before; none for a single
            task and for a method whose weights never change.
        notes: why a factor that was due could not be measured, or was measured another way.
    """

    seeds: tuple[int, ...]
    step: int
    rows: tuple[Row, ...]
    state: State | None = None
    cosines: tuple[Cosine, ...] = ()
    updates: tuple[Update, ...] = ()
    notes: tuple[str, ...] = ()


def split(state: State, replicas: int) -> list[State]:
    """The states of the single replicas of a stack."""
    return [
        {name: value[i : i + 1] if value.ndim else value for name, value in state.items()}
        for i in range(replicas)
    ]


def stack(states: Sequence[State]) -> State:
    """Inverse of ``split``, for replicas of the same step."""
    return {
        name: np.concatenate([state[name] for state in states]) if value.ndim else value
        for name, value in states[0].items()
    }
