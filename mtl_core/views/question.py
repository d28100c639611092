"""A question: what the What if page asks, as it stands in a URL.

Everything is in the query string, human-readable and shareable. A URL is user input: what cannot
be understood falls back to the default and is named.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeVar

from mtl_core import factors, optimizers, settings
from mtl_core.config import BASE_OPTIMIZERS, FACTOR_FIELDS, RunConfig
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.optimizers import Option, OptionValue
from mtl_core.views.codec import Reader, first_few

__all__ = [
    "AGAINST",
    "BASELINE",
    "LOOKS",
    "MOST_PINS",
    "X_AXES",
    "Question",
    "differences",
    "kind",
    "label",
    "named",
    "parse_seeds",
]

BASELINE = "umtg"
"""The optimizer that every question has an answer for, beside those that were chosen."""
MOST_PINS = 12
MOST_NAMES = 3
"""Auxiliaries that a run's label names."""
LOOKS = ("factors", "gradients", "optimizers", "correlation", "epochs")
"""What the page shows below the generalization chart, one at a time."""
X_AXES = ("loss", "epoch")
AGAINST = (*factors.explaining(), "test_metric")
"""What early gradient similarity is correlated with."""
Value = TypeVar("Value")
_Parser = Callable[[settings.Setting, str], Any]
_RUN_ID = re.compile(r"[0-9a-f]{16}")

_NUMBERS: dict[str, type] = {
    "lr": float,
    "epochs": int,
    "samples": int,
    "held_out": int,
    "batch_size": int,  # after the samples, which bound it
    "width": int,
    "early_checkpoints": int,
    "factor_points": int,
    "factor_examples": int,
    "apgd_steps": int,
    "fisher_draws": int,
    "similarity_batches": int,
}
_MAY_BE_ALL = ("samples", "held_out", "factor_points")
_TITLES = {
    "optimizer": "",
    "base_optimizer": "",
    "lr": "lr ",
    "batch_size": "batch ",
    "epochs": "epochs ",
    "samples": "samples ",
    "held_out": "held out ",
    "width": "width ",
    "early_checkpoints": "early ",
    "factors": "factors ",
    "factor_points": "factor points ",
    "factor_examples": "factor examples ",
    "apgd_steps": "APGD steps ",
    "fisher_draws": "Fisher draws ",
    "similarity_batches": "similarity batches ",
    "auxiliary_factors": "auxiliaries' factors ",
    "seeds": "seeds ",
    "options": "",
}
"""How a field that differs is written on a curve's label."""


