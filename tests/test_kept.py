"""Kept: bounded, the value used longest ago leaves, and nothing is made twice while it is there."""

from collections.abc import Callable

import pytest

from mtl_core.kept import Kept


def test_what_was_used_longest_ago_leaves_and_is_made_again() -> None:
    made: list[str] = []

    def make(name: str) -> Callable[[], str]:
        return lambda: made.append(name) or name.upper()

    kept = Kept[str](most=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert kept.get(name, make(name)) == name.upper()
    assert made == ["a", "b", "c", "b"], "c took the place of b, which a was used after"


def test_nothing_is_kept_of_what_could_not_be_made() -> None:
    kept = Kept[float](most=2)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            kept.get("x", lambda: 1 / 0)
    assert kept.get("x", lambda: 1.0) == 1.0


def test_another_version_takes_the_place_of_the_one_before() -> None:
    kept = Kept[str](most=2)
    assert kept.get("run", lambda: "one", version=1) == "one"
    assert kept.get("run", lambda: "two", version=2) == "two"
    assert kept.get("other", lambda: "three") == "three"
    assert kept.get("run", lambda: "made anew", version=2) == "two", "it takes one place"


def test_what_is_too_large_together_leaves() -> None:
    kept = Kept[bytes](most=100, most_bytes=10, size=len)
    for name in ("a", "b", "c"):
        kept.get(name, lambda: b"1234")
    assert kept.get("b", lambda: b"") == b"1234"
    assert kept.get("a", lambda: b"new") == b"new", "it had left"
    kept.get("large", lambda: bytes(11))
    assert kept.get("large", lambda: b"x") == b"x", "what is larger than all room is not kept"
