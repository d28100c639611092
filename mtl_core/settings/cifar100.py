"""cifar100: the 20 superclasses of CIFAR-100, each a task of five classes (M24 §2.2, App. B)."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mtl_core.data import sources
from mtl_core.data.splits import balanced_split
from mtl_core.errors import InputError
from mtl_core.settings.apgd import RESNET18
from mtl_core.settings.base import Preset, Setting, Split, Stamp, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CLASSES", "SETTING"]

SOURCE = "cifar100"
# Of the 3,000 images of a task; the paper takes 500 for validation and test together.
_TRAIN, _VAL, _TEST = 2_500, 250, 250

CLASSES = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}
"""Superclass -> its classes, by CIFAR-100's own names; a task's labels follow this order."""

_FINE = {name: label for label, name in enumerate(sorted(sum(CLASSES.values(), ())))}
"""Class -> its label in the data, which is its place in the alphabet."""


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    tasks = _tasks(sources.stamp(SOURCE))
    return {name: tasks[name] for name in names}


@lru_cache(maxsize=1)
def _tasks(_stamp: Stamp) -> dict[str, TaskData]:
    images, fine = sources.read(SOURCE)
    counts = np.bincount(fine, minlength=len(_FINE))
    if counts.min() < (_TRAIN + _VAL + _TEST) // 5:
        raise InputError(
            f"{sources.find(SOURCE)} holds {len(fine):,} images, not CIFAR-100's 60,000; replace "
            "the file"
        )
    tasks = {}
    for name, classes in CLASSES.items():
        labels = np.full(len(_FINE), -1)
        labels[[_FINE[one] for one in classes]] = range(len(classes))
        members = np.flatnonzero(labels[fine] >= 0)
        own = labels[fine[members]]
        order = balanced_split(images[members], own, (_TRAIN, _VAL, _TEST))
        inputs = np.ascontiguousarray(images[members[order]].transpose(0, 3, 1, 2))
        targets = own[order]
        held_out = _TRAIN + _VAL
        tasks[name] = TaskData(
            Split(inputs[:_TRAIN], targets[:_TRAIN]),
            Split(inputs[_TRAIN:held_out], targets[_TRAIN:held_out]),
            Split(inputs[held_out:], targets[held_out:]),
        )
    return tasks


def _encoder(width: int) -> "nn.Module":
    from mtl_core.networks.resnet import ResNet18

    return ResNet18(width)


def _of(name: str) -> Task:
    title = name.replace("_", " ").capitalize()
    return Task(name, title, classes=5, train_size=_TRAIN, val_size=_VAL, test_size=_TEST)


SETTING = Setting(
    name="cifar100",
    title="CIFAR-100",
    description=(
        "The 20 superclasses of CIFAR-100's small photographs, 32×32 in colour, each a task: to "
        "tell its five classes apart, from 500 images of each."
    ),
    tasks=tuple(_of(name) for name in CLASSES),
    default_target="fish",
    presets={
        "quick": Preset(
            epochs=8,
            batch_size=32,
            lr=1e-3,
            width=8,
            samples=1_000,
            factor_points=6,
            factor_examples=512,
            apgd_steps=17,
            fisher_draws=1,
            similarity_batches=20,
        ),
        "standard": Preset(
            epochs=10,
            batch_size=32,
            lr=1e-3,
            width=16,
            factor_points=5,
            factor_examples=512,
            apgd_steps=17,
            fisher_draws=1,
            similarity_batches=20,
        ),
        "paper": Preset(epochs=100, batch_size=32, lr=1e-3, width=64),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: round(2724 * width**2 + 297 * width),
    data_state=lambda: sources.state(SOURCE),
    sources=(SOURCE,),
    batch_norm=True,
    apgd_lost=RESNET18,
)
