"""Flipped bits: no number that was measured is changed or lost without a word."""

import shutil
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.errors import StoreError
from mtl_core.runs import kinds
from mtl_core.runs.kinds import Piece
from mtl_core.runs.queue.checksums import piece_checksum, state_checksum
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.schema import SCHEMA_VERSION
from mtl_core.runs.queue.store import Store

Make = Callable[..., Any]
ALICE = "1-alice"


def filled(store: Store, config: Any, make_pieces: Make, steps: int = 5) -> None:
    """With a run for each seed, which stopped; each has a state."""
    store.submit(config)
    store.claim(ALICE)
    for seed in config.seeds:
        pieces = [piece for step in range(steps) for piece in make_pieces(config, (seed,), step)]
        store.save(Key(config.id, seed), ALICE, pieces)
        store.finish(Key(config.id, seed), ALICE, "failed", "no reason")


def sql(store: Store, statement: str, *values: object) -> list[tuple[Any, ...]]:
    db = sqlite3.connect(store.path)
    try:
        with db:
            return db.execute(statement, values).fetchall()
    finally:
        db.close()


def main(store: Store, config: Any) -> pd.DataFrame:
    return store.table(config, kinds.of(config).main)


def test_checksums_are_crc_32_of_whose_and_what() -> None:
    assert piece_checksum(1, b"a", 2, b"rows") == zlib.crc32(b"1 a 2 rows")
    assert state_checksum(1, 2, b"PK") == zlib.crc32(b"1 2 PK")
    base = piece_checksum(1, b"front", 2, b"[1.5]")
    others = [
        piece_checksum(3, b"front", 2, b"[1.5]"),
        piece_checksum(1, b"fronu", 2, b"[1.5]"),
        piece_checksum(1, b"front", 3, b"[1.5]"),
        piece_checksum(1, b"front", 2, b"[1.6]"),
        piece_checksum(1, b"front", None, None),
    ]
    assert base not in others
    assert len({*others}) == len(others)
    assert state_checksum(1, 2, b"x") != state_checksum(2, 2, b"x")


def test_a_changed_number_is_left_out_and_said(store: Store, make: Make, make_pieces: Make) -> None:
    config = make(seeds=(0, 3))
    filled(store, config, make_pieces)
    whole = main(store, config)
    assert store.notes(config) == []
    sql(
        store,
        "UPDATE pieces SET rows = replace(rows, '0.', '1.') WHERE step = 2 AND name = ? "
        "AND run = (SELECT number FROM runs WHERE seed = 3)",
        kinds.of(config).main,
    )
    Store(store.path)
    sql(store, "UPDATE runs SET seconds = seconds + 1")  # so that it is looked at again
    kept = whole[(whole["seed"] != 3) | (whole["step"] != 2)].reset_index(drop=True)
    pd.testing.assert_frame_equal(main(store, config), kept, check_exact=True)
    assert store.notes(config) == [
        "seed 3: rows at step 2 are damaged in the store and left out; remove the run and run it "
        "again to have them back"
    ]


def test_a_lost_piece_is_missed(store: Store, make: Make, make_pieces: Make) -> None:
    config = make()
    filled(store, config, make_pieces)
    sql(store, "DELETE FROM pieces WHERE step = 1")
    (note,) = store.notes(config)
    assert note.startswith("seed 0: rows at some steps are damaged")
    assert f"{SCHEMA_VERSION}, 1 runs, 1 with damaged rows, " in store.health()


def test_a_run_that_is_removed_and_run_again_is_whole(
    store: Store, make: Make, make_pieces: Make
) -> None:
    config = make()
    filled(store, config, make_pieces)
    whole = main(store, config)
    sql(store, "UPDATE pieces SET rows = '{}' WHERE step < 3")
    assert len(main(store, config)) < len(whole)
    assert len(store.notes(config)) == 1
    store.remove(config.id)
    filled(store, config, make_pieces)
    pd.testing.assert_frame_equal(main(store, config), whole, check_exact=True)
    assert store.notes(config) == []


