"""Own files: what the app opens of all that a link may name, and what it says of it."""

import os
from pathlib import Path

import pytest

from mtl_core import InputError
from mtl_core.data import own


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app's folder of own files, in a process that opens no others."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("MTL_FILES", "own")
    (tmp_path / "data" / "own").mkdir(parents=True)
    return tmp_path / "data" / "own"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        own.content(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd", "/proc/self/pagemap", "../runs.db", "a/b.csv", "a\\b.csv", "~/x.csv", ".x",
        "c:x.csv", "x.csv\0", "", ".", "..", "x" * 101, "x.csv ", "x.csv.", "-x", "x\n.csv",
        "\u202ex.csv",
    ],
)  # fmt: skip
def test_what_is_no_plain_name_leads_nowhere(folder: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        own.located(name)
    assert str(caught.value).endswith(
        "is not the name of a file in the app's folder own; upload the file, or have it put there "
        "and give its name alone"
    )


def test_a_plain_name_leads_into_the_folder(folder: Path) -> None:
    (folder / "größe (2).csv").write_bytes(b"a,b")
    assert own.content(own.located("größe (2).csv")) == b"a,b"
    assert own.names(".csv") == ["größe (2).csv"]


def test_elsewhere_a_path_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MTL_FILES", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "x.csv").write_bytes(b"a,b")
    assert own.content(own.located("~/x.csv")) == b"a,b"
    assert refusal(tmp_path / "y.csv") == f"there is no file {tmp_path / 'y.csv'}; name a file " \
        "that is there"  # fmt: skip


def test_only_regular_files_are_read_and_no_more_of_them_than_the_limit(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    (folder / "link.csv").symlink_to("/etc/hostname")
    (folder / "folder.csv").mkdir()
    (folder / "large.csv").write_bytes(b"x" * (own.most_bytes() + 1))
    assert refusal(folder / "pipe.csv").startswith("pipe.csv cannot be read (it is not a regular")
    assert refusal(folder / "link.csv").startswith("link.csv cannot be read (")
    assert refusal(folder / "folder.csv").startswith("folder.csv cannot be read (Is a directory)")
    assert refusal(folder / "large.csv").startswith("large.csv has more than 20 MB, which is the")
    assert refusal(folder / "none.csv") == "there is no file none.csv; upload it"
    assert own.names(".csv") == ["large.csv"]


def test_a_file_that_lies_about_its_size_is_read_within_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file of the kernel says that it has no bytes, and has many."""
    monkeypatch.delenv("MTL_FILES", raising=False)
    monkeypatch.setattr(own, "_MOST_BYTES", 2**20)
    path = Path("/proc/self/pagemap")
    if not path.exists():
        pytest.skip("needs /proc")
    assert "has more than 1 MB" in refusal(path) or "cannot be read" in refusal(path)
