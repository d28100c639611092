"""Artifacts: finished runs as files, a Parquet table beside a JSON manifest.

An artifact is a folder with ``trajectory.parquet`` and ``manifest.json``, and a file for each of
``trajectory.SIDE_TABLES`` that has rows. Nothing in it is ever unpickled, and everything is checked
before it is shown.
"""

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.places import shipped
from mtl_core.runs.library import folders
from mtl_core.runs.queue.store import default_path
from mtl_core.settings.base import METRIC_RANGES
from mtl_core.training import devices
from mtl_core.trajectory import COLUMNS, FACTORS, SIDE_TABLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ARTIFACT_VERSION",
    "Artifact",
    "cache_dir",
    "data_fingerprint",
    "imported_dir",
    "provenance",
    "read",
    "scan",
    "versions",
    "write",
]

ARTIFACT_VERSION = 2
_NAME = "trajectory"
_TABLE, _MANIFEST = f"{_NAME}.parquet", folders.MANIFEST
_WORDS = ("setting", "run", "optimizer", "task", "role")
_METRICS = ("val_metric", "test_metric")


@dataclass(frozen=True)
class Artifact:
    """A validated artifact; ``trajectory`` reads its table."""

    folder: Path
    config: RunConfig
    manifest: Mapping[str, Any]

    @property
    def unfinished(self) -> str | None:
        """Why it holds only the beginning of a run; None when it holds all of it."""
        error = self.manifest.get("error")
        return None if error is None else str(error)

    @property
    def imported(self) -> bool:
        """Whether a user brought it from another machine; it did not ship with the app."""
        return self.folder.is_relative_to(imported_dir())

    def trajectory(self) -> "pd.DataFrame":
        """The table, with the columns of ``trajectory.COLUMNS``."""
        return _table(self.folder / _TABLE, self.manifest["table_blake2b"]).copy()

    def side(self, name: str) -> "pd.DataFrame":
        """A table of ``trajectory.SIDE_TABLES``; maybe without rows."""
        from mtl_core.runs.library.frames import side_frame

        digest = self.manifest.get(_side_digest(name))
        return _side(self.folder, name, digest).copy() if digest else side_frame(name, [])


def cache_dir() -> Path:
    """The artifacts that ship with the app: ``cache/`` beside ``mtl_core/``."""
    return shipped("cache")


def imported_dir() -> Path:
    """The artifacts that users brought from other machines: ``imported/`` beside the store."""
    return default_path().absolute().parent / "imported"


def write(
    folder: Path,
    config: RunConfig,
    trajectory: "pd.DataFrame",
    info: Mapping[str, Any],
    side: "Mapping[str, pd.DataFrame] | None" = None,
) -> Path:
    """Write a run into ``folder``: afterwards it holds all of it, or is no artifact of it.

    Args:
        info: ``provenance``, the run's ``duration_seconds``, and ``error`` if it is unfinished.
        side: tables of ``trajectory.SIDE_TABLES`` by name.

    Raises:
        InputError: when the folder cannot be written.
    """
    head = {
        "schema_version": ARTIFACT_VERSION,
        "kind": "measured",
        "id": config.id,
        "config": config.to_dict(),
        **info,
    }
    unused: dict[str, Any] = dict.fromkeys(SIDE_TABLES, ())
    return folders.write(folder, head, _NAME, trajectory, unused | dict(side or {}))


def read(folder: Path) -> Artifact:
    """Check an artifact and hand it out.

    Raises:
        InputError: naming what is wrong with it.
    """
    return _read(folder, folders.stamps(folder))


@lru_cache(maxsize=4096)
def _read(folder: Path, _stamps: tuple[tuple[str, int, int, int], ...]) -> Artifact:
    """Files that have not changed are checked once."""
    with folders.checking(folder):
        manifest = folders.manifest(folder, ARTIFACT_VERSION)
        config = RunConfig.from_dict(manifest["config"])
        if manifest["id"] != config.id:
            raise InputError(f"id {quoted(manifest['id'])} is not that of its config, {config.id}")
        if manifest["table_blake2b"] != folders.digest(folder / _TABLE):
            raise InputError(f"{_TABLE} is not the file that the manifest describes")
        artifact = Artifact(folder, config, manifest)
        _check_table(artifact)
        for name in SIDE_TABLES:
            _check_side(artifact, name)
    return artifact


def scan(root: Path | None = None) -> tuple[dict[str, Artifact], list[str]]:
    """All finished runs below ``root`` (default: the shipped ones) by id, and what was skipped."""
    manifests = (root or cache_dir()).glob(f"**/{_MANIFEST}")
    fronts = "front.parquet"  # those are of ``front_artifacts``
    return folders.scan((one for one in manifests if not (one.parent / fronts).exists()), read)


def provenance(config: RunConfig, device: str) -> dict[str, Any]:
    """What decided a run's numbers beside its config, and how its factors were measured."""
    from mtl_core.training.meter import protocol

    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": "cpu" if device == "cpu" else devices.title(device),
        "versions": versions(),
        "data_fingerprint": data_fingerprint(config),
        "factors": protocol(config),
    }


