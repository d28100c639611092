"""Factors: what its page shows, as it stands in a URL, and the rows of Table 1 rebuilt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mtl_core import analysis, settings
from mtl_core.analysis import AGGREGATES, TABLE_COLUMNS, Aggregate, TableRow, Versus
from mtl_core.analysis.replicas import replicas
from mtl_core.errors import InputError, quoted
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import codec, comparisons, pool_choice
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.comparisons import Joint, Pool
from mtl_core.views.generalization_gap import comparable_tasks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FactorsView", "chosen", "frame", "rows"]

MOST_SETS = 64  # in a URL
_ROWS = ("significant", "all")


@dataclass(frozen=True)
class FactorsView:
    """The factors of a task, and the table of all.

    Args:
        budget: a pool's name.
        task: of the figure.
        sets: tasks that were trained together; none takes the usual ones.
        aggregate: how a factor becomes one number.
        every: whether tasks without significant transfer are rows of the table.
    """

    setting: str
    budget: str
    task: str
    sets: tuple[Joint, ...] = ()
    aggregate: Aggregate = "bins"
    every: bool = False

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Pool]
    ) -> "tuple[Self | None, list[str]]":
        """What a URL asks for, and what in it was not understood; None without any runs."""
        there = [pool for pool in found if pool.tasks and pool.joints]
        return pool_choice.read(cls, query, there, _fields)

    def to_query(self) -> dict[str, str]:
        return codec.write(self, _fields(()))


def chosen(pool: Pool, sets: Sequence[Joint] = ()) -> dict[str, list[Answer]]:
    """Task to the runs that make its rows: of these sets that have it, or of the usual ones."""
    cases = {task: pool.cases(task, sets) for task in pool.tasks}
    return {task: runs for task, runs in cases.items() if runs}


def rows(
    pool: Pool, cases: Mapping[str, Sequence[Answer]], aggregate: Aggregate, answers: Answers
) -> tuple[list[TableRow], dict[str, int]]:
    """The rows of all tasks; and for footnote 7, over how many epochs it averages at least."""
    found, counts = [], dict[str, int]()
    for task, together in cases.items():
        named = comparisons.labels([pool.singles[task], *together], task)
        table = comparisons.trajectories(named, task, answers)
        split = replicas(table, task)
        base, *others = named
        direction = settings.get(pool.setting.name).task(task).direction
        found += [
            analysis.table_row(
                split,
                Versus(task, other, base, direction),
                aggregate,
                name=f"{task} {other}" if len(others) > 1 else task,
            )
            for other in others
        ]
        for column in TABLE_COLUMNS if aggregate == "footnote" else ():
            read = "test_metric" if column == "transfer" else column
            for name in named:
                of = analysis.aggregate_checkpoints(table, task, name, read)
                counts[column] = min([*of, *([counts[column]] if column in counts else [])])
    return found, counts


def frame(view: FactorsView, found: Sequence[TableRow]) -> "pd.DataFrame":
    """Judged rows as numbers: a row for each of them and each column."""
    import pandas as pd

    return pd.DataFrame(
        {
            "setting": view.setting,
            "aggregate": view.aggregate,
            "task": row.task,
            "row": row.name,
            "column": column,
            "delta": one.delta if one else None,
            "low": one.low if one else None,
            "high": one.high if one else None,
            "p": one.p if one else None,
            "judged_together": one.family if one else None,
            "verdict": one.verdict if one else None,
            "by_2_sd": one.paper if one else None,
            "margin_2_sd": one.margin if one else None,
            "multi_task": one.mean if one else None,
            "single_task": one.baseline_mean if one else None,
            "seeds": one.seeds if one else None,
            "single_task_seeds": one.baseline_seeds if one else None,
            "pairs": one.pairs if one else None,
            "loss_high": binned.loss_high if binned else None,
            "loss_low": binned.loss_low if binned else None,
            "fewest_measurements": min(binned.measurements) if binned else None,
            "interpolated": binned.interpolated if binned else None,
            "lowest_loss": row.lowest,
        }
        for row in found
        for column, one in row.deltas.items()
        for binned in (row.binned.get(column),)
    )


def _fields(there: Sequence[Pool]) -> Entries:
    def sets(text: str, values: Values) -> tuple[Joint, ...]:
        return _sets(pool_choice.pool(there, values), text)

    return (
        *pool_choice.place(there, comparable_tasks),
        pool_choice.task(there),
        Field(
            "sets",
            sets,
            lambda chosen: ",".join(" ".join(names) for names in chosen),
            default=(),
            usually="the usual ones",
        ),
        Field("aggregate", codec.one_of("aggregate", AGGREGATES), default=FactorsView.aggregate),
        Field(
            "rows",
            codec.either("rows", _ROWS),
            _ROWS.__getitem__,
            default=FactorsView.every,
            at=("every",),
        ),
    )


def _sets(pool: Pool, text: str) -> tuple[Joint, ...]:
    found = []
    for part in text.split(",")[: MOST_SETS + 1]:
        chosen = {pool.setting.task(name).name for name in part.split()}
        names = tuple(task.name for task in pool.setting.tasks if task.name in chosen)
        if names not in pool.joints:
            raise InputError(f"{quoted(part)} is not a set of tasks that was trained together here")
        found.append(names)
    if len(found) > MOST_SETS:
        raise InputError(f"{len(found)} sets are more than {MOST_SETS}")
    return tuple(dict.fromkeys(found))
