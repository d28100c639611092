"""Power: how small a difference or a correlation may be that the runs here would still find.

Derivations. Differences of n pairs with mean m and standard deviation s have t = √n m / s, a
noncentral t with noncentrality δ = √n Δ / s where Δ is the true difference. It is found where |t|
is above c = t(1 − α/2, n − 1). With V a χ² of n − 1 degrees of freedom, that has the probability
E[Φ(δ − c √(V / (n − 1)))] + E[Φ(−δ − c √(V / (n − 1)))], computed here by quadrature over V's
quantiles: SciPy's noncentral t is NaN at some critical values of many comparisons of three seeds. α
is 5 % over the number of comparisons judged together, which Holm asks of the smallest p.

s is the spread that was seen, which is uncertain itself: with three seeds by a factor of two.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mtl_core.analysis.conflict import LITTLE
from mtl_core.analysis.correlation import Correlation
from mtl_core.analysis.intervals import LEVEL, POWER
from mtl_core.analysis.significance import Comparison

__all__ = ["detectable", "detectable_r", "power", "sets_for_little", "smallest"]

QUANTILES = (np.arange(4_000) + 0.5) / 4_000
"""At whose middles V is read."""


def detectable(found: Comparison) -> float:
    """The smallest true difference that would be found with 80 % probability, in its own unit.

    At the level that the comparison was judged at, with its seeds and the spread that was seen.

    Returns:
        Above 0; NaN with too few seeds, or without any spread.
    """
    freedom = (found.pairs or min(found.seeds, found.baseline_seeds)) - 1
    if found.pairs:
        error = found.spread / math.sqrt(found.pairs)
    elif freedom >= 1:
        error = math.hypot(
            found.sd / math.sqrt(found.seeds), found.baseline_sd / math.sqrt(found.baseline_seeds)
        )
    else:
        return math.nan
    return smallest(error, freedom, found.family)


def smallest(error: float, freedom: int, family: int = 1) -> float:
    """The smallest true difference that a t test finds with 80 % probability.

    Args:
        error: the standard error of the difference.
        freedom: degrees of freedom.
        family: how many comparisons are judged together.

    Returns:
        NaN for an error that is 0 or not known.
    """
    return error * _needed(freedom, family) if error > 0 else math.nan


def power(noncentrality: float, freedom: int, family: int = 1) -> float:
    """The probability that a t test finds a difference.

    Args:
        noncentrality: the true difference over its standard error.
        freedom: degrees of freedom.
        family: how many comparisons are judged together.
    """
    from scipy import special  # type: ignore[import-untyped, unused-ignore]  # not while importing

    critical = float(special.stdtrit(freedom, 1 - LEVEL / family / 2))
    reach = critical * _spreads(freedom)
    found = special.ndtr(noncentrality - reach) + special.ndtr(-noncentrality - reach)
    return float(found.mean())


def detectable_r(found: Correlation, family: int = 1) -> float:
    """The smallest true |r| that would be found with 80 % probability over as many points.

    By Fisher's z, whose standard deviation is 1 / √(n − 3 − k) where k quantities are held fixed.

    Returns:
        NaN with too few points.
    """
    from scipy import special

    if found.n - 3 - found.held < 1:
        return math.nan
    reach = special.ndtri(1 - LEVEL / family / 2) + special.ndtri(POWER)
    return math.tanh(float(reach) / math.sqrt(found.n - 3 - found.held))


def sets_for_little(held: int) -> int:
    """How many points it takes for the interval of r = 0 to lie within ±.3.

    Args:
        held: how many quantities are held fixed.
    """
    return 3 + held + math.ceil((1.959963984540054 / math.atanh(LITTLE)) ** 2)


@lru_cache(maxsize=64)
def _spreads(freedom: int) -> npt.NDArray[np.float64]:
    """√(V / freedom) at the quantiles: the spread that is seen, over the true one."""
    from scipy import special

    found: npt.NDArray[np.float64] = np.sqrt(
        2 * special.gammaincinv(freedom / 2, QUANTILES) / freedom
    )
    return found


@lru_cache(maxsize=1_024)
def _needed(freedom: int, family: int) -> float:
    """The noncentrality that is found with 80 % probability."""
    from scipy import optimize, special

    critical = float(special.stdtrit(freedom, 1 - LEVEL / family / 2))
    needed: float = optimize.brentq(
        lambda tried: power(tried, freedom, family) - POWER, 0, 3 * critical + 10
    )
    return needed
