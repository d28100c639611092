import math

import numpy as np
import pytest
from scipy import stats

from mtl_core.analysis.foretelling import foretold

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


def test_what_says_nothing_is_left_out() -> None:
    gains = dict(zip(NAMES, map(float, range(12)), strict=True))
    assert foretold({name: gains[name] for name in NAMES[:4]}, gains) is None
    equal = foretold(dict.fromkeys(NAMES, 1.0), gains)
    assert equal is not None
    assert math.isnan(equal.rho)
    perfect = foretold(gains, gains)
    assert perfect is not None
    assert (perfect.rho, perfect.regret) == (pytest.approx(1), 0)
    assert foretold(gains | {"t0": math.nan}, gains).n == 11  # type: ignore[union-attr]
