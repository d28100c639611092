"""solve: a config in, fronts out."""

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mtl_core.errors import InputError, TrainingDiverged, unknown
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.front import Front, Slice, State

if TYPE_CHECKING:
    from mtl_core.pareto.solver import Solver
    from mtl_core.training.pool import ReplicaPool

__all__ = ["advance", "slices", "solve"]

WORTH_IT = 0.02
"""Seconds of an iteration from which on it is spread over processes; a round trip takes 2 ms."""

STARTING = 10.0
"""Seconds that new processes take to start and to end: with less left to do, none are started."""

SHORT = 5
"""Iterations until that is looked at again."""

SLICE_SECONDS = 0.5
"""How long a slice lasts, about."""


def solve(
    config: ParetoConfig,
    *,
    device: str | None = None,
    states: Mapping[int, State] | None = None,
    pool: "ReplicaPool | None" = None,
    processes: int | None = None,
) -> Iterator[Front]:
    """Solve for the front of a config, all seeds and preferences together.

    Each iteration is θ_i ← Σ_j m_ij θ_j − α d_i, with d_i the subproblem's gradient at θ_i, where
    it stood *before* the transfer, or what Adam makes of it. All solutions of a seed see the same
    batch. On a CPU a solution's numbers do not depend, to the last bit, on which others are solved
    for beside it, unless a transfer, an averaged start or Pareto MTL's regions mix them:
    ``independent`` gives what each preference on its own would. With more than 13 solutions Pareto
    MTL's last digits depend on which seeds are solved together. Every solution is computed by one
    thread; where an iteration takes long, processes share them, and the numbers do not depend on
    how many. Starts and batches are decided by the seed and, where each solution has a start of its
    own, by its preference.

    Adam's moments stay with their subproblem: they are means of ∇F_i, and a transfer moves θ_i but
    does not change F_i. Problems have no state but their parameters, so BatchNorm normalises by
    the batch, and there are no running statistics to transfer.

    Args:
        config: what to solve.
        device: ``cpu`` or ``cuda``; default cuda where there is one and the problem has data.
        states: states of earlier fronts by seed, to resume from: of the same config and device.
        pool: warm processes to use on a CPU; default as many new ones as are of use, if any.
        processes: 1 stays in this process, even with a ``pool``; else at most so many new ones.

    Yields:
        Fronts at the config's ``steps``, seeds in order at each; resumed, those after the states.

    Raises:
        InputError: for a device that is not there.
        DataMissing: when the problem's data is not on this machine.
        TrainingDiverged: when a loss is not finite, after yielding what came before.
    """
    for part in slices(config, device=device, states=states, pool=pool, processes=processes):
        yield from part.fronts


def slices(
    config: ParetoConfig,
    *,
    device: str | None = None,
    states: Mapping[int, State] | None = None,
    pool: "ReplicaPool | None" = None,
    processes: int | None = None,
) -> Iterator[Slice]:
    """``solve`` for callers that may have to stop between two fronts: same arguments and errors.

    Yields:
        Slices, each about ``SLICE_SECONDS`` long or as short as the way to the next front.
    """
    import torch

    from mtl_core.pareto.solver import Solver

    device = _device(config, device)
    known = states or {}
    with ExitStack() as stack:
        for step, seeds in _groups(config, known):
            solver = Solver(config, tuple(seeds), torch.device(device))
            if step >= 0:
                solver.restore([known[seed] for seed in seeds])
            else:
                yield _slice(solver, solver.fronts())
            for due in (due for due in config.steps if due > solver.step):
                while solver.step < due:
                    left = solver.alone * (config.iterations - solver.step)
                    there = pool is not None or left > STARTING
                    slow = solver.help is None and solver.alone > WORTH_IT
                    if processes != 1 and slow and there:
                        pool = _help(solver, pool, processes, stack)
                    alone = device == "cpu" and solver.help is None
                    until = min(due, solver.step + SHORT) if alone else due
                    solver.advance(until, SLICE_SECONDS)
                    if solver.step < due:
                        yield _slice(solver, [])
                yield _slice(solver, solver.fronts())