def versions() -> dict[str, str]:
    """Of what computes a run's numbers."""
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "numpy")},
    }


def data_fingerprint(config: RunConfig) -> str:
    """The hash of the examples of all of a config's tasks, as they are on this machine.

    Raises:
        DataMissing: when they are not.
    """
    setting = settings.get(config.setting)
    state = setting.data_state()
    if state.state != "found":
        raise DataMissing(state.message)
    return _fingerprint(setting.name, config.tasks, state.stamp)


@lru_cache(maxsize=512)
def _fingerprint(setting: str, tasks: tuple[str, ...], _stamp: settings.Stamp) -> str:
    from mtl_core.data.splits import fingerprint

    found = settings.get(setting)
    return fingerprint(found.load(tasks), one_input=found.one_input)


@lru_cache(maxsize=512)
def _table(path: Path, _digest: str) -> "pd.DataFrame":
    from mtl_core.runs.library.frames import as_tidy

    return folders.table(path, COLUMNS, as_tidy)


@lru_cache(maxsize=512)
def _side(folder: Path, name: str, _digest: str) -> "pd.DataFrame":
    from mtl_core.runs.library.frames import as_side

    return folders.table(_file(folder, name), SIDE_TABLES[name], partial(as_side, name))


def _file(folder: Path | str, name: str) -> Path:
    return Path(folder) / f"{name}.parquet"


def _side_digest(name: str) -> str:
    return f"{name}_blake2b"


def _check_side(artifact: Artifact, name: str) -> None:
    digest, file = artifact.manifest.get(_side_digest(name)), _file(artifact.folder, name)
    if digest is None:
        return
    if digest != folders.digest(file):
        raise InputError(f"{file.name} is not the file that the manifest describes")
    config, rows = artifact.config, artifact.side(name)
    tasks = set(rows["task"]) | set(rows.get("other", ()))
    if not tasks <= set(config.tasks):
        raise InputError(f"the tasks of {file.name} are not those of its config")
    cosines = rows["cosine" if name == "cosines" else "cosine_to_sum"].dropna()
    sound = [set(rows["seed"]) <= set(config.seeds), cosines.between(-1, 1).all()]
    if name == "updates":
        sound += [rows["weight"].notna().all(), not (rows["norm_ratio"] < 0).any()]
    if not all(sound):
        raise InputError(f"{file.name} has impossible values")


def _check_table(artifact: Artifact) -> None:
    """Whether a table can be the trajectory of its config."""
    import numpy as np

    # Plain arrays: dozens of artifacts ship, and all are checked before the first page shows.
    config, table = artifact.config, artifact.trajectory()
    column = {name: table[name].to_numpy() for name in COLUMNS}
    seeds, steps, tasks = column["seed"], column["step"], column["task"]
    if set(seeds) != set(config.seeds) or set(tasks) != set(config.tasks):
        raise InputError("its seeds or tasks are not those of its config")
    for name in ("setting", "run", "optimizer"):
        if set(column[name]) != {getattr(config, name)}:
            raise InputError("its setting, run or optimizer is not that of its config")
    if ((tasks == config.target) != (column["role"] == "target")).any():
        raise InputError("its roles are not those of its config")
    ends: dict[tuple[int, str], int] = {}
    places = list(zip(seeds.tolist(), tasks.tolist(), steps.tolist(), strict=True))
    for seed, task, step in places:
        ends[seed, task] = max(step, ends.get((seed, task), 0))
    if len(set(places)) < len(places):
        raise InputError("it has two rows for one seed, step and task")
    if not ((steps >= 0) & (steps <= config.steps)).all():
        raise InputError(f"it has steps outside 0 and {config.steps}")
    if artifact.unfinished is None and set(ends.values()) != {config.steps}:
        raise InputError(f"it ends before step {config.steps} without saying why")
    counted = [name for name in COLUMNS if name not in (*_WORDS, *_METRICS, *FACTORS)]
    known = np.stack([column[name] for name in counted]).astype(float)
    metrics = np.stack([column[name] for name in _METRICS]).astype(float)
    factors = np.stack([column[name] for name in FACTORS]).astype(float)
    if np.isnan(known).any() or np.isnan(metrics).any():
        raise InputError("it has missing values")
    if any(np.isinf(values).any() for values in (known, metrics, factors)) or (known < 0).any():
        raise InputError("it has impossible values")
    setting = settings.get(config.setting)
    for task in map(setting.task, config.tasks):
        low, high = METRIC_RANGES[task.metric]
        own = metrics[:, tasks == task.name]
        if own.min() < low or own.max() > high:
            name = task.metric.replace("_", " ")
            raise InputError(f"its {name} of {task.name} is outside {low:g} and {high:g}")
    if (column["sharpness"] < 0).any() or (column["fisher_trace"] < 0).any():
        raise InputError("it has a sharpness or a Fisher trace below 0")
    if (np.abs(column["gradient_similarity"]) > 1).any():
        raise InputError("it has a gradient similarity outside -1 and 1")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