@dataclass(frozen=True)
class Question:
    """What if ``target`` were trained together with ``auxiliaries``?

    Args:
        preset: the budget to start from; ``overrides`` holds the fields of RunConfig that differ.
        optimizers: multi-task optimizers beside UMTG, in the order in which they were chosen.
        options: optimizer -> its options that are not at their defaults.
        pins: ids of earlier runs that stay on the chart.
        per_seed: whether the chart shows every seed's own line.
        look: one of ``LOOKS``.
        x: what factors are drawn against, of ``X_AXES``.
        against: one of ``AGAINST``.
    """

    setting: str
    target: str
    auxiliaries: tuple[str, ...] = ()
    preset: str = "quick"
    optimizers: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    per_seed: bool = False
    look: str = "factors"
    x: str = "loss"
    against: str = "sharpness"

    @classmethod
    def default(cls, setting: str = "digits") -> "Question":
        """The question that a newcomer finds asked: the first auxiliary of the setting."""
        found = settings.get(setting)
        others = [task.name for task in found.tasks if task.name != found.default_target]
        return cls(setting, found.default_target, tuple(others[:1]))

    @property
    def configs(self) -> tuple[RunConfig, ...]:
        """The runs that answer it: UMTG's, then each other optimizer's.

        A single task has nothing to combine, and is one run.

        Raises:
            InputError: when one of them cannot be trained.
        """
        chosen = [self._config(name) for name in (BASELINE, *self.optimizers)]
        return tuple(dict.fromkeys(chosen))

    @property
    def config(self) -> RunConfig:
        """The run that the page speaks of: that of the optimizer which was chosen last."""
        return self._config(self.optimizers[-1] if self.optimizers else BASELINE)

    def _config(self, optimizer: str) -> RunConfig:
        return RunConfig.from_preset(
            self.setting,
            self.preset,
            target=self.target,
            auxiliaries=self.auxiliaries,
            optimizer=optimizer,
            options=tuple(self.options.get(optimizer, {}).items()),
            seeds=self.seeds,
            **self.overrides,
        )

    def with_options(self, optimizer: str, values: Mapping[str, OptionValue]) -> "Question":
        """The same with these options of an optimizer; those at their defaults are left out."""
        usual = {option.name: option.default for option in optimizers.options(optimizer)}
        changed = {name: value for name, value in values.items() if value != usual[name]}
        others = {name: kept for name, kept in self.options.items() if name != optimizer}
        return replace(self, options={**others, optimizer: changed} if changed else others)

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything; fields at their preset's value are left out."""
        query = {
            "setting": self.setting,
            "target": self.target,
            "aux": " ".join(self.auxiliaries),
            "preset": self.preset,
            "optimizer": " ".join((BASELINE, *self.optimizers)),
            "seeds": " ".join(map(str, self.seeds)),
        }
        for name, value in self.overrides.items():
            query[name] = "all" if value is None else _show(value)
        for optimizer, changed in self.options.items():
            for name, value in changed.items():
                query[f"{optimizer}.{name}"] = _show(value)
        if self.pins:
            query["pins"] = " ".join(self.pins)
        if self.per_seed:
            query["per_seed"] = "true"
        for name in ("look", "x", "against"):
            if getattr(self, name) != getattr(type(self), name):
                query[name] = getattr(self, name)
        return query

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[Question, list[str]]":
        """The question that a URL asks, and what in it could not be understood.

        Its config can always be trained: what cannot be is left at its default, one by one.
        """
        reader = Reader(query)
        read = reader.read
        first = settings.names()[0]
        setting = settings.get(read("setting", lambda text: settings.get(text).name, first, first))
        usual = cls.default(setting.name)
        target = read("target", lambda text: setting.task(text).name, usual.target, usual.target)
        others = tuple(name for name in usual.auxiliaries if name != target)
        question = replace(usual, target=target, auxiliaries=others)
        for name, (field_name, parse) in _FIELDS.items():
            change = partial(_changed, question, field_name, parse)
            shown = _show(getattr(question, field_name))
            question = read(name, change, question, BASELINE if name == "optimizer" else shown)

        overrides = {}
        for name, parse in _OVERRIDES.items():
            preset_value = getattr(question.config, name)
            value = read(name, partial(parse, setting), preset_value, _show(preset_value))
            if value != preset_value:
                overrides[name] = value
        question, wrong = _overridden(question, overrides)
        for optimizer, option in _all_options(question):
            name = f"{optimizer}.{option.name}"
            change = partial(_with_option, question, optimizer, option)
            question = read(name, change, question, _show(option.default))
        of_options = [f"{name}.{option.name}" for name, option in _all_options(question)]
        known = sorted({"setting", "target", *_FIELDS, *_OVERRIDES, *of_options})
        return question, first_few([*reader.problems, *wrong, *reader.foreign(known)])


def parse_seeds(text: str) -> tuple[int, ...]:
    """``"0 1 2"`` to (0, 1, 2); raises InputError for anything but whole numbers."""
    words = text.replace(",", " ").split()
    for word in words:
        if not re.fullmatch(r"[0-9]{1,10}", word):
            raise InputError(f"seed {quoted(word)} is not a whole number; write seeds like 0 1 2")
    if len(words) > 64:
        raise InputError(f"{len(words)} seeds are more than 64; give fewer")
    if not words:
        raise InputError("no seeds; give at least one, such as 0 1 2")
    return tuple(int(word) for word in words)


def kind(config: RunConfig) -> Literal["stl", "helpful", "harmful", "other"]:
    """What its auxiliaries are by construction; it decides a curve's colour."""
    setting = settings.get(config.setting)
    expected = {setting.task(name).expected for name in config.auxiliaries}
    if not expected:
        return "stl"
    if len(expected) == 1 and (only := expected.pop()) is not None:
        return only
    return "other"


def label(config: RunConfig, reference: RunConfig | None = None) -> str:
    """What a run is called on a page: its auxiliaries, and what differs from ``reference``."""
    name = "+ " + named(config) if config.auxiliaries else "single task"
    extra = differences(config, reference) if reference else []
    return " · ".join([name, *extra])


def named(config: RunConfig) -> str:
    """A run's auxiliaries in a few words, which no other set of the setting shares.

    Up to three by name; of more their number, and a tag that tells sets of one size apart.
    """
    names = config.auxiliaries
    if len(names) <= MOST_NAMES:
        return " + ".join(names)
    others = len(settings.get(config.setting).tasks) - 1
    if len(names) == others:
        return f"all {others} other tasks"
    tag = hashlib.blake2b(" ".join(names).encode(), digest_size=2).hexdigest()
    return f"{len(names)} tasks #{tag}"


