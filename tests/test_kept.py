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
