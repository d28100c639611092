"""cityscapes: on a few streets in the official layout."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtl_core import DataMissing, InputError, settings
from mtl_core.settings import cityscapes
from mtl_core.settings.cityscapes import CATEGORY_OF, DISPARITY_UNIT
from tests.settings.layouts import blocks, write_cityscapes, write_scene

SETTING = settings.get("cityscapes")
NAMES = ["segmentation", "depth"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """8, 4 and 4 streets, where the app looks for them."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return write_cityscapes(tmp_path)


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One street of each split."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    return write_cityscapes(tmp_path, (1, 1, 1))


SCENE = "train/aachen/aachen_000000_000019"


def write(
    folder: Path,
    image: object = None,
    labels: object = None,
    disparity: object = None,
    size: tuple[int, int] = (64, 128),
) -> None:
    """The training street, with what is given."""
    write_scene(
        folder,
        SCENE,
        image=np.zeros((*size, 3), np.uint8) if image is None else np.asarray(image, np.uint8),
        labels=np.zeros(size, np.uint8) if labels is None else np.asarray(labels, np.uint8),
        disparity=np.zeros(size, np.uint16)
        if disparity is None
        else np.asarray(disparity, np.uint16),
    )


def assert_refused(error: type[InputError], *parts: str, names: list[str] = NAMES) -> None:
    with pytest.raises(error) as caught:
        SETTING.load(names)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_two_tasks_and_what_is_made_of_the_official_images() -> None:
    segmentation, depth = SETTING.tasks
    assert (segmentation.classes, segmentation.loss) == (7, "cross_entropy")
    assert (segmentation.metric, segmentation.direction) == ("mean_iou", "higher")
    assert (depth.classes, depth.loss, depth.metric) == (1, "absolute_error", "absolute_error")
    assert depth.direction == "lower"
    for task in SETTING.tasks:
        assert (task.train_size, task.val_size, task.test_size) == (2_475, 500, 500)
        assert task.train_size + task.val_size == 2_975
    assert SETTING.one_input


def test_every_label_id_has_the_category_that_the_official_evaluation_gives_it() -> None:
    """The table of labels.py: category ids of the labels that are not ignored in evaluation."""
    official = {
        7: 1, 8: 1, 11: 2, 12: 2, 13: 2, 17: 3, 19: 3, 20: 3, 21: 4, 22: 4, 23: 5,
        24: 6, 25: 6, 26: 7, 27: 7, 28: 7, 31: 7, 32: 7, 33: 7,
    }  # fmt: skip
    assert len(official) == 19
    assert CATEGORY_OF.tolist() == [official.get(label, 0) - 1 for label in range(34)]


def test_all_34_labels_through_the_files(one: Path) -> None:
    ids = blocks(np.arange(64).reshape(8, 8) % 34, (64, 128))
    write(one, labels=ids)
    targets = SETTING.load(["segmentation"])["segmentation"].train.targets
    assert targets.dtype == np.int64
    assert targets.shape == (1, 128, 256)
    expected = CATEGORY_OF[blocks(np.arange(64).reshape(8, 8) % 34, (128, 256))]
    np.testing.assert_array_equal(targets[0], expected)
    assert set(np.unique(targets)) == set(range(-1, 7))


def test_a_folder_too_many_is_gone_through(one: Path) -> None:
    """As programs unpack each of the three zip files into a folder of its own."""
    before = SETTING.load(["segmentation", "depth"])
    for kind, around in (
        ("leftImg8bit", "leftImg8bit_trainvaltest"),
        ("gtFine", "gtFine"),
        ("disparity", "disparity_trainvaltest"),
    ):
        (one / kind).rename(one / "moving")
        (one / around).mkdir()
        (one / "moving").rename(one / around / kind)
    assert SETTING.data_state().state == "found"
    after = SETTING.load(["segmentation", "depth"])
    for name, data in before.items():
        np.testing.assert_array_equal(after[name].train.inputs, data.train.inputs)
        np.testing.assert_array_equal(after[name].val.targets, data.val.targets)


def test_disparities_become_depths_and_no_match_becomes_none(one: Path) -> None:
    stored = np.zeros((8, 8), dtype=np.int64)
    stored[0] = (0, 1, 257, 2_730, 25_601, 32_257, 40_000, 65_535)
    write(one, disparity=blocks(stored, (64, 128)))
    targets = SETTING.load(["depth"])["depth"].train.targets
    assert targets.dtype == np.float32
    assert targets.shape == (1, 128, 256)
    found = targets[0, 0, ::32]
    assert np.isnan(found[0])
    assert found[1] == 0
    pixels = np.array([1, 2_729 / 256, 100, 126, 39_999 / 256, 65_534 / 256])
    np.testing.assert_allclose(found[2:], pixels / DISPARITY_UNIT, rtol=1e-6)
    assert found[3] == pytest.approx(1, abs=1e-4)
    assert np.isnan(targets[0, 16:]).all()


def test_labels_and_disparities_of_the_official_size_are_single_pixels(one: Path) -> None:
    """1024×2048 to 128×256: every value is that of one pixel of its 8×8, and none is a mixture."""
    random = np.random.default_rng(1)
    labels = random.choice([7, 33], size=(1024, 2048))
    stored = random.choice([1, 65_535], size=(1024, 2048))
    write(one, np.zeros((1024, 2048, 3)), labels, stored)
    data = SETTING.load(NAMES)
    np.testing.assert_array_equal(
        data["segmentation"].train.targets[0], CATEGORY_OF[labels[4::8, 4::8]]
    )
    expected = (stored[4::8, 4::8] - 1) / 256 / DISPARITY_UNIT
    np.testing.assert_allclose(data["depth"].train.targets[0], expected, rtol=1e-6)


