"""Which runs compare optimizers with UMTG: grouped by tasks and budget, and asked for by a URL."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Self

from mtl_core import optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.optimizers import OptionValue
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import codec, explaining, nearest
from mtl_core.views.codec import RUN_ID, Entries, Field, Values
from mtl_core.views.what_if import BASELINE, Question, differences

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.analysis import Aggregate, Case, FactorVerdict, SmtoCase

__all__ = [
    "AGGREGATES",
    "REFERENCE",
    "Change",
    "Entry",
    "Group",
    "Selection",
    "budget_label",
    "budget_name",
    "budgets",
    "cases",
    "changes",
    "drawn",
    "groups",
    "judged",
    "known",
    "named",
    "nearest_preset",
    "points",
    "pooled",
    "question",
    "rank",
    "ranked_budgets",
    "reason",
]

AGGREGATES: "tuple[Aggregate, ...]" = ("bins", "footnote")  # analysis loads slowly
MOST_SETS = 64  # in a URL
MOST_NAMED = 3  # auxiliaries of a set whose name spells them out
_ASKED = ("setting", "target", "auxiliaries", "optimizer", "options", "seeds", "factors")
_CHANGEABLE = [field.name for field in fields(RunConfig) if field.name not in _ASKED]
"""What a question can change of its preset."""


@dataclass(frozen=True)
class Entry:
    """An optimizer with those of its options that are not at their defaults, sorted by name."""

    optimizer: str
    options: tuple[tuple[str, OptionValue], ...] = ()

    @classmethod
    def of(cls, config: RunConfig) -> Self:
        """That of a run."""
        return cls(config.optimizer, config.options)

    @classmethod
    def parse(cls, token: str) -> Self:
        """Inverse of ``token``. Raises InputError for what no optimizer is."""
        name, _, written = token.partition(":")
        if name not in optimizers.names():
            raise unknown("optimizer", name, optimizers.names())
        known = {option.name: option for option in optimizers.options(name)}
        values = {}
        for pair in written.split(",") if written else ():
            option, _, value = pair.partition("=")
            if option not in known:
                raise unknown(f"option of optimizer {name!r}", option, known)
            values[option] = known[option].parse(name, value)
        method = optimizers.create(name, num_tasks=2, **values)
        return cls(name, tuple(sorted(optimizers.changed(method).items())))

    @property
    def token(self) -> str:
        """``mgda``, or with options ``mgda:normalization=l2,scale=match_sum``."""
        written = ",".join(f"{name}={codec.show(value)}" for name, value in self.options)
        return f"{self.optimizer}:{written}" if written else self.optimizer

    @property
    def label(self) -> str:
        """What it is called on a page."""
        words = [f"{name} {codec.show(value)}" for name, value in self.options]
        return " · ".join([optimizers.rule(self.optimizer).title, *words])


REFERENCE = Entry(BASELINE)
"""The uniform multi-task gradient: the baseline of every other entry."""


@dataclass(frozen=True)
class Group:
    """Finished runs on the same tasks with the same budget; they differ by their optimizer.

    Args:
        budget: the single-task config of the same target and budget.
        auxiliaries: the tasks trained along with the target, at least one.
        runs: UMTG first if it is there, then in the order of ``optimizers.names()``.
    """

    budget: RunConfig
    auxiliaries: tuple[str, ...]
    runs: Mapping[Entry, Answer] = field(default_factory=dict)

    @property
    def compared(self) -> tuple[Entry, ...]:
        """The optimizers that can be compared with UMTG: none while its run is missing."""
        return tuple(self.runs)[1:] if REFERENCE in self.runs else ()

    @property
    def seeds(self) -> int:
        """How many UMTG and another optimizer both have, of the pair that has most."""
        if not self.compared:
            return 0
        most = max(len(self.runs[entry].config.seeds) for entry in self.compared)
        return min(len(self.runs[REFERENCE].config.seeds), most)

    def config(self, entry: Entry) -> RunConfig:
        """The run that this entry needs here, measured as UMTG's was."""
        reference = self.runs.get(REFERENCE)
        return replace(
            self.budget,
            auxiliaries=self.auxiliaries,
            optimizer=entry.optimizer,
            options=entry.options,
            auxiliary_factors=reference is not None and reference.config.auxiliary_factors,
        )

    def missing(self, entries: Iterable[Entry]) -> tuple[Entry, ...]:
        """What of UMTG and these has no finished run."""
        wanted = dict.fromkeys((REFERENCE, *entries))
        return tuple(entry for entry in wanted if entry not in self.runs)


