"""Artifacts: finished runs as files, a Parquet table beside a JSON manifest.

An artifact is a folder with ``trajectory.parquet`` and ``manifest.json``. Nothing in it is ever
unpickled, and everything is checked before it is shown.
"""

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError
from mtl_core.trajectory import COLUMNS, FACTORS

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ARTIFACT_VERSION",
    "Artifact",
    "cache_dir",
    "check_writable",
    "data_fingerprint",
    "provenance",
    "read",
    "scan",
    "write",
]

ARTIFACT_VERSION = 1
_TABLE, _MANIFEST = "trajectory.parquet", "manifest.json"


@dataclass(frozen=True)
class Artifact:
    """A validated artifact; ``trajectory`` reads its table."""

    folder: Path
    config: RunConfig
    manifest: Mapping[str, Any]

    def trajectory(self) -> "pd.DataFrame":
        """The table, with the columns of ``trajectory.COLUMNS``."""
        return _table(self.folder / _TABLE, self.manifest["table_blake2b"]).copy()


def cache_dir() -> Path:
    """The artifacts that ship with the app: ``cache/`` beside ``mtl_core/``."""
    return Path(__file__).resolve().parents[2] / "cache"


def write(
    folder: Path, config: RunConfig, trajectory: "pd.DataFrame", info: Mapping[str, Any]
) -> Path:
    """Write a finished run into ``folder``; either all of it is there afterwards, or nothing new.

    Args:
        info: ``provenance`` and the run's ``duration_seconds``.

    Raises:
        InputError: when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
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
            text = Path(scratch) / _MANIFEST
            text.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
            # The manifest last: it is what makes the folder an artifact.
            os.replace(table, folder / _TABLE)
            os.replace(text, folder / _MANIFEST)
    except OSError as error:
        raise InputError(f"cannot write {folder} ({error}); choose another folder") from error
    return folder


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
        manifest = json.loads((folder / _MANIFEST).read_text())
        found = manifest["schema_version"]
        if found != ARTIFACT_VERSION:
            raise InputError(f"schema {found}, not {ARTIFACT_VERSION}; export it anew")
        config = RunConfig.from_dict(manifest["config"])
        if manifest["id"] != config.id:
            raise InputError(f"id {manifest['id']!r} is not that of its config, {config.id!r}")
        if manifest["kind"] not in ("measured", "published"):
            raise InputError(f"kind {manifest['kind']!r} is neither measured nor published")
        if manifest["table_blake2b"] != _digest(folder / _TABLE):
            raise InputError(f"{_TABLE} is not the file that the manifest describes")
        artifact = Artifact(folder, config, manifest)
        _check_table(artifact)
    except InputError as error:
        raise InputError(f"artifact {folder.name}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else str(error).splitlines()[0]
        raise InputError(f"artifact {folder.name} is unreadable: {reason}") from error
    return artifact


def scan(root: Path | None = None) -> tuple[dict[str, Artifact], list[str]]:
    """All artifacts below ``root`` (default: the shipped ones) by run id, and what was skipped."""
    found: dict[str, Artifact] = {}
    problems: list[str] = []
    for manifest in sorted((root or cache_dir()).glob(f"**/{_MANIFEST}")):
        try:
            artifact = read(manifest.parent)
        except InputError as error:
            problems.append(str(error))
        else:
            found[artifact.config.id] = artifact
    return found, problems


def provenance(config: RunConfig, device: str) -> dict[str, Any]:
    """What decided a run's numbers beside its config."""
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "device": _device_title(device),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in ("torch", "numpy")},
        },
        "data_fingerprint": data_fingerprint(config),
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
    path = Path(state.message)
    return _fingerprint(setting.name, config.tasks, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=64)
def _fingerprint(setting: str, tasks: tuple[str, ...], _modified: int) -> str:
    from mtl_core.settings.splits import fingerprint

    return fingerprint(settings.get(setting).load(tasks))


@lru_cache(maxsize=64)
def _table(path: Path, _digest: str) -> "pd.DataFrame":
    import pandas as pd

    return pd.read_parquet(path)


def _check_table(artifact: Artifact) -> None:
    config, table = artifact.config, artifact.trajectory()
    if list(table.columns) != list(COLUMNS):
        raise InputError(f"its columns are not {', '.join(COLUMNS)}")
    if set(table["seed"]) != set(config.seeds) or set(table["task"]) != set(config.tasks):
        raise InputError("its seeds or tasks are not those of its config")
    if table.duplicated(["seed", "step", "task"]).any():
        raise InputError("it has two rows for one seed, step and task")
    measured = table.drop(columns=list(FACTORS))
    if measured.isna().any(axis=None) or (table["train_loss"] < 0).any():
        raise InputError("it has missing or impossible values")
    if not table[["val_metric", "test_metric"]].stack().between(0, 1).all():
        raise InputError("it has accuracies outside 0 and 1")


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()


def _device_title(device: str) -> str:
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    return "cpu"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
