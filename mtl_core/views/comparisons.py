"""Which runs rebuild the paper's figures: a task alone and together with others, at one budget.

A task's multi-task trajectory may be that of a run in which it is an auxiliary: one run of twenty
tasks is compared with twenty single-task runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.checks import with_seeds
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.places import shipped
from mtl_core.runs.grids.precompute import read_plan
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import smtos
from mtl_core.views.smtos import REFERENCE, Entry, Group, budget_name
from mtl_core.views.what_if import Question, kind, label

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.charts import Curve

__all__ = [
    "Joint",
    "Pool",
    "alike",
    "case_name",
    "compared",
    "curves",
    "find",
    "joint",
    "joint_label",
    "labels",
    "plan",
    "pools",
    "question",
    "reduced",
    "same_budget",
    "seen_from",
    "trajectories",
]

Joint = tuple[str, ...]
"""Tasks that are trained together, in the setting's order."""

_TASKS = ("target", "auxiliaries", "optimizer", "options", "auxiliary_factors")
_BUDGET = [
    field.name
    for field in fields(RunConfig)
    # Seeds may be others, and as many or few: a comparison takes each side's own spread.
    if field.name not in (*_TASKS, "seeds", "samples")
]


@dataclass(frozen=True)
class Pool:
    """Finished runs of one setting and budget, which may be compared task by task.

    Every field of their configs that makes a budget is equal, and so are their numbers of steps and
    of the examples that they are measured on, be it that a task has no more; they differ in which
    tasks they have, how these were combined, and maybe in their seeds.

    Args:
        budget: a single-task config with this budget, of the setting's usual target if it can be.
        runs: small sets of tasks first, in the setting's order.
    """

    budget: RunConfig
    runs: tuple[Answer, ...]

    @property
    def setting(self) -> settings.Setting:
        return settings.get(self.budget.setting)

    @property
    def name(self) -> str:
        """How a URL calls it: a preset, or the id of its single-task run."""
        return budget_name(self.budget)

    @cached_property
    def singles(self) -> dict[str, Answer]:
        """Task to its single-task run: the one with most seeds."""
        found: dict[str, Answer] = {}
        for run in self.runs:
            held = found.get(run.config.target)
            if not run.config.auxiliaries and (held is None or _seeds(run) > _seeds(held)):
                found[run.config.target] = run
        return found

    def together(self, task: str) -> list[Answer]:
        """Multi-task runs with this task on the same examples as its single-task run, if any."""
        single = self.singles.get(task)
        return [
            run
            for run in self.runs
            if run.config.auxiliaries
            and task in run.config.tasks
            and (single is None or _examples(run, task) == _examples(single, task))
        ]

    @cached_property
    def tasks(self) -> tuple[str, ...]:
        """Those that can be compared: with a single-task run and a multi-task run, in order."""
        return tuple(
            task.name
            for task in self.setting.tasks
            if task.name in self.singles and self.together(task.name)
        )

    @cached_property
    def targets(self) -> tuple[str, ...]:
        """Tasks with multi-task runs in which their factors were measured, in order."""
        there = {task for run in self.runs if run.config.auxiliaries for task in run.config.tasks}
        return tuple(
            name
            for name in (task.name for task in self.setting.tasks)
            if name in there and any(_measured(run, name) for run in self.together(name))
        )

    @cached_property
    def joints(self) -> tuple[Joint, ...]:
        """Sets of tasks with a run of the plain sum (UMTG), the largest first."""
        several = [run.config for run in self.runs if run.config.auxiliaries]
        plain = [config for config in several if Entry.of(config) == REFERENCE]
        sets = dict.fromkeys(map(joint, plain))
        return tuple(sorted(sets, key=lambda names: -len(names)))

    @property
    def usual(self) -> tuple[Joint, ...]:
        """The sets that a page starts with.

        Where auxiliaries are helpful or harmful by construction, as in FashionMTL, each set makes
        its case; elsewhere those with the most tasks do, as in the paper's Table 1.
        """
        if any(task.expected for task in self.setting.tasks):
            return tuple(sorted(self.joints, key=len))
        most = max(map(len, self.joints), default=0)
        return tuple(names for names in self.joints if len(names) == most)

    def run(self, task: str, names: Joint, entry: Entry = REFERENCE) -> Answer | None:
        """The run of these tasks to read ``task`` in: with its factors, and with most seeds."""
        found = [
            run
            for run in self.together(task)
            if joint(run.config) == names and Entry.of(run.config) == entry
        ]
        return max(found, key=lambda run: _worth(run, task), default=None)

    def cases(self, task: str, sets: Sequence[Joint] = ()) -> list[Answer]:
        """A run of the plain sum for each of these sets (the usual ones) that has the task."""
        wanted = sets or self.usual
        found = [self.run(task, names) for names in wanted if task in names]
        if not sets and not any(found):
            # The task is in none of the usual sets, but it is in some.
            found = [self.run(task, names) for names in self.joints if task in names][:1]
        return [run for run in found if run is not None]

    @property
    def seeds(self) -> int:
        """How many both sides of a usual comparison have, of the one that has most.

        Those of a run where there is nothing to compare.
        """
        both = [
            min(_seeds(self.singles[task]), _seeds(run))
            for task in self.tasks
            for run in self.cases(task)
        ]
        return max(both or map(_seeds, self.runs))

    def auxiliary_sets(self, task: str, *, every_optimizer: bool = False) -> list[Answer]:
        """Fig. 5: a run for each set that the task was trained with, its factors measured.

        Args:
            every_optimizer: whether runs of other optimizers than the plain sum count too.
        """
        best: dict[tuple[Joint, Entry], Answer] = {}
        for run in self.together(task):
            key = joint(run.config), Entry.of(run.config)
            if not _measured(run, task) or not (every_optimizer or key[1] == REFERENCE):
                continue
            if key not in best or _worth(run, task) > _worth(best[key], task):
                best[key] = run
        return list(best.values())


