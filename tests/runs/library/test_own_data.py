"""Runs on own data: they go to another machine without it, which can name and show them."""

import io
import json
from pathlib import Path

import pytest

from mtl_core import InputError, RunConfig, settings
from mtl_core.data import stored
from mtl_core.runs import Answers, Store
from mtl_core.runs.kinds import KINDS
from mtl_core.runs.library import artifacts, exchange, folders
from mtl_core.runs.library.answers import other_data
from mtl_core.views.what_if import Question
from tests import owned


@pytest.fixture
def parcel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunConfig, Path]:
    """A run on own data, and the folder of its artifact, before the machine changes."""
    monkeypatch.setattr(stored, "_carried", {})
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "here"))
    name = owned.store()
    config = RunConfig.from_preset(name, "quick", epochs=1, factors=(), seeds=(0,))
    pieces = list(KINDS["training"].carry_out(config, "cpu", None, {}))
    made = artifacts.provenance(config, "cpu")
    folder = artifacts.write(tmp_path / "run", artifacts.collected(config, pieces, made, 1.0))
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "there"))
    artifacts._read.cache_clear()
    return config, folder


def test_a_run_is_imported_where_its_data_is_not(parcel: tuple[RunConfig, Path]) -> None:
    config, folder = parcel
    with pytest.raises(InputError, match=r"^nothing is known here of the own data"):
        settings.get(config.setting)
    (received,) = exchange.receive_path(folder, Answers(Store(), {}, {}))
    assert received.run == config.id
    assert stored.names() == [config.setting], "for other processes, and the pages' choices"
    setting = settings.get(config.setting)
    assert setting.title == "Mine"
    assert setting.data_state().state == "missing"
    answers = Answers(Store(), {}, exchange.imported()[0])
    answer = answers.find(config)
    assert answer.done == (0,)
    assert other_data(answer) is None
    question, problems = Question.from_query({"setting": config.setting, "target": "kind"})
    assert question is not None
    assert (question.setting, question.target, problems) == (config.setting, "kind", [])
    # And from there to a third one.
    (again,) = exchange.receive_zip(io.BytesIO(exchange.pack([answer], answers)), "z", answers)
    assert again.seeds == ()


def test_the_data_is_not_in_what_goes_out(parcel: tuple[RunConfig, Path]) -> None:
    _, folder = parcel
    manifest = folders.manifest(folder)
    assert manifest["own"]["title"] == "Mine"
    assert "here" not in json.dumps(manifest["own"])
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "trajectory.parquet"]


def test_a_description_of_something_else_does_not_name_it(
    parcel: tuple[RunConfig, Path],
) -> None:
    _, folder = parcel
    manifest = folders.manifest(folder)
    manifest["own"]["sizes"][2] += 1
    manifest["blake2b"] = folders.manifest_digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="nothing is known here of the own data"):
        exchange.receive_path(folder, Answers(Store(), {}, {}))
    assert stored.names() == []


@pytest.mark.parametrize("own", [None, [], "x", {"version": 1}, {"title": "![x](y)"}])
def test_a_description_that_is_none_is_refused_in_one_line(
    parcel: tuple[RunConfig, Path], own: object
) -> None:
    _, folder = parcel
    manifest = folders.manifest(folder)
    manifest["own"] = own
    manifest["blake2b"] = folders.manifest_digest(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="the description of own data is not one; export it anew"):
        exchange.receive_path(folder, Answers(Store(), {}, {}))


def test_the_same_table_there_makes_it_whole(parcel: tuple[RunConfig, Path]) -> None:
    config, folder = parcel
    exchange.receive_path(folder, Answers(Store(), {}, {}))
    assert owned.store(title="Theirs") == config.setting
    answers = Answers(Store(), {}, exchange.imported()[0])
    assert settings.get(config.setting).data_state().state == "found"
    assert other_data(answers.find(config)) is None, "the fingerprints agree"
