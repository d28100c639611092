"""fashion: FashionMTL (M24 §2.2, App. B), FashionMNIST split in two tasks and a noisy third."""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from mtl_core.data import sources
from mtl_core.data.splits import balanced_order, cut, permuted_labels
from mtl_core.errors import InputError
from mtl_core.settings.apgd import LENET
from mtl_core.settings.base import Preset, Setting, Split, Stamp, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["SETTING"]

SOURCE = "fashion_mnist"
_TRAIN, _VAL, _TEST = 25_000, 5_000, 5_000
_MEAN, _STD = 0.286, 0.353  # of FashionMNIST's pixels


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    tasks = _tasks(sources.stamp(SOURCE))
    return {name: tasks[name] for name in names}


@lru_cache(maxsize=1)
def _tasks(_stamp: Stamp) -> dict[str, TaskData]:
    images, labels = sources.read(SOURCE)
    if len(labels) < 2 * (_TRAIN + _VAL + _TEST):
        raise InputError(
            f"{sources.find(SOURCE)} holds {len(labels):,} images, not FashionMNIST's 70,000; "
            "replace the file"
        )
    pieces = cut(balanced_order(images, labels), [_TRAIN, _TRAIN, _VAL, _VAL, _TEST, _TEST])
    scaled = images.astype(np.float32)
    scaled /= 255
    scaled -= _MEAN
    scaled /= _STD

    splits = [Split(scaled[:, None][piece], labels[piece]) for piece in pieces]
    noisy = [
        Split(splits[i].inputs, permuted_labels(images[pieces[i]], labels[pieces[i]]))
        for i in (1, 3, 5)
    ]
    return {
        "fashion1": TaskData(*splits[0::2]),
        "fashion2": TaskData(*splits[1::2]),
        "noisy_fashion": TaskData(*noisy),
    }


def _encoder(width: int) -> "nn.Module":
    from mtl_core.networks.lenet import LeNet

    return LeNet(width)


_half = partial(Task, classes=10, train_size=_TRAIN, val_size=_VAL, test_size=_TEST)

SETTING = Setting(
    name="fashion",
    title="FashionMTL",
    description=(
        "FashionMNIST's 70,000 clothing images, split in two halves as in the paper. fashion2 is "
        "more data of the same kind; noisy_fashion has fashion2's images with their labels "
        "shuffled, so there is nothing to learn from it but noise."
    ),
    tasks=(
        _half("fashion1", "FashionMNIST, first half", expected="helpful"),
        _half("fashion2", "FashionMNIST, second half", expected="helpful"),
        _half("noisy_fashion", "FashionMNIST, labels shuffled", expected="harmful"),
    ),
    default_target="fashion1",
    presets={
        "quick": Preset(
            epochs=8,
            batch_size=64,
            lr=3e-3,
            width=8,
            samples=2_500,
            held_out=1_000,
            factor_points=6,
            factor_examples=512,
            apgd_steps=3,
            fisher_draws=1,
            similarity_batches=50,
        ),
        "standard": Preset(
            epochs=20,
            batch_size=128,
            lr=1e-3,
            width=16,
            apgd_steps=3,
            fisher_draws=2,
        ),
        # The sweep of plans/fashion_sweep.toml; the paper measures factors at every epoch.
        "paper": Preset(epochs=100, batch_size=256, lr=1e-3, width=16, factor_points=20),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: round(687.5 * width**2 + 53.5 * width),
    data_state=lambda: sources.state(SOURCE),
    sources=(SOURCE,),
    apgd_lost=LENET,
)