def pools(answers: Answers) -> tuple[Pool, ...]:
    """All finished runs by setting and budget, in the settings' order, the longest run first."""
    return answers.derive("pools", lambda: _pools(answers))


def _pools(answers: Answers) -> tuple[Pool, ...]:
    found: dict[tuple[Any, ...], list[Answer]] = {}
    for answer in answers.finished("training"):
        found.setdefault(_budget(answer.config), []).append(answer)
    for answer in answers.finished("training"):
        # All examples of a small task may be as many as others are measured on.
        own, same = _budget(answer.config), _budget(answer.config, _held_out(answer.config))
        if same != own and same in found:
            found[own].remove(answer)
            found[same].append(answer)
    found = {budget: runs for budget, runs in found.items() if runs}
    made = [
        Pool(_single(runs[0].config), tuple(sorted(runs, key=_order))) for runs in found.values()
    ]
    names = settings.names()
    return tuple(
        sorted(
            made, key=lambda pool: (names.index(pool.budget.setting), -pool.budget.steps, pool.name)
        )
    )


def alike(config: RunConfig, answers: Answers) -> list[Answer]:
    """All finished experiments with a config's target and budget, with any auxiliaries.

    Their optimizers may differ too; everything else is equal.
    """
    return answers.alike(config)


def joint(config: RunConfig) -> Joint:
    """The tasks of a run in the setting's order, whichever of them is its target."""
    order = [task.name for task in settings.get(config.setting).tasks]
    return tuple(sorted(config.tasks, key=order.index))


def plan(config: RunConfig) -> str | None:
    """The file in ``plans/`` that a run is trained by, relative to it; None where none has it."""
    return _plans().get(config.id)


@lru_cache(maxsize=1)
def _plans() -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(shipped("plans").glob("*.toml")):
        try:
            configs = read_plan(path)
        except InputError:
            continue  # for settings that are not here, say; it trains nothing that could show
        for config in configs:
            found.setdefault(config.id, f"plans/{path.name}")
    return found


def seen_from(config: RunConfig, task: str) -> RunConfig:
    """The same run with one of its tasks for a target."""
    others = tuple(name for name in config.tasks if name != task)
    return config if task == config.target else replace(config, target=task, auxiliaries=others)


