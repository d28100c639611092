"""Does gradient conflict worsen optimization or predict generalization? M24's §5 and Fig. 5."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtl_core.analysis.correlation import Correlation
from mtl_core.analysis.early import Support

__all__ = ["LEVEL", "ConflictVerdict", "conflict_verdict"]

FEWEST = 8
"""With fewer auxiliary sets, a single set can make or undo a correlation."""
LEVEL = 0.05
"""A correlation counts where its p is below this."""


@dataclass(frozen=True)
class ConflictVerdict:
    """What correlations with gradient similarity say, one half of the claim at a time.

    Attributes:
        optimization: whether similarity is negatively correlated with the factors.
        generalization: whether similarity is *not* correlated with the test metric. Where points
            are few, the absence of a significant correlation says little.
        negative: (target, factor) pairs with a significant negative correlation.
        factors: all (target, factor) pairs with enough points.
        predicted: targets whose test metric is significantly correlated, either way.
        targets: all targets with enough points.
    """

    optimization: Support
    generalization: Support
    negative: tuple[tuple[str, str], ...]
    factors: tuple[tuple[str, str], ...]
    predicted: tuple[str, ...]
    targets: tuple[str, ...]


def conflict_verdict(
    correlations: Mapping[tuple[str, str], Correlation | None],
    sets: Mapping[str, int],
    metric: str = "test_metric",
) -> ConflictVerdict:
    """Hold the claim against correlations of early gradient similarity.

    Each half is supported where every pair with at least 8 points says so, in part where more than
    half of them do.

    Args:
        correlations: (target, column) -> the correlation of similarity and this column over the
            target's auxiliary sets; None where it is not defined.
        sets: how many different auxiliary sets a target has. It takes 8 of these too: points of
            other optimizers on the same sets are not independent.
        metric: the column that is the test metric; the others are factors.
    """
    known = {
        pair: correlation
        for pair, correlation in correlations.items()
        if correlation is not None and not correlation.few and sets.get(pair[0], 0) >= FEWEST
    }
    factors = tuple(pair for pair in known if pair[1] != metric)
    targets = tuple(target for target, column in known if column == metric)
    negative = tuple(
        pair for pair in factors if known[pair].pearson_r < 0 and known[pair].pearson_p < LEVEL
    )
    predicted = tuple(target for target in targets if known[target, metric].pearson_p < LEVEL)
    return ConflictVerdict(
        optimization=_support(negative, factors),
        generalization=_support([name for name in targets if name not in predicted], targets),
        negative=negative,
        factors=factors,
        predicted=predicted,
        targets=targets,
    )


def _support(agreeing: Sequence[object], known: Sequence[object]) -> Support:
    if not known:
        return "not enough"
    if len(agreeing) == len(known):
        return "supports"
    return "supports in part" if 2 * len(agreeing) > len(known) else "does not support"
