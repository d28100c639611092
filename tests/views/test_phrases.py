"""Words for counts, lists and names, with and without Markdown."""

import pytest

from mtl_core import factors
from mtl_core.views.phrases import brief, counted, escaped, family, listed, number, plain, title


def test_counts_and_lists() -> None:
    assert [counted(many, "run") for many in (0, 1, 1200)] == ["0 runs", "1 run", "1,200 runs"]
    assert [listed(list(words)) for words in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
    assert [family(judged) for judged in (0, 1, 7)] == ["", "", " (Holm's correction for 7)"]


def test_quantities() -> None:
    assert [number(value) for value in (None, 0.0123, 1.239, 12.34, -1234.5)] == [
        "–",
        "+0.012",
        "+1.24",
        "+12.3",
        "−1,234",
    ]
    assert title("sharpness") == "sharpness"
    assert title("min_train_loss") == "minimum training loss"
    assert title("test_metric") == "test metric"


def test_every_factor_is_explained_in_a_sentence() -> None:
    for name in (*factors.names(), "min_train_loss"):
        told = brief(name)
        assert told is not None
        assert told.endswith(".")
        assert len(told.split()) <= 30
    assert brief("test_metric") is None


@pytest.mark.parametrize("name", ["a*b", "fish_and_chips", "[x](y)", "1. first", "a\\b"])
def test_plain_undoes_emphasis_and_escapes(name: str) -> None:
    assert plain(f"**Two** of *all*: {escaped(name)}.") == f"Two of all: {name}."
