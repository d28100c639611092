"""Every setting trains: preset quick, on real data where it can be had, on its layout elsewhere.

For two epochs, and with factors measured twice, in few steps and on few examples: most of a
preset's time is theirs, and tests/factors holds their values.
"""

import math
from pathlib import Path
from typing import Any

import pytest

from mtl_core import RunConfig, settings, train
from mtl_core.networks.batch_norm import has_batch_norm
from mtl_core.runs.library import artifacts
from mtl_core.settings.base import METRIC_RANGES
from mtl_core.training import Checkpoint, replicas
from mtl_core.training.meter import protocol
from mtl_core.trajectory import FACTORS
from tests.settings.layouts import write_celeba, write_cityscapes


def quick(setting: str, *auxiliaries: str, **changes: Any) -> tuple[RunConfig, list[Checkpoint]]:
    replicas._resident.cache_clear()
    shorter = {"seeds": (0,), "auxiliaries": auxiliaries, "epochs": 2}
    shorter |= {"factor_examples": 64, "factor_points": 2, "apgd_steps": 3}
    config = RunConfig.from_preset(setting, "quick", **(shorter | changes))
    return config, list(train(config, device="cpu"))


def check(config: RunConfig, checkpoints: list[Checkpoint], *, learns: bool) -> None:
    """Every task is measured within its metric's range, all factors at the end, and it learns."""
    rows = [row for checkpoint in checkpoints for row in checkpoint.rows]
    setting = settings.get(config.setting)
    for task in map(setting.task, config.tasks):
        own = [row for row in rows if row["task"] == task.name]
        low, high = METRIC_RANGES[task.metric]
        assert own[-1]["step"] == config.steps
        for row in own:
            assert math.isfinite(row["train_loss"])
            assert low <= row["val_metric"] <= high
            assert low <= row["test_metric"] <= high
        if learns:
            assert own[-1]["train_loss"] < 0.9 * own[0]["train_loss"]
    last = next(row for row in reversed(rows) if row["task"] == config.target)
    notes = " ".join(note for checkpoint in checkpoints for note in checkpoint.notes)
    for factor in FACTORS:
        value = last[factor]
        assert value is not None or factor in notes
        assert value is None or value >= (-1 if factor == "gradient_similarity" else 0)
    if config.auxiliaries:
        assert last["gradient_similarity"] < 1  # type: ignore[operator]
    text = protocol(config)["fisher_trace"]
    assert ("BatchNorm by the task's population statistics" in text) is setting.batch_norm
    assert len(artifacts.provenance(config, "cpu")["data_fingerprint"]) == 16


def accuracy(checkpoints: list[Checkpoint], task: str) -> float:
    """A task's on its test examples, in the end."""
    rows = [row for checkpoint in checkpoints for row in checkpoint.rows if row["task"] == task]
    return rows[-1]["test_metric"]


@pytest.mark.parametrize(
    ("setting", "auxiliary"),
    [("digits", "digits2"), ("synthetic", "cos50_noise20")],
)
def test_what_is_always_there(setting: str, auxiliary: str) -> None:
    check(*quick(setting, auxiliary, epochs=4), learns=True)


def test_fashion_on_real_images(fashion_data: Path) -> None:
    check(*quick("fashion", "fashion2"), learns=True)


def test_mnists_on_real_images(mnists_data: Path) -> None:
    config, points = quick("mnists", "fashion_mnist", "notmnist")
    check(config, points, learns=True)
    assert accuracy(points, "mnist") > 0.8


def test_cifar100_on_real_images(cifar100_data: Path) -> None:
    config, points = quick("cifar100", "flowers")
    check(config, points, learns=True)
    assert accuracy(points, config.target) > 0.3, "chance is 0.2"


def test_celeba_on_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_celeba(tmp_path, (64, 16, 16))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    small = {"samples": 64, "held_out": 16, "batch_size": 16}
    config, points = quick("celeba", "blurry", "eyeglasses", "gray_hair", **small)
    check(config, points, learns=False)
    assert config.target == "double_chin"


def test_cityscapes_on_its_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random blocks: the mean of the disparities is learned, what they show is not."""
    write_cityscapes(tmp_path, (16, 4, 4))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    small: dict[str, Any] = {"samples": 16, "held_out": 4, "factor_examples": 16}
    small |= {"factor_points": 1, "early_checkpoints": 0}
    config, points = quick("cityscapes", "depth", target="segmentation", **small)
    check(config, points, learns=False)
    small |= {"epochs": 1, "factors": ("fisher_trace",)}
    config, points = quick("cityscapes", target="depth", **small)
    (note,) = {note for point in points for note in point.notes}
    assert note.startswith("fisher_trace of depth: the empirical Fisher")
    rows = [row for point in points for row in point.rows]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]


def test_glue_on_real_tables_with_the_packaged_encoder(glue_by_pip: Path) -> None:
    """How alike two sentences are, a regression, with paraphrases along with it; nothing copied."""
    small: dict[str, Any] = {
        "samples": 32,
        "held_out": 8,
        "batch_size": 8,
        "epochs": 1,
        "early_checkpoints": 0,
        "factor_examples": 32,
        "factor_points": 1,
        "similarity_batches": 1,
    }
    config, points = quick("glue", "mrpc", target="stsb", **small)
    check(config, points, learns=False)
    own = [row["train_loss"] for point in points for row in point.rows if row["task"] == "stsb"]
    assert own[-1] < 0.5 * own[0]
    assert "all-MiniLM-L6-v2" in protocol(config)["fisher_trace"]


@pytest.mark.parametrize("name", [name for name in settings.names() if name != "glue"])
def test_a_setting_says_whether_it_has_batch_norm(name: str) -> None:
    setting = settings.get(name)
    assert has_batch_norm(setting.encoder(2)) is setting.batch_norm
