"""Unpacked: files where they are expected, or with a folder too many around them.

Many programs unpack ``NAME.zip`` into a folder ``NAME``, also where it holds one of that name; some
publishers wrap a folder around the parts of a data set.
"""

from collections.abc import Iterator
from pathlib import Path

__all__ = ["folders", "place"]

_LITTER = ("__macosx", "downloading")


def place(folder: Path, name: str) -> Path:
    """Where ``name``, a relative path, is in a folder, with at most one folder too many.

    A folder that holds another one of its own name stands for that: so does
    ``img_align_celeba/img_align_celeba``. Without any, the place where it is expected.
    """
    found = next((path for one in folders(folder) if (path := one / name).exists()), folder / name)
    nested = found / found.name
    return nested if nested.exists() else found


def folders(folder: Path) -> Iterator[Path]:
    """A folder, then those in it, in the order of their names."""
    yield folder
    try:
        inner = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return
    yield from (path for path in inner if path.name[0] != "." and path.name.lower() not in _LITTER)
