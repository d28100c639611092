"""Does gradient conflict worsen optimization or predict generalization? M24's §5 and Fig. 5."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mtl_core.analysis.correlation import Correlation
from mtl_core.analysis.early import Finding
from mtl_core.analysis.intervals import LEVEL, holm

__all__ = ["FEWEST_SETS", "LITTLE", "ConflictVerdict", "conflict_verdict"]

FEWEST_SETS = 20
"""Auxiliary sets of a target, for an outcome. That a correlation is little takes more of them: with
44, or 45 given their size, the interval of r = 0 lies within ±.3."""
LITTLE = 0.3
"""A correlation of which the whole interval is nearer to 0 than this foretells next to nothing."""

Pair = tuple[str, str]


@dataclass(frozen=True)
class ConflictVerdict:
    """What correlations with gradient similarity say, one half of the claim at a time.

    Attributes:
        optimization: ``agree`` where similarity is significantly negatively correlated with every
            factor, ``disagree`` where one is significantly positive.
        generalization: ``agree`` where the interval of every target's correlation with the test
            metric lies within ±.3, ``disagree`` where one is significant.
        negative: (target, factor) pairs with a significant negative correlation.
        positive: those with a significant positive one.
        factors: all (target, factor) pairs of targets with enough sets.
        predicted: targets whose test metric is significantly correlated, either way.
        little: targets whose correlation with the test metric certainly is within ±.3.
        targets: all targets with enough sets.
        judged: how many correlations were judged together in each half (Holm).
        corrected: the p of each of them, by Holm.
    """

    optimization: Finding
    generalization: Finding
    negative: tuple[Pair, ...]
    positive: tuple[Pair, ...]
    factors: tuple[Pair, ...]
    predicted: tuple[str, ...]
    little: tuple[str, ...]
    targets: tuple[str, ...]
    judged: tuple[int, int]
    corrected: Mapping[Pair, float]


def conflict_verdict(
    correlations: Mapping[Pair, Correlation | None],
    sets: Mapping[str, int],
    metric: str = "test_metric",
    *,
    reliability: Mapping[Pair, float] | None = None,
) -> ConflictVerdict:
    """Hold the claim against correlations with gradient similarity.

    The cosine of a gradient to the sum of K gradients is about 1/√K, so correlations over sets of
    unlike size should be those given it (``correlate_sets``).

    Args:
        correlations: (target, column) -> the correlation of similarity and this column over the
            target's auxiliary sets; None where it is not defined.
        sets: how many different auxiliary sets a target has. It takes 20 of these: points of other
            optimizers on the same sets are not independent.
        metric: the column that is the test metric; the others are factors.
        reliability: of a pair's similarity, the share of its variance that is no noise. Noise makes
            any correlation look smaller, by the root of it, so that the interval has to be narrower
            by as much to say that there is none; nothing is said where it is NaN.
    """
    known = {
        pair: correlation
        for pair, correlation in correlations.items()
        if correlation is not None and min(correlation.n, sets.get(pair[0], 0)) >= FEWEST_SETS
    }
    factors = tuple(pair for pair in known if pair[1] != metric)
    metrics = tuple(pair for pair in known if pair[1] == metric)
    corrected = {
        pair: p
        for half in (factors, metrics)
        for pair, p in zip(half, holm([known[pair].pearson_p for pair in half]), strict=True)
    }
    sure = [pair for pair in known if corrected[pair] < LEVEL]
    reliable = {} if reliability is None else reliability
    little = [pair for pair in known if _little(known[pair], reliable.get(pair, 1.0))]
    negative = tuple(pair for pair in factors if pair in sure and known[pair].pearson_r < 0)
    positive = tuple(pair for pair in factors if pair in sure and known[pair].pearson_r > 0)
    predicted = tuple(target for target, column in metrics if (target, column) in sure)
    near = tuple(target for target, column in metrics if (target, column) in little)
    targets = tuple(target for target, _ in metrics)
    return ConflictVerdict(
        _finding(bool(positive), factors, negative),
        _finding(bool(predicted), targets, near),
        negative,
        positive,
        factors,
        predicted,
        near,
        targets,
        (len(factors), len(metrics)),
        corrected,
    )


def _little(found: Correlation, reliability: float) -> bool:
    reach = LITTLE * math.sqrt(reliability)
    return found.ci_low > -reach and found.ci_high < reach


def _finding(against: bool, known: tuple[object, ...], agreeing: tuple[object, ...]) -> Finding:
    if against:
        return "disagree"
    return "agree" if known and len(agreeing) == len(known) else "cannot tell"
