"""Can it be foretold? Cheap guesses of what helps, held against what was measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FEWEST", "Foretold", "foretold", "rank_interval"]

FEWEST = 5
"""Candidates below which a rank correlation says nothing: of four, even a perfect one is chance in
one of twelve cases, whichever its sign."""

_NORMAL = 1.959963984540054
"""The 97.5 % point of a normal distribution."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Foretold:
    """How a guess compares with measured gains, over the candidates that have both.

    Attributes:
        n: how many there are.
        rho: Spearman's rank correlation; NaN where all guesses are equal.
        low: lower end of its 95 % interval, see ``rank_interval``.
        high: its upper end.
        picked: the candidate with the highest guess.
        best: the one with the highest measured gain.
        regret: what trusting the guess loses: the gain of the best minus that of the picked.
        r2: R², the share of the gains' variance that a straight line on the guess explains, which
            is Pearson's r squared; NaN where all guesses, or all gains, are equal.
        r2_low: lower end of its 95 % interval: the least r² of any r in Fisher's interval of r,
            0 where that holds 0; NaN where all points lie on a line, of which Fisher's z says
            nothing.
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
    low, high = rank_interval(rho, len(names))
    r = _r(guessed, gained) if varied else math.nan
    ends = _interval(r, len(names))
    least, most = sorted(end**2 for end in ends)
    picked = names[int(np.argmax(guessed))]
    best = names[int(np.argmax(gained))]
    regret = gains[best] - gains[picked]
    explained = (r**2, 0.0 if ends[0] * ends[1] < 0 else least, most)
    return Foretold(len(names), rho, low, high, picked, best, regret, *explained)


def rank_interval(rho: float, n: int) -> tuple[float, float]:
    """The 95 % interval of Spearman's ρ over n pairs, of which there are more than 3.

    By Fisher's z with the standard deviation √((1 + ρ² / 2) / (n − 3)) of Bonett & Wright (2000),
    each end from half a step beyond ρ. Without ties ρ = 1 − 6 Σd² / (n³ − n), where Σd² is even:
    its steps are 12 / (n³ − n), wide where n is small, and a perfect order, which few pairs have by
    chance, leaves room for a less than perfect one. So the end on the side of 0 never reaches ±1.

    On normal pairs whose Pearson correlation is 0, .5 and .9 it covers 98, 99 and 99 % at n = 5,
    96, 96 and 95 % at n = 10 and 96, 96 and 95 % at n = 20. Without the half steps a perfect order
    had no interval but itself, and 75 % were covered at n = 5 and .9.

    >>> low, high = rank_interval(1.0, 5)
    >>> round(low, 2), high
    (0.16, 1.0)
    """
    if math.isnan(rho):
        return math.nan, math.nan
    half = 6 / (n**3 - n)
    return _end(rho - half, n, -1), _end(rho + half, n, 1)


def _end(rho: float, n: int, side: int) -> float:
    """The end of the interval of a rank correlation below it (side −1) or above it (1)."""
    if abs(rho) > 1 - 1e-12:
        return math.copysign(1.0, rho)
    return math.tanh(math.atanh(rho) + side * _NORMAL * math.sqrt((1 + rho**2 / 2) / (n - 3)))


def _r(one: Sequence[float] | Array, other: Sequence[float] | Array) -> float:
    """Pearson's correlation; of values whose spread is rounding only, NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(one, other)[0, 1])


def _interval(r: float, n: int) -> tuple[float, float]:
    """Fisher's 95 % interval of Pearson's r; NaN for points on a line, where z is infinite."""
    if math.isnan(r) or abs(r) > 1 - 1e-12:
        return math.nan, math.nan
    reach = _NORMAL / math.sqrt(n - 3)
    return math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
