"""Power: against simulation, against the level itself, and against SciPy's noncentral t."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special, stats

from mtl_core.analysis import (
    LEVEL,
    compare,
    correlate,
    detectable,
    detectable_r,
    judged,
    power,
    sets_for_little,
    smallest,
)
from mtl_core.analysis.correlation import _fisher

TRIALS = 40_000


def found(differences: np.ndarray, family: int) -> float:
    """How often a paired t test at the level of the strictest of a family finds a difference."""
    n = differences.shape[-1]
    t = differences.mean(axis=-1) / (differences.std(axis=-1, ddof=1) / n**0.5)
    return float((2 * special.stdtr(n - 1, -np.abs(t)) < LEVEL / family).mean())


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("family", [1, 3, 20])
def test_eight_of_ten_simulated_runs_find_the_smallest_difference(seeds: int, family: int) -> None:
    generator = np.random.default_rng(seeds * family)
    noise = 2.5 * generator.normal(size=(TRIALS, seeds))
    size = smallest(2.5 / seeds**0.5, seeds - 1, family)
    assert found(noise + size, family) == pytest.approx(0.8, abs=4 * (0.16 / TRIALS) ** 0.5)
    assert found(noise + size / 2, family) < 0.6


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 40])
@pytest.mark.parametrize("family", [1, 7])
def test_without_a_difference_it_is_the_level(freedom: int, family: int) -> None:
    assert power(0.0, freedom, family) == pytest.approx(LEVEL / family, rel=0.01)


def test_it_is_scipy_s_noncentral_t_where_that_is_defined() -> None:
    for freedom, noncentrality in ((2, 3.0), (4, 5.0), (9, 1.5)):
        critical = stats.t.ppf(1 - LEVEL / 2, freedom)
        theirs = stats.nct.sf(critical, freedom, noncentrality)
        theirs += stats.nct.cdf(-critical, freedom, noncentrality)
        assert power(noncentrality, freedom) == pytest.approx(theirs, abs=1e-5)


def test_a_comparison_is_read_at_the_level_that_it_was_judged_at() -> None:
    seeds = (0, 1, 2)
    ones = [
        compare([1 + a, 2, 3 - a], [1, 2, 3], seeds=seeds, baseline_seeds=seeds) for a in (1, 2)
    ]
    alone, together = detectable(ones[0]), detectable(judged(ones)[0])
    assert ones[0].spread == pytest.approx(1.0)
    assert alone == pytest.approx(smallest(1 / 3**0.5, 2))
    assert together == pytest.approx(smallest(1 / 3**0.5, 2, 2))
    assert alone < together


def test_sides_without_common_seeds_have_welch_s_error() -> None:
    one = compare([1.0, 2.0, 3.0], [1.0, 3.0])
    assert detectable(one) == pytest.approx(smallest((1 / 3 + 2 / 2) ** 0.5, 1))


def test_what_has_no_spread_or_too_few_seeds_says_nothing() -> None:
    same = compare([2.0, 2.0], [1.0, 1.0], seeds=(0, 1), baseline_seeds=(0, 1))
    assert math.isnan(detectable(same))
    assert math.isnan(detectable(compare([2.0], [1.0])))
    assert math.isnan(detectable(compare([], [1.0, 2.0])))


@pytest.fixture
def correlated() -> Callable[[float, int, int], float]:
    """How often a correlation of so many points is found."""

    def rate(r: float, points: int, family: int) -> float:
        generator = np.random.default_rng(points)
        x, rest = generator.normal(size=(2, TRIALS, points))
        y = r * x + (1 - r * r) ** 0.5 * rest
        x, y = (each - each.mean(axis=1, keepdims=True) for each in (x, y))
        seen = (x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
        t = seen * np.sqrt((points - 2) / (1 - seen**2))
        return float((2 * special.stdtr(points - 2, -np.abs(t)) < LEVEL / family).mean())

    return rate


@pytest.mark.parametrize(("points", "family"), [(20, 1), (20, 9), (80, 3)])
def test_eight_of_ten_simulated_sets_find_the_smallest_correlation(
    correlated, points: int, family: int
) -> None:
    some = correlate(np.arange(points), np.arange(points) % 3)
    assert some is not None
    assert correlated(detectable_r(some, family), points, family) == pytest.approx(0.8, abs=0.03)


def test_how_many_sets_little_takes() -> None:
    for held in (0, 1):
        sets = sets_for_little(held)
        assert sets == 44 + held
        assert _fisher(0.0, sets - held)[1] < 0.3 < _fisher(0.0, sets - held - 1)[1]
