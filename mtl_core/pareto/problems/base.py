"""What a multi-objective problem is: losses to trade off against each other, and their data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from mtl_core.data.base import DataState
from mtl_core.direction import Direction
from mtl_core.errors import unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Budget", "Instance", "Objective", "Problem"]


@dataclass(frozen=True)
class Objective:
    """One loss of a problem, minimised.

    Args:
        metric: what people read instead of the loss, such as ``accuracy``; empty where the loss is
            all there is.
        direction: which way the metric is better.
    """

    name: str
    title: str
    metric: str = ""
    direction: Direction = "higher"


@dataclass(frozen=True)
class Budget:
    """How long and on how much; every field is one of ParetoConfig's.

    Args:
        solutions: N, how many preferences are solved for at once.
        iterations: steps of each of them.
        batch_size: examples of a step; None takes all, and has no meaning without data.
        frames: at how many steps, evenly spaced and the last always, the front is measured.
        samples: training examples; None takes all, and has no meaning without data.
        held_out: test examples that a front is measured on; None takes all.
    """

    solutions: int
    iterations: int
    lr: float
    optimizer: str = "sgd"
    batch_size: int | None = None
    frames: int = 50
    samples: int | None = None
    held_out: int | None = None


@dataclass(frozen=True)
class Instance:
    """A problem made ready: its data on a device, and pure functions of one solution's parameters.

    The N solutions are stacked by ``torch.func.vmap`` over the parameters, so each function takes
    the parameters of one solution and neither keeps state nor draws numbers.

    Args:
        start: a generator (on the CPU) to one solution's parameters, float32 (or float64 for
            problems in closed form), on the device. For networks every solution of a seed starts
            from the same parameters, since averages of others mean nothing.
        shared_start: whether that is so.
        together: ``losses`` of a few solutions at once, where a problem knows how to share work on
            a CPU: parameters stacked along a leading dimension, (G, ...), and a batch to (G, K).
            Losses and gradients of a solution must be the same to the last bit for every G.
        losses: parameters and a batch to the mean loss of each objective, (K,).
        metrics: parameters and a batch to the metric of each objective, (K,), a mean over
            examples; None where the losses are all there is.
        train: tensors with the examples first; a batch is these, indexed. Empty for a problem in
            closed form, whose batch is ().
        test: the same of held-out examples; empty as well.
    """

    start: "Callable[[torch.Generator], dict[str, Tensor]]"
    losses: "Callable[[Mapping[str, Tensor], tuple[Tensor, ...]], Tensor]"
    metrics: "Callable[[Mapping[str, Tensor], tuple[Tensor, ...]], Tensor] | None" = None
    train: "tuple[Tensor, ...]" = ()
    test: "tuple[Tensor, ...]" = ()
    shared_start: bool = True
    together: "Callable[[Mapping[str, Tensor], tuple[Tensor, ...]], Tensor] | None" = None


@dataclass(frozen=True)
class Problem:
    """A multi-objective problem. Metadata is cheap; ``load`` does the work.

    Args:
        reference: the hypervolume's reference point, in losses: worse than anything worth having.
            With ``ideal`` it is fixed here, beforehand: losses are scaled to
            (loss - ideal) / (reference - ideal), so that all objectives count alike and the
            hypervolume lies in 0..1.
        ideal: a point that no solution can beat; 0 for most losses.
        options: what a user must or may say to define it, such as a file: name to explanation.
        load: device, samples, held-out examples and options to the problem made ready. Raises
            DataMissing where its data is not on this machine, InputError for a bad option.
        data_state: where its data is, without reading it.
        front: where it is known, a number of points to that many points of the true front,
            (P, K), in losses.
        sources: the public data sets that it is made of, by their names in ``data.sources``.
        fingerprint: options to 16 hex digits of a hash of all its examples, train and test, for
            manifests; it reads the data and raises what ``load`` does. None without data.
        notes: options to what people should know of how its examples were made, a line each; it
            reads the data and raises what ``load`` does.
        parameters: of a solution; None where that is not known without loading.
        held_out: whether ``test`` holds examples that are not in ``train``.
        defined: options to the problem that they define, where objectives and reference depend on
            them and are empty here; see ``given``.
    """

    name: str
    title: str
    description: str
    objectives: tuple[Objective, ...]
    reference: tuple[float, ...]
    presets: Mapping[str, Budget]
    load: "Callable[[torch.device, int | None, int | None, Mapping[str, Any]], Instance]"
    data_state: Callable[[], DataState]
    ideal: tuple[float, ...] | None = None
    front: Callable[[int], NDArray[Any]] | None = None
    options: Mapping[str, str] | None = None
    sources: Sequence[str] = ()
    fingerprint: Callable[[Mapping[str, Any]], str] | None = None
    notes: Callable[[Mapping[str, Any]], Sequence[str]] | None = None
    defined: "Callable[[Mapping[str, Any]], Problem] | None" = None
    parameters: int | None = None
    held_out: bool = True

    @property
    def own_starts(self) -> bool:
        """Whether each solution of a seed has a start of its own: in closed form, where there are
        no networks that averages would destroy."""
        return self.fingerprint is None

    def given(self, options: Mapping[str, Any]) -> "Problem":
        """The problem with the objectives that ``options`` define; mostly the problem itself.

        Cheap: no file is read. Raises InputError for options that define none.
        """
        return self if self.defined is None else self.defined(options)

    def preset(self, name: str) -> Budget:
        """The preset called ``name``; raises InputError with the ones there are."""
        try:
            return self.presets[name]
        except (KeyError, TypeError):
            raise unknown(f"preset of {self.name}", name, self.presets) from None
