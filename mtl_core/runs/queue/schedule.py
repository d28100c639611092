"""The schedule: which run gets the next slice.

Runs of one question advance in lockstep, so that single-task and multi-task curves of all seeds
grow side by side and end together. Visitors share the processes fairly however much each of them
has asked for, and so do the questions of one visitor.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtl_core.runs.queue.records import Key

__all__ = ["Going", "Schedule"]

FIRST_SECONDS = 5.0
"""So much more time than another may a visitor have had whose first points come before all else."""


@dataclass
class Going:
    """A run that is under way.

    Args:
        asked_at: when its question was asked.
        visitor: who asked; all that nobody is known to have asked for shares the name "".
        step: steps that it has taken; -1 before its first measurement.
        steps: all that it will take.
        busy: whether a slice of it is being carried out.
    """

    key: Key
    question: str
    asked_at: float
    step: int
    steps: int
    busy: bool = False
    visitor: str = ""

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1; below 0 before its first measurement."""
        return self.step / self.steps


class Schedule:
    """Chooses among runs that are under way.

    First comes what has no first points: of the newest question, an experiment without any point,
    as long as its visitor has not had much more time than the others. Then the visitor who has had
    the least time, of what this one asked the question which has had the least, and in it the run
    that is furthest behind, as a share of its steps. Who arrives begins with as much time as those
    who are there have had at least, so does not make up for the time before.
    """

    def __init__(self) -> None:
        self._visitors: dict[str, float] = {}
        self._questions: dict[str, float] = {}

    def charge(self, visitor: str, question: str, seconds: float) -> None:
        """Say that a visitor's question has had so much of a process's time."""
        self._visitors[visitor] = self._visitors.get(visitor, 0.0) + seconds
        self._questions[question] = self._questions.get(question, 0.0) + seconds

    def choose(self, going: Sequence[Going]) -> Going | None:
        """The run of which a slice should begin now; None when all are busy."""
        self._admit(going)
        idle = [run for run in going if not run.busy]
        if not idle:
            return None
        ahead = min(self._visitors.values()) + FIRST_SECONDS
        fresh = [
            run for run in _without_points(idle, going) if self._visitors[run.visitor] <= ahead
        ]
        if fresh:
            return max(fresh, key=lambda run: run.asked_at)
        visitor = min({run.visitor for run in idle}, key=lambda who: (self._visitors[who], who))
        idle = [run for run in idle if run.visitor == visitor]
        spent = self._questions
        question = min({run.question for run in idle}, key=lambda name: (spent[name], name))
        return min((run for run in idle if run.question == question), key=lambda run: run.share)

    def _admit(self, going: Sequence[Going]) -> None:
        """Begin to keep account of who and what is new, and forget what has ended."""
        self._visitors = _admitted(self._visitors, (run.visitor for run in going))
        found: dict[str, float] = {}
        for visitor in self._visitors:
            own = [run.question for run in going if run.visitor == visitor]
            found |= _admitted(self._questions, own)
        self._questions = found


def _admitted(spent: Mapping[str, float], there: Iterable[str]) -> dict[str, float]:
    """The accounts of those who are there; a new one's begins with the least of the others."""
    names = dict.fromkeys(there)
    known = {name: spent[name] for name in names if name in spent}
    least = min(known.values(), default=0.0)
    return {name: known.get(name, least) for name in names}


def _without_points(idle: Iterable[Going], going: Sequence[Going]) -> list[Going]:
    """Idle runs of experiments of which no run has a point yet, nor is about to have one."""
    under_way = {(run.question, run.key.experiment) for run in going if run.step >= 0 or run.busy}
    return [run for run in idle if (run.question, run.key.experiment) not in under_way]
