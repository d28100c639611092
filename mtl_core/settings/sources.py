"""Image data sets on disk: where they are, how they are read, how they are fetched.

``MTL_DATA_DIR`` (default ``~/.cache/mtl-explorer``) holds ``NAME.npz`` in the Keras layout or
torchvision's own folder; the .npz is preferred.
"""

import gzip
import http.client
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import DataMissing, InputError, unknown
from mtl_core.settings.base import DataState

__all__ = ["data_dir", "download", "downloaded_bytes", "find", "read", "state", "total_bytes"]

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True)
class Source:
    """A public data set: its title, torchvision's class for it, and the bytes of its files."""

    title: str
    torchvision: str
    image_shape: tuple[int, ...]
    classes: int
    files: dict[str, int]


_SOURCES = {
    "fashion_mnist": Source(
        title="FashionMNIST",
        torchvision="FashionMNIST",
        image_shape=(28, 28),
        classes=10,
        files={
            "train-images-idx3-ubyte.gz": 26_421_880,
            "train-labels-idx1-ubyte.gz": 29_515,
            "t10k-images-idx3-ubyte.gz": 4_422_102,
            "t10k-labels-idx1-ubyte.gz": 5_148,
        },
    ),
}


def data_dir() -> Path:
    """The folder that data sets are looked for in and downloaded to."""
    named = os.environ.get("MTL_DATA_DIR")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "mtl-explorer"


def find(name: str) -> Path:
    """The archive or folder that holds data set ``name``; DataMissing says how to get it."""
    source = _SOURCES[name]
    archive = data_dir() / f"{name}.npz"
    if archive.is_file():
        return archive
    folder = _raw_folder(source)
    if all(_idx_file(folder, file) for file in source.files):
        return folder
    raise DataMissing(
        f"{source.title} is not in {data_dir()}: download it on the What if page or with "
        f"`python -m mtl_core download {name}`, or put {name}.npz (x_train, y_train, x_test, "
        "y_test) there, or set MTL_DATA_DIR to the folder that has it"
    )


def state(name: str) -> DataState:
    """Whether data set ``name`` is on this machine, without reading it."""
    try:
        return DataState("found", str(find(name)))
    except DataMissing as error:
        return DataState("downloadable", str(error))


def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images and labels of a data set, whatever its files' split.

    Returns:
        images (N, H, W[, C]) uint8 and labels (N,) int64.

    Raises:
        DataMissing: it is not on this machine.
        InputError: its files are damaged or something else.
    """
    source, path = _SOURCES[name], find(name)
    try:
        arrays = _read_npz(path) if path.is_file() else _read_idx(path, source)
        _check(arrays, source)
    except MemoryError:
        raise
    except Exception as error:  # what a damaged file makes numpy, zip and gzip raise has no end
        raise _damaged(path, source, _reason(error)) from error
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    return images, labels


def download(name: str) -> Path:
    """Fetch a data set, unless it is there, through torchvision, which checks its MD5 sums.

    Returns:
        Where it is.

    Raises:
        InputError: for an unknown data set.
        DataMissing: no server could be reached, or what came was damaged.
    """
    if name not in _SOURCES:
        raise unknown("data set", name, _SOURCES)
    source = _SOURCES[name]
    if state(name).state == "found":
        return find(name)

    import torchvision

    dataset = getattr(torchvision.datasets, source.torchvision)
    staged, folder = _staging(source), _raw_folder(source)
    try:
        for file in source.files:
            # Only archives are checked; what an interrupted download unpacked may be half a file.
            (staged / file.removesuffix(".gz")).unlink(missing_ok=True)
        dataset(str(staged.parents[1]), download=True)
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(staged.iterdir()):
            path.replace(folder / path.name)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise DataMissing(
            f"{source.title} could not be downloaded ({_reason(error)}); check the network, or "
            f"put {name}.npz into {data_dir()}"
        ) from error
    return find(name)


def downloaded_bytes(name: str) -> int:
    """Bytes of the download that have arrived so far."""
    source = _SOURCES[name]
    total = 0
    for file in source.files:
        for folder in (_raw_folder(source), _staging(source)):
            path = folder / file
            if path.is_file():
                total += path.stat().st_size
                break
    return total


def total_bytes(name: str) -> int:
    """Bytes of the whole download."""
    return sum(_SOURCES[name].files.values())


def _raw_folder(source: Source) -> Path:
    return data_dir() / source.torchvision / "raw"


def _staging(source: Source) -> Path:
    """Where files arrive, so that nothing unchecked or half-written is ever found."""
    return data_dir() / "downloading" / source.torchvision / "raw"


def _idx_file(folder: Path, file: str) -> Path | None:
    """torchvision keeps both the .gz and what was in it; either will do."""
    for path in (folder / file.removesuffix(".gz"), folder / file):
        if path.is_file():
            return path
    return None


def _read_npz(path: Path) -> dict[str, NDArray[np.uint8]]:
    with np.load(path, allow_pickle=False) as archive:
        if missing := [name for name in _ARRAYS if name not in archive.files]:
            raise ValueError(f"it has no array {missing[0]!r}")
        return {name: archive[name] for name in _ARRAYS}


def _read_idx(folder: Path, source: Source) -> dict[str, NDArray[np.uint8]]:
    arrays = {}
    for name, file in zip(_ARRAYS, source.files, strict=True):
        path = _idx_file(folder, file)
        assert path is not None  # find() has looked
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if content[:3] != b"\0\0\x08":
            raise ValueError(f"{path.name} is not an idx file of bytes")
        ndim = content[3]
        shape = np.frombuffer(content, dtype=">i4", count=ndim, offset=4)
        arrays[name] = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * ndim).reshape(shape)
    return arrays


def _check(arrays: dict[str, NDArray[np.uint8]], source: Source) -> None:
    """ValueError unless these are images of the data set's shape and its labels."""
    for name, array in arrays.items():
        if array.dtype != np.uint8:
            raise ValueError(f"{name} is {array.dtype}, not uint8")
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if labels.ndim != 1 or images.shape[:1] != labels.shape:
            raise ValueError(f"x_{split} is {images.shape} and y_{split} is {labels.shape}")
        if images.shape[1:] != source.image_shape:
            raise ValueError(f"images are {images.shape[1:]}, not {source.image_shape}")
        if labels.max(initial=0) >= source.classes:
            raise ValueError(f"labels reach {labels.max()}, not {source.classes - 1}")


def _reason(error: Exception) -> str:
    """An error in one line; of several lines the first, which says what, and the last, why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[0] if len(lines) == 1 else f"{lines[0].rstrip(':')}: {lines[-1]}"


def _damaged(path: Path, source: Source, reason: str) -> InputError:
    return InputError(
        f"{path} is not a readable {source.title} ({reason}); replace it, or remove it and "
        "download the data anew"
    )
