"""A replica of a plan: one seed of one experiment, carried out in a process of its own."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Experiment, Piece, State
from mtl_core.runs.library import artifacts

__all__ = ["KEEPING", "Replica", "in_one_line", "train_replica"]

SLICE_SECONDS = 60.0
"""How long a replica goes on before what it has is kept, about."""

KEEPING = 0.05
"""The most that keeping what there is may take of the time: with a large state it is done less
often."""


@dataclass(frozen=True)
class Replica:
    """How far a replica has got.

    Args:
        experiment: its id.
        pieces: those that measured something, without states.
        seconds: of training and measuring, without the start of the process.
        provenance: ``artifacts.provenance`` of where it was trained; empty after an error.
        error: one line; None when nothing went wrong.
        state: what it can go on from; None when it has reached its end.
        diverged: whether the error is that its loss left the finite numbers.
    """

    experiment: str
    seed: int
    pieces: tuple[Piece, ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    state: State | None = None
    diverged: bool = False


def train_replica(
    kind: str, experiment: Mapping[str, Any], seed: int, out: str | None = None
) -> Replica:
    """Carry out one seed of an experiment of a kind, as ``to_dict`` wrote it, here on one core.

    An error comes back as text: it ends one experiment.

    Args:
        out: the output folder of the grid, whose scratch folder keeps what there is on the way;
            None where this process cannot write to it.
    """
    config = kinds.experiment(kind, experiment, seeds=[seed])
    started = time.monotonic()
    try:
        return _trained(config, seed, None if out is None else Path(out))
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


def _trained(config: Experiment, seed: int, out: Path | None) -> Replica:
    """From where an earlier process left off, if one did, to the end."""
    from mtl_core.runs.grids.scratch import Scratch

    kind, scratch = kinds.of(config), None if out is None else Scratch(out)
    begun = scratch.begun(config, seed) if scratch else None
    replica = begun or Replica(config.id, seed, provenance=artifacts.provenance(config, "cpu"))
    slice_seconds = SLICE_SECONDS if scratch else float("inf")
    while True:
        started = time.monotonic()
        states = {} if replica.state is None else {seed: replica.state}
        pieces = kind.advance(config, (seed,), states, slice_seconds, "cpu")
        replica = _further(replica, pieces, time.monotonic() - started)
        if pieces[-1].step >= kind.steps(config):
            return replace(replica, state=None)
        if scratch:
            started = time.monotonic()
            scratch.keep(replica)
            slice_seconds = max(SLICE_SECONDS, (time.monotonic() - started) / KEEPING)


def _further(replica: Replica, pieces: Sequence[Piece], seconds: float) -> Replica:
    measured = [replace(piece, state=None) for piece in pieces if piece.tables or piece.notes]
    return replace(
        replica,
        pieces=(*replica.pieces, *measured),
        seconds=replica.seconds + seconds,
        state=pieces[-1].state,
    )
