"""Stored data: a user's own table or images as arrays of ours, named by a hash of what they are.

A set of data ``own-1a2b3c4d5e`` is two files in ``own/`` of the data folder. The ``.json`` says
what it is: inputs, tasks, sizes, and the digest of its arrays; its name is the hash of that. The
``.npz`` holds the arrays. So a description proves its own name: it can come with runs of another
machine, and stays where the data is not. Neither the file that it was made of, its name or its
format, nor the title that its owner gave it counts.
"""

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl_core import checks
from mtl_core.data.base import Split, Stamp, TaskData, stamp_of
from mtl_core.data.own import folder, shared
from mtl_core.errors import DataMissing, InputError, quoted

__all__ = [
    "NETWORKS",
    "Described",
    "Label",
    "arrays_digest",
    "carried",
    "data_file",
    "find",
    "is_name",
    "learn",
    "load",
    "names",
    "remove",
    "save",
    "settle",
]

NETWORKS = ("mlp", "cnn", "resnet18")
MOST_TASKS = 200
MOST_CLASSES = 1_000
_VERSION = 1
_NAME = re.compile(r"own-[0-9a-f]{10}")
_TASK = re.compile(r"[^\W]{1,60}")
_DIGEST = re.compile(r"[0-9a-f]{32}")
_MOST_KEPT, _MOST_SHARED = 1_000, 100
_LEAST_FREE = 2**30  # bytes that strangers leave free
_MOST_NOTES = 50
_carried: dict[str, "Described"] = {}


@dataclass(frozen=True)
class Label:
    """A task.

    Args:
        name: letters, digits and underscores, as links and folders take it.
        title: its column.
        classes: 1 for a number.
    """

    name: str
    title: str
    classes: int


@dataclass(frozen=True)
class Described:
    """What a set of data is; its arrays lie elsewhere.

    Args:
        title: what its owner calls it.
        shape: of an example: (D,), or (C, H, W) of images.
        inputs: names of the input columns; none of images.
        group: the column whose rows are all on one side of the split; empty for none.
        network: which encoder takes it.
        sizes: examples to train on, validate on and test on.
        filled: whether missing inputs were filled in.
        digest: of the arrays.
        notes: what people should know of how it was made, a line each.
    """

    title: str
    shape: tuple[int, ...]
    inputs: tuple[str, ...]
    labels: tuple[Label, ...]
    group: str
    network: Literal["mlp", "cnn", "resnet18"]
    sizes: tuple[int, int, int]
    filled: bool
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``own-`` and 10 hex digits of a hash of all but title and notes."""
        values = asdict(self)
        del values["title"], values["notes"]
        text = json.dumps({"version": _VERSION, **values}, sort_keys=True, separators=(",", ":"))
        return f"own-{hashlib.blake2b(text.encode(), digest_size=5).hexdigest()}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {"version": _VERSION, **plain}

    @classmethod
    def from_dict(cls, values: object) -> "Described":
        """Inverse of ``to_dict``; checks everything, since it may come from anywhere.

        Raises:
            InputError: for anything else.
        """
        try:
            return _checked(values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("the description of own data is not one; export it anew") from None


# Here.


def is_name(text: object) -> bool:
    """Whether a text could be the name of stored data."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def names() -> list[str]:
    """What is stored or described in ``own/``, by title."""
    return list(_listed(str(folder()), _changed()))


def find(name: str) -> Described | None:
    """What is known of a set of data: stored here, described here, or by what came with runs."""
    found = _listed(str(folder()), _changed()).get(name)
    if found is None and is_name(name):
        # A folder's time of change is too coarse for what came a moment ago.
        found = _read(folder() / f"{name}.json") or _carried.get(name)
    return found


def data_file(name: str) -> Path:
    """Where the arrays lie; the file need not be there."""
    return folder() / f"{name}.npz"


def load(name: str) -> dict[str, TaskData]:
    """All tasks of a set of data; they share their inputs.

    Raises:
        DataMissing: where its arrays are not here.
        InputError: where they are damaged.
    """
    file, described = data_file(name), find(name)
    if described is None or not file.is_file():
        raise DataMissing(f"own data {name} is not on this machine; add the table it was made of")
    return _loaded(name, stamp_of([file]))


