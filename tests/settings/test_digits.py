"""digits: the embedded default."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core import settings
from mtl_core.data.splits import balanced_order, cut, fingerprint
from mtl_core.settings import TaskData, digits

NAMES = ["digits1", "digits2", "noisy_digits"]


@pytest.fixture(scope="module")
def tasks() -> dict[str, TaskData]:
    return settings.get("digits").load(NAMES)


@pytest.fixture(scope="module")
def pool() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    with np.load(digits.FILE) as archive:
        return archive["images"], archive["labels"].astype(np.int64)


def test_file_is_scikit_learns(pool: tuple[NDArray[np.uint8], NDArray[np.int64]]) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    original = datasets.load_digits()
    np.testing.assert_array_equal(pool[0], original.images)
    np.testing.assert_array_equal(pool[1], original.target)


def test_sizes_are_as_promised(tasks: dict[str, TaskData]) -> None:
    for task in settings.get("digits").tasks:
        sizes = [len(split.targets) for split in tasks[task.name]]
        assert sizes == [250, 150, 498] == [task.train_size, task.val_size, task.test_size]
        for split in tasks[task.name]:
            assert split.inputs.shape == (len(split.targets), 1, 8, 8)
            assert split.inputs.dtype == np.float32
            assert split.targets.dtype == np.int64


def test_every_training_prefix_is_balanced(tasks: dict[str, TaskData]) -> None:
    for name in ("digits1", "digits2"):
        for count in range(1, 251):
            counts = np.bincount(tasks[name].train.first(count).targets, minlength=10)
            assert counts.max() - counts.min() <= 1


def test_no_image_is_in_two_pieces(
    tasks: dict[str, TaskData], pool: tuple[NDArray[np.uint8], NDArray[np.int64]]
) -> None:
    images, _ = pool
    assert len(np.unique(images.reshape(1797, -1), axis=0)) == 1797
    pieces = [split.inputs for name in ("digits1", "digits2") for split in tasks[name]]
    every = np.concatenate(pieces).reshape(-1, 64)
    assert len(np.unique(every, axis=0)) == len(every) == 2 * (250 + 150 + 498)


def test_tensors_are_the_normalised_images_with_their_labels(
    tasks: dict[str, TaskData], pool: tuple[NDArray[np.uint8], NDArray[np.int64]]
) -> None:
    images, labels = pool
    label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    for name in ("digits1", "digits2"):
        for split in tasks[name]:
            raw = np.rint((split.inputs[:, 0] * 0.376 + 0.305) * 16).astype(np.uint8)
            assert [label_of[image.tobytes()] for image in raw] == split.targets.tolist()
            np.testing.assert_allclose(
                split.inputs[:, 0], (raw / 16.0 - 0.305) / 0.376, rtol=1e-6, atol=1e-6
            )
    every = tasks["digits1"].train.inputs
    assert every.mean() == pytest.approx(0, abs=0.05)
    assert every.std() == pytest.approx(1, abs=0.05)


def test_noisy_twin_has_the_same_images_and_other_labels(tasks: dict[str, TaskData]) -> None:
    for clean, noisy in zip(tasks["digits2"], tasks["noisy_digits"], strict=True):
        np.testing.assert_array_equal(clean.inputs, noisy.inputs)
        np.testing.assert_array_equal(np.bincount(clean.targets), np.bincount(noisy.targets))
        assert 0.03 < (clean.targets == noisy.targets).mean() < 0.18


def test_fingerprint_is_that_of_the_artifacts(tasks: dict[str, TaskData]) -> None:
    """Pinned: a change here makes every artifact of the setting one on other data."""
    assert fingerprint({"digits1": tasks["digits1"]}) == "69f40ab53418b6c9"


def test_splits_do_not_depend_on_the_order_in_the_file(
    tasks: dict[str, TaskData], pool: tuple[NDArray[np.uint8], NDArray[np.int64]]
) -> None:
    images, labels = pool
    shuffled = np.random.default_rng(5).permutation(1797)
    images, labels = images[shuffled], labels[shuffled]
    first = cut(balanced_order(images, labels), [250])[0]
    raw = (tasks["digits1"].train.inputs[:, 0] * 0.376 + 0.305) * 16
    np.testing.assert_array_equal(images[first], np.rint(raw))


def test_data_is_always_there() -> None:
    assert settings.get("digits").data_state().state == "found"


def test_encoder_maps_images_to_its_features() -> None:
    import torch

    for width in (1, 4):
        encoder = settings.get("digits").encoder(width)
        assert encoder(torch.zeros(3, 1, 8, 8)).shape == (3, 8 * width)
        assert encoder.features == 8 * width
