"""The formats that image data sets are published in, read to arrays; nothing is ever executed.

Errors of a damaged file pass through the readers; ``sources.read`` makes them messages.
"""

import gzip
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ARRAYS", "Arrays", "cifar_binary", "cifar_pickles", "idx", "npz"]

Arrays = dict[str, NDArray[np.uint8]]
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_CIFAR_IMAGE = (3, 32, 32)


def npz(path: Path) -> Arrays:
    """NumPy's archive with the names that Keras uses; labels of any type of whole numbers."""
    with np.load(path, allow_pickle=False) as archive:
        if missing := [name for name in ARRAYS if name not in archive.files]:
            raise ValueError(f"it has no array {missing[0]!r}")
        arrays = {name: archive[name] for name in ARRAYS}
    return {
        name: _labels(name, array) if name.startswith("y_") else array
        for name, array in arrays.items()
    }


def idx(files: Sequence[Path]) -> Arrays:
    """LeCun's format, as it is or gzipped; one file for each of ``ARRAYS``."""
    arrays = {}
    for name, path in zip(ARRAYS, files, strict=True):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if content[:3] != b"\0\0\x08":
            raise ValueError(f"{path.name} is not an idx file of bytes")
        ndim = content[3]
        shape = np.frombuffer(content, dtype=">i4", count=ndim, offset=4)
        arrays[name] = np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * ndim).reshape(shape)
    return arrays


def cifar_binary(files: Sequence[Path]) -> Arrays:
    """CIFAR-100's version for C programs: train.bin and test.bin.

    Every record is a coarse label, a fine label and the 3,072 bytes of an image.
    """
    arrays = {}
    for split, path in zip(("train", "test"), files, strict=True):
        records = np.fromfile(path, dtype=np.uint8).reshape(-1, 2 + 3072)
        arrays[f"x_{split}"] = _channels_last(records[:, 2:])
        arrays[f"y_{split}"] = records[:, 1]
    return arrays


def cifar_pickles(files: Sequence[Path]) -> Arrays:
    """CIFAR-100's version for Python: the pickled dictionaries train and test.

    Raises:
        pickle.UnpicklingError: when one holds anything but plain values and arrays.
    """
    arrays = {}
    for split, path in zip(("train", "test"), files, strict=True):
        with path.open("rb") as file:
            found = _Inert(file, encoding="bytes").load()
        # Python 2's strings, which the published files have, are bytes here.
        found = {key.decode() if isinstance(key, bytes) else key: found[key] for key in found}
        arrays[f"x_{split}"] = _channels_last(found["data"].bytes())
        arrays[f"y_{split}"] = np.array(found["fine_labels"], dtype=np.uint8)
    return arrays


def _labels(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers of any type that are bytes without loss, (N,) or (N, 1), as bytes (N,)."""
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} is {array.dtype}, not whole numbers")
    low, high = array.min(initial=0), array.max(initial=0)
    if low < 0 or high > 255:
        raise ValueError(f"{name} has labels from {low} to {high}, not from 0 to at most 255")
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    return flat.astype(np.uint8)


def _channels_last(flat: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 3072), channel by channel -> (N, 32, 32, 3)."""
    return flat.reshape(-1, *_CIFAR_IMAGE).transpose(0, 2, 3, 1)


class _Inert(pickle.Unpickler):
    """An unpickler that calls nothing but what is below.

    A pickle can call anything that it names. Here the names that an array needs lead to stand-ins,
    which only keep their arguments, and any other name is refused.
    """

    def find_class(self, module: str, name: str) -> Any:
        known = _STAND_INS.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which is not part of an array")
        return known


class _Type:
    """Stands for an array's type, and for the class ndarray, which is only handed on."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code

    def __setstate__(self, _: Any) -> None:
        pass  # the byte order, which bytes do not have


class _Array:
    """Stands for an array: its state is (version, shape, type, Fortran order, content)."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def bytes(self) -> NDArray[np.uint8]:
        """The array, if it is one of bytes."""
        _, shape, kind, fortran, content = self.state
        if not isinstance(kind, _Type) or kind.code not in ("u1", b"u1"):
            raise ValueError("its images are not an array of bytes")
        flat = np.frombuffer(content, dtype=np.uint8)
        return flat.reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError(f"it has bytes in {encoding!r}")
    return text.encode("latin1")


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Type,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}
