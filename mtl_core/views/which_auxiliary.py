"""Which auxiliary: what is raced, as it stands in a URL, and what the race says, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mtl_core import settings
from mtl_core.analysis import RACE_LOOKS, Runner
from mtl_core.checks import with_seeds
from mtl_core.errors import InputError
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.race import MOST, Contest, Standing
from mtl_core.views import codec
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.measures import Measure, between
from mtl_core.views.phrases import counted, escaped, listed
from mtl_core.views.what_if import Question, named

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LOOKS",
    "STATES",
    "Asked",
    "RaceView",
    "asked",
    "at_most",
    "called",
    "command",
    "leaderboard",
    "progress",
    "question",
    "race_title",
    "sentence",
]

LOOKS = ("race", "pairs")
"""One target's race, or the matrix of all pairs."""
FIRST = "synthetic"
"""The setting that is asked about first: its race ships, and who wins is known by construction."""
MOST_NAMED = 4
STATES = {
    "racing": "in the race",
    "out": "out",
    "winner": "winner",
    "level": "may be as good",
    "undecided": "undecided",
    "failed": "failed",
}


@dataclass(frozen=True)
class RaceView:
    """Which of the candidates should the target be trained with?

    Args:
        look: one of ``LOOKS``.
        preset: the budget of each run.
        candidates: auxiliaries that take part; none for all other tasks.
        most: seeds of each training at most.
        margin: differences up to this are worth nothing, in hundredths of the metric's unit.
        grow: whether more auxiliaries are raced for beside the one that won.
        seeds: of each cell of the matrix that is not known.
        clustered: whether the matrix's rows and columns lie beside those like them.

    Raises:
        InputError: for what is no race.
    """

    setting: str
    target: str
    look: str = "race"
    preset: str = "quick"
    candidates: tuple[str, ...] = ()
    most: int = MOST
    margin: float = 2.0
    grow: bool = False
    seeds: int = 3
    clustered: bool = False

    @classmethod
    def default(cls, setting: str) -> "RaceView":
        """What is asked of a setting first: its usual target, with all others."""
        return cls(setting, settings.get(setting).default_target)

    @property
    def title(self) -> str:
        """What is asked, in a sentence."""
        if self.look == "pairs":
            return f"Which tasks of {settings.get(self.setting).title} help each other?"
        return f"Which auxiliary task helps {self.target}?"

    @property
    def others(self) -> tuple[str, ...]:
        """All tasks that may be auxiliaries."""
        tasks = settings.get(self.setting).tasks
        return tuple(task.name for task in tasks if task.name != self.target)

    @property
    def contest(self) -> Contest:
        """What is raced. Raises InputError where that is no race."""
        return Contest(
            self.setting,
            self.target,
            self.preset,
            self.candidates or self.others,
            most=self.most,
            margin=self.margin / 100,
        )

    @property
    def larger(self) -> int | None:
        """The next budget of seeds, about twice as large; None where this is the largest."""
        more = [seeds for seeds in RACE_LOOKS if seeds >= 1.5 * self.most]
        return more[0] if more else None

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything; what is at its default is left out."""
        return codec.write(self, _FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[RaceView, list[str]]":
        """What a URL asks, and what in it could not be understood."""
        reading = codec.read(query, _FIELDS, _raceable)
        return cls(**reading.values), reading.told


def question(config_of: Answer | Standing, name: str = "") -> Question:
    """What What if shows of a training: the target with these auxiliaries, for all known seeds.

    Args:
        name: of the training, of a standing.
    """
    answer = config_of.answers[name] if isinstance(config_of, Standing) else config_of
    config = answer.config
    seeds = answer.done or config.seeds[:3]
    return Question(
        config.setting,
        config.target,
        config.auxiliaries,
        preset=_preset_of(config),
        seeds=tuple(seeds),
    )


def _preset_of(config: object) -> str:
    from mtl_core.views.smtos import nearest_preset

    return nearest_preset(config.baseline)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Asked:
    """A training with the runs that the next look takes."""

    answer: Answer


def asked(standing: Standing, answers: Answers) -> list[Asked]:
    """What a race asks for now: trainings with the seeds of its next look."""
    return [
        Asked(answers.find(with_seeds(standing.contest.configs[name], range(seeds))))
        for name, seeds in standing.race.wanted.items()
    ]


def at_most(standing: Standing, answers: Answers) -> tuple[int, float | None]:
    """Runs that a race may still take if nothing leaves it, and how long they would take."""
    left = []
    for name in standing.race.wanted:
        answer = standing.answers[name]
        if missing := [seed for seed in answer.config.seeds if seed not in answer.done]:
            left.append(with_seeds(standing.contest.configs[name], missing))
    count = sum(len(config.seeds) for config in left)
    return count, answers.estimate_seconds(*left, elsewhere=True) if left else 0.0


def progress(standing: Standing) -> tuple[int, int, float]:
    """Runs of the next look that are done, how many it takes, and the share, with parts of runs."""
    done, count, share = 0, 0, 0.0
    for name, seeds in standing.race.wanted.items():
        answer = standing.answers[name]
        for seed in range(seeds):
            source = answer.source(seed)
            finished = seed in answer.done
            done += finished
            share += 1.0 if finished else getattr(source, "share", 0.0)
            count += 1
    return done, count, share / count if count else 1.0


# In words.


def called(standing: Standing, name: str) -> str:
    """What a training is called: its auxiliaries beside the given ones, or that there are none."""
    contest = standing.contest
    config = contest.configs[name]
    if name == contest.reference:
        return named(config) if contest.given else "alone"
    more = tuple(one for one in config.auxiliaries if one not in contest.given)
    return named(replace(config, auxiliaries=more)) if contest.given else named(config)


def sentence(standing: Standing, measure: Measure) -> str:
    """The race's answer, in Markdown."""
    race = standing.race
    if race.leader is None:
        return "Not known yet: the first look takes some runs of each."
    told = {
        "winner": _winner,
        "level": _level,
        "undecided": _undecided,
        "racing": _racing,
    }[race.outcome]
    failed = sum(runner.state == "failed" for runner in race.runners)
    unjudged = f" {counted(failed, 'candidate')} could not be judged: runs failed."
    return told(standing, measure) + (unjudged if failed else "")


