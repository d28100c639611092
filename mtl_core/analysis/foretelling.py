"""Can it be foretold? Cheap guesses of what helps, held against what was measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["FEWEST", "Foretold", "foretold"]

FEWEST = 5
"""Candidates below which a rank correlation says nothing."""


@dataclass(frozen=True)
class Foretold:
    """How a guess compares with measured gains, over the candidates that have both.

    Attributes:
        n: how many there are.
        rho: Spearman's rank correlation; NaN where all guesses are equal.
        low: lower end of its 95 % interval, by Fisher's z with the standard deviation
            √((1 + ρ² / 2) / (n − 3)) of Bonett & Wright (2000); −1 and 1 are exact.
        high: its upper end.
        picked: the candidate with the highest guess.
        best: the one with the highest measured gain.
        regret: what trusting the guess loses: the gain of the best minus that of the picked.
    """

    n: int
    rho: float
    low: float
    high: float
    picked: str
    best: str
    regret: float


def foretold(guesses: Mapping[str, float], gains: Mapping[str, float]) -> Foretold | None:
    """Hold guesses (higher for what should help more) against measured gains.

    Returns:
        None with fewer than ``FEWEST`` candidates that have both, finite.

    >>> gains = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0, "e": 4.0}
    >>> found = foretold({"a": 1, "b": 2, "c": 3, "d": 5, "e": 4}, gains)
    >>> round(found.rho, 3), found.picked, found.regret
    (0.9, 'd', 1.0)
    """
    from scipy import stats  # type: ignore[import-untyped, unused-ignore]  # not while importing

    names = [
        name
        for name in gains
        if math.isfinite(guesses.get(name, math.nan)) and math.isfinite(gains[name])
    ]
    if len(names) < FEWEST:
        return None
    guessed, gained = [guesses[name] for name in names], [gains[name] for name in names]
    if len(set(guessed)) > 1 and len(set(gained)) > 1:
        rho = float(np.corrcoef(stats.rankdata(guessed), stats.rankdata(gained))[0, 1])
    else:
        rho = math.nan
    low, high = _interval(rho, len(names))
    picked = names[int(np.argmax(guessed))]
    best = names[int(np.argmax(gained))]
    return Foretold(len(names), rho, low, high, picked, best, gains[best] - gains[picked])


def _interval(rho: float, n: int) -> tuple[float, float]:
    if math.isnan(rho) or abs(rho) > 1 - 1e-12:
        return rho, rho
    reach = 1.959963984540054 * math.sqrt((1 + rho**2 / 2) / (n - 3))
    return math.tanh(math.atanh(rho) - reach), math.tanh(math.atanh(rho) + reach)
