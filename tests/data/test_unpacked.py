"""Unpacked: a folder too many is gone through, and no more than one."""

from pathlib import Path

import pytest

from mtl_core.data import unpacked


@pytest.mark.parametrize(
    "there",
    ["a/b.txt", "wrapped/a/b.txt", "a/a/b.txt", "a/b.txt/b.txt", "wrapped/a/b.txt/b.txt"],
)
def test_a_file_is_found(tmp_path: Path, there: str) -> None:
    path = tmp_path / there
    path.parent.mkdir(parents=True)
    path.write_text("x")
    assert unpacked.place(tmp_path, "a/b.txt") == path


@pytest.mark.parametrize("there", ["__MACOSX/a/b.txt", ".hidden/a/b.txt", "x/y/a/b.txt", "b.txt"])
def test_what_is_not_there_is_where_it_is_expected(tmp_path: Path, there: str) -> None:
    (tmp_path / there).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / there).write_text("x")
    assert unpacked.place(tmp_path, "a/b.txt") == tmp_path / "a" / "b.txt"
    assert unpacked.place(tmp_path / "nowhere", "a") == tmp_path / "nowhere" / "a"


def test_what_is_expected_goes_first(tmp_path: Path) -> None:
    for name in ("a/b.txt", "0/a/b.txt"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    assert unpacked.place(tmp_path, "a/b.txt") == tmp_path / "a" / "b.txt"
