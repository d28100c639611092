"""Precompute: a grid of configs into artifacts, one replica per job."""

import itertools
import sys
import time
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mtl_core.config import RunConfig
from mtl_core.errors import InputError, TrainingDiverged
from mtl_core.runs import artifacts
from mtl_core.trajectory import Row

__all__ = ["artifact_name", "precompute", "read_plan"]


def read_plan(path: Path) -> list[RunConfig]:
    """The configs of a TOML plan, each once.

    A plan has tables ``[[grid]]`` with a setting, a preset and any other fields of RunConfig.
    ``auxiliaries`` is a list of sets; any other field that is given a list is swept over.

    Raises:
        InputError: for a plan that cannot be read or holds a config that cannot be trained.
    """
    try:
        plan = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"cannot read plan {path} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"plan {path} is not TOML ({error})") from error
    grids = plan.get("grid")
    if not isinstance(grids, list) or not grids:
        raise InputError(f"plan {path} has no [[grid]]; see plans/ for examples")
    configs = [config for grid in grids for config in _expand(grid)]
    return list({config.id: config for config in configs}.values())


def precompute(configs: Iterable[RunConfig], out: Path, *, jobs: int | None = None) -> int:
    """Train what is not in ``out`` yet; every finished config is safe at once.

    Returns:
        0, or 1 when any config failed; a later call tries those again.
    """
    from joblib import Parallel, delayed

    from mtl_core.training.pool import cores

    there, _ = artifacts.scan(out)
    missing = [config for config in configs if config.id not in there]
    replicas = [(config, seed) for config in missing for seed in config.seeds]
    rows: dict[str, dict[int, list[Row]]] = {config.id: {} for config in missing}
    by_id = {config.id: config for config in missing}
    seconds = dict.fromkeys(by_id, 0.0)
    failed: dict[str, str] = {}
    started = time.monotonic()
    results = Parallel(
        n_jobs=jobs or cores(), backend="loky", batch_size=1, return_as="generator_unordered"
    )(delayed(_train_replica)(config.to_dict(), seed) for config, seed in replicas)
    for count, (run, seed, found, spent, error) in enumerate(results, start=1):
        config = by_id[run]
        seconds[run] += spent
        rows[run][seed] = found
        if error:
            failed[run] = error
        elif run not in failed and len(rows[run]) == len(config.seeds):
            info = artifacts.provenance(config, "cpu") | {"duration_seconds": round(seconds[run], 1)}
            every = [row for rows_of_seed in rows.pop(run).values() for row in rows_of_seed]
            artifacts.write(out / artifact_name(config), config, _frame(every), info)
        left = (time.monotonic() - started) / count * (len(replicas) - count)
        print(f"{count}/{len(replicas)} replicas, {left:.0f} s left", file=sys.stderr, flush=True)
    for run, error in failed.items():
        print(f"failed: {artifact_name(by_id[run])}: {error}", file=sys.stderr)
    return 1 if failed else 0


def artifact_name(config: RunConfig) -> str:
    """A folder name that people can read and no two configs share."""
    return f"{config.setting}/{config.target}--{config.run}--{config.id}"


def _expand(grid: Mapping[str, Any]) -> list[RunConfig]:
    fields = dict(grid)
    setting = fields.pop("setting", None)
    if not isinstance(setting, str):
        raise InputError(f"a grid of the plan has the setting {setting!r}; name one")
    fixed = {"seeds": tuple(fields.pop("seeds"))} if "seeds" in fields else {}
    fields.setdefault("preset", "quick")
    swept = {
        name: value if isinstance(value, list) else [value] for name, value in fields.items()
    }
    configs = []
    for values in itertools.product(*swept.values()):
        changes = dict(zip(swept, values, strict=True))
        if "auxiliaries" in changes:
            changes["auxiliaries"] = tuple(changes["auxiliaries"])
        preset = changes.pop("preset")
        try:
            configs.append(RunConfig.from_preset(setting, preset, **fixed, **changes))
        except TypeError as error:
            raise InputError(f"a grid of the plan does not fit: {error}") from error
    return configs


def _train_replica(
    config: dict[str, Any], seed: int
) -> tuple[str, int, list[Row], float, str | None]:
    """Runs in a process of its own; gives back an error as text, since rows go with it."""
    from mtl_core.training.replicas import advance

    whole = RunConfig.from_dict(config)
    started = time.monotonic()
    error, checkpoints = None, []
    try:
        checkpoints = advance(whole, (seed,), None, slice_seconds=float("inf"))
    except (TrainingDiverged, InputError) as caught:
        error = str(caught)
    rows = [row for checkpoint in checkpoints for row in checkpoint.rows]
    return whole.id, seed, rows, time.monotonic() - started, error


def _frame(rows: list[Row]) -> Any:
    from mtl_core.runs.frames import to_frame

    return to_frame(rows)
