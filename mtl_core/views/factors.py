"""Factors: what its page shows, as it stands in a URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mtl_core.analysis import AGGREGATES, Aggregate
from mtl_core.errors import InputError, quoted
from mtl_core.views import codec, pool_choice
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.comparisons import Joint, Pool

__all__ = ["FactorsView"]

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


def _fields(there: Sequence[Pool]) -> Entries:
    def sets(text: str, values: Values) -> tuple[Joint, ...]:
        return _sets(pool_choice.pool(there, values), text)

    return (
        *pool_choice.place(there, lambda pool: len(pool.tasks)),
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
