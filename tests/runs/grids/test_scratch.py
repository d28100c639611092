"""Scratch: a finished replica comes back whole, or not at all."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.errors import DataMissing, InputError
from mtl_core.runs import kinds
from mtl_core.runs.grids import replica as replicas
from mtl_core.runs.grids.replica import Replica, train_replica
from mtl_core.runs.grids.scratch import Scratch
from mtl_core.runs.kinds import Columns, Piece
from mtl_core.runs.library import artifacts

Make = Callable[..., Any]


@pytest.fixture(scope="module", params=[*kinds.KINDS, "data"])
def config(request: pytest.FixtureRequest, make_config: Make, make_front: Make) -> Any:
    """One whose replicas have rows and all other tables; of training, a note too."""
    if request.param == "training":
        factors = ("sharpness", "fisher_trace", "gradient_similarity")
        return make_config(optimizer="mgda", factors=factors, seeds=(3, 5))
    return make_front("linnerud" if request.param == "data" else "toy", seeds=(3, 5))


@pytest.fixture(scope="module")
def replica(config: Any) -> Replica:
    return train_replica(config.kind, config.to_dict(), 3)


@pytest.fixture
def scratch(tmp_path: Path) -> Any:
    scratch = Scratch(tmp_path)
    with scratch.locked():
        yield scratch


def test_a_replica_comes_back_as_it_was(scratch: Scratch, config: Any, replica: Replica) -> None:
    kind = kinds.of(config)
    assert {name for piece in replica.pieces for name in piece.tables} == set(kind.tables)
    assert any(piece.notes for piece in replica.pieces) == (kind.name == "training")
    assert all(piece.state is None for piece in replica.pieces)
    changed = replace(replica, pieces=(*replica.pieces, odd(replica.pieces[-1], kind.main)))
    scratch.keep(changed)
    found, refused = scratch.find(config)
    assert (list(found), refused) == ([3], [])
    # As text, in which NaN is itself and -0.0 is not 0.0.
    assert repr(found[3]) == repr(changed)
    scratch.forget(config.id, [5])
    assert list(scratch.find(config)[0]) == [3]
    scratch.forget(config.id, config.seeds)
    assert scratch.find(config) == ({}, [])


def odd(piece: Piece, table: str) -> Piece:
    """A piece with numbers that no short decimal has, and with what was not measured."""
    columns: Columns = dict(piece.tables[table])
    count = columns[""]
    values = [0.1 + 0.2, -0.0, 5e-324, 1e-300, float("nan"), float("inf"), None]
    changes = {"train_loss": (values * count)[:count], "seconds": 2 / 3}
    return replace(piece, tables={**piece.tables, table: {**columns, **changes}})


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
        lambda text: text.replace('"version": 3', '"version": 2', 1),
        "is damaged, or of another version",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_refused(
    tmp_path: Path, scratch: Scratch, config: Any, replica: Replica, damage: str
) -> None:
    scratch.keep(replica)
    (path,) = (tmp_path / ".unfinished").glob("*.json")
    spoil, reason = DAMAGE[damage]
    before = path.read_text()
    path.write_text(spoil(before))
    assert path.read_text() != before
    found, (problem,) = scratch.find(config)
    assert found == {}
    assert problem.startswith(f"{config.id}-3.json: {reason}")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, scratch: Scratch, config: Any) -> None:
    (tmp_path / ".unfinished" / f"{config.id}-3.json").write_bytes(b"\xff\xfe\n\x00")
    (tmp_path / ".unfinished" / f"{config.id}-5.json").mkdir()
    found, problems = scratch.find(config)
    assert (found, len(problems)) == ({}, 2)


def test_a_replica_under_another_name_is_refused(
    tmp_path: Path, scratch: Scratch, config: Any, replica: Replica
) -> None:
    scratch.keep(replica)
    folder = tmp_path / ".unfinished"
    (folder / f"{config.id}-3.json").rename(folder / f"{config.id}-5.json")
    reason = f"{config.id}-5.json: is seed 3 of {config.id}"
    assert scratch.find(config) == ({}, [reason])
    other = replace(config, lr=0.5)
    (folder / f"{config.id}-5.json").rename(folder / f"{other.id}-3.json")
    assert scratch.find(other) == ({}, [f"{other.id}-3.json: is seed 3 of {config.id}"])


def test_what_was_trained_elsewhere_is_refused(
    scratch: Scratch,
    config: Any,
    replica: Replica,
    change: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scratch.keep(replica)
    versions = artifacts.versions()
    name = f"{config.id}-3.json"

    monkeypatch.setattr(artifacts, "versions", lambda: {**versions, "torch": "9.9"})
    reason = f"{name}: was trained with torch {versions['torch']}, and here is 9.9"
    assert scratch.find(config) == ({}, [reason])
    monkeypatch.setattr(artifacts, "versions", lambda: versions)

    here = kinds.of(config).fingerprint(config)
    change(config, fingerprint=lambda config: "0123")
    assert scratch.find(config) == ({}, [f"{name}: was trained on other data, {here!r}"])

    def gone(config: Any) -> str:
        raise DataMissing("put it there")

    change(config, fingerprint=gone)
    reason = f"{name}: was trained on data that is not here (put it there)"
    assert scratch.find(config) == ({}, [reason])


def test_one_process_at_a_time_and_no_empty_folder_is_left(
    tmp_path: Path, config: Any, replica: Replica
) -> None:
    scratch = Scratch(tmp_path)
    with scratch.locked():
        (tmp_path / ".unfinished" / "x.part").write_text("left by a kill")
        with pytest.raises(InputError, match="another process is writing to"):
            Scratch(tmp_path).locked().__enter__()
        scratch.keep(replica)
    with scratch.locked():
        assert sorted(path.name for path in (tmp_path / ".unfinished").iterdir()) == [
            f"{config.id}-3.json",
            "lock",
        ]
        scratch.forget(config.id, [3])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_locked_or_written_is_named(
    tmp_path: Path, replica: Replica
) -> None:
    (tmp_path / ".unfinished").write_text("a file")
    scratch = Scratch(tmp_path)
    with pytest.raises(InputError, match=r"cannot lock .*; choose another folder"):
        scratch.locked().__enter__()
    with pytest.raises(InputError, match=r"cannot write .*; choose another folder"):
        scratch.keep(replica)


# replicas that are under way


@pytest.fixture(scope="module")
def begun(config: Any) -> Replica:
    """A replica at its first measured step."""
    pieces = kinds.of(config).advance(config, (3,), {}, 0.0, "cpu")
    measured = tuple(replace(piece, state=None) for piece in pieces if piece.tables)
    made = artifacts.provenance(config, "cpu")
    return Replica(config.id, 3, measured, 1.5, made, state=pieces[-1].state)


def test_a_replica_goes_on_from_where_it_was_kept(
    tmp_path: Path, scratch: Scratch, config: Any, begun: Replica, replica: Replica
) -> None:
    scratch.keep(begun)
    assert scratch.find(config) == ({}, []), "it has not reached its end"
    found = scratch.begun(config, 3)
    assert found is not None
    assert found.state is not None
    assert begun.state is not None
    assert repr(replace(found, state=None)) == repr(replace(begun, state=None))
    assert set(found.state) == set(begun.state)
    for name, value in begun.state.items():
        np.testing.assert_array_equal(found.state[name], value, strict=True)

    whole = train_replica(config.kind, config.to_dict(), 3, str(tmp_path))
    assert (whole.error, whole.state) == (None, None)
    assert whole.seconds > begun.seconds
    assert steps(whole) == steps(replica)
    for name, table in kinds.of(config).tables.items():
        rows = [
            table.frame([p.tables[name] for p in one.pieces if name in p.tables])
            for one in (whole, replica)
        ]
        ours, theirs = (frame.drop(columns="seconds", errors="ignore") for frame in rows)
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)


def steps(replica: Replica) -> list[int]:
    return [piece.step for piece in replica.pieces if piece.tables]


def test_a_replica_is_kept_slice_by_slice(
    tmp_path: Path, scratch: Scratch, config: Any, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Replica] = []
    monkeypatch.setattr(replicas, "SLICE_SECONDS", 1e-9)
    monkeypatch.setattr(replicas, "KEEPING", float("inf"))
    monkeypatch.setattr(Scratch, "keep", lambda self, one: kept.append(one))
    whole = train_replica(config.kind, config.to_dict(), 3, str(tmp_path))
    assert steps(whole) == steps(replica)
    taken = [int(one.state["step"]) for one in kept if one.state is not None]
    assert len(taken) == len(kept) > 3
    assert taken == sorted(set(taken))
    assert [steps(one) for one in kept] == [
        [step for step in steps(replica) if step <= reached] for reached in taken
    ], "rows and state belong together"


def test_a_newer_state_takes_the_place_of_an_older_and_goes_with_the_last(
    tmp_path: Path, scratch: Scratch, begun: Replica, replica: Replica
) -> None:
    folder = tmp_path / ".unfinished"
    scratch.keep(begun)
    assert begun.state is not None
    scratch.keep(replace(begun, state={**begun.state, "step": np.array(2)}))
    assert len(list(folder.glob("*.npz"))) == 1
    scratch.keep(replica)
    assert list(folder.glob("*.npz")) == []
    scratch.keep(begun)
    scratch.forget(begun.experiment, [3])
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_a_kill_between_state_and_rows_leaves_the_older_pair(
    scratch: Scratch, config: Any, begun: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.keep(begun)
    assert begun.state is not None
    written = os.replace

    def killed(source: Any, target: Any) -> None:
        if str(target).endswith(".json"):
            raise KeyboardInterrupt
        written(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        scratch.keep(replace(begun, state={**begun.state, "step": np.array(99)}))
    found = scratch.begun(config, 3)
    assert found is not None
    assert found.state is not None
    assert found.state["step"] == begun.state["step"]


@pytest.mark.parametrize("damage", ["cut", "gone", "another's"])
def test_a_damaged_state_begins_anew(
    tmp_path: Path, scratch: Scratch, config: Any, begun: Replica, damage: str
) -> None:
    scratch.keep(begun)
    (state,) = (tmp_path / ".unfinished").glob("*.npz")
    if damage == "gone":
        state.unlink()
    else:
        content = state.read_bytes()
        state.write_bytes(content[:-7] if damage == "cut" else content[:-1] + b"x")
    assert scratch.begun(config, 3) is None
    assert train_replica(config.kind, config.to_dict(), 3, str(tmp_path)).error is None


def test_other_seeds_are_other_replicas(scratch: Scratch, config: Any, replica: Replica) -> None:
    scratch.keep(replica)
    assert scratch.find(checks.with_seeds(config, [4, 5])) == ({}, [])
    assert list(scratch.find(checks.with_seeds(config, [3, 9]))[0]) == [3]
