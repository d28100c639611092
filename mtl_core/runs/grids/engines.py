"""Engines: where the replicas of a grid are trained, one per process.

``loky`` is a pool of processes on this machine, which replaces those that die or hang. Dask and Ray
are driven by their own futures.
"""

import logging
import socket
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mtl_core.errors import InputError, quoted, unknown
from mtl_core.runs.grids.replica import Replica, in_one_line, train_replica
from mtl_core.runs.kinds import Experiment
from mtl_core.runs.library import artifacts

if TYPE_CHECKING:
    from mtl_core.training.pool import ReplicaPool

__all__ = ["BACKENDS", "Engine", "EngineLost", "check_engine", "open_engine"]

Task = tuple[Experiment, int]
"""An experiment and one of its seeds."""

Replicas = Generator[Replica, None, None]

LOOK_SECONDS = 1.0
"""How often processes on this machine are looked at, whether they get on."""
PATIENCE_SECONDS = 8.0
"""How long a cluster that was asked for may take to answer."""


class EngineLost(RuntimeError):
    """The processes are gone, with the replicas under way; the message says what to do."""


@dataclass
class Engine:
    """Processes that are ready to train.

    Args:
        processes: how many replicas are trained at once; grows with a cluster.
        train: replicas as they finish, in any order. Tasks are taken from the iterable when they
            are about to start. A replica whose process died comes back with an error; when all
            are gone, EngineLost is raised.
    """

    processes: int
    train: Callable[[Iterable[Task]], Replicas]


def check_engine(backend: str, scheduler: str | None) -> None:
    """Raises InputError for what no machine can offer; needs no engine to be installed."""
    if backend not in BACKENDS:
        raise unknown("backend", backend, BACKENDS)
    if backend == "loky" and scheduler is not None:
        raise InputError(
            f"scheduler {quoted(scheduler)} is for the backends dask and ray; loky's processes "
            "are on this machine"
        )


def open_engine(
    backend: str, *, jobs: int | None, scheduler: str | None, most: int, out: Path | None = None
) -> AbstractContextManager[Engine]:
    """An engine, ended at the end of the context.

    Args:
        backend: one of ``BACKENDS``.
        jobs: at most so many processes; None takes one per core, or all of a cluster's.
        scheduler: the address of a cluster; None starts a local one.
        most: as many processes as could be of use.
        out: the output folder, where replicas keep what they have on the way; a cluster's machines
            may not have it.

    Raises:
        InputError: when the engine is not installed or cannot be reached.
    """
    check_engine(backend, scheduler)
    return BACKENDS[backend](jobs, scheduler, most, out if scheduler is None else None)


@contextmanager
def _loky(jobs: int | None, _scheduler: None, most: int, out: Path | None) -> Iterator[Engine]:
    from mtl_core.training.pool import ReplicaPool

    processes = _local(jobs, most)
    if processes == 1:
        yield Engine(1, lambda tasks: (train_replica(*_sent(*task, out)) for task in tasks))
        return
    pool = ReplicaPool(processes, rehearse=False)
    try:
        yield Engine(processes, partial(_in_pool, pool, out))
    finally:
        pool.shutdown(kill=True)  # whatever they do is not wanted any more, as after Ctrl-C


@dataclass
class _Attempt:
    """A replica on its way in a process.

    Args:
        before: what became of the process that tried it before; None for the first.
    """

    task: Task
    future: "Future[Replica]"
    before: str | None = None