def differences(config: RunConfig, reference: RunConfig) -> list[str]:
    """The fields in which two runs differ, apart from their tasks, as words of ``config``."""
    words: list[str] = []
    for name, title in _TITLES.items():
        mine, theirs = getattr(config, name), getattr(reference, name)
        if name in ("optimizer", "options") and not config.auxiliaries:
            continue  # a single task has nothing to combine
        if name == "factor_examples" and mine == config.train_size != reference.train_size:
            continue  # all there are; their number is said already
        if name in FACTOR_FIELDS and not config.factors:
            continue  # said by "factors none"
        if name == "auxiliary_factors" and not config.auxiliaries:
            continue
        if name == "optimizer" and mine != theirs:
            words.append(optimizers.rule(config.optimizer).title)
        elif mine != theirs:
            words.append(f"{title}{_show(mine)}")
    return words


def _changed(question: Question, name: str, parse: _Parser, text: str) -> Question:
    return _trainable(replace(question, **{name: parse(settings.get(question.setting), text)}))


def _trainable(question: Question) -> Question:
    _ = question.configs
    return question


def _all_options(question: Question) -> list[tuple[str, Option]]:
    return [(name, option) for name in question.optimizers for option in optimizers.options(name)]


def _with_option(question: Question, optimizer: str, option: Option, text: str) -> Question:
    value = option.parse(optimizer, text)
    others = {k: v for k, v in question.options.get(optimizer, {}).items() if k != option.name}
    return _trainable(question.with_options(optimizer, {**others, option.name: value}))


def _overridden(question: Question, overrides: dict[str, Any]) -> tuple[Question, list[str]]:
    """The question with those overrides that can be trained, and what is wrong with the others."""
    try:
        return _trainable(replace(question, overrides=overrides)), []
    except InputError:
        problems = []
    for name, value in overrides.items():
        usual = getattr(question.config, name)
        try:
            more = {**question.overrides, name: value}
            question = _trainable(replace(question, overrides=more))
        except InputError as error:
            problems.append(f"in the URL, {name}: {error}; using {_show(usual)} instead")
    return question, problems


def _show(value: object) -> str:
    if value is None:
        return "all"
    if isinstance(value, tuple):
        return " ".join(_show(part) for part in value) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return format(value)


def _number(name: str, setting: settings.Setting, text: str) -> Any:
    kind = _NUMBERS[name]
    if text == "all" and name in _MAY_BE_ALL:
        return None
    try:
        if len(text) > 30:
            raise ValueError
        return kind(text)
    except ValueError:
        whole = "whole " if kind is int else ""
        alternative = ", nor all" if name in _MAY_BE_ALL else ""
        raise InputError(f"{quoted(text)} is not a {whole}number{alternative}") from None


def _tasks(setting: settings.Setting, text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(setting.task(name).name for name in text.split()))


def _preset(setting: settings.Setting, text: str) -> str:
    setting.preset(text)
    return text


def _optimizers(setting: settings.Setting, text: str) -> tuple[str, ...]:
    names = text.split() or [text]
    for name in names:
        if name not in optimizers.names():
            raise unknown("optimizer", name, optimizers.names())
    return tuple(dict.fromkeys(name for name in names if name != BASELINE))


def _base_optimizer(setting: settings.Setting, text: str) -> str:
    if text not in BASE_OPTIMIZERS:
        raise unknown("base optimizer", text, BASE_OPTIMIZERS)
    return text


def _seeds(setting: settings.Setting, text: str) -> tuple[int, ...]:
    return parse_seeds(text)


def _pins(setting: settings.Setting, text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split()))
    for word in words:
        if not _RUN_ID.fullmatch(word):
            raise InputError(f"{quoted(word)} is not a run's id of 16 hex digits")
    if len(words) > MOST_PINS:
        raise InputError(f"{len(words)} pins are more than {MOST_PINS}")
    return words


def _flag(setting: settings.Setting, text: str) -> bool:
    if text not in ("true", "false"):
        raise InputError(f"{quoted(text)} is neither true nor false")
    return text == "true"


def _one_of(kind: str, choices: tuple[str, ...], setting: settings.Setting, text: str) -> str:
    if text not in choices:
        raise unknown(kind, text, choices)
    return text


_FIELDS: dict[str, tuple[str, _Parser]] = {
    "aux": ("auxiliaries", _tasks),
    "preset": ("preset", _preset),
    "optimizer": ("optimizers", _optimizers),
    "seeds": ("seeds", _seeds),
    "pins": ("pins", _pins),
    "per_seed": ("per_seed", _flag),
    "look": ("look", partial(_one_of, "look", LOOKS)),
    "x": ("x", partial(_one_of, "x axis", X_AXES)),
    "against": ("against", partial(_one_of, "quantity", AGAINST)),
}
"""Parameters of the URL beside setting and target: the field of Question and what reads it."""

_OVERRIDES: dict[str, _Parser] = {
    "base_optimizer": _base_optimizer,
    "auxiliary_factors": _flag,
    **{name: partial(_number, name) for name in _NUMBERS},
}
