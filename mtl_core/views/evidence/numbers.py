"""Numbers of the evidence: written so that they are the same on every machine."""

import math
from collections.abc import Sequence
from statistics import median

from mtl_core import analysis
from mtl_core.analysis import MOST_NEEDED, Comparison, Correlation
from mtl_core.views.measures import Measure
from mtl_core.views.phrases import counted, family

__all__ = [
    "amount",
    "between",
    "change",
    "correlation",
    "percent",
    "power_of",
    "settle",
    "snapped",
    "sure",
    "written",
]


def snapped(value: float) -> float:
    """A number without its last digits, in which libraries and processors differ.

    What is rounded from here on is rounded the same way everywhere.
    """
    return float(f"{value:.9g}") if math.isfinite(value) else value


def written(value: float, form: str) -> str:
    """A number in a format, with a minus that is as wide as a plus."""
    return format(snapped(value), form).replace("-", "−")


def percent(share: float, digits: int = 0) -> str:
    """A share: ``67 %``."""
    return f"{snapped(100 * share):.{digits}f} %"


def amount(value: float, measure: Measure, *, sign: bool = True) -> str:
    """A difference of a metric: of shares in percentage points."""
    plus = "+" if sign else ""
    if measure.share and value > 1:
        return "more than 100 pt"
    if measure.share:
        return f"{written(100 * value, f'{plus}.2f')} pt"
    return written(value, f"{plus}.3g")


def change(found: Comparison, measure: Measure) -> str:
    """A difference with its 95 % interval: ``+1.07 pt [+0.77, +1.37]``."""
    return f"{amount(found.delta, measure)}{between(found.low, found.high, measure)}"


def between(low: float, high: float, measure: Measure) -> str:
    """The interval of a difference, in brackets; empty where it has no ends."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    ends = [amount(end, measure).removesuffix(" pt") for end in (low, high)]
    return f" [{ends[0]}, {ends[1]}]"


def correlation(found: Correlation) -> str:
    """r with its 95 % interval: ``r = −0.22 [−0.42, +0.00]``."""
    r = f"r = {written(found.pearson_r, '+.2f')}"
    if not math.isfinite(found.ci_low):
        return r
    return f"{r} [{written(found.ci_low, '+.2f')}, {written(found.ci_high, '+.2f')}]"


def sure(found: Comparison) -> str:
    """How a difference was judged: ``over 3 seeds that both have (Holm's correction for 2)``."""
    over = (
        f"{found.pairs} seeds that both have"
        if found.pairs
        else f"{found.seeds} and {found.baseline_seeds} seeds"
    )
    return f"over {over}{family(found.family)}"


def power_of(found: Sequence[tuple[Comparison, Measure]]) -> str:
    """The smallest differences that would have been found, of those that were not.

    Args:
        found: differences in one unit, with how they are written.
    """
    missed = [(analysis.detectable(one), shown) for one, shown in found if not one.significant]
    known = sorted((size, shown) for size, shown in missed if math.isfinite(size)) if missed else []
    if not known:
        return ""
    least, most = (amount(size, shown, sign=False) for size, shown in (known[0], known[-1]))
    if least == most:
        return f"80 % power for {least}"
    middle = amount(median(size for size, _ in known), known[0][1], sign=False)
    least = least.removesuffix(" pt")
    return f"80 % power for {least} to {most} (median {middle.removesuffix(' pt')})"


def settle(found: Comparison) -> str:
    """About how many more seeds would settle a difference as large as was seen."""
    more = found.more_seeds
    if more is None:
        return ""
    if more >= MOST_NEEDED:
        return f"a difference this small takes more than {MOST_NEEDED:,} seeds"
    return f"about {counted(more, 'more seed')} would settle one as large as seen"
