"""Generalization gap: what its page shows, as it stands in a URL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mtl_core.errors import InputError, quoted
from mtl_core.views import codec, pool_choice
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.comparisons import Pool

__all__ = ["MOST_RUNS", "GapView"]

MOST_RUNS = 6  # in one figure


@dataclass(frozen=True)
class GapView:
    """A task's runs, and the run that they are compared with.

    Args:
        budget: a pool's name.
        runs: ids of the runs that are drawn; none takes the usual ones.
        against: id of the run that they are compared with; none takes the single task's.
    """

    setting: str
    budget: str
    task: str
    runs: tuple[str, ...] = ()
    against: str = ""

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Pool]
    ) -> "tuple[Self | None, list[str]]":
        """What a URL asks for, and what in it was not understood; None without any runs."""
        there = [pool for pool in found if pool.tasks]
        return pool_choice.read(cls, query, there, _fields)

    def to_query(self) -> dict[str, str]:
        return codec.write(self, _fields(()))


def _fields(there: Sequence[Pool]) -> Entries:
    def ids(text: str, values: Values) -> tuple[str, ...]:
        pool, task = pool_choice.pool(there, values), values["task"]
        known = {run.config.id for run in (pool.singles[task], *pool.together(task))}
        words = tuple(dict.fromkeys(text.split()))
        for word in words:
            if word not in known:
                raise InputError(f"{quoted(word)} is not a finished run of {task} at this budget")
        if not 0 < len(words) <= MOST_RUNS:
            raise InputError(f"{len(words)} runs; give 1 to {MOST_RUNS}")
        return words

    return (
        *pool_choice.place(there, lambda pool: len(pool.tasks)),
        pool_choice.task(there),
        Field("runs", ids, " ".join, default=(), usually="the usual ones"),
        Field(
            "against",
            lambda text, values: ids(text, values)[0],
            default="",
            usually="the single task's",
        ),
    )
