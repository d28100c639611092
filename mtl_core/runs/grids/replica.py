"""A replica of a plan: one seed of one config, trained or solved in a process of its own."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.front import Front
from mtl_core.runs import front_artifacts
from mtl_core.runs.library import artifacts
from mtl_core.runs.queue.records import config_from_dict

if TYPE_CHECKING:
    from mtl_core.training.checkpoint import Checkpoint

__all__ = ["Replica", "in_one_line", "train_replica"]


@dataclass(frozen=True)
class Replica:
    """What a process brings back.

    Args:
        run: the config's id.
        checkpoints: of a training run, those that measured something, without states.
        fronts: of a front, at its config's steps, without states.
        seconds: of training and measuring, without the start of the process.
        provenance: ``provenance`` of where it was trained, as artifacts of its kind have it; empty
            after an error.
        error: one line; None when the replica has reached its end.
    """

    run: str
    seed: int
    checkpoints: tuple["Checkpoint", ...] = ()
    seconds: float = 0.0
    provenance: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    fronts: tuple[Front, ...] = ()


def train_replica(config: dict[str, Any], seed: int) -> Replica:
    """Train or solve one seed of ``config.to_dict()``, here and on one core.

    An error comes back as text: it ends one config.
    """
    whole = config_from_dict(config)
    started = time.monotonic()
    try:
        if isinstance(whole, ParetoConfig):
            return _solved(whole, seed)
        return _trained(whole, seed)
    except Exception as error:
        return Replica(whole.id, seed, seconds=time.monotonic() - started, error=in_one_line(error))


def in_one_line(error: BaseException) -> str:
    """What went wrong, with the kind of error unless its message was written for people."""
    text = next(iter(str(error).splitlines()), "")
    if isinstance(error, (TrainingDiverged, InputError)):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _trained(config: RunConfig, seed: int) -> Replica:
    from mtl_core.training.replicas import advance

    started = time.monotonic()
    checkpoints = advance(config, (seed,), None, slice_seconds=float("inf"))
    seconds = time.monotonic() - started
    measured = tuple(replace(one, state=None) for one in checkpoints if one.rows)
    provenance = artifacts.provenance(config, "cpu")
    return Replica(config.id, seed, measured, seconds, provenance)


def _solved(config: ParetoConfig, seed: int) -> Replica:
    from mtl_core.pareto import solve

    started = time.monotonic()
    # The other processes of the plan have the other cores.
    fronts = solve(replace(config, seeds=(seed,)), device="cpu", processes=1)
    measured = tuple(replace(front, state={}) for front in fronts)
    seconds = time.monotonic() - started
    provenance = front_artifacts.provenance(config, "cpu")
    return Replica(config.id, seed, (), seconds, provenance, fronts=measured)
