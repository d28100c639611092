"""Comparisons: what is paired, what decides, and what the paper's rule says beside it."""

import math

import pytest
from scipy import stats

from mtl_core.analysis import Comparison, compare, judged, seeds_needed

THREE = (0, 1, 2)


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
def test_by_the_papers_rule_bands_must_not_overlap_nor_touch(shift: float, verdict: str) -> None:
    values = [1 + shift, 2 + shift, 3 + shift]
    assert compare(values, [1.0, 2.0, 3.0]).paper == verdict


@pytest.mark.parametrize(
    # Differences shift − 1, shift, shift + 1: the interval is shift ± 4.3027 / √3 = 2.484.
    ("shift", "verdict"),
    [(2.49, "better"), (2.48, "not significant"), (-2.48, "not significant"), (-2.49, "worse")],
)
def test_the_paired_interval_decides(shift: float, verdict: str) -> None:
    values = [100 + shift - 1, 200 + shift, 300 + shift + 1]
    found = compare(values, [100, 200, 300], seeds=THREE, baseline_seeds=THREE)
    assert found.verdict == verdict
    assert found.pairs == 3
    assert (found.low, found.high) == pytest.approx((shift - 2.4841, shift + 2.4841), abs=1e-4)
    assert found.paper == "not significant", "the bands are 400 wide"
    # Seeds are matched by their numbers, in whatever order they come.
    turned = compare(values, [300, 100, 200], seeds=THREE, baseline_seeds=(2, 0, 1))
    assert turned == found
    # Without the pairing nothing is known: it is Welch's.
    assert compare(values, [100, 200, 300]).verdict == "not significant"


def test_an_error_that_falls_is_better() -> None:
    assert compare([0.1, 0.11], [0.5, 0.51], direction="lower").paper == "better"
    assert compare([0.5, 0.51], [0.1, 0.11], direction="lower").paper == "worse"
    three = [0.10, 0.11, 0.12], [0.5, 0.51, 0.53]
    assert compare(*three, direction="lower").verdict == "better"
    assert compare(*three[::-1], direction="lower").verdict == "worse"


def test_the_verdict_is_mirrored_when_the_sides_change() -> None:
    high, low = [9.0, 9.1, 9.3], [1.0, 1.1, 1.2]
    for names in ({}, {"seeds": THREE, "baseline_seeds": THREE}):
        up, down = compare(high, low, **names), compare(low, high, **names)
        assert (up.verdict, up.paper) == ("better", "better")
        assert (down.verdict, down.paper) == ("worse", "worse")
        assert (up.low, up.high) == pytest.approx((-down.high, -down.low))
        assert up.p == down.p


@pytest.mark.parametrize(("ours", "theirs"), [([0.9], [0.1, 0.2]), ([0.8, 0.9], [0.1]), ([], [])])
def test_one_seed_says_nothing(ours: list[float], theirs: list[float]) -> None:
    result = compare(ours, theirs)
    assert result.verdict == result.paper == "too few seeds"
    assert math.isnan(result.margin)
    assert math.isnan(result.low)
    assert result.more_seeds is None


def test_values_that_were_not_measured_are_no_seeds() -> None:
    result = compare([0.9, math.nan], [0.1, 0.2, math.inf])
    assert (result.seeds, result.baseline_seeds, result.mean) == (1, 2, 0.9)
    assert result.verdict == "too few seeds"


def test_a_pair_with_an_unmeasured_side_is_no_pair() -> None:
    ours, theirs = [5.0, 7.0, math.nan, 9.0], [1.0, 2.0, 3.0, 6.0]
    result = compare(ours, theirs, seeds=range(4), baseline_seeds=range(4))
    assert (result.pairs, result.seeds, result.baseline_seeds) == (3, 3, 4)
    expected = stats.ttest_rel([5, 7, 9], [1, 2, 6])
    assert result.p == pytest.approx(expected.pvalue)
    assert result.delta == pytest.approx(4.0)
    assert result.baseline_mean == pytest.approx(3.0), "of the pairs"


