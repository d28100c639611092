"""multimnist, multifashion, fashion_and_mnist: which two items overlap, top left and bottom right.

The items are those of MNIST and FashionMNIST in their canonical order (``data.splits``): the
first 50,000 are for training, the next 10,000 for testing, all classes equally frequent, and no
image in both. Each is used once at the top left and once at the bottom right (of fashion_and_mnist:
a digit at the top left, clothes at the bottom right), which makes 50,000 and 10,000 canvases.
Pareto MTL (arXiv:1912.12854) has 120,000 and 20,000 from the same images, drawn at random.
"""

import math
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.data import sources
from mtl_core.data.base import Stamp
from mtl_core.data.splits import balanced_split, cut
from mtl_core.errors import InputError
from mtl_core.pareto.problems.base import Budget, Instance, Objective, Problem
from mtl_core.pareto.problems.examples import Examples
from mtl_core.pareto.problems.options import refuse_unknown
from mtl_core.pareto.problems.overlap import CLASSES, overlapped, partners

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["FASHION_AND_MNIST", "MULTIFASHION", "MULTIMNIST", "examples"]

_SIZES = (50_000, 10_000)
"""Canvases of training and test; MNIST's rarest digit allows 63,130 balanced images in all."""

_ITEMS = {
    "multimnist": ("mnist", "mnist"),
    "multifashion": ("fashion_mnist", "fashion_mnist"),
    "fashion_and_mnist": ("mnist", "fashion_mnist"),
}
"""The data sets of the top left and of the bottom right item."""

_PIXELS = {
    "multimnist": (0.153, 0.329),
    "multifashion": (0.304, 0.364),
    "fashion_and_mnist": (0.237, 0.356),
}
"""Mean and standard deviation of the pixels of each problem's training canvases."""


def examples(name: str) -> Examples:
    """Canvases (N, 1, 36, 36) uint8 and labels (N, 2) int64, top left first, of a problem.

    Kept for as long as the process lives, and made anew when a file is replaced.

    Raises:
        DataMissing: a data set is not on this machine.
        InputError: one has too few images.
    """
    return _examples(name, tuple(sources.stamp(source) for source in _ITEMS[name]))


@lru_cache(maxsize=len(_ITEMS))
def _examples(name: str, _stamps: tuple[Stamp, ...]) -> Examples:
    top_left, bottom_right = map(_items, _ITEMS[name])
    parts = []
    for (left, left_labels), (right, right_labels) in zip(top_left, bottom_right, strict=True):
        partner = partners(len(left))
        labels = np.stack([left_labels, right_labels[partner]], axis=1)
        parts.append((overlapped(left, right[partner]), labels))
    train, test = parts
    return Examples(train, test)


def _items(source: str) -> list[tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Images and labels of training and test, in blocks of ten with one of each class."""
    images, labels = sources.read(source)
    rarest, each = np.bincount(labels, minlength=CLASSES), sum(_SIZES) // CLASSES
    if rarest.min() < each:
        raise InputError(
            f"{sources.find(source)} holds {rarest.min():,} images of class {rarest.argmin()}, and "
            f"{each:,} of each class of {sources.title(source)} are needed; replace the file"
        )
    order = balanced_split(images, labels, _SIZES)
    return [(images[piece], labels[piece]) for piece in cut(order, _SIZES)]


def _load(
    name: str,
    device: "torch.device",
    samples: int | None,
    held_out: int | None,
    options: Mapping[str, Any],
) -> Instance:
    from mtl_core.pareto.problems.lenet import TwoItemLeNet, stacked_logits
    from mtl_core.pareto.problems.networks import applied, started

    refuse_unknown(name, options, ())
    train, test = examples(name).tensors(device, samples, held_out)
    build = partial(TwoItemLeNet, *_PIXELS[name])
    logits = applied(build)

    def losses(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        canvases, labels = batch
        return _cross_entropies(logits(parameters, canvases), labels).mean(dim=0)

    def together(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        canvases, labels = batch
        outputs = stacked_logits(parameters, canvases, *_PIXELS[name])
        every = labels.expand(len(outputs), *labels.shape)
        return _cross_entropies(outputs, every).mean(dim=1)

    def accuracies(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        canvases, labels = batch
        outputs = logits(parameters, canvases)
        return (outputs.argmax(dim=2) == labels).to(outputs.dtype).mean(dim=0)

    return Instance(
        start=started(build, device),
        losses=losses,
        metrics=accuracies,
        train=train,
        test=test,
        together=together,
    )


def _cross_entropies(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """Of every item: (..., 10) and (...) -> (...)."""
    from torch.nn.functional import cross_entropy

    each = cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
    return each.view(labels.shape)


_PRESETS = {
    "quick": Budget(
        solutions=5,
        iterations=400,
        lr=0.1,
        batch_size=64,
        frames=20,
        samples=5_000,
        held_out=1_000,
    ),
    "standard": Budget(
        solutions=8,
        iterations=800,
        lr=0.1,
        batch_size=64,
        frames=20,
        held_out=2_000,
    ),
    "paper": Budget(solutions=10, iterations=20_000, lr=0.1, batch_size=256, frames=100),
}


def _problem(name: str, title: str, description: str, left: str, right: str) -> Problem:
    return Problem(
        name=name,
        title=title,
        description=description,
        objectives=(
            Objective("top_left", f"Top left {left}", metric="accuracy"),
            Objective("bottom_right", f"Bottom right {right}", metric="accuracy"),
        ),
        # What it costs to guess: a solution that is worse at an item does not know it at all.
        reference=(math.log(CLASSES),) * 2,
        ideal=(0.0, 0.0),
        presets=_PRESETS,
        load=partial(_load, name),
        data_state=lambda: sources.states(tuple(dict.fromkeys(_ITEMS[name]))),
        fingerprint=lambda _: examples(name).fingerprint,
        sources=tuple(dict.fromkeys(_ITEMS[name])),
    )


MULTIMNIST = _problem(
    "multimnist",
    "MultiMNIST",
    "Two handwritten digits overlap on 36×36 pixels, one at the top left and one at the bottom "
    "right; a small LeNet tells both. 50,000 canvases of MNIST to train on, 10,000 to test on.",
    "digit",
    "digit",
)
MULTIFASHION = _problem(
    "multifashion",
    "MultiFashion",
    "Two pieces of clothing overlap on 36×36 pixels, one at the top left and one at the bottom "
    "right; a small LeNet tells both. 50,000 canvases of FashionMNIST to train on, 10,000 to test "
    "on.",
    "clothes",
    "clothes",
)
FASHION_AND_MNIST = _problem(
    "fashion_and_mnist",
    "Fashion + MNIST",
    "A handwritten digit at the top left and a piece of clothing at the bottom right overlap on "
    "36×36 pixels; a small LeNet tells both. The clothes are the harder task. 50,000 canvases to "
    "train on, 10,000 to test on.",
    "digit",
    "clothes",
)
