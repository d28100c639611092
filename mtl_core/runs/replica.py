"""A replica of the grid: one seed of one config, trained in a process of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs import artifacts

if TYPE_CHECKING:
    from mtl_core.training.checkpoint import Checkpoint

__all__ = ["Replica", "in_one_line", "train_replica"]


@dataclass(frozen=True)
class Replica:
    """What a process brings back.

    Args:
        run: the config's id.
        checkpoints: those that measured something, without states.
        seconds: of training and measuring, without the start of the process.
        provenance: ``artifacts.provenance`` of where it was trained; empty after an error.
        error: one line; None when the replica has reached its end.
    """

    run: str
    seed: int
    checkpoints: tuple["Checkpoint", ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def train_replica(config: dict[str, Any], seed: int) -> Replica:
    """Train one seed of ``config.to_dict()``. An error comes back as text: it ends one config."""
    from mtl_core.training.replicas import advance

    whole = RunConfig.from_dict(config)
    started = time.monotonic()
    try:
        checkpoints = advance(whole, (seed,), None, slice_seconds=float("inf"))
        seconds = time.monotonic() - started
        provenance = artifacts.provenance(whole, "cpu")
    except Exception as error:
        return Replica(whole.id, seed, seconds=time.monotonic() - started, error=in_one_line(error))
    measured = tuple(replace(one, state=None) for one in checkpoints if one.rows)
    return Replica(whole.id, seed, measured, seconds, provenance)


def in_one_line(error: BaseException) -> str:
    """What went wrong, with the kind of error unless its message was written for people."""
    text = next(iter(str(error).splitlines()), "")
    if isinstance(error, (TrainingDiverged, InputError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
