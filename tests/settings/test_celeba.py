"""celeba: on a few faces in the official layout."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtl_core import DataMissing, InputError, settings
from mtl_core.settings import celeba
from tests.settings.layouts import write_celeba

SETTING = settings.get("celeba")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """16, 8 and 8 faces, where the app looks for them."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return write_celeba(tmp_path)


def rewrite(path: Path, change: Callable[[list[str]], object]) -> None:
    """Change a text file's lines in place."""
    lines = path.read_text().splitlines()
    change(lines)
    path.write_text("\n".join(lines) + "\n")


def assert_refused(error: type[InputError], *parts: str) -> None:
    with pytest.raises(error) as caught:
        SETTING.load(["blurry"])
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_forty_tasks_of_the_official_sizes() -> None:
    assert len(SETTING.tasks) == 40
    for task in SETTING.tasks:
        assert (task.train_size, task.val_size, task.test_size) == (162_770, 19_867, 19_962)
        assert (task.classes, task.loss, task.metric) == (2, "cross_entropy", "accuracy")
    assert sum((task.train_size, task.val_size, task.test_size)) == 202_599
    titles = {task.name: task.title for task in SETTING.tasks}
    assert titles["double_chin"] == "Double chin"
    assert titles["5_o_clock_shadow"] == "5 o'clock shadow"
    assert SETTING.one_input


def test_labels_are_the_signs_of_the_table_by_partition(folder: Path) -> None:
    data = SETTING.load([task.name for task in SETTING.tasks])
    rows = [line.split() for line in (folder / "list_attr_celeba.txt").read_text().splitlines()[2:]]
    for column, task in enumerate(SETTING.tasks):
        signs = np.array([int(row[1 + column]) for row in rows])
        for split, piece in zip(
            data[task.name], (signs[:16], signs[16:24], signs[24:]), strict=True
        ):
            assert split.targets.dtype == np.int64
            np.testing.assert_array_equal(split.targets, piece == 1)


def test_partition_decides_in_any_order(folder: Path) -> None:
    before = SETTING.load(["smiling"])["smiling"]
    rewrite(folder / "list_eval_partition.txt", lambda lines: lines.insert(0, lines.pop()))
    rewrite(folder / "list_eval_partition.txt", lambda lines: lines.insert(5, "000001.jpg 1"))
    rewrite(folder / "list_eval_partition.txt", lambda lines: lines.pop(1))
    after = SETTING.load(["smiling"])["smiling"]
    assert [len(split.targets) for split in after] == [15, 9, 8]
    np.testing.assert_array_equal(after.train.inputs, before.train.inputs[1:])
    np.testing.assert_array_equal(after.val.inputs[0], before.train.inputs[0])
    np.testing.assert_array_equal(after.test.inputs[0], before.test.inputs[-1])


def test_tasks_share_the_very_same_inputs(folder: Path) -> None:
    one, two = SETTING.load(["bald", "young"]).values()
    for first, second in zip(one, two, strict=True):
        assert first.inputs is second.inputs
        assert first.inputs.shape == (len(first.targets), 3, 64, 64)
        assert first.inputs.dtype == np.uint8
        with warnings.catch_warnings(action="error"):
            assert torch.from_numpy(first.inputs).shape == first.inputs.shape


def test_a_face_in_one_colour_keeps_it(folder: Path) -> None:
    colours = (0, 77, 200, 255)
    for number, colour in enumerate(colours, start=1):
        path = folder / "img_align_celeba" / f"{number:06d}.jpg"
        Image.new("RGB", (178, 218), (colour,) * 3).save(path, quality=100)
    images = SETTING.load(["bald"])["bald"].train.inputs
    for image, colour in zip(images, colours, strict=False):
        assert np.unique(image).tolist() == [colour]


