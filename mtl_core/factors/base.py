"""What a factor is, and what a run offers to measure it with."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from mtl_core.direction import Direction
from mtl_core.errors import InputError

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mtl_core.config import RunConfig
    from mtl_core.factors.layerwise import ExampleGradients
    from mtl_core.factors.vectors import Loss

__all__ = ["MINI_BATCH", "Factor", "Phase", "Site", "Summary", "Terms", "too_few"]

MINI_BATCH = 16
"""Examples of a mini-batch for Fisher, as in the paper, and for covariance, where it says none."""

Phase = Literal["early", "end"]
Summary = Literal["last", "largest", "all"]
Value = TypeVar("Value")


class Site(Protocol):
    """A stack of R replicas after some steps: what a factor may ask when a run measures it.

    Which examples it gives depends on the task and the step, never on the seed, so that replicas
    differ by what they are and not by what they are measured on.

    Attributes:
        config: the experiment.
        params: θ, the parameters of the shared encoder: name -> (R, ...), detached.
        replicas: R.
        by_example: whether gradients of single examples are known (``true_gradients``); where they
            are not, every batch takes a backward pass of its own.
    """

    @property
    def config(self) -> "RunConfig": ...

    @property
    def params(self) -> "dict[str, Tensor]": ...

    @property
    def replicas(self) -> int: ...

    @property
    def by_example(self) -> bool: ...

    def first(self, task: str) -> "tuple[Tensor, Tensor]":
        """Inputs (N, ...) and targets (N, ...) that factors of the task are measured on."""
        ...

    def batches(
        self, task: str, parts: "Sequence[Tensor | slice]"
    ) -> "Iterator[tuple[Tensor, Tensor]]":
        """Inputs and targets of some of these examples at a time, by their numbers or as slices.

        To be preferred over indexing ``first``: what pads all texts of a batch is left out.
        """
        ...

    def loss(self, task: str) -> "Loss":
        """loss(params, (inputs, targets)) -> (R,), heads fixed."""
        ...

    def logits(self, task: str) -> "Callable[[dict[str, Tensor], Tensor], Tensor]":
        """logits(params, inputs) -> (R, N, C), heads fixed."""
        ...

    def samples_labels(self, task: str) -> bool:
        """Whether the task's output is a distribution to draw labels from."""
        ...

    def labels_generator(self, task: str) -> "Generator":
        """The source of the numbers that become labels."""
        ...

    def partition(self, use: str, task: str) -> "Tensor":
        """(m, MINI_BATCH) numbers of examples: disjoint random batches, others for each use."""
        ...

    def random_batches(self, task: str) -> "Tensor":
        """(n, B) numbers of examples: random batches of the size that the run trains on."""
        ...

    def true_gradients(self, task: str, replica: int) -> "ExampleGradients":
        """Of the examples' losses with the true labels."""
        ...

    def drawn_gradients(self, task: str, replica: int) -> "list[ExampleGradients]":
        """Of the losses with drawn labels, one for each draw; with true ones if none are drawn."""
        ...

    def once(self, compute: "Callable[[Site], Value]") -> Value:
        """``compute`` of this site, computed for the first who asks."""
        ...


@dataclass(frozen=True)
class Terms:
    """What a run's protocol says of every factor.

    Args:
        config: the experiment.
        examples: how many training examples of a task are measured on.
        theta: which parameters are differentiated by, and what is held fixed.
        samples_labels: whether the target's output is a distribution to draw labels from.
    """

    config: "RunConfig"
    examples: int
    theta: str
    samples_labels: bool

    @property
    def on(self) -> str:
        """Which examples these are."""
        return f"the first {self.examples:,} training examples of the task"


@dataclass(frozen=True)
class Factor:
    """A factor. Everything that differs between factors is declared here.

    Args:
        title: what people call it, in the middle of a sentence.
        about: what it is, for a glossary: Markdown and LaTeX that follow the title.
        measure: measure(site, task) -> (R,). Raises InputError where it cannot be measured, and
            FactorUndefined where a replica has no finite value.
        protocol: how a run measures it, with the choices that the paper leaves open.
        least, most: bounds of its values, which they may reach.
        direction: which way the paper takes it for better (M24 §4.1).
        explaining: whether it is one of the three that M24's Table 1 tries to explain transfer by.
        log_axis: whether charts draw it on a logarithmic axis.
        phase: of training, in which two runs are compared at equal loss (M24 App. C.4).
        summary: how a whole run becomes one number (M24 footnote 7): the mean of the last 20
            measurements, of the 20 largest, or of all.
        every_task: whether auxiliary tasks have it even if ``auxiliary_factors`` is off.
        caveat: caveat(site, task) -> how the value differs from what the title says, if it does.
        cosines: cosines(site) -> (R, K, K) of pairs of task gradients, where measuring the factor
            gives them; NaN where a gradient has no direction.
    """

    title: str
    about: str
    measure: "Callable[[Site, str], Tensor]"
    protocol: Callable[[Terms], str]
    least: float = -math.inf
    most: float = math.inf
    direction: Direction = "lower"
    explaining: bool = False
    log_axis: bool = True
    phase: Phase = "end"
    summary: Summary = "last"
    every_task: bool = False
    caveat: Callable[[Site, str], str | None] = lambda site, task: None
    cosines: "Callable[[Site], Tensor] | None" = None

    def allows(self, values: Any) -> bool:
        """Whether all values of an array lie within its bounds; NaN does."""
        return not bool(((values < self.least) | (values > self.most)).any())


def too_few(examples: int, needed: int) -> InputError:
    """The error for a factor that needs more examples than there are."""
    return InputError(
        f"{examples} training examples are fewer than the {needed} that it needs; take more"
    )
