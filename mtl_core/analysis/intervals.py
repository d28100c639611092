"""Student's intervals for a difference of means, and Holm's correction for several of them.

Derivations. With n pairs of differences d of mean m and sample standard deviation s, m lies
within ``t(.975, n − 1) s / √n`` of the true mean in 95 % of all cases where d is normal. Where
nothing pairs, Welch's standard error ``√(s₁²/n₁ + s₂²/n₂)`` comes with n − 1 degrees of freedom, n
being the smaller side's size (Hsu 1938). Welch's own degrees of freedom are too many for few
values: with 2 values of the larger spread against 10 there are 12 % false positives, with 2
against 3 there are 9 %. With n − 1 there never are more than 5 % (Mickey & Brown 1966).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["LEVEL", "MOST_NEEDED", "Interval", "holm", "paired", "seeds_needed", "welch"]

LEVEL = 0.05
"""A difference counts where its p, corrected for the others of its family, is below this."""
POWER = 0.8
"""With which ``seeds_needed`` would find a difference as large as the one that was seen."""
MOST_NEEDED = 1_000


@dataclass(frozen=True)
class Interval:
    """An interval for a difference of means, of 95 % unless another level was asked for.

    Attributes:
        low: its lower end; NaN with fewer than two values a side.
        high: its upper end.
        p: two-sided p of no difference.
        spread: standard deviation of the difference between one value of each side.
        freedom: degrees of freedom.
    """

    low: float
    high: float
    p: float
    spread: float
    freedom: float


def paired(differences: Sequence[float], level: float = LEVEL) -> Interval:
    """The interval of a mean difference from the differences of pairs.

    Args:
        level: the chance that it leaves out the true mean; smaller where several intervals are to
            hold together.

    Differences that are all equal have no spread that could be estimated, as happens with metrics
    that count a few examples. They count as so many signs: p is 2^(1 − n), and the interval has
    no ends until that is below 5 %, from six pairs on.
    """
    values = np.asarray(differences, dtype=float)
    if values.size < 2:
        return _unknown()
    spread = float(np.std(values, ddof=1))
    error = spread / math.sqrt(values.size)
    return _interval(float(values.mean()), error, values.size - 1, spread, values.size, level)


def welch(values: Sequence[float], others: Sequence[float]) -> Interval:
    """The interval of a difference of means whose sides have no value in common.

    Welch's, with the degrees of freedom of the smaller side.
    """
    sides = [np.asarray(side, dtype=float) for side in (values, others)]
    least = min(side.size for side in sides)
    if least < 2:
        return _unknown()
    squares = [float(np.var(side, ddof=1)) / side.size for side in sides]
    spread = math.sqrt(sum(float(np.var(side, ddof=1)) for side in sides))
    delta = float(sides[0].mean() - sides[1].mean())
    return _interval(delta, math.sqrt(sum(squares)), least - 1, spread, least)


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for being judged together (Holm 1979).

    The chance that any true null hypothesis of the family has a corrected p below 5 % is at most
    5 %, however they depend on each other.

    Args:
        p: of each hypothesis; NaN where nothing is known, which is not judged.

    Returns:
        In the same order, at most 1; NaN stays NaN.
    """
    known = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    corrected = [math.nan] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, value * (len(known) - rank)))
        corrected[place] = highest
    return corrected


@lru_cache(maxsize=1_024)
def seeds_needed(delta: float, spread: float) -> int | None:
    """How many seeds find a difference of this size, with 80 % power at the 5 % level.

    The smallest n with ``n ≥ ((t(.975, n − 1) + t(.8, n − 1)) spread / delta)²``, of pairs or of
    values a side.

    Returns:
        None where nothing can be said; at most 1,000, which stands for more too.
    """
    if not (math.isfinite(delta) and math.isfinite(spread)) or delta == 0:
        return None
    for seeds in range(2, MOST_NEEDED):
        reach = _t(1 - LEVEL / 2, seeds - 1) + _t(POWER, seeds - 1)
        if seeds >= (reach * spread / delta) ** 2:
            return seeds
    return MOST_NEEDED


def _interval(
    delta: float, error: float, freedom: float, spread: float, count: int, level: float = LEVEL
) -> Interval:
    from scipy import special  # type: ignore[import-untyped, unused-ignore]  # not while importing

    # Spread below the rounding of the values themselves is none.
    if error <= 1e-12 * abs(delta):
        p = 1.0 if delta == 0 else 2.0 ** (1 - count)
        reach = 0.0 if delta == 0 or p < level else math.inf
    else:
        p = 2 * float(special.stdtr(freedom, -abs(delta) / error))
        reach = _t(1 - level / 2, freedom) * error
    return Interval(delta - reach, delta + reach, p, spread, freedom)


def _t(quantile: float, freedom: float) -> float:
    from scipy import special

    return float(special.stdtrit(freedom, quantile))


def _unknown() -> Interval:
    nan = math.nan
    return Interval(nan, nan, nan, nan, nan)