def test_the_middle_square_is_taken_and_channels_come_first(folder: Path) -> None:
    """White from row 24 to 192 and black elsewhere: only the margins beyond 20 are cut off."""
    pixels = np.zeros((218, 178, 3), dtype=np.uint8)
    pixels[24:192] = (255, 255, 255)
    pixels[24:192, :16] = (255, 0, 0)
    path = folder / "img_align_celeba" / "000001.jpg"
    Image.fromarray(pixels).save(path, quality=100, subsampling=0)
    image = SETTING.load(["bald"])["bald"].train.inputs[0].astype(int)
    lit = np.flatnonzero(image[0].mean(axis=1) > 128)
    assert lit[0] == round((24 - 20) * 64 / 178)
    assert lit[-1] + 1 == round((192 - 20) * 64 / 178)
    middle = image[:, 32]
    assert (middle[0] > 250).all()
    assert (middle[1:, :4] < 5).all()
    assert (middle[:, 8:] > 250).all()


def test_images_are_decoded_once_and_anew_when_a_file_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = SETTING.load(["bald"])["bald"].train.inputs
    assert capsys.readouterr().err == "\rCelebA: 32 of 32 images decoded, once\n"
    kept = list(folder.glob("celeba_64-*.npy"))
    assert len(kept) == 1
    assert kept[0].stat().st_size < 32 * 3 * 64 * 64 + 256

    with monkeypatch.context() as patch:
        patch.setattr(celeba, "_face", None)
        np.testing.assert_array_equal(SETTING.load(["bald"])["bald"].train.inputs, before)
    assert capsys.readouterr().err == ""

    path = folder / "img_align_celeba" / "000002.jpg"
    Image.new("RGB", (178, 218), (9, 9, 9)).save(path, quality=100)
    after = SETTING.load(["bald"])["bald"].train.inputs
    assert np.unique(after[1]).tolist() == [9]
    np.testing.assert_array_equal(np.delete(after, 1, 0), np.delete(before, 1, 0))
    assert len(list(folder.glob("celeba_64-*"))) == 1
    assert list(folder.glob("*.npy")) != kept


def test_writing_into_the_arrays_does_not_reach_the_file(folder: Path) -> None:
    SETTING.load(["bald"])["bald"].train.inputs[:] = 0
    assert SETTING.load(["bald"])["bald"].train.inputs.any()


@pytest.mark.parametrize("lacking", ["img_align_celeba", "list_attr_celeba.txt"])
def test_without_the_data_it_says_where_to_get_it(folder: Path, lacking: str) -> None:
    found = SETTING.data_state()
    assert (found.state, found.message) == ("found", str(folder))
    assert {file.name for file in found.files} == {
        "list_attr_celeba.txt",
        "list_eval_partition.txt",
    }
    (folder / lacking).rename(folder / "elsewhere")
    state = SETTING.data_state()
    assert state.state == "missing"
    assert f"(no {lacking})" in state.message
    assert "mmlab.ie.cuhk.edu.hk" in state.message
    assert_refused(DataMissing, str(folder), f"no {lacking}")


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("img_align_celeba", "img_align_celeba/img_align_celeba"),
        ("img_align_celeba", "Img/img_align_celeba"),
        ("list_attr_celeba.txt", "Anno/list_attr_celeba.txt"),
        ("list_eval_partition.txt", "list_eval_partition.txt/list_eval_partition.txt"),
    ],
)
def test_a_folder_too_many_is_gone_through(folder: Path, name: str, to: str) -> None:
    before = SETTING.load(["smiling"])["smiling"]
    (folder / name).rename(folder / "moving")
    (folder / to).parent.mkdir(parents=True)
    (folder / "moving").rename(folder / to)
    assert SETTING.data_state().state == "found"
    after = SETTING.load(["smiling"])["smiling"]
    np.testing.assert_array_equal(after.train.inputs, before.train.inputs)
    np.testing.assert_array_equal(after.test.targets, before.test.targets)


