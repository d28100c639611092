"""A problem with images that needs no data set."""

from pathlib import Path

import numpy as np
import pytest

from mtl_core.pareto.problems import multimnist


@pytest.fixture
def noise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """multimnist of 100 random images: 80 canvases to train on and 20 to test on."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(multimnist, "_SIZES", (80, 20))
    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28)).astype(np.uint8)
    labels = np.repeat(np.arange(10, dtype=np.uint8), 10)
    halves = {"x_train": images, "y_train": labels, "x_test": images[:0], "y_test": labels[:0]}
    np.savez(tmp_path / "mnist.npz", **halves)
    return tmp_path
