"""Do optimizers that improve a task's optimization improve its generalization too?

The analysis behind M24's Fig. 4: specialized multi-task optimizers (SMTOs) as their percentage
change over the uniform multi-task gradient (UMTG).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from mtl_core import factors
from mtl_core.analysis.aggregates import aggregate_replicas, footnote_applies
from mtl_core.analysis.loss_bins import comparable_replicas
from mtl_core.analysis.replicas import Rows, numbers, replicas, seed_numbers, shared_epoch
from mtl_core.analysis.significance import Comparison, compare, judged
from mtl_core.analysis.table1 import Aggregate
from mtl_core.analysis.transfer import transfer_replicas
from mtl_core.analysis.verdict import Case, lowest_loss
from mtl_core.analysis.versus import Versus
from mtl_core.direction import Direction

__all__ = [
    "SMTO_FACTORS",
    "OptimizerVerdict",
    "QuadrantOutcome",
    "QuadrantVerdict",
    "SmtoCase",
    "judged_smtos",
    "minimum_loss",
    "optimizer_verdicts",
    "percent_change",
    "quadrant_verdicts",
    "smto_cases",
    "smto_points",
]

MIN_TRAIN_LOSS = "min_train_loss"
SMTO_FACTORS = (MIN_TRAIN_LOSS, *factors.explaining())
"""The panels of Fig. 4, in each of which lower is better."""

QuadrantOutcome = Literal["can explain", "cannot explain", "nothing to explain", "not measured"]
"""Of the paper's own rule, by which a point outside the shade refutes."""

