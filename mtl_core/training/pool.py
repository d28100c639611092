"""Single-threaded processes that train replicas side by side on a CPU."""

import os
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from mtl_core.config import RunConfig
from mtl_core.processes import end_with
from mtl_core.training.checkpoint import Checkpoint, State

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

__all__ = ["ReplicaPool", "cores"]

P = ParamSpec("P")
R = TypeVar("R")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ReplicaPool:
    """Warm processes, each by itself: when one dies the others go on, and a caller may choose one.
    They are loky's, which need no guarded ``__main__``.

    Args:
        processes: how many; default one per core.
        rehearse: whether a process trains a little when it starts, so that a first run is quick.
    """

    def __init__(self, processes: int | None = None, *, rehearse: bool = True) -> None:
        self.processes = processes or cores()
        self._rehearse = rehearse
        self._executors = [_executor(rehearse) for _ in range(self.processes)]
        self._under_way: list[list[Future[Any]]] = [[] for _ in range(self.processes)]

    def warm(self) -> None:
        """Start every process and let it get ready to train, without waiting for it."""
        for executor in self._executors:
            executor.submit(time.sleep, 0.0)

    def submit(
        self, config: RunConfig, seed: int, state: State | None, slice_seconds: float
    ) -> "Future[list[Checkpoint]]":
        """``advance`` for one replica, in the next free process."""
        return self.call(_advance, config, seed, state, slice_seconds)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Any function of a module, in a process that has nothing to do, or the least."""
        waiting = [sum(not one.done() for one in calls) for calls in self._under_way]
        return self.call_in(waiting.index(min(waiting)), function, *args, **kwargs)

    def call_in(
        self, place: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> "Future[R]":
        """Any function of a module, in the process at this place, from 0."""
        future: Future[R] = self._executors[place].submit(function, *args, **kwargs)
        under_way = [one for one in self._under_way[place] if not one.done()]
        self._under_way[place] = [*under_way, future]
        return future

    def renew(self, place: int) -> None:
        """Start another process in the place of one that died."""
        self._executors[place].shutdown(wait=False, kill_workers=True)
        self._executors[place] = _executor(self._rehearse)
        self._under_way[place] = []
        self._executors[place].submit(time.sleep, 0.0)

    def shutdown(self) -> None:
        """End the processes, after their current work."""
        for executor in self._executors:
            executor.shutdown(wait=True)

    def __enter__(self) -> "ReplicaPool":
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()


def _executor(rehearse: bool) -> "ProcessPoolExecutor":
    from loky import ProcessPoolExecutor

    arguments = (os.getpid(), rehearse)
    return ProcessPoolExecutor(1, initializer=_start, initargs=arguments, env=_ONE_THREAD)


def _start(parent: int, rehearse: bool) -> None:
    end_with(parent)

    import torch

    torch.set_num_threads(1)
    if rehearse:
        _train_a_little()


def _train_a_little() -> None:
    from mtl_core.training.replicas import advance

    # A first run would wait as long as for PyTorch itself: for what the optimizer imports, the
    # first convolution and the first backward pass.
    rehearsal = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("digits2",), epochs=1, samples=32, held_out=32
    )
    advance(rehearsal, (0,), None, slice_seconds=float("inf"))


def _advance(
    config: RunConfig, seed: int, state: State | None, slice_seconds: float
) -> list[Checkpoint]:
    from mtl_core.training.replicas import advance

    return advance(config, (seed,), state, slice_seconds=slice_seconds)
