"""multimnist, multifashion, fashion_and_mnist: on the real images, and on small pools of others."""

import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl_core import DataMissing, InputError
from mtl_core.data import sources
from mtl_core.pareto import problems
from mtl_core.pareto.problems import multimnist
from tests.pareto.problems.networks import (
    CPU,
    assert_vmap_is_each,
    descended,
    doubled,
    generator,
)

ITEMS = {
    "multimnist": ("mnist", "mnist"),
    "multifashion": ("fashion_mnist", "fashion_mnist"),
    "fashion_and_mnist": ("mnist", "fashion_mnist"),
}
NAMES = list(ITEMS)


@cache
def lookup(folder: Path, source: str) -> dict[bytes, int]:
    """Label of every image, by its bytes."""
    images, labels = sources.read(source)
    return {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}


def corners(canvases: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What of a canvas belongs to one item alone: the top eight rows, the bottom eight."""
    return canvases[:, 0, :8, :28], canvases[:, 0, 28:, 8:]


@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_balance(pairs_data: Path, name: str) -> None:
    found = multimnist.examples(name)
    for (canvases, labels), size in ((found.train, 50_000), (found.test, 10_000)):
        assert (canvases.shape, canvases.dtype) == ((size, 1, 36, 36), np.uint8)
        assert (labels.shape, labels.dtype) == ((size, 2), np.int64)
        for item in range(2):
            counts = np.eye(10, dtype=np.int64)[labels[:, item]].cumsum(axis=0)
            assert (counts[9::10] == np.arange(1, size // 10 + 1)[:, None]).all()


def test_labels_say_nothing_of_each_other(pairs_data: Path) -> None:
    """χ² with 81 degrees of freedom; its 99.9 % quantile is 125."""
    for name in NAMES:
        labels = multimnist.examples(name).train[1]
        table = np.zeros((10, 10))
        np.add.at(table, (labels[:, 0], labels[:, 1]), 1)
        assert ((table - 500) ** 2 / 500).sum() < 125


@pytest.mark.parametrize("name", NAMES)
def test_canvases_are_made_of_two_real_images_with_these_labels(
    pairs_data: Path, name: str
) -> None:
    """Looked up by content: a canvas' own corners lead to its two images."""
    found = multimnist.examples(name)
    keys = []
    for item, source in enumerate(ITEMS[name]):
        images, labels = sources.read(source)
        own = images[:, :8] if item == 0 else images[:, 20:]
        keys.append({})
        for image, corner, label in zip(images, own, labels, strict=True):
            keys[item].setdefault(corner.tobytes(), []).append((image, label))
    for canvases, labels in (found.train, found.test):
        picked = slice(None, None, len(labels) // 200)
        top, bottom = corners(canvases[picked])
        for canvas, one, other, pair in zip(
            canvases[picked], top, bottom, labels[picked], strict=True
        ):
            made = 0
            for left, left_label in keys[0][one.tobytes()]:
                for right, right_label in keys[1][other.tobytes()]:
                    if (left_label, right_label) == tuple(pair):
                        expected = np.zeros((36, 36), np.uint8)
                        expected[:28, :28] = left
                        expected[8:, 8:] = np.maximum(expected[8:, 8:], right)
                        made += np.array_equal(canvas[0], expected)
            assert made == 1


@pytest.mark.parametrize("source", ["mnist", "fashion_mnist"])
def test_no_image_of_test_is_in_train(pairs_data: Path, source: str) -> None:
    train, test = multimnist._items(source)
    assert [len(train[0]), len(test[0])] == [50_000, 10_000]
    one, other = ({image.tobytes() for image in images} for images, _ in (train, test))
    assert len(one | other) == len(one) + len(other) == 60_000
    known = lookup(pairs_data, source)
    for images, labels in (train, test):
        assert [known[image.tobytes()] for image in images] == labels.tolist()


def test_real_fingerprints(pairs_data: Path) -> None:
    """Pinned: a change here makes every artifact of the problem one on other data."""
    assert {name: problems.get(name).fingerprint({}) for name in NAMES} == {
        "multimnist": "ef2b8b2e0007ae21",
        "multifashion": "9a1c39f836a995fc",
        "fashion_and_mnist": "71a178ba50640b75",
    }


@pytest.mark.parametrize("name", NAMES)
def test_pixels_are_normalised_by_the_canvases_own(pairs_data: Path, name: str) -> None:
    mean, deviation = multimnist._PIXELS[name]
    canvases = multimnist.examples(name).train[0]
    assert canvases.mean() / 255 == pytest.approx(mean, abs=1e-3)
    assert canvases.std() / 255 == pytest.approx(deviation, abs=1e-3)


def test_examples_are_read_once(pairs_data: Path) -> None:
    assert multimnist.examples("multimnist") is multimnist.examples("multimnist")


Pool = tuple[NDArray[np.uint8], NDArray[np.uint8]]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """100 random images, of which 60 are trained and 20 tested on; no file is written."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(multimnist, "_SIZES", (60, 20))
    images = np.random.default_rng(0).integers(0, 256, (100, 28, 28)).astype(np.uint8)
    return images, np.repeat(np.arange(10, dtype=np.uint8), 10)


def write(
    folder: Path, name: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: int
) -> None:
    halves = (images[:train], labels[:train], images[train:], labels[train:])
    arrays = dict(zip(("x_train", "y_train", "x_test", "y_test"), halves, strict=True))
    folder.mkdir(exist_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)  # type: ignore[arg-type]


def write_idx(
    folder: Path, name: str, images: NDArray[np.uint8], labels: NDArray[np.uint8], train: int
) -> None:
    """The official files, in torchvision's folder."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    for split, part in (("train", slice(None, train)), ("t10k", slice(train, None))):
        for kind, array in (("images-idx3", images[part]), ("labels-idx1", labels[part])):
            header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
            (raw / f"{split}-{kind}-ubyte").write_bytes(header + array.tobytes())


@pytest.mark.parametrize(("seed", "train"), [(1, 80), (2, 60), (3, 100), (4, 0)])
@pytest.mark.parametrize("name", NAMES)
def test_any_resplit_of_the_images_gives_the_same_tensors(
    small: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seed: int, train: int
) -> None:
    images, labels = small
    clothes = 255 - images
    write(tmp_path, "mnist", images, labels, 85)
    write(tmp_path, "fashion_mnist", clothes, labels, 85)
    problem = problems.get(name)
    original = problem.fingerprint({})
    canvases = multimnist.examples(name)
    assert [len(canvases.train[0]), len(canvases.test[0])] == [60, 20]
    shuffled = np.random.default_rng(seed).permutation(100)
    folder = tmp_path / "other"
    write(folder, "mnist", images[shuffled], labels[shuffled], train)
    write_idx(folder, "FashionMNIST", clothes[shuffled], labels[shuffled], train)
    monkeypatch.setenv("MTL_DATA_DIR", str(folder))
    assert problem.fingerprint({}) == original
    clothes[shuffled[0], 0, 0] ^= 1
    write(folder, "fashion_mnist", clothes, labels, train)
    assert (problem.fingerprint({}) == original) == (name == "multimnist")


def test_what_is_missing_is_said(small: Pool, tmp_path: Path) -> None:
    state = problems.get("fashion_and_mnist").data_state()
    assert state.state == "downloadable"
    assert state.message.startswith(f"MNIST and FashionMNIST are not in {tmp_path}: download them")
    write(tmp_path, "mnist", *small, 80)
    assert problems.get("multimnist").data_state().state == "found"
    assert problems.get("multimnist").data_state().message == str(tmp_path / "mnist.npz")
    with pytest.raises(DataMissing, match=r"^FashionMNIST is not in "):
        problems.get("fashion_and_mnist").load(CPU, None, None, {})


def test_too_few_images_of_a_class(small: Pool, tmp_path: Path) -> None:
    images, labels = small
    write(tmp_path, "mnist", images[:-3], labels[:-3], 80)
    with pytest.raises(InputError) as caught:
        problems.get("multimnist").load(CPU, None, None, {})
    assert str(caught.value) == (
        f"{tmp_path / 'mnist.npz'} holds 7 images of class 9, and 8 of each class of MNIST are "
        "needed; replace the file"
    )


def test_an_option_is_refused(small: Pool) -> None:
    with pytest.raises(InputError, match=r"^multimnist has no options; leave 'file' out$"):
        problems.get("multimnist").load(CPU, None, None, {"file": "x.csv"})


def test_parts_of_the_data(small: Pool, tmp_path: Path) -> None:
    write(tmp_path, "mnist", *small, 80)
    problem = problems.get("multimnist")
    whole, part = problem.load(CPU, None, None, {}), problem.load(CPU, 30, 10, {})
    assert [len(whole.train[0]), len(whole.test[0])] == [60, 20]
    for ours, theirs in zip((*part.train, *part.test), (*whole.train, *whole.test), strict=True):
        assert torch.equal(ours, theirs[: len(ours)])
    assert [len(part.train[1]), len(part.test[1])] == [30, 10]
    assert len(problem.load(CPU, 1_000, 1_000, {}).train[0]) == 60


def plain(parameters: dict[str, Tensor], canvases: Tensor, mean: float, std: float) -> Tensor:
    """The network as an ordinary chain of modules, pooling after the ReLU: (2, N, 10)."""
    body = nn.Sequential(
        nn.Conv2d(1, 10, 9), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(500, 50), nn.ReLU(),
    ).double()  # fmt: skip
    heads = [nn.Linear(50, 10).double() for _ in range(2)]
    values = dict(parameters)
    for target, source in ((0, 0), (3, 3), (7, 7)):
        for part in ("weight", "bias"):
            getattr(body[target], part).data = values.pop(f"encoder.{source}.{part}")
    for head, name in zip(heads, ("top_left", "bottom_right"), strict=True):
        head.weight.data, head.bias.data = values.pop(f"{name}.weight"), values.pop(f"{name}.bias")
    assert not values
    features = body((canvases.double() / 255 - mean) / std)
    return torch.stack([head(features) for head in heads]).detach()


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_accuracies_are_those_of_a_plain_network(
    small: Pool, tmp_path: Path, name: str
) -> None:
    images, labels = small
    write(tmp_path, "mnist", images, labels, 80)
    write(tmp_path, "fashion_mnist", 255 - images, labels, 80)
    instance = problems.get(name).load(CPU, None, None, {})
    parameters = doubled(instance.start(generator(3)))
    canvases, classes = instance.train
    outputs = plain(parameters, canvases, *multimnist._PIXELS[name])
    found = instance.losses(parameters, instance.train)
    probabilities = outputs.exp() / outputs.exp().sum(dim=2, keepdim=True)
    expected = [
        -sum(math.log(probabilities[item, n, classes[n, item]]) for n in range(60)) / 60
        for item in range(2)
    ]
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    right = [(outputs[i].argmax(dim=1) == classes[:, i]).double().mean().item() for i in range(2)]
    assert instance.metrics(parameters, instance.train).tolist() == pytest.approx(right)


def test_stacked_solutions_are_each_on_its_own(small: Pool, tmp_path: Path) -> None:
    write(tmp_path, "mnist", *small, 80)
    instance = problems.get("multimnist").load(CPU, 30, None, {})
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5], [0.1, 0.9]])
    assert_vmap_is_each(instance, instance.train, weights)


