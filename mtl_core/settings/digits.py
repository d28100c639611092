"""digits: FashionMTL's construction on 1,797 handwritten digits that come with the app."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtl_core.data.splits import balanced_order, cut, permuted_labels
from mtl_core.settings.apgd import SMALL_CNN
from mtl_core.settings.base import DataState, Preset, Setting, Split, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SETTING"]

FILE = Path(__file__).with_name("digits.npz")
"""The UCI optical recognition test set as scikit-learn ships it, 8×8 images of 0–16."""

_TRAIN, _VAL, _TEST = 250, 150, 498


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    tasks = _tasks()
    return {name: tasks[name] for name in names}


@cache
def _tasks() -> dict[str, TaskData]:
    with np.load(FILE, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"].astype(np.int64)
    pieces = cut(balanced_order(images, labels), [_TRAIN, _TRAIN, _VAL, _VAL, _TEST, _TEST])
    scaled = ((images / np.float32(16) - np.float32(0.305)) / np.float32(0.376))[:, None]

    splits = [Split(scaled[piece], labels[piece]) for piece in pieces]
    noisy = [
        Split(splits[i].inputs, permuted_labels(images[pieces[i]], labels[pieces[i]]))
        for i in (1, 3, 5)
    ]
    return {
        "digits1": TaskData(*splits[0::2]),
        "digits2": TaskData(*splits[1::2]),
        "noisy_digits": TaskData(*noisy),
    }


def _encoder(width: int) -> "nn.Module":
    from mtl_core.networks.small_cnn import SmallCNN

    return SmallCNN(width)


_half = partial(Task, classes=10, train_size=_TRAIN, val_size=_VAL, test_size=_TEST)

SETTING = Setting(
    name="digits",
    title="Digits",
    description=(
        "1,797 handwritten 8×8 digits that come with the app, split in two halves. "
        "digits2 is more data of the same kind; noisy_digits has digits2's images with their "
        "labels shuffled, so there is nothing to learn from it but noise."
    ),
    tasks=(
        _half("digits1", "Digits, first half", expected="helpful"),
        _half("digits2", "Digits, second half", expected="helpful"),
        _half("noisy_digits", "Digits, labels shuffled", expected="harmful"),
    ),
    default_target="digits1",
    presets={
        # The rate that does best on the target's validation examples alone, mean over 20 seeds that
        # are used for nothing else; there digits2's help and the noise's harm show on these, too.
        "quick": Preset(
            epochs=40,
            batch_size=16,
            lr=1e-2,
            width=16,
            factor_points=8,
            apgd_steps=3,
            fisher_draws=1,
            similarity_batches=50,
        ),
        "standard": Preset(
            epochs=100,
            batch_size=32,
            lr=3e-3,
            width=16,
            factor_points=24,
            apgd_steps=3,
            fisher_draws=1,
            similarity_batches=100,
        ),
        "paper": Preset(epochs=300, batch_size=32, lr=3e-3, width=16),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: round(274 * width**2 + 20 * width),
    data_state=lambda: DataState("found", "comes with the app"),
    apgd_lost=SMALL_CNN,
)
