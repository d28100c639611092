"""cifar100: twenty tasks of five classes, from CIFAR-100's own labels."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core import InputError, settings
from mtl_core.data import sources
from mtl_core.data.splits import fingerprint
from mtl_core.settings import TaskData, cifar100

# The names in the published files, in their order.
FINE_LABEL_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake
spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor
train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
FINE = FINE_LABEL_NAMES.split()
COARSE_LABEL_NAMES = """
aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
household_furniture insects large_carnivores large_man-made_outdoor_things
large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""
COARSE = COARSE_LABEL_NAMES.split()
# The coarse label of each fine one, as the records of the published files pair them.
COARSE_OF = [
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11, 6, 11, 5, 10, 7,
    6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5, 5, 19, 8, 8, 15, 13, 14, 17, 18, 10,
    16, 4, 17, 4, 2, 0, 17, 4, 18, 17, 10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16,
    12, 9, 13, 15, 13, 16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
]  # fmt: skip
SIZES = [2_500, 250, 250]


@pytest.fixture
def tasks(cifar100_data: Path) -> dict[str, TaskData]:
    return settings.get("cifar100").load(COARSE)


def test_superclasses_are_the_published_ones() -> None:
    assert list(cifar100.CLASSES) == COARSE == [t.name for t in settings.get("cifar100").tasks]
    assert list(cifar100._FINE) == FINE
    for coarse, (_, classes) in enumerate(cifar100.CLASSES.items()):
        own = [fine for fine, its in enumerate(COARSE_OF) if its == coarse]
        assert list(classes) == [FINE[fine] for fine in own]


def test_titles_are_words() -> None:
    setting = settings.get("cifar100")
    assert setting.task("fruit_and_vegetables").title == "Fruit and vegetables"
    assert setting.task("large_man-made_outdoor_things").title == "Large man-made outdoor things"


def test_sizes_and_classes(tasks: dict[str, TaskData]) -> None:
    for task in settings.get("cifar100").tasks:
        assert (task.classes, [task.train_size, task.val_size, task.test_size]) == (5, SIZES)
        for split, size in zip(tasks[task.name], SIZES, strict=True):
            assert np.bincount(split.targets).tolist() == [size // 5] * 5
            assert split.inputs.shape == (size, 3, 32, 32)
            assert (split.inputs.dtype, split.targets.dtype) == (np.uint8, np.int64)
            assert split.inputs.flags.c_contiguous


def test_a_task_is_all_images_of_its_classes(tasks: dict[str, TaskData]) -> None:
    images, fine = sources.read("cifar100")
    for number, name in enumerate(COARSE):
        own = [label for label, its in enumerate(COARSE_OF) if its == number]
        expected = {
            (images[i].tobytes(), own.index(fine[i])) for i in np.flatnonzero(np.isin(fine, own))
        }
        found = [
            (image.transpose(1, 2, 0).tobytes(), label)
            for split in tasks[name]
            for image, label in zip(split.inputs, split.targets, strict=True)
        ]
        assert len(found) == 3_000
        assert set(found) == expected


def test_no_image_is_in_two_splits(tasks: dict[str, TaskData]) -> None:
    """26 pictures are there twice, most of them under two classes; the copies lie in one split."""
    for name in COARSE:
        train, val, test = ({image.tobytes() for image in split.inputs} for split in tasks[name])
        assert len(train | val | test) == len(train) + len(val) + len(test)


def test_every_prefix_of_training_data_is_balanced(tasks: dict[str, TaskData]) -> None:
    for name in COARSE:
        counts = np.eye(5, dtype=np.int64)[tasks[name].train.targets].cumsum(axis=0)
        assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1


def test_splits_of_a_task_lie_in_one_array(tasks: dict[str, TaskData]) -> None:
    for name in COARSE:
        pieces = [split.inputs for split in tasks[name]]
        assert len({id(piece.base) for piece in pieces}) == 1
        assert sum(piece.nbytes for piece in pieces) == 3_000 * 3_072 == pieces[0].base.nbytes


def test_real_fingerprints_are_those_of_the_artifacts(tasks: dict[str, TaskData]) -> None:
    """Pinned: a change here makes every artifact of the setting one on other data."""
    assert fingerprint({"aquatic_mammals": tasks["aquatic_mammals"]}) == "1bd8b6d5b1562a82"
    assert fingerprint(tasks) == "1f614e5f17571dad"


Pool = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """Seven images of each class, for tasks of 20, 5 and 10 examples; its file is not written."""
    for name, size in {"_TRAIN": 20, "_VAL": 5, "_TEST": 10}.items():
        monkeypatch.setattr(cifar100, name, size)
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    random = np.random.default_rng(3)
    images = random.integers(0, 256, size=(700, 32, 32, 3), dtype=np.uint8)
    return images, np.repeat(np.arange(100, dtype=np.uint8), 7)


def write(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: int) -> None:
    np.savez(
        folder / "cifar100.npz",
        x_train=images[:train],
        y_train=labels[:train],
        x_test=images[train:],
        y_test=labels[train:],
    )


@pytest.mark.parametrize(("seed", "train"), [(1, 600), (2, 300), (3, 700), (4, 0)])
def test_any_resplit_of_the_images_gives_the_same_tensors(
    small: Pool, tmp_path: Path, seed: int, train: int
) -> None:
    images, labels = small
    write(tmp_path, images, labels, 600)
    original = settings.get("cifar100").load(COARSE)
    shuffled = np.random.default_rng(seed).permutation(700)
    folder = tmp_path / "other"
    folder.mkdir()
    write(folder, images[shuffled], labels[shuffled], train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_DATA_DIR", str(folder))
        other = settings.get("cifar100").load(COARSE)
    assert fingerprint(original) == fingerprint(other)
    for name in COARSE:
        for one, two in zip(original[name], other[name], strict=True):
            np.testing.assert_array_equal(one.inputs, two.inputs)
            np.testing.assert_array_equal(one.targets, two.targets)


def test_too_few_images_cost_one_line(small: Pool, tmp_path: Path) -> None:
    images, labels = small
    write(tmp_path, images[:-1], labels[:-1], 600)
    with pytest.raises(InputError) as caught:
        settings.get("cifar100").load(["fish"])
    assert str(caught.value) == (
        f"{tmp_path / 'cifar100.npz'} holds 699 images, not CIFAR-100's 60,000; replace the file"
    )


def test_encoder_is_a_resnet_on_bytes() -> None:
    import torch

    encoder = settings.get("cifar100").encoder(4)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    assert encoder(images).shape == (3, 32)
    assert encoder.features == 32
