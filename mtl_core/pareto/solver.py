"""Solver: the solutions of some seeds, where they stand and how they step."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core.errors import TrainingDiverged
from mtl_core.pareto import transfer, weighing
from mtl_core.pareto.config import BASELINES, ParetoConfig
from mtl_core.pareto.front import Front, State
from mtl_core.pareto.gradients import Batch, Each, OfExamples, Stacked
from mtl_core.pareto.vectors import Vectors
from mtl_core.training.batches import BatchStream, derived_seed

__all__ = ["Help", "Solver"]

SHOWN = 64
"""Dimensions up to which a front shows the solutions themselves."""

CHUNK = 250
"""Examples measured at once, of up to ``SMALL`` numbers each; fewer of larger ones."""

SMALL = 3 * 64 * 64

_MEAN, _SQUARE, _SMALL = 0.9, 0.999, 1e-8


class Help(Protocol):
    """Other processes that compute parts."""

    @property
    def ready(self) -> bool:
        """Whether they can begin."""
        ...

    def compute(self, what: str, step: int, solutions: Tensor) -> Tensor:
        """``Solver.part`` of all solutions, (S, N, P) -> (S, N, ...)."""
        ...


class Solver:
    """S seeds of a config, N solutions each.

    Attributes:
        step: iterations so far.
        solutions: (S, N, P).
        help: other processes that compute parts of them, if any.
        alone: seconds of the latest iteration that this process computed alone; 0 before.
    """

    def __init__(self, config: ParetoConfig, seeds: tuple[int, ...], device: torch.device) -> None:
        self.config = config
        self.seeds = seeds
        self.step = 0
        self.help: Help | None = None
        self.alone = 0.0
        self._seconds = 0.0
        problem = config.definition
        options = dict(config.problem_options)
        self._instance = problem.load(device, config.samples, config.held_out, options)
        starts = [self._starts(seed) for seed in seeds]
        self._vectors = Vectors(starts[0][0])
        self.solutions = torch.stack(
            [torch.stack([self._vectors.row(start) for start in of]) for of in starts]
        )
        self._stacked: Stacked | None = None
        if not self._instance.train or device.type == "cuda":
            self._stacked = Stacked(self._instance, self._vectors)
        self._each = Each(self._instance, self._vectors)
        self._weigh = weighing.create(config, self.solutions)
        method = "independent" if config.method in BASELINES else config.method
        self._transfer = transfer.create(
            method, config.weights, device, **dict(config.method_options)
        )
        self.solutions = self._transfer.begin(self.solutions)
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

    def advance(self, until: int, seconds: float = float("inf")) -> None:
        """Step on to step ``until``, or for about so many seconds."""
        started = time.perf_counter()
        with _single_thread(self._device):
            while self.step < until and time.perf_counter() - started < seconds:
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
        with _single_thread(self._device):
            train = self._measured("train")
            self._check_finite(train)
            test = self._measured("test") if instance.test else None
            told = instance.test and instance.metrics is not None
            metrics = self._measured("metrics") if told else None
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

    def states(self) -> dict[int, State]:
        """What each seed can be resumed from."""
        return {seed: self._state(s) for s, seed in enumerate(self.seeds)}

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

    def part(
        self, what: str, step: int, rows: Sequence[tuple[int, int]], vectors: Tensor
    ) -> Tensor:
        """``directions`` at a step, or the measured ``train``, ``test`` or ``metrics``.

        Args:
            rows: (seed's place, solution) of each.
            vectors: these solutions, (R, P).

        Returns:
            (R, P) directions; or (R, K) means over examples, in float64.
        """
        if what == "directions":
            self._weigh.step = step
            here = {seed for seed, _ in rows}
            batches = [self._batch(s, step) if s in here else () for s in range(len(self.seeds))]
            return self._each.directions(rows, vectors, batches, self._weigh)
        function, chunks, shares = self._measure(what)
        return torch.stack(
            [shares @ self._each.measure(function, v, chunks).double() for v in vectors]
        )

    def _state(self, s: int) -> State:
        values = {"solutions": self.solutions, **self._moments}
        values |= {f"transfer/{name}": value for name, value in self._memory.items()}
        return {
            "step": np.array(self.step),
            "seconds": np.array(self._seconds / len(self.seeds)),
            **{name: value[s].cpu().numpy().copy() for name, value in values.items()},
        }

    def _iterate(self) -> None:
        change = self._change(self._directions())
        matrix = self._transfer.matrix(self._memory, self.step)
        mixed = self.solutions
        if matrix is not None:
            mixed = matrix.to(mixed.dtype) @ mixed
        moved = mixed - change
        if self._memory:
            self._memory = self._transfer.observe(self._memory, mixed.double(), moved.double())
        self._matrix = matrix
        self.solutions = moved
        self.step += 1

    def _directions(self) -> Tensor:
        if self._stacked is None:
            return self._parts("directions")
        self._weigh.step = self.step
        batches = [self._batch(seed, self.step) for seed in range(len(self.seeds))]
        return self._stacked.directions(self.solutions, batches, self._weigh)

    def _parts(self, what: str) -> Tensor:
        """(S, N, ...), computed here or in helper processes."""
        if self.help is not None and self.help.ready:
            return self.help.compute(what, self.step, self.solutions)
        started = time.perf_counter()
        seeds, size, _ = self.solutions.shape
        rows = [(seed, index) for seed in range(seeds) for index in range(size)]
        found = self.part(what, self.step, rows, self.solutions.flatten(0, 1))
        if what == "directions":
            self.alone = time.perf_counter() - started
        return found.view(seeds, size, -1)

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

    def _batch(self, seed: int, step: int) -> Batch:
        train = self._instance.train
        if not train or self.config.batch_size is None:
            return train
        index = torch.from_numpy(self._streams[seed].batch(step)).to(self._device)
        return tuple(tensor[index] for tensor in train)

    def _starts(self, seed: int) -> list[dict[str, Tensor]]:
        """Decided by the seed and the preference, not by how many others there are."""
        rows = self.config.weights.round(12).tolist()
        # MGDA ends where its start decides, so even networks get one each.
        shared = self._instance.shared_start and self.config.method != "mgda"
        shared = shared or self.config.start == "shared"
        keys = [f"{seed}/start" if shared else f"{seed}/start/{row}" for row in rows]
        drawn = {
            key: self._instance.start(torch.Generator().manual_seed(derived_seed(key)))
            for key in dict.fromkeys(keys)
        }
        return [drawn[key] for key in keys]

    def _measured(self, what: str) -> NDArray[np.float64]:
        """(S, N, K), means over examples."""
        if self._stacked is None:
            return np.asarray(self._parts(what).numpy())
        function, chunks, shares = self._measure(what)
        found = self._stacked.measure(function, self.solutions, chunks).double()
        return np.asarray((shares @ found).cpu().numpy())

    def _measure(self, what: str) -> tuple[OfExamples, list[Batch], Tensor]:
        """A function, the chunks of examples that it is measured on, and the share of each."""
        instance = self._instance
        examples = instance.test
        if what == "train":
            count = len(instance.test[0]) if instance.test else None
            examples = tuple(tensor[:count] for tensor in instance.train)
        function = instance.metrics if what == "metrics" else instance.losses
        assert function is not None
        size = len(examples[0]) if examples else 1
        most = (
            max(1, min(CHUNK, CHUNK * SMALL // max(examples[0][0].numel(), 1))) if examples else 1
        )
        chunks = [tuple(t[i : i + most] for t in examples) for i in range(0, size, most)]
        lengths = [min(most, size - i) / size for i in range(0, size, most)]
        return function, chunks, torch.tensor(lengths, dtype=torch.float64, device=self._device)

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
def _single_thread(device: torch.device) -> Iterator[None]:
    """On a CPU, sums in one order: results that do not depend on the number of cores."""
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
