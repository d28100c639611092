"""What a setting is: tasks on data sets, an encoder to share, and budgets to try it at."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mtl_core.data.base import DataState, Split, Stamp, TaskData
from mtl_core.data.pretrained import Pretrained
from mtl_core.direction import Direction
from mtl_core.errors import unknown
from mtl_core.settings.apgd import Lost

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "METRIC_RANGES",
    "DataState",
    "Loss",
    "Metric",
    "Preset",
    "Relatedness",
    "Setting",
    "Split",
    "Stamp",
    "Task",
    "TaskData",
]

Loss = Literal["cross_entropy", "squared_error", "absolute_error"]
Metric = Literal["accuracy", "mean_iou", "matthews", "pearson", "absolute_error"]
METRIC_RANGES: Mapping[Metric, tuple[float, float]] = {
    "accuracy": (0, 1),
    "mean_iou": (0, 1),
    "matthews": (-1, 1),
    "pearson": (-1, 1),
    "absolute_error": (0, math.inf),
}


@dataclass(frozen=True)
class Task:
    """One task of a setting, known without its data.

    Args:
        classes: outputs of its head for each example or pixel; 1 for regression.
        metric: of validation and test; shares lie in 0..1, correlations in -1..1.
        expected: what the construction of the task promises as an auxiliary: ``helpful`` (more
            data of the target's distribution), ``harmful`` (noise), or nothing.
        loss: of an example; an image's is the mean over its pixels that have a target.
    """

    name: str
    title: str
    classes: int
    train_size: int
    val_size: int
    test_size: int
    metric: Metric = "accuracy"
    expected: Literal["helpful", "harmful"] | None = None
    loss: Loss = "cross_entropy"

    @property
    def direction(self) -> Direction:
        """Which way the metric is better."""
        return "lower" if self.metric == "absolute_error" else "higher"

    @property
    def samples_labels(self) -> bool:
        """Whether the output is a distribution to draw labels from; else Fisher is empirical."""
        return self.loss == "cross_entropy"


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
class Relatedness:
    """What is known of an auxiliary before it is trained.

    Args:
        cosine: of its true function with the target's, under the distribution of the inputs.
        measured: the same on its training inputs.
        label_noise: the share of its labels that its own true function does not give.
        label_agreement: the share of its labels that the target's true function gives.
    """

    cosine: float
    measured: float
    label_noise: float
    label_agreement: float


@dataclass(frozen=True)
class Setting:
    """A multi-task setting. Metadata is cheap; ``load`` and ``encoder`` do the work.

    Args:
        load: task names to their data; raises DataMissing when it is not on this machine.
        encoder: width to the shared encoder, a module mapping inputs to features (N, F) with the
            attribute ``features`` = F, or to maps of them (N, F, H, W). Its parameters are θ. Where
            inputs may end in padding it has a method ``lengths`` (``training.padding``).
        parameters: width to how many the encoder has, without building it.
        data_state: where the data is, without reading it.
        sources: the public data sets that it is made of, by their names in ``sources``.
        head: F and a task to its head, a module from features to outputs (N, classes), or
            (N, classes, H, W) for each pixel; None for a linear one.
        one_input: whether all tasks are on the same examples, so that a step encodes one batch.
        batch_norm: whether the encoder has BatchNorm (``networks.batch_norm``).
        apgd_lost: what fewer steps of APGD than the paper's lose of sharpness on its encoder, as
            far as that was measured.
        relatedness: an auxiliary and a target to what they have in common, where that is known.
        pretrained: the model on this machine that the encoder starts from, if it is one that users
            choose: it counts in the data's fingerprint, and figures name it. None without one.
    """

    name: str
    title: str
    description: str
    tasks: tuple[Task, ...]
    default_target: str
    presets: Mapping[str, Preset]
    load: Callable[[Sequence[str]], dict[str, TaskData]]
    encoder: Callable[[int], "nn.Module"]
    parameters: Callable[[int], int]
    data_state: Callable[[], DataState]
    sources: tuple[str, ...] = ()
    head: "Callable[[int, Task], nn.Module] | None" = None
    one_input: bool = False
    batch_norm: bool = False
    apgd_lost: Lost = field(default_factory=dict)
    relatedness: Callable[[str, str], Relatedness] | None = None
    pretrained: Callable[[], Pretrained | None] = lambda: None

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
