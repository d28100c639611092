"""What the pages on the paper's figures show, as it stands in their URLs."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from mtl_core import settings
from mtl_core.analysis import AGGREGATES, Aggregate
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.views.codec import Reader, first_few
from mtl_core.views.comparisons import Joint, Pool

__all__ = ["MOST_RUNS", "ConflictView", "FactorsView", "GapView"]

MOST_RUNS = 6  # in one figure
MOST_SETS = 64  # in a URL
_RUN_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class GapView:
    """The Generalization gap page.

    Args:
        budget: a pool's name.
        runs: ids of the runs that are drawn; none takes the usual ones.
        against: id of the run that they are held against; none takes the single task's.
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
        reader = Reader(query)
        there = [pool for pool in found if pool.tasks]
        pool = _read_pool(reader, there, lambda pool: len(pool.tasks))
        if pool is None:
            return None, []
        task = _read_task(reader, pool, pool.tasks)
        known = {run.config.id for run in (pool.singles[task], *pool.together(task))}

        def ids(text: str) -> tuple[str, ...]:
            words = tuple(dict.fromkeys(text.split()))
            for word in words:
                if word not in known:
                    raise InputError(f"{quoted(word)} is no finished run of {task} at this budget")
            if not 0 < len(words) <= MOST_RUNS:
                raise InputError(f"{len(words)} runs; give 1 to {MOST_RUNS}")
            return words

        usual: tuple[str, ...] = ()
        runs = reader.read("runs", ids, usual, "the usual ones")
        against = reader.read("against", lambda text: ids(text)[0], "", "the single task's")
        view = cls(pool.setting.name, pool.name, task, runs, against)
        return view, _problems(reader, ("task", "runs", "against"))

    def to_query(self) -> dict[str, str]:
        query = {"setting": self.setting, "budget": self.budget, "task": self.task}
        if self.runs:
            query["runs"] = " ".join(self.runs)
        if self.against:
            query["against"] = self.against
        return query


@dataclass(frozen=True)
class FactorsView:
    """The Factors page.

    Args:
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
        reader = Reader(query)
        there = [pool for pool in found if pool.tasks and pool.joints]
        pool = _read_pool(reader, there, lambda pool: len(pool.tasks))
        if pool is None:
            return None, []
        known = pool
        view = cls(
            pool.setting.name,
            pool.name,
            _read_task(reader, pool, pool.tasks),
            reader.read("sets", lambda text: _sets(known, text), (), "the usual ones"),
            reader.read("aggregate", _aggregate, "bins", "bins"),
            reader.read("rows", _every, False, "significant"),
        )
        return view, _problems(reader, ("task", "sets", "aggregate", "rows"))

    def to_query(self) -> dict[str, str]:
        query = {"setting": self.setting, "budget": self.budget, "task": self.task}
        if self.sets:
            query["sets"] = ",".join(" ".join(names) for names in self.sets)
        if self.aggregate != "bins":
            query["aggregate"] = self.aggregate
        if self.every:
            query["rows"] = "all"
        return query


@dataclass(frozen=True)
class ConflictView:
    """The Conflict page.

    Args:
        targets: tasks whose auxiliary sets are points; none takes all that have several.
        every_optimizer: whether runs of other optimizers than the plain sum are points too.
    """

    setting: str
    budget: str
    targets: tuple[str, ...] = ()
    every_optimizer: bool = False

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Pool]
    ) -> "tuple[Self | None, list[str]]":
        """What a URL asks for, and what in it was not understood; None without any runs."""
        reader = Reader(query)
        there = [pool for pool in found if pool.targets]
        pool = _read_pool(reader, there, _points)
        if pool is None:
            return None, []
        known = pool

        def targets(text: str) -> tuple[str, ...]:
            words = dict.fromkeys(text.split() or [text])
            for word in words:
                if word not in known.targets:
                    raise unknown("target", word, known.targets)
            return tuple(name for name in known.targets if name in words)

        view = cls(
            pool.setting.name,
            pool.name,
            reader.read("targets", targets, (), "all"),
            reader.read("optimizers", _every_optimizer, False, "umtg"),
        )
        return view, _problems(reader, ("targets", "optimizers"))

    def to_query(self) -> dict[str, str]:
        query = {"setting": self.setting, "budget": self.budget}
        if self.targets:
            query["targets"] = " ".join(self.targets)
        if self.every_optimizer:
            query["optimizers"] = "all"
        return query

    def shown(self, pool: Pool) -> tuple[str, ...]:
        """The targets that are drawn: without a choice, those with most auxiliary sets."""
        if self.targets:
            return self.targets
        counts = {task: len(pool.auxiliary_sets(task)) for task in pool.targets}
        several = [task for task, count in counts.items() if count >= 3]
        return tuple(several or pool.targets)


def _read_pool(reader: Reader, there: Sequence[Pool], count: Callable[[Pool], int]) -> Pool | None:
    """The setting and budget that a URL names, else those with most to show, the longest first."""
    if not there:
        return None

    def worth(pool: Pool) -> tuple[int, int]:
        return count(pool), pool.budget.steps

    usual = max(there, key=worth)
    here = {pool.setting.name for pool in there}

    def setting(text: str) -> str:
        name = settings.get(text).name
        if name not in here:
            raise InputError(f"{name} has no finished runs to compare yet")
        return name

    name = reader.read("setting", setting, usual.setting.name, usual.setting.name)
    budgets = {pool.name: pool for pool in there if pool.setting.name == name}
    usual = max(budgets.values(), key=worth)

    def budget(text: str) -> Pool:
        if text in budgets:
            return budgets[text]
        if _RUN_ID.fullmatch(text) or text in settings.get(name).presets:
            raise InputError(f"no finished runs of {name} to compare have the budget {text!r}")
        raise unknown("budget", text, budgets)

    return reader.read("budget", budget, usual, usual.name)


def _read_task(reader: Reader, pool: Pool, tasks: Sequence[str]) -> str:
    usual = pool.setting.default_target
    usual = usual if usual in tasks else tasks[0]

    def task(text: str) -> str:
        name = pool.setting.task(text).name
        if name not in tasks:
            raise InputError(f"{name} has no single-task run beside a multi-task one here")
        return name

    return reader.read("task", task, usual, usual)


def _problems(reader: Reader, own: Sequence[str]) -> list[str]:
    return first_few([*reader.problems, *reader.foreign(("setting", "budget", *own))])


def _sets(pool: Pool, text: str) -> tuple[Joint, ...]:
    found = []
    for part in text.split(",")[: MOST_SETS + 1]:
        chosen = {pool.setting.task(name).name for name in part.split()}
        names = tuple(task.name for task in pool.setting.tasks if task.name in chosen)
        if names not in pool.joints:
            raise InputError(f"{quoted(part)} is no set of tasks that was trained together here")
        found.append(names)
    if len(found) > MOST_SETS:
        raise InputError(f"{len(found)} sets are more than {MOST_SETS}")
    return tuple(dict.fromkeys(found))


def _aggregate(text: str) -> Aggregate:
    for name in AGGREGATES:
        if text == name:
            return name
    raise unknown("aggregate", text, AGGREGATES)


def _every(text: str) -> bool:
    return _choice("rows", text, ("significant", "all"))


def _every_optimizer(text: str) -> bool:
    return _choice("optimizers", text, ("umtg", "all"))


def _choice(kind: str, text: str, choices: tuple[str, str]) -> bool:
    if text not in choices:
        raise unknown(kind, text, choices)
    return text == choices[1]


def _points(pool: Pool) -> int:
    return max(len(pool.auxiliary_sets(task)) for task in pool.targets)