@dataclass(frozen=True)
class Change:
    """What an optimizer changed of a task in one of its runs, over UMTG's run on the same tasks.

    Args:
        auxiliaries: of the runs.
        run: the id of the optimizer's.
        smto: the change; the name of its case is unique among all that are compared together.
    """

    auxiliaries: tuple[str, ...]
    run: str
    smto: "SmtoCase"


@dataclass(frozen=True)
class Selection:
    """What the page Optimizers shows, as it stands in its URL.

    Args:
        budget: a preset's name, or the id of the single-task run with that budget.
        sets: auxiliary sets that are pooled; none takes all that have runs.
        entries: optimizers beside UMTG; none takes all that have runs.
        aggregate: how a quantity becomes one number.
    """

    setting: str
    target: str
    budget: str = "quick"
    sets: tuple[tuple[str, ...], ...] = ()
    entries: tuple[Entry, ...] = ()
    aggregate: "Aggregate" = "bins"

    @classmethod
    def default(
        cls, found: Sequence[Group], setting: str | None = None, target: str | None = None
    ) -> "Selection":
        """Where most optimizers can be compared, within a setting and target if they are given.

        Of the budgets of that setting and target the best evidence is taken (``nearest``).
        """
        name = setting or settings.names()[0]
        usual = cls(name, target or settings.get(name).default_target)
        within = [
            group
            for group in found
            if group.budget.setting == (setting or group.budget.setting)
            and group.budget.target == (target or group.budget.target)
        ]
        counts: dict[Selection, int] = {}
        for group in within:
            place = cls(group.budget.setting, group.budget.target, budget_name(group.budget))
            counts[place] = counts.get(place, 0) + len(group.compared)
        # The first of the largest; budgets without any comparison still have runs to add to.
        ranked = sorted(counts, key=lambda place: (-counts[place], place != usual, _order(place)))
        if not ranked or not (counts[ranked[0]] or setting):
            return usual
        most = ranked[0]
        if not counts[most]:
            return most
        best = ranked_budgets(within, most.setting, most.target)[0]
        return replace(most, budget=budget_name(best))

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Group]
    ) -> "tuple[Selection, list[str]]":
        """What a URL asks for, and what in it could not be understood and was replaced."""
        reading = codec.read(query, _fields(found, placed="setting" in codec.mended(query)))
        return cls(**reading.values), reading.told

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything."""
        return codec.write(self, _fields(()))

    def budget_config(self, found: Sequence[Group]) -> RunConfig:
        """The single-task config of the budget."""
        for budget in budgets(found, self.setting, self.target):
            if budget_name(budget) == self.budget:
                return budget
        return RunConfig.from_preset(self.setting, self.budget, target=self.target)

    def groups(self, found: Sequence[Group]) -> tuple[Group, ...]:
        """The chosen sets in their order; one without any run is an empty group."""
        budget = self.budget_config(found)
        there = {group.auxiliaries: group for group in found if group.budget == budget}
        chosen = self.sets or tuple(there)
        return tuple(there.get(names, Group(budget, names)) for names in chosen)


def groups(answers: Answers) -> tuple[Group, ...]:
    """All finished multi-task runs of the artifacts and the store, artifacts first.

    Of two runs that differ only in whether the auxiliaries' factors were measured, the one that
    has them is taken.
    """
    return answers.derive("groups", lambda: _groups(answers))


def _groups(answers: Answers) -> tuple[Group, ...]:
    found: dict[tuple[RunConfig, tuple[str, ...]], dict[Entry, Answer]] = {}
    for answer in answers.finished("training"):
        config = answer.config
        if not config.auxiliaries:
            continue
        runs = found.setdefault((_baseline(config, config.seeds), config.auxiliaries), {})
        entry = Entry.of(config)
        held = runs.get(entry)
        if held is None or (config.auxiliary_factors and not held.config.auxiliary_factors):
            runs[entry] = answer
    made = [
        Group(budget, auxiliaries, {entry: runs[entry] for entry in sorted(runs, key=rank)})
        for (budget, auxiliaries), runs in found.items()
    ]
    return tuple(sorted(made, key=lambda group: _set_order(group.budget.setting, group)))


@lru_cache(maxsize=16_384)
def _baseline(config: RunConfig, _seeds: tuple[int, ...]) -> RunConfig:
    """A config's baseline; its seeds count, which are no part of what it is equal to."""
    return config.baseline


