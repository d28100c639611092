"""Records: runs in the store, without what they measured."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Experiment, Kind

__all__ = ["Key", "Record", "RunState", "config_of", "index_of", "record_of"]

RunState = Literal["queued", "running", "done", "failed", "cancelled"]


class Key(NamedTuple):
    """Which run: the id of its experiment, and its seed."""

    experiment: str
    seed: int


@dataclass(frozen=True, slots=True)
class Record:
    """A run in the store, without its rows.

    Args:
        config: the experiment; its seeds are this run's one.
        question: what it was asked for with; runs of one question advance together.
        visitor: who asked last; empty where that is not known.
        starter: who asked first.
        order: of its question: later ones have larger numbers, whatever the clock says.
        changed: of its last change, in this store; later ones have larger numbers.
        place: how many runs get their next turn before it, and one, by ``places``; None for what
            has had its first turn in the hands of a worker, or has ended.
        step: steps that it has taken; -1 before its first measurement.
        seconds: time that was spent on it, in the attempts that are over and in this one.
        info: provenance, taken when it started: device, versions, data fingerprint.
    """

    config: Any  # an Experiment; its class is that of its kind
    seed: int
    question: str
    visitor: str
    starter: str
    order: int
    changed: int
    state: RunState
    place: int | None
    step: int
    queued_at: float
    started_at: float | None
    finished_at: float | None
    seconds: float
    heartbeat: float | None
    worker: str | None
    error: str | None
    info: Mapping[str, Any]

    @property
    def key(self) -> Key:
        return Key(self.config.id, self.seed)

    @property
    def kind(self) -> Kind:
        return kinds.of(self.config)

    @property
    def steps(self) -> int:
        """All steps of the run."""
        return self.kind.steps(self.config)

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1."""
        return 1.0 if self.state == "done" else max(self.step, 0) / self.steps

    @property
    def active(self) -> bool:
        """Whether it may still change by itself."""
        return self.state in ("queued", "running")


def config_of(row: sqlite3.Row) -> Experiment:
    """The experiment of a row with ``experiment``, ``kind``, ``config`` and ``seed``.

    Raises:
        InputError: where this version would train another one.
    """
    found = _parsed(row["experiment"], row["kind"], row["config"])
    try:
        config: Experiment = checks.with_seeds(found, (row["seed"],))
    except InputError as error:
        raise InputError(f"its config is not one of this version ({error})") from error
    return config


def record_of(row: sqlite3.Row, place: int | None = None) -> Record:
    """A row of ``runs`` with its experiment; raises as ``config_of``."""
    return Record(
        config=config_of(row),
        info=_info(row["info"]),
        order=row["queued"],
        place=place,
        **{name: row[name] for name in _PLAIN},
    )


@lru_cache(maxsize=16_384)
def index_of(config: Experiment) -> tuple[str, str]:
    """What experiments are searched by: the id of their baseline, and their pace."""
    kind = kinds.of(config)
    return kind.baseline(config).id, kind.pace(config)


_PLAIN = (
    "seed",
    "question",
    "visitor",
    "starter",
    "changed",
    "state",
    "step",
    "queued_at",
    "started_at",
    "finished_at",
    "seconds",
    "heartbeat",
    "worker",
    "error",
)


@lru_cache(maxsize=16_384)
def _parsed(experiment: str, kind: str, text: str) -> Any:
    """Cached, since a config never changes; what cannot be read is tried again."""
    try:
        config = kinds.experiment(kind, json.loads(text), seeds=(0,))
    except (InputError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"its config is not one of this version ({error})") from error
    if config.id != experiment:
        raise InputError(f"its config is not one of this version (its id there is {config.id})")
    return config


@lru_cache(maxsize=4_096)
def _info(text: str) -> Mapping[str, Any]:
    """Provenance, which many runs share; cached for that, and never changed."""
    try:
        info = json.loads(text)
    except ValueError:
        return {}
    return info if isinstance(info, dict) else {}
