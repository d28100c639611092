import math

import pytest

from mtl_core.analysis import compare


def test_moments_and_margin_by_hand() -> None:
    result = compare([5.0, 6.0, 7.0], [1.0, 3.0])
    assert (result.mean, result.sd, result.seeds) == (6.0, 1.0, 3)
    assert (result.baseline_mean, result.baseline_seeds) == (2.0, 2)
    assert result.baseline_sd == pytest.approx(math.sqrt(2))
    assert result.delta == 4.0
    assert result.margin == pytest.approx(2 + 2 * math.sqrt(2))


# [1, 2, 3] has mean 2 and standard deviation 1, so its interval is [0, 4].
@pytest.mark.parametrize(
    ("shift", "verdict"),
    [(4.1, "better"), (4.0, "not significant"), (3.9, "not significant"), (-4.1, "worse")],
)
def test_intervals_must_not_overlap_nor_touch(shift: float, verdict: str) -> None:
    values = [1 + shift, 2 + shift, 3 + shift]
    assert compare(values, [1.0, 2.0, 3.0]).verdict == verdict


def test_an_error_that_falls_is_better() -> None:
    assert compare([0.1, 0.11], [0.5, 0.51], direction="lower").verdict == "better"
    assert compare([0.5, 0.51], [0.1, 0.11], direction="lower").verdict == "worse"


def test_the_verdict_is_mirrored_when_the_sides_change() -> None:
    assert compare([9.0, 9.1], [1.0, 1.1]).verdict == "better"
    assert compare([1.0, 1.1], [9.0, 9.1]).verdict == "worse"


@pytest.mark.parametrize(("ours", "theirs"), [([0.9], [0.1, 0.2]), ([0.8, 0.9], [0.1]), ([], [])])
def test_one_seed_says_nothing(ours: list[float], theirs: list[float]) -> None:
    result = compare(ours, theirs)
    assert result.verdict == "too few seeds"
    assert math.isnan(result.margin)


def test_values_that_were_not_measured_are_no_seeds() -> None:
    result = compare([0.9, math.nan], [0.1, 0.2, math.inf])
    assert (result.seeds, result.baseline_seeds, result.mean) == (1, 2, 0.9)
    assert result.verdict == "too few seeds"
