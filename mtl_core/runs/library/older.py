"""Artifacts of schema 1 and 2, in which an artifact was a config with its seeds, made today's.

    python -m mtl_core.runs.library.older FOLDER

converts every artifact below a folder in place, numbers untouched: folders get their new names,
manifests say which ids they had before, and artifacts of one experiment become one.
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_core.errors import InputError, quoted
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Kind
from mtl_core.runs.library import artifacts, folders
from mtl_core.runs.library.artifacts import Content
from mtl_core.runs.queue.older import split_config

if TYPE_CHECKING:
    import pandas as pd

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
    with folders.checking(folder):
        manifest = folders.manifest(folder)
        kind_name, values, seeds = split_config(manifest["config"])
        config = kinds.experiment(kind_name, values, seeds=seeds)
        kind = kinds.of(config)
        if (schema := manifest["schema_version"]) != _SCHEMAS[kind.name]:
            raise InputError(f"schema {quoted(schema)} is not known")
        if manifest["id"] != (run := artifacts.former_id(config, seeds)):
            raise InputError(f"id {quoted(manifest['id'])} is not that of its config, {run}")
        if not isinstance(notes := manifest.get("notes", []), list):
            raise InputError(f"notes {quoted(notes)} is not a JSON list")
        made = {name: manifest[name] for name in _PROVENANCE if name in manifest}
        return Content(
            config,
            {name: _table(folder, manifest, kind, name) for name in kind.tables},
            [{"seeds": list(seeds), "factors": {}, **made}],
            notes,
            {run: list(seeds)},
            manifest.get("error"),
        )


def _table(folder: Path, manifest: Mapping[str, Any], kind: Kind, name: str) -> "pd.DataFrame":
    form, file = kind.tables[name], folder / f"{name}.parquet"
    digest = manifest.get("table_blake2b" if name == kind.main else f"{name}_blake2b")
    if not file.is_file():
        if digest is None and name != kind.main:
            return form.frame([])
        raise InputError(f"it lacks {file.name}")
    if digest is None:
        raise InputError(f"{file.name} is not in the manifest")
    if digest != folders.digest(file):
        raise InputError(f"{file.name} is not the file that the manifest describes")
    former = {new: old for old, new in _RENAMED.items()}
    columns, words = (
        tuple(former.get(n, n) for n in names) for names in (form.columns, form.words)
    )
    found = folders.table(file, replace(form, columns=columns, words=words))
    return form.tidied(found.rename(columns=_RENAMED))


def convert(root: Path) -> dict[str, str]:
    """Convert the artifacts below a folder, with those of today that are there already.

    Returns:
        Former ids to the ids of today.
    """
    by_experiment: dict[str, list[Path]] = {}
    ids: dict[str, str] = {}
    for folder in filter(is_older, folders.found(root)):
        content = read(folder)
        by_experiment.setdefault(content.config.id, []).append(folder)
        ids |= dict.fromkeys(content.former, content.config.id)
    for old in by_experiment.values():
        contents = [read(folder) for folder in old]
        config = contents[0].config
        to = root / kinds.of(config).folder(config)
        if to not in old and (to / folders.MANIFEST).exists():
            contents.append(artifacts.content(artifacts.read(to)))
        artifacts.write(to, artifacts.joined(sorted(contents, key=_seeds)))
        artifacts.read(to)  # before what it was made of goes
        for folder in old:
            if folder != to:
                shutil.rmtree(folder)
    return ids


def _seeds(content: Content) -> int:
    """A key that sorts contents with most seeds first."""
    return -len(content.config.seeds)


def main(arguments: Sequence[str]) -> int:
    """Convert what lies below a folder and say what became of it."""
    ids: Mapping[str, Any] = convert(Path(arguments[0]))
    print(f"{len(ids)} artifacts converted into {len(set(ids.values()))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
