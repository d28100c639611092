"""M24's Table 1 rebuilt: transfer and the change of each factor, task by task, and the verdicts.

A row holds a task's multi-task run against its single-task run. A quantity becomes one number per
seed in one of two ways, ``AGGREGATES``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mtl_core import factors
from mtl_core.analysis.aggregates import aggregate_comparison, footnote_applies
from mtl_core.analysis.loss_bins import BinnedComparison, comparable
from mtl_core.analysis.replicas import Rows
from mtl_core.analysis.significance import Comparison, Verdict, judged
from mtl_core.analysis.transfer import transfer
from mtl_core.analysis.verdict import Case, FactorVerdict, factor_verdicts, lowest_loss
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
    "judged_rows",
    "published_refuted",
    "table_cases",
    "table_row",
    "table_verdicts",
]

Aggregate = Literal["bins", "footnote"]
AGGREGATES: tuple[Aggregate, ...] = ("bins", "footnote")
"""Factors at comparable loss (App. C.4) beside E at the best validation epoch; or all over the
whole run (footnote 7), for runs of 50 epochs and more."""

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
        binned: of each factor, the range of loss and how many measurements lie in it; None where
            it is not read at comparable loss.
        lowest: the lowest training loss that both runs reached, means over seeds.
    """

    name: str
    task: str
    deltas: Mapping[str, Comparison | None]
    binned: Mapping[str, BinnedComparison | None]
    lowest: float

    @property
    def significant(self) -> bool:
        """Whether transfer is significant: the paper's table has such rows only."""
        moved = self.deltas["transfer"]
        return moved is not None and moved.significant


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
    trajectories: Rows, versus: Versus, aggregate: Aggregate, *, name: str | None = None
) -> TableRow:
    """A row of Table 1: curve minus baseline.

    - ``bins``: transfer is ``transfer``'s, the Fisher trace is read in bins 2-5 of 20 geometric
      bins of the loss, sharpness and covariance in bins 18-20, of the curve that has the higher
      minimum loss (App. C.4, see ``comparable``);
    - ``footnote``: transfer at the 10 best validation epochs, factors as the mean of the last 20
      epochs, of the 20 largest for the Fisher trace (see ``aggregate``); nothing is known of
      shorter runs than ``footnote_applies`` takes.

    Args:
        trajectories: tidy rows with a ``curve`` column.
        versus: multi-task training against single-task training, on a task.
        aggregate: how a quantity becomes one number.
        name: of the row; the task by default.

    Raises:
        ValueError: another aggregate.
    """
    if aggregate not in AGGREGATES:
        raise ValueError(f"unknown aggregate {aggregate!r}; one of: {', '.join(AGGREGATES)}")
    ours, theirs = versus.sides(trajectories)
    deltas: dict[str, Comparison | None] = dict.fromkeys(TABLE_COLUMNS)
    binned: dict[str, BinnedComparison | None] = dict.fromkeys(TABLE_FACTORS)
    if aggregate == "bins":
        deltas["transfer"] = transfer(trajectories, versus)
        for factor in TABLE_FACTORS:
            found = comparable(trajectories, versus, factor)
            binned[factor] = found
            deltas[factor] = found.comparison if found else None
    elif footnote_applies(ours) and footnote_applies(theirs):
        for column in TABLE_COLUMNS:
            read = "test_metric" if column == "transfer" else column
            deltas[column] = aggregate_comparison(trajectories, versus, read)
    name = name or versus.task
    return TableRow(name, versus.task, deltas, binned, lowest_loss(ours, theirs))


def judged_rows(rows: Sequence[TableRow]) -> list[TableRow]:
    """The same rows, each column judged as one family (``judged``)."""
    columns = {column: judged([row.deltas[column] for row in rows]) for column in TABLE_COLUMNS}
    return [
        replace(row, deltas={column: columns[column][place] for column in TABLE_COLUMNS})
        for place, row in enumerate(rows)
    ]


def table_cases(rows: Iterable[TableRow]) -> list[Case]:
    """The rows whose transfer is known, as cases."""
    return [
        Case(row.name, moved, {name: row.deltas[name] for name in TABLE_FACTORS}, row.lowest)
        for row in rows
        if (moved := row.deltas["transfer"]) is not None
    ]


def table_verdicts(rows: Iterable[TableRow]) -> list[FactorVerdict]:
    """Whether each factor can explain the transfers of one setting's rows (``factor_verdicts``)."""
    return factor_verdicts(table_cases(rows), TABLE_FACTORS)


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
        sure = [same for measured, same in pairs if measured.significant]
        counts.append(
            Agreement(column, sum(same for _, same in pairs), len(pairs), sum(sure), len(sure))
        )
    return counts


def published_refuted(factor: str, rows: Sequence[PublishedRow]) -> tuple[str, ...]:
    """The printed rows of a setting in which a factor moves against the transfer.

    The paper's rule refutes a factor by them whatever its shading was: it got worse, or did not
    change significantly.
    """
    direction = factors.get(factor).direction
    return tuple(
        row.title for row in rows if _by_sign(row.deltas[factor], direction) != row.transfer
    )


def _by_sign(delta: float, direction: Direction) -> Verdict:
    if not delta:
        return "not significant"
    return "better" if (delta > 0) == (direction == "higher") else "worse"


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
