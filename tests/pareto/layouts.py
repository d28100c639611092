"""Small folders in the exact layouts of data sets that cannot be shipped."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["room", "write_nyuv2"]

SIZE = (288, 384)


def write_nyuv2(
    data: Path, counts: Sequence[int] = (4, 2), dtype: DTypeLike = np.float32, seed: int = 0
) -> Path:
    """``data/nyuv2`` of rooms that are blocks of 32×32, as the authors of MTAN lay it out.

    What a block's colour is decides its class, its depth and its normal, so there is something to
    learn.

    Args:
        counts: images of train and val.
        dtype: of labels; those that are distributed have been read as floating point.

    Returns:
        The folder.
    """
    random = np.random.default_rng(seed)
    for split, count in zip(("train", "val"), counts, strict=True):
        for number in range(count):
            for kind, array in room(random, dtype).items():
                path = data / "nyuv2" / split / kind / f"{number}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, array)
    return data / "nyuv2"


def room(
    random: np.random.Generator, dtype: DTypeLike = np.float32
) -> Mapping[str, NDArray[np.floating]]:
    """The four arrays of one image; an eighth of each target is unknown."""
    grid = (SIZE[0] // 32, SIZE[1] // 32)
    label = random.integers(0, 13, grid)
    image = np.stack([label / 12, random.uniform(0, 1, grid), 1 - label / 12], axis=-1)
    depth = 0.5 + label[..., None] / 3
    normal = np.stack([np.sin(label), np.cos(label), np.zeros(grid)], axis=-1)
    arrays = {"image": image, "label": label.astype(float), "depth": depth, "normal": normal}
    for kind, absent in (("label", -1), ("depth", 0), ("normal", 0)):
        arrays[kind][random.uniform(size=grid) < 1 / 8] = absent
    large = {kind: each.repeat(32, axis=0).repeat(32, axis=1) for kind, each in arrays.items()}
    return {
        kind: each.astype(dtype if kind == "label" else np.float32) for kind, each in large.items()
    }