def budgets(found: Iterable[Group], setting: str, target: str) -> list[RunConfig]:
    """The budgets that a target has multi-task runs with, presets first."""
    there = {
        group.budget: None
        for group in found
        if (group.budget.setting, group.budget.target) == (setting, target)
    }
    return sorted(there, key=lambda budget: _order(Selection(setting, target, budget_name(budget))))


def ranked_budgets(found: Iterable[Group], setting: str, target: str) -> list[RunConfig]:
    """The budgets at which optimizers of a target can be compared, the best evidence first."""
    from mtl_core.analysis import FEWEST_SEEDS

    there: dict[RunConfig, list[Group]] = {}
    for group in found:
        if (group.budget.setting, group.budget.target) == (setting, target) and group.compared:
            there.setdefault(group.budget, []).append(group)

    def key(budget: RunConfig) -> nearest.Rank:
        seeds = max(group.seeds for group in there[budget])
        return nearest.rank(
            budget,
            telling=min(seeds, FEWEST_SEEDS),
            seeds=seeds,
            shown=sum(len(group.compared) for group in there[budget]),
            name=budget_name(budget),
        )

    return sorted(there, key=key, reverse=True)


@lru_cache(maxsize=16_384)
def budget_name(budget: RunConfig) -> str:
    """How a URL calls it: its preset's name, else its id."""
    for name in settings.get(budget.setting).presets:
        if budget == RunConfig.from_preset(budget.setting, name, target=budget.target):
            return name
    return budget.id


def budget_label(budget: RunConfig) -> str:
    """How a page calls it: the preset that it is closest to, and what differs."""
    nearest, words = _nearest(budget)
    return " · ".join([nearest, *words])


def nearest_preset(budget: RunConfig) -> str:
    """The preset that differs from a budget in the fewest fields."""
    return _nearest(budget)[0]


def rank(entry: Entry) -> tuple[int, str]:
    """A sorting key: the order of ``optimizers.names()``, without options first."""
    return optimizers.names().index(entry.optimizer), entry.token


def changes(
    group: Group, entries: Iterable[Entry], answers: Answers, aggregate: "Aggregate" = "bins"
) -> list[Change]:
    """What the optimizers of a group changed of each task: ``analysis.smto_cases``.

    Args:
        entries: which are compared; those without a run are passed over.
        aggregate: how a quantity becomes one number.
    """
    import pandas as pd

    from mtl_core import analysis

    compared = [entry for entry in entries if entry in group.compared]
    tables = [
        answers.main(group.runs[entry]).assign(curve=entry.label)
        for entry in ((REFERENCE, *compared) if compared else ())
    ]
    setting = settings.get(group.budget.setting)
    found = analysis.smto_cases(
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
        REFERENCE.label,
        directions={task.name: task.direction for task in setting.tasks},
        aggregate=aggregate,
    )
    runs = {entry.label: group.runs[entry].config.id for entry in compared}
    return [Change(group.auxiliaries, runs[one.curve], one) for one in found]


def known(found: Iterable[Group]) -> list[Entry]:
    """Every optimizer, as it comes and as it was run; the registry first, so that styles stay."""
    registered = [Entry(name) for name in optimizers.names()]
    run = sorted({entry for group in found for entry in group.runs}, key=rank)
    return [entry for entry in dict.fromkeys([*registered, *run]) if entry != REFERENCE]


