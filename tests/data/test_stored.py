"""Stored data: names that prove themselves, and what is done about damage and absence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core import DataMissing, InputError
from mtl_core.data import stored
from mtl_core.data.stored import Described
from tests import owned


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where own data is stored."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(stored, "_carried", {})
    return tmp_path / "own"


def test_what_is_stored_is_listed_by_title_and_found(folder: Path) -> None:
    assert stored.names() == []
    one, two = owned.store(title="Zebra"), owned.store(owned.frame(seed=1), title="ant")
    assert stored.names() == [two, one]
    found = stored.find(one)
    assert found is not None
    assert (found.name, found.title) == (one, "Zebra")
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        f"{name}.{end}" for name in (one, two) for end in ("json", "npz")
    )


def test_parts_of_the_split_are_views_of_one_array_and_tasks_share_inputs(folder: Path) -> None:
    data = stored.load(owned.store())
    assert list(data) == ["y", "kind"]
    assert data["y"].train.inputs is data["kind"].train.inputs
    assert [len(part.targets) for part in data["kind"]] == [210, 45, 45]
    assert data["kind"].train.targets.dtype == np.int64
    assert data["y"].train.targets.dtype == np.float32


def test_the_same_table_twice_is_one_and_takes_the_newer_title_of_its_owner(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = owned.store(title="old")
    before = (folder / f"{one}.npz").stat().st_mtime_ns
    assert owned.store(title="new") == one
    assert stored.names() == [one]
    assert stored.find(one).title == "new"  # type: ignore[union-attr]
    assert (folder / f"{one}.npz").stat().st_mtime_ns == before
    monkeypatch.setenv("MTL_SHARED", "1")
    assert owned.store(title="a stranger's") == one
    assert stored.find(one).title == "new"  # type: ignore[union-attr]


def test_a_description_that_came_with_runs_is_known_and_its_data_absent(folder: Path) -> None:
    name = owned.store()
    values = stored.carried(name)
    assert "Mine" in json.dumps(values)
    for file in folder.iterdir():
        file.unlink()
    assert stored.find(name) is None
    stored.learn(values)
    assert stored.find(name) is not None
    assert stored.names() == [], "of this process only"
    stored.settle(values)
    assert stored.names() == [name]
    with pytest.raises(DataMissing, match="is not on this machine; add the table"):
        stored.load(name)
    assert owned.store() == name, "the same table again is the same data"
    assert len(stored.load(name)["y"].train.targets) == 210


def test_nobody_can_describe_what_has_another_name(folder: Path) -> None:
    name = owned.store()
    file = folder / f"{name}.json"
    values = json.loads(file.read_text())
    values["sizes"][0] += 1
    file.write_text(json.dumps(values))
    stored._listed.cache_clear()
    assert stored.find(name) is None
    stored.learn(values)
    assert stored.find(name) is None, "it is known under the name that its hash gives"


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2}, {"labels": []}, {"labels": [{"name": "../x", "title": "x", "classes": 2}]},
        {"shape": [3, 3]}, {"sizes": [0, 1, 1]}, {"network": "pickle"}, {"digest": "x"},
        {"title": "![x](http://x)"}, {"inputs": ["a\nb"]}, {"notes": ["x"] * 51}, {"filled": 1},
        {"network": "cnn"}, {"labels": [{"name": "x", "title": "x", "classes": 10**9}]},
        {"labels": [{"name": "x", "title": "x", "classes": 2}] * 2},
    ],
)  # fmt: skip
def test_a_description_from_anywhere_is_checked(folder: Path, change: dict[str, Any]) -> None:
    values = stored.carried(owned.store())
    assert values is not None
    assert Described.from_dict(values).to_dict() == values
    with pytest.raises(InputError):
        Described.from_dict({**values, **change})
    for nonsense in (None, [], "x", {}, {"version": 1}):
        with pytest.raises(InputError):
            Described.from_dict(nonsense)


def test_damaged_data_says_what_to_do(folder: Path) -> None:
    name = owned.store()
    file = folder / f"{name}.npz"
    with np.load(file) as archive:
        arrays = dict(archive)
    arrays["x"][0, 0] += 1
    np.savez(file, **arrays)
    with pytest.raises(InputError, match=rf"^own data {name} is damaged; remove {name}\.npz from"):
        stored.load(name)
    file.write_bytes(b"PK")
    with pytest.raises(InputError, match="is damaged"):
        stored.load(name)


def test_names_are_hashes_and_lead_nowhere_else(folder: Path) -> None:
    for text in ("own-", "own-../../etc", "own-1a2b3c4d5", "own-1A2B3C4D5E", "own-1a2b3c4d5e/x", 3):
        assert not stored.is_name(text)
    assert stored.is_name("own-1a2b3c4d5e")
    assert stored.find("own-1a2b3c4d5e") is None
    assert stored.carried("own-1a2b3c4d5e") is None


def test_there_is_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owned.store()
    monkeypatch.setattr(stored, "_MOST_KEPT", 1)
    owned.store()
    with pytest.raises(InputError, match=r"^1 sets of own data are kept already; remove some"):
        owned.store(owned.frame(seed=1))


def test_title_and_notes_are_no_part_of_the_name(folder: Path) -> None:
    described = stored.find(owned.store())
    assert described is not None
    assert replace(described, title="x", notes=("y",)).name == described.name
    assert replace(described, group="c").name != described.name
