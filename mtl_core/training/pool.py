"""Single-threaded processes that train replicas side by side on a CPU."""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from mtl_core.config import RunConfig
from mtl_core.processes import end_with
from mtl_core.training.checkpoint import Checkpoint, State
from mtl_core.watch import SEES, Watch, sign

if TYPE_CHECKING:
    from loky import ProcessPoolExecutor

__all__ = ["ReplicaPool", "cores"]

P = ParamSpec("P")
R = TypeVar("R")

_NOBODY = 0
"""No process has this id."""
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ReplicaPool:
    """Warm processes, each by itself: when one dies the others go on, and a caller may choose one.
    They are loky's, which need no guarded ``__main__``. A caller that waits for long asks for
    ``troubles`` meanwhile, and renews what has some.

    Args:
        processes: how many; default one per core.
        rehearse: whether a process trains a little when it starts, so that a first run is quick.
        idle_seconds: after which a process with nothing to do ends, until it is needed again.
    """

    def __init__(
        self,
        processes: int | None = None,
        *,
        rehearse: bool = True,
        idle_seconds: float | None = None,
    ) -> None:
        self.processes = processes or cores()
        self._rehearse = rehearse
        self._idle_seconds = idle_seconds
        self._executors = [self._executor() for _ in range(self.processes)]
        self._under_way: list[list[Future[Any]]] = [[] for _ in range(self.processes)]
        self._starts: list[Future[None] | None] = [None] * self.processes
        self._watches: list[Watch | None] = [None] * self.processes

    def warm(self) -> None:
        """Start every process and let it get ready to train, without waiting for it."""
        for place in range(self.processes):
            self._get_ready(place)

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

    def ready(self, place: int) -> bool:
        """Whether the process at a place has got ready, since ``warm`` or ``renew`` started it."""
        start = self._starts[place]
        return start is not None and start.done() and start.exception() is None

    def fit(self, place: int) -> bool:
        """Whether a process can take work: it has not died, and is not stopped this moment."""
        seen = [sign(pid) for pid in self._pids(place)] if SEES else []
        return not any(one is None or one.state in "ZXxT" for one in seen)

    def troubles(self) -> dict[int, str]:
        """Processes that died, are stopped, or do nothing though they have work, by their place.

        To be asked now and then; of each, what is wrong, to follow its name in a sentence.
        """
        found = {}
        for place in range(self.processes):
            # loky forgets one that died at once; one that never got ready would not next time.
            for pid in self._pids(place) or ([_NOBODY] if self.ready(place) else []):
                watch = self._watches[place]
                if watch is None or watch.pid != pid:
                    watch = self._watches[place] = Watch(pid)
                if words := watch.trouble(self._work(place)):
                    found[place] = words
        return found

    def renew(self, place: int) -> None:
        """Kill the process at a place, should it live, and start another there."""
        self._kill(place)
        self._executors[place].shutdown(wait=False, kill_workers=True)
        self._executors[place] = self._executor()
        self._under_way[place] = []
        self._watches[place] = None
        self._get_ready(place)

    def shutdown(self, *, kill: bool = False) -> None:
        """End the processes: after their current work, or now and without waiting for it."""
        for place, executor in enumerate(self._executors):
            if kill:
                self._kill(place)
            executor.shutdown(wait=not kill, kill_workers=kill)

    def _executor(self) -> "ProcessPoolExecutor":
        from loky import ProcessPoolExecutor

        return ProcessPoolExecutor(
            1,
            timeout=self._idle_seconds,
            initializer=_start,
            initargs=(os.getpid(), self._rehearse),
            env=_ONE_THREAD,
        )

    def _get_ready(self, place: int) -> None:
        self._starts[place] = self._executors[place].submit(time.sleep, 0.0)

    def _kill(self, place: int) -> None:
        """Kill the process at a place, also one that is stopped."""
        for pid in self._pids(place):
            seen = sign(pid)
            if seen is not None and seen.parent == os.getpid():
                with suppress(OSError):  # it is gone
                    os.kill(pid, signal.SIGKILL)

    def _pids(self, place: int) -> list[int]:
        """The process at a place, once it is started. loky lists the ids of an executor's."""
        return list(self._executors[place]._processes or ())

    def _work(self, place: int) -> "Future[Any] | None":
        """What the process at a place has to do first."""
        calls = [self._starts[place], *self._under_way[place]]
        return next((one for one in calls if one is not None and not one.done()), None)

    def __enter__(self) -> "ReplicaPool":
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()


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
