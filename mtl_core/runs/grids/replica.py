"""A replica of a plan: one seed of one experiment, carried out in a process of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Experiment, Piece
from mtl_core.runs.library import artifacts

__all__ = ["Replica", "in_one_line", "train_replica"]


@dataclass(frozen=True)
class Replica:
    """What the process of a replica brings back.

    Args:
        experiment: its id.
        pieces: those that measured something, without states.
        seconds: of training and measuring, without the start of the process.
        provenance: ``artifacts.provenance`` of where it was trained; empty after an error.
        error: one line; None when the replica has reached its end.
        diverged: whether the error is that its loss left the finite numbers.
    """

    experiment: str
    seed: int
    pieces: tuple[Piece, ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    diverged: bool = False


def train_replica(kind: str, experiment: Mapping[str, Any], seed: int) -> Replica:
    """Carry out one seed of an experiment of a kind, as ``to_dict`` wrote it, here on one core.

    An error comes back as text: it ends one experiment.
    """
    config = kinds.experiment(kind, experiment, seeds=[seed])
    started = time.monotonic()
    try:
        return _trained(config, seed)
    except Exception as error:
        seconds = time.monotonic() - started
        diverged = isinstance(error, TrainingDiverged)
        return Replica(
            config.id, seed, seconds=seconds, error=in_one_line(error), diverged=diverged
        )


def in_one_line(error: BaseException) -> str:
    """What went wrong, with the kind of error unless its message was written for people."""
    text = next(iter(str(error).splitlines()), "")
    if isinstance(error, (TrainingDiverged, InputError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _trained(config: Experiment, seed: int) -> Replica:
    started = time.monotonic()
    pieces = kinds.of(config).advance(config, (seed,), {}, float("inf"), "cpu")
    seconds = time.monotonic() - started
    measured = [replace(piece, state=None) for piece in pieces if piece.tables or piece.notes]
    provenance = artifacts.provenance(config, "cpu")
    return Replica(config.id, seed, tuple(measured), seconds, provenance)
