"""Image files decoded once, into one array that is mapped into memory from then on."""

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import InputError

__all__ = ["decoded"]

_CHUNK = 512  # files between two updates of the line of progress


def decoded(
    path: Path,
    files: Sequence[Path],
    decode: Callable[[Path], NDArray[Any]],
    *,
    recipe: str,
    title: str,
) -> NDArray[Any]:
    """All ``files`` decoded into one array (N, ...), mapped into memory.

    It is kept as ``path`` with a stamp added to its name: a hash of the recipe and of every file's
    name, size and time. So a changed file is decoded anew, and the array of the old one is removed.
    Where the folder cannot be written, it is kept in the user's cache folder.

    Args:
        path: where to keep it: next to the files, without a suffix.
        files: one for each example; at least one.
        decode: a file to an array, the same shape and type for all; called from several threads.
        recipe: names what ``decode`` does, and changes when it does something else.
        title: what people call the data, for the line of progress on standard error.

    Raises:
        InputError: names the file that is absent or cannot be decoded, or the folder that has no
            room.
    """
    name = f"{path.name}-{_stamp(path.parent, files, recipe)}.npy"
    homes = (path.parent, _user_cache(path.parent))
    home = next((home for home in homes if (home / name).is_file()), None)
    if home is None:
        home = next(filter(_writable, homes), None)
        if home is None:
            raise InputError(f"neither {homes[0]} nor {homes[1]} can be written; allow one of them")
        _write_once(home / name, path.name, files, decode, title)
    # Copy on write, since torch warns of read-only arrays; the file never changes.
    array: NDArray[Any] = np.load(home / name, mmap_mode="c", allow_pickle=False)
    return array


def _stamp(folder: Path, files: Sequence[Path], recipe: str) -> str:
    total = hashlib.blake2b(recipe.encode(), digest_size=8)
    for file in files:
        try:
            found = file.stat()
        except OSError as error:
            raise InputError(f"{file} is not there ({error.strerror}); unpack it again") from None
        relative = file.relative_to(folder).as_posix()
        total.update(f"{relative}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return total.hexdigest()


def _user_cache(folder: Path) -> Path:
    """A folder of the user's own for each folder of data."""
    import platformdirs

    place = hashlib.blake2b(str(folder.resolve()).encode(), digest_size=8).hexdigest()
    return platformdirs.user_cache_path("mtl-explorer", appauthor=False) / "decoded" / place


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _write_once(
    path: Path,
    family: str,
    files: Sequence[Path],
    decode: Callable[[Path], NDArray[Any]],
    title: str,
) -> None:
    """One process decodes; others that need the same files wait for it."""
    from filelock import FileLock

    arriving = path.with_name(f"{family}.arriving")
    try:
        with FileLock(path.with_name(f"{family}.lock")):
            if path.is_file():
                return
            try:
                _write(arriving, files, decode, title)
                for stale in path.parent.glob(f"{family}-*.npy"):
                    stale.unlink(missing_ok=True)
                arriving.replace(path)
            finally:
                arriving.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); make room for it") from None


def _write(
    path: Path, files: Sequence[Path], decode: Callable[[Path], NDArray[Any]], title: str
) -> None:
    """Written rather than mapped, so that a full disk is an error and not a crash."""
    first = _decode_one(decode, files[0])
    header = {
        "descr": np.lib.format.dtype_to_descr(first.dtype),
        "fortran_order": False,
        "shape": (len(files), *first.shape),
    }
    with path.open("wb") as out, ThreadPoolExecutor(os.cpu_count()) as pool:
        np.lib.format.write_array_header_1_0(out, header)
        for start in range(0, len(files), _CHUNK):
            chunk = files[start : start + _CHUNK]
            for array in pool.map(lambda file: _decode_one(decode, file), chunk):
                out.write(np.ascontiguousarray(array, dtype=first.dtype).data)
            line = f"\r{title}: {start + len(chunk):,} of {len(files):,} images decoded, once"
            print(line, end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        out.flush()
        os.fsync(out.fileno())


def _decode_one(decode: Callable[[Path], NDArray[Any]], file: Path) -> NDArray[Any]:
    try:
        return decode(file)
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: Pillow, of a broken PNG
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{file} cannot be read as an image ({reason}); replace it") from error
