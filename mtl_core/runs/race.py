"""Which auxiliary helps: a race whose runs go through the queue, and whose state is what is known.

A contest asks, a standing answers, and the runs that are to be carried out next follow from both.
Nothing else is kept: whoever asks the same again, here or elsewhere, finds the race where it is,
and runs that somebody else has asked for count as well.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from mtl_core import analysis, settings
from mtl_core.checks import with_seeds
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, StoreError
from mtl_core.kept import Kept
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.here import answers_here
from mtl_core.runs.queue.launch import tend

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST", "Contest", "Standing", "contests", "race", "reached", "standing"]

MOST = 10
"""Seeds of each training at most, where nothing else is said."""
_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Contest:
    """What is raced: each candidate as an auxiliary, and all of them together.

    Args:
        setting: name of a setting.
        target: the task that is to generalize.
        preset: the budget of each run.
        candidates: tasks that may be auxiliaries.
        given: auxiliaries that all trainings have; training with these alone is the reference.
        most: seeds of each training at most.
        margin: differences of the metric up to this are worth nothing.

    Raises:
        InputError: for what cannot be trained, or is no race.
    """

    setting: str
    target: str
    preset: str
    candidates: tuple[str, ...]
    given: tuple[str, ...] = ()
    most: int = MOST
    margin: float = 0.02

    def __post_init__(self) -> None:
        if not self.candidates:
            raise InputError("a race needs at least one candidate")
        if not self.margin >= 0:
            raise InputError(f"margin {self.margin:g} is below 0")
        if doubled := sorted({*self.candidates} & {*self.given, self.target}):
            raise InputError(f"{doubled[0]!r} is no candidate: it is trained in any case")
        least = analysis.race_looks(len(self.configs))[0]
        if self.most < least:
            raise InputError(f"{self.most} seeds are too few for this race; give at least {least}")

    @cached_property
    def configs(self) -> dict[str, RunConfig]:
        """Training to its experiment: the reference first, then each candidate, then all together.

        They are named by their auxiliaries: ``stl``, or their names joined by ``+``.
        """
        sets = [(), *((name,) for name in self.candidates)]
        if len(self.candidates) > 1 and not self.given:
            sets.append(self.candidates)
        found = [self._config((*self.given, *names)) for names in sets]
        return {config.auxiliaries_label: config for config in found}

    @property
    def reference(self) -> str:
        """The training that the others have to be better than."""
        return next(iter(self.configs))

    def next(self, names: Sequence[str]) -> "Contest | None":
        """The race for one more auxiliary beside these; None where none is left."""
        left = tuple(name for name in self.candidates if name not in names)
        return replace(self, candidates=left, given=tuple(names)) if left else None

    def _config(self, auxiliaries: tuple[str, ...]) -> RunConfig:
        return RunConfig.from_preset(
            self.setting,
            self.preset,
            target=self.target,
            auxiliaries=auxiliaries,
            seeds=tuple(range(self.most)),
        )


@dataclass(frozen=True)
class Standing:
    """A contest as it stands.

    Attributes:
        answers: what is known of each training's runs, by its name.
        race: what follows from the finished ones.
    """

    contest: Contest
    answers: dict[str, Answer]
    race: analysis.Race

    @property
    def next_runs(self) -> list[RunConfig]:
        """Experiments with the seeds that the next look takes and that are not known yet.

        Failed runs are not tried again by this: they leave the race.
        """
        found = []
        for name, seeds in self.race.wanted.items():
            states = self.answers[name].states()
            new = [seed for seed in range(seeds) if states[seed] in ("new", "cancelled")]
            if new:
                found.append(with_seeds(self.contest.configs[name], new))
        return found

    @property
    def failed(self) -> list[RunConfig]:
        """Experiments with those seeds whose runs failed, to be tried again."""
        found = []
        for name, answer in self.answers.items():
            seeds = [seed for seed, state in answer.states().items() if state == "failed"]
            if seeds:
                found.append(with_seeds(self.contest.configs[name], seeds))
        return found

    @property
    def active(self) -> list[Answer]:
        """Trainings with runs that are queued or running."""
        return [answer for answer in self.answers.values() if answer.active]

    @property
    def known(self) -> int:
        """Finished runs of its trainings, whether the race has looked at them or not."""
        return sum(len(answer.done) for answer in self.answers.values())

    @property
    def next_contest(self) -> Contest | None:
        """The race for one more auxiliary; None where this one has no auxiliary to begin with."""
        leader = self.race.leader
        if self.race.outcome not in ("winner", "level") or leader in (None, self.contest.reference):
            return None
        return self.contest.next(self.contest.configs[leader].auxiliaries)


def standing(contest: Contest, answers: Answers) -> Standing:
    """How a contest stands: the race that its finished runs make."""
    found = {name: answers.find(config) for name, config in contest.configs.items()}
    results = {name: reached(answer, answers) for name, answer in found.items()}
    failed = [
        name
        for name, answer in found.items()
        if len(results[name]) < contest.most
        and answer.states()[len(results[name])] == "failed"
        and name != contest.reference
    ]
    if len(failed) == len(found) - 1:
        failed = []  # a race without candidates is none; it waits for them to be tried again
    task = settings.get(contest.setting).task(contest.target)
    raced = analysis.race(
        results,
        reference=contest.reference,
        most=contest.most,
        margin=contest.margin,
        direction=task.direction,
        failed=failed,
    )
    return Standing(contest, found, raced)


def contests(contest: Contest, answers: Answers, *, grow: bool) -> list[Standing]:
    """A contest's standing, and with ``grow`` those of the races for one more auxiliary each.

    Greedy forward selection: what led the race before is given in the next one, until nothing is
    better than the reference by more than the margin, or a race is not decided yet.
    """
    found = [standing(contest, answers)]
    while grow and (following := found[-1].next_contest):
        found.append(standing(following, answers))
    return found


def reached(answer: Answer, answers: Answers) -> tuple[float, ...]:
    """E of an answer's finished runs, from its first seed on, up to the first that is not done."""
    done = set(answer.done)
    seeds: list[int] = []
    for seed in answer.config.seeds:
        if seed not in done:
            break
        seeds.append(seed)
    if not seeds:
        return ()
    config = with_seeds(answer.config, seeds)
    finished = replace(answer, config=config)
    place = None if answers.store is None else answers.store.path
    return _reached.get((place, finished.version), lambda: _reach(finished, answers))


