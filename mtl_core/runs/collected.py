"""Collected: what one run or one front has brought so far, on its way to an artifact."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.config import RunConfig
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.front import Front
from mtl_core.runs import front_artifacts
from mtl_core.runs.library import artifacts
from mtl_core.trajectory import SIDE_TABLES, Row

if TYPE_CHECKING:
    from mtl_core.training.checkpoint import Checkpoint

__all__ = ["Collected", "CollectedFronts"]


@dataclass
class Collected:
    """Rows, side tables and notes of a run."""

    rows: list[Row] = field(default_factory=list)
    side: dict[str, list[Mapping[str, Any]]] = field(
        default_factory=lambda: {name: [] for name in SIDE_TABLES}
    )
    notes: set[str] = field(default_factory=set)

    def add(self, checkpoint: "Checkpoint") -> None:
        """Take what a checkpoint has measured."""
        self.rows += checkpoint.rows
        self.notes |= set(checkpoint.notes)
        for name, rows in self.side.items():
            rows += getattr(checkpoint, name)

    def write(self, folder: Path, config: RunConfig, info: Mapping[str, Any]) -> None:
        """Write it as an artifact. Raises InputError when the folder cannot be written."""
        from mtl_core.runs.library.frames import side_frame, to_frame

        artifacts.write(
            folder,
            config,
            to_frame(self.rows),
            {**info, "notes": sorted(self.notes)},
            {name: side_frame(name, rows) for name, rows in self.side.items()},
        )


@dataclass
class CollectedFronts:
    """Fronts of all seeds, without what they could be resumed from."""

    fronts: list[Front] = field(default_factory=list)

    def add(self, fronts: Iterable[Front]) -> None:
        """Take fronts in any order; an artifact must have the same steps of every seed."""
        self.fronts += [replace(front, state={}) for front in fronts]

    def write(self, folder: Path, config: ParetoConfig, info: Mapping[str, Any]) -> None:
        """Write them as an artifact. Raises InputError when the folder cannot be written."""
        from mtl_core.runs.fronts import front_table, transfer_table

        front_artifacts.write(
            folder,
            config,
            front_table(config, self.fronts),
            transfer_table(self.fronts),
            info,
        )
