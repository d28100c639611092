"""Own data for tests: a small table with a number and two classes to predict, stored."""

import io

import numpy as np
import pandas as pd

from mtl_core.data import choices, sheet, stored
from mtl_core.data.choices import Choice

NOISE = 0.5


def frame(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """y and kind follow from a, b and c linearly, with noise; none of it is rounded."""
    random = np.random.default_rng(seed)
    a, b, c = random.standard_normal((3, rows))
    noise = NOISE * random.standard_normal((2, rows))
    kinds = np.where(a - b + noise[1] > 0, "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "c": c, "y": a + b + noise[0], "kind": kinds})


def store(table: pd.DataFrame | None = None, *labels: str, title: str = "Mine") -> str:
    """Stores a table in the data folder of ``MTL_DATA_DIR``; its name."""
    data = (frame() if table is None else table).to_csv(index=False).encode()
    found = sheet.read(data, "table.csv")
    guess = choices.guessed(found, labels or ("y", "kind"))
    made = choices.prepared(found, Choice(**{**vars(guess), "title": title}))
    return stored.save(made.described, made.arrays)


def store_images(network: str, channels: int = 1, size: int = 12) -> str:
    """Stores images of two classes, bright and dark; the name."""
    random = np.random.default_rng(0)
    labels = random.integers(2, size=80)
    images = random.standard_normal((80, size, size, channels)) + labels[:, None, None, None]
    buffer = io.BytesIO()
    np.savez(buffer, x=images.astype(np.float32), bright=labels, mean=images.mean(axis=(1, 2, 3)))
    found = sheet.read(buffer.getvalue(), "images.npz")
    guess = choices.guessed(found, ("bright", "mean"))
    made = choices.prepared(found, Choice(**{**vars(guess), "network": network}))
    return stored.save(made.described, made.arrays)