def _winner(standing: Standing, measure: Measure) -> str:
    race, target = standing.race, escaped(standing.contest.target)
    leader, alone = race.leader or "", _without(standing)
    if leader == standing.contest.reference:
        return f"**Train {target} {alone}.** That is better than with any of the candidates."
    return (
        f"**Train {target} with {_name(standing, leader)}.** That is better than with any other "
        f"candidate and than {alone}: {_by(race.runner(leader), measure)}."
    )


def _level(standing: Standing, measure: Measure) -> str:
    race, target = standing.race, escaped(standing.contest.target)
    leader, alone, margin = race.leader or "", _without(standing), _margin(standing, measure)
    if leader == standing.contest.reference:
        return (
            f"**Train {target} {alone}.** No auxiliary is worth it: none of the candidates can be "
            f"better than {alone} by more than {margin}."
        )
    left = [one.name for one in race.runners if one.state == "level" and one.name != leader]
    return (
        f"**Train {target} with {_name(standing, leader)}**: "
        f"{_by(race.runner(leader), measure)} over {alone}, which is out. "
        f"{_or([_name(standing, name) for name in left])} may be as good or better, but not by "
        f"more than {margin}."
    )


def _undecided(standing: Standing, measure: Measure) -> str:
    race = standing.race
    left = [_name(standing, one.name) for one in race.runners if one.state == "undecided"]
    helped = f" Whichever it is, it beats {_without(standing)}." if race.helped else ""
    return (
        f"**Undecided** after {counted(standing.contest.most, 'seed')}: the best may be "
        f"{_or(left)}.{helped} More seeds would tell, or a margin wider than "
        f"{_margin(standing, measure)}."
    )


def _racing(standing: Standing, measure: Measure) -> str:
    race = standing.race
    left = [runner for runner in race.runners if runner.state == "racing"]
    leader = race.leader or ""
    ahead = f"{_name(standing, leader)} is ahead"
    if leader != standing.contest.reference:
        ahead += f": {_by(race.runner(leader), measure)}"
    helped = f" Something is better than {_without(standing)}, which is out." if race.helped else ""
    return f"**So far {ahead}**; {len(left)} of {len(race.runners)} may still be the best.{helped}"


def _without(standing: Standing) -> str:
    given = standing.contest.given
    return f"with {escaped(listed(given))} and nothing more" if given else "alone"


def _name(standing: Standing, name: str) -> str:
    if name == standing.contest.reference:
        return _without(standing)
    return escaped(" + ".join([*standing.contest.given, called(standing, name)]))