def drawn(selection: Selection, chosen: Sequence[Group]) -> tuple[Entry, ...]:
    """The optimizers that are compared: those that were chosen, or all that can be."""
    there = dict.fromkeys(entry for group in chosen for entry in group.compared)
    ordered = sorted(there, key=rank)
    return tuple(entry for entry in ordered if not selection.entries or entry in selection.entries)


def pooled(
    chosen: Iterable[Group],
    entries: Iterable[Entry],
    each: Callable[[Group], Sequence[Change]],
) -> list[Change]:
    """Of all sets that are looked at together, to be judged together.

    Args:
        each: a group to the ``changes`` of all its optimizers.
    """
    labels = {entry.label for entry in entries}
    return named(
        [
            change
            for group in chosen
            if group.compared
            for change in each(group)
            if change.smto.curve in labels
        ]
    )


def reason(changed: Sequence[Change], verdicts: "Sequence[FactorVerdict]") -> str:
    """Why factors can explain the changes of generalization, or cannot, in a sentence.

    Args:
        changed: judged together.
    """
    moved = [one.smto.case.transfer for one in changed]
    return explaining.reason(
        moved, verdicts, "change of generalization", "changes of generalization"
    )


def named(found: Sequence[Change]) -> list[Change]:
    """The same changes, by names that no two of them share: with auxiliaries where sets differ."""
    sets = list(dict.fromkeys(one.auxiliaries for one in found))
    if len(sets) < 2:
        return list(found)
    labels = {names: _set_label(names) for names in sets}
    if len({*labels.values()}) < len(sets):
        labels = {names: " + ".join(names) for names in sets}
    return [
        replace(one, smto=replace(one.smto, case=_renamed(one, labels[one.auxiliaries])))
        for one in found
    ]


def cases(found: Iterable[Change]) -> "list[Case]":
    """Changes as the cases that ``analysis.factor_verdicts`` judges together."""
    return [one.smto.case for one in found]


def judged(found: Sequence[Change]) -> list[Change]:
    """The same changes, judged together: ``analysis.judged_smtos``."""
    from mtl_core import analysis

    together = analysis.judged_smtos([one.smto for one in found])
    return [replace(one, smto=smto) for one, smto in zip(found, together, strict=True)]


def points(found: Sequence[Change]) -> "pd.DataFrame":
    """``analysis.smto_points`` of changes, with ``auxiliaries`` and ``run``, their ids."""
    from mtl_core import analysis

    table = analysis.smto_points([one.smto for one in found])
    panels = len(analysis.SMTO_FACTORS)
    return table.assign(
        auxiliaries=[" + ".join(one.auxiliaries) for one in found for _ in range(panels)],
        run=[one.run for one in found for _ in range(panels)],
    )


def _renamed(one: Change, label: str) -> "Case":
    case = one.smto.case
    return replace(case, name=f"{case.name} (auxiliaries: {label})")


def _set_label(names: tuple[str, ...]) -> str:
    return " + ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} tasks"


def question(group: Group, entries: Sequence[Entry]) -> Question | None:
    """The question on the What if page whose runs are those of these entries, UMTG's among them.

    Of two entries of one optimizer the first is asked for. None where no question has that budget.
    """
    firsts: dict[str, Entry] = {}
    for entry in entries:
        firsts.setdefault(entry.optimizer, entry)
    others = [entry for name, entry in firsts.items() if name != BASELINE]
    wanted = [group.config(entry) for entry in (REFERENCE, *others)]
    if REFERENCE.optimizer in firsts and firsts[BASELINE].options:
        return None  # the page's own UMTG has no options
    preset = nearest_preset(group.budget)
    asked = Question(
        group.budget.setting,
        group.budget.target,
        group.auxiliaries,
        preset,
        optimizers=tuple(entry.optimizer for entry in others),
        seeds=group.budget.seeds,
        options={entry.optimizer: dict(entry.options) for entry in others if entry.options},
    )
    usual = asked.config
    asked = replace(
        asked,
        overrides={
            name: getattr(wanted[0], name)
            for name in _CHANGEABLE
            if getattr(wanted[0], name) != getattr(usual, name)
        },
    )
    try:
        return asked if list(asked.configs) == wanted else None
    except InputError:
        return None


