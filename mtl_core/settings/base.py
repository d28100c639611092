"""What a setting is: tasks on data sets, an encoder to share, and budgets to try it at."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import unknown

if TYPE_CHECKING:
    from torch import nn

__all__ = ["DataState", "Preset", "Setting", "Split", "Task", "TaskData"]

Metric = Literal["accuracy"]


@dataclass(frozen=True)
class Task:
    """One task of a setting, known without its data.

    ``expected`` is what the construction of the task promises as an auxiliary: ``helpful`` (more
    data of the target's distribution), ``harmful`` (noise), or nothing. ``samples_labels``: whether
    the output is a distribution that labels can be drawn from; else Fisher is the empirical one.
    """

    name: str
    title: str
    classes: int
    train_size: int
    val_size: int
    test_size: int
    metric: Metric = "accuracy"
    higher_is_better: bool = True
    expected: Literal["helpful", "harmful"] | None = None
    samples_labels: bool = True


@dataclass(frozen=True)
class Split:
    """Examples of one split. inputs: (N, C, H, W) float32, normalised; targets: (N,) int64."""

    inputs: NDArray[np.float32]
    targets: NDArray[np.int64]

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
class Preset:
    """A budget: how long and on how much; every field is one of RunConfig's."""

    epochs: int
    batch_size: int
    lr: float
    width: int
    samples: int | None = None
    held_out: int | None = None
    early_checkpoints: int = 6
    factor_points: int | None = None
    factor_examples: int = 2048
    apgd_steps: int = 20
    fisher_draws: int = 10
    similarity_batches: int = 200


@dataclass(frozen=True)
class DataState:
    """Whether a setting's data is on this machine.

    ``message`` is for people: where the data was found, or how to get it.
    """

    state: Literal["found", "downloadable", "missing"]
    message: str


@dataclass(frozen=True)
class Setting:
    """A multi-task setting. Metadata is cheap; ``load`` and ``encoder`` do the work.

    Args:
        load: task names to their data; raises DataMissing when it is not on this machine.
        encoder: width to the shared encoder, a module mapping (N, C, H, W) to (N, F) with the
            attribute ``features`` = F. Its parameters are θ.
        data_state: where the data is, without reading it.
        source: the data set that can be downloaded for this setting, if any.
    """

    name: str
    title: str
    description: str
    tasks: tuple[Task, ...]
    default_target: str
    presets: Mapping[str, Preset]
    load: Callable[[Sequence[str]], dict[str, TaskData]]
    encoder: Callable[[int], "nn.Module"]
    data_state: Callable[[], DataState]
    source: str | None = None

    def task(self, name: str) -> Task:
        """The task called ``name``; raises InputError with the ones there are."""
        for task in self.tasks:
            if task.name == name:
                return task
        raise unknown(f"task of {self.name}", name, [task.name for task in self.tasks])

    def preset(self, name: str) -> Preset:
        """The preset called ``name``; raises InputError with the ones there are."""
        try:
            return self.presets[name]
        except (KeyError, TypeError):
            raise unknown(f"preset of {self.name}", name, self.presets) from None
