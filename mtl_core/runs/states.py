"""States as bytes: arrays by name, which are never pickled."""

import io
import zipfile
import zlib
from typing import Any

import numpy as np

from mtl_core.runs.kinds import State

__all__ = ["BROKEN", "packed", "unpacked"]

BROKEN = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
"""What unpacking damaged bytes raises."""


def packed(state: State) -> bytes:
    """A state as the content of a npz file. Raises TypeError for Python objects in it."""
    arrays: dict[str, Any] = dict(state)
    if objects := [name for name, value in arrays.items() if value.dtype.hasobject]:
        raise TypeError(f"state {objects[0]!r} holds Python objects, which need a pickle")
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def unpacked(content: bytes) -> State:
    """Inverse of ``packed``; raises one of ``BROKEN`` for anything else."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)
