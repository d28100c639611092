"""Front artifacts: finished fronts as files, as ``artifacts`` has them of training runs.

A folder with ``front.parquet``, ``manifest.json`` and, where a method transfers,
``transfers.parquet``. Below ``cache/`` they lie in ``pareto/PROBLEM``.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.pareto import problems
from mtl_core.pareto.config import Options, ParetoConfig
from mtl_core.pareto.front import FRONT_COLUMNS, TRANSFER_COLUMNS
from mtl_core.runs.library import artifacts, folders
from mtl_core.settings.base import Stamp
from mtl_core.training import devices

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FORMULA",
    "FRONT_VERSION",
    "FrontArtifact",
    "artifact_name",
    "data_fingerprint",
    "provenance",
    "read",
    "scan",
    "write",
]

FRONT_VERSION = 1
FORMULA = "formula"
"""Instead of a fingerprint, for a problem in closed form."""
_NAME, _SIDE = "front", "transfers"
_LARGEST = 1e-6
"""How far the rows of a transfer matrix may be from the sum 1."""


@dataclass(frozen=True)
class FrontArtifact:
    """A validated artifact; ``front`` and ``transfers`` read its tables."""

    folder: Path
    config: ParetoConfig
    manifest: Mapping[str, Any]

    @property
    def unfinished(self) -> str | None:
        """Why it holds only the beginning of a run; None when it holds all of it."""
        error = self.manifest.get("error")
        return None if error is None else str(error)

    @property
    def imported(self) -> bool:
        """Whether a user brought it from another machine; it did not ship with the app."""
        return self.folder.is_relative_to(artifacts.imported_dir())

    def front(self) -> "pd.DataFrame":
        """The table, with the columns of ``front.FRONT_COLUMNS``."""
        return _front(self.folder, self.manifest["table_blake2b"]).copy()

    def transfers(self) -> "pd.DataFrame":
        """Transfer matrices with the columns of ``front.TRANSFER_COLUMNS``; maybe without rows."""
        digest = self.manifest.get(f"{_SIDE}_blake2b")
        return _transfers(self.folder, digest).copy()


def artifact_name(config: ParetoConfig) -> str:
    """A folder name that people can read and no two configs share."""
    return f"pareto/{config.problem}/{config.method}--{config.id}"


def write(
    folder: Path,
    config: ParetoConfig,
    front: "pd.DataFrame",
    transfers: "pd.DataFrame",
    info: Mapping[str, Any],
) -> Path:
    """Write a front into ``folder``: afterwards it holds all of it, or is no artifact of it.

    Args:
        info: ``provenance``, the run's ``duration_seconds``, and ``error`` if it is unfinished.

    Raises:
        InputError: when the folder cannot be written.
    """
    head = {
        "schema_version": FRONT_VERSION,
        "kind": "measured",
        "id": config.id,
        "config": config.to_dict(),
        **info,
    }
    # Without a transfer all matrices are the identity.
    mixed = (transfers["solution"] != transfers["other"]).any()
    return folders.write(folder, head, _NAME, front, {_SIDE: transfers if mixed else ()})  # type: ignore[dict-item]


def read(folder: Path) -> FrontArtifact:
    """Check an artifact and hand it out.

    Raises:
        InputError: naming what is wrong with it.
    """
    return _read(folder, folders.stamps(folder))


def scan(root: Path | None = None) -> tuple[dict[str, FrontArtifact], list[str]]:
    """All finished fronts below ``root`` (default: the shipped) by id, and what was skipped."""
    return folders.scan((root or artifacts.cache_dir()).glob(f"**/{_NAME}.parquet"), read)


def provenance(config: ParetoConfig, device: str) -> dict[str, Any]:
    """What decided a front's numbers beside its config."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": "cpu" if device == "cpu" else devices.title(device),
        "versions": artifacts.versions(),
        "data_fingerprint": data_fingerprint(config),
    }


def data_fingerprint(config: ParetoConfig) -> str:
    """The hash of a problem's examples as they are on this machine, or ``FORMULA``.

    Raises:
        DataMissing: when they are not.
        InputError: when they cannot be read.
    """
    problem = config.definition
    if problem.fingerprint is None:
        return FORMULA
    state = problem.data_state()
    if state.state != "found":
        raise DataMissing(state.message)
    if not state.files:
        return problem.fingerprint(dict(config.problem_options))
    return _fingerprint(config.problem, config.problem_options, state.stamp)


