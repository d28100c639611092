"""nyuv2: what every pixel of a room shows, how far away it is, and which way its surface faces.

NYUv2 (Silberman et al. 2012) as Liu et al. 2019 (MTAN, arXiv:1803.10704) distribute it and MT2O
uses it: 795 images to train on and 654 to test on, 288×384, a file for each image and kind,
``train/image/0.npy`` and so on. No augmentation, as in MTAN.

- **image** (288, 384, 3), 0 to 1. Kept as bytes, which is what it was made of.
- **label** (288, 384), classes 0 to 12, -1 for none: cross-entropy; mean IoU, over the classes that
  occur in an image or in what is predicted for it.
- **depth** (288, 384, 1), in metres, 0 for none: mean absolute error.
- **normal** (288, 384, 3), a direction, all 0 for none: 1 - cosine; the angle in degrees. Kept in
  half precision, within 0.05°.

A loss is the mean over the pixels of an image that have a target, then over images, so that it does
not depend on how a front is measured in parts.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.data import unpacked
from mtl_core.data.base import DataState
from mtl_core.data.decoded import decoded
from mtl_core.data.sources import data_dir
from mtl_core.data.splits import hash_order
from mtl_core.errors import DataMissing, InputError, quoted
from mtl_core.pareto.problems.base import Budget, Instance, Objective, Problem
from mtl_core.pareto.problems.examples import Examples
from mtl_core.pareto.problems.options import refuse_unknown

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["CLASSES", "PROBLEM", "SIZE", "examples"]

SIZE = (288, 384)
"""Height and width of all arrays."""

CLASSES = 13

_SHAPES = {"image": (*SIZE, 3), "label": SIZE, "depth": (*SIZE, 1), "normal": (*SIZE, 3)}
_SPLITS = ("train", "val")
_OUTPUTS = (CLASSES, 1, 3)
_WIDTH = 16


def examples() -> Examples:
    """Both splits, each in a fixed random order, mapped into memory.

    Images (N, 3, H, W) uint8, labels (N, H, W) int8, depths (N, H, W) float32, normals
    (N, 3, H, W) float16. Neighbouring files are of one room; so that a few examples are of many,
    the order is that of a hash of their names.

    Raises:
        DataMissing: says where to get the data and where to put it.
        InputError: names the file that is damaged or something else.
    """
    folder = _folder()
    if lacking := _lacking(folder):
        raise DataMissing(_how_to_get(folder, lacking))
    parts = []
    for split in _SPLITS:
        part = _part(folder, split)
        names = _names(folder, split)
        parts.append(
            tuple(
                decoded(
                    folder / f"{split}_{kind}",
                    [part / kind / name for name in names],
                    decode,
                    recipe=f"{kind} 1",
                    title=f"NYUv2's {split}/{kind}",
                )
                for kind, decode in _DECODERS.items()
            )
        )
    train, test = parts
    return Examples(train, test)


def _names(folder: Path, split: str) -> list[str]:
    images = _part(folder, split) / "image"
    found = [path.name for path in images.glob("*.npy")]
    if not found:
        raise InputError(f"{images} has no file 0.npy; unpack nyuv2.zip again")
    return [sorted(found)[i] for i in hash_order([f"{split}/{name}" for name in sorted(found)])]


def _image(file: Path) -> NDArray[np.uint8]:
    values = _array(file, "image")
    if values.min() < -0.01 or values.max() > 1.01:
        raise InputError(
            f"{file} has values from {values.min():g} to {values.max():g}, and an image those from "
            "0 to 1; unpack nyuv2.zip again"
        )
    pixels: NDArray[np.uint8] = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return pixels.transpose(2, 0, 1)


def _label(file: Path) -> NDArray[np.int8]:
    values = _array(file, "label")
    strange = values[(values < -1) | (values >= CLASSES) | (values != np.rint(values))]
    if strange.size:
        raise InputError(
            f"{file} has the label {strange[0]:g}, which is none of -1 to {CLASSES - 1}; unpack "
            "nyuv2.zip again"
        )
    return values.astype(np.int8)


def _depth(file: Path) -> NDArray[np.float32]:
    values = _array(file, "depth")
    if values.min() < 0:
        raise InputError(
            f"{file} has a depth of {values.min():g}, and none is below 0; unpack nyuv2.zip again"
        )
    return values[:, :, 0].astype(np.float32)


def _normal(file: Path) -> NDArray[np.float16]:
    values = _array(file, "normal")
    if abs(values).max() > 1.01:
        raise InputError(
            f"{file} has a normal with a part of {abs(values).max():g}, and none is longer than 1; "
            "unpack nyuv2.zip again"
        )
    return values.astype(np.float16).transpose(2, 0, 1)


_DECODERS: Mapping[str, Callable[[Path], NDArray[Any]]] = {
    "image": _image,
    "label": _label,
    "depth": _depth,
    "normal": _normal,
}


def _array(file: Path, kind: str) -> NDArray[Any]:
    """The numbers in a file, checked; mapped, so that a wrong header costs no memory."""
    try:
        values: NDArray[Any] = np.lib.format.open_memmap(file, mode="r")
    except (ValueError, OSError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{file} is not a readable array ({reason}); unpack nyuv2.zip again"
        ) from error
    shape = _SHAPES[kind]
    if values.shape != shape or values.dtype.kind not in ("f" if kind != "label" else "fiu"):
        raise InputError(
            f"{file} is {values.shape} of {values.dtype}, not {shape} of "
            f"{'whole numbers' if kind == 'label' else 'floating point'}; unpack nyuv2.zip again"
        )
    if not np.isfinite(values).all():
        raise InputError(f"{file} has values that are not finite; unpack nyuv2.zip again")
    return values


def _folder() -> Path:
    return data_dir() / "nyuv2"


def _lacking(folder: Path) -> list[str]:
    wanted = [(split, kind) for split in _SPLITS for kind in _SHAPES]
    there = {split: _part(folder, split) for split in _SPLITS}
    return [f"{split}/{kind}" for split, kind in wanted if not (there[split] / kind).is_dir()]


def _part(folder: Path, split: str) -> Path:
    return unpacked.place(folder, f"{split}/image").parent


def _how_to_get(folder: Path, lacking: list[str]) -> str:
    return (
        f"NYUv2 is for research under its owners' terms and is not in {folder} (no "
        f"{', no '.join(lacking)}): get the preprocessed nyuv2.zip that "
        "https://github.com/lorenmt/mtan links to, and unpack it so that its train and val lie "
        "there"
    )


def _data_state() -> DataState:
    folder = _folder()
    if lacking := _lacking(folder):
        return DataState("missing", _how_to_get(folder, lacking))
    return DataState("found", str(folder))


def _width(options: Mapping[str, Any]) -> int:
    from mtl_core.pareto.problems.segnet import GROUPS

    refuse_unknown("nyuv2", options, _OPTIONS)
    given = options.get("width", _WIDTH)
    text = str(given) if isinstance(given, int | str) and not isinstance(given, bool) else ""
    width = int(text) if text.isdecimal() and len(text) < 5 else 0
    if width < GROUPS or width % GROUPS:
        raise InputError(
            f"the option width of nyuv2 is a multiple of {GROUPS}, such as {_WIDTH} or 64, not "
            f"{quoted(given)}"
        )
    return width


def _load(
    device: "torch.device",
    samples: int | None,
    held_out: int | None,
    options: Mapping[str, Any],
) -> Instance:
    from mtl_core.pareto.problems import pixelwise
    from mtl_core.pareto.problems.networks import applied, started
    from mtl_core.pareto.problems.segnet import SegNet

    build = partial(SegNet, _width(options), _OUTPUTS)
    train, test = examples().tensors(device, samples, held_out)
    outputs = applied(build)

    def losses(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        images, *targets = batch
        return pixelwise.losses(outputs(parameters, images), *targets)

    def metrics(parameters: "Mapping[str, Tensor]", batch: "tuple[Tensor, ...]") -> "Tensor":
        images, *targets = batch
        return pixelwise.metrics(outputs(parameters, images), *targets)

    return Instance(
        start=started(build, device), losses=losses, metrics=metrics, train=train, test=test
    )


_OPTIONS = {"width": f"channels of the network's first stage, {_WIDTH} if not given, 64 in SegNet"}

PROBLEM = Problem(
    name="nyuv2",
    title="NYUv2",
    description=(
        "Rooms at 288×384: what every pixel shows, in 13 classes, how far away it is, and which "
        "way its surface faces, all from one small SegNet. 795 images to train on and 654 to test "
        "on, as the authors of MTAN distribute them."
    ),
    objectives=(
        Objective("segmentation", "Segmentation", metric="mean_iou"),
        Objective("depth", "Depth", metric="absolute_error", direction="lower"),
        Objective("normal", "Surface normals", metric="angle", direction="lower"),
    ),
    # What it costs to guess a class, to be a metre off, and to point in a random direction.
    reference=(math.log(CLASSES), 1.0, 1.0),
    ideal=(0.0, 0.0, 0.0),
    presets={
        "quick": Budget(
            solutions=5,
            iterations=40,
            lr=0.05,
            batch_size=2,
            frames=4,
            samples=64,
            held_out=16,
        ),
        "standard": Budget(
            solutions=6,
            iterations=2_000,
            lr=0.05,
            batch_size=4,
            frames=20,
            held_out=200,
        ),
        "paper": Budget(solutions=10, iterations=20_000, lr=0.05, batch_size=8, frames=50),
    },
    load=_load,
    data_state=_data_state,
    options=_OPTIONS,
    fingerprint=lambda _: examples().fingerprint,
)
