"""Artifacts' files, damaged in every way that reading tells, and as zip files."""

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mtl_core.runs import kinds
from mtl_core.runs.library import folders
from mtl_core.runs.library.artifacts import Content

__all__ = [
    "DAMAGES",
    "change_made",
    "change_manifest",
    "change_table",
    "files_of",
    "main_of",
    "pickled",
    "put_table",
    "side_of",
    "tables_of",
    "write_older",
    "zipped",
]

Change = Callable[[pd.DataFrame], pd.DataFrame]


def change_manifest(folder: Path, **changes: Any) -> None:
    """``...`` takes a key out; the hash of the whole fits afterwards, unless it is given."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | changes
    manifest = {k: v for k, v in manifest.items() if v is not ...}
    if "blake2b" in manifest and "blake2b" not in changes:
        manifest["blake2b"] = folders.manifest_digest(manifest)
    path.write_text(json.dumps(manifest))


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


def pickled() -> bytes:
    """What leaves a folder when it is unpickled."""

    class Boom:
        def __reduce__(self) -> Any:
            return os.mkdir, ("boom",)

    return pickle.dumps(Boom())


def zipped(files: Mapping[str, bytes], folder: str = "run/") -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}{name}", content)
    return io.BytesIO(buffer.getvalue())


def write_older(folder: Path, content: Content, **changes: Any) -> Path:
    """As versions wrote it in which seeds were a part of the config; ``...`` takes a key out."""
    config, (made,) = content.config, content.made
    main, *side = kinds.of(config).tables
    forms = kinds.of(config).tables
    values = config.to_dict() | {"seeds": list(config.seeds)}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    folder.mkdir(parents=True)
    digests = {}
    for name in [main, *(name for name in side if len(content.tables[name]))]:
        file = folder / f"{name}.parquet"
        rows = content.tables[name][[*forms[name].given]]
        rows.rename(columns={"auxiliaries": "run"}).to_parquet(file, index=False)
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
        "columns": list(forms[main].given),
        **digests,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    change_manifest(folder, **changes)
    return folder


def main_of(folder: Path) -> Path:
    files = (folder / f"{kind.main}.parquet" for kind in kinds.KINDS.values())
    return next(file for file in files if file.exists())


def side_of(folder: Path) -> Path:
    return next(path for path in folder.glob("*.parquet") if path != main_of(folder))


def change_main(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change_table(folder, main_of(folder).stem, change)


def tables_of(folder: Path) -> dict[str, Any]:
    """What the manifest says of its tables."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["tables"]
    return found


def change_table_hash(folder: Path, digest: str | None) -> None:
    tables, main = tables_of(folder), main_of(folder).stem
    change_manifest(folder, tables=tables | {main: tables[main] | {"blake2b": digest}})


Damage = tuple[Callable[[Path], object], str]

