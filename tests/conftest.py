"""Real data where there is some; a test that needs it skips, with the reason, where there is none.

Data sets are looked for in ``MTL_DATA_DIR``, else unpacked once from the data that may lie beside
the repository.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from mtl_core.settings import sources

ROOT = Path(__file__).resolve().parents[1]
UNPACK = ROOT.parent / "shared" / "data" / "unpack.py"


def unpacked(config: pytest.Config, *names: str) -> Path:
    """A folder with data sets that lie beside the repository, unpacked once by whoever is first.

    Skips the test where there are none.
    """
    said = ", ".join(names)
    if not UNPACK.is_file():
        pytest.skip(f"needs {said}: set MTL_DATA_DIR to the folder that has it")
    folder = Path(config.cache.mkdir("data"))  # type: ignore[union-attr]
    with FileLock(folder / ".lock"):
        new = [name for name in names if not (folder / f".{name}.done").exists()]
        if new:
            command = [sys.executable, str(UNPACK), str(folder), *new]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"{said} could not be unpacked: {done.stderr.strip().splitlines()[-1]}")
            for name in new:
                (folder / f".{name}.done").touch()
    return folder


@pytest.fixture(scope="session")
def folder_with(request: pytest.FixtureRequest) -> Callable[..., Path]:
    """Data sets to a folder that has them all."""

    @cache
    def folder(*names: str) -> Path:
        if os.environ.get("MTL_DATA_DIR") and sources.states(names).state == "found":
            return sources.data_dir()
        return unpacked(request.config, *names)

    return folder


@pytest.fixture
def fashion_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """FashionMNIST where the app looks for it, in this process and in those that it starts."""
    return _looked_for(folder_with("fashion_mnist"), monkeypatch)


@pytest.fixture
def mnists_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """MNIST, FashionMNIST and notMNIST where the app looks for them."""
    return _looked_for(folder_with("mnist", "fashion_mnist", "notmnist"), monkeypatch)


@pytest.fixture
def cifar100_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-100 where the app looks for it."""
    return _looked_for(folder_with("cifar100"), monkeypatch)


def _looked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTL_DATA_DIR", str(folder))
    return folder
