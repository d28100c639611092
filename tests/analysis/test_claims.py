"""Claims about all, most and some differences: evidence on either side, or nothing."""

import pytest

from mtl_core.analysis import Comparison, all_of, compare, judged, most_of, mostly_small

SEEDS = range(4)


def moved(by: float, spread: float = 0.1) -> Comparison:
    """A paired difference of four seeds."""
    apart = [by - spread, by - spread / 2, by + spread / 2, by + spread]
    return compare(apart, [0.0] * 4, seeds=list(SEEDS), baseline_seeds=list(SEEDS))


UP, DOWN, OPEN = moved(1.0), moved(-1.0), moved(0.05)


def test_the_differences_are_what_they_are_taken_for() -> None:
    assert [one.verdict for one in (UP, DOWN, OPEN)] == ["better", "worse", "not significant"]
    assert all(one.significant for one in judged([UP, DOWN, UP, DOWN])[:2])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([UP, UP], "agree"),
        ([UP, OPEN], "cannot tell"),
        ([UP, None], "cannot tell"),
        ([], "cannot tell"),
        ([OPEN], "cannot tell"),
        ([UP, DOWN], "disagree"),
        ([None, DOWN], "disagree"),
    ],
)
def test_all(found: list[Comparison | None], expected: str) -> None:
    assert all_of(found, "better") == expected
    turned = {UP: DOWN, DOWN: UP}
    assert all_of([turned.get(one, one) if one else one for one in found], "worse") == expected


def test_each_may_have_its_own_side() -> None:
    assert all_of([UP, DOWN], ["better", "worse"]) == "agree"
    assert all_of([UP, DOWN], ["worse", "worse"]) == "disagree"
    with pytest.raises(ValueError, match="shorter"):
        all_of([UP, DOWN], ["worse"])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([UP, UP, OPEN], "agree"),
        ([UP, UP, DOWN], "agree"),
        ([UP, OPEN], "cannot tell"),
        ([UP, DOWN], "cannot tell"),
        ([UP, None, None], "cannot tell"),
        ([DOWN, DOWN, UP], "disagree"),
        ([], "cannot tell"),
    ],
)
def test_most(found: list[Comparison | None], expected: str) -> None:
    assert most_of(found, "better") == expected


def test_that_nothing_was_found_does_not_make_it_small() -> None:
    unsure = moved(0.05, spread=1.0)
    assert not unsure.significant
    assert mostly_small([unsure, unsure], 0.5) == "cannot tell"
    assert mostly_small([OPEN, OPEN, UP], 0.5) == "agree"
    assert mostly_small([OPEN, UP], 0.5) == "cannot tell"
    assert mostly_small([UP, DOWN, OPEN], 0.5) == "disagree"
    assert mostly_small([moved(0.2, 0.01)] * 2, 0.5) == "agree", "certainly there, and small"