def test_three_seeds_in_common_are_compared_one_by_one_and_others_left_out() -> None:
    ours = {0: 5.0, 1: 6.5, 2: 7.0, 3: 100.0, 4: -100.0}
    theirs = {2: 3.0, 0: 1.0, 1: 2.0, 7: 1000.0}
    result = compare(
        ours.values(), theirs.values(), seeds=tuple(ours), baseline_seeds=tuple(theirs)
    )
    assert (result.pairs, result.seeds, result.baseline_seeds) == (3, 5, 4)
    assert result.delta == pytest.approx((4 + 4.5 + 4) / 3)
    assert result.p == pytest.approx(stats.ttest_rel([5, 6.5, 7], [1, 2, 3]).pvalue)
    # The paper's rule knows no pairs: all of a side's seeds count.
    assert result.baseline_sd == pytest.approx(stats.tstd(list(theirs.values())))
    assert result.paper == "not significant"


def test_two_seeds_in_common_are_compared_one_by_one_where_they_are_all_of_a_side() -> None:
    ours, theirs = [5.0, 6.5, 9.0, 4.0], [1.0, 2.0]
    result = compare(ours, theirs, seeds=range(4), baseline_seeds=(0, 1))
    assert result.pairs == 2
    assert result.delta == pytest.approx(4.25)


@pytest.mark.parametrize(
    ("seeds", "baseline_seeds"), [((0, 1, 2), (1, 2, 3)), ((0, 1, 2), (3, 4, 5))]
)
def test_fewer_in_common_pair_nothing(
    seeds: tuple[int, ...], baseline_seeds: tuple[int, ...]
) -> None:
    result = compare([5.0, 6.5, 9.0], [1.0, 2.0, 4.0], seeds=seeds, baseline_seeds=baseline_seeds)
    assert result.pairs == 0
    assert result.delta == pytest.approx(20.5 / 3 - 7 / 3)
    unpaired = stats.ttest_ind([5, 6.5, 9], [1, 2, 4], equal_var=False)
    assert result.p == pytest.approx(2 * stats.t.sf(unpaired.statistic, 2))


def test_equal_differences_are_significant_from_six_pairs_on() -> None:
    """A metric that counts examples can differ by the same few in every seed."""
    for count, verdict in ((5, "not significant"), (6, "better")):
        base = [0.5, 0.6, 0.7, 0.55, 0.65, 0.75][:count]
        result = compare(
            [value + 0.25 for value in base],
            base,
            seeds=range(count),
            baseline_seeds=range(count),
        )
        assert result.p == 2.0 ** (1 - count)
        assert result.verdict == verdict


def test_how_many_more_seeds_would_settle_it() -> None:
    # Differences 0, 1, 2: mean 1, SD 1.
    found = compare([1.0, 3.0, 5.0], [1.0, 2.0, 3.0], seeds=THREE, baseline_seeds=THREE)
    assert found.verdict == "not significant"
    needed = seeds_needed(1.0, 1.0)
    assert needed is not None
    assert found.more_seeds == needed - 3
    settled = compare([11.0, 13.0, 15.0], [1.0, 2.0, 3.0], seeds=THREE, baseline_seeds=THREE)
    assert settled.verdict == "better"
    assert settled.more_seeds is None
    unpaired = compare([1.0, 3.0, 5.0, 3.0], [1.0, 2.0, 3.0])
    needed = seeds_needed(1.0, unpaired.spread)
    assert needed is not None
    assert unpaired.spread == pytest.approx(math.sqrt(8 / 3 + 1))
    assert unpaired.more_seeds == needed - 3, "of the smaller side"


def test_a_family_is_judged_with_holms_correction() -> None:
    def one(shift: float) -> Comparison:
        values = [100 + shift - 1, 200 + shift, 300 + shift + 1]
        return compare(values, [100, 200, 300], seeds=THREE, baseline_seeds=THREE)

    few = compare([1.0], [2.0])
    alone = [one(3.0), None, one(6.0), few, one(0.0)]
    assert [each.verdict if each else None for each in alone] == [
        "better",
        None,
        "better",
        "too few seeds",
        "not significant",
    ]
    found = judged(alone)
    # p = 1 − t / √(2 + t²) with t = √3 shift: .0351, .0091, 1; times 2, 3, 1.
    assert found[0].p == pytest.approx(2 * alone[0].p)
    assert found[2].p == pytest.approx(3 * alone[2].p)
    assert found[4].p == 1.0
    assert [each.verdict if each else None for each in found] == [
        "not significant",
        None,
        "better",
        "too few seeds",
        "not significant",
    ]
    assert [each.family if each else None for each in found] == [3, None, 3, 1, 3]
    # The interval stays that of the comparison alone, and so does the paper's verdict.
    assert (found[0].low, found[0].paper) == (alone[0].low, alone[0].paper)
    assert judged([]) == []
