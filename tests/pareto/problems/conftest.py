"""The data that the tests of problems need."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def pairs_data(folder_with: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """MNIST and FashionMNIST where the app looks for them."""
    folder = folder_with("mnist", "fashion_mnist")
    monkeypatch.setenv("MTL_DATA_DIR", str(folder))
    return folder
