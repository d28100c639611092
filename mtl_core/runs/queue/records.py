"""Records: runs in the store, without what they measured."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, Literal, TypeVar, cast

from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.pareto.config import ParetoConfig

__all__ = [
    "AnyConfig",
    "FrontRecord",
    "Record",
    "RunRecord",
    "RunState",
    "config_from_dict",
    "config_of",
    "record_of",
]

RunState = Literal["queued", "running", "done", "failed", "cancelled"]
AnyConfig = RunConfig | ParetoConfig
Config = TypeVar("Config", RunConfig, ParetoConfig, AnyConfig, covariant=True)


@dataclass(frozen=True)
class Record(Generic[Config]):
    """A run in the store, without its rows.

    Args:
        place: 1 for the queued run that is next, None for others.
        steps_done: summed over replicas; ``steps_total`` likewise.
        seconds: time spent running in the attempts that are over.
        info: what its worker reported: device, versions, data fingerprint.
    """

    config: Config
    state: RunState
    place: int | None
    steps_done: int
    queued_at: float
    started_at: float | None
    finished_at: float | None
    seconds: float
    heartbeat: float | None
    worker: str | None
    error: str | None
    info: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.config.id

    @property
    def steps_total(self) -> int:
        config: AnyConfig = self.config
        steps = config.steps if isinstance(config, RunConfig) else config.iterations
        return steps * len(config.seeds)

    @property
    def active(self) -> bool:
        """Whether it may still change without anybody asking for it."""
        return self.state in ("queued", "running")


RunRecord = Record[RunConfig]
FrontRecord = Record[ParetoConfig]


def config_from_dict(values: Any) -> AnyConfig:
    """Inverse of a config's ``to_dict``, whichever kind it is of; InputError for anything else."""
    pareto = isinstance(values, Mapping) and values.get("kind") == "pareto"
    return ParetoConfig.from_dict(values) if pareto else RunConfig.from_dict(values)


def config_of(row: sqlite3.Row) -> AnyConfig:
    """The config of a row of ``runs``; InputError where this version would train another."""
    return _parsed(row["id"], row["config"])


def record_of(row: sqlite3.Row) -> Record[AnyConfig]:
    """A row of ``runs`` with its place and steps done; raises as ``config_of``."""
    try:
        info = json.loads(row["info"])
    except ValueError:
        info = {}
    return Record(
        config=config_of(row),
        state=cast(RunState, row["state"]),
        place=row["place"],
        steps_done=row["steps_done"] or 0,
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        seconds=row["seconds"],
        heartbeat=row["heartbeat"],
        worker=row["worker"],
        error=row["error"],
        info=info if isinstance(info, dict) else {},
    )


@lru_cache(maxsize=16_384)
def _parsed(run: str, text: str) -> AnyConfig:
    """Pages list thousands of runs again and again; what is said of a config stays true."""
    try:
        config = config_from_dict(json.loads(text))
    except (InputError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"its config is not one of this version ({error})") from error
    if config.id != run:
        raise InputError(f"its config is not one of this version (its id there is {config.id})")
    return config
