"""Artifacts' files, changed in ways that only the checks for it can tell, and as zip files."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mtl_core.runs import kinds
from mtl_core.runs.library.artifacts import Content

__all__ = [
    "change_made",
    "change_manifest",
    "change_table",
    "files_of",
    "put_table",
    "write_older",
    "zipped",
]

Change = Callable[[pd.DataFrame], pd.DataFrame]


def change_manifest(folder: Path, **changes: Any) -> None:
    """``...`` takes a key out."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in manifest.items() if v is not ...}))


def change_made(folder: Path, **changes: Any) -> None:
    """What is said of where its runs come from; ``...`` takes a key out."""
    groups = json.loads((folder / "manifest.json").read_text())["made"]
    made = [{k: v for k, v in (group | changes).items() if v is not ...} for group in groups]
    change_manifest(folder, made=made)


def change_table(folder: Path, name: str, change: Change) -> None:
    """With the hash that goes with it, so that only its content is wrong."""
    frame = change(pd.read_parquet(folder / f"{name}.parquet"))
    put_table(folder, name, pa.Table.from_pandas(frame, preserve_index=False))


def put_table(folder: Path, name: str, content: pa.Table | bytes) -> None:
    """Anything instead of a table, with the hash that goes with it."""
    if isinstance(content, pa.Table):
        buffer = io.BytesIO()
        pq.write_table(content, buffer, compression="zstd")
        content = buffer.getvalue()
    (folder / f"{name}.parquet").write_bytes(content)
    said = json.loads((folder / "manifest.json").read_text())["tables"]
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    change_manifest(folder, tables=said | {name: said.get(name, {}) | {"blake2b": digest}})


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def zipped(files: Mapping[str, bytes], folder: str = "run/") -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}{name}", content)
    return io.BytesIO(buffer.getvalue())


def write_older(folder: Path, content: Content, **changes: Any) -> Path:
    """As versions wrote an artifact in which seeds were a part of the config; ``...`` leaves out."""
    config, (made,) = content.config, content.made
    main, *side = kinds.of(config).tables
    values = config.to_dict() | {"seeds": list(config.seeds)}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    folder.mkdir(parents=True)
    digests = {}
    for name in [main, *(name for name in side if len(content.tables[name]))]:
        file = folder / f"{name}.parquet"
        content.tables[name].rename(columns={"auxiliaries": "run"}).to_parquet(file, index=False)
        digest = hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
        digests["table_blake2b" if name == main else f"{name}_blake2b"] = digest
    manifest = {
        "schema_version": 2 if main == "trajectory" else 1,
        "kind": "measured",
        "id": hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
        "config": values,
        **{name: value for name, value in made.items() if name != "seeds"},
        "notes": list(content.notes),
        "rows": len(content.tables[main]),
        "columns": list(content.tables[main].columns),
        **digests,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    change_manifest(folder, **changes)
    return folder
