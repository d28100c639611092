"""Precompute: a grid of configs into artifacts, one replica per job."""

import itertools
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged, quoted, unknown
from mtl_core.runs import artifacts
from mtl_core.runs.collected import Collected

if TYPE_CHECKING:
    from mtl_core.training.checkpoint import Checkpoint

__all__ = ["artifact_name", "precompute", "read_plan"]


def read_plan(path: Path) -> list[RunConfig]:
    """The configs of a TOML plan, each once.

    A plan has tables ``[[grid]]`` with a setting, a preset and any other fields of RunConfig.
    ``auxiliaries`` is a list of sets, ``seeds`` and ``factors`` are lists themselves; any other
    field that is given a list is swept over.

    Raises:
        InputError: for a plan that cannot be read or holds a config that cannot be trained.
    """
    try:
        plan = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read plan {path} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"plan {path} is not TOML ({error})") from error
    grids = plan.get("grid")
    if not isinstance(grids, list) or not grids:
        raise InputError(f"plan {path} has no [[grid]]; see plans/ for examples")
    configs = []
    for number, grid in enumerate(grids, start=1):
        try:
            configs += _expand(grid)
        except InputError as error:
            raise InputError(f"grid {number} of plan {path}: {error}") from error
    return list({config.id: config for config in configs}.values())


def precompute(configs: Iterable[RunConfig], out: Path, *, jobs: int | None = None) -> int:
    """Train what is not in ``out`` yet; every finished config is safe at once.

    Returns:
        0, or 1 when any config failed; a later call tries those again.
    """
    artifacts.check_writable(out)
    there, damaged = artifacts.scan(out)
    for problem in damaged:
        print(f"not taken as done: {problem}", file=sys.stderr)
    missing = {config.id: _Job(config) for config in configs if config.id not in there}
    try:
        _train_all(missing, out, jobs)
    except BrokenProcessPool as error:
        reason = str(error).splitlines()[0]
        print(f"error: {reason} Call it again to go on, with fewer jobs.", file=sys.stderr)
        return 1
    failed = [job for job in missing.values() if job.error]
    for job in failed:
        print(f"failed: {artifact_name(job.config)}: {job.error}", file=sys.stderr)
    return 1 if failed else 0


def artifact_name(config: RunConfig) -> str:
    """A folder name that people can read and no two configs share."""
    run = config.run if len(config.run) <= 100 else f"{len(config.auxiliaries)}-auxiliaries"
    return f"{config.setting}/{config.target}--{run}--{config.id}"


@dataclass
class _Job:
    """A config on its way to an artifact."""

    config: RunConfig
    found: Collected = field(default_factory=Collected)
    replicas: int = 0
    seconds: float = 0.0
    error: str | None = None


def _train_all(jobs: Mapping[str, _Job], out: Path, processes: int | None) -> None:
    from joblib import Parallel, delayed

    from mtl_core.training.pool import cores

    replicas = [(job.config, seed) for job in jobs.values() for seed in job.config.seeds]
    started = time.monotonic()
    results = Parallel(
        n_jobs=processes or cores(), backend="loky", batch_size=1, return_as="generator_unordered"
    )(delayed(_train_replica)(config.to_dict(), seed) for config, seed in replicas)
    for count, replica in enumerate(results, start=1):
        job = jobs[replica.run]
        for checkpoint in replica.checkpoints:
            job.found.add(checkpoint)
        job.replicas += 1
        job.seconds += replica.seconds
        job.error = job.error or replica.error
        if job.replicas == len(job.config.seeds) and not job.error:
            _write(job, out)
        left = (time.monotonic() - started) / count * (len(replicas) - count)
        print(f"{count}/{len(replicas)} replicas, {left:.0f} s left", file=sys.stderr, flush=True)


def _write(job: _Job, out: Path) -> None:
    info = artifacts.provenance(job.config, "cpu")
    info["duration_seconds"] = round(job.seconds, 3)
    job.found.write(out / artifact_name(job.config), job.config, info)
    job.found = Collected()


@dataclass
class _Replica:
    """What one process brings back."""

    run: str
    checkpoints: list["Checkpoint"]
    seconds: float
    error: str | None


def _train_replica(config: dict[str, Any], seed: int) -> _Replica:
    """Runs in a process of its own. An error comes back as text: it ends one config, not all."""
    from mtl_core.training.replicas import advance

    whole = RunConfig.from_dict(config)
    started = time.monotonic()
    error: str | None = None
    checkpoints: list[Checkpoint] = []
    try:
        checkpoints = advance(whole, (seed,), None, slice_seconds=float("inf"))
    except (TrainingDiverged, InputError) as caught:
        error = str(caught)
    except Exception as caught:
        error = f"{type(caught).__name__}: {caught}".splitlines()[0]
    measured = [replace(checkpoint, state=None) for checkpoint in checkpoints if checkpoint.rows]
    return _Replica(whole.id, measured, time.monotonic() - started, error)


def _expand(grid: object) -> list[RunConfig]:
    """The configs of one grid: the product of all fields that are given a list."""
    if not isinstance(grid, Mapping):
        raise InputError(f"{quoted(grid)} is not a table; write [[grid]] and its fields below")
    known = [one.name for one in fields(RunConfig)]
    for name in grid:
        if name not in known and name != "preset":
            raise unknown("field", name, [*known, "preset"])
    given = {"preset": "quick", **grid}
    setting = given.pop("setting", None)
    if not isinstance(setting, str):
        raise InputError(f"setting {quoted(setting)} is not a name; one setting to each grid")
    swept = [[(name, value) for value in _values(name, given[name])] for name in given]
    configs = []
    for chosen in itertools.product(*swept):
        changes = dict(chosen)
        preset = changes.pop("preset")
        configs.append(RunConfig.from_preset(setting, preset, **changes))
    return configs


def _values(name: str, given: object) -> list[Any]:
    """What a field is swept over."""
    if name == "seeds":
        if not isinstance(given, list):
            raise InputError(f"seeds {quoted(given)} are not a list, such as [0, 1, 2]")
        return [tuple(given)]
    if name == "auxiliaries":
        if not isinstance(given, list) or not all(isinstance(one, list) for one in given):
            raise InputError(
                f"auxiliaries {quoted(given)} are not a list of lists, such as [[], ['NAME']]"
            )
        return [tuple(one) for one in given]
    if name == "factors":
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise InputError(f"factors {quoted(given)} are not a list of names, such as []")
        return [tuple(given)]
    if given == []:
        raise InputError(f"field {name!r} is an empty list; give it a value, or leave it out")
    return given if isinstance(given, list) else [given]
