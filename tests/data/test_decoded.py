"""Decoding once: where the array goes, and what becomes of it."""

import threading
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from numpy.typing import NDArray

from mtl_core import InputError
from mtl_core.data import decoded as module
from mtl_core.data.decoded import decoded


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """1,100 of them, more than two words of progress; their content is their number."""
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path / "user's cache")
    (tmp_path / "data").mkdir()
    paths = [tmp_path / "data" / f"{number}.txt" for number in range(1_100)]
    for number, path in enumerate(paths):
        path.write_text(str(number))
    return paths


def read(path: Path) -> NDArray[np.int16]:
    return np.full((2, 3), int(path.read_text()), dtype=np.int16)


def keep(files: list[Path], recipe: str = "whole numbers") -> NDArray[np.int16]:
    path = files[0].with_name("numbers")
    return decoded(path, files, read, recipe=recipe, title="numbers")


def test_every_file_is_where_it_belongs(
    files: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    array = keep(files)
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, np.arange(1_100)[:, None, None] * np.ones((2, 3)))
    words = capsys.readouterr().err.strip().split("\r")
    assert [word.strip() for word in words] == [
        f"numbers: {done} of 1,100 images decoded, once" for done in ("512", "1,024", "1,100")
    ]


def test_another_recipe_or_another_choice_of_files_is_another_array(files: list[Path]) -> None:
    keep(files)
    assert len(keep(files[:7])) == 7
    assert keep(files[6::-1])[:, 0, 0].tolist() == [6, 5, 4, 3, 2, 1, 0]
    keep(files[6::-1], "other numbers")
    assert len(list(files[0].parent.glob("*.npy"))) == 1


def test_a_folder_that_cannot_be_written_leaves_it_in_the_users_cache(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = files[0].parent
    real = module._writable
    monkeypatch.setattr(module, "_writable", lambda folder: folder != data and real(folder))
    keep(files[:3])
    assert not list(data.glob("numbers*"))
    assert len(list((tmp_path / "user's cache").rglob("numbers-*.npy"))) == 1
    monkeypatch.setattr(module, "_write_once", None)
    assert keep(files[:3])[:, 0, 0].tolist() == [0, 1, 2]


def test_nowhere_to_write(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_writable", lambda folder: False)
    with pytest.raises(InputError, match=r"^neither .*data nor .*user's cache.* can be written"):
        keep(files)


def test_a_full_disk_is_an_error_in_words(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); make"):
        keep(files)


def test_what_stopped_half_way_is_not_taken_for_the_whole(files: list[Path]) -> None:
    files[900].write_text("nine hundred")
    with pytest.raises(InputError, match=r"900\.txt cannot be read as an image \(invalid literal"):
        keep(files)
    assert not list(files[0].parent.glob("numbers*.npy"))
    assert not list(files[0].parent.glob("*.arriving"))
    files[900].write_text("900")
    assert keep(files)[900, 0, 0] == 900


def test_two_that_want_the_same_decode_once(files: list[Path]) -> None:
    seen: list[Path] = []

    def slow(path: Path) -> NDArray[np.int16]:
        seen.append(path)
        return read(path)

    def want() -> None:
        path = files[0].with_name("numbers")
        decoded(path, files, slow, recipe="slow", title="numbers")

    threads = [threading.Thread(target=want) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The first file is looked at once more, for its shape.
    assert len(seen) == len(files) + 1


def test_a_folder_that_moves_keeps_its_array(files: list[Path], tmp_path: Path) -> None:
    keep(files)
    moved = files[0].parent.rename(tmp_path / "moved")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_write_once", None)
        assert len(keep([moved / file.name for file in files])) == 1_100
