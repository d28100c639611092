"""Precompute: experiments of any kind into artifacts, one run per job."""

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from mtl_core import checks
from mtl_core.errors import InputError
from mtl_core.runs import kinds
from mtl_core.runs.grids.engines import Engine, EngineLost, Task, check_engine, open_engine
from mtl_core.runs.grids.plans import read_plan
from mtl_core.runs.grids.progress import Progress, duration
from mtl_core.runs.grids.replica import Replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.kinds import Experiment
from mtl_core.runs.library import additions, artifacts, folders
from mtl_core.runs.library.artifacts import Artifact, Content

__all__ = ["Outcome", "carry_out", "precompute", "read_plan"]


@dataclass(frozen=True)
class Outcome:
    """What a call of ``carry_out`` came to.

    Args:
        code: 0, or 1 when any experiment failed; a later call tries those again.
        diverged: ids of the experiments that failed since a loss of theirs left the finite numbers.
    """

    code: int
    diverged: frozenset[str]


def precompute(
    configs: Iterable[Experiment],
    out: Path,
    *,
    jobs: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
) -> int:
    """``carry_out``, for its exit code alone."""
    return carry_out(configs, out, jobs=jobs, backend=backend, scheduler=scheduler).code


def carry_out(
    configs: Iterable[Experiment],
    out: Path,
    *,
    jobs: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
) -> Outcome:
    """Carry out the runs that are not in ``out`` yet; all that is finished is safe at once.

    An experiment whose artifact lacks seeds gets these, and keeps the rows that it has.

    Args:
        configs: experiments with their seeds; of one that is named twice, all seeds count.
        jobs: at most so many processes; None takes one per core, or all of a cluster's.
        backend: one of ``engines.BACKENDS``.
        scheduler: the address of a Dask or Ray cluster; None starts a local one.

    Raises:
        InputError: when the backend or the folder cannot be used, or another call is using it.
    """
    started = time.monotonic()
    check_engine(backend, scheduler)
    folders.check_writable(out)
    wanted = _united(configs)
    scratch = Scratch(out)
    with scratch.locked():
        there, damaged = artifacts.scan(out)
        for problem in damaged:
            print(f"not taken as done: {problem}", file=sys.stderr)
        for run, artifact in there.items():
            scratch.forget(run, artifact.config.seeds)
        grid = _Grid(out, scratch, _missing(wanted, there))
        code = grid.train(backend, jobs, scheduler)
    print(grid.summary(len(wanted) - len(grid.jobs), time.monotonic() - started), file=sys.stderr)
    diverged = (run for run, job in grid.jobs.items() if job.diverged)
    return Outcome(code, frozenset(diverged))


@dataclass
class _Job:
    """An experiment on its way to an artifact.

    Args:
        config: its seeds are those that the artifact lacks.
        artifact: what is there of it.
    """

    config: Experiment
    artifact: Artifact | None
    replicas: dict[int, Replica] = field(default_factory=dict)
    written: bool = False
    error: str | None = None
    diverged: bool = False

    @property
    def left(self) -> list[int]:
        """Seeds that are still to be trained."""
        if self.written or self.error:
            return []
        return [seed for seed in self.config.seeds if seed not in self.replicas]

    @property
    def folder(self) -> str:
        """Where its artifact goes, below the output folder, when it is not there yet."""
        return kinds.of(self.config).folder(self.config)


def _united(configs: Iterable[Experiment]) -> list[Experiment]:
    """Each experiment once, with all its seeds."""
    found: dict[str, Experiment] = {}
    for config in configs:
        before = found.get(config.id, config)
        found[config.id] = checks.with_seeds(before, {*before.seeds, *config.seeds})
    return list(found.values())


def _missing(wanted: Iterable[Experiment], there: dict[str, Artifact]) -> list[_Job]:
    """Jobs for the seeds that no artifact has."""
    jobs = []
    for config in wanted:
        artifact = there.get(config.id)
        known = artifact.config.seeds if artifact else ()
        if seeds := [seed for seed in config.seeds if seed not in known]:
            jobs.append(_Job(checks.with_seeds(config, seeds), artifact))
    return jobs


