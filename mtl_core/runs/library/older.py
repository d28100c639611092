"""Artifacts of schema 1 and 2, in which an artifact was a config with its seeds, made today's.

    python -m mtl_core.runs.library.older FOLDER

converts every artifact below a folder in place, numbers untouched: folders get their new names,
manifests say which ids they had before, and artifacts of one experiment become one.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError, quoted
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.library.artifacts import Content
from mtl_core.runs.queue.older import split_config

__all__ = ["convert", "is_older", "main", "read"]

_SCHEMAS = {"training": 2, "front": 1}
_PROVENANCE = ("created", "device", "versions", "data_fingerprint", "factors", "duration_seconds")
_RENAMED = {"run": "auxiliaries"}
"""Columns that are called otherwise today."""


def is_older(folder: Path) -> bool:
    """Whether a folder holds an artifact of an older schema, sound or not."""
    try:
        schema = folders.manifest(folder).get("schema_version")
    except (InputError, OSError):
        return False
    return schema in _SCHEMAS.values()


def read(folder: Path) -> Content:
    """What an artifact of an older schema holds. Raises InputError."""
    import pandas as pd

    with folders.checking(folder):
        manifest = folders.manifest(folder)
        kind_name, values, seeds = split_config(manifest["config"])
        kind = kinds.get(kind_name)
        if manifest["schema_version"] != _SCHEMAS[kind_name]:
            raise InputError(f"schema {quoted(manifest['schema_version'])} is not known")
        tables = {}
        for name, form in kind.tables.items():
            digest = manifest.get("table_blake2b" if name == kind.main else f"{name}_blake2b")
            if digest is None:
                tables[name] = form.frame([])
                continue
            file = folder / f"{name}.parquet"
            if digest != folders.digest(file):
                raise InputError(f"{file.name} is not the file that the manifest describes")
            tables[name] = form.tidied(pd.read_parquet(file).rename(columns=_RENAMED))
        made = {name: manifest[name] for name in _PROVENANCE if name in manifest}
        return Content(
            kinds.experiment(kind_name, values, seeds=seeds),
            tables,
            [{"seeds": list(seeds), "factors": {}, **made}],
            manifest.get("notes", []),
            {str(manifest["id"]): list(seeds)},
            manifest.get("error"),
        )


def convert(root: Path, *, named: bool = True) -> dict[str, str]:
    """Convert the artifacts below a folder.

    Args:
        named: whether folders get the names that precompute gives them; else that of their id.

    Returns:
        Former ids to the ids of today.
    """
    by_experiment: dict[str, list[Path]] = {}
    ids: dict[str, str] = {}
    for manifest in sorted(root.glob(f"**/{folders.MANIFEST}")):
        folder = manifest.parent
        if not is_older(folder):
            continue
        content = read(folder)
        by_experiment.setdefault(content.config.id, []).append(folder)
        ids |= dict.fromkeys(content.former, content.config.id)
    for experiment, old in by_experiment.items():
        content = _most_seeds_first([read(folder) for folder in old])
        name = kinds.of(content.config).folder(content.config) if named else experiment
        artifacts.write(root / name, content)
        artifacts.read(root / name)  # before what it was made of goes
        for folder in old:
            if folder != root / name:
                shutil.rmtree(folder)
    return ids


def _most_seeds_first(contents: Sequence[Content]) -> Content:
    ordered = sorted(contents, key=lambda content: -len(content.config.seeds))
    return artifacts.joined(ordered)


def main(arguments: Sequence[str]) -> int:
    """Convert what lies below a folder and say what became of it."""
    ids: Mapping[str, Any] = convert(Path(arguments[0]))
    print(f"{len(ids)} artifacts converted into {len(set(ids.values()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
