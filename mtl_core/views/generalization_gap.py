"""Generalization gap: what its page shows, as it stands in a URL, and what the runs say there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from mtl_core import analysis, settings
from mtl_core.analysis import EARLY_LOSS, EarlyVerdict, GapCase, Versus
from mtl_core.analysis.replicas import Rows, replicas
from mtl_core.errors import InputError, quoted
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import codec, comparisons, pool_choice
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.comparisons import Pool
from mtl_core.views.phrases import counted, escaped, family, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "MOST_RUNS",
    "GapView",
    "Side",
    "cases",
    "comparable_tasks",
    "early",
    "frame",
    "reason",
    "sides",
]

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


def comparable_tasks(pool: Pool) -> int:
    """How many tasks of a pool can be compared: what it has to show."""
    return len(pool.tasks)


@dataclass(frozen=True)
class Side:
    """A multi-task run of a task beside its single-task run.

    Args:
        name: of the case.
        rows: the replicas of both, and of the task's other runs, by curve.
    """

    task: str
    run: Answer
    name: str
    rows: Rows
    versus: Versus


def sides(pool: Pool, answers: Answers) -> list[Side]:
    """Every task of a budget with its usual sets, each against its single-task run."""
    found = []
    for task in pool.tasks:
        named = comparisons.labels([pool.singles[task], *pool.cases(task)], task)
        split = replicas(comparisons.trajectories(named, task, answers), task)
        base, *others = named
        direction = settings.get(pool.setting.name).task(task).direction
        found += [
            Side(
                task,
                named[other],
                comparisons.case_name(pool, named[other], task),
                split,
                Versus(task, other, base, direction),
            )
            for other in others
        ]
    return found


def cases(found: Iterable[Side]) -> list[GapCase]:
    """What ``analysis.early_verdict`` judges together."""
    return [analysis.gap_case(side.rows, side.versus, name=side.name) for side in found]


def reason(found: EarlyVerdict) -> str:
    """Why the runs agree that gaps open early, or not, in a sentence."""
    many = counted(found.cases, "comparison")
    if not found.significant:
        return (
            f"None of the {many} here has a significant transfer"
            f"{family(found.judged)}, so there is no gap to date."
        )
    if not found.telling:
        return (
            f"**{len(found.significant)}** of the {many} "
            f"{'has' if len(found.significant) == 1 else 'have'} a significant transfer"
            f"{family(found.judged)}, but none of them comes down to "
            f"L = {EARLY_LOSS / 10:g}, a decade below what counts as early."
        )
    rest = [name for name in found.telling if name not in (*found.early, *found.late)]
    words = (
        f"Of **{len(found.telling)}** significant transfers{family(found.judged)} that come "
        f"down to L = {EARLY_LOSS / 10:g}, **{len(found.early)}** opened as a gap of the same sign "
        f"above L = {EARLY_LOSS:g}, and stayed"
    )
    if found.late:
        words += f"; less than half of the gap was there early for {_names(found.late)}"
    if rest:
        words += f"; not certain either way for {_names(rest)}"
    return f"{words}."


def frame(cases: Iterable[tuple[GapCase, str]]) -> "pd.DataFrame":
    """Judged cases with their tasks, as numbers: a row each."""
    import pandas as pd

    return pd.DataFrame(
        {
            "task": task,
            "case": case.name,
            "transfer": case.transfer.delta if case.transfer else None,
            "transfer_low": case.transfer.low if case.transfer else None,
            "transfer_high": case.transfer.high if case.transfer else None,
            "transfer_p": case.transfer.p if case.transfer else None,
            "transfer_is": case.transfer.verdict if case.transfer else None,
            "transfer_by_2_sd": case.transfer.paper if case.transfer else None,
            "onset_loss": case.onset.train_loss if case.onset else None,
            "onset_epoch": case.onset.epoch if case.onset else None,
            "onset_is": case.onset.verdict if case.onset else None,
            "highest_loss": case.highest,
            "lowest_loss": case.lowest,
            "onset_share": case.share,
            "early": early(case),
        }
        for case, task in cases
    )


def early(case: GapCase) -> str:
    """Whether a case's gap opened early, in a few words."""
    if not case.significant:
        return "–"
    if not case.telling:
        return "too short to tell"
    return "yes" if case.early else "no" if case.late else "not certain"


def _names(of: Sequence[str]) -> str:
    return listed([escaped(name) for name in of])


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
        *pool_choice.place(there, comparable_tasks),
        pool_choice.task(there),
        Field("runs", ids, " ".join, default=(), usually="the usual ones"),
        Field(
            "against",
            lambda text, values: ids(text, values)[0],
            default="",
            usually="the single task's",
        ),
    )
