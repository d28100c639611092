"""Does conflict worsen optimization, and does it foretell generalization? M24's §5 and Fig. 5."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtl_core.analysis.correlation import Correlation
from mtl_core.analysis.early import Support

__all__ = ["LEVEL", "ConflictVerdict", "conflict_verdict"]

FEWEST = 8
"""Auxiliary sets below which one of them can make or undo a correlation."""
LEVEL = 0.05
"""A correlation counts where its p is below this."""


@dataclass(frozen=True)
class ConflictVerdict:
    """What correlations with gradient similarity say, one half of the claim at a time.

    Attributes:
        optimization: whether similarity is negatively correlated with the factors.
        generalization: whether it is *not* correlated with the test metric. That none was found
            says little where points are few.
        negative: (target, factor) pairs with a significant negative correlation.
        factors: all such pairs with enough points.
        predicted: targets whose test metric is significantly correlated, either way.
        targets: all with enough points.
    """

    optimization: Support
    generalization: Support
    negative: tuple[tuple[str, str], ...]
    factors: tuple[tuple[str, str], ...]
    predicted: tuple[str, ...]
    targets: tuple[str, ...]


def conflict_verdict(
    found: Mapping[tuple[str, str], Correlation | None],
    sets: Mapping[str, int],
    metric: str = "test_metric",
) -> ConflictVerdict:
    """Hold the claim against correlations of early gradient similarity.

    Each half is supported where every pair with at least 8 points says so, in part where more than
    half of them do.

    Args:
        found: (target, column) -> the correlation of similarity and this column over the target's
            auxiliary sets; None where there is none.
        sets: how many different sets a target has, of which it takes 8 too: further points, of
            other optimizers on the same sets, are not independent of them.
        metric: the column that is the test metric; the others are factors.
    """
    told = {
        pair: one
        for pair, one in found.items()
        if one is not None and not one.few and sets.get(pair[0], 0) >= FEWEST
    }
    factors = tuple(pair for pair in told if pair[1] != metric)
    targets = tuple(target for target, column in told if column == metric)
    negative = tuple(
        pair for pair in factors if told[pair].pearson_r < 0 and told[pair].pearson_p < LEVEL
    )
    predicted = tuple(target for target in targets if told[target, metric].pearson_p < LEVEL)
    return ConflictVerdict(
        optimization=_support(negative, factors),
        generalization=_support([name for name in targets if name not in predicted], targets),
        negative=negative,
        factors=factors,
        predicted=predicted,
        targets=targets,
    )


def _support(speaking: Sequence[object], told: Sequence[object]) -> Support:
    if not told:
        return "not enough"
    if len(speaking) == len(told):
        return "supports"
    return "supports in part" if 2 * len(speaking) > len(told) else "does not support"
