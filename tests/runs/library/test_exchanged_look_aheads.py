"""Look-aheads go out with the runs that they foretell, and come in as they were."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.runs import Answers
from mtl_core.runs.library import exchange, folders, look_aheads
from mtl_core.runs.library.artifacts import Artifact
from mtl_core.runs.library.look_aheads import JointRun
from mtl_core.training.looks import LookAhead, looks
from tests.hostile import AHEAD
from tests.runs.library.receiving import receive, refused
from tests.runs.library.tampering import files_of

Make = Callable[..., Any]
MADE = {
    "created": "2026-01-02T03:04:05Z",
    "device": "cpu",
    "versions": {"torch": "2.0"},
    "duration_seconds": 1.5,
    "command": "python -m mtl_core foretell",
}


@pytest.fixture
def run(ship: Make, make_config: Make) -> Artifact:
    """A training of digits1 with digits2."""
    shipped: Artifact = ship(make_config(seeds=(0, 1)))
    return shipped


@pytest.fixture
def joint(make_config: Make) -> JointRun:
    """A look-ahead over both candidates, with values that no short decimal has."""
    config = make_config(auxiliaries=("digits2", "noisy_digits"))
    epochs = {"digits1": (0.1, 1 / 3), "digits2": (-0.5, 1e-9), "noisy_digits": (2e300, -1 / 7)}
    return JointRun(config, LookAhead(epochs, looks(config)), MADE)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As if on another machine: nothing is beside its store."""
    return lambda: monkeypatch.setenv("MTL_STORE", str(tmp_path / "there" / "runs.db"))


def packed(run: Artifact) -> bytes:
    there = Answers(None, {run.config.id: run})
    content = exchange.pack([there.find(run.config)], there)
    assert content == exchange.pack([there.find(run.config)], there), "the same every time"
    return content


def names(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [name for name in archive.namelist() if name.startswith("look_ahead/")]


def test_it_comes_in_as_it_went_out(
    run: Artifact, joint: JointRun, elsewhere: Callable[[], None]
) -> None:
    before = look_aheads.write(joint).read_text()
    content = packed(run)
    assert names(content) == [f"look_ahead/digits/digits1--{joint.config.id}-0.json"]
    elsewhere()
    assert look_aheads.find(joint.config) is None
    (received,) = receive(content)
    assert (received.run, received.seeds, received.foretold) == (run.config.id, (0, 1), True)
    there = look_aheads.path_in(look_aheads.own_dir(), joint.config)
    assert look_aheads.read(there) == joint
    assert there.read_text() == before
    # And once more: what is here stays.
    there.touch()
    stamp = there.stat().st_mtime_ns
    assert [one.foretold for one in receive(content)] == [False]
    assert there.stat().st_mtime_ns == stamp
    # From there it goes to a third one.
    answers = Answers(None, {}, exchange.imported()[0])
    assert names(exchange.pack([answers.find(run.config)], answers)) == names(content)


def test_one_on_this_data_is_found_then(
    run: Artifact, joint: JointRun, elsewhere: Callable[[], None]
) -> None:
    from mtl_core.runs import kinds

    here = kinds.of(joint.config).fingerprint(joint.config)
    known = replace(joint, made=MADE | {"data_fingerprint": here})
    look_aheads.write(known)
    content = packed(run)
    elsewhere()
    receive(content)
    assert look_aheads.find(joint.config) == known


def test_only_those_go_that_foretell_what_goes(
    run: Artifact, joint: JointRun, make_config: Make
) -> None:
    def write(**changes: Any) -> None:
        config: RunConfig = make_config(**changes)
        means = dict.fromkeys(config.tasks, (0.5,) * config.epochs)
        look_aheads.write(JointRun(config, LookAhead(means, looks(config)), MADE))

    write(auxiliaries=("noisy_digits",))
    write(target="digits2", auxiliaries=("digits1",))
    damaged = look_aheads.write(joint)
    damaged.write_text(damaged.read_text().replace("0.1,", "0.2,"))
    assert names(packed(run)) == []


def test_one_that_is_damaged_here_makes_way(
    run: Artifact, joint: JointRun, elsewhere: Callable[[], None]
) -> None:
    look_aheads.write(joint)
    content = packed(run)
    elsewhere()
    look_aheads.write(joint).write_text("{")
    assert [one.foretold for one in receive(content)] == [True]
    assert look_aheads.read(look_aheads.path_in(look_aheads.own_dir(), joint.config)) == joint


def test_a_folder_that_was_unpacked_brings_it_too(
    run: Artifact, joint: JointRun, elsewhere: Callable[[], None], tmp_path: Path
) -> None:
    look_aheads.write(joint)
    with zipfile.ZipFile(io.BytesIO(packed(run))) as archive:
        archive.extractall(tmp_path / "unpacked")
    elsewhere()
    (received,) = exchange.receive_path(tmp_path / "unpacked", Answers(None, {}))
    assert received.foretold
    assert look_aheads.read(look_aheads.path_in(look_aheads.own_dir(), joint.config)) == joint


@pytest.mark.parametrize("about", AHEAD)
def test_what_is_not_sound_is_refused_and_leaves_nothing(about: str, run: Artifact) -> None:
    files = files_of(run.folder)
    content = AHEAD[about](files, "trajectory.parquet")
    assert isinstance(content, bytes)
    refused(content)
    assert not look_aheads.own_dir().exists()


def test_no_flipped_bit_passes(
    run: Artifact, joint: JointRun, elsewhere: Callable[[], None]
) -> None:
    """In the file itself: of the zip file's own bytes, its checksums tell."""
    path = look_aheads.write(joint)
    whole = path.read_bytes()
    said = json.loads(whole)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        known = look_aheads._sound(path)
        # Only between the values is a space as good as another.
        assert known is None or known.to_dict() == said, place
    assert folders.manifest_digest(said) == said["blake2b"]
