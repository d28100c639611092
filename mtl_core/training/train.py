"""train: a config in, checkpoints out."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged, unknown
from mtl_core.training.checkpoint import Checkpoint, State, stack
from mtl_core.training.pool import ReplicaPool, cores

__all__ = ["best_device", "train"]

SLICE_SECONDS = 0.5
"""How long a replica trains between two signs of life. A stop takes as long, and a checkpoint's
evaluation and factors where one is due."""


def train(
    config: RunConfig,
    *,
    device: str | None = None,
    pool: ReplicaPool | None = None,
    states: Mapping[int, State] | None = None,
) -> Iterator[Checkpoint]:
    """Carry out a run.

    On CUDA the replicas are stacked and advance together. On a CPU each is computed by one thread;
    several share a pool of processes, the one that is behind going first, so their curves grow
    together and no core waits for the last.

    Args:
        config: what to train.
        device: ``cpu`` or ``cuda``; default the best there is.
        pool: warm processes to use on a CPU; default as many new ones as are of use.
        states: states of earlier checkpoints by seed, to resume from.

    Yields:
        Checkpoints, per replica in the order of steps. Their values depend on the config and the
        device only; the order among replicas may vary.

    Raises:
        InputError: for a device that is not there, or a method that cannot be carried out.
        DataMissing: when the setting's data is not on this machine.
        TrainingDiverged: when a training loss is not finite, after yielding what came before.
    """
    device = best_device() if device is None else device
    states = states or {}
    if device not in ("cpu", "cuda"):
        raise unknown("device", device, ("cpu", "cuda"))
    if device == "cuda":
        if best_device() != "cuda":
            raise InputError("device 'cuda' is not on this machine; use cpu")
        yield from _in_turns(config, _stacks(config, states), device)
    elif pool is not None:
        yield from _side_by_side(config, _singles(config, states), pool)
    elif min(cores(), len(config.seeds)) == 1:
        yield from _in_turns(config, _singles(config, states), device)
    else:
        with ReplicaPool(min(cores(), len(config.seeds)), rehearse=False) as own:
            yield from _side_by_side(config, _singles(config, states), own)


def best_device() -> str:
    """``cuda`` where there is one, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@dataclass
class _Stack:
    """Replicas that advance together, and where they are."""

    seeds: tuple[int, ...]
    state: State | None

    @property
    def step(self) -> int:
        return -1 if self.state is None else int(self.state["step"])


def _singles(config: RunConfig, states: Mapping[int, State]) -> list[_Stack]:
    return [_Stack((seed,), states.get(seed)) for seed in config.seeds]


def _stacks(config: RunConfig, states: Mapping[int, State]) -> list[_Stack]:
    """All replicas at the same step make one stack; after an interrupted run there may be more."""
    by_step: dict[int, list[_Stack]] = {}
    for single in _singles(config, states):
        by_step.setdefault(single.step, []).append(single)
    return [
        _Stack(
            tuple(single.seeds[0] for single in singles),
            None if step < 0 else stack([s.state for s in singles if s.state is not None]),
        )
        for step, singles in by_step.items()
    ]


def _in_turns(config: RunConfig, stacks: list[_Stack], device: str) -> Iterator[Checkpoint]:
    """In this process, the stack that is furthest behind going first."""
    from mtl_core.training.replicas import advance

    while going := [stack for stack in stacks if stack.step < config.steps]:
        current = min(going, key=lambda stack: stack.step)
        yield from _progress(
            current,
            partial(
                advance,
                config,
                current.seeds,
                current.state,
                device=device,
                slice_seconds=_slice(current),
            ),
        )


def _side_by_side(
    config: RunConfig, stacks: list[_Stack], pool: ReplicaPool
) -> Iterator[Checkpoint]:
    """In the pool's processes, as many at once as there are."""
    running: dict[Future[list[Checkpoint]], _Stack] = {}
    try:
        while True:
            busy = [stack.seeds for stack in running.values()]
            going = [s for s in stacks if s.step < config.steps and s.seeds not in busy]
            for current in sorted(going, key=lambda stack: stack.step):
                if len(running) < pool.processes:
                    future = pool.submit(config, current.seeds[0], current.state, _slice(current))
                    running[future] = current
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield from _progress(running.pop(future), future.result)
    finally:
        # A caller that stops iterating gets its pool back idle, at most a slice later.
        wait(running)


def _slice(current: _Stack) -> float:
    return SLICE_SECONDS if current.state is not None else 0.0


def _progress(current: _Stack, advance: Callable[[], list[Checkpoint]]) -> Iterator[Checkpoint]:
    try:
        checkpoints = advance()
    except TrainingDiverged as error:
        yield from error.checkpoints
        raise
    current.state = checkpoints[-1].state
    yield from checkpoints
