"""nyuv2: on a few rooms in the layout that the authors of MTAN distribute."""

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mtl_core import DataMissing, InputError
from mtl_core.pareto import problems
from mtl_core.pareto.problems import nyuv2
from mtl_core.pareto.problems.segnet import SegNet
from tests.pareto.layouts import write_nyuv2
from tests.pareto.problems.networks import (
    CPU,
    assert_vmap_is_each,
    descended,
    doubled,
    generator,
)

PROBLEM = problems.get("nyuv2")
SMALL = {"width": 4}


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 and 2 rooms, written once; a test that changes them writes its own."""
    return write_nyuv2(tmp_path_factory.mktemp("data"))


@pytest.fixture
def folder(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The rooms where the app looks for them."""
    monkeypatch.setenv("MTL_DATA_DIR", str(rooms.parent))
    return rooms


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One room of each split."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return write_nyuv2(tmp_path, (1, 1))


def refusal(kind: type[InputError] = InputError) -> str:
    with pytest.raises(kind) as caught:
        PROBLEM.load(CPU, None, None, SMALL)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_arrays_are_those_of_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type[np.generic]
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    folder = write_nyuv2(tmp_path, (2, 1), dtype)
    instance = PROBLEM.load(CPU, None, None, SMALL)
    for split, (images, labels, depths, normals) in (
        ("train", instance.train),
        ("val", instance.test),
    ):
        count = len(images)
        assert images.shape == normals.shape == (count, 3, 288, 384)
        assert labels.shape == depths.shape == (count, 288, 384)
        assert [each.dtype for each in (images, labels, depths, normals)] == [
            torch.uint8, torch.int8, torch.float32, torch.float16,
        ]  # fmt: skip
        for place, name in enumerate(nyuv2._names(folder, split)):
            files = {
                kind: np.load(folder / split / kind / name)
                for kind in ("image", "label", "depth", "normal")
            }
            pixels = np.moveaxis(images[place].numpy(), 0, -1) / 255
            np.testing.assert_allclose(pixels, files["image"], atol=0.5 / 255 + 1e-6)
            np.testing.assert_array_equal(labels[place], files["label"])
            np.testing.assert_array_equal(depths[place], files["depth"][:, :, 0])
            directions = np.moveaxis(normals[place].numpy(), 0, -1)
            np.testing.assert_allclose(directions, files["normal"], atol=2.5e-4)
            unknown = (files["normal"] == 0).all(axis=-1)
            np.testing.assert_array_equal((directions == 0).all(axis=-1), unknown)
            assert unknown.any()
    assert [len(instance.train[0]), len(instance.test[0])] == [2, 1]


@pytest.mark.parametrize("around", ["nyuv2", "train"])
def test_a_folder_too_many_is_gone_through(one: Path, around: str) -> None:
    before = PROBLEM.load(CPU, None, None, SMALL)
    for split in ("train", "val") if around == "nyuv2" else ("train",):
        (one / split).rename(one / "moving")
        (one / around).mkdir(exist_ok=True)
        (one / "moving").rename(one / around / split)
    assert PROBLEM.data_state().state == "found"
    after = PROBLEM.load(CPU, None, None, SMALL)
    assert torch.equal(after.train[0], before.train[0])


def test_order_mixes_neighbours_and_a_prefix_is_a_prefix(folder: Path) -> None:
    whole, part = PROBLEM.load(CPU, None, None, SMALL), PROBLEM.load(CPU, 3, 1, SMALL)
    assert [len(part.train[3]), len(part.test[3])] == [3, 1]
    for ours, theirs in zip((*part.train, *part.test), (*whole.train, *whole.test), strict=True):
        assert torch.equal(ours, theirs[: len(ours)])
    for split, count in (("train", 4), ("val", 2)):
        assert sorted(nyuv2._names(folder, split)) == [f"{n}.npy" for n in range(count)]


def test_order_of_the_official_number_of_files(tmp_path: Path) -> None:
    image = tmp_path / "train" / "image"
    image.mkdir(parents=True)
    for number in range(795):
        (image / f"{number}.npy").touch()
    names = nyuv2._names(tmp_path, "train")
    numbers = [int(name.removesuffix(".npy")) for name in names]
    assert sorted(numbers) == list(range(795))
    # Of uniform numbers the mean of 64 has a standard error of 29.
    assert abs(np.mean(numbers[:64]) - 397) < 120
    assert sum(abs(a - b) == 1 for a, b in pairwise(numbers)) < 12


