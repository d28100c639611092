"""mnists: the paper's sizes on the real images, and the split of a small pool."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtl_core import DataMissing, InputError, RunConfig, settings
from mtl_core.data import sources
from mtl_core.data.splits import fingerprint
from mtl_core.settings import TaskData, mnists

NAMES = ["mnist", "fashion_mnist", "notmnist"]
SIZES = {
    "mnist": [50_000, 5_000, 5_000],
    "fashion_mnist": [50_000, 5_000, 5_000],
    "notmnist": [8_000, 1_000, 1_000],
}


@pytest.fixture
def tasks(mnists_data: Path) -> dict[str, TaskData]:
    return settings.get("mnists").load(NAMES)


def test_sizes_and_classes(tasks: dict[str, TaskData]) -> None:
    for task in settings.get("mnists").tasks:
        assert task.classes == 10
        assert [task.train_size, task.val_size, task.test_size] == SIZES[task.name]
        for split, size in zip(tasks[task.name], SIZES[task.name], strict=True):
            assert np.bincount(split.targets).tolist() == [size // 10] * 10
            assert split.inputs.shape == (size, 1, 28, 28)
            assert (split.inputs.dtype, split.targets.dtype) == (np.float32, np.int64)
            assert split.inputs.flags.c_contiguous


def test_images_are_the_data_sets_with_their_labels(tasks: dict[str, TaskData]) -> None:
    """Normalised by pixels of the whole pool; looked up by content, not by place."""
    for name, (mean, deviation) in mnists._PIXELS.items():
        images, labels = sources.read(name)
        assert images.mean() / 255 == pytest.approx(mean, abs=5e-4)
        assert images.std() / 255 == pytest.approx(deviation, abs=5e-4)
        label_of = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
        for split in tasks[name]:
            raw = np.rint((split.inputs[::50, 0] * deviation + mean) * 255).astype(np.uint8)
            assert [label_of[image.tobytes()] for image in raw] == split.targets[::50].tolist()


def test_no_image_is_in_two_splits(tasks: dict[str, TaskData]) -> None:
    """notMNIST has some images many times; the copies lie in one split."""
    for name in NAMES:
        train, val, test = ({image.tobytes() for image in split.inputs} for split in tasks[name])
        assert len(train | val | test) == len(train) + len(val) + len(test)
        if name != "notmnist":
            assert len(train) + len(val) + len(test) == 60_000


def test_every_prefix_of_training_data_is_balanced(tasks: dict[str, TaskData]) -> None:
    for name in NAMES:
        counts = np.eye(10, dtype=np.int64)[tasks[name].train.targets].cumsum(axis=0)
        assert (counts.max(axis=1) - counts.min(axis=1)).max() == 1


def test_real_fingerprints_are_those_of_the_artifacts(tasks: dict[str, TaskData]) -> None:
    """Pinned: a change here makes every artifact of the setting one on other data."""
    assert {name: fingerprint({name: tasks[name]}) for name in NAMES} == {
        "mnist": "947d9c8c18ff8686",
        "fashion_mnist": "56baf92e7628696a",
        "notmnist": "a6daa770badf4128",
    }


def test_the_small_task_bounds_what_runs_may_ask_for() -> None:
    with pytest.raises(InputError, match="samples 8001 must be between 1 and 8000"):
        RunConfig("mnists", "mnist", ("notmnist",), samples=8_001)
    assert RunConfig("mnists", "mnist", ("fashion_mnist",), samples=8_001).train_size == 8_001
    assert RunConfig("mnists", "mnist", ("notmnist",)).train_size == 50_000


Pool = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool of 130 images for tasks of 60, 20 and 20 examples; its files are not written."""
    monkeypatch.setattr(mnists, "_SIZES", dict.fromkeys(NAMES, (60, 20, 20)))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    random = np.random.default_rng(7)
    images = random.integers(0, 256, size=(130, 28, 28), dtype=np.uint8)
    return images, np.repeat(np.arange(10, dtype=np.uint8), 13)


def write(
    folder: Path, name: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: int
) -> None:
    halves = (images[:train], labels[:train], images[train:], labels[train:])
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), halves, strict=True))
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


@pytest.mark.parametrize(("seed", "train"), [(1, 100), (2, 60), (3, 130), (4, 0)])
def test_any_resplit_of_the_images_gives_the_same_tensors(
    small: Pool, tmp_path: Path, seed: int, train: int
) -> None:
    images, labels = small
    write(tmp_path, "notmnist", images, labels, 110)
    original = settings.get("mnists").load(["notmnist"])
    shuffled = np.random.default_rng(seed).permutation(130)
    folder = tmp_path / "other"
    folder.mkdir()
    write(folder, "notmnist", images[shuffled], labels[shuffled], train)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_DATA_DIR", str(folder))
        other = settings.get("mnists").load(["notmnist"])
    assert fingerprint(original) == fingerprint(other)
    assert sum(len(split.targets) for split in other["notmnist"]) == 100


def test_the_data_is_found_when_all_of_it_is(small: Pool, tmp_path: Path) -> None:
    images, labels = small
    setting = settings.get("mnists")
    before = setting.data_state()
    assert before.state == "missing"
    assert before.message.startswith(
        f"MNIST, FashionMNIST and notMNIST are not in {tmp_path}: download MNIST and FashionMNIST "
        "on the What if page or with `python -m mtl_core download mnist` and "
        "`python -m mtl_core download fashion_mnist`, or put mnist.npz, fashion_mnist.npz and "
    )
    write(tmp_path, "notmnist", images, labels, 110)
    assert setting.data_state().state == "downloadable"
    write(tmp_path, "mnist", images, labels, 110)
    write(tmp_path, "fashion_mnist", images, labels, 110)
    found = setting.data_state()
    assert found.state == "found"
    assert found.files == tuple(tmp_path / f"{name}.npz" for name in NAMES)
    assert found.message == ", ".join(map(str, found.files))


def test_a_task_needs_its_own_data_only(small: Pool, tmp_path: Path) -> None:
    write(tmp_path, "mnist", *small, 110)
    assert len(settings.get("mnists").load(["mnist"])["mnist"].train.targets) == 60
    with pytest.raises(DataMissing, match=r"^notMNIST is not in .*put notmnist\.npz .*Bulatov"):
        settings.get("mnists").load(["mnist", "notmnist"])


def test_too_few_images_cost_one_line(small: Pool, tmp_path: Path) -> None:
    images, labels = small
    write(tmp_path, "notmnist", images[:30], labels[:30], 20)
    with pytest.raises(InputError) as caught:
        settings.get("mnists").load(["notmnist"])
    assert str(caught.value) == (
        f"{tmp_path / 'notmnist.npz'} holds 30 images, and 100 of notMNIST are needed; replace "
        "the file"
    )


def test_encoder_is_lenet() -> None:
    import torch

    encoder = settings.get("mnists").encoder(8)
    assert encoder(torch.zeros(2, 1, 28, 28)).shape == (2, 84)