def save(described: Described, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Keep arrays and what they are in ``own/``; returns the name. Nothing is written twice.

    Args:
        arrays: ``x``, and ``y0``, ``y1``, … in the order of the labels.

    Raises:
        InputError: where the folder cannot be written, or holds too much.
    """
    name, file = described.name, data_file(described.name)
    if not file.is_file():
        _check_room(name)
        part = file.with_name(f".{name}.{os.getpid()}.npz")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(part, **dict(arrays))  # type: ignore[arg-type]
            os.replace(part, file)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise InputError(
                f"{file.parent} cannot be written ({error.strerror}); make the data folder "
                "writable, or free some disk space"
            ) from error
    # Nobody gives another title to what a stranger has added.
    if not (shared() and find(name) is not None):
        _write(described)
    return name


def remove(name: str, *, keep_description: bool) -> None:
    """Take the arrays of own data away, and its description unless something refers to it.

    Raises:
        InputError: where they are not here, or cannot be removed.
    """
    if not (is_name(name) and data_file(name).is_file()):
        raise InputError(f"no own data {quoted(name)} is stored here; see `data list` for what is")
    try:
        data_file(name).unlink()
        if not keep_description:
            (folder() / f"{name}.json").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{data_file(name)} cannot be removed ({error.strerror}); remove it by hand"
        ) from error
    _listed.cache_clear()
    _loaded.cache_clear()


def arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """32 hex digits of a hash of arrays, by name."""
    total = hashlib.blake2b(digest_size=16)
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name}{array.dtype.str}{array.shape}".encode())
        total.update(array.data)
    return total.hexdigest()


# On other machines.


def carried(name: object) -> dict[str, Any] | None:
    """What goes out with runs on a set of data: its description, never the data."""
    found = find(name) if isinstance(name, str) and is_name(name) else None
    return None if found is None else found.to_dict()


def learn(values: object) -> None:
    """Know, in this process, a set of data by the description that came with runs on it.

    Raises:
        InputError: for what is no description.
    """
    described = Described.from_dict(values)
    _carried[described.name] = described
    while len(_carried) > _MOST_KEPT:
        del _carried[next(iter(_carried))]


def settle(values: object) -> None:
    """Keep a description that came with runs, for other processes and links; what is here stays."""
    described = Described.from_dict(values)
    if not (folder() / f"{described.name}.json").is_file():
        _check_room(described.name)
        _write(described)


# Files.


def _changed() -> int:
    try:
        return os.stat(folder()).st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=4)
def _listed(place: str, _changed: int) -> Mapping[str, Described]:
    try:
        with os.scandir(place) as entries:
            files = [
                Path(entry.path)
                for entry in entries
                if entry.name.endswith(".json")
                and _NAME.fullmatch(entry.name.removesuffix(".json"))
                and entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return {}
    found = [one for one in map(_read, files) if one is not None]
    return {one.name: one for one in sorted(found, key=lambda one: (one.title.lower(), one.name))}


def _read(file: Path) -> Described | None:
    """None where there is no file, or what it says is not what its name says."""
    try:
        described = Described.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return None
    return described if described.name == file.stem else None


def _write(described: Described) -> None:
    file = folder() / f"{described.name}.json"
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(described.to_dict(), ensure_ascii=False, indent=1)
        part.write_text(f"{text}\n", encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(
            f"{file.parent} cannot be written ({error.strerror}); make the data folder writable, "
            "or free some disk space"
        ) from error
    _listed.cache_clear()


def _check_room(name: str) -> None:
    most = _MOST_SHARED if shared() else _MOST_KEPT
    if len(names()) >= most and name not in names():
        raise InputError(
            f"{most:,} sets of own data are kept already; remove some from the app's folder own"
        )
    place = folder() if folder().is_dir() else Path.home()
    if shared() and shutil.disk_usage(place).free < _LEAST_FREE:
        raise InputError("this server's disk is nearly full; whoever runs it can make room")


@lru_cache(maxsize=4)
def _loaded(name: str, _stamp: Stamp) -> dict[str, TaskData]:
    described = find(name)
    assert described is not None
    try:
        with np.load(data_file(name), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
        sound = arrays_digest(arrays) == described.digest
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError):
        sound = False
    if not sound:
        raise InputError(
            f"own data {name} is damaged; remove {name}.npz from the app's folder own, and add the "
            "table it was made of again"
        )
    train, val, _ = described.sizes
    pieces = (slice(train), slice(train, train + val), slice(train + val, None))
    inputs = [arrays["x"][piece] for piece in pieces]
    return {
        label.name: TaskData(
            *(
                Split(own, arrays[f"y{place}"][piece])
                for own, piece in zip(inputs, pieces, strict=True)
            )
        )
        for place, label in enumerate(described.labels)
    }


def _checked(values: Any) -> Described:
    if values["version"] != _VERSION:
        raise InputError(f"own data of version {quoted(values['version'])} is not {_VERSION}")
    labels = tuple(
        Label(
            _word(one["name"], _TASK),
            checks.plain_text("column", one["title"]),
            checks.whole("classes", one["classes"], 1, MOST_CLASSES),
        )
        for one in _few(values["labels"], MOST_TASKS)
    )
    shape = tuple(checks.whole("shape", size, 1, 100_000) for size in _few(values["shape"], 3))
    sizes = [checks.whole("size", size, 1, 2**31 - 1) for size in _few(values["sizes"], 3)]
    train, val, test = sizes
    network = values["network"]
    images = len(shape) == 3
    if network not in NETWORKS or not labels or len(shape) not in (1, 3):
        raise ValueError
    if (network != "mlp" and not images) or len({one.name for one in labels}) < len(labels):
        raise ValueError
    return Described(
        title=checks.plain_text("title", values["title"])[:100],
        shape=shape,
        inputs=tuple(checks.plain_text("column", one) for one in _few(values["inputs"], 10_000)),
        labels=labels,
        group=checks.plain_text("group", values["group"]),
        network=network,
        sizes=(train, val, test),
        filled=checks.flag("filled", values["filled"]),
        digest=_word(values["digest"], _DIGEST),
        notes=tuple(checks.plain_text("note", one) for one in _few(values["notes"], _MOST_NOTES)),
    )


def _few(values: Any, most: int) -> Sequence[Any]:
    if not isinstance(values, list) or len(values) > most:
        raise ValueError
    return values


def _word(text: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ValueError
    return text
