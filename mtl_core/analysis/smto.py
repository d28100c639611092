"""Do optimizers that improve a task's optimization improve its generalization too?

The analysis behind M24's Fig. 4: specialized multi-task optimizers (SMTOs) as their percentage
change over the uniform multi-task gradient (UMTG).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mtl_core import factors
from mtl_core.analysis.aggregates import aggregate_each
from mtl_core.analysis.replicas import numbers, replicas, shared_epoch
from mtl_core.analysis.significance import Comparison, compare
from mtl_core.analysis.verdict import Outcome
from mtl_core.direction import Direction

__all__ = [
    "SMTO_FACTORS",
    "OptimizerVerdict",
    "QuadrantVerdict",
    "optimizer_verdicts",
    "percent_change",
    "quadrant_verdicts",
    "smto_points",
]

MIN_TRAIN_LOSS = "min_train_loss"
SMTO_FACTORS = (MIN_TRAIN_LOSS, *factors.explaining())
"""The panels of Fig. 4, in each of which lower is better."""

_WORDS = ("setting", "auxiliaries", "optimizer", "role")
_Values = dict[str, tuple[float, ...]]
_COLUMNS = [
    "curve",
    "task",
    "role",
    "factor",
    "x",
    "y",
    "change",
    "factor_change",
    "counted",
    "shaded",
    "metric",
    "reference_metric",
    "value",
    "reference_value",
    "seeds",
    "reference_seeds",
]


@dataclass(frozen=True)
class QuadrantVerdict:
    """Where the significant changes of generalization lie in one panel.

    Attributes:
        factor: of ``SMTO_FACTORS``.
        changes: significant changes that have a place in the panel.
        shaded: how many of these lie in a shaded quadrant.
        unplaced: significant changes whose factor was not measured, or has no percentage.
        outcome: "can explain" only says that no change speaks against it.
    """

    factor: str
    changes: int
    shaded: int
    unplaced: int
    outcome: Outcome


@dataclass(frozen=True)
class OptimizerVerdict:
    """Which factors can explain all changes of generalization under one optimizer.

    Attributes:
        curve: the optimizer.
        changes: its significant changes of generalization, at least one.
        panels: factor -> how many of them lie in a shaded quadrant of its panel, and how many
            have a place there at all.
    """

    curve: str
    changes: int
    panels: Mapping[str, tuple[int, int]]

    @property
    def factors(self) -> tuple[str, ...]:
        """The factors whose panels have all of the optimizer's changes in shaded quadrants."""
        return tuple(name for name, (shaded, _) in self.panels.items() if shaded == self.changes)

    @property
    def open(self) -> tuple[str, ...]:
        """The factors that no change speaks against, but that not every change was measured for."""
        return tuple(
            name
            for name, (shaded, placed) in self.panels.items()
            if shaded == placed < self.changes
        )


def percent_change(value: float, reference: float) -> float:
    """``100 (value − reference) / reference``; NaN unless the reference is above 0.

    Over 0 there is no percentage, and over a negative reference it would have the wrong sign.
    """
    return 100 * (value - reference) / reference if reference > 0 else float("nan")


def smto_points(
    trajectories: pd.DataFrame, reference: str, *, directions: Mapping[str, Direction] | None = None
) -> pd.DataFrame:
    """The points of Fig. 4: %Δ over the reference, for each task, other curve and panel.

    Generalization, sharpness, Fisher and covariance of a seed are footnote 7's (``aggregate``);
    its minimum training loss is that over its whole trajectory. A percentage is that of means over
    seeds. A point counts where generalization changed significantly (mean ± 2 SD do not overlap),
    whether or not the factor did, as in the paper. Of a live run, only checkpoints up to the epoch
    that every seed of every curve has reached count.

    Args:
        trajectories: tidy rows with a ``curve`` column, of runs on the same tasks and budget.
        reference: the curve of UMTG; without it there are no points.
        directions: which way the tasks' metrics are better; higher where a task is not in it.

    Returns:
        In order of tasks, then curves, then ``SMTO_FACTORS``: ``curve, task, role, factor``;
        ``x``, the factor's %Δ, and ``y``, that of generalization, up being better; ``change`` and
        ``factor_change``, their verdicts, missing where a seed has no value; ``counted`` and
        ``shaded``, whether the point counts and whether it lies in a shaded quadrant, (−x, +y) or
        (+x, −y); ``metric, reference_metric, value, reference_value``, means over seeds; and
        ``seeds, reference_seeds``. What cannot be said is NaN.
    """
    if trajectories.empty:
        return _table([])
    roles = trajectories.drop_duplicates("task").set_index("task")["role"]
    # Columns of strings are not needed here, and slow to slice.
    rows = trajectories.drop(columns=[name for name in _WORDS if name in trajectories])
    points: list[dict[str, object]] = []
    for task, role in roles.items():
        direction = (directions or {}).get(str(task), "higher")
        own = _task_points(replicas(rows, str(task)), reference, direction)
        points += [{"task": task, "role": role, **point} for point in own]
    return _table(points)


