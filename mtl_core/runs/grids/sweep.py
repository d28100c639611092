"""Sweep: train the runs of a plan, find the best pair by validation, put it into other plans."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError
from mtl_core.places import shipped
from mtl_core.runs import kinds
from mtl_core.runs.grids.plan_edit import put
from mtl_core.runs.grids.precompute import carry_out
from mtl_core.runs.grids.sweep_plans import Sweep, read_sweeps
from mtl_core.runs.library import additions, artifacts, folders, sweeps
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.sweeps import SweepTable, SweptRun

__all__ = ["runs_dir", "sweep"]

_DIVERGED = "diverged.json"
_EDGES = {"lr": "learning rate", "batch_size": "batch size"}


def sweep(
    path: Path,
    out: Path | None = None,
    tables: Path | None = None,
    *,
    jobs: int | None = None,
    backend: str = "loky",
    scheduler: str | None = None,
) -> int:
    """Carry out a plan of sweeps: its runs, a table of each sweep, the winners into plans.

    Runs that are there are not carried out again, nor are those that diverged on the same data with
    the same versions. A sweep of which runs are missing at the end is reported, and the others
    count.

    Args:
        path: of the plan (``sweep_plans.read_sweeps``).
        out: where the runs are kept, which do not ship; by default ``runs_dir``.
        tables: where the tables go; by default among those that ship.
        jobs, backend, scheduler: as of ``precompute``.

    Returns:
        0, or 1 when any sweep has no winner; a later call goes on.

    Raises:
        InputError: before any training, for what cannot be carried out to its end.
    """
    asked = read_sweeps(path)
    out = out or runs_dir(path)
    tables = tables or sweeps.tables_dir()
    for folder in (out, tables):
        folders.check_writable(folder)
    every = [config for one in asked for config in one.experiments]
    diverged = set(_diverged_before(out, every))
    wanted = [config for config in every if config.id not in diverged]
    outcome = carry_out(wanted, out, jobs=jobs, backend=backend, scheduler=scheduler)
    diverged |= outcome.diverged
    _remember(out, [config for config in every if config.id in diverged])
    there, _ = artifacts.scan(out)
    return max([_finish(one, path.name, there, diverged, tables) for one in asked])


def runs_dir(path: Path) -> Path:
    """Where the runs of a plan of sweeps are kept: ``.sweeps/`` beside ``cache/``."""
    return shipped("cache").parent / ".sweeps" / path.stem


def _finish(
    asked: Sweep, plan: str, there: Mapping[str, Artifact], diverged: set[str], tables: Path
) -> int:
    """The table of a sweep and its winner into plans; an exit code."""
    missing = [
        config
        for config in asked.experiments
        if config.id not in diverged and not _holds(there.get(config.id), config)
    ]
    if missing:
        print(
            f"no winner: {len(missing)} of {len(asked.experiments)} runs of {asked.setting} are "
            "missing; call again",
            file=sys.stderr,
        )
        return 1
    try:
        table = _table(asked, plan, there, diverged)
    except InputError as error:
        print(f"no winner: {error}", file=sys.stderr)
        return 1
    written = sweeps.write(tables, table)
    print(_words(table))
    print(f"what was tried: {written}")
    choice = table.choice
    for path in asked.into:
        edit = put(path, asked.setting, choice.lr, choice.batch_size)
        print(f"in {path}: grid {_listed(edit.grids)}{_kept(edit.kept)}")
    return 0


def _words(table: SweepTable) -> str:
    """What won a sweep, in one line."""
    choice = table.choice
    pairs = len({(one.lr, one.batch_size) for one in table.trials})
    edge = " and ".join(_EDGES[name] for name in choice.edges)
    return (
        f"{table.setting}: learning rate {choice.lr:g} and batch size {choice.batch_size}, best of "
        f"{pairs} pairs with {choice.score:.4g} by validation"
        + (f", at the edge of the grid in {edge}: a wider one may find better" if edge else "")
    )


def _table(
    asked: Sweep, plan: str, there: Mapping[str, Artifact], diverged: set[str]
) -> SweepTable:
    runs, made = [], []
    for config in asked.experiments:
        if config.id in diverged:
            runs.append(SweptRun(config, diverged=True))
            continue
        artifact = there[config.id]
        if (origin := _origin(config)) is not None:  # else a cluster has the data, and we do not
            additions.check_data(artifact, origin["data_fingerprint"])
        runs.append(_run(config, artifact))
        made += artifacts.restricted(artifact.made, config.seeds)
    return SweepTable(plan, tuple(runs), sweeps.grouped(made))


def _run(config: RunConfig, artifact: Artifact) -> SweptRun:
    from mtl_core.analysis.sweep import best_validation

    rows = artifact.table(artifact.kind.main)
    own = rows[(rows["task"] == config.target) & rows["seed"].isin(config.seeds)]
    direction = settings.get(config.setting).task(config.target).direction
    found = best_validation(own, direction)
    return SweptRun(config, *found) if found else SweptRun(config)


def _holds(artifact: Artifact | None, config: RunConfig) -> bool:
    return artifact is not None and {*config.seeds} <= {*artifact.config.seeds}


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _kept(numbers: Sequence[int]) -> str:
    return f"; grid {_listed(numbers)} keeps lists of its own" if numbers else ""


# Runs that diverged leave no artifact, and need not diverge again.


def _diverged_before(out: Path, configs: Iterable[RunConfig]) -> Iterator[str]:
    """Ids of those that diverged in an earlier call, on the data and versions of now."""
    try:
        known = json.loads((out / _DIVERGED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for config in configs:
        if config.id in known and known[config.id] == _origin(config):
            yield config.id


def _remember(out: Path, configs: Sequence[RunConfig]) -> None:
    known = {config.id: origin for config in configs if (origin := _origin(config))}
    if known or (out / _DIVERGED).exists():
        (out / _DIVERGED).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def _origin(config: RunConfig) -> dict[str, Any] | None:
    """What decides whether a run diverges, beside the experiment; None where it is not known."""
    try:
        data = kinds.of(config).fingerprint(config)
    except DataMissing:
        return None
    return {"data_fingerprint": data, "versions": artifacts.versions()}
