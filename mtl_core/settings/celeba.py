"""celeba: CelebA (M24 §2.2, App. B), 40 yes-or-no attributes of the same faces, a task each."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.data import unpacked
from mtl_core.data.decoded import decoded
from mtl_core.data.sources import data_dir
from mtl_core.errors import DataMissing, InputError
from mtl_core.settings.apgd import RESNET18
from mtl_core.settings.base import DataState, Preset, Setting, Split, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ATTRIBUTES", "SETTING", "SIZE"]

SIZE = 64
"""Height and width that faces are scaled to; ours, the paper gives none."""

_HEADER = """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose
    Black_Hair Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee
    Gray_Hair Heavy_Makeup High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard
    Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair
    Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young
"""
ATTRIBUTES = tuple(_HEADER.split())
"""As the attribute file spells them, in its order."""

_IMAGES, _TABLE, _PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
_PARTS = (_IMAGES, _TABLE, _PARTITION)
_ALIGNED = (178, 218)  # width and height of every aligned image
_SPLITS = ("training", "validation", "test")


def _load(names: Sequence[str]) -> dict[str, TaskData]:
    """The official partition, in the order of the files; all tasks share their inputs."""
    folder = _folder()
    if lacking := _lacking(folder):
        raise DataMissing(_how_to_get(folder, lacking))
    images_in, table, partition = (unpacked.place(folder, name) for name in _PARTS)
    parts = _read_partition(partition)
    files = [file for part in parts for file in part]
    labels = _read_table(table, files)
    images = decoded(
        folder / f"celeba_{SIZE}",
        [images_in / file for file in files],
        _face,
        recipe=f"middle 178×178, bilinear to {SIZE}",
        title="CelebA",
    )
    ends = np.cumsum([len(part) for part in parts])[:-1]
    inputs = np.split(images, ends)
    return {
        name: TaskData(*map(Split, inputs, np.split(labels[:, _COLUMNS[name]].copy(), ends)))
        for name in names
    }


def _read_partition(path: Path) -> list[list[str]]:
    """File names of the three splits."""
    parts: list[list[str]] = [[], [], []]
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match line.split():
            case [file, ("0" | "1" | "2") as part]:
                parts[int(part)].append(file)
            case []:
                pass
            case _:
                raise InputError(
                    f"{path} line {number} is not an image and 0, 1 or 2; get the file anew"
                )
    for title, files in zip(_SPLITS, parts, strict=True):
        if not files:
            raise InputError(f"{path} lists no {title} image; get the file anew")
    return parts


def _read_table(path: Path, files: Sequence[str]) -> NDArray[np.int64]:
    """The attributes of ``files``, (N, 40): 1 where the table says 1, 0 where it says -1."""
    lines = path.read_text().splitlines()
    if len(lines) < 2 or lines[1].split() != list(ATTRIBUTES):
        raise InputError(f"{path} line 2 does not name CelebA's 40 attributes; get the file anew")
    rows = {}
    for number, line in enumerate(lines[2:], start=3):
        match line.split():
            case [file, *values] if len(values) == len(ATTRIBUTES) and set(values) <= {"1", "-1"}:
                rows[file] = [value == "1" for value in values]
            case []:
                pass
            case _:
                raise InputError(
                    f"{path} line {number} is not an image and 40 times 1 or -1; get the file anew"
                )
    if lines[0].strip() != str(len(rows)):
        raise InputError(
            f"{path} announces {lines[0].strip()!r} images and has {len(rows)}; get the file anew"
        )
    if absent := [file for file in files if file not in rows]:
        raise InputError(f"{path} has no row for {absent[0]}; get the file anew")
    return np.array([rows[file] for file in files], dtype=np.int64)


def _face(file: Path) -> NDArray[np.uint8]:
    """The middle 178×178 of an aligned image, (3, SIZE, SIZE)."""
    from PIL import Image

    with Image.open(file) as image:
        if image.size != _ALIGNED:
            raise InputError(f"{file} is {image.size}, not an aligned image of {_ALIGNED} pixels")
        width, height = _ALIGNED
        top = (height - width) // 2
        face = image.convert("RGB").crop((0, top, width, top + width))
        pixels: NDArray[Any] = np.asarray(face.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    return pixels.transpose(2, 0, 1)


def _folder() -> Path:
    return data_dir() / "celeba"


def _lacking(folder: Path) -> list[str]:
    return [name for name in _PARTS if not unpacked.place(folder, name).exists()]


def _how_to_get(folder: Path, lacking: Sequence[str]) -> str:
    return (
        f"CelebA is for research under its owners' terms and is not in {folder} (no "
        f"{', no '.join(lacking)}): get img_align_celeba.zip, {_TABLE} and {_PARTITION} from "
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html and unpack them there, as torchvision "
        "lays them out"
    )


def _data_state() -> DataState:
    folder = _folder()
    if lacking := _lacking(folder):
        return DataState("missing", _how_to_get(folder, lacking))
    files = tuple(unpacked.place(folder, name) for name in (_TABLE, _PARTITION))
    return DataState("found", str(folder), files)


def _encoder(width: int) -> "nn.Module":
    from mtl_core.networks.resnet import ResNet18

    return ResNet18(width)


_COLUMNS = {attribute.lower(): column for column, attribute in enumerate(ATTRIBUTES)}


def _task(attribute: str) -> Task:
    return Task(
        attribute.lower(),
        attribute.replace("o_Clock", "o'clock").replace("_", " ").capitalize(),
        classes=2,
        train_size=162_770,
        val_size=19_867,
        test_size=19_962,
    )


SETTING = Setting(
    name="celeba",
    title="CelebA",
    description=(
        "202,599 faces of celebrities in the official partition, each with 40 attributes to tell, "
        f"a task each on the same images. The middle of each image, scaled to {SIZE}×{SIZE}."
    ),
    tasks=tuple(map(_task, ATTRIBUTES)),
    default_target="double_chin",
    presets={
        "quick": Preset(
            epochs=4,
            batch_size=64,
            lr=1e-3,
            width=8,
            samples=1_024,
            held_out=500,
            factor_points=4,
            factor_examples=256,
            apgd_steps=17,
            fisher_draws=1,
            similarity_batches=10,
        ),
        "standard": Preset(
            epochs=10,
            batch_size=128,
            lr=1e-3,
            width=16,
            samples=20_000,
            held_out=5_000,
            apgd_steps=17,
            fisher_draws=2,
            similarity_batches=50,
        ),
        "paper": Preset(epochs=20, batch_size=128, lr=1e-3, width=64),
    },
    load=_load,
    encoder=_encoder,
    parameters=lambda width: round(2724 * width**2 + 297 * width),
    data_state=_data_state,
    one_input=True,
    batch_norm=True,
    apgd_lost=RESNET18,
)
