"""What data is: splits of examples, and whether they are on this machine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

__all__ = ["DataState", "Split", "Stamp", "TaskData", "stamp_of"]

Stamp = tuple[tuple[str, int, int], ...]
"""Path, time of change and size of each file."""


@dataclass(frozen=True)
class Split:
    """Examples of one split.

    Args:
        inputs: (N, ...): images (N, C, H, W), float32 normalised or uint8 for the encoder to
            normalise; tokens (N, L) int64; vectors (N, D) float32.
        targets: (N,) or, for each pixel, (N, H, W): int64 classes, -1 where there is none, or
            float32 values, NaN where there is none.
    """

    inputs: NDArray[Any]
    targets: NDArray[Any]

    def first(self, count: int | None) -> "Split":
        """The first ``count`` examples (None: all). Every prefix is as balanced as can be."""
        return Split(self.inputs[:count], self.targets[:count])


@dataclass(frozen=True)
class TaskData:
    """The fixed splits of one task; validation and test share no example with training."""

    train: Split
    val: Split
    test: Split

    def __iter__(self) -> Iterator[Split]:
        return iter((self.train, self.val, self.test))


@dataclass(frozen=True)
class DataState:
    """Whether a setting's data is on this machine.

    Args:
        message: for people: where the data was found, or how to get it.
        files: those that were found; none for data that comes with the app.
    """

    state: Literal["found", "downloadable", "missing"]
    message: str
    files: tuple[Path, ...] = ()

    @property
    def stamp(self) -> Stamp:
        """Changes when a file is replaced: a key for what was read from them."""
        return stamp_of(self.files)


def stamp_of(files: Iterable[Path]) -> Stamp:
    """A key for what is read from some files."""
    found = ((str(file), file.stat()) for file in files)
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)
