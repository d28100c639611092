"""What is remembered: sound artifacts are not read again, and everything else is."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts, folders, remembered
from mtl_core.runs.library.artifacts import Content
from tests.runs.library.tampering import change_manifest, change_table, main_of


@pytest.fixture
def folder(tmp_path: Path, config: Any, content_of: Callable[..., Content]) -> Path:
    return artifacts.write(tmp_path / "cache" / "good", content_of(config))


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As if the app was started anew: nothing is in memory."""

    def forget() -> None:
        artifacts._read.cache_clear()
        artifacts._glanced.cache_clear()
        monkeypatch.setattr(artifacts, "_doubts", {})
        remembered._known.cache_clear()
        remembered._code.cache_clear()
        monkeypatch.setattr(remembered, "_new", {})
        monkeypatch.setattr(artifacts, "_tables", type(artifacts._tables)(most=9))

    forget()
    return forget


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the tables that are read."""
    found: list[str] = []
    table = folders.table

    def counted(path: Path, form: Any) -> Any:
        found.append(path.name)
        return table(path, form)

    monkeypatch.setattr(folders, "table", counted)
    return found


def test_a_second_start_reads_no_table_and_the_same_artifacts(
    folder: Path, start: Callable[[], None], reads: list[str]
) -> None:
    first = artifacts.scan(folder.parent)
    assert len(reads) > 1
    start()
    reads.clear()
    again = artifacts.scan(folder.parent)
    assert again == first
    assert reads == []
    start()
    artifacts.scan(folder.parent, artifacts.read)
    assert len(reads) > 1, "doctor reads all of them"


def test_what_has_changed_since_is_read_and_damage_is_said(
    folder: Path, start: Callable[[], None], reads: list[str]
) -> None:
    artifacts.scan(folder.parent)
    start()
    change_manifest(folder, notes=["another"])
    reads.clear()
    assert artifacts.scan(folder.parent)[1] == []
    assert len(reads) > 1, "another manifest"

    start()
    table = sorted(folder.glob("*.parquet"))[0]
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    found, said = artifacts.scan(folder.parent)
    assert found == {}
    assert said == [f"artifact good: {table.name} is not the file that the manifest describes"]


def test_another_version_of_the_code_looks_for_itself(
    folder: Path, start: Callable[[], None], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.scan(folder.parent)
    start()
    reads.clear()
    monkeypatch.setattr(remembered, "_code", lambda: "other")
    artifacts.scan(folder.parent)
    assert len(reads) > 1


def test_one_that_is_not_sound_is_not_remembered(
    folder: Path, start: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change_manifest(folder, id="0" * 16)
    said = artifacts.scan(folder.parent)[1]
    assert len(said) == 1
    start()
    assert artifacts.scan(folder.parent)[1] == said


def test_without_a_place_to_write_everything_works_and_is_read_again(
    folder: Path, start: Callable[[], None], reads: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "file").touch()
    monkeypatch.setenv("MTL_STORE", str(tmp_path / "file" / "runs.db"))
    first = artifacts.scan(folder.parent)
    start()
    reads.clear()
    assert artifacts.scan(folder.parent) == first
    assert len(reads) > 1


def test_a_glance_reads_no_table_until_somebody_asks_for_one(
    folder: Path, start: Callable[[], None], reads: list[str]
) -> None:
    whole = artifacts.scan(folder.parent)
    remembered._file().unlink()
    start()
    reads.clear()
    found, said = artifacts.scan(folder.parent, artifacts.glance)
    assert (found, said) == whole
    assert reads == []
    (artifact,) = found.values()
    rows = artifact.table(artifact.kind.main)
    assert len(rows) == artifact.manifest["tables"][artifact.kind.main]["rows"]
    assert {*reads} == {f"{name}.parquet" for name in artifact.manifest["tables"]}, "all checked"
    assert remembered.was_sound(remembered.mark(artifact.manifest))


def test_at_a_glance_no_flipped_bit_passes(folder: Path, start: Callable[[], None]) -> None:
    for file in sorted(folder.iterdir()):
        whole = file.read_bytes()
        for place in range(0, len(whole), max(len(whole) // 40, 1)):
            start()
            flipped = bytearray(whole)
            flipped[place] ^= 1 << (place % 8)
            file.write_bytes(flipped)
            found, said = artifacts.scan(folder.parent, artifacts.glance)
            assert found == {}, (file.name, place)
            assert len(said) == 1
        file.write_bytes(whole)


def test_rows_that_are_not_those_of_the_experiment_are_said_and_then_passed_over(
    folder: Path, start: Callable[[], None]
) -> None:
    """Hashes that are right do not make it believed; that is found as it is read."""
    change_table(folder, main_of(folder).stem, lambda rows: rows.assign(seed=99))
    (why,) = artifacts.scan(folder.parent)[1]
    start()
    found, said = artifacts.scan(folder.parent, artifacts.glance)
    assert said == []
    (artifact,) = found.values()
    for _ in range(2):
        with pytest.raises(InputError, match=re.escape(why)):
            artifact.table(artifact.kind.main)
    assert artifacts.doubted() == 1
    assert artifacts.scan(folder.parent, artifacts.glance) == ({}, [why])


def test_a_bit_that_flips_after_the_glance_is_found_as_it_is_read(
    folder: Path, start: Callable[[], None]
) -> None:
    (artifact,) = artifacts.scan(folder.parent, artifacts.glance)[0].values()
    table = folder / f"{artifact.kind.main}.parquet"
    whole, before = table.read_bytes(), table.stat()
    table.write_bytes(whole[:-9] + bytes([whole[-9] ^ 4]) + whole[-8:])
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))  # as a disk that rots
    start()
    with pytest.raises(InputError, match=r"good: .* was replaced"):
        artifact.table(artifact.kind.main)
    found, said = artifacts.scan(folder.parent, artifacts.glance)
    assert found == {}
    assert len(said) == 1
    table.write_bytes(whole)
    assert len(artifacts.scan(folder.parent, artifacts.glance)[0]) == 1, "mended, it is there again"
