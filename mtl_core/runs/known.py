"""Known: what is known of a run or a front, whichever it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from mtl_core.config import RunConfig
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs.queue.records import Record

__all__ = ["Files", "Known"]

Config = TypeVar("Config", RunConfig, ParetoConfig)


class Files(Protocol):
    """What artifacts of both kinds have."""

    @property
    def manifest(self) -> Mapping[str, Any]: ...

    @property
    def folder(self) -> Path: ...

    @property
    def imported(self) -> bool:
        """Whether a user brought it from another machine; it did not ship with the app."""
        ...


Artifact = TypeVar("Artifact", bound=Files)


@dataclass(frozen=True)
class Known(Generic[Config, Artifact]):
    """All that is known of a run.

    Args:
        source: ``artifact`` (shipped or imported), ``store`` (trained here, or being trained), or
            ``none``.
    """

    config: Config
    source: Literal["artifact", "store", "none"]
    record: Record[Config] | None = None
    artifact: Artifact | None = None

    @property
    def state(self) -> str:
        """``done`` or the state of the run in the store; ``new`` when nobody asked before."""
        if self.artifact is not None:
            return "done"
        return self.record.state if self.record else "new"

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.artifact is None and self.record is not None and self.record.active

    @property
    def origin(self) -> Literal["own", "imported", "shipped", "nowhere"]:
        """Where it comes from, in a word; own runs are those of this machine's store."""
        if self.artifact is not None:
            return "imported" if self.artifact.imported else "shipped"
        return "own" if self.record else "nowhere"

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Where the numbers come from: device, versions, data fingerprint."""
        if self.artifact is not None:
            return self.artifact.manifest
        return self.record.info if self.record else {}
