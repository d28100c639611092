"""Collected: what the checkpoints of one run have brought, on its way to an artifact."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.config import RunConfig
from mtl_core.runs import artifacts
from mtl_core.trajectory import SIDE_TABLES, Row

if TYPE_CHECKING:
    from mtl_core.training.checkpoint import Checkpoint

__all__ = ["Collected"]


@dataclass
class Collected:
    """Rows, side tables and notes so far."""

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
        from mtl_core.runs.frames import side_frame, to_frame

        artifacts.write(
            folder,
            config,
            to_frame(self.rows),
            {**info, "notes": sorted(self.notes)},
            {name: side_frame(name, rows) for name, rows in self.side.items()},
        )
