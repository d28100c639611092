import itertools
import math

import numpy as np
import pytest
from scipy import stats

from mtl_core.analysis.foretelling import foretold, rank_interval

NAMES = [f"t{place}" for place in range(12)]


def test_the_rank_correlation_is_scipys_and_regret_is_what_the_pick_loses() -> None:
    random = np.random.default_rng(0)
    gains = dict(zip(NAMES, random.normal(size=12), strict=True))
    guessed = {name: round(gain + random.normal(), 1) for name, gain in gains.items()}
    found = foretold(guessed, gains)
    assert found is not None
    expected = stats.spearmanr([guessed[name] for name in NAMES], [gains[name] for name in NAMES])
    assert found.rho == pytest.approx(expected.statistic)
    assert found.low < found.rho < found.high
    assert found.picked == max(guessed, key=lambda name: guessed[name])
    assert found.regret == pytest.approx(max(gains.values()) - gains[found.picked])
    line = stats.linregress([guessed[name] for name in NAMES], [gains[name] for name in NAMES])
    rest = [gains[n] - line.intercept - line.slope * guessed[n] for n in NAMES]
    assert found.r2 == pytest.approx(1 - np.var(rest) / np.var([gains[n] for n in NAMES]))
    assert 0 <= found.r2_low < found.r2 < found.r2_high < 1


def test_the_interval_covers() -> None:
    """On normal pairs with ρ = .6, where Spearman's is 6/π arcsin(.3)."""
    random = np.random.default_rng(1)
    true, covered = 6 / math.pi * math.asin(0.3), 0
    for _ in range(300):
        x = random.normal(size=12)
        y = 0.6 * x + 0.8 * random.normal(size=12)
        found = foretold(dict(zip(NAMES, x, strict=True)), dict(zip(NAMES, y, strict=True)))
        assert found is not None
        covered += found.low <= true <= found.high
    assert covered >= 270


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("pearson", [0.0, 0.5, 0.9])
def test_the_interval_of_ranks_covers_at_any_number_of_candidates(n: int, pearson: float) -> None:
    """On normal pairs, whose Spearman correlation is 6/π arcsin(ρ/2): at least 95 %, less three
    standard errors of 4,000 draws, 1 %. None is empty, and ρ = 1 reaches 1 on one side only."""
    random = np.random.default_rng([n, round(10 * pearson)])
    x, noise = random.normal(size=(2, 4_000, n))
    y = pearson * x + math.sqrt(1 - pearson**2) * noise
    ranks = stats.rankdata(x, axis=1) - stats.rankdata(y, axis=1)
    rho = 1 - 6 * (ranks**2).sum(axis=1) / (n**3 - n)
    low, high = np.array([rank_interval(one, n) for one in rho]).T
    true = 6 / math.pi * math.asin(pearson / 2)
    assert np.mean((low <= true) & (true <= high)) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 4_000)
    assert (low < high).all()
    assert (low >= -1).all()
    assert (high <= 1).all()
    assert not ((low > 1 - 1e-9) | (high < -1 + 1e-9)).any()


def test_it_leaves_out_0_where_an_exact_test_does() -> None:
    """Of five: ρ = 1 and −1 in 2 of 120 orders (p = .017), but not .9 (p = .083)."""
    every = [
        1 - 6 * sum((a - b) ** 2 for a, b in enumerate(order)) / 120
        for order in itertools.permutations(range(5))
    ]
    for rho in sorted({*np.round(every, 9)}):
        p = np.mean(np.abs(every) >= abs(rho) - 1e-9)
        low, high = rank_interval(rho, 5)
        assert (low > 0 or high < 0) == (p <= 0.05), rho
        mirrored = rank_interval(-rho, 5)
        assert mirrored == pytest.approx((-high, -low))


def test_ends_are_fishers_from_half_a_step_beyond() -> None:
    """ρ = .9 of 5: half a step is .05; artanh .85 = 1.25615 and its deviation √(1.36125 / 2) =
    .82500, so tanh(1.25615 − 1.61698) = −.34594; artanh .95 = 1.83178, √(1.45125 / 2) = .85184,
    so tanh(1.83178 + 1.66958) = .99819."""
    assert rank_interval(0.9, 5) == pytest.approx((-0.34594, 0.99819), abs=1e-4)
    # Half a step of 1,000 is nothing: tanh(.54931 ∓ 1.96 √(1.125 / 997)).
    assert rank_interval(0.5, 1_000) == pytest.approx((0.44902, 0.54774), abs=1e-4)


@pytest.mark.parametrize("true", [0.0, 0.3, -0.6, 0.9])
def test_the_interval_of_what_a_line_explains_covers(true: float) -> None:
    """On normal pairs, whose R² is ρ²; at 0 it is the interval's end or above it."""
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        x = random.normal(size=12)
        y = true * x + math.sqrt(1 - true**2) * random.normal(size=12)
        found = foretold(dict(zip(NAMES, x, strict=True)), dict(zip(NAMES, y, strict=True)))
        assert found is not None
        covered += found.r2_low <= true**2 <= found.r2_high
    assert covered >= 400 * (0.95 - 3 * math.sqrt(0.05 * 0.95 / 400))


def test_a_line_that_may_be_level_explains_from_nothing_on() -> None:
    x = dict(zip(NAMES, map(float, range(12)), strict=True))
    y = dict(zip(NAMES, [0.0, 1.0] * 6, strict=True))
    found = foretold(x, y)
    assert found is not None
    r, reach = stats.pearsonr([*x.values()], [*y.values()]).statistic, 1.959963985 / 3
    ends = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    assert ends[0] < 0 < ends[1]
    assert (found.r2_low, found.r2_high) == (0, pytest.approx(max(end**2 for end in ends)))


def test_what_says_nothing_is_left_out() -> None:
    gains = dict(zip(NAMES, map(float, range(12)), strict=True))
    assert foretold({name: gains[name] for name in NAMES[:4]}, gains) is None
    equal = foretold(dict.fromkeys(NAMES, 1.0), gains)
    assert equal is not None
    assert math.isnan(equal.rho)
    assert math.isnan(equal.r2)
    perfect = foretold(gains, gains)
    assert perfect is not None
    assert (perfect.rho, perfect.regret) == (pytest.approx(1), 0)
    assert perfect.r2 == pytest.approx(1)
    assert math.isnan(perfect.r2_low), "points on a line say nothing of how sure that is"
    assert math.isnan(perfect.r2_high)
    assert foretold(gains | {"t0": math.nan}, gains).n == 11  # type: ignore[union-attr]
