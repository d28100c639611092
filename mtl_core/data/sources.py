"""Image data sets on disk: where they are, how they are fetched.

``MTL_DATA_DIR`` (default ``~/.cache/mtl-explorer``) holds ``NAME.npz`` in the Keras layout or
the folder that torchvision or the publisher has; the .npz is preferred.
"""

import http.client
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mtl_core.data import formats, unpacked
from mtl_core.data.base import DataState, Stamp
from mtl_core.data.formats import Arrays
from mtl_core.errors import DataMissing, InputError, unknown

__all__ = [
    "data_dir",
    "download",
    "downloaded_bytes",
    "find",
    "read",
    "stamp",
    "state",
    "states",
    "title",
    "total_bytes",
]


@dataclass(frozen=True)
class Layout:
    """A folder as a data set is published, and the reader of its files.

    Args:
        folder: in the data folder.
        files: their names; those of LeCun's format may also be .gz, and have a point for the hyphen
            before idx, as other publishers write them.
    """

    folder: str
    files: tuple[str, ...]
    read: Callable[[Sequence[Path]], Arrays]
    zipped: bool = False

    @property
    def path(self) -> Path:
        return data_dir() / self.folder

    def located(self) -> "tuple[Path, tuple[Path, ...]] | None":
        """The folder that has all files, and these: ``path``, or one around or in it."""
        for folder in self._folders():
            found = [path for file in self.files if (path := self._file(folder, file)) is not None]
            if len(found) == len(self.files):
                return folder, tuple(found)
        return None

    def lacking(self) -> list[str]:
        """Files that are not in a folder that has some; none where all or none are there."""
        lacks = [file for file in self.files if self._file(self.path, file) is None]
        return lacks if len(lacks) < len(self.files) else []

    def _folders(self) -> Iterator[Path]:
        yield from unpacked.folders(self.path)
        top = data_dir() / Path(self.folder).parts[0]
        if top != self.path:
            for folder in unpacked.folders(top):
                yield folder
                yield folder / self.path.name

    def _file(self, folder: Path, name: str) -> Path | None:
        """torchvision keeps both a .gz and its content; some zip files wrap each in a folder."""
        names = [name]
        if self.zipped:
            spellings = (name, name.replace("-idx", ".idx"))
            names = [f"{one}{end}" for end in ("", ".gz") for one in spellings]
        either = (path for one in names for path in (folder / one, folder / one / one))
        wrapped = (folder / outer / inner for outer in names for inner in names)
        return next((path for path in (*either, *wrapped) if path.is_file()), None)


@dataclass(frozen=True)
class Source:
    """A public data set.

    Args:
        layouts: the folders that may hold it; a download makes the first.
        torchvision: the class that knows where it is published; empty when it cannot be downloaded.
        files: what is fetched, with its bytes.
        origin: where people get what cannot be downloaded, the end of a sentence.
    """

    title: str
    image_shape: tuple[int, ...]
    classes: int
    layouts: tuple[Layout, ...] = ()
    torchvision: str = ""
    files: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""


_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _like_mnist(name: str, sizes: Sequence[int]) -> Source:
    return Source(
        title=name,
        image_shape=(28, 28),
        classes=10,
        layouts=(Layout(f"{name}/raw", _IDX_FILES, formats.idx, zipped=True),),
        torchvision=name,
        files={f"{file}.gz": size for file, size in zip(_IDX_FILES, sizes, strict=True)},
    )


_SOURCES = {
    "fashion_mnist": _like_mnist("FashionMNIST", (26_421_880, 29_515, 4_422_102, 5_148)),
    "mnist": _like_mnist("MNIST", (9_912_422, 28_881, 1_648_877, 4_542)),
    "notmnist": Source(
        title="notMNIST",
        image_shape=(28, 28),
        classes=10,
        origin=(
            "; the images are Yaroslav Bulatov's notMNIST_small, whose folders A to J are the "
            "labels 0 to 9 (yaroslavvb.blogspot.com/2011/09/notmnist-dataset.html)"
        ),
    ),
    "cifar100": Source(
        title="CIFAR-100",
        image_shape=(32, 32, 3),
        classes=100,
        layouts=(
            Layout("cifar-100-python", ("train", "test"), formats.cifar_pickles),
            Layout("cifar-100-binary", ("train.bin", "test.bin"), formats.cifar_binary),
        ),
        torchvision="CIFAR100",
        files={"cifar-100-python.tar.gz": 169_001_437},
    ),
}


def data_dir() -> Path:
    """The folder that data sets are looked for in and downloaded to."""
    named = os.environ.get("MTL_DATA_DIR")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "mtl-explorer"


def find(name: str) -> Path:
    """The archive or folder that holds data set ``name``; DataMissing says how to get it."""
    return _located(name).path


def state(name: str) -> DataState:
    """Whether data set ``name`` is on this machine, without reading it."""
    try:
        found = _located(name)
        return DataState("found", str(found.path), found.files)
    except DataMissing as error:
        return DataState("downloadable" if _SOURCES[name].torchvision else "missing", str(error))