def test_images_keep_their_colours_and_average_what_is_shrunk(one: Path) -> None:
    image = np.zeros((1024, 2048, 3), dtype=np.uint8)
    image[...] = (10, 120, 250)
    image[:, 1024:, 0] = np.indices((1024, 1024)).sum(axis=0) % 2 * 200
    write(one, image, np.zeros((1024, 2048)), np.zeros((1024, 2048)))
    inputs = SETTING.load(NAMES)["depth"].train.inputs
    assert inputs.dtype == np.uint8
    assert inputs.shape == (1, 3, 128, 256)
    assert np.unique(inputs[0, 1:].reshape(2, -1), axis=1).tolist() == [[120], [250]]
    assert np.unique(inputs[0, 0, :, :126]).tolist() == [10]
    assert abs(inputs[0, 0, :, 130:].astype(int) - 100).max() <= 1


def test_whole_cities_are_held_out_and_official_validation_is_the_test(folder: Path) -> None:
    data = SETTING.load(NAMES)
    assert [len(split.inputs) for split in data["depth"]] == [8, 4, 4]
    kept, held, tested = cityscapes._scenes(folder)
    assert {scene.split("/")[1] for scene in kept} == {"aachen", "bochum"}
    assert {scene.split("/")[1] for scene in held} == {"jena", "ulm"}
    assert {scene.split("/")[0] for scene in tested} == {"val"}
    for scene, image in zip(kept, data["depth"].train.inputs, strict=True):
        with Image.open(folder / "leftImg8bit" / f"{scene}_leftImg8bit.png") as opened:
            pixel = opened.getpixel((0, 0))
        assert tuple(image[:, 0, 0]) == pixel


def test_order_mixes_cities_and_does_not_depend_on_others(folder: Path) -> None:
    """A prefix is not of one city, and a further image moves none of the others."""
    random = np.random.default_rng(0)
    names = [f"train/{city}/{random.integers(10**6)}" for city in "ab" for _ in range(200)]
    order = cityscapes.hash_order(names)
    assert 70 < sum(names[index].startswith("train/a") for index in order[:200]) < 130
    fewer = [names[index] for index in cityscapes.hash_order(names[1:]) + 1]
    assert fewer == [names[index] for index in order if index]


def test_tasks_share_the_very_same_inputs(folder: Path) -> None:
    data = SETTING.load(NAMES)
    for first, second in zip(data["segmentation"], data["depth"], strict=True):
        assert first.inputs is second.inputs


def test_one_task_does_not_need_the_others_files(folder: Path) -> None:
    (folder / "gtFine").rename(folder / "elsewhere")
    assert SETTING.data_state().state == "missing"
    assert "no gtFine/train" in SETTING.data_state().message
    assert len(SETTING.load(["depth"])["depth"].train.targets) == 8
    assert_refused(DataMissing, str(folder), "no gtFine/train, no gtFine/val", "cityscapes-dataset")


def test_data_state(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SETTING.data_state() == settings.DataState("found", str(folder))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "nowhere"))
    assert SETTING.data_state().state == "missing"
    assert str(tmp_path / "nowhere" / "cityscapes") in SETTING.data_state().message


def test_a_changed_file_is_decoded_anew(one: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SETTING.load(NAMES)
    words = capsys.readouterr().err
    assert [word in words for word in ("images: 3", "labels: 3", "disparities: 3")] == [True] * 3
    SETTING.load(NAMES)
    assert capsys.readouterr().err == ""
    path = one / "gtFine" / f"{SCENE}_gtFine_labelIds.png"
    Image.fromarray(np.full((64, 128), 23, np.uint8)).save(path)
    assert np.unique(SETTING.load(NAMES)["segmentation"].train.targets).tolist() == [4]
    words = capsys.readouterr().err
    assert "labels" in words
    assert "images:" not in words


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("leftImg8bit", "leftImg8bit"),
        ("gtFine", "gtFine_labelIds"),
        ("disparity", "disparity"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n broken"])
def test_an_absent_or_damaged_file_is_named(
    one: Path, kind: str, ending: str, content: bytes | None
) -> None:
    path = one / kind / f"{SCENE}_{ending}.png"
    if content is None and kind == "leftImg8bit":
        path.unlink()
        assert_refused(InputError, f"{one / 'leftImg8bit'} has no image in train;")
    elif content is None:
        path.unlink()
        assert_refused(InputError, str(path), "is not there")
    else:
        path.write_bytes(content)
        assert_refused(InputError, str(path), "cannot be read as an image")


def test_no_city_that_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    folder = write_cityscapes(tmp_path, (2, 1, 1))
    (folder / "leftImg8bit" / "train" / "jena").rename(folder / "jena")
    assert_refused(InputError, "no image in train of jena, tubingen, ulm, weimar")


def test_label_train_ids_are_not_label_ids(one: Path) -> None:
    write(one, labels=np.full((64, 128), 255))
    assert_refused(InputError, SCENE, "has the label 255, which is not a labelId of 0 to 33")


def test_colours_are_not_labels(one: Path) -> None:
    path = one / "gtFine" / f"{SCENE}_gtFine_labelIds.png"
    Image.new("RGB", (128, 64)).save(path)
    assert_refused(InputError, str(path), "has RGB pixels, not one value each")
