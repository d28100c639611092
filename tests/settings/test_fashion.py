"""fashion: FashionMTL's sizes on the real images, and its construction on a small pool."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core import InputError, settings
from mtl_core.data import sources
from mtl_core.data.splits import balanced_order, cut, fingerprint
from mtl_core.settings import TaskData, fashion

NAMES = ["fashion1", "fashion2", "noisy_fashion"]
SIZES = [25_000, 25_000, 5_000, 5_000, 5_000, 5_000]


@pytest.fixture
def tasks(fashion_data: Path) -> dict[str, TaskData]:
    return settings.get("fashion").load(NAMES)


def test_sizes_and_classes_are_the_papers(tasks: dict[str, TaskData]) -> None:
    for task in settings.get("fashion").tasks:
        splits = list(tasks[task.name])
        assert [len(s.targets) for s in splits] == [25_000, 5_000, 5_000]
        assert [task.train_size, task.val_size, task.test_size] == [25_000, 5_000, 5_000]
        for split, each in zip(splits, (2_500, 500, 500), strict=True):
            assert np.bincount(split.targets).tolist() == [each] * 10
            assert split.inputs.shape == (10 * each, 1, 28, 28)
            assert split.inputs.dtype == np.float32


def test_six_pieces_share_no_image_and_are_the_tasks(tasks: dict[str, TaskData]) -> None:
    images, labels = sources.read("fashion_mnist")
    pieces = cut(balanced_order(images, labels), SIZES)
    assert len(np.unique(np.concatenate(pieces))) == 70_000
    splits = [*tasks["fashion1"], *tasks["fashion2"]]
    for split, piece in zip(splits, [*pieces[0::2], *pieces[1::2]], strict=True):
        np.testing.assert_array_equal(split.targets, labels[piece])
        expected = (images[piece[::50]] / 255.0 - 0.286) / 0.353
        np.testing.assert_allclose(split.inputs[::50, 0], expected, rtol=1e-5, atol=1e-6)


def test_every_prefix_of_training_data_is_balanced(tasks: dict[str, TaskData]) -> None:
    onehot = np.eye(10, dtype=np.int64)[tasks["fashion1"].train.targets]
    counts = onehot.cumsum(axis=0)
    assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1


def test_noisy_twin_has_the_same_images_and_other_labels(tasks: dict[str, TaskData]) -> None:
    for clean, noisy in zip(tasks["fashion2"], tasks["noisy_fashion"], strict=True):
        assert np.shares_memory(clean.inputs, noisy.inputs)
        np.testing.assert_array_equal(clean.inputs[::100], noisy.inputs[::100])
        np.testing.assert_array_equal(np.bincount(clean.targets), np.bincount(noisy.targets))
        # Binomial(5,000, 0.1) has standard deviation 0.0042.
        assert (clean.targets == noisy.targets).mean() == pytest.approx(0.1, abs=0.015)


def test_real_fingerprint_is_that_of_the_artifacts(tasks: dict[str, TaskData]) -> None:
    """Pinned: a change here makes every artifact of the setting one on other data."""
    assert fingerprint({"fashion1": tasks["fashion1"]}) == "e0b1bb3d118f7bbf"


Pool = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool of 160 images for a FashionMTL of 40, 20 and 20 examples; its file is not written."""
    for name, size in {"_TRAIN": 40, "_VAL": 20, "_TEST": 20}.items():
        monkeypatch.setattr(fashion, name, size)
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    random = np.random.default_rng(11)
    images = random.integers(0, 256, size=(160, 28, 28), dtype=np.uint8)
    return images, np.repeat(np.arange(10, dtype=np.uint8), 16)


def write(folder: Path, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: int) -> None:
    np.savez(
        folder / "fashion_mnist.npz",
        x_train=images[:train],
        y_train=labels[:train],
        x_test=images[train:],
        y_test=labels[train:],
    )


@pytest.mark.parametrize(("seed", "train"), [(1, 100), (2, 60), (3, 160), (4, 0)])
def test_any_resplit_of_the_images_gives_the_same_tensors(
    small: Pool, tmp_path: Path, seed: int, train: int
) -> None:
    images, labels = small
    write(tmp_path, images, labels, 140)
    original = settings.get("fashion").load(NAMES)
    shuffled = np.random.default_rng(seed).permutation(160)
    folder = tmp_path / "other"
    folder.mkdir()
    write(folder, images[shuffled], labels[shuffled], train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_DATA_DIR", str(folder))
        other = settings.get("fashion").load(NAMES)
    assert fingerprint(original) == fingerprint(other)
    for name in NAMES:
        for one, two in zip(original[name], other[name], strict=True):
            np.testing.assert_array_equal(one.inputs, two.inputs)
            np.testing.assert_array_equal(one.targets, two.targets)


def test_a_replaced_file_is_read_anew(small: Pool, tmp_path: Path) -> None:
    import os

    images, labels = small
    write(tmp_path, images, labels, 140)
    before = fingerprint(settings.get("fashion").load(NAMES))
    write(tmp_path, 255 - images, labels, 140)
    os.utime(tmp_path / "fashion_mnist.npz", ns=(1, 1))
    assert fingerprint(settings.get("fashion").load(NAMES)) != before


def test_too_few_images_cost_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    random = np.random.default_rng(0)
    images = random.integers(0, 256, size=(30, 28, 28), dtype=np.uint8)
    write(tmp_path, images, np.arange(30, dtype=np.uint8) % 10, 20)
    with pytest.raises(InputError) as caught:
        settings.get("fashion").load(["fashion1"])
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path / "fashion_mnist.npz") in message
    assert "30 images, not FashionMNIST's 70,000; replace the file" in message


def test_encoder_has_lenets_sizes() -> None:
    import torch

    encoder = settings.get("fashion").encoder(8)
    assert encoder(torch.zeros(2, 1, 28, 28)).shape == (2, 84)
    shapes = {tuple(p.shape) for p in encoder.parameters()}
    assert {(8, 1, 5, 5), (16, 8, 5, 5), (120, 256), (84, 120)} <= shapes
    for width in (1, 5):
        assert settings.get("fashion").encoder(width)(torch.zeros(1, 1, 28, 28)).shape == (
            1,
            round(10.5 * width),
        )
