"""Look-aheads as files: written and read again, checked, and the shipped one recomputed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs import look_ahead as carried
from mtl_core.runs.library import folders, look_aheads
from mtl_core.runs.library.look_aheads import JointRun, read, write
from mtl_core.training.look_ahead import look_ahead
from mtl_core.training.looks import LookAhead, looks

SHIPPED = sorted(look_aheads.shipped_dir().glob("*/*.json"))


@pytest.fixture
def joint(make_config: Callable[..., RunConfig]) -> JointRun:
    config = make_config()
    found = LookAhead({"digits1": (0.1, 1 / 3), "digits2": (-0.5, 1e-9)}, looks(config))
    return JointRun(config, found, {"device": "cpu", "data_fingerprint": "0123"})


def test_it_is_read_as_it_was_written(tmp_path: Path, joint: JointRun) -> None:
    path = write(joint, tmp_path)
    assert path == tmp_path / "digits" / f"digits1--{joint.config.id}-0.json"
    assert [*path.parent.iterdir()] == [path]
    again = read(path)
    assert again == joint
    assert again.config.seeds == (0,)
    assert again.found.affinity["digits2"] == pytest.approx((-0.5 * 4 + 1e-9 * 4) / 8)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "version 2 is not 1"),
        ({"id": "0123"}, "is not that of its config"),
        ({"looks": [4, 3]}, "its looks are not those of its run"),
        ({"affinity": {"digits1": [0.1, 0.2]}}, "its tasks are not those of its run"),
        ({"affinity": {"digits1": [0.1, 0.2], "digits2": [0.1]}}, "'digits2' is not a number"),
        (
            {"affinity": {"digits1": [0.1, 0.2], "digits2": [0.1, float("nan")]}},
            "'digits2' is not a number",
        ),
        ({"affinity": {"digits1": [0.1, 0.2], "digits2": [0.1, 0.3]}}, "by its hash"),
        ({"made": {}}, "by its hash"),
        ({"seed": -1}, "seed"),
        ({"affinity": 3}, "cannot be read"),
    ],
)
def test_what_was_changed_is_named(
    tmp_path: Path, joint: JointRun, change: dict[str, Any], reason: str
) -> None:
    path = write(joint, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=reason):
        read(path)


def test_one_that_is_damaged_is_not_known_and_said_by_scan(
    tmp_path: Path, joint: JointRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    path = write(joint)
    path.write_text("{")
    assert look_aheads.find(joint.config) is None
    found, problems = look_aheads.scan()
    assert len(found) == len(SHIPPED)
    assert len(problems) == 1
    assert path.name in problems[0]


def test_one_ships() -> None:
    assert [path.parent.name for path in SHIPPED] == ["synthetic"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_what_its_run_finds(path: Path) -> None:
    """Machines round differently, and a run of Adam drifts: the first epochs agree closely."""
    known = read(path)
    assert folders.manifest_digest(known.to_dict()) == known.to_dict()["blake2b"]
    again = look_ahead(known.config)
    for task, means in known.found.epochs.items():
        assert again.epochs[task][0] == pytest.approx(means[0], rel=1e-2, abs=1e-8)


def test_a_process_of_its_own_keeps_what_it_finds(
    tmp_path: Path, make_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    config = make_config()
    assert carried.computing(config) is None
    assert carried.start(config, "me") is None
    assert carried.start(make_config(lr=0.5)) == (
        "a look-ahead is being computed; try again when it is there"
    )
    now = carried.computing(config)
    assert now is not None
    assert (now.running, now.starter, now.error) == (True, "me", None)
    process = carried._processes[carried._key(config)].handle
    assert process.wait(120) == 0
    done = carried.computing(config)
    assert done is not None
    assert (done.running, done.share) == (False, pytest.approx(7 / 8)), "before the last step"
    known = look_aheads.find(config)
    assert known is not None
    own = look_ahead(config).epochs
    assert known.found.epochs == {task: pytest.approx(means) for task, means in own.items()}
    assert known.made["data_fingerprint"]


def test_why_it_failed_is_told_and_a_stopped_one_leaves_nothing(
    tmp_path: Path, make_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "runs.db"))
    config = make_config(base_optimizer="sgd", lr=1e20)
    carried.start(config)
    carried._processes[carried._key(config)].handle.wait(120)
    failed = carried.computing(config)
    assert failed is not None
    assert not failed.running
    assert "choose another budget" in (failed.error or "")
    long = make_config(epochs=5_000)
    assert carried.start(long) is None
    carried.stop(long)
    carried._processes[carried._key(long)].handle.wait(120)
    assert carried.computing(long) is None
    assert look_aheads.find(long) is None