def test_files_are_decoded_once_and_a_changed_one_anew(
    one: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = PROBLEM.fingerprint({})
    assert "train/depth" in capsys.readouterr().err
    assert PROBLEM.fingerprint({}) == before
    assert capsys.readouterr().err == ""
    path = one / "train" / "depth" / "0.npy"
    np.save(path, np.load(path) + 1)
    assert PROBLEM.fingerprint({}) != before
    assert "train/depth" in capsys.readouterr().err


def test_losses_are_those_of_a_plain_network(folder: Path) -> None:
    """The same layers as ordinary modules, and every mean spelled out, in float64."""
    instance = PROBLEM.load(CPU, 2, None, SMALL)
    parameters = doubled(instance.start(generator(2)))
    module = SegNet(4, (13, 1, 3)).double()
    module.load_state_dict(parameters)
    images, labels, depths, normals = instance.train
    with torch.no_grad():
        maps = (images.double() / 255 - 0.5) / 0.25
        for layer in module.shared:
            if isinstance(layer, nn.GroupNorm):
                groups = maps.view(len(maps), 4, -1)
                centred = groups - groups.mean(dim=2, keepdim=True)
                scaled = centred / (centred.square().mean(dim=2, keepdim=True) + 1e-5).sqrt()
                weight, bias = (v.view(-1, 1, 1) for v in (layer.weight, layer.bias))
                maps = scaled.view(maps.shape) * weight + bias
            else:
                maps = layer(maps)
        logits, depth, direction = (head(maps) for head in module.heads)
    found = instance.losses(parameters, instance.train)
    assert found.dtype == torch.float64
    expected = torch.zeros(3, dtype=torch.float64)
    for n in range(2):
        known = labels[n] >= 0
        chosen = logits[n].log_softmax(dim=0).gather(0, labels[n].clamp_min(0).long()[None])[0]
        expected[0] -= chosen[known].mean() / 2
        known = depths[n] > 0
        expected[1] += (depth[n, 0] - depths[n])[known].abs().mean() / 2
        known = normals[n].abs().sum(dim=0) > 0
        unit, target = (
            v / v.norm(dim=0).clamp_min(1e-8) for v in (direction[n], normals[n].double())
        )
        expected[2] += (1 - (unit * target).sum(dim=0))[known].mean() / 2
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_stacked_solutions_are_each_on_its_own(folder: Path) -> None:
    instance = PROBLEM.load(CPU, 1, None, SMALL)
    weights = torch.tensor([[0.6, 0.2, 0.2], [0.0, 0.5, 0.5]])
    assert_vmap_is_each(instance, instance.train, weights)


def test_an_example_does_not_depend_on_its_batch(folder: Path) -> None:
    """No statistics of a batch: what is averaged over two images is the two one by one."""
    instance = PROBLEM.load(CPU, 2, None, SMALL)
    parameters = doubled(instance.start(generator()))
    both = instance.losses(parameters, instance.train)
    each = [
        instance.losses(parameters, tuple(t[n : n + 1] for t in instance.train)) for n in (0, 1)
    ]
    torch.testing.assert_close(torch.stack(each).mean(dim=0), both)


def test_steps_learn_all_three(folder: Path) -> None:
    """Of classes, a guess costs log 13; of depths and normals, the best constant.

    On a corner of each room, 96×128: the network is convolutional, and takes maps of any size.
    """
    instance = PROBLEM.load(CPU, 2, 1, {"width": 8})
    instance = replace(instance, train=tuple(each[..., :96, :128] for each in instance.train))
    weight = torch.tensor([1.0, 1.0, 1.0]) / 3
    before = instance.losses(instance.start(generator()), instance.train)
    found = descended(instance, weight, steps=60, lr=0.2)
    after = instance.losses(found, instance.train)
    labels, depths = instance.train[1], instance.train[2]
    known = depths[depths > 0]
    constant = torch.tensor([math.log(13), float((known - known.median()).abs().mean()), 1.0])
    assert labels.max() <= 12
    assert (after < 0.9 * constant).all(), (before, after, constant)
    iou, depth, angle = instance.metrics(found, instance.train).tolist()
    assert iou > 1 / 13
    assert depth == pytest.approx(float(after[1]), rel=1e-5)
    assert angle < 80


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    state = PROBLEM.data_state()
    assert state.state == "missing"
    assert refusal(DataMissing) == state.message
    for part in (str(tmp_path / "nyuv2"), "no train/image, no train/label", "lorenmt/mtan"):
        assert part in state.message
    folder = write_nyuv2(tmp_path, (1, 1))
    assert PROBLEM.data_state().state == "found"
    assert PROBLEM.data_state().message == str(folder)
    (folder / "val" / "normal").rename(tmp_path / "elsewhere")
    assert "(no val/normal)" in refusal(DataMissing)


@pytest.mark.parametrize("kind", ["image", "label", "depth", "normal"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\0", b"PK\x03\x04 zip", b"\x80\x04pickle"])
def test_a_damaged_file_is_named(one: Path, kind: str, content: bytes) -> None:
    path = one / "val" / kind / "0.npy"
    path.write_bytes(content)
    message = refusal()
    assert message.startswith(f"{path} is not a readable array (")
    assert message.endswith("unpack nyuv2.zip again")


def test_a_file_that_was_cut_short(one: Path) -> None:
    path = one / "train" / "normal" / "0.npy"
    path.write_bytes(path.read_bytes()[:-1_000])
    assert refusal().startswith(f"{path} is not a readable array (")


def test_a_pickle_is_not_loaded(one: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(tmp_path / "executed"), "w")

    path = one / "train" / "label" / "0.npy"
    np.save(path, np.array([Bomb()], dtype=object), allow_pickle=True)
    assert refusal().startswith(f"{path} is not a readable array (")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("kind", ["label", "depth", "normal"])
def test_an_absent_file_is_named(one: Path, kind: str) -> None:
    path = one / "train" / kind / "0.npy"
    path.unlink()
    assert refusal() == f"{path} is not there (No such file or directory); unpack it again"


def test_a_split_without_files(one: Path) -> None:
    (one / "val" / "image" / "0.npy").unlink()
    assert refusal() == f"{one / 'val' / 'image'} has no file 0.npy; unpack nyuv2.zip again"


SHAPE = {"image": (288, 384, 3), "label": (288, 384), "depth": (288, 384, 1)}


@pytest.mark.parametrize(
    ("kind", "array", "words"),
    [
        ("image", np.zeros((480, 640, 3), np.float32),
         "is (480, 640, 3) of float32, not (288, 384, 3) of floating point"),
        ("image", np.zeros(SHAPE["image"], np.uint8),
         "is (288, 384, 3) of uint8, not (288, 384, 3) of floating point"),
        ("image", np.full(SHAPE["image"], 200.0),
         "has values from 200 to 200, and an image those from 0 to 1"),
        ("image", np.full(SHAPE["image"], np.nan), "has values that are not finite"),
        ("label", np.zeros((288, 384, 1)),
         "is (288, 384, 1) of float64, not (288, 384) of whole numbers"),
        ("label", np.full(SHAPE["label"], 13.0), "has the label 13, which is none of -1 to 12"),
        ("label", np.full(SHAPE["label"], 255), "has the label 255, which is none of -1 to 12"),
        ("label", np.full(SHAPE["label"], -2), "has the label -2, which is none of -1 to 12"),
        ("label", np.full(SHAPE["label"], 0.5), "has the label 0.5, which is none of -1 to 12"),
        ("label", np.full(SHAPE["label"], "a"),
         "is (288, 384) of <U1, not (288, 384) of whole numbers"),
        ("depth", np.zeros(SHAPE["label"]),
         "is (288, 384) of float64, not (288, 384, 1) of floating point"),
        ("depth", np.full(SHAPE["depth"], -1.5), "has a depth of -1.5, and none is below 0"),
        ("depth", np.full(SHAPE["depth"], np.inf), "has values that are not finite"),
        ("normal", np.full(SHAPE["image"], 128.0),
         "has a normal with a part of 128, and none is longer than 1"),
    ],
)  # fmt: skip
def test_what_a_file_must_not_hold(one: Path, kind: str, array: np.ndarray, words: str) -> None:
    path = one / "train" / kind / "0.npy"
    np.save(path, array)
    assert refusal() == f"{path} {words}; unpack nyuv2.zip again"


@pytest.mark.parametrize("width", [8, "8"])
def test_width(folder: Path, width: object) -> None:
    parameters = PROBLEM.load(CPU, 1, 1, {"width": width}).start(generator())
    assert parameters["shared.0.weight"].shape == (8, 3, 3, 3)
    default = PROBLEM.load(CPU, 1, 1, {}).start(generator())
    assert sum(value.numel() for value in default.values()) == 545_953


@pytest.mark.parametrize("width", [0, 3, -4, "wide", 1.5, True, None, "4" * 50])
def test_a_width_that_is_none(width: object) -> None:
    with pytest.raises(InputError) as caught:
        PROBLEM.load(CPU, None, None, {"width": width})
    assert str(caught.value).startswith(
        "the option width of nyuv2 is a multiple of 4, such as 16 or 64, not "
    )
    with pytest.raises(InputError, match=r"^unknown option of nyuv2 'depth'; one of: width$"):
        PROBLEM.load(CPU, None, None, {"depth": 3})
