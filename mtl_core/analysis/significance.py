"""What counts as a difference: the paired interval, which decides, and the paper's ± 2 SD."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from mtl_core.analysis import intervals
from mtl_core.direction import Direction

__all__ = ["Comparison", "Verdict", "compare", "judged"]

Verdict = Literal["better", "worse", "not significant", "too few seeds"]

Compared = TypeVar("Compared", bound="Comparison | None")

FEWEST_PAIRS = 3
"""Seeds in common from which on the others are left out; fewer pair only a side's all."""


@dataclass(frozen=True)
class Comparison:
    """One quantity over the seeds of two curves, in the unit of the quantity.

    Where both curves have the same seeds, which are the same start and the same batches, they are
    compared seed by seed; ``mean``, ``baseline_mean`` and ``delta`` are then those of these seeds.

    Attributes:
        mean: over the curve's seeds; NaN without any.
        baseline_mean: over the baseline's seeds.
        delta: ``mean - baseline_mean``, whichever direction is better.
        sd: sample standard deviation (ddof 1) over the curve's seeds; NaN with fewer than 2.
        baseline_sd: the same of the baseline.
        seeds: values on the curve's side.
        baseline_seeds: values on the baseline's side.
        pairs: seeds that both sides have and that were compared one by one; 0 where the sides'
            seeds differ and the interval is Welch's.
        low: lower end of the 95 % interval of ``delta``; NaN with too few seeds.
        high: its upper end.
        p: two-sided p of no difference; corrected where ``family`` is above 1.
        spread: standard deviation of the difference between one seed of each side.
        family: how many comparisons were judged together, with Holm's correction.
        verdict: what may be said about ``delta``: that its p is below 5 %.
        paper: what the paper's rule says: that mean ± 2 SD do not overlap (M24 App. C).
    """

    mean: float
    baseline_mean: float
    delta: float
    sd: float
    baseline_sd: float
    seeds: int
    baseline_seeds: int
    verdict: Verdict
    paper: Verdict = "too few seeds"
    pairs: int = 0
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    spread: float = math.nan
    family: int = 1
    direction: Direction = "higher"

    @property
    def margin(self) -> float:
        """``2 (sd + baseline_sd)``: beyond it ``delta`` is significant by the paper's rule."""
        return 2 * (self.sd + self.baseline_sd)

    @property
    def significant(self) -> bool:
        """Whether one side is better."""
        return self.verdict in ("better", "worse")

    @property
    def more_seeds(self) -> int | None:
        """About how many more seeds of both sides would settle a difference as large as this.

        With 80 % power (``intervals.seeds_needed``), alone on a page; None where one side is
        better already or nothing can be said; 1,000 stands for more too.
        """
        if self.significant:
            return None
        needed = intervals.seeds_needed(self.delta, self.spread)
        if needed is None or needed >= intervals.MOST_NEEDED:
            return needed
        return max(1, needed - (self.pairs or min(self.seeds, self.baseline_seeds)))


def compare(
    values: Iterable[float],
    baseline_values: Iterable[float],
    *,
    direction: Direction = "higher",
    seeds: Sequence[int] | None = None,
    baseline_seeds: Sequence[int] | None = None,
) -> Comparison:
    """Compare two curves: a 95 % t interval of their difference, and the paper's rule beside it.

    Seeds that both sides have are compared one by one where there are at least three of them, or
    where they are all of one side's; otherwise the interval is Welch's. Non-finite values are left
    out with their seeds.

    Args:
        values: one per seed of the curve.
        baseline_values: one per seed of the baseline.
        direction: which way is better.
        seeds: which seeds the values are of; without them nothing is paired.
        baseline_seeds: the same of the baseline.
    """
    ours, theirs = _finite(values, seeds, 0), _finite(baseline_values, baseline_seeds, 1)
    (mean, sd), (baseline_mean, baseline_sd) = _moments(ours), _moments(theirs)
    shared = [seed for seed in ours if seed in theirs]
    if len(shared) < min(FEWEST_PAIRS, len(ours), len(theirs)) or len(shared) < 2:
        shared = []
    paper = _apart(mean, sd, baseline_mean, baseline_sd, min(len(ours), len(theirs)), direction)
    if shared:
        mean = float(np.mean([ours[seed] for seed in shared]))
        baseline_mean = float(np.mean([theirs[seed] for seed in shared]))
        interval = intervals.paired([ours[seed] - theirs[seed] for seed in shared])
    else:
        interval = intervals.welch(list(ours.values()), list(theirs.values()))
    found = Comparison(
        mean=mean,
        baseline_mean=baseline_mean,
        delta=mean - baseline_mean,
        sd=sd,
        baseline_sd=baseline_sd,
        seeds=len(ours),
        baseline_seeds=len(theirs),
        verdict="not significant",
        paper=paper,
        pairs=len(shared),
        low=interval.low,
        high=interval.high,
        p=interval.p,
        spread=interval.spread,
        direction=direction,
    )
    return replace(found, verdict=_verdict(found))


def judged(family: Sequence[Compared]) -> list[Compared]:
    """The same comparisons as one family: their p and verdicts with Holm's correction.

    Those that are missing, or have too few seeds, are no part of the family.
    """
    corrected = intervals.holm([math.nan if one is None else one.p for one in family])
    count = sum(not math.isnan(p) for p in corrected)
    found = []
    for one, p in zip(family, corrected, strict=True):
        if one is not None and not math.isnan(p):
            one = replace(one, p=p, family=count)
            one = replace(one, verdict=_verdict(one))
        found.append(one)
    return found


def _verdict(found: Comparison) -> Verdict:
    if math.isnan(found.p):
        return "too few seeds"
    if found.p >= intervals.LEVEL:
        return "not significant"
    return "better" if (found.delta > 0) == (found.direction == "higher") else "worse"


def _apart(
    mean: float,
    sd: float,
    baseline_mean: float,
    baseline_sd: float,
    fewest: int,
    direction: Direction,
) -> Verdict:
    """M24's rule: significant when mean ± 2 SD do not overlap (App. C). Touching is overlap."""
    if fewest < 2:
        return "too few seeds"
    if mean - 2 * sd > baseline_mean + 2 * baseline_sd:
        return "better" if direction == "higher" else "worse"
    if mean + 2 * sd < baseline_mean - 2 * baseline_sd:
        return "worse" if direction == "higher" else "better"
    return "not significant"


def _finite(
    values: Iterable[float], seeds: Sequence[int] | None, side: int
) -> dict[tuple[int, int] | int, float]:
    """Finite values by their seed; without seeds by names that no other side has."""
    listed = [float(value) for value in values]
    if seeds is not None:
        return {
            seed: value for seed, value in zip(seeds, listed, strict=True) if math.isfinite(value)
        }
    return {(side, place): value for place, value in enumerate(listed) if math.isfinite(value)}


def _moments(values: "dict[tuple[int, int] | int, float]") -> tuple[float, float]:
    known = list(values.values())
    mean = float(np.mean(known)) if known else math.nan
    sd = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
    return mean, sd
