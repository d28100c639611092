"""Settings of random data that train in a moment: images with BatchNorm, pixels, vectors, texts."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from mtl_core import settings
from mtl_core.networks.batch_norm import converted
from mtl_core.networks.resnet import ResNet
from mtl_core.settings import DataState, Preset, Setting, Split, Task, TaskData

SIZES = (40, 12, 16)  # training, validation, test


def images() -> Setting:
    """Two tasks of three classes on their own colour images; a residual network."""

    def load(names: Sequence[str]) -> dict[str, TaskData]:
        found = {}
        for number, name in enumerate(("one", "two")):
            rng = np.random.default_rng(number)
            found[name] = TaskData(
                *(
                    Split(
                        rng.integers(0, 256, (size, 3, 16, 16), dtype=np.uint8),
                        rng.integers(0, 3, size),
                    )
                    for size in SIZES
                )
            )
        return {name: found[name] for name in names}

    encoder = partial(ResNet, BasicBlock, (1, 1))
    return _setting([_task("one"), _task("two")], load, encoder, batch_norm=True)


def scenes() -> Setting:
    """Classes and depths of every pixel, and a number of each image, all on the same images."""
    tasks = [
        replace(_task("regions"), metric="mean_iou"),
        replace(_task("depth"), classes=1, loss="absolute_error", metric="absolute_error"),
    ]

    def load(names: Sequence[str]) -> dict[str, TaskData]:
        rng = np.random.default_rng(7)
        splits: dict[str, list[Split]] = {task.name: [] for task in tasks}
        for size in SIZES:
            inputs = rng.integers(0, 256, (size, 3, 16, 16), dtype=np.uint8)
            regions = rng.integers(-1, 3, (size, 16, 16))
            depth = rng.normal(size=(size, 16, 16)).astype(np.float32)
            depth[rng.random(depth.shape) < 0.2] = np.nan
            splits["regions"].append(Split(inputs, regions))
            splits["depth"].append(Split(inputs, depth))
        return {name: TaskData(*splits[name]) for name in names}

    return _setting(tasks, load, _Pixels, head=_pixel_head, one_input=True, batch_norm=True)


def vectors() -> Setting:
    """A regression and a classification on vectors."""
    tasks = [
        replace(_task("number"), classes=1, loss="squared_error", metric="pearson"),
        replace(_task("sign"), classes=2, metric="matthews"),
    ]

    def load(names: Sequence[str]) -> dict[str, TaskData]:
        found = {}
        for number, name in enumerate(("number", "sign")):
            rng = np.random.default_rng(number)
            splits = []
            for size in SIZES:
                inputs = rng.normal(size=(size, 5)).astype(np.float32)
                true = inputs @ np.arange(5, dtype=np.float32)
                targets: Any = true if name == "number" else (true > 0).astype(np.int64)
                splits.append(Split(inputs, targets))
            found[name] = TaskData(*splits)
        return {name: found[name] for name in names}

    return _setting(tasks, load, _Vectors)


def texts() -> Setting:
    """A classification and a regression on tokens, padded with 0 to 30, of tasks unlike in length.

    A twelfth of the texts are long. There are enough of them for sharpness.
    """
    tasks = [
        replace(_task("kind"), train_size=150, metric="matthews"),
        replace(_task("score"), train_size=150, classes=1, loss="squared_error", metric="pearson"),
    ]

    def load(names: Sequence[str]) -> dict[str, TaskData]:
        found = {}
        for number, name in enumerate(("kind", "score")):
            rng = np.random.default_rng(number)
            splits = []
            for size in (150, *SIZES[1:]):
                usual = rng.integers(1, 8 if name == "kind" else 16, size)
                lengths = np.where(rng.random(size) < 0.08, rng.integers(16, 31, size), usual)
                tokens = rng.integers(1, 40, (size, 30))
                inputs = np.where(np.arange(30) < lengths[:, None], tokens, 0)
                first = inputs[:, 0]
                score = (first / 40).astype(np.float32)
                splits.append(Split(inputs, first % 3 if name == "kind" else score))
            found[name] = TaskData(*splits)
        return {name: found[name] for name in names}

    return _setting(tasks, load, _Texts)


class _Texts(nn.Module):
    """The mean over a text's tokens of what each is beside all of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 4)
        self.mix = nn.Linear(4, width)
        self.features = width

    def lengths(self, tokens: Tensor) -> Tensor:
        return (tokens != 0).sum(dim=-1)

    def forward(self, tokens: Tensor) -> Tensor:
        real = (tokens != 0).unsqueeze(-1)
        words = self.words(tokens) * real
        mean = words.sum(dim=-2, keepdim=True) / real.sum(dim=-2, keepdim=True)
        each = torch.tanh(self.mix(words + mean)) * real
        return each.sum(dim=-2) / real.sum(dim=-2)


class _Vectors(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(5, width), nn.Tanh())
        self.features = width


class _Pixels(nn.Sequential):
    def __init__(self, width: int) -> None:
        from mtl_core.networks.pixels import Normalise

        layers = [nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
        super().__init__(Normalise(), *layers)
        converted(self)
        self.features = width


def _pixel_head(features: int, task: Task) -> nn.Module:
    return converted(
        nn.Sequential(
            nn.Conv2d(features, 4, 1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, task.classes, 1),
            nn.Upsample(scale_factor=2, mode="bilinear"),
        )
    )


def _task(name: str) -> Task:
    return Task(name, name, 3, *SIZES)


def _setting(tasks: list[Task], load: Any, encoder: Any, **more: Any) -> Setting:
    return Setting(
        name="tiny",
        title="Tiny",
        description="",
        tasks=tuple(tasks),
        default_target=tasks[0].name,
        presets={"quick": Preset(epochs=2, batch_size=8, lr=1e-2, width=2)},
        load=load,
        encoder=encoder,
        parameters=lambda width: 0,
        data_state=lambda: DataState("found", "random"),
        **more,
    )


def register(monkeypatch: Any, setting: Setting) -> Setting:
    """Let RunConfig know it for one test."""
    from mtl_core.training import replicas

    replicas._resident.cache_clear()
    monkeypatch.setitem(settings._SETTINGS, setting.name, setting)
    return setting
