"""Some of the hostile files: each is refused in one line, and takes little to be.

All of them: ``python tests/hostile.py``.
"""

import sys
from pathlib import Path

import pytest

from tests import hostile

IMPORTS, TABLES = 20, 7
"""Every so many of them."""


@pytest.mark.customs
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_hostile_imports_are_refused_within_bounds() -> None:
    every = list(hostile.imports(hostile.sound_files()))
    assert len(every) >= 120
    for about, make in every[5::IMPORTS]:
        cost = hostile.brought(make())
        assert cost.fine, (about, cost)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_hostile_tables_are_refused_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MTL_FILES", "own")
    assert len(hostile.DATA) >= 50
    for about in list(hostile.DATA)[3::TABLES]:
        cost = hostile.dropped(hostile.DATA[about])
        assert cost.fine, (about, cost)
    monkeypatch.setenv("MTL_SHARED", "1")
    for about in list(hostile.DATA)[4::TABLES]:
        cost = hostile.added(hostile.DATA[about])
        assert cost.fine, (about, cost)


def test_nothing_of_a_table_but_names_of_columns_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MTL_FILES", "own")
    for about in ("a secret on its first line", "text among numbers", "a formula"):
        for said in (way(hostile.DATA[about]).said for way in (hostile.dropped, hostile.added)):
            assert said is not None
            assert not any(word in said for word in ("hunter2", "secret", "calc", str(tmp_path)))


@pytest.mark.customs
def test_a_sound_zip_file_comes_in_through_the_other_process() -> None:
    files = hostile.sound_files()["training"]
    content = hostile.zipped({f"r/{name}": content for name, content in files.items()})
    assert hostile.brought(content).said is None
