"""Solver: the solutions of some seeds, where they stand and how they step."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core.errors import TrainingDiverged
from mtl_core.pareto import transfer, weighing
from mtl_core.pareto.config import BASELINES, ParetoConfig
from mtl_core.pareto.front import Front, State
from mtl_core.pareto.gradients import Batch, Directions, Each, OfExamples, Stacked
from mtl_core.pareto.vectors import Vectors
from mtl_core.training.batches import BatchStream, derived_seed

__all__ = ["Solver"]

SHOWN = 64
"""Dimensions up to which a front shows the solutions themselves."""

CHUNK = 250
"""Examples measured at once."""

_MEAN, _SQUARE, _SMALL = 0.9, 0.999, 1e-8


class Solver:
    """S seeds of a config, N solutions each.

    Attributes:
        step: iterations so far.
        solutions: (S, N, P).
    """

    def __init__(self, config: ParetoConfig, seeds: tuple[int, ...], device: torch.device) -> None:
        self.config = config
        self.seeds = seeds
        self.step = 0
        self._seconds = 0.0
        problem = config.definition
        options = dict(config.problem_options)
        self._instance = problem.load(device, config.samples, config.held_out, options)
        starts = [self._starts(seed) for seed in seeds]
        self._vectors = Vectors(starts[0][0])
        self.solutions = torch.stack(
            [torch.stack([self._vectors.row(start) for start in of]) for of in starts]
        )
        stacked = not self._instance.train or device.type == "cuda"
        strategy = Stacked if stacked else Each
        self._directions: Directions = strategy(self._instance, self._vectors)
        self._weigh = weighing.create(config, self.solutions)
        method = "independent" if config.method in BASELINES else config.method
        self._transfer = transfer.create(
            method, config.weights, device, **dict(config.method_options)
        )
        self._memory = self._transfer.start(self.solutions.double())
        self._matrix: Tensor | None = None
        self._moments: dict[str, Tensor] = {}
        if config.optimizer == "adam":
            zeros = torch.zeros_like(self.solutions)
            self._moments = {"mean": zeros, "square": zeros.clone()}
        self._device = device
        size = len(self._instance.train[0]) if self._instance.train else 0
        self._streams = [
            BatchStream(seed, config.problem, size, min(config.batch_size or size, size))
            for seed in seeds
        ]

    def advance(self, until: int) -> None:
        """Step on to step ``until``."""
        started = time.perf_counter()
        with _threads(self._device, 1 if not self._instance.train else None):
            while self.step < until:
                self._iterate()
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
        self._seconds += time.perf_counter() - started

    def fronts(self) -> list[Front]:
        """Measure every seed's front where it stands.

        Raises:
            TrainingDiverged: when a loss is not finite.
        """
        instance, config = self._instance, self.config
        count = len(instance.test[0]) if instance.test else None
        train = self._mean(instance.losses, tuple(t[:count] for t in instance.train))
        self._check_finite(train)
        test = self._mean(instance.losses, instance.test) if instance.test else None
        metrics = None
        if instance.test and instance.metrics is not None:
            metrics = self._mean(instance.metrics, instance.test)
        shown = not instance.train and self.solutions.shape[2] <= SHOWN
        size = self.solutions.shape[1]
        matrices = torch.eye(size, dtype=torch.float64).expand(len(self.seeds), size, size)
        if self._matrix is not None:
            matrices = self._matrix.cpu().expand_as(matrices)
        return [
            Front(
                seed=seed,
                step=self.step,
                evaluations=self.step * size * config.passes,
                seconds=self._seconds / len(self.seeds),
                train=train[s],
                test=None if test is None else test[s],
                metrics=None if metrics is None else metrics[s],
                matrix=matrices[s].numpy().copy(),
                solutions=self.solutions[s].double().cpu().numpy().copy() if shown else None,
                state=self._state(s),
            )
            for s, seed in enumerate(self.seeds)
        ]

    def restore(self, states: Sequence[State]) -> None:
        """Go on from states of the same config and step, one for each seed."""
        self.step = int(states[0]["step"])
        self._seconds = sum(float(state["seconds"]) for state in states)

        def stacked(name: str, like: Tensor) -> Tensor:
            arrays = [np.array(state[name]) for state in states]
            return torch.from_numpy(np.stack(arrays)).to(like)

        self.solutions = stacked("solutions", self.solutions)
        self._moments = {name: stacked(name, old) for name, old in self._moments.items()}
        self._memory = {
            name: stacked(f"transfer/{name}", old) for name, old in self._memory.items()
        }

    def _state(self, s: int) -> State:
        values = {"solutions": self.solutions, **self._moments}
        values |= {f"transfer/{name}": value for name, value in self._memory.items()}
        return {
            "step": np.array(self.step),
            "seconds": np.array(self._seconds / len(self.seeds)),
            **{name: value[s].cpu().numpy().copy() for name, value in values.items()},
        }

    def _iterate(self) -> None:
        if isinstance(self._weigh, weighing.ParetoMtl):
            self._weigh.step = self.step
        gradients = self._directions(self.solutions, self._batches(), self._weigh)
        change = self._change(gradients)
        matrix = self._transfer.matrix(self._memory, self.step)
        mixed = self.solutions
        if matrix is not None:
            mixed = matrix.to(mixed.dtype) @ mixed
        moved = mixed - change
        if len(self._memory):
            self._memory = self._transfer.observe(self._memory, mixed.double(), moved.double())
        self._matrix = matrix
        self.solutions = moved
        self.step += 1

    def _change(self, gradients: Tensor) -> Tensor:
        """The step itself, (S, N, P). Products and sums are rounded one by one, never fused, so
        that a number does not depend on where in a vector it lies."""
        if not self._moments:
            return gradients * self.config.lr
        mean = self._moments["mean"] * _MEAN + gradients * (1 - _MEAN)
        square = self._moments["square"] * _SQUARE + gradients * gradients * (1 - _SQUARE)
        self._moments = {"mean": mean, "square": square}
        taken = self.step + 1
        length = (square / (1 - _SQUARE**taken)).sqrt() + _SMALL
        return mean / length * (self.config.lr / (1 - _MEAN**taken))

    def _batches(self) -> list[Batch]:
        train = self._instance.train
        if not train:
            return [()] * len(self.seeds)
        if self.config.batch_size is None:
            return [train] * len(self.seeds)
        found = []
        for stream in self._streams:
            index = torch.from_numpy(stream.batch(self.step)).to(self._device)
            found.append(tuple(tensor[index] for tensor in train))
        return found

    def _starts(self, seed: int) -> list[dict[str, Tensor]]:
        """Decided by the seed and the preference, not by how many others there are."""
        rows = self.config.weights.round(12).tolist()
        # MGDA ends where its start decides, so even networks get one each.
        shared = self._instance.shared_start and self.config.method != "mgda"
        keys = [f"{seed}/start" if shared else f"{seed}/start/{row}" for row in rows]
        drawn = {
            key: self._instance.start(torch.Generator().manual_seed(derived_seed(key)))
            for key in dict.fromkeys(keys)
        }
        return [drawn[key] for key in keys]

    def _mean(self, function: OfExamples, examples: Batch) -> NDArray[np.float64]:
        """(S, N, K): the mean over examples, taken in chunks."""
        if not examples:
            return self._measure(function, ())
        size = len(examples[0])
        parts = []
        for first in range(0, size, CHUNK):
            part = tuple(tensor[first : first + CHUNK] for tensor in examples)
            parts.append(self._measure(function, part) * (len(part[0]) / size))
        total: NDArray[np.float64] = np.sum(parts, axis=0)
        return total

    def _measure(self, function: OfExamples, on: Batch) -> NDArray[np.float64]:
        measured = self._directions.measure(function, self.solutions, on).double().cpu()
        return np.asarray(measured.numpy())

    def _check_finite(self, losses: NDArray[np.float64]) -> None:
        config = self.config
        for s, seed in enumerate(self.seeds):
            bad = np.argwhere(~np.isfinite(losses[s]))
            if len(bad):
                solution, objective = bad[0]
                raise TrainingDiverged(
                    f"solving diverged: {config.definition.objectives[objective].name!r} of "
                    f"solution {solution} is {losses[s][solution, objective]} at step {self.step} "
                    f"of seed {seed} with {config.optimizer}, lr {config.lr:g}; choose a smaller "
                    "learning rate"
                )


@contextmanager
def _threads(device: torch.device, count: int | None) -> Iterator[None]:
    """Little problems are faster on one thread; networks take as many as there are."""
    before = torch.get_num_threads()
    if device.type == "cpu" and count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