def _reach(finished: Answer, answers: Answers) -> tuple[float, ...]:
    config: RunConfig = finished.config
    direction = settings.get(config.setting).task(config.target).direction
    rows = answers.main(finished).assign(curve="")
    return analysis.reached(rows, config.target, "", direction=direction)


_reached: Kept[tuple[float, ...]] = Kept(most=8_192)
"""E by the store's path and the version of what is known."""


# In notebooks and scripts.


def race(
    setting: str,
    target: str | None = None,
    candidates: Sequence[str] | None = None,
    *,
    preset: str = "quick",
    most: int = MOST,
    margin: float = 0.02,
    grow: bool = False,
    train: bool = True,
    tell: Callable[[str], None] | None = None,
) -> "pd.DataFrame":
    """Which auxiliary task to train with: carries out a race and returns its table.

    Runs that ship, that were imported or that are in the store are not carried out again; the
    others go through the store's queue, as the app's do, and stay there.

    Args:
        setting: name of a setting.
        target: the task that is to generalize; default: the setting's usual one.
        candidates: tasks that may be auxiliaries; default: all others.
        preset: the budget of each run.
        most: seeds of each training at most.
        margin: differences of the metric up to this are worth nothing: 0.02 is two points.
        grow: whether more auxiliaries are raced for beside the one that won, one by one.
        train: whether runs are carried out; otherwise the race stands as what is known has it.
        tell: is called with a line at each look.

    Returns:
        A row for each training and race, the leader first: ``race`` (from 1 on), ``auxiliaries``
        (``stl``, or names joined by ``+``), ``state``, ``seeds``, ``metric`` (mean E over these),
        ``transfer`` with ``transfer_low`` and ``transfer_high`` (against the race's reference, 95 %
        by itself), ``beaten_by`` and ``outcome``, the race's.

    Raises:
        InputError: for what cannot be trained.
        StoreError: when the queue cannot be used.
    """
    found = settings.get(setting)
    goal = found.default_target if target is None else found.task(target).name
    others = [task.name for task in found.tasks if task.name != goal]
    asked = others if candidates is None else [found.task(name).name for name in candidates]
    contest = Contest(setting, goal, preset, tuple(asked), most=most, margin=margin)
    answers = answers_here()
    standings = contests(contest, answers, grow=grow)
    for standings in _carried_out(contest, answers, grow=grow) if train else ():
        if tell is not None:
            tell(_line(standings))
    return table(standings)


def table(standings: Sequence[Standing]) -> "pd.DataFrame":
    """The races as a tidy table; see ``race``."""
    import pandas as pd

    rows = [
        {
            "race": number,
            "auxiliaries": runner.name,
            "state": runner.state,
            "seeds": runner.seeds,
            "metric": runner.mean,
            "transfer": runner.delta,
            "transfer_low": runner.low,
            "transfer_high": runner.high,
            "beaten_by": runner.beaten_by,
            "outcome": one.race.outcome,
        }
        for number, one in enumerate(standings, 1)
        for runner in one.race.runners
    ]
    return pd.DataFrame(rows)


def _carried_out(contest: Contest, answers: Answers, *, grow: bool) -> Iterator[list[Standing]]:
    """The races at each look, while the queue carries out what the next ones take."""
    store = answers.store
    assert store is not None
    last: tuple[int, int] | None = None
    while True:
        standings = contests(contest, answers, grow=grow)
        now = standings[-1]
        if (len(standings), now.race.looks) != last:
            last = (len(standings), now.race.looks)
            yield standings
        if new := now.next_runs:
            store.submit(*new)
        elif not now.active:
            return
        if problem := tend(store):
            raise StoreError(problem)
        time.sleep(_POLL_SECONDS)


def _line(standings: Sequence[Standing]) -> str:
    """``race 1, look 2: 4 of 23 in the race, cos100 leads, 46 runs known``"""
    now = standings[-1]
    left = sum(runner.state not in ("out", "failed") for runner in now.race.runners)
    lead = f", {now.race.leader} leads" if now.race.leader else ""
    return (
        f"race {len(standings)}, look {now.race.looks}: {left} of {len(now.answers)} in the race"
        f"{lead}, {now.known} runs known; {now.race.outcome}"
    )
