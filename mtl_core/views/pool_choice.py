"""Which finished runs a page on the paper's figures compares: the first fields of its URL."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from mtl_core import settings
from mtl_core.analysis import FEWEST_SEEDS
from mtl_core.errors import InputError, unknown
from mtl_core.views import codec, comparisons, nearest
from mtl_core.views.codec import RUN_ID, Entries, Field, Values
from mtl_core.views.comparisons import Pool

__all__ = ["Count", "best", "place", "pool", "read", "seeds", "task"]

View = TypeVar("View")
Count = Callable[[Pool], int | tuple[int, ...]]
"""How much a pool has to show; the first number of several counts most."""


def read(
    view: type[View],
    query: Mapping[str, str],
    there: Sequence[Pool],
    fields: Callable[[Sequence[Pool]], Entries],
) -> tuple[View | None, list[str]]:
    """What a URL asks a page for, and what in it was not understood; None without any pool."""
    if not there:
        return None, []
    reading = codec.read(query, fields(there))
    return view(**reading.values), reading.told


def seeds(pool: Pool) -> int:
    """Of its comparisons, as many as an outcome takes at most."""
    return min(pool.seeds, FEWEST_SEEDS)


def best(pools: Sequence[Pool], count: Count, telling: Callable[[Pool], int] = seeds) -> list[Pool]:
    """The same pools, the best evidence first (``nearest``).

    Args:
        telling: how many of what an outcome takes a pool has, no more than that.
    """
    return sorted(
        pools,
        key=lambda pool: nearest.rank(
            pool.budget, telling=telling(pool), seeds=pool.seeds, shown=count(pool), name=pool.name
        ),
        reverse=True,
    )


def place(
    there: Sequence[Pool], count: Count, telling: Callable[[Pool], int] = seeds
) -> tuple[Field, Field]:
    """Setting and budget: unless they are named, the setting that a pool shows most of, and of its
    budgets the best evidence.

    Args:
        there: at least one pool, but for writing.
        count: how much a pool has to show.
        telling: how many of what an outcome takes a pool has, no more than that.
    """

    def most() -> Pool:
        return max(there, key=lambda pool: (count(pool), pool.budget.steps))

    def within(values: Values) -> list[Pool]:
        return [pool for pool in there if pool.setting.name == values["setting"]]

    def setting(text: str, _: Values) -> str:
        name = settings.get(text).name
        if name not in {pool.setting.name for pool in there}:
            raise InputError(f"{name} has no finished runs to compare yet")
        return name

    def budget(text: str, values: Values) -> str:
        name = values["setting"]
        known = [pool.name for pool in within(values)]
        if text in known:
            return text
        if RUN_ID.fullmatch(text) or text in settings.get(name).presets:
            raise InputError(f"no finished runs of {name} to compare have the budget {text!r}")
        raise unknown("budget", text, known)

    return (
        Field("setting", setting, default=lambda _: most().setting.name, always=True),
        Field(
            "budget",
            budget,
            default=lambda values: best(within(values), count, telling)[0].name,
            always=True,
        ),
    )


def pool(there: Sequence[Pool], values: Values) -> Pool:
    """The one that the values before name."""
    return comparisons.find(there, values["setting"], values["budget"])


def task(there: Sequence[Pool]) -> Field:
    """A task that the pool can compare; the setting's usual target where it can."""

    def parse(text: str, values: Values) -> str:
        chosen = pool(there, values)
        name = chosen.setting.task(text).name
        if name not in chosen.tasks:
            raise InputError(f"{name} has no single-task run beside a multi-task one here")
        return name

    def usual(values: Values) -> str:
        chosen = pool(there, values)
        target = chosen.setting.default_target
        return target if target in chosen.tasks else chosen.tasks[0]

    return Field("task", parse, default=usual, always=True)
