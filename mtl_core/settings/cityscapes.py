"""cityscapes: streets in seven categories, and how far away they are (M24 §2.2, App. B).

The paper follows the preprocessing of Sener & Koltun 2018 (arXiv:1810.04650); where it leaves a
choice open, or where the official data has no answer, this is what is done here:

- **Splits.** The paper counts 2,975 / 500 / 1,525 images, the official train, val and test. The
  labels of the official test images are withheld, so it cannot have been tested on them. Here the
  official val images are the test data, and four of the eighteen training cities, 500 images, are
  the validation data: 2,475 / 500 / 500. Whole cities, as the official splits are, since images of
  a city resemble each other.
- **Size.** 128×256, as Liu et al. 2019 (MTAN, arXiv:1803.10704) have it: a quarter of the 256×512
  of Sener & Koltun, so that a small network trains on a processor. Outputs have that size too.
- **Labels.** The seven categories of the official evaluation, of the 19 classes that count in it;
  all other pixels have no label.
- **Depth.** The disparity of the stereo pair in the official files, in units of about its standard
  deviation: inverse depth, as Sener & Koltun have it. Pixels without a match have no target.
- **Augmentation.** None.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.data import unpacked
from mtl_core.data.decoded import decoded
from mtl_core.data.sources import data_dir
from mtl_core.data.splits import hash_order
from mtl_core.errors import DataMissing, InputError
from mtl_core.settings.base import DataState, Preset, Setting, Split, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["CATEGORIES", "CATEGORY_OF", "DISPARITY_UNIT", "SETTING", "SIZE", "VALIDATION_CITIES"]

SIZE = (128, 256)
"""Height and width of images and targets; multiples of 8."""

VALIDATION_CITIES = ("jena", "tubingen", "ulm", "weimar")
"""119 + 144 + 95 + 142 = 500 of the official training images."""

CATEGORIES = ("flat", "construction", "object", "nature", "sky", "human", "vehicle")
"""In the order of the official category ids 1 to 7; here the classes 0 to 6."""

_COUNTED = {
    "flat": (7, 8),  # road, sidewalk
    "construction": (11, 12, 13),  # building, wall, fence
    "object": (17, 19, 20),  # pole, traffic light, traffic sign
    "nature": (21, 22),  # vegetation, terrain
    "sky": (23,),
    "human": (24, 25),  # person, rider
    "vehicle": (26, 27, 28, 31, 32, 33),  # car, truck, bus, train, motorcycle, bicycle
}
_LABEL_IDS = 34

CATEGORY_OF = np.array(
    [
        next((number for number, name in enumerate(CATEGORIES) if label in _COUNTED[name]), -1)
        for label in range(_LABEL_IDS)
    ],
    dtype=np.int8,
)
"""(34,) the class of each labelId, -1 for none."""

DISPARITY_UNIT = 2729.0680031169923 / 256
"""Pixels of disparity in the full image: the constant that Sener & Koltun's released loader divides
by and calls the standard deviation, 2,729 in the files' own units."""

_IMAGE, _LABELS, _DISPARITY = "leftImg8bit", "gtFine", "disparity"
_ENDINGS = {
    _IMAGE: "_leftImg8bit.png",
    _LABELS: "_gtFine_labelIds.png",
    _DISPARITY: "_disparity.png",
}
_TARGETS = {"segmentation": _LABELS, "depth": _DISPARITY}
_WORDS = {_IMAGE: "images", _LABELS: "labels", _DISPARITY: "disparities"}


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    """Both tasks share their inputs; each split is in a fixed random order."""
    folder = _folder()
    kinds = [_IMAGE, *(_TARGETS[name] for name in names)]
    if lacking := _lacking(folder, kinds):
        raise DataMissing(_how_to_get(folder, lacking))
    parts = _scenes(folder)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    scenes = [scene for part in parts for scene in part]

    def read(kind: str, decode: Callable[[Path], NDArray[Any]], recipe: str) -> NDArray[Any]:
        (height, width), part = SIZE, _part(folder, kind)
        return decoded(
            folder / f"{kind}_{height}x{width}",
            [part / f"{scene}{_ENDINGS[kind]}" for scene in scenes],
            decode,
            recipe=f"{recipe} {height}×{width}",
            title=f"Cityscapes' {_WORDS[kind]}",
        )

    inputs = np.split(read(_IMAGE, _image, "bilinear to"), ends)
    targets: dict[str, NDArray[Any]] = {}
    if "segmentation" in names:
        categories = read(_LABELS, _categories, "categories of the nearest of")
        targets["segmentation"] = categories.astype(np.int64)
    if "depth" in names:
        targets["depth"] = _depth(read(_DISPARITY, _disparity, "the nearest of"))
    return {name: TaskData(*map(Split, inputs, np.split(targets[name], ends))) for name in names}


