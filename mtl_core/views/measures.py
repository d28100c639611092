"""Measures: what a task's metric is called, and how its values and differences are written."""

import math
from dataclasses import dataclass

from mtl_core import settings
from mtl_core.analysis import Comparison
from mtl_core.direction import Direction

__all__ = ["Measure", "between", "interval", "measure", "points"]


@dataclass(frozen=True)
class Measure:
    """How the values of a task's metric are called and written."""

    title: str
    share: bool
    direction: Direction

    @property
    def format(self) -> str:
        """For charts: a share is drawn by its error."""
        return "%" if self.share else ".3~g"

    def value(self, value: float) -> str:
        """A value of the metric."""
        return "–" if value != value else f"{value:.1%}" if self.share else f"{value:.3g}"

    def delta(self, value: float | None) -> str:
        """A difference of two values: of shares in percentage points."""
        if self.share or value is None or value != value:
            return points(value)
        return f"{value:+.3g}"


_MEASURES = {
    "accuracy": ("test accuracy E", True),
    "mean_iou": ("test mean IoU E", True),
    "matthews": ("test Matthews correlation E", False),
    "pearson": ("test Pearson correlation E", False),
    "absolute_error": ("test absolute error E", False),
}


def measure(setting: str, task: str) -> Measure:
    """How a task's metric is called and written."""
    known = settings.get(setting).task(task)
    title, share = _MEASURES[known.metric]
    return Measure(title, share, known.direction)


def points(share: float | None) -> str:
    """A difference of accuracies in percentage points."""
    return "–" if share is None or share != share else f"{100 * share:+.1f} pt"


def interval(comparison: Comparison, shown: Measure) -> str:
    """The 95 % interval of a difference; empty where it has no ends."""
    return between(comparison.low, comparison.high, shown)


def between(low: float, high: float, shown: Measure) -> str:
    """An interval of differences; empty where it has no ends."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"{shown.delta(low).removesuffix(' pt')} … {shown.delta(high)}"
