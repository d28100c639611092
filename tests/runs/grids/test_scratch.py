"""Scratch: a finished replica comes back whole, or not at all."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.errors import DataMissing, InputError
from mtl_core.runs.grids.replica import Replica, train_replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.library import artifacts

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def config(make_config: Make) -> RunConfig:
    """One whose replicas have rows, both side tables and a note."""
    factors = ("sharpness", "fisher_trace", "gradient_similarity")
    return make_config(optimizer="mgda", factors=factors, seeds=(3, 5))


@pytest.fixture(scope="module")
def replica(config: RunConfig) -> Replica:
    return train_replica(config.to_dict(), 3)


@pytest.fixture
def scratch(tmp_path: Path) -> Any:
    scratch = Scratch(tmp_path)
    with scratch.locked():
        yield scratch


def test_a_replica_comes_back_as_it_was(
    scratch: Scratch, config: RunConfig, replica: Replica
) -> None:
    first, last = replica.checkpoints[0], replica.checkpoints[-1]
    assert first.rows[0]["fisher_trace"] is None
    assert last.cosines
    assert last.updates
    assert last.notes
    odd = replace(last, rows=({**last.rows[0], "train_loss": 0.1 + 0.2, "seconds": 1e-300},))
    changed = replace(replica, checkpoints=(*replica.checkpoints, odd))
    scratch.keep(config, changed)
    assert scratch.find(config) == ({3: changed}, [])
    scratch.forget(config.id)
    assert scratch.find(config) == ({}, [])


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[str], str]:
    """A file whose body has been edited by someone who cannot compute its hash."""

    def edit(text: str) -> str:
        head, body = text.splitlines()
        content = json.loads(body)
        change(content)
        return f"{head}\n{json.dumps(content)}\n"

    return edit


DAMAGE: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda text: "", "cannot be read (not enough values to unpack"),
    "cut": (lambda text: text[:-2], "is damaged, or of another version"),
    "no body": (lambda text: text.splitlines()[0], "cannot be read (not enough values to unpack"),
    "not JSON": (lambda text: "x\ny\n", "cannot be read (Expecting value"),
    "another number": (
        edited(lambda content: content.update(seconds=0.5)),
        "is damaged, or of another version",
    ),
    "another version": (
        lambda text: text.replace('"version": 1', '"version": 2', 1),
        "is damaged, or of another version",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_refused(
    tmp_path: Path, scratch: Scratch, config: RunConfig, replica: Replica, damage: str
) -> None:
    scratch.keep(config, replica)
    (path,) = (tmp_path / ".unfinished").glob("*.json")
    spoil, reason = DAMAGE[damage]
    path.write_text(spoil(path.read_text()))
    found, (problem,) = scratch.find(config)
    assert found == {}
    assert problem.startswith(f"{config.id}-3.json: {reason}")


def test_bytes_that_are_no_text_are_refused(
    tmp_path: Path, scratch: Scratch, config: RunConfig
) -> None:
    (tmp_path / ".unfinished" / f"{config.id}-3.json").write_bytes(b"\xff\xfe\n\x00")
    (tmp_path / ".unfinished" / f"{config.id}-5.json").mkdir()
    found, problems = scratch.find(config)
    assert (found, len(problems)) == ({}, 2)


def test_a_replica_under_another_name_is_refused(
    tmp_path: Path, scratch: Scratch, config: RunConfig, replica: Replica
) -> None:
    scratch.keep(config, replica)
    folder = tmp_path / ".unfinished"
    (folder / f"{config.id}-3.json").rename(folder / f"{config.id}-5.json")
    reason = f"{config.id}-5.json: is seed 3 of {config.id}"
    assert scratch.find(config) == ({}, [reason])
    other = replace(config, epochs=1)
    (folder / f"{config.id}-5.json").rename(folder / f"{other.id}-3.json")
    assert scratch.find(other) == ({}, [f"{other.id}-3.json: is seed 3 of {config.id}"])


def test_what_was_trained_elsewhere_is_refused(
    scratch: Scratch, config: RunConfig, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.keep(config, replica)
    versions = artifacts.versions()
    name = f"{config.id}-3.json"

    monkeypatch.setattr(artifacts, "versions", lambda: {**versions, "torch": "9.9"})
    reason = f"{name}: was trained with torch {versions['torch']}, and here is 9.9"
    assert scratch.find(config) == ({}, [reason])
    monkeypatch.setattr(artifacts, "versions", lambda: versions)

    here = artifacts.data_fingerprint(config)
    monkeypatch.setattr(artifacts, "data_fingerprint", lambda config: "0123")
    assert scratch.find(config) == ({}, [f"{name}: was trained on other data, {here!r}"])

    def gone(config: RunConfig) -> str:
        raise DataMissing("put it there")

    monkeypatch.setattr(artifacts, "data_fingerprint", gone)
    reason = f"{name}: was trained on data that is not here (put it there)"
    assert scratch.find(config) == ({}, [reason])


def test_one_process_at_a_time_and_no_empty_folder_is_left(
    tmp_path: Path, config: RunConfig, replica: Replica
) -> None:
    scratch = Scratch(tmp_path)
    with scratch.locked():
        (tmp_path / ".unfinished" / "x.part").write_text("left by a kill")
        with pytest.raises(InputError, match="another precompute is writing to"):
            Scratch(tmp_path).locked().__enter__()
        scratch.keep(config, replica)
    with scratch.locked():
        assert sorted(path.name for path in (tmp_path / ".unfinished").iterdir()) == [
            f"{config.id}-3.json",
            "lock",
        ]
        scratch.forget(config.id)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_locked_or_written_is_named(
    tmp_path: Path, config: RunConfig, replica: Replica
) -> None:
    (tmp_path / ".unfinished").write_text("a file")
    scratch = Scratch(tmp_path)
    with pytest.raises(InputError, match=r"cannot lock .*; choose another folder"):
        scratch.locked().__enter__()
    with pytest.raises(InputError, match=r"cannot write .*; choose another folder"):
        scratch.keep(config, replica)