OF_ALL: dict[str, Damage] = {
    "not JSON": (
        lambda folder: (folder / "manifest.json").write_text("{"),
        r"manifest\.json is not JSON \(Expecting",
    ),
    "deep JSON": (
        lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
        r"manifest\.json is not JSON \(",
    ),
    "not text": (
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe\x00"),
        r"manifest\.json is not JSON \(",
    ),
    "not an object": (
        lambda folder: (folder / "manifest.json").write_text("[1]"),
        r"not a JSON object but \[1\]",
    ),
    "newer schema": (lambda f: change_manifest(f, schema_version=4), "schema 4 is not 3"),
    "older schema": (lambda f: change_manifest(f, schema_version=2), "schema 2 is not 3"),
    "missing tables": (lambda f: change_manifest(f, tables=...), "lacks 'tables'"),
    "no tables": (lambda f: change_manifest(f, tables={}), "it has no table {main}"),
    "tables that are none": (lambda f: change_manifest(f, tables=[]), r"tables \[\] is not a JSON"),
    "missing hash": (
        lambda f: change_manifest(f, tables={"front": {}, "trajectory": {}}),
        "lacks 'blake2b'|is not a table of",
    ),
    "missing config": (lambda f: change_manifest(f, config=...), "lacks 'config'"),
    "strange kind": (lambda f: change_manifest(f, kind="x"), "unknown kind of experiment 'x'; one"),
    "kind of a kind": (lambda f: change_manifest(f, kind=[]), r"unknown kind of experiment \[\]"),
    "strange numbers": (
        lambda f: change_manifest(f, numbers="invented"),
        "numbers 'invented' is none of: measured, published",
    ),
    "wrong id": (lambda f: change_manifest(f, id="0" * 16), "id '0{16}' is not that of its config"),
    "config that is no object": (lambda f: change_manifest(f, config=[]), "must be an object"),
    "config of another kind": (lambda f: change_manifest(f, config={"x": 1}), "config field 'x'"),
    "made by nobody": (lambda f: change_manifest(f, made=[]), "no seeds; give at least one"),
    "made in words": (lambda f: change_manifest(f, made=["x"]), "made 'x' is not an object with"),
    "made of nothing": (lambda f: change_made(f, seeds=[]), "is not an object with seeds"),
    "seeds twice": (lambda f: change_made(f, seeds=[0, 1, 1]), "seeds 0 1 1 repeat"),
    "a seed too many": (lambda f: change_made(f, seeds=[0, 1, 2]), "its seeds"),
    "a seed in words": (lambda f: change_made(f, seeds=["0", 1]), "seed '0' is not a whole number"),
    "notes that are none": (
        lambda f: change_manifest(f, notes="x"),
        "notes 'x' is not a JSON list",
    ),
    "former of another": (
        lambda f: change_manifest(f, former={"1e2f303c0118b861": [0]}),
        "former '1e2f303c0118b861' was no id of its config",
    ),
    "former that is none": (
        lambda f: change_manifest(f, former={"x": 5}),
        "seeds 5 must be a list",
    ),
    "wrong hash": (
        lambda f: change_table_hash(f, "0" * 32),
        r"{main}\.parquet is not the file that the manifest describes",
    ),
    "no table": (lambda f: main_of(f).unlink(), r"it lacks {main}\.parquet"),
    "table that is no Parquet": (
        lambda f: put_table(f, main_of(f).stem, b"PAR1 nonsense"),
        r"{main}\.parquet cannot be read \(",
    ),
    "side table that is no Parquet": (
        lambda f: put_table(f, side_of(f).stem, b"PAR1 nonsense"),
        r"(cosines|transfers)\.parquet cannot be read \(",
    ),
    "changed side table": (
        lambda f: side_of(f).write_bytes(b"PAR1 no"),
        r"(cosines|transfers)\.parquet is not the file that the manifest",
    ),
    "no side table": (lambda f: side_of(f).unlink(), r"it lacks (cosines|transfers)\.parquet"),
    "another table instead": (
        lambda f: main_of(f).write_bytes(side_of(f).read_bytes()),
        r"{main}\.parquet is not the file that the manifest describes",
    ),
    "no hash": (
        lambda f: change_table_hash(f, None),
        r"{main}\.parquet is not the file that the manifest describes",
    ),
    "no kind": (lambda f: change_manifest(f, kind=...), "lacks 'kind'"),
    "foreign columns": (
        lambda f: change_main(f, lambda t: t.rename(columns={"seconds": "minutes"})),
        r"the columns of {main}\.parquet are not [a-z]+, ",
    ),
    "column too many": (
        lambda f: change_main(f, lambda t: t.assign(x=1)),
        r"the columns of {main}\.parquet are not",
    ),
    "words for numbers": (
        lambda f: change_main(f, lambda t: t.assign(train_loss="low")),
        r"{main}\.parquet cannot be read \(",
    ),
    "missing seed": (lambda f: change_main(f, lambda t: t[t["seed"] == 0]), "its seeds"),
    "endless loss": (
        lambda f: change_main(f, lambda t: t.assign(train_loss=np.inf)),
        "it has impossible values|it has missing or infinite training losses",
    ),
}
OF_TRAINING: dict[str, Damage] = {
    "task that is not there any more": (
        lambda f: change_manifest(f, config={"setting": "digits", "target": "digits9"}),
        "unknown task of digits 'digits9'",
    ),
    "setting that is not there": (
        lambda f: change_manifest(f, config={"setting": "imagenet", "target": "cats"}),
        "unknown setting 'imagenet'",
    ),
    "missing task": (
        lambda f: change_main(f, lambda t: t[t["role"] == "target"]),
        "its seeds or tasks",
    ),
    "other auxiliaries": (
        lambda f: change_main(f, lambda t: t.assign(auxiliaries="stl")),
        "its setting, auxiliaries or optimizer",
    ),
    "other roles": (lambda f: change_main(f, lambda t: t.assign(role="target")), "its roles"),
    "row twice": (lambda f: change_main(f, lambda t: pd.concat([t, t[:1]])), "two rows for one"),
    "step too far": (
        lambda f: change_main(f, lambda t: t.assign(step=t["step"] + 1)),
        "it has steps outside 0 and 8",
    ),
    "last step missing": (
        lambda f: change_main(f, lambda t: t[t["step"] < t["step"].max()]),
        "it ends before step 8 without saying why",
    ),
    "missing value": (
        lambda f: change_main(
            f, lambda t: t.assign(test_metric=t["test_metric"].where(t.index > 0))
        ),
        "it has missing values",
    ),
    "endless factor": (
        lambda f: change_main(f, lambda t: t.assign(sharpness=np.inf)),
        "it has impossible values",
    ),
    "loss below 0": (
        lambda f: change_main(f, lambda t: t.assign(train_loss=-t["train_loss"])),
        "it has impossible values",
    ),
    "accuracy above 1": (
        lambda f: change_main(f, lambda t: t.assign(val_metric=t["val_metric"] + 1)),
        "its accuracy of digits1 is outside 0 and 1",
    ),
    "cosine above 1": (
        lambda f: change_table(f, "cosines", lambda t: t.assign(cosine=1.5)),
        "cosines.parquet has impossible values",
    ),
    "cosines of another seed": (
        lambda f: change_table(f, "cosines", lambda t: t.assign(seed=7)),
        "cosines.parquet has impossible values",
    ),
    "cosines with another's task": (
        lambda f: change_table(f, "cosines", lambda t: t.assign(other="fashion1")),
        "the tasks of cosines.parquet are not those of its config",
    ),
    "whole epoch that is none": (
        lambda f: change_main(f, lambda t: t.assign(whole_epoch=True)),
        r"whole_epoch of trajectory\.parquet is not what follows from its epoch$",
    ),
    "no whole epoch": (
        lambda f: change_main(f, lambda t: t.assign(whole_epoch=False)),
        r"whole_epoch of trajectory\.parquet is not what follows from its epoch$",
    ),
    "whole epochs as numbers": (
        lambda f: change_main(f, lambda t: t.assign(whole_epoch=t["whole_epoch"].astype(float))),
        r"whole_epoch of trajectory\.parquet is not what follows from its epoch$",
    ),
    "whole epochs in words": (
        lambda f: change_main(f, lambda t: t.assign(whole_epoch=t["whole_epoch"].astype(str))),
        r"whole_epoch of trajectory\.parquet is not what follows from its epoch$",
    ),
    "whole epochs that are not known": (
        lambda f: change_main(
            f, lambda t: t.assign(whole_epoch=t["whole_epoch"].where(t["step"] > 0, None))
        ),
        r"whole_epoch of trajectory\.parquet is not what follows from its epoch$",
    ),
    "epochs of another budget": (
        lambda f: change_main(f, lambda t: t.assign(epoch=t["epoch"] / 3)),
        r"whole_epoch of trajectory\.parquet is not what follows from its epoch$",
    ),
    "whole epochs elsewhere": (
        lambda f: change_main(f, lambda t: t.assign(whole_epoch=t.pop("whole_epoch"))),
        r"the columns of trajectory\.parquet are not setting, ",
    ),
    "a front's table": (
        lambda f: put_table(f, "front", b""),
        "'front' is not a table of a training run",
    ),
}
OF_FRONTS: dict[str, Damage] = {
    "problem that is not there": (
        lambda f: change_manifest(f, config={"kind": "pareto", "problem": "mars"}),
        "unknown problem 'mars'",
    ),
    "a run's config": (
        lambda f: change_manifest(f, config={"setting": "digits", "target": "digits1"}),
        "unknown config field 'setting'",
    ),
    "a run's table": (
        lambda f: put_table(f, "cosines", b""),
        "'cosines' is not a table of a front",
    ),
    "missing frame": (
        lambda f: change_main(f, lambda t: t[t["step"] != 20]),
        "lacks steps without saying why",
    ),
    "step of another config": (
        lambda f: change_main(f, lambda t: t.replace({"step": {20: 30}})),
        "not have one row for each solution",
    ),
    "step that is not measured": (
        lambda f: change_main(f, lambda t: t.replace({"step": {20: 21}})),
        "steps that its config does not measure",
    ),
    "missing solution": (
        lambda f: change_main(f, lambda t: t[t["solution"] != 3]),
        "not have one row for each solution",
    ),
    "other objectives": (
        lambda f: change_main(f, lambda t: t.replace({"objective": {"f1": "f3"}})),
        "objectives are not those",
    ),
    "shares that are none": (
        lambda f: change_table(f, "transfers", lambda t: t.assign(share=t["share"] * 0.9)),
        "not shares of 1",
    ),
    "nothing taken": (
        lambda f: change_table(f, "transfers", lambda t: t.assign(share=np.nan)),
        "not shares of 1",
    ),
    "transfers at other steps": (
        lambda f: change_table(f, "transfers", lambda t: t.assign(step=t["step"] + 1)),
        "transfers.parquet has seeds or steps that its config does not have",
    ),
    "solution too many": (
        lambda f: change_table(f, "transfers", lambda t: t.replace({"other": {3: 99}})),
        "solutions that its config does not have",
    ),
}
DAMAGES = {
    "training": OF_ALL | OF_TRAINING,
    "front": OF_ALL | OF_FRONTS,
}