def test_a_start_is_its_generator_and_nothing_else(small: Pool, tmp_path: Path) -> None:
    write(tmp_path, "mnist", *small, 80)
    instance = problems.get("multimnist").load(CPU, None, None, {})
    assert instance.shared_start
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = instance.start(generator(5))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = instance.start(generator(5)), instance.start(generator(6))
    assert sum(value.numel() for value in one.values()) == 31_910
    for name, value in one.items():
        assert value.dtype == torch.float32
        assert not value.requires_grad
        assert torch.equal(value, same[name])
        assert not torch.equal(value, other[name])


@pytest.mark.parametrize(
    ("name", "least"),
    [("multimnist", (0.7, 0.65)), ("multifashion", (0.5, 0.5)), ("fashion_and_mnist", (0.7, 0.5))],
)
def test_a_few_hundred_steps_learn_both_items(
    pairs_data: Path, name: str, least: tuple[float, float]
) -> None:
    """Guessing is right once in ten; 1,000 held-out canvases have a standard error of 1.6 %."""
    instance = problems.get(name).load(CPU, 5_000, 1_000, {})
    weight = torch.tensor([0.5, 0.5])
    found = descended(instance, weight, steps=300, lr=0.1, batch_size=64)
    accuracies = instance.metrics(found, instance.test)
    assert (accuracies > torch.tensor(least)).all(), accuracies
    losses = instance.losses(found, instance.test)
    assert (losses < torch.tensor(problems.get(name).reference)).all()


def test_a_preference_decides_which_item_is_learned(pairs_data: Path) -> None:
    instance = problems.get("multimnist").load(CPU, 5_000, 1_000, {})
    left, right = (
        instance.losses(
            descended(instance, torch.tensor(weight), steps=200, lr=0.1, batch_size=64),
            instance.test,
        )
        for weight in ([0.97, 0.03], [0.03, 0.97])
    )
    assert left[0] < right[0] - 0.5
    assert right[1] < left[1] - 0.5