def labels(runs: Iterable[Answer], task: str) -> dict[str, Answer]:
    """Runs by what a figure of a task calls them; no two share a name."""
    named: dict[str, Answer] = {}
    for run in runs:
        name = _label(run.config, task)
        named[name if name not in named else f"{name} · {run.config.id}"] = run
    return named


def case_name(pool: Pool, run: Answer, task: str) -> str:
    """A task, and with which others where that differs from row to row."""
    several = len(pool.cases(task)) > 1
    return f"{task} {next(iter(labels([run], task)))}" if several else task


def curves(named: Mapping[str, Answer], task: str) -> "list[Curve]":
    """How the runs of a figure of a task are drawn: colours say what the other tasks are."""
    from mtl_core.charts import CurveKey, style_curves

    return style_curves(
        [CurveKey(name, kind(seen_from(run.config, task))) for name, run in named.items()]
    )


def trajectories(named: Mapping[str, Answer], task: str, answers: Answers) -> "pd.DataFrame":
    """A task's rows of these runs, with the column ``curve``: the names."""
    import pandas as pd

    tables = []
    for name, run in named.items():
        rows = answers.main(run)
        tables.append(rows[rows["task"] == task].assign(curve=name))
    return pd.concat(tables, ignore_index=True)


def compared(
    runs: Sequence[Answer], task: str, answers: Answers, against: Answer | None = None
) -> "pd.DataFrame":
    """Transfer and gap of some runs on a task: ``analysis.transfer_table``, with ids.

    Args:
        runs: with the task, whose finished seeds count; those of another budget than the
            baseline's are passed over, and so is the baseline.
        against: the baseline; by default the single task at the budget of the first run.

    Raises:
        InputError: where there is no run of the task, or no finished one to compare them with.
    """
    from mtl_core import analysis

    with_task = [run for run in runs if task in run.config.tasks]
    if not with_task:
        raise InputError(f"none of these runs has the task {task!r}")
    budget = seen_from((against or with_task[0]).config, task).baseline
    base = against or answers.find_id(budget.id)
    if base is None or not base.done:
        raise InputError(
            f"{task} has no finished single-task run at this budget to compare with; train it on "
            "What if, or say which run to compare with"
        )
    others = [
        run
        for run in with_task
        if run.config.id != base.config.id and seen_from(run.config, task).baseline == budget
    ]
    finished = [
        answers.find(with_seeds(run.config, run.done)) for run in (base, *others) if run.done
    ]
    named = labels(finished, task)
    name, *rest = named
    direction = settings.get(budget.setting).task(task).direction
    rows = trajectories(named, task, answers)
    table = analysis.transfer_table(rows, task, name, direction=direction)
    ids = {one: named[one].config.id for one in rest}
    table.insert(0, "run", table["curve"].map(ids))
    table.insert(1, "task", task)
    table.insert(3, "baseline", name)
    return table


def joint_label(setting: settings.Setting, names: Joint) -> str:
    """What a page calls a set of tasks: all of them where there are too many to name."""
    if len(names) == len(setting.tasks) > 3:
        return f"all {len(names)} tasks"
    written = " + ".join(names)
    return written if len(names) <= 3 else f"{len(names)} tasks: {written}"


def question(config: RunConfig, task: str) -> Question | None:
    """What if asks this of a task and a run's other tasks; None where it has no such budget."""
    own = seen_from(config, task)
    group = Group(own.baseline, own.auxiliaries, {REFERENCE: Answer(own)})
    return smtos.question(group, [Entry.of(own)])


