"""Large states are files beside the store; nobody who uses the store sees a difference."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core.errors import StoreError
from mtl_core.runs.kinds import Piece
from mtl_core.runs.queue import beside
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
ALICE = "1-alice"


@pytest.fixture(autouse=True)
def _all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "LARGE_BYTES", 0)


@pytest.fixture
def run(store: Store, make_config: Make) -> Key:
    """On its way, in Alice's hands."""
    config = make_config(seeds=(3,))
    store.submit(config)
    store.claim(ALICE)
    return Key(config.id, 3)


def save(store: Store, run: Key, step: int) -> dict[str, Any]:
    state = {"step": np.array(step), "weights": np.arange(step, dtype=np.float32)}
    assert store.save(run, ALICE, [Piece(run.seed, step, state=state)])
    return state


def files(store: Store) -> list[Path]:
    folder = Path(f"{store.path}.states")
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_state_comes_back_and_the_one_before_goes(store: Store, run: Key) -> None:
    save(store, run, 5)
    (first,) = files(store)
    expected = save(store, run, 9)
    (second,) = files(store)
    assert first != second
    found = Store(store.path).state(run)
    assert found is not None
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    # In the store itself is a name alone.
    content = store.path.read_bytes() + Path(f"{store.path}-wal").read_bytes()
    assert second.name.encode() in content
    assert expected["weights"].tobytes() not in content


@pytest.mark.parametrize("end", ["done", "removed"])
def test_what_has_ended_leaves_nothing(store: Store, run: Key, end: str) -> None:
    save(store, run, 5)
    store.finish(run, ALICE, "done" if end == "done" else "failed", "no reason")
    if end == "removed":
        assert len(files(store)) == 1, "a failed run can be resumed"
        store.remove(run.experiment)
    assert not Path(f"{store.path}.states").exists()


@pytest.mark.parametrize("hurt", ["flipped", "cut", "gone", "another's"])
def test_a_damaged_file_begins_the_run_anew(store: Store, run: Key, hurt: str) -> None:
    save(store, run, 5)
    (file,) = files(store)
    content = bytearray(file.read_bytes())
    if hurt == "flipped":
        content[len(content) // 2] ^= 1
    if hurt == "cut":
        del content[-1:]
    if hurt == "another's":
        content = bytearray(b"PK")
    file.unlink() if hurt == "gone" else file.write_bytes(content)
    assert store.state(run) is None
    (note,) = store.notes(store.get(*run).config)  # type: ignore[union-attr]
    assert note.startswith("seed 3 was begun anew")


def test_a_full_disk_keeps_the_state_before(
    store: Store, run: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, run, 5)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match=r"runs\.db\.states \(No space left .*; free space"):
            save(store, run, 9)
    assert len(files(store)) == 1
    found = store.state(run)
    assert found is not None
    assert int(found["step"]) == 5
    save(store, run, 9)


def test_a_file_that_nobody_names_goes_with_the_next_change(store: Store, run: Key) -> None:
    """As one that a worker wrote that was killed before its row was written."""
    save(store, run, 5)
    (file,) = files(store)
    stray = file.with_name("7-" + "0" * 32)
    stray.write_bytes(b"")
    save(store, run, 9)
    assert not stray.exists()
    assert len(files(store)) == 1


def test_small_ones_stay_in_the_store(
    store: Store, run: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "LARGE_BYTES", 256 * 2**20)
    save(store, run, 5)
    assert files(store) == []
    assert store.state(run) is not None
