"""Vocabulary: what a page that shows experiments of all kinds says of one, and finds it by.

A kind without words of its own goes by those of the command line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeVar

from mtl_core import checks, optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.pareto import problems, scalarizations
from mtl_core.pareto.config import BASELINES, ParetoConfig
from mtl_core.runs import kinds
from mtl_core.views import pareto_front, smtos, what_if

__all__ = ["SINGLE", "Vocabulary", "Words", "of", "words"]

C = TypeVar("C", bound=kinds.Experiment)
SINGLE = "none"
"""The method of a single task, for filtering: it has nothing to combine."""


@dataclass(frozen=True)
class Words:
    """What is said of an experiment, whichever its seeds.

    Args:
        label: what it is called among others of the same subject and target.
        subject: what it is about, by name: a setting or a problem.
        title: the same for people, with what else defines it.
        method: how its tasks' gradients become an update, by name.
        method_title: the same for people.
        method_label: the same with its options; empty where there is nothing to say.
        preset: that of its subject which its budget is closest to.
        budget: the preset, and what differs.
        tasks: those whose generalization can be drawn.
        shown: fields that a table writes otherwise than as they are.
    """

    label: str
    subject: str = ""
    title: str = ""
    target: str = ""
    auxiliaries: tuple[str, ...] = ()
    method: str = ""
    method_title: str = ""
    method_label: str = ""
    preset: str = "standard"
    budget: str = ""
    tasks: tuple[str, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Vocabulary:
    """How experiments of a kind are spoken of.

    Args:
        words: of one.
        differences: the fields in which the first differs from the second, as words of the first.
        subjects: all there are, by name and title, in their order.
        targets: all there are.
        methods: all there are, by name and title, in their order.
    """

    words: Callable[[Any], Words]
    differences: Callable[[Any, Any], list[str]] = lambda config, other: []
    subjects: Callable[[], Mapping[str, str]] = dict
    targets: Callable[[], list[str]] = list
    methods: Callable[[], Mapping[str, str]] = dict


def words(config: kinds.Experiment) -> Words:
    """What is said of an experiment."""
    return of(config.kind).words(config)


def of(kind: str) -> Vocabulary:
    """How experiments of a kind are spoken of."""
    return _VOCABULARIES.get(kind) or Vocabulary(_plain)


def _plain(config: kinds.Experiment) -> Words:
    return Words(kinds.of(config).command.words(config))


def _nearest(
    config: C, presets: Mapping[str, C], differences: Callable[[C, C], list[str]]
) -> tuple[str, str]:
    """The preset that differs in the fewest fields; and it with these, as a line."""
    found = [
        (name, differences(checks.with_seeds(config, preset.seeds), preset))
        for name, preset in presets.items()
    ]
    nearest, others = min(found, key=lambda one: len(one[1]))
    return nearest, " · ".join([nearest, *others])


# Training.


@lru_cache(maxsize=16_384)
def _training(config: RunConfig) -> Words:
    alone = not config.auxiliaries
    presets = _presets(config.setting, config.target)
    preset, budget = _nearest(config.baseline, presets, what_if.differences)
    title = optimizers.rule(config.optimizer).title
    nothing = dict.fromkeys(("optimizer", "options", "auxiliary_factors"), "–")
    return Words(
        label=what_if.label(config),
        subject=config.setting,
        title=settings.get(config.setting).title,
        target=config.target,
        auxiliaries=config.auxiliaries,
        method=SINGLE if alone else config.optimizer,
        method_title="single task" if alone else title,
        method_label="" if alone else smtos.Entry.of(config).label,
        preset=preset,
        budget=budget,
        tasks=config.tasks,
        shown=nothing if alone else {"optimizer": title},
    )


@lru_cache(maxsize=256)
def _presets(setting: str, target: str) -> dict[str, RunConfig]:
    names = settings.get(setting).presets
    return {name: RunConfig.from_preset(setting, name, target=target) for name in names}


def _tasks() -> list[str]:
    """Of all settings, each once."""
    every = (task.name for name in settings.names() for task in settings.get(name).tasks)
    return list(dict.fromkeys(every))


# Fronts.


@lru_cache(maxsize=16_384)
def _front(config: ParetoConfig) -> Words:
    problem = problems.get(config.problem)
    method = pareto_front.METHOD_TITLES[config.method]
    options = [f"{name} {value}" for name, value in config.method_options]
    asked = [] if config.method in BASELINES else [config.scalarization]
    if scalarizations.get(config.scalarization).smoothed:
        asked.append(f"μ {config.smoothing:g}")
    names = ("problem_options", "method", "method_options", "scalarization", "smoothing")
    same = {name: getattr(config, name) for name in names}
    presets = {
        name: ParetoConfig.from_preset(config.problem, name, **same) for name in problem.presets
    }
    preset, budget = _nearest(config, presets, pareto_front.differences)
    defined = [f"{name} {value}" for name, value in config.problem_options]
    shown = {"method": method, "smoothing": format(config.smoothing) if asked[1:] else "–"}
    shown |= {} if asked else {"scalarization": "–"}
    shown |= {"preferences": "–"} if config.preferences is None else {}
    return Words(
        label=pareto_front.label(config),
        subject=config.problem,
        title=" · ".join([problem.title, *defined]),
        method=config.method,
        method_title=method,
        method_label=" · ".join([method, *options, *asked]),
        preset=preset,
        budget=budget,
        shown=shown,
    )


_VOCABULARIES = {
    "training": Vocabulary(
        _training,
        what_if.differences,
        lambda: {name: settings.get(name).title for name in settings.names()},
        _tasks,
        lambda: {
            SINGLE: "single task",
            **{name: optimizers.rule(name).title for name in optimizers.names()},
        },
    ),
    "front": Vocabulary(
        _front,
        pareto_front.differences,
        lambda: {name: problems.get(name).title for name in problems.names()},
        methods=lambda: pareto_front.METHOD_TITLES,
    ),
}