@pytest.mark.parametrize("how", ["flipped", "without its step", "of another run"])
def test_a_damaged_state_lets_its_seed_begin_anew_and_says_so(
    store: Store, make: Make, make_pieces: Make, how: str
) -> None:
    config = make(seeds=(0, 1))
    filled(store, config, make_pieces)
    if how == "flipped":
        (content,) = sql(store, "SELECT state FROM states WHERE run = 1")[0]
        flipped = bytearray(content)
        flipped[len(flipped) // 2] ^= 4
        sql(store, "UPDATE states SET state = ? WHERE run = 1", bytes(flipped))
    elif how == "without its step":
        store.submit(config)
        store.claim(ALICE)
        store.save(Key(config.id, 0), ALICE, [Piece(0, 9, state={"x": np.zeros(3)})])
    else:
        sql(store, "DELETE FROM states WHERE run = 1")
        sql(store, "UPDATE states SET run = 1 WHERE run = 2")
    assert store.state(Key(config.id, 0)) is None
    assert store.notes(config) == [
        "seed 0 was begun anew: what it could go on from was damaged in the store"
    ]
    assert store.state(Key(config.id, 0)) is None, "and it is gone"
    assert (how == "of another run") == (store.state(Key(config.id, 1)) is None)


def test_a_damaged_state_does_not_keep_a_run_from_being_resumed(
    store: Store, make: Make, serve: Make, undisturbed: Make, stored: Make, assert_same: Make
) -> None:
    config = make(2, seeds=(0,))
    store.submit(config)
    store.claim(ALICE)
    first = kinds.of(config).advance(config, (0,), {}, 0.0, "cpu")
    store.save(Key(config.id, 0), ALICE, first)
    store.reap()
    sql(store, "UPDATE states SET state = substr(state, 1, 60)")
    store.submit(config)
    assert serve(store) == 0
    assert store.get(config.id, 0).state == "done"
    assert_same(stored(store, config), undisturbed(config))
    assert any("begun anew" in note for note in store.notes(config))
    assert not any("rows" in note for note in store.notes(config))


def test_no_flipped_bit_changes_or_loses_a_number_without_a_word(
    store: Store, make_config: Make, make_pieces: Make, tmp_path: Path
) -> None:
    config = make_config(seeds=(0,))
    filled(store, config, make_pieces, steps=12)
    sql(store, "PRAGMA wal_checkpoint(TRUNCATE)")
    rows, record = main(store, config), store.get(config.id, 0)
    known = {tuple(row) for row in rows.fillna(-1).itertuples(index=False)}
    content = store.path.read_bytes()
    random = np.random.default_rng(0)
    said = unharmed = 0
    for number in range(150):
        place, bit = int(random.integers(len(content))), int(random.integers(8))
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        folder = tmp_path / f"{number}"
        folder.mkdir()
        (folder / "runs.db").write_bytes(flipped)
        try:
            damaged = Store(folder / "runs.db")
            found = main(damaged, config)
            notes = damaged.notes(config)
            now = damaged.get(config.id, 0)
        except StoreError:
            said += 1
            continue
        finally:
            shutil.rmtree(folder)
        values = {tuple(row) for row in found.fillna(-1).itertuples(index=False)}
        assert values <= known, f"byte {place}, bit {bit}: a number has changed"
        if len(found) == len(rows):
            unharmed += 1
        else:
            told = damaged.notice or notes or now != record
            assert told, f"byte {place}, bit {bit}: {len(rows) - len(found)} rows are gone"
            said += 1
    assert said > 10
    assert unharmed > 10


def test_changes_that_the_log_lost_are_missed(
    store: Store, make_config: Make, tmp_path: Path
) -> None:
    """SQLite drops what is damaged at the end of its log, and all after it, without a word."""
    one, two = make_config(epochs=1), make_config(epochs=2)
    with store.held():
        store.submit(one)
        sql(store, "PRAGMA wal_checkpoint(TRUNCATE)")
        store.submit(two)
        copy = tmp_path / "copy" / "runs.db"
        copy.parent.mkdir()
        for suffix in ("", "-wal", ".seen"):
            shutil.copy(f"{store.path}{suffix}", f"{copy}{suffix}")
    assert Store(copy).notice is None, "nothing is missing"
    for suffix in ("", "-wal", "-shm"):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)
    with store.held():
        sql(store, "PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(store.path, copy)
        store.submit(make_config(epochs=3))
        shutil.copy(f"{store.path}.seen", f"{copy}.seen")
    again = Store(copy)
    assert again.notice is not None
    assert "lacks what was written last (1 change)" in again.notice
    assert {record.config for record in again.runs()} == {one, two}
    assert Store(copy).notice is None, "it is said once"
    Path(f"{copy}.seen").write_text("nonsense")
    assert Store(copy).notice is None
