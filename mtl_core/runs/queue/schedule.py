"""The schedule: which run gets the next slice.

Runs of one question advance in lockstep, so that single-task and multi-task curves of all seeds
grow side by side and end together; questions share the processes fairly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mtl_core.runs.queue.records import Key

__all__ = ["Going", "Schedule"]


@dataclass
class Going:
    """A run that is under way.

    Args:
        asked_at: when its question was asked.
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

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1; below 0 before its first measurement."""
        return self.step / self.steps


class Schedule:
    """Chooses among runs that are under way.

    First comes what has no first points: of the newest question, an experiment without any point.
    Then the question which has had the least time, and in it the run that is furthest behind, as a
    share of its steps. A question that arrives begins with as much time as those which go on have
    had at least, so it does not make up for the time before it was asked.
    """

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    def charge(self, question: str, seconds: float) -> None:
        """Say that a question has had so much of a process's time."""
        self._spent[question] = self._spent.get(question, 0.0) + seconds

    def choose(self, going: Sequence[Going]) -> Going | None:
        """The run of which a slice should begin now; None when all are busy."""
        self._admit(going)
        idle = [run for run in going if not run.busy]
        if not idle:
            return None
        if fresh := _without_points(idle, going):
            return max(fresh, key=lambda run: run.asked_at)
        spent = self._spent
        question = min({run.question for run in idle}, key=lambda name: (spent[name], name))
        return min((run for run in idle if run.question == question), key=lambda run: run.share)

    def _admit(self, going: Iterable[Going]) -> None:
        """Begin to keep account of new questions, and forget those that have ended."""
        there = dict.fromkeys(run.question for run in going)
        known = {name: spent for name, spent in self._spent.items() if name in there}
        least = min(known.values(), default=0.0)
        self._spent = {name: known.get(name, least) for name in there}


def _without_points(idle: Iterable[Going], going: Sequence[Going]) -> list[Going]:
    """Idle runs of experiments of which no run has a point yet, nor is about to have one."""
    under_way = {(run.question, run.key.experiment) for run in going if run.step >= 0 or run.busy}
    return [run for run in idle if (run.question, run.key.experiment) not in under_way]