def _nearest(budget: RunConfig) -> tuple[str, list[str]]:
    """The preset that differs in the fewest fields, and these as words."""
    same = {"target": budget.target, "seeds": budget.seeds}
    presets = {
        name: differences(budget, RunConfig.from_preset(budget.setting, name, **same))
        for name in settings.get(budget.setting).presets
    }
    return min(presets.items(), key=lambda item: len(item[1]))


def _order(place: Selection) -> tuple[int, bool, int, int, str]:
    """Settings and presets in their registries' order, a setting's usual target first."""
    setting = settings.get(place.setting)
    presets, tasks = list(setting.presets), [task.name for task in setting.tasks]
    own = presets.index(place.budget) if place.budget in presets else len(presets)
    return (
        settings.names().index(place.setting),
        place.target != setting.default_target,
        tasks.index(place.target),
        own,
        place.budget,
    )


def _set_order(setting: str, group: Group) -> tuple[int, int, list[int]]:
    tasks = [task.name for task in settings.get(setting).tasks]
    places = [tasks.index(name) for name in group.auxiliaries]
    return settings.names().index(setting), len(places), places


# The URL.


def _fields(found: Sequence[Group], *, placed: bool = True) -> Entries:
    """The parameters of the page's URL.

    Args:
        placed: whether the URL names a setting; where it does not, it is the one with most to show.
    """
    usual = partial(_usual, found, placed)
    return (
        Field(
            "setting",
            lambda text, _: settings.get(text).name,
            default=lambda _: Selection.default(found).setting,
            always=True,
        ),
        Field(
            "target",
            lambda text, values: settings.get(values["setting"]).task(text).name,
            default=lambda values: usual(values).target,
            always=True,
        ),
        Field(
            "budget",
            partial(_budget, found),
            default=lambda values: usual(values).budget,
            always=True,
        ),
        Field(
            "aux",
            _sets,
            lambda sets: ",".join(" ".join(names) for names in sets),
            default=(),
            at=("sets",),
            usually="all that have runs",
        ),
        Field(
            "optimizer",
            _entries,
            lambda entries: " ".join(entry.token for entry in entries),
            default=(),
            at=("entries",),
            usually="all that have runs",
        ),
        Field("aggregate", codec.one_of("aggregate", AGGREGATES), default=Selection.aggregate),
    )


def _usual(found: Sequence[Group], placed: bool, values: Values) -> Selection:
    """The selection without the parameters that are not among the values."""
    best = Selection.default(found)
    setting, target = values.get("setting", best.setting), values.get("target")
    if placed or setting != best.setting:
        best = Selection.default(found, setting)
    if target not in (None, best.target):
        best = Selection.default(found, setting, target)
    return best


def _budget(found: Sequence[Group], text: str, values: Values) -> str:
    setting, target = settings.get(values["setting"]), values["target"]
    known = {budget_name(budget) for budget in budgets(found, setting.name, target)}
    if text in known or text in setting.presets:
        return text
    if RUN_ID.fullmatch(text):
        raise InputError(f"no finished run of {target} has the budget {text!r}")
    raise unknown("budget", text, [*setting.presets, *sorted(known - {*setting.presets})])


def _sets(text: str, values: Values) -> tuple[tuple[str, ...], ...]:
    """``digits2,digits2 noisy_digits``: sets between commas, as the runs' columns write them too"""
    setting, target = settings.get(values["setting"]), values["target"]
    order = [task.name for task in setting.tasks]
    found = []
    for part in text.split(","):
        chosen = {setting.task(name).name for name in part.replace("+", " ").split()}
        if not chosen:
            raise InputError(f"{quoted(text)} has an auxiliary set without a task")
        if target in chosen:
            raise InputError(f"target {target!r} is among its own auxiliaries")
        found.append(tuple(name for name in order if name in chosen))
    if len(found) > MOST_SETS:
        raise InputError(f"{len(found)} auxiliary sets are more than {MOST_SETS}")
    return tuple(dict.fromkeys(found))


def _entries(text: str, _: Values) -> tuple[Entry, ...]:
    if not text.split():
        raise InputError("no optimizer")
    found = [Entry.parse(token) for token in text.split()]
    return tuple(dict.fromkeys(entry for entry in found if entry != REFERENCE))
