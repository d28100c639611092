"""Artifacts: finished runs as files, a Parquet table beside a JSON manifest.

An artifact is a folder with ``trajectory.parquet`` and ``manifest.json``, and a file for each of
``trajectory.SIDE_TABLES`` that has rows. Nothing in it is ever unpickled, and everything is checked
before it is shown.
"""

import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.runs import devices
from mtl_core.runs.store import default_path
from mtl_core.settings.base import METRIC_RANGES
from mtl_core.trajectory import COLUMNS, FACTORS, SIDE_TABLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ARTIFACT_VERSION",
    "Artifact",
    "cache_dir",
    "check_writable",
    "clear",
    "data_fingerprint",
    "imported_dir",
    "provenance",
    "read",
    "scan",
    "versions",
    "write",
]

ARTIFACT_VERSION = 2
_TABLE, _MANIFEST = "trajectory.parquet", "manifest.json"
_SCRATCH = ".part-"
_KINDS = ("measured", "published")
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
        from mtl_core.runs.frames import side_frame

        digest = self.manifest.get(_side_digest(name))
        return _side(self.folder, name, digest).copy() if digest else side_frame(name, [])


def cache_dir() -> Path:
    """The artifacts that ship with the app: ``cache/`` beside ``mtl_core/``."""
    return Path(__file__).resolve().parents[2] / "cache"


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as scratch:
            table = Path(scratch) / _TABLE
            trajectory.to_parquet(table, index=False, compression="zstd")
            manifest = {
                "schema_version": ARTIFACT_VERSION,
                "kind": "measured",
                "id": config.id,
                "config": config.to_dict(),
                **info,
                "rows": len(trajectory),
                "columns": list(trajectory.columns),
                "table_blake2b": _digest(table),
            }
            filled = {name: rows for name, rows in (side or {}).items() if len(rows)}
            for name, rows in filled.items():
                rows.to_parquet(_file(scratch, name), index=False, compression="zstd")
                manifest[_side_digest(name)] = _digest(_file(scratch, name))
            text = Path(scratch) / _MANIFEST
            content = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
            text.write_text(content, encoding="utf-8")
            # The manifest goes first and comes last: it is what makes the folder an artifact.
            (folder / _MANIFEST).unlink(missing_ok=True)
            os.replace(table, folder / _TABLE)
            for name in SIDE_TABLES:
                _file(folder, name).unlink(missing_ok=True)
                if name in filled:
                    os.replace(_file(scratch, name), _file(folder, name))
            os.replace(text, folder / _MANIFEST)
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder") from error
    return folder


def clear(folder: Path) -> None:
    """Remove what was left in ``folder`` by a process that was killed while it wrote."""
    for scratch in folder.glob(f"{_SCRATCH}*"):
        shutil.rmtree(scratch, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Raises InputError, before hours of training, when ``folder`` cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder") from error


def read(folder: Path) -> Artifact:
    """Check an artifact and hand it out.

    Raises:
        InputError: naming what is wrong with it.
    """
    try:
        stamps = [(file.name, file.stat()) for file in sorted(folder.iterdir())]
    except OSError as error:
        raise InputError(f"artifact {folder.name} cannot be read ({error})") from error
    return _read(folder, tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in stamps))


@lru_cache(maxsize=4096)
def _read(folder: Path, _stamps: tuple[tuple[str, int, int, int], ...]) -> Artifact:
    """Files that have not changed are checked once."""
    try:
        manifest = _manifest(folder / _MANIFEST)
        config = RunConfig.from_dict(manifest["config"])
        if manifest["id"] != config.id:
            raise InputError(f"id {quoted(manifest['id'])} is not that of its config, {config.id}")
        if manifest["table_blake2b"] != _digest(folder / _TABLE):
            raise InputError(f"{_TABLE} is not the file that the manifest describes")
        artifact = Artifact(folder, config, manifest)
        _check_table(artifact)
        for name in SIDE_TABLES:
            _check_side(artifact, name)
    except KeyError as error:
        raise InputError(f"artifact {folder.name}: {_MANIFEST} lacks {error}") from error
    except InputError as error:
        raise InputError(f"artifact {folder.name}: {error}") from error
    except OSError as error:
        raise InputError(f"artifact {folder.name} cannot be read ({error})") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"artifact {folder.name}: {_first_line(error)}") from error
    return artifact


def scan(root: Path | None = None) -> tuple[dict[str, Artifact], list[str]]:
    """All finished runs below ``root`` (default: the shipped ones) by id, and what was skipped."""
    found: dict[str, Artifact] = {}
    problems: list[str] = []
    for manifest in sorted((root or cache_dir()).glob(f"**/{_MANIFEST}")):
        if manifest.parent.name.startswith(_SCRATCH):
            continue  # left by a process that was killed while it wrote
        try:
            artifact = read(manifest.parent)
        except InputError as error:
            problems.append(str(error))
            continue
        if artifact.unfinished is not None:
            problems.append(f"artifact {manifest.parent.name} is unfinished: {artifact.unfinished}")
        else:
            found[artifact.config.id] = artifact
    return found, problems


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
    from mtl_core.settings.splits import fingerprint

    found = settings.get(setting)
    return fingerprint(found.load(tasks), one_input=found.one_input)


@lru_cache(maxsize=512)
def _table(path: Path, _digest: str) -> "pd.DataFrame":
    from mtl_core.runs.frames import as_tidy

    return _parquet(path, COLUMNS, as_tidy)


@lru_cache(maxsize=512)
def _side(folder: Path, name: str, _digest: str) -> "pd.DataFrame":
    from mtl_core.runs.frames import as_side

    return _parquet(_file(folder, name), SIDE_TABLES[name], partial(as_side, name))


def _file(folder: Path | str, name: str) -> Path:
    return Path(folder) / f"{name}.parquet"


def _side_digest(name: str) -> str:
    return f"{name}_blake2b"


def _parquet(
    path: Path, columns: tuple[str, ...], tidied: "Callable[[pd.DataFrame], pd.DataFrame]"
) -> "pd.DataFrame":
    """A table with these columns and no others. Raises InputError for anything else."""
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
        if table.column_names != list(columns):
            raise InputError(f"the columns of {path.name} are not {', '.join(columns)}")
        return tidied(table.to_pandas(ignore_metadata=True))
    except (pyarrow.ArrowException, OSError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path.name} cannot be read ({_first_line(error)})") from error


def _check_side(artifact: Artifact, name: str) -> None:
    digest, file = artifact.manifest.get(_side_digest(name)), _file(artifact.folder, name)
    if digest is None:
        return
    if digest != _digest(file):
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


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_MANIFEST} is not JSON ({_first_line(error)})") from error
    if not isinstance(manifest, dict):
        raise InputError(f"{_MANIFEST} is not a JSON object but {quoted(manifest)}")
    found = manifest["schema_version"]
    if found != ARTIFACT_VERSION:
        raise InputError(f"schema {quoted(found)} is not {ARTIFACT_VERSION}; export it anew")
    if not isinstance(manifest.get("notes", []), list):
        raise InputError(f"notes {quoted(manifest['notes'])} are not a list")
    if not isinstance(manifest.get("factors", {}), dict):
        raise InputError(f"factors {quoted(manifest['factors'])} are not an object")
    if manifest["kind"] not in _KINDS:
        raise InputError(f"kind {quoted(manifest['kind'])} is none of: {', '.join(_KINDS)}")
    return manifest


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


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:120]


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