_WORDS = ("setting", "auxiliaries", "optimizer", "role")
_COLUMNS = [
    "curve",
    "task",
    "role",
    "factor",
    "x",
    "y",
    "low",
    "high",
    "p",
    "change",
    "factor_change",
    "paper_change",
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
class SmtoCase:
    """What an optimizer changed of one task, over the reference.

    Attributes:
        curve: the optimizer.
        task: the task.
        role: of the task, in the run.
        case: the change of its test metric, and of each of ``SMTO_FACTORS``.
    """

    curve: str
    task: str
    role: str
    direction: Direction
    case: Case


@dataclass(frozen=True)
class QuadrantVerdict:
    """Where the significant changes of generalization lie in one panel, by the paper's ± 2 SD.

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
    outcome: QuadrantOutcome


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


def minimum_loss(trajectories: Rows, versus: Versus) -> Comparison | None:
    """The lowest training loss of a seed's whole trajectory: curve minus baseline.

    Returns:
        None where a seed of either curve has no loss, or a curve no seed.
    """
    ours, theirs = versus.sides(trajectories)
    return _minimum_loss(ours, theirs) if ours and theirs else None


def smto_cases(
    trajectories: pd.DataFrame,
    reference: str,
    *,
    directions: Mapping[str, Direction] | None = None,
    aggregate: Aggregate = "bins",
) -> list[SmtoCase]:
    """What every other curve changed of each task, over the reference.

    A seed's minimum training loss is that over its whole trajectory. Generalization and the other
    factors are read as in Table 1 (``table_row``): E at the best validation epoch and factors at
    comparable loss, or all by footnote 7, for runs that are long enough for it. Of a live run,
    only checkpoints up to the epoch that every seed of every curve has reached count.

    Args:
        trajectories: tidy rows with a ``curve`` column, of runs on the same tasks and budget.
        reference: the curve of UMTG; without it there are no cases.
        directions: which way the tasks' metrics are better; higher where a task is not in it.
        aggregate: how a quantity becomes one number.

    Returns:
        In order of tasks, then curves; those whose generalization is not known yet are left out.
    """
    if trajectories.empty:
        return []
    roles = trajectories.drop_duplicates("task").set_index("task")["role"]
    # Columns of strings are not needed here, and slow to slice.
    rows = trajectories.drop(columns=[name for name in _WORDS if name in trajectories])
    cases = []
    for task, role in roles.items():
        direction = (directions or {}).get(str(task), "higher")
        curves = _shared(replicas(rows, str(task)))
        theirs = curves.pop(reference, None)
        for curve, ours in curves.items() if theirs else ():
            case = _case(f"{task} under {curve}", ours, theirs or [], direction, aggregate)
            if case is not None:
                cases.append(SmtoCase(curve, str(task), str(role), direction, case))
    return cases


def judged_smtos(cases: Sequence[SmtoCase]) -> list[SmtoCase]:
    """The same cases, judged as families: changes of generalization, and those of each factor."""
    moved = judged([one.case.transfer for one in cases])
    changes = {name: judged([one.case.factors.get(name) for one in cases]) for name in SMTO_FACTORS}
    return [
        replace(
            one,
            case=replace(
                one.case,
                transfer=change,
                factors={name: changes[name][place] for name in SMTO_FACTORS},
            ),
        )
        for place, (one, change) in enumerate(zip(cases, moved, strict=True))
    ]


def smto_points(cases: Iterable[SmtoCase]) -> pd.DataFrame:
    """The points of Fig. 4: %Δ over the reference, of each case in every panel.

    A percentage is that of means over seeds. A point counts in the paper's figure where
    generalization changed significantly by the paper's rule (mean ± 2 SD do not overlap), whether
    or not the factor did.

    Args:
        cases: of ``smto_cases``, judged or not.

    Returns:
        In order of the cases, then ``SMTO_FACTORS``: ``curve, task, role, factor``; ``x``, the
        factor's %Δ, and ``y``, that of generalization, up being better; ``low, high, p``, of the
        change of generalization in its own unit, and ``change`` and ``factor_change``, verdicts;
        ``paper_change``, the paper's; ``counted`` and ``shaded``, whether the point counts in the
        paper's figure and whether it lies in a shaded quadrant, (−x, +y) or (+x, −y); ``metric,
        reference_metric, value, reference_value``, means over seeds; and ``seeds,
        reference_seeds``. What cannot be said is NaN.
    """
    points = [_place(one, factor) for one in cases for factor in SMTO_FACTORS]
    verdicts = {"change": object, "factor_change": object, "paper_change": object}
    table = pd.DataFrame(points, columns=_COLUMNS)
    return table.astype({**verdicts, "counted": bool, "shaded": bool})


def quadrant_verdicts(
    points: pd.DataFrame, factors: Sequence[str] = SMTO_FACTORS
) -> list[QuadrantVerdict]:
    """The paper's rule of Fig. 4: a factor can explain where every change that counts is shaded.

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
        outcome: QuadrantOutcome
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


def _shared(curves: dict[str, list[pd.DataFrame]]) -> dict[str, list[pd.DataFrame]]:
    """Each replica up to the epoch that all of them have reached."""
    horizon = min((shared_epoch(seeds) for seeds in curves.values()), default=0.0)
    return {
        curve: [replica[replica["epoch"] <= horizon] for replica in seeds]
        for curve, seeds in curves.items()
    }


def _case(
    name: str,
    ours: list[pd.DataFrame],
    theirs: list[pd.DataFrame],
    direction: Direction,
    aggregate: Aggregate,
) -> Case | None:
    """What one curve changed of a task; None while its generalization is not known."""
    changes: dict[str, Comparison | None] = {MIN_TRAIN_LOSS: _minimum_loss(ours, theirs)}
    if aggregate == "bins":
        moved = transfer_replicas(ours, theirs, direction)
        for factor in SMTO_FACTORS[1:]:
            binned = comparable_replicas(ours, theirs, factor)
            changes[factor] = binned.comparison if binned else None
    elif footnote_applies(ours) and footnote_applies(theirs):
        moved = aggregate_replicas(ours, theirs, "test_metric", direction)
        for factor in SMTO_FACTORS[1:]:
            changes[factor] = aggregate_replicas(ours, theirs, factor, "lower")
    else:
        moved = None
    return None if moved is None else Case(name, moved, changes, lowest_loss(ours, theirs))


def _minimum_loss(ours: list[pd.DataFrame], theirs: list[pd.DataFrame]) -> Comparison | None:
    """None where a seed of either curve has no loss."""
    losses = [numbers(replica, "train_loss") for replica in [*ours, *theirs]]
    known = [values[np.isfinite(values)] for values in losses]
    if not all(values.size for values in known):
        return None
    least = [float(values.min()) for values in known]
    return compare(
        least[: len(ours)],
        least[len(ours) :],
        direction="lower",
        seeds=seed_numbers(ours),
        baseline_seeds=seed_numbers(theirs),
    )


def _place(one: SmtoCase, factor: str) -> dict[str, object]:
    """A point's coordinates and verdicts, and the means behind them."""
    nan = float("nan")
    moved, changed = one.case.transfer, one.case.factors.get(factor)
    x = percent_change(changed.mean, changed.baseline_mean) if changed else nan
    y = percent_change(moved.mean, moved.baseline_mean)
    y = y if one.direction == "higher" else -y
    return {
        "curve": one.curve,
        "task": one.task,
        "role": one.role,
        "factor": factor,
        "x": x,
        "y": y,
        "low": moved.low,
        "high": moved.high,
        "p": moved.p,
        "change": moved.verdict,
        "factor_change": changed.verdict if changed else None,
        "paper_change": moved.paper,
        "counted": moved.paper in ("better", "worse"),
        "shaded": x < 0 < y or y < 0 < x,
        "metric": moved.mean,
        "reference_metric": moved.baseline_mean,
        "value": changed.mean if changed else nan,
        "reference_value": changed.baseline_mean if changed else nan,
        "seeds": moved.seeds,
        "reference_seeds": moved.baseline_seeds,
    }


def _placed(points: pd.DataFrame) -> "pd.Series[bool]":
    placed: pd.Series[bool] = points["x"].notna() & points["y"].notna()
    return placed