def _by(runner: Runner, measure: Measure) -> str:
    """``+6.8 pt (5.9 … 7.8 pt)``"""
    ends = between(runner.low, runner.high, measure)
    return measure.delta(runner.delta) + (f" ({ends})" if ends else "")


def _margin(standing: Standing, measure: Measure) -> str:
    return measure.delta(standing.contest.margin).removeprefix("+")


def _or(names: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``, or the first of many."""
    if len(names) > MOST_NAMED + 1:
        names = [*names[:MOST_NAMED], f"one of {len(names) - MOST_NAMED} more"]
    return " or ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def leaderboard(standing: Standing) -> "pd.DataFrame":
    """A row for each training, the leader first.

    Returns:
        ``key``, its name in the race; ``name``, what a page calls it; ``reference``, whether the
        others are compared with it; ``state``, in words; ``seeds`` that it was judged with;
        ``metric``, E; ``delta, low, high`` against the reference, NaN before the first look;
        ``beaten_by``.
    """
    import pandas as pd

    rows = []
    for runner in standing.race.runners:
        reference = runner.name == standing.contest.reference
        rows.append(
            {
                "key": runner.name,
                "name": called(standing, runner.name),
                "reference": reference,
                "state": _state(standing, runner),
                "seeds": runner.seeds,
                "metric": runner.mean,
                "delta": runner.delta,
                "low": runner.low,
                "high": runner.high,
                "beaten_by": called(standing, runner.beaten_by) if runner.beaten_by else "",
            }
        )
    return pd.DataFrame(rows)


def race_title(standing: Standing, number: int) -> str:
    """What one of several races is for."""
    beside = listed(standing.contest.given)
    what = f"one more beside {beside}" if beside else "the first auxiliary"
    return f"Race {number}: {what}"


def command(view: RaceView) -> str:
    """The race as a command."""
    parts = ["python -m mtl_core race", f"--setting {view.setting}", f"--target {view.target}"]
    if view.candidates:
        parts.append(f"--candidates {' '.join(view.candidates)}")
    parts += [f"--preset {view.preset}", f"--most {view.most}", f"--margin {view.margin:g}"]
    return " ".join([*parts, *(["--grow"] if view.grow else [])])


def _state(standing: Standing, runner: Runner) -> str:
    if runner.state == "level" and runner.name == standing.race.leader:
        return "chosen"
    return STATES[runner.state]


# The URL.


def _raceable(values: Values) -> object:
    """Raises InputError for what is no race."""
    return "target" not in values or RaceView(**values).contest


def _task(text: str, values: Values) -> str:
    return settings.get(values["setting"]).task(text).name


def _preset(text: str, values: Values) -> str:
    settings.get(values["setting"]).preset(text)
    return text


def _candidates(text: str, values: Values) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(_task(name, values) for name in text.split()))
    if values["target"] in names:
        raise InputError(f"{values['target']!r} is the target")
    return names


def _most(text: str, _: Values) -> int:
    seeds = codec.whole(text)
    if seeds not in RACE_LOOKS:
        raise InputError(f"{seeds} seeds are none of {' '.join(map(str, RACE_LOOKS))}")
    return seeds


def _margin_of(text: str, _: Values) -> float:
    margin = codec.number(text)
    if not 0 <= margin <= 1_000:
        raise InputError(f"margin {margin:g} is not between 0 and 1,000")
    return margin


def _seeds(text: str, _: Values) -> int:
    seeds = codec.whole(text)
    if not 2 <= seeds <= MOST:
        raise InputError(f"{seeds} seeds are not between 2 and {MOST}")
    return seeds


_FIELDS: Entries = (
    Field(
        "setting",
        lambda text, _: settings.get(text).name,
        default=lambda _: FIRST,
        always=True,
    ),
    Field(
        "target",
        _task,
        default=lambda values: settings.get(values["setting"]).default_target,
        always=True,
    ),
    Field("look", codec.one_of("look", LOOKS), default=RaceView.look),
    Field("preset", _preset, default=RaceView.preset, always=True),
    Field("candidates", _candidates, " ".join, default=(), usually="all other tasks"),
    Field("most", _most, default=RaceView.most),
    Field("margin", _margin_of, codec.show_short, default=RaceView.margin),
    Field("grow", codec.flag, default=RaceView.grow),
    Field("seeds", _seeds, default=RaceView.seeds),
    Field("clustered", codec.flag, default=RaceView.clustered),
)
