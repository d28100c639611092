"""What ships, found sound once: as a second start of the app does, other processes look no further.

Files are hashed at every start all the same, and changed code or files are checked anew; see
``mtl_core.runs.library.remembered``, which has tests of its own.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from mtl_core.runs.library import artifacts

__all__ = ["lend", "shipped"]


def shipped(config: pytest.Config) -> dict[str, Any]:
    """The artifacts in ``cache/`` by id; this process knows from now on which of them are sound."""
    folder = _folder(config)
    with FileLock(folder / ".lock"), pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_STORE", str(folder / "runs.db"))
        return artifacts.scan()[0]


def lend(config: pytest.Config, folder: Path) -> None:
    """Let processes that have their store in a folder know it as well."""
    shipped(config)
    shutil.copy(_folder(config) / "sound.txt", folder)


def _folder(config: pytest.Config) -> Path:
    return Path(config.cache.mkdir("sound"))  # type: ignore[union-attr]