def advance(
    config: ParetoConfig,
    seeds: tuple[int, ...],
    states: Mapping[int, State],
    *,
    device: str = "cpu",
    slice_seconds: float = 0.0,
    data: str = "",
) -> tuple[list[Front], dict[int, State]]:
    """Solve for some seeds, all at one step, for about ``slice_seconds``, or to the end.

    Args:
        states: where they stopped; none starts them.
        slice_seconds: 0 goes on until the first measured step, and no further.
        data: the fingerprint of the problem's data: a solver is kept for the next slice, and is
            another one for other data.

    Returns:
        The fronts on the way, and what each seed can go on from.

    Raises:
        TrainingDiverged: with the fronts before it as its attribute ``checkpoints``.
    """
    started = time.monotonic()
    solver = _kept(config, seeds, device, data, bool(states))
    fronts: list[Front] = []
    if states:
        solver.restore([states[seed] for seed in seeds])
    else:
        fronts += solver.fronts()
    begun = solver.step
    while solver.step < config.iterations:
        left = slice_seconds - (time.monotonic() - started)
        # Every slice makes progress, however short it is.
        if (fronts or (slice_seconds and solver.step > begun)) and left <= 0:
            break
        due = next(step for step in config.steps if step > solver.step)
        solver.advance(due, max(left, 0.001) if slice_seconds else float("inf"))
        if solver.step == due:
            try:
                fronts += solver.fronts()
            except TrainingDiverged as error:
                raise TrainingDiverged(error.message, fronts) from None
    return fronts, solver.states()


_solvers: "OrderedDict[tuple[object, ...], Solver]" = OrderedDict()
"""Solvers of the latest slices in this process: to begin anew takes longer than a slice."""
_MOST_SOLVERS = 16


def _kept(
    config: ParetoConfig, seeds: tuple[int, ...], device: str, data: str, goes_on: bool
) -> "Solver":
    import torch

    from mtl_core.pareto.solver import Solver

    key = (config, seeds, device, data)
    solver = _solvers.pop(key, None) if goes_on else None
    if solver is None:
        solver = Solver(config, seeds, torch.device(device))
    _solvers[key] = solver
    while len(_solvers) > _MOST_SOLVERS:
        _solvers.popitem(last=False)
    return solver


def _device(config: ParetoConfig, device: str | None) -> str:
    import torch

    cuda = torch.cuda.is_available()
    if device is None:
        device = "cuda" if cuda and config.definition.fingerprint is not None else "cpu"
    if device not in ("cpu", "cuda"):
        raise unknown("device", device, ("cpu", "cuda"))
    if device == "cuda" and not cuda:
        raise InputError("device 'cuda' is not on this machine; use cpu")
    return device


def _groups(config: ParetoConfig, states: Mapping[int, State]) -> list[tuple[int, list[int]]]:
    """Seeds by the step they go on from, -1 for new ones: those of a group are solved together.

    After an interrupted run there may be several groups.
    """
    groups: dict[int, list[int]] = {}
    for seed in config.seeds:
        step = int(states[seed]["step"]) if seed in states else -1
        groups.setdefault(step, []).append(seed)
    return sorted(groups.items())


def _slice(solver: "Solver", fronts: Sequence[Front]) -> Slice:
    return Slice(solver.seeds, solver.step, tuple(fronts), solver.states)


def _help(
    solver: "Solver", pool: "ReplicaPool | None", most: int | None, stack: ExitStack
) -> "ReplicaPool | None":
    """Spread its solutions over a pool's processes; start a pool where there is none yet."""
    from mtl_core.pareto.crew import Crew
    from mtl_core.training.pool import ReplicaPool, cores

    processes = min(most or cores(), solver.solutions.shape[0] * solver.solutions.shape[1])
    if pool is None and processes > 1:
        pool = stack.enter_context(ReplicaPool(processes, rehearse=False))
    if pool is not None:
        solver.help = Crew(solver.config, solver.seeds, pool)
    return pool
