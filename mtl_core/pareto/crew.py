"""A crew: processes of a pool that compute some of the solutions each, on a CPU."""

from collections.abc import Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core.pareto.config import ParetoConfig
from mtl_core.training.pool import ReplicaPool

if TYPE_CHECKING:
    from mtl_core.pareto.solver import Solver

__all__ = ["Crew"]

Seeds = tuple[int, ...]


class Crew:
    """Processes that have the problem's data, one thread each.

    They compute the same numbers as this process, to the last bit, so this process goes ahead on
    its own until they are ready.
    """

    def __init__(self, config: ParetoConfig, seeds: Seeds, pool: ReplicaPool) -> None:
        # Every crew reads the data anew: a file may have been replaced since the last one.
        self._asked = (uuid4().hex, config.to_dict(), seeds)
        self._pool = pool
        self._loading = [pool.call(_load, *self._asked) for _ in range(pool.processes)]

    @property
    def ready(self) -> bool:
        """Whether they have the data; raises the error of loading it, if any."""
        if self._loading and all(future.done() for future in self._loading):
            for future in self._loading:
                future.result()
            self._loading = []
        return not self._loading

    def compute(self, what: str, step: int, solutions: Tensor) -> Tensor:
        """``Solver.part`` of all solutions, (S, N, P) -> (S, N, ...)."""
        seeds, size = solutions.shape[:2]
        rows = [(seed, index) for seed in range(seeds) for index in range(size)]
        vectors = solutions.flatten(0, 1).numpy()
        futures: list[Future[NDArray[Any]]] = []
        for part in np.array_split(np.arange(len(rows)), min(self._pool.processes, len(rows))):
            chosen = slice(int(part[0]), int(part[-1]) + 1)
            futures.append(
                self._pool.call(_part, *self._asked, what, step, rows[chosen], vectors[chosen])
            )
        found = np.concatenate([future.result() for future in futures])
        return torch.from_numpy(found).unflatten(0, (seeds, size))  # type: ignore[no-any-return, no-untyped-call]


def _load(crew: str, config: dict[str, Any], seeds: Seeds) -> None:
    _solver(crew, ParetoConfig.from_dict(config), seeds)


def _part(
    crew: str,
    config: dict[str, Any],
    seeds: Seeds,
    what: str,
    step: int,
    rows: Sequence[tuple[int, int]],
    vectors: NDArray[Any],
) -> NDArray[Any]:
    solver = _solver(crew, ParetoConfig.from_dict(config), seeds)
    # Arrays from another process are read-only, which PyTorch warns of.
    found = solver.part(what, step, rows, torch.from_numpy(np.array(vectors)))
    return np.asarray(found.numpy())


@lru_cache(maxsize=2)
def _solver(crew: str, config: ParetoConfig, seeds: Seeds) -> "Solver":
    from mtl_core.pareto.solver import Solver

    return Solver(config, seeds, torch.device("cpu"))
