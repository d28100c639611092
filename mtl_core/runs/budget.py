"""Budget: how much the runs that somebody asks for may take, and how much they will.

Estimates are known before anything is carried out, from configs alone: a link or a slip of the hand
can ask for more than a machine has.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from mtl_core.runs import kinds

__all__ = ["Budget", "Size", "size"]


@dataclass(frozen=True)
class Size:
    """What runs will take, about.

    Args:
        runs: how many there are.
        rows: of all tables, at most.
        stored: bytes that these take in the store.
        states: bytes that the runs keep in the store until they end.
        memory: bytes that a process needs for the largest of them, beside its libraries and data.
        seconds: how long they take side by side; None where nobody knows.
    """

    runs: int
    rows: int
    stored: int
    states: int
    memory: int
    seconds: float | None = None

    @property
    def words(self) -> str:
        """``1,200 rows (0.2 MB), 1.1 MB of states while they are carried out``."""
        return (
            f"{self.rows:,} rows ({_mb(self.stored)}), {_mb(self.states)} of states while they "
            "are carried out"
        )


@dataclass(frozen=True)
class Budget:
    """What runs that are asked for together may take.

    Args:
        stored: bytes of rows and states; ``MTL_MOST_MB``, in megabytes.
        memory: bytes of a process; ``MTL_MOST_MEMORY_MB``.
        seconds: of carrying out; ``MTL_MOST_HOURS``, in hours.
    """

    stored: int = 2 * 2**30
    memory: int = 4 * 2**30
    seconds: float = 24 * 3600.0

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """The usual one, where the environment has no other; nonsense there counts as not said."""
        usual = cls()
        return cls(
            stored=round(_said(environment, "MTL_MOST_MB", usual.stored / 2**20) * 2**20),
            memory=round(_said(environment, "MTL_MOST_MEMORY_MB", usual.memory / 2**20) * 2**20),
            seconds=_said(environment, "MTL_MOST_HOURS", usual.seconds / 3600) * 3600,
        )

    def excess(self, asked: Size) -> str | None:
        """Why runs are too much, in a line; None where they are not."""
        found = []
        if (stored := asked.stored + asked.states) > self.stored:
            found.append(f"{_mb(stored)} in the store (limit {_mb(self.stored)})")
        if asked.memory > self.memory:
            found.append(f"{_mb(asked.memory)} of memory (limit {_mb(self.memory)})")
        if asked.seconds is not None and asked.seconds > self.seconds:
            hours = f"{asked.seconds / 3600:,.0f} hours"
            found.append(f"{hours} (limit {self.seconds / 3600:,.0f})")
        if not found:
            return None
        return (
            f"these {asked.runs} runs would take about {' and '.join(found)}; ask for fewer seeds, "
            "checkpoints or solutions, or for a smaller network"
        )


def size(configs: Iterable[Any], seconds: float | None = None) -> Size:
    """What the runs of configs take, each with its seeds.

    Args:
        seconds: how long they take, where that is known.
    """
    runs = rows = stored = states = memory = 0
    for config in configs:
        kind = kinds.of(config)
        for name, most in kind.most_rows(config).items():
            rows += most
            stored += most * kind.tables[name].row_bytes
        each = kind.state_bytes(config)
        runs += len(config.seeds)
        states += each * len(config.seeds)
        # Parameters, gradients of all tasks, and copies of these on their way.
        tasks = len(getattr(config, "tasks", ())) or 2
        memory = max(memory, each * (2 + tasks))
    return Size(runs, rows, stored, states, memory, seconds)


def _mb(size: float) -> str:
    mb = size / 2**20
    return f"{mb:,.1f} MB" if mb < 100 else f"{mb:,.0f} MB"


def _said(environment: Mapping[str, str], name: str, usual: float) -> float:
    try:
        number = float(environment.get(name, ""))
    except ValueError:
        return usual
    return number if 0 < number < 1e12 else usual
