"""Classes: guesses without names, within bounds, for a day."""

import re
import sqlite3
import threading
from pathlib import Path

import pytest

from mtl_core import classes as module
from mtl_core.classes import LETTERS, MOST_CLASSES, MOST_OWN, Classes, written
from mtl_core.errors import InputError, StoreError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "_tries", module._Minute())
    monkeypatch.setattr(module, "_members", module._Recent())
    return tmp_path / "store" / "classes.db"


@pytest.fixture
def classes(path: Path) -> Classes:
    return Classes(path)


def rows(path: Path, table: str) -> int:
    with sqlite3.connect(path) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def test_a_class_collects_one_guess_of_each_browser(classes: Classes) -> None:
    code = classes.open("teacher").code
    for visitor, guess in (("ann", "better"), ("bob", "worse"), ("ann", "unclear")):
        classes.guess(code, visitor, "a/1", guess)
    classes.guess(code, "ann", "a/2", "3.5")
    assert classes.guesses(code, "teacher", "a/1") == ["unclear", "worse"]
    assert classes.guesses(code, "teacher", "a/2") == ["3.5"]
    assert classes.guesses(code, "teacher", "a/3") == []
    assert classes.browsers(code, "teacher") == 2


def test_a_code_is_found_however_it_is_written(classes: Classes) -> None:
    code = classes.open("teacher").code
    assert re.fullmatch(f"[{LETTERS}]{{8}}", code)
    assert not {*LETTERS} & {*"AEIOUYLS0158"}, "no words, nothing that is read for another"
    for text in (code, code.lower(), written(code), f" {code[:4]}-{code[4:]} "):
        assert classes.find(text, "ann").code == code
    assert classes.find(code, "teacher").presents
    assert not classes.find(code, "ann").presents
    assert len({classes.open(f"t{n}").code for n in range(20)}) == 20


@pytest.mark.parametrize("code", ["", "BBBBBBBB", "' OR 1=1 --", "B" * 10_000, "🐟"])
def test_a_wrong_code_says_so_in_one_line(classes: Classes, code: str) -> None:
    with pytest.raises(
        InputError, match="there is no class of this code, or it has ended"
    ) as error:
        classes.find(code, "ann")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="no class of this code"):
        classes.guess(code, "ann", "a/1", "better")


def test_only_who_presents_sees_and_ends(classes: Classes, path: Path) -> None:
    code = classes.open("teacher").code
    classes.guess(code, "ann", "a/1", "better")
    for ask in (
        lambda: classes.guesses(code, "ann", "a/1"),
        lambda: classes.browsers(code, "ann"),
        lambda: classes.end(code, "ann"),
    ):
        with pytest.raises(InputError, match="only the browser that opened a class"):
            ask()
    classes.end(code, "teacher")
    assert (rows(path, "classes"), rows(path, "guesses")) == (0, 0)
    with pytest.raises(InputError, match="or it has ended"):
        classes.find(code, "teacher")


def test_no_row_says_who(classes: Classes, path: Path) -> None:
    one, two = classes.open("teacher").code, classes.open("teacher").code
    for code in (one, two):
        classes.guess(code, "0123456789abcdef", "a/1", "better")
    assert b"0123456789abcdef" not in path.read_bytes()
    assert b"teacher" not in path.read_bytes()
    with sqlite3.connect(path) as db:
        (first,), (second,) = db.execute("SELECT who FROM guesses").fetchall()
    assert first != second, "nor are two classes of one browser alike"


def test_a_class_ends_after_a_day_with_its_guesses(
    classes: Classes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = classes.open("teacher").code
    classes.guess(code, "ann", "a/1", "better")
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 23.9 * 3600)
    assert classes.find(code, "ann").code == code
    monkeypatch.setattr(module.time, "time", lambda: now + 24.1 * 3600)
    with pytest.raises(InputError, match="or it has ended"):
        classes.find(code, "ann")
    assert (rows(path, "classes"), rows(path, "guesses")) == (0, 0)


def test_classes_are_few(classes: Classes, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(MOST_OWN):
        classes.open("teacher")
    with pytest.raises(InputError, match=f"you present {MOST_OWN} classes already; end one"):
        classes.open("teacher")
    monkeypatch.setattr(module, "MOST_CLASSES", MOST_OWN + 1)
    classes.open("another")
    with pytest.raises(InputError, match="this server has 6 classes, which is the most"):
        classes.open("a third")
    assert MOST_CLASSES == 100


def test_guesses_are_few_and_short(classes: Classes, monkeypatch: pytest.MonkeyPatch) -> None:
    code = classes.open("teacher").code
    monkeypatch.setattr(module, "MOST_GUESSES", 3)
    for visitor in ("ann", "bob", "cid"):
        classes.guess(code, visitor, "a/1", "better")
    with pytest.raises(InputError, match="the class has 3 guesses, which is the most"):
        classes.guess(code, "dan", "a/1", "better")
    classes.guess(code, "ann", "a/1", "worse")  # a changed guess is no new one
    with pytest.raises(InputError, match="a guess of 41 characters; 40 are the most"):
        classes.guess(code, "ann", "a/1", "x" * 41)
    assert classes.guesses(code, "teacher", "a/1") == ["better", "better", "worse"]


def test_guesses_and_wrong_codes_have_a_pace(
    classes: Classes, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = classes.open("teacher").code
    monkeypatch.setattr(module, "MOST_MINUTE", 3)
    for _ in range(3):
        classes.guess(code, "quick", "a/1", "better")
    with pytest.raises(InputError, match="your guesses come too quickly"):
        classes.guess(code, "quick", "a/1", "better")
    classes.guess(code, "slow", "a/1", "better")

    monkeypatch.setattr(module, "MOST_TRIES", 2)
    for _ in range(2):
        with pytest.raises(InputError, match="no class of this code"):
            classes.find("BBBBBBBB", "thief")
    for guess in ("BBBBBBBC", code):
        with pytest.raises(InputError, match="too many wrong class codes were tried; wait"):
            classes.find(guess, "thief")
    assert classes.find(code, "slow").code == code, "who is in the class is not shut out"
    now = module.time.monotonic()
    monkeypatch.setattr(module.time, "monotonic", lambda: now + 61)
    assert classes.find(code, "thief").code == code


def test_many_guess_at_once(classes: Classes) -> None:
    code = classes.open("teacher").code
    ask = [
        threading.Thread(target=classes.guess, args=(code, f"v{n}", "a/1", str(n)))
        for n in range(16)
    ]
    for thread in ask:
        thread.start()
    for thread in ask:
        thread.join()
    assert len(classes.guesses(code, "teacher", "a/1")) == 16


def test_a_file_that_is_none_is_said_in_one_line(classes: Classes, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("no database at all, but a text that is long enough to be looked at")
    with pytest.raises(StoreError, match=r"cannot be kept in classes.db: file is not a database"):
        classes.open("teacher")
