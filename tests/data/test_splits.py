"""Splits depend on the images alone, and every prefix of them is balanced."""

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core.data.splits import (
    balanced_order,
    balanced_split,
    cut,
    fingerprint,
    permuted_labels,
)
from mtl_core.settings import Split, TaskData

Pool = tuple[NDArray[np.uint8], NDArray[np.int64]]


@pytest.fixture
def pool() -> Pool:
    """600 distinct images of 5 classes, unevenly many of each."""
    random = np.random.default_rng(7)
    images = random.integers(0, 256, size=(600, 6, 5), dtype=np.uint8)
    labels = random.choice(5, size=600, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    return images, labels.astype(np.int64)


def test_order_is_a_permutation(pool: Pool) -> None:
    order = balanced_order(*pool)
    assert sorted(order) == list(range(600))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_order_does_not_depend_on_the_order_of_the_pool(pool: Pool, seed: int) -> None:
    images, labels = pool
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    original, other = (
        balanced_order(images, labels),
        balanced_order(images[shuffled], labels[shuffled]),
    )
    np.testing.assert_array_equal(images[original], images[shuffled][other])
    np.testing.assert_array_equal(labels[original], labels[shuffled][other])


def test_copies_of_an_image_keep_their_labels_together_whatever_their_order() -> None:
    images = np.zeros((6, 2, 2), dtype=np.uint8)
    images[4:] = 9
    labels = np.array([1, 0, 1, 0, 2, 2])
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(6)
        order = balanced_order(images[shuffled], labels[shuffled])
        assert labels[shuffled][order].tolist() == labels[balanced_order(images, labels)].tolist()


def test_every_prefix_is_balanced_while_the_classes_last(pool: Pool) -> None:
    images, labels = pool
    ordered = labels[balanced_order(images, labels)]
    available = np.bincount(labels)
    counts = np.zeros(5, dtype=int)
    for label in ordered:
        counts[label] += 1
        going = counts[counts < available]
        # A class may lag behind another by one example, unless it has no more.
        assert not len(going) or counts.max() - going.min() <= 1


def test_the_order_is_not_that_of_pixels_or_labels(pool: Pool) -> None:
    """Within a class the hash shuffles: neighbours in brightness are no neighbours in order."""
    images, labels = pool
    order = balanced_order(images, labels)
    brightness = images[order][labels[order] == 0].mean(axis=(1, 2))
    ranks = brightness.argsort().argsort()
    assert abs(np.corrcoef(ranks, np.arange(len(ranks)))[0, 1]) < 0.2


def test_one_pixel_moves_an_image_only(pool: Pool) -> None:
    images, labels = pool
    changed = images.copy()
    changed[17, 3, 3] ^= 1
    before, after = balanced_order(images, labels), balanced_order(changed, labels)
    same_class = labels == labels[17]
    others = same_class & (np.arange(600) != 17)
    kept = [i for i in before if others[i]]
    assert kept == [i for i in after if others[i]]


def test_cut_gives_consecutive_pieces() -> None:
    pieces = cut(np.array([5, 3, 4, 1, 0]), [2, 0, 3])
    assert [piece.tolist() for piece in pieces] == [[5, 3], [], [4, 1, 0]]


def test_cut_refuses_more_than_there_is() -> None:
    with pytest.raises(ValueError, match="6 examples wanted of 5"):
        cut(np.arange(5), [3, 3])


def test_a_split_without_copies_is_the_beginning_of_the_order(pool: Pool) -> None:
    np.testing.assert_array_equal(balanced_split(*pool, (100, 50, 30)), balanced_order(*pool)[:180])


@pytest.mark.parametrize("seed", range(10))
def test_no_copies_are_parted(seed: int) -> None:
    """Neither of equal labels nor of different ones, wherever the boundaries lie."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, size=(300, 4, 4), dtype=np.uint8)
    labels = np.arange(300) % 3
    for one, other in random.choice(300, size=(20, 2), replace=False):
        images[other] = images[one]
    sizes = (200, 40, 40)
    order = balanced_split(images, labels, sizes)
    assert len(set(order)) == len(order) == 280
    pieces = np.split(order, np.cumsum(sizes)[:-1])
    train, val, test = ({images[i].tobytes() for i in piece} for piece in pieces)
    assert len(train | val | test) == len(train) + len(val) + len(test)
    plain = labels[balanced_order(images, labels)[:280]]
    np.testing.assert_array_equal(labels[order], plain)
    assert (order != balanced_order(images, labels)[:280]).mean() < 0.15

    shuffled = random.permutation(300)
    again = balanced_split(images[shuffled], labels[shuffled], sizes)
    np.testing.assert_array_equal(images[shuffled][again], images[order])
    np.testing.assert_array_equal(labels[shuffled][again], labels[order])


def test_permuted_labels_keep_the_histogram_and_say_nothing_of_the_images() -> None:
    random = np.random.default_rng(1)
    images = random.integers(0, 256, size=(10_000, 4), dtype=np.uint8)
    labels = np.arange(10_000) % 10
    noisy = permuted_labels(images, labels)
    np.testing.assert_array_equal(np.bincount(noisy), np.bincount(labels))
    # Binomial(10,000, 0.1) has standard deviation 0.003.
    assert (noisy == labels).mean() == pytest.approx(0.1, abs=0.012)
    np.testing.assert_array_equal(noisy, permuted_labels(images, labels))


def test_fingerprint_changes_with_any_example() -> None:
    def tasks() -> dict[str, TaskData]:
        random = np.random.default_rng(3)
        splits = [
            Split(random.normal(size=(4, 1, 2, 2)).astype(np.float32), np.arange(4)) for _ in "abc"
        ]
        return {"one": TaskData(*splits)}

    original = fingerprint(tasks())
    assert original == fingerprint(tasks())
    assert len(original) == 16
    assert int(original, 16) >= 0
    for part in range(3):
        pixel, label = tasks(), tasks()
        list(pixel["one"])[part].inputs[3, 0, 1, 1] += 1
        list(label["one"])[part].targets[0] += 1
        assert len({original, fingerprint(pixel), fingerprint(label)}) == 3
    assert fingerprint({"two": tasks()["one"]}) != original
    assert fingerprint(tasks(), pretrained="") == original
    assert fingerprint(tasks(), pretrained="0123") != original


def test_fingerprint_does_not_depend_on_memory_layout() -> None:
    inputs = np.arange(48, dtype=np.float32).reshape(3, 1, 4, 4)
    split = Split(inputs, np.arange(3))
    strided = Split(np.asfortranarray(inputs), np.arange(6)[::2] // 2)
    assert fingerprint({"t": TaskData(split, split, split)}) == fingerprint(
        {"t": TaskData(strided, strided, strided)}
    )
