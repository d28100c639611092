"""Intervals against scipy, Holm's correction by hand, sample sizes against the noncentral t."""

import math

import numpy as np
import pytest
from scipy import stats

from mtl_core.analysis import MOST_NEEDED, holm, seeds_needed
from mtl_core.analysis.intervals import paired, welch


@pytest.mark.parametrize("count", [2, 3, 5, 10])
@pytest.mark.parametrize("shift", [0.0, 1.0, -30.0])
def test_a_paired_interval_is_scipys(count: int, shift: float) -> None:
    ours, theirs = np.random.default_rng(count).normal(size=(2, count))
    ours += shift
    found = paired(ours - theirs)
    expected = stats.ttest_rel(ours, theirs)
    ends = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.freedom == count - 1
    assert found.spread == pytest.approx(np.std(ours - theirs, ddof=1))


def test_a_paired_interval_by_hand() -> None:
    # Mean 2, SD 1, standard error 1/√3, t(.975, 2) = 4.3027; p of t = 2√3 is 2 (1 − F).
    found = paired([1.0, 2.0, 3.0])
    assert (found.low, found.high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    # With 2 degrees of freedom F(t) = 1/2 + t / (2 √(2 + t²)).
    assert found.p == pytest.approx(1 - 2 * 3**0.5 / (2 + 12) ** 0.5)


@pytest.mark.parametrize(("count", "others"), [(2, 2), (2, 5), (3, 10), (10, 3), (5, 5), (10, 10)])
@pytest.mark.parametrize("ratio", [1.0, 10.0])
def test_an_unpaired_interval_is_welchs_with_the_smaller_sides_freedom(
    count: int, others: int, ratio: float
) -> None:
    generator = np.random.default_rng(100 * count + others)
    ours, theirs = ratio * generator.normal(1, 1, count), generator.normal(0, 1, others)
    found = welch(ours, theirs)
    expected = stats.ttest_ind(ours, theirs, equal_var=False)
    ends = expected.confidence_interval(0.95)
    # Welch's statistic and standard error, at n - 1.
    freedom = min(count, others) - 1
    assert found.freedom == freedom
    assert found.p == pytest.approx(2 * stats.t.sf(abs(expected.statistic), freedom))
    stretch = stats.t.ppf(0.975, freedom) / stats.t.ppf(0.975, expected.df)
    delta = ours.mean() - theirs.mean()
    assert found.high - delta == pytest.approx(stretch * (ends.high - delta))
    assert found.low - delta == pytest.approx(stretch * (ends.low - delta))
    # Never more is claimed than by Welch's own degrees of freedom, and with many values the same.
    assert stretch >= 1
    assert found.p >= expected.pvalue
    many = welch(generator.normal(0, 1, 4_000), generator.normal(0, 1, 4_000))
    assert many.high - many.low == pytest.approx(2 * 1.96 * (2 / 4_000) ** 0.5, rel=0.05)


@pytest.mark.parametrize("count", range(2, 9))
def test_equal_differences_count_as_so_many_signs(count: int) -> None:
    found = paired([0.25] * count)
    assert found.p == 2.0 ** (1 - count)
    assert found.spread == 0
    if count >= 6:  # 2^-5 is 3 %
        assert (found.low, found.high) == (0.25, 0.25)
    else:
        assert (found.low, found.high) == (-math.inf, math.inf)
    # Rounding is no spread.
    rounded = paired([0.1 + 0.2, *[0.3] * (count - 1)])
    assert rounded.p == found.p


@pytest.mark.parametrize("count", [2, 6, 10])
def test_no_difference_at_all_is_no_difference(count: int) -> None:
    found = paired([0.0] * count)
    assert (found.low, found.high, found.p) == (0.0, 0.0, 1.0)
    assert welch([0.5] * count, [0.5] * count).p == 1.0


def test_sides_without_spread_count_as_the_smaller_sides_signs() -> None:
    assert welch([0.9] * 7, [0.5] * 6).p == 2.0**-5
    assert welch([0.9] * 7, [0.5] * 3).p == 0.25


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_value_has_no_interval(values: list[float]) -> None:
    for found in (paired(values), welch(values, [1.0, 2.0]), welch([1.0, 2.0], values)):
        assert all(map(math.isnan, (found.low, found.high, found.p, found.spread)))


def test_holm_by_hand() -> None:
    # Sorted .005, .011, .02, .04: times 4, 3, 2, 1 are .02, .033, .04, .04.
    assert holm([0.02, 0.005, 0.04, 0.011]) == pytest.approx([0.04, 0.02, 0.04, 0.033])
    # Never below a smaller p's, and never above 1: .01 · 3, then .02 · 2 = .04, then .9.
    assert holm([0.9, 0.02, 0.01]) == pytest.approx([0.9, 0.04, 0.03])
    assert holm([0.03, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([0.04]) == [0.04]
    assert holm([]) == []


def test_what_is_not_known_is_not_judged() -> None:
    found = holm([math.nan, 0.03, math.nan, 0.01])
    assert found[1] == pytest.approx(0.03)
    assert found[3] == pytest.approx(0.02)
    assert math.isnan(found[0])
    assert math.isnan(found[2])


def power(seeds: int, effect: float) -> float:
    """Of the two-sided paired t test at 5 %, for an effect in SDs of the difference."""
    critical = stats.t.ppf(0.975, seeds - 1)
    return float(
        stats.nct.sf(critical, seeds - 1, effect * seeds**0.5)
        + stats.nct.cdf(-critical, seeds - 1, effect * seeds**0.5)
    )


@pytest.mark.parametrize(
    # Pairs for 80 % power by the noncentral t distribution, as G*Power and statsmodels have them.
    ("effect", "exact"),
    [(0.5, 34), (1.0, 10), (1.5, 6), (2.0, 5), (3.0, 4)],
)
def test_seeds_needed_is_what_the_noncentral_t_says(effect: float, exact: int) -> None:
    assert power(exact, effect) >= 0.8 > power(exact - 1, effect)
    found = seeds_needed(effect, 1.0)
    assert found is not None
    assert abs(found - exact) <= 1, "the t quantiles' sum is within a seed of it"
    assert seeds_needed(-10 * effect, 10.0) == found


def test_seeds_needed_by_hand() -> None:
    # t(.975) + t(.8) is 2.5706 + .9195 with 5 degrees of freedom, 2.7764 + .9410 with 4: for a
    # difference of 1.5 SD these take (3.4901 / 1.5)² = 5.41 ≤ 6 and (3.7174 / 1.5)² = 6.14 > 5.
    assert seeds_needed(1.5, 1.0) == 6


def test_seeds_needed_at_its_ends() -> None:
    assert seeds_needed(1.0, 0.0) == 2
    assert seeds_needed(0.01, 1.0) == MOST_NEEDED
    for delta, spread in ((0.0, 1.0), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0)):
        assert seeds_needed(delta, spread) is None
