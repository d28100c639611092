"""M24's Table 1 rebuilt: transfer and the change of each factor, task by task, and the verdicts.

A row holds a task's multi-task run against its single-task run. A factor becomes one number per
seed in one of two ways, ``AGGREGATES``; transfer is the paper's footnote 7 in both, as App. C.4
bins factors only.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mtl_core import factors
from mtl_core.analysis.aggregates import aggregate_comparison
from mtl_core.analysis.early import Support
from mtl_core.analysis.loss_bins import comparable
from mtl_core.analysis.significance import Comparison, Verdict
from mtl_core.analysis.verdict import Case, FactorVerdict, verdict
from mtl_core.analysis.versus import Versus
from mtl_core.direction import Direction

__all__ = [
    "AGGREGATES",
    "TABLE_COLUMNS",
    "TABLE_FACTORS",
    "Aggregate",
    "Agreement",
    "PublishedRow",
    "TableRow",
    "agreement",
    "published_verdict",
    "table_row",
    "table_support",
    "table_verdicts",
]

Aggregate = Literal["bins", "footnote"]
AGGREGATES: tuple[Aggregate, ...] = ("bins", "footnote")
"""Factors at comparable loss (App. C.4), or over the whole run (footnote 7)."""

TABLE_FACTORS = tuple(factors.explaining())
TABLE_COLUMNS = ("transfer", *TABLE_FACTORS)


@dataclass(frozen=True)
class TableRow:
    """A task of one multi-task run.

    Attributes:
        name: of the row: the task, and the curve where a task has several rows.
        task: the task.
        deltas: of each of ``TABLE_COLUMNS``, multi-task minus single-task; None where a side was
            not measured.
    """

    name: str
    task: str
    deltas: Mapping[str, Comparison | None]

    @property
    def significant(self) -> bool:
        """Whether transfer is significant: the paper's table has such rows only."""
        transfer = self.deltas["transfer"]
        return transfer is not None and transfer.verdict in ("better", "worse")


@dataclass(frozen=True)
class PublishedRow:
    """A row as the paper printed it: Δ of each of ``TABLE_COLUMNS``, without its shading.

    Attributes:
        direction: which way the task's metric is better.
    """

    setting: str
    task: str
    title: str
    deltas: Mapping[str, float]
    direction: Direction = "higher"

    @property
    def transfer(self) -> Verdict:
        """Whether the transfer is better or worse; all printed transfers are significant."""
        return _by_sign(self.deltas["transfer"], self.direction)


@dataclass(frozen=True)
class Agreement:
    """In how many of the published rows that were measured here the sign of a Δ is the same.

    Attributes:
        column: one of ``TABLE_COLUMNS``.
        agree: rows with equal signs.
        of: rows that were both printed and measured.
        significant_agree: the rows with equal signs whose Δ, as measured here, is significant.
        significant_of: the rows whose Δ, as measured here, is significant.
    """

    column: str
    agree: int
    of: int
    significant_agree: int
    significant_of: int


def table_row(
    trajectories: pd.DataFrame, versus: Versus, aggregate: Aggregate, *, name: str | None = None
) -> TableRow:
    """A row of Table 1: curve minus baseline, with ± 2 SD deciding what is significant.

    - transfer: the test metric at the 10 best validation checkpoints (footnote 7);
    - ``bins``: the Fisher trace in bins 2-5 of 20 geometric bins of the loss, sharpness and
      covariance in bins 18-20, of the curve that has the higher minimum loss (App. C.4, see
      ``comparable``);
    - ``footnote``: the mean of the last 20 checkpoints, of the 20 largest for the Fisher trace
      (see ``aggregate``).

    Args:
        trajectories: tidy rows with a ``curve`` column.
        versus: multi-task training against single-task training, on a task.
        aggregate: how a factor becomes one number.
        name: of the row; the task by default.

    Raises:
        ValueError: another aggregate.
    """
    if aggregate not in AGGREGATES:
        raise ValueError(f"unknown aggregate {aggregate!r}; one of: {', '.join(AGGREGATES)}")
    deltas: dict[str, Comparison | None] = {
        "transfer": aggregate_comparison(trajectories, versus, "test_metric")
    }
    for factor in TABLE_FACTORS:
        if aggregate == "bins":
            binned = comparable(trajectories, versus, factor)
            deltas[factor] = binned.comparison if binned else None
        else:
            deltas[factor] = aggregate_comparison(trajectories, versus, factor)
    return TableRow(name or versus.task, versus.task, deltas)


def table_verdicts(rows: Iterable[TableRow]) -> list[FactorVerdict]:
    """Whether each factor can explain the transfers of one setting's rows (``verdict``)."""
    known = [(row, transfer) for row in rows if (transfer := row.deltas["transfer"]) is not None]
    return [
        verdict(factor, [Case(row.name, transfer, row.deltas[factor]) for row, transfer in known])
        for factor in TABLE_FACTORS
    ]


def table_support(verdicts: Sequence[FactorVerdict]) -> Support:
    """Whether verdicts support the claim that no factor explains transfer.

    One factor that can explain it speaks against the claim; factors that are not known for every
    transfer leave it supported in part.
    """
    outcomes = {factor.outcome for factor in verdicts}
    if "can explain" in outcomes:
        return "does not support"
    if "cannot explain" not in outcomes:
        return "not enough"
    return "supports" if outcomes == {"cannot explain"} else "supports in part"


def agreement(rows: Sequence[TableRow], published: Sequence[PublishedRow]) -> list[Agreement]:
    """How often our Δ has the sign of the paper's, column by column.

    Args:
        rows: of one setting. Where a task has several rows, the first counts.
        published: of the same setting.
    """
    ours: dict[str, TableRow] = {}
    for row in rows:
        ours.setdefault(row.task, row)
    counts = []
    for column in TABLE_COLUMNS:
        pairs = [
            (measured, _sign(measured.delta) == _sign(theirs.deltas[column]))
            for theirs in published
            if theirs.task in ours and (measured := ours[theirs.task].deltas[column]) is not None
        ]
        sure = [same for measured, same in pairs if measured.verdict in ("better", "worse")]
        counts.append(
            Agreement(column, sum(same for _, same in pairs), len(pairs), sum(sure), len(sure))
        )
    return counts


def published_verdict(factor: str, rows: Sequence[PublishedRow]) -> FactorVerdict:
    """The verdict on a factor in one setting from the printed signs alone.

    A factor whose sign goes against a transfer is refuted whatever its shading was: it got worse,
    or did not change significantly. "Can explain" only says that no sign refutes it.
    """
    direction = factors.get(factor).direction
    cases = [
        Case(
            row.title,
            _printed(row.deltas["transfer"], row.transfer),
            _printed(row.deltas[factor], _by_sign(row.deltas[factor], direction)),
        )
        for row in rows
    ]
    return verdict(factor, cases)


def _printed(delta: float, shaded: Verdict) -> Comparison:
    nan = math.nan
    return Comparison(nan, nan, delta, nan, nan, 0, 0, shaded)


def _by_sign(delta: float, direction: Direction) -> Verdict:
    if not delta:
        return "not significant"
    return "better" if (delta > 0) == (direction == "higher") else "worse"


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
