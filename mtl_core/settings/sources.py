"""Image data sets on disk: where they are, how they are read, how they are fetched.

``MTL_DATA_DIR`` (default ``~/.cache/mtl-explorer``) holds ``NAME.npz`` in the Keras layout or
torchvision's own folder; the .npz is preferred.
"""

import gzip
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import DataMissing, InputError
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
    """The archive or folder that holds data set ``name``; DataMissing, with the way out, if none."""
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
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise _damaged(path, source, reason) from error
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    if images.shape[1:] != source.image_shape:
        raise _damaged(path, source, f"images are {images.shape[1:]}, not {source.image_shape}")
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= source.classes:
        raise _damaged(path, source, f"labels reach {labels.max()}, not {source.classes - 1}")
    return images, labels


def download(name: str) -> Path:
    """Fetch a data set through torchvision, which checks its files' MD5 sums.

    Raises:
        DataMissing: no server could be reached, or what came was damaged.
    """
    import torchvision

    source = _SOURCES[name]
    data_dir().mkdir(parents=True, exist_ok=True)
    dataset = getattr(torchvision.datasets, source.torchvision)
    try:
        for train in (True, False):
            dataset(str(data_dir()), train=train, download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataMissing(
            f"{source.title} could not be downloaded ({reason}); check the network, or put "
            f"{name}.npz into {data_dir()}"
        ) from error
    return find(name)


def downloaded_bytes(name: str) -> int:
    """Bytes of the download that have arrived so far."""
    source = _SOURCES[name]
    paths = (_raw_folder(source) / file for file in source.files)
    return sum(path.stat().st_size for path in paths if path.exists())


def total_bytes(name: str) -> int:
    """Bytes of the whole download."""
    return sum(_SOURCES[name].files.values())


def _raw_folder(source: Source) -> Path:
    return data_dir() / source.torchvision / "raw"


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
        arrays = {name: archive[name] for name in _ARRAYS}
    for name, array in arrays.items():
        if array.dtype != np.uint8:
            raise ValueError(f"{name} is {array.dtype}, not uint8")
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if images.ndim < 3 or labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(f"x_{split} is {images.shape} and y_{split} is {labels.shape}")
    return arrays


def _read_idx(folder: Path, source: Source) -> dict[str, NDArray[np.uint8]]:
    arrays = {}
    for name, file in zip(_ARRAYS, source.files, strict=True):
        path = _idx_file(folder, file)
        assert path is not None  # find() has looked
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        ndim = content[3]
        shape = np.frombuffer(content, dtype=">i4", count=ndim, offset=4)
        arrays[name] = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * ndim).reshape(shape)
    return arrays


def _damaged(path: Path, source: Source, reason: str) -> InputError:
    return InputError(
        f"{path} is not a readable {source.title} ({reason}); replace it, or remove it and "
        "download the data anew"
    )
