"""Real data where there is some; a test that needs it skips, with the reason, where there is none.

FashionMNIST is looked for in ``MTL_DATA_DIR``, else unpacked once from the data that may lie beside
the repository.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtl_core.errors import DataMissing
from mtl_core.settings import sources

ROOT = Path(__file__).resolve().parents[1]
UNPACK = ROOT.parent / "shared" / "data" / "unpack.py"


@pytest.fixture(scope="session")
def fashion_folder(request: pytest.FixtureRequest) -> Path:
    """A folder with FashionMNIST."""
    if os.environ.get("MTL_DATA_DIR"):
        try:
            sources.find("fashion_mnist")
            return sources.data_dir()
        except DataMissing:
            pass
    if not UNPACK.is_file():
        pytest.skip("needs FashionMNIST: set MTL_DATA_DIR to the folder that has it")
    folder = request.config.cache.mkdir("data")
    done = subprocess.run(
        [sys.executable, str(UNPACK), str(folder), "fashion_mnist"], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"FashionMNIST could not be unpacked: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture
def fashion_data(fashion_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """FashionMNIST where the app looks for it, in this process and in those that it starts."""
    monkeypatch.setenv("MTL_DATA_DIR", str(fashion_folder))
    return fashion_folder