def states(names: Sequence[str]) -> DataState:
    """Whether several data sets are all on this machine; if not, what to do about each."""
    every = {name: state(name) for name in names}
    if absent := [name for name, one in every.items() if one.state != "found"]:
        hopeless = any(every[name].state == "missing" for name in absent)
        return DataState("missing" if hopeless else "downloadable", _advice(absent))
    files = tuple(file for one in every.values() for file in one.files)
    return DataState("found", ", ".join(one.message for one in every.values()), files)


def stamp(name: str) -> Stamp:
    """A key for what was read from data set ``name``. Raises DataMissing when it is not here."""
    return DataState("found", "", _located(name).files).stamp


def title(name: str) -> str:
    """What people call a data set."""
    return _SOURCES[name].title


def read(name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All images and labels of a data set, its published splits pooled.

    Returns:
        images (N, H, W[, C]) uint8 and labels (N,) int64.

    Raises:
        DataMissing: it is not on this machine.
        InputError: its files are damaged, or hold something else.
    """
    source, found = _SOURCES[name], _located(name)
    try:
        arrays = found.read(found.files)
        _check(arrays, source)
    except MemoryError:
        raise
    except Exception as error:  # numpy, zip and gzip raise all sorts of errors for a damaged file
        raise _damaged(found.path, source, _reason(error)) from error
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    return images, labels


def download(name: str) -> Path:
    """Fetch a data set, unless it is there, through torchvision, which checks its MD5 sums.

    Returns:
        Where it is.

    Raises:
        InputError: for an unknown data set.
        DataMissing: it has no public source, no server could be reached, or what came was damaged.
    """
    if name not in _SOURCES:
        raise unknown("data set", name, _SOURCES)
    source = _SOURCES[name]
    if state(name).state == "found" or not source.torchvision:
        return find(name)

    staged, folder = _staging(source), _folder(source)
    try:
        _fetch(source, staged)
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
        for folder in (_folder(source), _staging(source)):
            path = folder / file
            if path.is_file():
                total += path.stat().st_size
                break
    return total


def total_bytes(name: str) -> int:
    """Bytes of the whole download."""
    return sum(_SOURCES[name].files.values())


class _Located(NamedTuple):
    """The archive or folder that holds a data set, the files that are read, and their reader."""

    path: Path
    files: tuple[Path, ...]
    read: Callable[[Sequence[Path]], Arrays]


def _located(name: str) -> _Located:
    archive = data_dir() / f"{name}.npz"
    if archive.is_file():
        return _Located(archive, (archive,), lambda files: formats.npz(files[0]))
    for layout in _SOURCES[name].layouts:
        if found := layout.located():
            return _Located(*found, layout.read)
    raise DataMissing(_advice([name]))


def _advice(names: Sequence[str]) -> str:
    """What to do about data sets that are not here."""
    titles = _and([title(name) for name in names])
    verb, whole = ("is", "it") if len(names) == 1 else ("are", "them")
    ways = [
        f"put {_and([f'{name}.npz' for name in names])} (x_train, y_train, x_test, y_test) there",
        *_unpacking(names),
        f"set MTL_DATA_DIR to the folder that has {whole}",
    ]
    if fetched := [name for name in names if _SOURCES[name].torchvision]:
        what = whole if fetched == list(names) else _and([title(name) for name in fetched])
        commands = _and([f"`python -m mtl_core download {name}`" for name in fetched])
        ways.insert(0, f"download {what} on the What if page or with {commands}")
    origins = "".join(_SOURCES[name].origin for name in names)
    return f"{titles} {verb} not in {data_dir()}: {', or '.join(ways)}{origins}"


def _unpacking(names: Sequence[str]) -> list[str]:
    """Which files are looked for as their publishers have them, or which of them are not there."""
    folders: dict[str, list[str]] = {}
    for layout in (layout for name in names for layout in _SOURCES[name].layouts):
        end = " (or .gz)" if layout.zipped else ""
        if lacking := layout.lacking():
            folders.setdefault(f"add {_and(lacking)}{end} to", []).append(layout.folder)
        else:
            folders.setdefault(f"unpack {_and(layout.files)}{end} to", []).append(layout.folder)
    return [f"{what} {_and(where)} there" for what, where in folders.items()]


def _and(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def _folder(source: Source) -> Path:
    """Where a download ends up."""
    return data_dir() / source.layouts[0].folder


def _staging(source: Source) -> Path:
    """Where files arrive, so that nothing unchecked or half-written is ever found."""
    return data_dir() / "downloading" / source.layouts[0].folder


def _fetch(source: Source, staged: Path) -> None:
    """Let torchvision fetch, check and unpack a data set into the folder ``staged``."""
    import torchvision

    # Only archives are checked; what an interrupted download unpacked may be half a file.
    for file in source.layouts[0].files:
        (staged / file).unlink(missing_ok=True)
    dataset = getattr(torchvision.datasets, source.torchvision)
    if hasattr(dataset, "tgz_md5"):
        # Not by its constructor, which would unpickle what came.
        torchvision.datasets.utils.download_and_extract_archive(
            dataset.url, staged, staged.parent, filename=dataset.filename, md5=dataset.tgz_md5
        )
    else:
        dataset(str(staged.parents[1]), download=True)


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
