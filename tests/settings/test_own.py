"""Own data as a setting: trained to what its construction allows, and named where it is absent."""

import math
from pathlib import Path

import numpy as np
import pytest

from mtl_core import DataMissing, InputError, RunConfig, settings, train
from mtl_core.data import stored
from mtl_core.runs.kinds import KINDS
from tests import owned


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where own data is stored."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(stored, "_carried", {})
    return tmp_path / "own"


def test_it_comes_after_the_settings_that_ship_and_is_consistent() -> None:
    shipped = settings.names()
    name = owned.store()
    assert settings.names() == [*shipped, name]
    setting = settings.get(name)
    assert (setting.name, setting.title) == (name, "Mine")
    assert [task.name for task in setting.tasks] == ["y", "kind"]
    assert [task.metric for task in setting.tasks] == ["pearson", "accuracy"]
    assert [task.loss for task in setting.tasks] == ["squared_error", "cross_entropy"]
    assert setting.default_target == "y"
    assert setting.data_state().state == "found"
    assert set(setting.presets) == {"quick", "standard", "paper"}
    for preset in setting.presets:
        for target in ("y", "kind"):
            assert RunConfig.from_preset(name, preset, target=target).steps > 100


@pytest.mark.parametrize("rows", [20, 60, 40_000])
def test_presets_fit_any_number_of_rows(rows: int) -> None:
    name = owned.store(owned.frame(rows))
    for preset in ("quick", "standard", "paper"):
        config = RunConfig.from_preset(name, preset, auxiliaries=("kind",))
        assert config.batch_size <= config.train_size
        assert 20 <= config.steps <= 100_000


@pytest.mark.parametrize("network", ["mlp", "cnn", "resnet18"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_take_any_network(network: str, channels: int) -> None:
    setting = settings.get(owned.store_images(network, channels))
    data = setting.load(["bright"])["bright"]
    encoder = setting.encoder(4)
    import torch

    features = encoder(torch.from_numpy(data.train.inputs[:5]))
    assert features.shape == (5, encoder.features)
    count = sum(parameter.numel() for parameter in encoder.parameters())
    assert setting.parameters(4) == pytest.approx(count, rel=0.02)


def test_a_linear_toy_is_learned_to_its_closed_form() -> None:
    """Pearson's correlation √(2 / (2 + σ²)) of a + b + noise, and the accuracy of the best rule for
    the sign of a - b + noise, 1 - arccos(that) / π."""
    name = owned.store(owned.frame(3_000))
    config = RunConfig.from_preset(
        name, "quick", auxiliaries=("kind",), factors=(), seeds=(0,), held_out=None
    )
    rows = [row for checkpoint in train(config, device="cpu") for row in checkpoint.rows]
    last = {row["task"]: row["test_metric"] for row in rows if row["step"] == config.steps}
    correlation = math.sqrt(2 / (2 + owned.NOISE**2))
    assert last["y"] == pytest.approx(correlation, abs=0.02)
    assert last["kind"] == pytest.approx(1 - math.acos(correlation) / math.pi, abs=0.05)
    # And what least squares reach on these very rows.
    data = settings.get(name).load(["y"])["y"]
    x, y = data.train.inputs, data.train.targets
    weights = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y)[0]
    fitted = np.c_[data.test.inputs, np.ones(len(data.test.inputs))] @ weights
    best = np.corrcoef(fitted, data.test.targets)[0, 1]
    assert last["y"] == pytest.approx(best, abs=0.01)


def test_absent_data_has_a_name_and_says_so(folder: Path) -> None:
    name = owned.store()
    config = RunConfig.from_preset(name, "quick")
    (folder / f"{name}.npz").unlink()
    state = settings.get(name).data_state()
    assert state.state == "missing"
    assert str(folder) not in state.message, "no path of this machine"
    assert RunConfig.from_dict(config.to_dict()) == config
    with pytest.raises(DataMissing, match=f"^the data of {name} is not on this machine; add the"):
        KINDS["training"].fingerprint(config)


def test_unknown_own_data_says_where_to_bring_it_from() -> None:
    with pytest.raises(InputError) as caught:
        settings.get("own-1a2b3c4d5e")
    assert str(caught.value) == (
        "nothing is known here of the own data 'own-1a2b3c4d5e'; add the table that it was made of "
        "(Library, Add data), or import runs on it"
    )
    with pytest.raises(InputError, match=r"^unknown setting 'own-\.\./x'; one of: digits, "):
        settings.get("own-../x")


def test_words_of_columns_are_no_markup() -> None:
    table = owned.frame().rename(columns={"y": "[y](http://x.yz) $a$ <b> `c` www.x.yz"})
    table["same [x](y)"] = 1
    labels = (table.columns[3], "kind")
    setting = settings.get(owned.store(table, *labels, title="# [T](http://x) *b* :red[x]"))
    for text in (setting.title, setting.description, *(task.title for task in setting.tasks)):
        assert not {*"[]`$<>*"} & {*text}
        assert "://" not in text
        assert "www." not in text
    assert "Column 'same (x)(y)' is the same in all rows" in setting.description
