"""Can it be foretold? Cheap guesses of what helps, held against what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FEWEST", "Foretold", "foretold"]

FEWEST = 5
"""Candidates below which a rank correlation says nothing."""

Array = npt.NDArray[Any]


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
        r2: R², the share of the gains' variance that a straight line on the guess explains, which
            is Pearson's r squared; NaN where all guesses, or all gains, are equal.
        r2_low: lower end of its 95 % interval: the least r² of any r in Fisher's interval of r,
            0 where that holds 0.
        r2_high: its upper end, the largest.
    """

    n: int
    rho: float
    low: float
    high: float
    picked: str
    best: str
    regret: float
    r2: float
    r2_low: float
    r2_high: float


def foretold(guesses: Mapping[str, float], gains: Mapping[str, float]) -> Foretold | None:
    """Hold guesses (higher for what should help more) against measured gains.

    Returns:
        None with fewer than ``FEWEST`` candidates that have both, finite.

    >>> gains = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 3.0, "e": 4.0}
    >>> found = foretold({"a": 1, "b": 2, "c": 3, "d": 5, "e": 4}, gains)
    >>> round(found.rho, 3), found.picked, found.regret, round(found.r2, 3)
    (0.9, 'd', 1.0, 0.81)
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
    varied = len(set(guessed)) > 1 and len(set(gained)) > 1
    rho = _r(stats.rankdata(guessed), stats.rankdata(gained)) if varied else math.nan
    # The error of z is that of Bonett & Wright for ranks, and Fisher's for the values.
    low, high = _interval(rho, (1 + rho**2 / 2) / (len(names) - 3))
    r = _r(guessed, gained) if varied else math.nan
    ends = _interval(r, 1 / (len(names) - 3))
    least, most = sorted(end**2 for end in ends)
    picked = names[int(np.argmax(guessed))]
    best = names[int(np.argmax(gained))]
    regret = gains[best] - gains[picked]
    explained = (r**2, 0.0 if ends[0] * ends[1] < 0 else least, most)
    return Foretold(len(names), rho, low, high, picked, best, regret, *explained)


def _r(one: Sequence[float] | Array, other: Sequence[float] | Array) -> float:
    """Pearson's correlation; of values whose spread is rounding only, NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(one, other)[0, 1])


def _interval(r: float, variance: float) -> tuple[float, float]:
    """The 95 % interval of a correlation whose z = artanh r has this variance."""
    if math.isnan(r) or abs(r) > 1 - 1e-12:
        return r, r
    reach = 1.959963984540054 * math.sqrt(variance)
    return math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
