"""own-…: a user's own data as a setting, see ``data.stored``."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from mtl_core.data import stored
from mtl_core.data.stored import Described
from mtl_core.errors import DataMissing
from mtl_core.settings.apgd import RESNET18, SMALL_CNN
from mtl_core.settings.base import DataState, Preset, Setting, Task, TaskData

if TYPE_CHECKING:
    from torch import nn

__all__ = ["find", "is_name", "names"]

is_name = stored.is_name
names = stored.names


def find(name: object) -> Setting | None:
    """The setting of a set of own data, whose data may be absent; None where nothing is known."""
    if not isinstance(name, str) or not is_name(name):
        return None
    described = stored.find(name)
    return None if described is None else _setting(described)


@lru_cache(maxsize=64)
def _setting(described: Described) -> Setting:
    name, network = described.name, described.network
    return Setting(
        name=name,
        title=_plain(described.title) or name,
        description=_words(described),
        tasks=tuple(_task(described, place) for place in range(len(described.labels))),
        default_target=described.labels[0].name,
        presets=_presets(described),
        load=partial(_load, name),
        encoder=partial(_encoder, described),
        parameters=partial(_parameters, described),
        data_state=partial(_data_state, described),
        one_input=True,
        batch_norm=network == "resnet18",
        apgd_lost={"resnet18": RESNET18, "cnn": SMALL_CNN}.get(network, {}),
    )


def _words(described: Described) -> str:
    """What the data is, in a few sentences."""
    train, val, test = described.sizes
    if len(described.shape) == 3:
        channels, height, width = described.shape
        what = f"{height}×{width} images of {channels} channel{'' if channels == 1 else 's'}"
    else:
        count = len(described.inputs)
        what = f"{count:,} column{'' if count == 1 else 's'} of a table"
    lines = [
        f"Own data: {what}, {train:,} examples to train on, {val:,} to validate on and {test:,} to "
        "test on."
    ]
    if described.group:
        lines.append(f"All rows of a {described.group} are on one side of the split.")
    lines += [f"{note[0].upper()}{note[1:]}." for note in described.notes if note]
    return _plain(" ".join(lines))


_MARKS = str.maketrans({"[": "(", "]": ")"} | dict.fromkeys("\\`*<>$~|&", " "))


def _plain(text: str) -> str:
    """A text that pages may set as Markdown: no link, picture, formula or colour is left in it."""
    text = text.translate(_MARKS).replace("://", " ").replace("@", " at ")
    return re.sub(r"(?i)\bwww\.", "www ", text).lstrip("#+=- ").strip()


def _task(described: Described, place: int) -> Task:
    label = described.labels[place]
    train, val, test = described.sizes
    number = label.classes == 1
    return Task(
        name=label.name,
        title=_plain(label.title),
        classes=label.classes,
        train_size=train,
        val_size=val,
        test_size=test,
        metric="pearson" if number else "accuracy",
        loss="squared_error" if number else "cross_entropy",
    )


def _presets(described: Described) -> Mapping[str, Preset]:
    """Budgets by the number of examples: some hundred steps, some thousand, and ten times that."""
    train, val, test = described.sizes
    images = described.network != "mlp"
    batch = min(32 if train < 8_192 else 128, max(train // 4, 2), train)
    lr, width = (1e-3, 8) if described.network == "resnet18" else (3e-3, 16 if images else 64)
    quick, held_out = min(train, 1_000), min(val, test, 1_000)
    apgd = 17 if described.network == "resnet18" else 3

    def epochs(steps: int, examples: int) -> int:
        return min(max(math.ceil(steps * batch / examples), 5), 100)

    return {
        "quick": Preset(
            epochs=epochs(400, quick),
            batch_size=min(batch, quick),
            lr=lr,
            width=width,
            samples=None if quick == train else quick,
            held_out=None if held_out == max(val, test) else held_out,
            factor_points=6,
            factor_examples=512,
            apgd_steps=apgd,
            fisher_draws=1,
            similarity_batches=20,
        ),
        "standard": Preset(
            epochs=epochs(3_000, train),
            batch_size=batch,
            lr=lr,
            width=width,
            factor_points=12,
            factor_examples=1_024,
            apgd_steps=apgd,
            fisher_draws=1,
            similarity_batches=50,
        ),
        # There is no paper on it: how the papers measured their own settings.
        "paper": Preset(
            epochs=epochs(30_000, train),
            batch_size=batch,
            lr=lr,
            width=width * (4 if described.network == "resnet18" else 1),
        ),
    }


def _load(name: str, tasks: Sequence[str]) -> dict[str, TaskData]:
    found = stored.load(name)
    return {task: found[task] for task in tasks}


def _encoder(described: Described, width: int) -> "nn.Module":
    if described.network == "resnet18":
        from mtl_core.networks.resnet import ResNet18

        return ResNet18(width)
    if described.network == "cnn":
        from mtl_core.networks.small_cnn import SmallCNN

        channels, height, across = described.shape
        return SmallCNN(width, channels, (height, across))
    from mtl_core.networks.mlp import MLP

    return MLP(math.prod(described.shape), width)


def _parameters(described: Described, width: int) -> int:
    if described.network == "resnet18":
        return round(2724 * width**2 + 297 * width)
    if described.network == "cnn":
        return round(274 * width**2 + (9 * described.shape[0] + 11) * width)
    return round(width**2 + (math.prod(described.shape) + 2) * width)


def _data_state(described: Described) -> DataState:
    file = stored.data_file(described.name)
    if file.is_file():
        return DataState("found", "own data", (file,))
    return DataState("missing", str(absent(described.name)))


def absent(name: str) -> DataMissing:
    """What there is to say of own data that is not on this machine."""
    return DataMissing(
        f"the data of {name} is not on this machine; add the table that it was made of (Library, "
        "Add data, or python -m mtl_core data add), and it is found by its hash"
    )
