"""What is compared with what: a curve with its baseline, on one task."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from mtl_core import factors
from mtl_core.analysis.replicas import Rows, replicas
from mtl_core.direction import Direction

__all__ = ["Versus"]


@dataclass(frozen=True)
class Versus:
    """A curve against its baseline, on one task.

    Attributes:
        task: the task whose rows are read.
        curve: the curve that is judged, such as multi-task training.
        baseline: the curve that it is compared with, such as single-task training.
        direction: which way the task's metric is better.
    """

    task: str
    curve: str
    baseline: str
    direction: Direction

    def sides(self, trajectories: Rows) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
        """The replicas of the curve and those of the baseline; empty for one without rows.

        Args:
            trajectories: tidy rows, or the task's replicas by curve where many pairs are compared.
        """
        if isinstance(trajectories, pd.DataFrame):
            curves: Mapping[str, list[pd.DataFrame]] = replicas(trajectories, self.task)
        else:
            curves = trajectories
        return curves.get(self.curve, []), curves.get(self.baseline, [])

    def direction_of(self, column: str) -> Direction:
        """Which way a column is better: a factor's direction is the paper's, else the metric's."""
        return factors.get(column).direction if column in factors.names() else self.direction
