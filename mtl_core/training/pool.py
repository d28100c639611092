"""Single-threaded processes that train replicas side by side on a CPU."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ParamSpec, TypeVar

from loky import ProcessPoolExecutor

from mtl_core.config import RunConfig
from mtl_core.training.checkpoint import Checkpoint, State

__all__ = ["ReplicaPool", "cores"]

P = ParamSpec("P")
R = TypeVar("R")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ReplicaPool:
    """A pool of warm processes; loky's, since they need no guarded ``__main__``.

    Args:
        processes: how many; default one per core.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or cores()
        self._executor = ProcessPoolExecutor(
            self.processes, initializer=_start, initargs=(os.getpid(),), env=_ONE_THREAD
        )

    def warm(self) -> None:
        """Start every process and let it get ready to train, without waiting for it."""
        for _ in range(self.processes):
            self._executor.submit(time.sleep, 0.2)

    def submit(
        self, config: RunConfig, seed: int, state: State | None, slice_seconds: float
    ) -> "Future[list[Checkpoint]]":
        """``advance`` for one replica, in the next free process."""
        return self.call(_advance, config.to_dict(), seed, state, slice_seconds)

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        """Any function of a module, in the next free process."""
        future: Future[R] = self._executor.submit(function, *args, **kwargs)
        return future

    def shutdown(self) -> None:
        """End the processes, after the slices that they are in."""
        self._executor.shutdown(wait=True)

    def __enter__(self) -> "ReplicaPool":
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()


def _start(parent: int) -> None:
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()

    import torch

    from mtl_core.training.replicas import advance

    torch.set_num_threads(1)
    # A first run would wait as long as for PyTorch itself: for what the optimizer imports, the
    # first convolution and the first backward pass.
    rehearsal = RunConfig.from_preset(
        "digits", "quick", auxiliaries=("digits2",), epochs=1, samples=32, held_out=32
    )
    advance(rehearsal, (0,), None, slice_seconds=float("inf"))


def _end_with_parent(parent: int) -> None:
    """A pool outlives nobody: when its owner was killed, it frees the cores."""
    while os.name == "nt" or os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _advance(
    config: dict[str, Any], seed: int, state: State | None, slice_seconds: float
) -> list[Checkpoint]:
    from mtl_core.training.replicas import advance

    return advance(RunConfig.from_dict(config), (seed,), state, slice_seconds=slice_seconds)