class _Grid:
    """The experiments of which an output folder lacks runs, and how far they are."""

    def __init__(self, out: Path, scratch: Scratch, missing: Iterable[_Job]) -> None:
        self.jobs = {job.config.id: job for job in missing}
        self._out = out
        self._scratch = scratch
        self._processes = 0
        self._busy = 0.0

    def train(self, backend: str, jobs: int | None, scheduler: str | None) -> int:
        """Bring every job to its artifact or its error; the exit code."""
        for job in self.jobs.values():
            self._resume(job)
        cost = {run: kinds.of(job.config).cost(job.config) for run, job in self.jobs.items()}
        # The longest first: no process is left alone with them at the end.
        tasks = sorted(
            ((job.config, seed) for job in self.jobs.values() for seed in job.left),
            key=lambda task: -cost[task[0].id],
        )
        if tasks:
            engine = open_engine(
                backend, jobs=jobs, scheduler=scheduler, most=len(tasks), out=self._out
            )
            try:
                with engine as ready:
                    self._train(ready, tasks)
            except EngineLost as error:
                print(f"error: {error}", file=sys.stderr)
        for job in self.jobs.values():
            if job.error:
                print(f"failed: {job.folder}: {job.error}", file=sys.stderr)
        return 0 if all(job.written for job in self.jobs.values()) else 1

    def summary(self, there: int, seconds: float) -> str:
        """One line about a call that took so many seconds."""
        written = sum(job.written for job in self.jobs.values())
        failed = sum(job.error is not None for job in self.jobs.values())
        words = [f"{written} experiments trained", f"{there} already there", f"{failed} failed"]
        if unfinished := len(self.jobs) - written - failed:
            words.append(f"{unfinished} unfinished")
        line = ", ".join(words)
        if not self._processes:
            return line
        share = self._busy / (self._processes * seconds)
        count = "1 process" if self._processes == 1 else f"{self._processes} processes"
        return f"{line}; {count} busy for {share:.0%} of {duration(seconds)}"

    def _resume(self, job: _Job) -> None:
        if job.artifact is not None:
            try:
                _check_here(job.config, job.artifact)
            except InputError as error:  # before hours of training, not after them
                job.error = str(error)
                return
        job.replicas, problems = self._scratch.find(job.config)
        for problem in problems:
            print(f"trained again: {problem}", file=sys.stderr)
        self._write_if_complete(job)

    def _train(self, engine: Engine, tasks: Sequence[Task]) -> None:
        going = [job for job in self.jobs.values() if job.left]
        every = [(job.config, seed) for job in going for seed in job.config.seeds]
        progress = Progress(every, engine.processes)
        for job in going:
            for seed, replica in job.replicas.items():
                progress.done(job.config.id, seed, replica.seconds)
        # An experiment that has failed costs no more.
        wanted = (task for task in tasks if not self.jobs[task[0].id].error)
        with progress, closing(engine.train(wanted)) as finished:
            for replica in finished:
                job = self.jobs[replica.experiment]
                self._processes = progress.processes = engine.processes
                self._busy += replica.seconds
                self._take(job, replica)
                if job.error:
                    progress.drop(replica.experiment)
                else:
                    progress.done(replica.experiment, replica.seed, replica.seconds)

    def _take(self, job: _Job, replica: Replica) -> None:
        if replica.error:
            job.error = job.error or replica.error
            job.diverged |= replica.diverged
            return
        job.replicas[replica.seed] = replica
        if job.left or job.error:
            self._scratch.keep(replica)
        else:
            self._write_if_complete(job)

    def _write_if_complete(self, job: _Job) -> None:
        """Whichever seed was trained first, the artifact is the same."""
        if job.left:
            return
        folder = job.artifact.folder if job.artifact else self._out / job.folder
        try:
            content = _content(job)
        except InputError as error:
            job.error = str(error)
        else:
            folders.clear(folder)
            artifacts.write(folder, content)
            job.written = True
        self._scratch.forget(job.config.id, job.config.seeds)
        job.replicas = {}


def _check_here(config: Experiment, artifact: Artifact) -> None:
    """Raises InputError when an artifact was made on other data than this machine has."""
    try:
        here = kinds.of(config).fingerprint(config)
    except InputError:
        return  # the workers may have the data; else each of them says so
    additions.check_data(artifact, here)


def _content(job: _Job) -> Content:
    """Earlier runs and new ones together. Raises InputError when their data differs."""
    replicas = [job.replicas[seed] for seed in job.config.seeds]
    prints = {str(replica.provenance["data_fingerprint"]) for replica in replicas}
    if len(prints) > 1:
        raise InputError("its seeds were trained on machines with other data each")
    parts = []
    if job.artifact is not None:
        additions.check_data(job.artifact, prints.pop())
        parts.append(artifacts.content(job.artifact))
    for replica in replicas:
        own = checks.with_seeds(job.config, [replica.seed])
        parts.append(artifacts.collected(own, replica.pieces, replica.provenance, replica.seconds))
    return artifacts.joined(parts)
