"""What comparisons say of a claim about all, most or some of them: evidence on either side, or not.

As everywhere, that no difference was found is no evidence that there is none. "In general", "tends
to", "often" and "most" are taken for more than half.
"""

from collections.abc import Iterable, Sequence

from mtl_core.analysis.early import Finding
from mtl_core.analysis.significance import Comparison, Verdict

__all__ = ["all_of", "most_of", "mostly_small"]

Known = Comparison | None


def all_of(found: Sequence[Known], expected: Verdict | Iterable[Verdict]) -> Finding:
    """Whether every difference is as a claim says.

    They agree where every one certainly is, and disagree where one certainly is the other way.

    Args:
        found: judged together; None where one was not measured.
        expected: "better" or "worse", for all or for each.
    """
    sides = [expected] * len(found) if isinstance(expected, str) else list(expected)
    pairs = list(zip(found, sides, strict=True))
    if any(one is not None and one.significant and one.verdict != side for one, side in pairs):
        return "disagree"
    if pairs and all(one is not None and one.verdict == side for one, side in pairs):
        return "agree"
    return "cannot tell"


def most_of(found: Sequence[Known], expected: Verdict) -> Finding:
    """Whether more than half of the differences are as a claim says, or certainly the other way.

    Args:
        found: judged together; None where one was not measured.
        expected: "better" or "worse".
    """
    significant = [one.verdict for one in found if one is not None and one.significant]
    expectedly = sum(verdict == expected for verdict in significant)
    if 2 * expectedly > len(found):
        return "agree"
    return "disagree" if 2 * (len(significant) - expectedly) > len(found) else "cannot tell"


def mostly_small(found: Sequence[Known], reach: float) -> Finding:
    """Whether more than half of the differences certainly are small, or certainly there.

    They agree where the whole interval of more than half lies within ± ``reach``, and disagree
    where more than half are significant.

    Args:
        found: judged together; None where one was not measured.
        reach: below which a difference is small, in the unit of the differences.
    """
    known = [one for one in found if one is not None]
    if 2 * sum(-reach < one.low and one.high < reach for one in known) > len(found):
        return "agree"
    return "disagree" if 2 * sum(one.significant for one in known) > len(found) else "cannot tell"