def _scenes(folder: Path) -> list[list[str]]:
    """The scenes of training, validation and test: ``train/CITY/CITY_000000_000019``."""
    ending, images = _ENDINGS[_IMAGE], _part(folder, _IMAGE)
    found = {}
    for official in ("train", "val"):
        paths = sorted((images / official).glob(f"*/*{ending}"))
        found[official] = [
            f"{official}/{p.parent.name}/{p.name.removesuffix(ending)}" for p in paths
        ]
    held = [scene for scene in found["train"] if scene.split("/")[1] in VALIDATION_CITIES]
    kept = [scene for scene in found["train"] if scene.split("/")[1] not in VALIDATION_CITIES]
    parts = [kept, held, found["val"]]
    for part, place in zip(
        parts,
        ("train", f"train of {', '.join(VALIDATION_CITIES)}", "val"),
        strict=True,
    ):
        if not part:
            raise InputError(f"{images} has no image in {place}; unpack it again")
    return [[part[index] for index in hash_order(part)] for part in parts]


def _image(file: Path) -> NDArray[np.uint8]:
    """(3, H, W)."""
    from PIL import Image

    height, width = SIZE
    with Image.open(file) as image:
        small = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        pixels: NDArray[np.uint8] = np.asarray(small)
    return pixels.transpose(2, 0, 1)


def _categories(file: Path) -> NDArray[np.int8]:
    """(H, W): classes, -1 where there is none."""
    ids = _nearest(file)
    if ids.max() >= _LABEL_IDS:
        raise InputError(
            f"{file} has the label {ids.max()}, which is not a labelId of 0 to 33; unpack gtFine "
            "again"
        )
    categories: NDArray[np.int8] = CATEGORY_OF[ids]
    return categories


def _disparity(file: Path) -> NDArray[np.uint16]:
    """(H, W): as in the official files."""
    values = _nearest(file)
    if values.min() < 0 or values.max() > 65_535:
        raise InputError(f"{file} is not an image of 16 bits; unpack disparity again")
    return values.astype(np.uint16)


def _nearest(file: Path) -> NDArray[Any]:
    """Values of single pixels: neither labels nor disparities mix."""
    from PIL import Image

    height, width = SIZE
    with Image.open(file) as image:
        if len(image.getbands()) != 1:
            raise InputError(f"{file} has {image.mode} pixels, not one value each; unpack it again")
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST))


def _depth(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A stored value p > 0 is a disparity of (p - 1) / 256 pixels; 0 means no match."""
    depth = (stored.astype(np.float32) - 1) / np.float32(256 * DISPARITY_UNIT)
    depth[stored == 0] = np.nan
    return depth


def _folder() -> Path:
    return data_dir() / "cityscapes"


def _part(folder: Path, kind: str) -> Path:
    """The folder of images, labels or disparities."""
    return unpacked.place(folder, f"{kind}/train").parent


def _lacking(folder: Path, kinds: Sequence[str]) -> list[str]:
    wanted = [(kind, official) for kind in kinds for official in ("train", "val")]
    there = {kind: _part(folder, kind) for kind in kinds}
    return [f"{kind}/{part}" for kind, part in wanted if not (there[kind] / part).is_dir()]


def _how_to_get(folder: Path, lacking: Sequence[str]) -> str:
    return (
        f"Cityscapes has its own licence and is not in {folder} (no {', no '.join(lacking)}): get "
        "leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip and disparity_trainvaltest.zip from "
        "https://www.cityscapes-dataset.com/downloads and unpack them there"
    )


def _data_state() -> DataState:
    folder = _folder()
    if lacking := _lacking(folder, list(_ENDINGS)):
        return DataState("missing", _how_to_get(folder, lacking))
    return DataState("found", str(folder))


def _encoder(width: int) -> "nn.Module":
    from mtl_core.networks.deeplab import backbone

    return backbone(width, data_dir())


def _head(features: int, task: Task) -> "nn.Module":
    from mtl_core.networks.deeplab import head

    return head(features, task.classes)


_every = partial(Task, train_size=2_475, val_size=500, test_size=500)

SETTING = Setting(
    name="cityscapes",
    title="Cityscapes",
    description=(
        f"Streets of German cities at {SIZE[0]}×{SIZE[1]}: what every pixel shows, in seven "
        "categories, and how far away it is, as the disparity of a stereo pair. DeepLabV3 with a "
        "head for each task; of width 64 it starts from ImageNet's weights. The official test "
        "images have no public labels, so the official validation images are the test data here, "
        "and four of the training cities are held out for validation."
    ),
    tasks=(
        _every("segmentation", "Segmentation", classes=7, metric="mean_iou"),
        _every(
            "depth",
            "Depth (disparity)",
            classes=1,
            metric="absolute_error",
            loss="absolute_error",
        ),
    ),
    default_target="segmentation",
    presets={
        "quick": Preset(
            epochs=4,
            batch_size=4,
            lr=3e-3,
            width=4,
            samples=64,
            held_out=16,
            early_checkpoints=2,
            factor_points=2,
            factor_examples=16,
            apgd_steps=17,
            fisher_draws=1,
            similarity_batches=4,
        ),
        "standard": Preset(
            epochs=20,
            batch_size=8,
            lr=1e-3,
            width=16,
            samples=512,
            held_out=128,
            factor_points=8,
            factor_examples=128,
            apgd_steps=17,
            fisher_draws=1,
            similarity_batches=20,
        ),
        "paper": Preset(epochs=50, batch_size=8, lr=1e-4, width=64),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: round(10348 * width**2 + 1793 * width),
    head=_head,
    data_state=_data_state,
    one_input=True,
    batch_norm=True,
)