@lru_cache(maxsize=64)
def _fingerprint(problem: str, options: Options, _stamp: Stamp) -> str:
    """Making and hashing all canvases takes a while; of files that stay it stays the same."""
    found = problems.get(problem).given(dict(options))
    assert found.fingerprint is not None
    return found.fingerprint(dict(options))


@lru_cache(maxsize=1024)
def _read(folder: Path, _stamps: tuple[tuple[str, int, int, int], ...]) -> FrontArtifact:
    """Files that have not changed are checked once."""
    with folders.checking(folder):
        manifest = folders.manifest(folder, FRONT_VERSION)
        config = ParetoConfig.from_dict(manifest["config"])
        if manifest["id"] != config.id:
            raise InputError(f"id {quoted(manifest['id'])} is not that of its config, {config.id}")
        for name, key in ((_NAME, "table_blake2b"), (_SIDE, f"{_SIDE}_blake2b")):
            file = folder / f"{name}.parquet"
            there = manifest[key] if name == _NAME else manifest.get(key)
            missing = there is None and name != _NAME
            if not missing and there != folders.digest(file):
                raise InputError(f"{file.name} is not the file that the manifest describes")
        artifact = FrontArtifact(folder, config, manifest)
        _check_front(artifact)
        _check_transfers(artifact)
    return artifact


@lru_cache(maxsize=256)
def _front(folder: Path, _digest: str) -> "pd.DataFrame":
    from mtl_core.runs.fronts import as_front

    return folders.table(folder / f"{_NAME}.parquet", FRONT_COLUMNS, as_front)


@lru_cache(maxsize=64)
def _transfers(folder: Path, digest: str | None) -> "pd.DataFrame":
    import pandas as pd

    from mtl_core.runs.fronts import as_transfers

    if digest is None:
        return as_transfers(pd.DataFrame(columns=list(TRANSFER_COLUMNS)))
    return folders.table(folder / f"{_SIDE}.parquet", TRANSFER_COLUMNS, as_transfers)


def _check_front(artifact: FrontArtifact) -> None:
    """Whether a table can be the front of its config."""
    import numpy as np

    config, table = artifact.config, artifact.front()
    if not set(table["step"]) <= set(config.steps):
        raise InputError("it has steps that its config does not measure")
    names = [objective.name for objective in config.definition.objectives]
    solutions = np.repeat(np.arange(len(config.weights)), len(names))
    places = table.groupby(["seed", "step"]).size()
    if set(places.index.get_level_values("seed")) != set(config.seeds):
        raise InputError("its seeds are not those of its config")
    if (places != len(solutions)).any():
        raise InputError("it has not a row for each solution and objective of its config")
    if artifact.unfinished is None and len(places) != len(config.steps) * len(config.seeds):
        raise InputError("it lacks steps without saying why")
    numbered = table["solution"].to_numpy().reshape(len(places), -1) == solutions
    named = table["objective"].to_numpy().reshape(-1, len(names)) == np.array(names, dtype=object)
    if not (numbered.all() and named.all()):
        raise InputError("its solutions or objectives are not those of its config")
    if not np.isfinite(table[["train_loss", "seconds"]].to_numpy()).all():
        raise InputError("it has missing or infinite training losses or seconds")
    if np.isinf(table[["test_loss", "metric"]].to_numpy()).any():
        raise InputError("it has infinite losses or metrics")
    each = len(config.weights) * config.passes
    if (table["evaluations"] != table["step"] * each).any() or (table["seconds"] < 0).any():
        raise InputError("it has evaluations or seconds that cannot be")
    held_out = table["test_loss"].notna()
    if held_out.any() != held_out.all() or held_out.any() != bool(config.definition.fingerprint):
        raise InputError("it has not a test loss for each training loss, or one too many")


def _check_transfers(artifact: FrontArtifact) -> None:
    """Whether all matrices are row-stochastic."""
    config, table = artifact.config, artifact.transfers()
    count = len(config.weights)
    if table.empty:
        return
    if not (table[["solution", "other"]].isin(range(count))).all(axis=None):
        raise InputError(f"{_SIDE}.parquet names solutions that its config does not have")
    if not (set(table["seed"]) <= set(config.seeds) and set(table["step"]) <= set(config.steps)):
        raise InputError(f"{_SIDE}.parquet has seeds or steps that its config does not have")
    sums = table.groupby(["seed", "step", "solution"])["share"].sum()
    if not (table["share"] >= 0).all() or ((sums - 1).abs() > _LARGEST).any():
        raise InputError(f"{_SIDE}.parquet has rows that are not shares of 1")