def test_all_of_it_in_a_folder_too_many(folder: Path) -> None:
    before = SETTING.load(["smiling"])["smiling"].train.targets
    folder.rename(folder.with_name("moving"))
    folder.mkdir()
    folder.with_name("moving").rename(folder / "CelebA")
    np.testing.assert_array_equal(SETTING.load(["smiling"])["smiling"].train.targets, before)


def test_a_listed_image_that_is_absent_is_named(folder: Path) -> None:
    path = folder / "img_align_celeba" / "000007.jpg"
    path.unlink()
    assert_refused(InputError, str(path), "is not there")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0\0\x10JFIF"])
def test_a_damaged_image_is_named(folder: Path, content: bytes) -> None:
    path = folder / "img_align_celeba" / "000020.jpg"
    path.write_bytes(content)
    assert_refused(InputError, str(path), "cannot be read as an image")
    assert not list(folder.glob("celeba_64-*"))
    assert not list(folder.glob("*.arriving"))


def test_a_truncated_image_is_named(folder: Path) -> None:
    path = folder / "img_align_celeba" / "000001.jpg"
    path.write_bytes(path.read_bytes()[:1200])
    assert_refused(InputError, str(path), "truncated")


def test_an_image_that_is_not_aligned_is_named(folder: Path) -> None:
    path = folder / "img_align_celeba" / "000003.jpg"
    Image.new("RGB", (64, 64)).save(path)
    assert_refused(InputError, str(path), "(64, 64), not an aligned image of (178, 218) pixels")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda lines: lines.pop(5), "announces '32' images and has 31"),
        (lambda lines: lines.__setitem__(0, "thirty-two"), "announces 'thirty-two'"),
        (lambda lines: lines.__setitem__(1, "Bald Young"), "line 2 does not name"),
        (lambda lines: lines.__setitem__(4, lines[4].replace("-1", "0", 1)), "line 5 is not"),
        (lambda lines: lines.__setitem__(4, lines[4] + " 1"), "line 5 is not"),
        (lambda lines: lines.__setitem__(2, "x" + lines[2]), "has no row for 000001.jpg"),
        (lambda lines: lines.clear(), "line 2 does not name"),
    ],
)
def test_a_malformed_table_is_named(
    folder: Path, change: Callable[[list[str]], object], word: str
) -> None:
    rewrite(folder / "list_attr_celeba.txt", change)
    assert_refused(InputError, str(folder / "list_attr_celeba.txt"), word, "get the file anew")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (
            lambda lines: lines.__setitem__(3, "000004.jpg 3"),
            "line 4 is not an image and 0, 1",
        ),
        (lambda lines: lines.__setitem__(3, "000004.jpg"), "line 4"),
        (lambda lines: lines.__delitem__(slice(16, 24)), "lists no validation image"),
        (lambda lines: lines.clear(), "lists no training image"),
    ],
)
def test_a_malformed_partition_is_named(
    folder: Path, change: Callable[[list[str]], object], word: str
) -> None:
    rewrite(folder / "list_eval_partition.txt", change)
    assert_refused(InputError, str(folder / "list_eval_partition.txt"), word)


def test_a_table_may_have_more_images_than_the_partition(folder: Path) -> None:
    rewrite(folder / "list_eval_partition.txt", lambda lines: lines.pop())
    assert len(SETTING.load(["bald"])["bald"].test.targets) == 7


def test_encoder_takes_bytes() -> None:
    encoder = SETTING.encoder(2)
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    features = encoder(images)
    assert features.shape == (3, encoder.features) == (3, 16)
    features.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_no_cache_goes_by_its_age(folder: Path) -> None:
    """An older time of change is a change too: what counts is that it is another."""
    before = SETTING.load(["bald"])["bald"].train.inputs[0].copy()
    path = folder / "img_align_celeba" / "000001.jpg"
    Image.new("RGB", (178, 218), (1, 1, 1)).save(path)
    os.utime(path, ns=(1, 1))
    assert (SETTING.load(["bald"])["bald"].train.inputs[0] != before).any()