def quadrant_verdicts(
    points: pd.DataFrame, factors: Sequence[str] = SMTO_FACTORS
) -> list[QuadrantVerdict]:
    """The rule of Fig. 4: a factor can explain where every change that counts is shaded.

    Args:
        points: rows of ``smto_points``, maybe those of several references one below the other.
        factors: the panels.

    Returns:
        In order of ``factors``. The outcome is "nothing to explain" where nothing counts, and "not
        measured" where a change that counts has no place and none lies outside the shade.
    """
    verdicts = []
    for factor in factors:
        counted = points[(points["factor"] == factor) & points["counted"].astype(bool)]
        placed = counted[_placed(counted)]
        shaded = int(placed["shaded"].sum())
        outcome: Outcome
        if counted.empty:
            outcome = "nothing to explain"
        elif shaded < len(placed):
            outcome = "cannot explain"
        else:
            outcome = "can explain" if len(placed) == len(counted) else "not measured"
        unplaced = len(counted) - len(placed)
        verdicts.append(QuadrantVerdict(factor, len(placed), shaded, unplaced, outcome))
    return verdicts


def optimizer_verdicts(
    points: pd.DataFrame, factors: Sequence[str] = SMTO_FACTORS
) -> list[OptimizerVerdict]:
    """For each curve with a change that counts, the factors that can explain all of its changes.

    The paper expects such a factor for every optimizer that works by improving optimization, and
    finds it for none.

    Args:
        points: rows of ``smto_points``, maybe those of several references one below the other.
        factors: the panels.

    Returns:
        In order of the curves' appearance.
    """
    counted = points[points["counted"].astype(bool) & points["factor"].isin(factors)]
    verdicts = []
    for curve, own in counted.groupby("curve", sort=False):
        changes = int(own.groupby("factor").size().max())
        placed = own[_placed(own)].groupby("factor")["shaded"].agg(["sum", "size"])
        counts = {
            factor: (int(placed["sum"].get(factor, 0)), int(placed["size"].get(factor, 0)))
            for factor in factors
        }
        verdicts.append(OptimizerVerdict(str(curve), changes, counts))
    return verdicts


def _task_points(
    curves: dict[str, list[pd.DataFrame]], reference: str, direction: Direction
) -> list[dict[str, object]]:
    """One task's points, without its name; none where the reference has no rows."""
    values = {
        curve: {name: _values(seeds, name, direction) for name in ("test_metric", *SMTO_FACTORS)}
        for curve, seeds in _shared(curves).items()
    }
    theirs = values.pop(reference, None)
    if theirs is None:
        return []
    return [
        {"curve": curve, **_place(ours, theirs, factor, direction)}
        for curve, ours in values.items()
        for factor in SMTO_FACTORS
    ]


def _shared(curves: dict[str, list[pd.DataFrame]]) -> dict[str, list[pd.DataFrame]]:
    """Each replica up to the epoch that all of them have reached."""
    horizon = min((shared_epoch(seeds) for seeds in curves.values()), default=0.0)
    return {
        curve: [replica[replica["epoch"] <= horizon] for replica in seeds]
        for curve, seeds in curves.items()
    }


def _values(seeds: list[pd.DataFrame], name: str, direction: Direction) -> tuple[float, ...]:
    """A quantity of each replica; NaN where a replica has no value."""
    if name != MIN_TRAIN_LOSS:
        return aggregate_each(seeds, name, direction=direction)
    losses = [numbers(replica, "train_loss") for replica in seeds]
    known = [values[np.isfinite(values)] for values in losses]
    return tuple(float(values.min()) if values.size else float("nan") for values in known)


def _place(ours: _Values, theirs: _Values, factor: str, direction: Direction) -> dict[str, object]:
    """A point's coordinates and verdicts, and the means behind them."""
    nan = float("nan")
    moved = _compared(ours["test_metric"], theirs["test_metric"], direction)
    changed = _compared(ours[factor], theirs[factor], "lower")
    x = percent_change(changed.mean, changed.baseline_mean) if changed else nan
    y = percent_change(moved.mean, moved.baseline_mean) if moved else nan
    y = y if direction == "higher" else -y
    return {
        "factor": factor,
        "x": x,
        "y": y,
        "change": moved.verdict if moved else None,
        "factor_change": changed.verdict if changed else None,
        "counted": moved is not None and moved.verdict in ("better", "worse"),
        "shaded": x < 0 < y or y < 0 < x,
        "metric": moved.mean if moved else nan,
        "reference_metric": moved.baseline_mean if moved else nan,
        "value": changed.mean if changed else nan,
        "reference_value": changed.baseline_mean if changed else nan,
        "seeds": len(ours["test_metric"]),
        "reference_seeds": len(theirs["test_metric"]),
    }


def _compared(
    values: tuple[float, ...], reference: tuple[float, ...], direction: Direction
) -> Comparison | None:
    """None where a seed of either curve has no value."""
    if not np.isfinite([*values, *reference]).all():
        return None
    return compare(values, reference, direction=direction)


def _table(points: list[dict[str, object]]) -> pd.DataFrame:
    verdicts = {"change": object, "factor_change": object}
    table = pd.DataFrame(points, columns=_COLUMNS)
    return table.astype({**verdicts, "counted": bool, "shaded": bool})


def _placed(points: pd.DataFrame) -> "pd.Series[bool]":
    placed: pd.Series[bool] = points["x"].notna() & points["y"].notna()
    return placed