def _in_pool(pool: "ReplicaPool", out: Path | None, tasks: Iterable[Task]) -> Replicas:
    """Replicas of a pool's processes, one each. One whose process died or hung is tried once more,
    from what it has kept; after that it comes back with an error."""
    waiting = iter(tasks)
    running: dict[int, _Attempt] = {}  # by the place of its process
    finished: list[Replica] = []
    while True:
        for place in range(pool.processes):
            if place not in running and (task := next(waiting, None)) is not None:
                running[place] = _Attempt(task, _called(pool, place, task, out))
        yield from finished  # others have begun meanwhile
        if not running:
            return
        futures = [attempt.future for attempt in running.values()]
        wait(futures, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        troubles, finished = pool.troubles(), []
        for place, attempt in list(running.items()):
            result = _result(attempt, troubles.get(place))
            if result is None:
                continue
            del running[place]
            if isinstance(result, Replica):
                finished.append(result)
                continue
            pool.renew(place)
            if attempt.before is not None:
                finished.append(_failed(attempt, result))
                continue
            config, seed = attempt.task
            print(f"tried again: {config.id}-{seed}: its process {result}", file=sys.stderr)
            running[place] = _Attempt(
                attempt.task, _called(pool, place, attempt.task, out), before=result
            )


def _called(pool: "ReplicaPool", place: int, task: Task, out: Path | None) -> "Future[Replica]":
    if not pool.fit(place):  # it died while it had nothing to do
        pool.renew(place)
    try:
        return pool.call_in(place, train_replica, *_sent(*task, out))
    except BrokenExecutor:  # it died this moment
        pool.renew(place)
        return pool.call_in(place, train_replica, *_sent(*task, out))


def _result(attempt: _Attempt, trouble: str | None) -> Replica | str | None:
    """The replica, what became of its process, or None while it is under way."""
    if not attempt.future.done():
        return trouble
    try:
        return attempt.future.result()
    except BrokenExecutor:
        return "died"
    except Exception as error:
        return f"broke ({in_one_line(error)})"


def _failed(attempt: _Attempt, words: str) -> Replica:
    config, seed = attempt.task
    reason = (
        f"two processes in a row did not carry out its seed {seed} (the first {attempt.before}, "
        f"the second {words}); call it again to go on, with fewer jobs"
    )
    return Replica(config.id, seed, error=reason)


@contextmanager
def _dask(jobs: int | None, scheduler: str | None, most: int, out: Path | None) -> Iterator[Engine]:
    try:
        from distributed import CancelledError, Client, wait
    except ImportError as error:
        raise _absent("dask", "dask[distributed]") from error

    # What matters of its tracebacks comes to us as an exception, too.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    with _dask_cluster(jobs, scheduler, most) as address, Client(address) as client:
        _check_versions(address, lambda: client.submit(artifacts.versions, pure=False).result())
        workers: dict[str, int] = client.nthreads()
        if (busiest := max(workers.values(), default=0)) > 1:
            raise InputError(
                f"a Dask worker at {address} has {busiest} threads, and a replica needs a process "
                "of its own; start workers with `--nthreads 1 --nworkers N`"
            )

        def train(tasks: Iterable[Task]) -> Replicas:
            try:
                yield from _as_finished(
                    tasks,
                    partial(_ahead, engine, jobs, lambda: len(client.nthreads())),
                    lambda config, seed: client.submit(
                        train_replica, *_sent(config, seed, out), pure=False
                    ),
                    lambda futures: wait(futures, return_when="FIRST_COMPLETED").done,
                    lambda future: future.result(),
                )
            except (CancelledError, OSError, RuntimeError) as error:
                raise EngineLost(
                    f"the Dask scheduler at {address} is gone; call it again to go on"
                ) from error

        engine = Engine(min(jobs or len(workers), len(workers)), train)
        yield engine


@contextmanager
def _dask_cluster(jobs: int | None, scheduler: str | None, most: int) -> Iterator[str]:
    """The address of a cluster that answers, which is a local one where none is named."""
    from distributed import LocalCluster

    if scheduler is not None:
        _await_dask(scheduler)
        yield scheduler
        return
    local = LocalCluster(
        n_workers=_local(jobs, most),
        threads_per_worker=1,
        processes=True,
        dashboard_address=":0",
        silence_logs="CRITICAL",
    )
    with local:
        yield local.scheduler_address


@contextmanager
def _ray(jobs: int | None, scheduler: str | None, most: int, out: Path | None) -> Iterator[Engine]:
    try:
        import ray
    except ImportError as error:
        raise _absent("ray", "ray") from error

    quiet = {"log_to_driver": False, "configure_logging": False}
    if scheduler is None:
        ray.init(num_cpus=_local(jobs, most), include_dashboard=False, **quiet)
    else:
        _knock("Ray", scheduler)
        try:
            ray.init(address=scheduler, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _unreachable("Ray", scheduler, in_one_line(error)) from error
    try:
        _check_versions(
            scheduler, lambda: ray.get(ray.remote(num_cpus=1)(artifacts.versions).remote())
        )

        def cores() -> int:
            return int(ray.cluster_resources().get("CPU", 0))

        task = ray.remote(num_cpus=1)(train_replica)

        def train(tasks: Iterable[Task]) -> Replicas:
            return _as_finished(
                tasks,
                partial(_ahead, engine, jobs, cores),
                lambda config, seed: task.remote(*_sent(config, seed, out)),
                lambda futures: ray.wait(futures, num_returns=1)[0],
                ray.get,
            )

        engine = Engine(min(jobs or cores(), cores()), train)
        if not engine.processes:
            raise InputError(f"the Ray cluster at {scheduler} has no CPU; add a node that has some")
        yield engine
    finally:
        ray.shutdown()


BACKENDS: Mapping[str, Callable[..., AbstractContextManager[Engine]]] = {
    "loky": _loky,
    "dask": _dask,
    "ray": _ray,
}


def _ahead(engine: Engine, jobs: int | None, workers: Callable[[], int]) -> int:
    """How many tasks a cluster is given at a time: one in line for each worker, unless the number
    of processes is limited. Clusters grow and shrink."""
    there = workers()
    engine.processes = max(engine.processes, min(jobs or there, there))
    return jobs if jobs and jobs < there else 2 * there


def _as_finished(
    tasks: Iterable[Task],
    ahead: Callable[[], int],
    submit: Callable[[Experiment, int], Any],
    first_done: Callable[[list[Any]], Iterable[Any]],
    result: Callable[[Any], Replica],
) -> Replicas:
    """Results of a cluster's futures, ``ahead()`` of them under way or in line at a time."""
    waiting = iter(tasks)
    running: dict[Any, Task] = {}
    done: list[tuple[Any, Task]] = []
    while True:
        # Before the results are looked at: no process waits for us.
        for task in islice(waiting, max(max(ahead(), 1) - len(running), 0)):
            running[submit(*task)] = task
        for future, (config, seed) in done:
            try:
                replica = result(future)
            except Exception as error:  # its process died; the next call tries again
                replica = Replica(config.id, seed, error=in_one_line(error))
            yield replica
        if not running:
            return
        done = [(future, running.pop(future)) for future in first_done(list(running))]


def _local(jobs: int | None, most: int) -> int:
    from mtl_core.training.pool import cores

    return min(jobs or cores(), most)


def _sent(
    config: Experiment, seed: int, out: Path | None
) -> tuple[str, dict[str, Any], int, str | None]:
    """A task as it travels, in plain values: what ``train_replica`` takes."""
    return config.kind, config.to_dict(), seed, None if out is None else str(out)


def _await_dask(address: str) -> None:
    """Raises InputError unless a Dask scheduler with a worker answers soon."""
    import asyncio

    from distributed import Security, rpc

    async def ask() -> None:
        arguments = Security().get_connection_args("client")
        async with rpc(address, timeout=PATIENCE_SECONDS, connection_args=arguments) as scheduler:
            while not await scheduler.ncores():
                await asyncio.sleep(0.1)

    async def ask_in_time() -> None:
        await asyncio.wait_for(ask(), PATIENCE_SECONDS)

    _knock("Dask", address)
    try:
        asyncio.run(ask_in_time())
    except TimeoutError as error:
        reason = f"no scheduler with a worker answers within {PATIENCE_SECONDS:g} s"
        raise _unreachable("Dask", address, reason) from error
    except (OSError, ValueError) as error:
        raise _unreachable("Dask", address, in_one_line(error)) from error


def _check_versions(address: str | None, ask: Callable[[], dict[str, str]]) -> None:
    """Raises InputError unless a worker has this code, with what decides its numbers."""
    try:
        there = ask()
    except Exception as error:
        reason = in_one_line(error.__cause__ or error)
        raise InputError(
            f"the workers at {address} cannot run mtl_core ({reason}); install its requirements "
            "there, and start scheduler and workers with this folder in PYTHONPATH"
        ) from error
    for name, here in artifacts.versions().items():
        if there.get(name) != here:
            raise InputError(
                f"the workers at {address} have {name} {there.get(name)}, and here is {here}; "
                "install the same version"
            )


def _knock(name: str, address: str) -> None:
    """Raises InputError unless something listens there: the clusters' own clients wait long."""
    try:
        place = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = place.hostname, place.port
    except ValueError as error:
        raise _unreachable(name, address, in_one_line(error)) from error
    if not host or port is None:
        raise _unreachable(name, address, "an address is HOST:PORT")
    try:
        socket.create_connection((host, port), timeout=PATIENCE_SECONDS).close()
    except OSError as error:
        raise _unreachable(name, address, error.strerror or in_one_line(error)) from error


def _unreachable(name: str, address: str, reason: str) -> InputError:
    return InputError(
        f"no {name} cluster at {quoted(address)} ({reason}); start one there, give another "
        "--scheduler, or leave it out for processes on this machine"
    )


def _absent(backend: str, package: str) -> InputError:
    return InputError(f'backend {backend} is not installed; pip install "{package}"')
