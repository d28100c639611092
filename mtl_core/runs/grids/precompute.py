"""Precompute: configs of runs and fronts into artifacts, one replica per job."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs import front_artifacts
from mtl_core.runs.collected import Collected, CollectedFronts
from mtl_core.runs.grids.engines import Engine, EngineLost, check_engine, open_engine
from mtl_core.runs.grids.plans import read_plan
from mtl_core.runs.grids.progress import Progress, cost, duration
from mtl_core.runs.grids.replica import Replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.queue.records import AnyConfig

__all__ = ["artifact_name", "precompute", "read_plan"]


def precompute(
    configs: Iterable[AnyConfig],
    out: Path,
    *,
    jobs: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
) -> int:
    """Train what is not in ``out`` yet; every finished replica and config is safe at once.

    Args:
        jobs: at most so many processes; None takes one per core, or all of a cluster's.
        backend: one of ``engines.BACKENDS``.
        scheduler: the address of a Dask or Ray cluster; None starts a local one.

    Returns:
        0, or 1 when any config failed; a later call tries those again.

    Raises:
        InputError: when the backend or the folder cannot be used, or another call is using it.
    """
    started = time.monotonic()
    check_engine(backend, scheduler)
    folders.check_writable(out)
    scratch = Scratch(out)
    with scratch.locked():
        there, damaged = _scan(out)
        for problem in damaged:
            print(f"not taken as done: {problem}", file=sys.stderr)
        wanted = {config.id: config for config in configs}
        grid = _Grid(out, scratch, [c for c in wanted.values() if c.id not in there])
        for run in there:
            scratch.forget(run)
        code = grid.train(backend, jobs, scheduler)
    print(grid.summary(len(wanted) - len(grid.jobs), time.monotonic() - started), file=sys.stderr)
    return code


def artifact_name(config: AnyConfig) -> str:
    """A folder name that people can read and no two configs share."""
    if isinstance(config, ParetoConfig):
        return front_artifacts.artifact_name(config)
    run = config.run if len(config.run) <= 100 else f"{len(config.auxiliaries)}-auxiliaries"
    return f"{config.setting}/{config.target}--{run}--{config.id}"


def _scan(out: Path) -> tuple[set[str], list[str]]:
    """The ids of what is done in ``out``, of both kinds, and what was skipped."""
    runs, damaged_runs = artifacts.scan(out)
    fronts, damaged_fronts = front_artifacts.scan(out)
    return {*runs, *fronts}, [*damaged_runs, *damaged_fronts]


@dataclass
class _Job:
    """A config on its way to an artifact."""

    config: AnyConfig
    replicas: dict[int, Replica] = field(default_factory=dict)
    written: bool = False
    error: str | None = None

    @property
    def left(self) -> list[int]:
        """Seeds that are still to be trained."""
        if self.written or self.error:
            return []
        return [seed for seed in self.config.seeds if seed not in self.replicas]


class _Grid:
    """The configs that are missing from an output folder, and how far they are."""

    def __init__(self, out: Path, scratch: Scratch, missing: Iterable[AnyConfig]) -> None:
        self.jobs = {config.id: _Job(config) for config in missing}
        self._out = out
        self._scratch = scratch
        self._processes = 0
        self._busy = 0.0

    def train(self, backend: str, jobs: int | None, scheduler: str | None) -> int:
        """Bring every job to its artifact or its error; the exit code."""
        for job in self.jobs.values():
            self._resume(job)
        # The longest first: no process is left alone with them at the end.
        tasks = sorted(
            ((job.config, seed) for job in self.jobs.values() for seed in job.left),
            key=lambda task: -cost(task[0]),
        )
        if tasks:
            engine = open_engine(backend, jobs=jobs, scheduler=scheduler, most=len(tasks))
            try:
                with engine as ready:
                    self._train(ready, tasks)
            except EngineLost as error:
                print(f"error: {error}", file=sys.stderr)
        for job in self.jobs.values():
            if job.error:
                print(f"failed: {artifact_name(job.config)}: {job.error}", file=sys.stderr)
        return 0 if all(job.written for job in self.jobs.values()) else 1

    def summary(self, there: int, seconds: float) -> str:
        """One line about a call that took so many seconds."""
        written = sum(job.written for job in self.jobs.values())
        failed = sum(job.error is not None for job in self.jobs.values())
        words = [f"{written} configs trained", f"{there} already there", f"{failed} failed"]
        if unfinished := len(self.jobs) - written - failed:
            words.append(f"{unfinished} unfinished")
        line = ", ".join(words)
        if not self._processes:
            return line
        share = self._busy / (self._processes * seconds)
        count = "1 process" if self._processes == 1 else f"{self._processes} processes"
        return f"{line}; {count} busy for {share:.0%} of {duration(seconds)}"

    def _resume(self, job: _Job) -> None:
        job.replicas, problems = self._scratch.find(job.config)
        for problem in problems:
            print(f"trained again: {problem}", file=sys.stderr)
        self._write_if_complete(job)

    def _train(self, engine: Engine, tasks: Sequence[tuple[AnyConfig, int]]) -> None:
        going = [job for job in self.jobs.values() if job.left]
        every = [(job.config, seed) for job in going for seed in job.config.seeds]
        progress = Progress(every, engine.processes)
        for job in going:
            for seed, replica in job.replicas.items():
                progress.done(job.config, seed, replica.seconds)
        # A config that has failed costs no more.
        wanted = (task for task in tasks if not self.jobs[task[0].id].error)
        with progress, closing(engine.train(wanted)) as finished:
            for replica in finished:
                job = self.jobs[replica.run]
                self._processes = progress.processes = engine.processes
                self._busy += replica.seconds
                self._take(job, replica)
                if job.error:
                    progress.drop(job.config)
                else:
                    progress.done(job.config, replica.seed, replica.seconds)

    def _take(self, job: _Job, replica: Replica) -> None:
        if replica.error:
            job.error = job.error or replica.error
            return
        job.replicas[replica.seed] = replica
        if job.left or job.error:
            self._scratch.keep(job.config, replica)
        else:
            self._write_if_complete(job)

    def _write_if_complete(self, job: _Job) -> None:
        """In the order of seeds, whichever was trained first."""
        if job.left:
            return
        replicas = [job.replicas[seed] for seed in job.config.seeds]
        origins = [_origin(replica) for replica in replicas]
        if any(origin != origins[0] for origin in origins):
            job.error = "its seeds were trained on machines with other data or library versions"
        else:
            info = {
                **replicas[0].provenance,
                "created": max(replica.provenance["created"] for replica in replicas),
                "duration_seconds": round(sum(replica.seconds for replica in replicas), 3),
            }
            folder = self._out / artifact_name(job.config)
            folders.clear(folder)
            _write(folder, job.config, replicas, info)
            job.written = True
        self._scratch.forget(job.config.id)
        job.replicas = {}


def _write(
    folder: Path, config: AnyConfig, replicas: Iterable[Replica], info: Mapping[str, Any]
) -> None:
    if isinstance(config, ParetoConfig):
        fronts = CollectedFronts()
        for replica in replicas:
            fronts.add(replica.fronts)
        fronts.write(folder, config, info)
        return
    found = Collected()
    for replica in replicas:
        for checkpoint in replica.checkpoints:
            found.add(checkpoint)
    found.write(folder, config, info)


def _origin(replica: Replica) -> dict[str, Any]:
    """What must be the same for all replicas of an artifact."""
    return {name: value for name, value in replica.provenance.items() if name != "created"}
