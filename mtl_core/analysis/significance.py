"""The paper's rule for what counts as a difference."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mtl_core.direction import Direction

__all__ = ["Comparison", "Verdict", "compare"]

Verdict = Literal["better", "worse", "not significant", "too few seeds"]


@dataclass(frozen=True)
class Comparison:
    """One quantity over the seeds of two curves, in the unit of the quantity.

    Attributes:
        mean: over the curve's seeds; NaN without any.
        baseline_mean: over the baseline's seeds.
        delta: ``mean - baseline_mean``, whichever direction is better.
        sd: sample standard deviation (ddof 1) over the curve's seeds; NaN with fewer than 2.
        baseline_sd: the same of the baseline.
        seeds: values on the curve's side.
        baseline_seeds: values on the baseline's side.
        verdict: what may be said about ``delta``.
    """

    mean: float
    baseline_mean: float
    delta: float
    sd: float
    baseline_sd: float
    seeds: int
    baseline_seeds: int
    verdict: Verdict

    @property
    def margin(self) -> float:
        """``2 (sd + baseline_sd)``: ``delta`` is significant where it is larger than this."""
        return 2 * (self.sd + self.baseline_sd)


def compare(
    values: Iterable[float], baseline_values: Iterable[float], *, direction: Direction = "higher"
) -> Comparison:
    """Compare two curves by M24's rule: significant when mean ± 2 SD do not overlap (App. C).

    Intervals that touch overlap. Non-finite values are left out.
    """
    mean, sd, seeds = _moments(values)
    baseline_mean, baseline_sd, baseline_seeds = _moments(baseline_values)
    verdict: Verdict
    if min(seeds, baseline_seeds) < 2:
        verdict = "too few seeds"
    elif mean - 2 * sd > baseline_mean + 2 * baseline_sd:
        verdict = "better" if direction == "higher" else "worse"
    elif mean + 2 * sd < baseline_mean - 2 * baseline_sd:
        verdict = "worse" if direction == "higher" else "better"
    else:
        verdict = "not significant"
    return Comparison(
        mean=mean,
        baseline_mean=baseline_mean,
        delta=mean - baseline_mean,
        sd=sd,
        baseline_sd=baseline_sd,
        seeds=seeds,
        baseline_seeds=baseline_seeds,
        verdict=verdict,
    )


def _moments(values: Iterable[float]) -> tuple[float, float, int]:
    finite = [float(value) for value in values if math.isfinite(value)]
    mean = float(np.mean(finite)) if finite else math.nan
    sd = float(np.std(finite, ddof=1)) if len(finite) > 1 else math.nan
    return mean, sd, len(finite)