def reduced(config: RunConfig, *, measuring: bool = False) -> str | None:
    """What of a run is smaller than in the setting's preset ``paper``; None where nothing is.

    Args:
        measuring: whether how finely factors were measured counts too.
    """
    setting = settings.get(config.setting)
    paper = setting.presets.get("paper")
    if paper is None or settings.is_own(setting.name):
        return None
    task = setting.task(config.target)
    held_out = max(task.val_size, task.test_size)
    pairs = [
        (config.width, paper.width, "encoder width {} of {}"),
        (config.train_size, paper.samples or task.train_size, "{} of {} examples"),
        (config.held_out or held_out, paper.held_out or held_out, "{} of {} held out"),
        (config.epochs, paper.epochs, "{} of {} epochs"),
    ]
    if measuring and config.factors:
        lost = config.apgd_lost
        less_sharp = "" if lost is None else f" (up to {lost:g} % less of it)"
        most = min(paper.factor_examples, paper.samples or task.train_size)
        pairs += [
            (config.factor_examples, most, "factors on {} of {} examples"),
            (
                config.apgd_steps,
                paper.apgd_steps,
                "{} of {} search steps for sharpness" + less_sharp,
            ),
            (config.fisher_draws, paper.fisher_draws, "{} of {} draws of labels for Fisher"),
            (
                config.similarity_batches,
                paper.similarity_batches,
                "{} of {} batches for similarity",
            ),
        ]
    less = [words.format(f"{own:,}", f"{full:,}") for own, full, words in pairs if own < full]
    return ", ".join(less) or None


def find(found: Iterable[Pool], setting: str, budget: str) -> Pool:
    """The pool with this setting and budget."""
    return next(pool for pool in found if (pool.setting.name, pool.name) == (setting, budget))


def _budget(config: RunConfig, held_out: int | None = None) -> tuple[Any, ...]:
    """What makes a budget, with so many held-out examples where the config says all."""
    values = [getattr(config, name) for name in _BUDGET if name != "held_out"]
    return (*values, config.held_out or held_out, config.train_size, config.steps)


def _held_out(config: RunConfig) -> int | None:
    """On how many examples all of its tasks are measured; None where they differ in that."""
    if config.held_out:
        return config.held_out
    tasks = map(settings.get(config.setting).task, config.tasks)
    sizes = {size for task in tasks for size in (task.val_size, task.test_size)}
    return sizes.pop() if len(sizes) == 1 else None


def same_budget(config: RunConfig, budget: RunConfig) -> bool:
    """Whether an experiment is of a pool with this single-task config."""
    if config.setting != budget.setting:
        return False
    try:
        same = replace(budget, target=config.target, auxiliaries=config.auxiliaries)
    except InputError:  # its tasks have not that many examples
        return False
    return _budget(config) == _budget(same)


def _single(config: RunConfig) -> RunConfig:
    """One config for all of a pool, so that its name does not depend on which runs there are."""
    own = replace(config, auxiliaries=(), seeds=RunConfig.seeds)
    try:
        usual = replace(own, target=settings.get(config.setting).default_target)
    except InputError:
        return own
    return usual if usual.steps == own.steps else own


def _examples(run: Answer, task: str) -> tuple[int, int, int]:
    config, found = run.config, settings.get(run.config.setting).task(task)
    held_out = config.held_out
    return (
        config.samples or found.train_size,
        held_out or found.val_size,
        held_out or found.test_size,
    )


def _seeds(run: Answer) -> int:
    return len(run.config.seeds)


def _measured(run: Answer, task: str) -> bool:
    """Whether the factors of a task were measured in a run, as far as any were."""
    return bool(run.config.target == task or run.config.auxiliary_factors)


def _worth(run: Answer, task: str) -> tuple[bool, int, bool, str]:
    own = run.config.target == task
    return _measured(run, task), _seeds(run), own, run.config.id


def _order(run: Answer) -> tuple[Any, ...]:
    config = run.config
    order = [task.name for task in settings.get(config.setting).tasks]
    places = [order.index(name) for name in joint(config)]
    target = order.index(config.target)
    return len(places), places, smtos.rank(Entry.of(config)), target, config.seeds, config.id


def _label(config: RunConfig, task: str) -> str:
    """The other tasks, or how many, and the optimizer where it is not the plain sum."""
    others = [name for name in joint(config) if name != task]
    if len(others) <= 2:
        name = label(seen_from(config, task))
    elif len(others) + 1 == len(settings.get(config.setting).tasks):
        name = f"all {len(others) + 1} tasks"
    else:
        name = f"+ {', '.join(others[:2])} and {len(others) - 2} more"
    entry = Entry.of(config)
    return name if not config.auxiliaries or entry == REFERENCE else f"{name} · {entry.label}"
