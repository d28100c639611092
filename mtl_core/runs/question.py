"""A question: what the What if page asks, as it stands in a URL.

Everything is in the query string, human-readable and shareable. A URL is user input: what cannot
be understood falls back to the default and is named.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mtl_core import optimizers, settings
from mtl_core.config import BASE_OPTIMIZERS, RunConfig
from mtl_core.errors import InputError, unknown

__all__ = ["MOST_PINS", "Question", "differences", "kind", "label", "parse_seeds"]

MOST_PINS = 8
_RUN_ID = re.compile(r"[0-9a-f]{16}")

_NUMBERS: dict[str, type] = {
    "lr": float,
    "batch_size": int,
    "epochs": int,
    "samples": int,
    "held_out": int,
    "width": int,
    "early_checkpoints": int,
}
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
    "seeds": "seeds ",
    "options": "",
}
"""How a field that differs is written on a curve's label."""


@dataclass(frozen=True)
class Question:
    """What if ``target`` were trained together with ``auxiliaries``?

    Args:
        preset: the budget to start from; ``overrides`` holds the fields of RunConfig that differ.
        pins: ids of earlier runs that stay on the chart.
        per_seed: whether the chart shows every seed's own line.
    """

    setting: str
    target: str
    auxiliaries: tuple[str, ...] = ()
    preset: str = "quick"
    optimizer: str = "umtg"
    seeds: tuple[int, ...] = (0, 1, 2)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    per_seed: bool = False

    @classmethod
    def default(cls, setting: str = "digits") -> "Question":
        """The question that a newcomer finds asked: the first auxiliary of the setting."""
        found = settings.get(setting)
        others = [task.name for task in found.tasks if task.name != found.default_target]
        return cls(setting, found.default_target, tuple(others[:1]))

    @property
    def config(self) -> RunConfig:
        """The run that answers it. Raises InputError when it cannot be trained."""
        return RunConfig.from_preset(
            self.setting,
            self.preset,
            target=self.target,
            auxiliaries=self.auxiliaries,
            optimizer=self.optimizer,
            seeds=self.seeds,
            **self.overrides,
        )

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything; fields at their preset's value are left out."""
        query = {
            "setting": self.setting,
            "target": self.target,
            "aux": " ".join(self.auxiliaries),
            "preset": self.preset,
            "optimizer": self.optimizer,
            "seeds": " ".join(map(str, self.seeds)),
        }
        for name, value in self.overrides.items():
            query[name] = "all" if value is None else format(value)
        if self.pins:
            query["pins"] = " ".join(self.pins)
        if self.per_seed:
            query["per_seed"] = "true"
        return query

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[Question, list[str]]":
        """The question that a URL asks, and what in it could not be understood."""
        problems: list[str] = []

        def understood(name: str, parse: Any, default: Any) -> Any:
            if name not in query:
                return default
            try:
                return parse(query[name])
            except InputError as error:
                problems.append(f"in the URL, {name}: {error}; using {_show(default)} instead")
                return default

        setting = settings.get(
            understood("setting", lambda text: settings.get(text).name, settings.names()[0])
        )
        question = cls.default(setting.name)
        target = understood("target", lambda text: setting.task(text).name, question.target)
        usual = tuple(name for name in question.auxiliaries if name != target)

        def auxiliaries(text: str) -> tuple[str, ...]:
            names = tuple(dict.fromkeys(setting.task(name).name for name in text.split()))
            if target in names:
                raise InputError(f"target {target!r} is among its own auxiliaries")
            return names

        overrides: dict[str, Any] = {}
        for name, kind in _NUMBERS.items():
            value = understood(name, lambda text, kind=kind: _number(text, kind), _ABSENT)
            if value is not _ABSENT:
                overrides[name] = value
        base = understood("base_optimizer", _base_optimizer, _ABSENT)
        if base is not _ABSENT:
            overrides["base_optimizer"] = base
        known = {*_NUMBERS, *_NAMES}
        problems += [
            f"in the URL, {str(unknown('parameter', name, sorted(known)))}; ignored"
            for name in query
            if name not in known
        ]
        question = cls(
            setting.name,
            target,
            understood("aux", auxiliaries, usual),
            understood("preset", lambda text: _preset(setting, text), "quick"),
            understood("optimizer", _optimizer, "umtg"),
            understood("seeds", parse_seeds, (0, 1, 2)),
            overrides,
            understood("pins", _pins, ()),
            understood("per_seed", _flag, False),
        )
        try:
            _ = question.config
        except InputError as error:
            if overrides:
                problems.append(f"in the URL: {error}; using the preset's values instead")
                question = replace(question, overrides={})
        return question, problems


def parse_seeds(text: str) -> tuple[int, ...]:
    """``"0 1 2"`` to (0, 1, 2); raises InputError for anything but whole numbers."""
    words = text.replace(",", " ").split()
    for word in words:
        if not re.fullmatch(r"\d{1,10}", word):
            raise InputError(f"seed {word!r} is not a whole number; write seeds like 0 1 2")
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
    name = "+ " + " + ".join(config.auxiliaries) if config.auxiliaries else "single task"
    extra = differences(config, reference) if reference else []
    return " · ".join([name, *extra])


def differences(config: RunConfig, reference: RunConfig) -> list[str]:
    """The fields in which two runs differ, apart from their tasks, as words of ``config``."""
    words = []
    for name, title in _TITLES.items():
        mine, theirs = getattr(config, name), getattr(reference, name)
        if name in ("optimizer", "options") and not (config.auxiliaries and reference.auxiliaries):
            continue  # a single task has nothing to combine
        if mine != theirs:
            words.append(f"{title}{_show(mine)}")
    return words


_ABSENT = object()
_NAMES = (
    "setting",
    "target",
    "aux",
    "preset",
    "optimizer",
    "base_optimizer",
    "seeds",
    "pins",
    "per_seed",
)


def _show(value: object) -> str:
    if value is None:
        return "all"
    if value is _ABSENT:
        return "the preset's value"
    if isinstance(value, Iterable) and not isinstance(value, str):
        return " ".join(map(str, value)) or "none"
    return format(value)


def _number(text: str, kind: type) -> Any:
    if text == "all":
        return None
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{text[:40]!r} is not a {'whole ' if kind is int else ''}number") from None


def _preset(setting: settings.Setting, text: str) -> str:
    setting.preset(text)
    return text


def _optimizer(text: str) -> str:
    if text not in optimizers.names():
        raise unknown("optimizer", text, optimizers.names())
    return text


def _base_optimizer(text: str) -> str:
    if text not in BASE_OPTIMIZERS:
        raise unknown("base optimizer", text, BASE_OPTIMIZERS)
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise InputError(f"{text[:40]!r} is neither true nor false")
    return text == "true"


def _pins(text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split()))
    for word in words:
        if not _RUN_ID.fullmatch(word):
            raise InputError(f"{word[:40]!r} is not a run's id of 16 hex digits")
    if len(words) > MOST_PINS:
        raise InputError(f"{len(words)} pins are more than {MOST_PINS}")
    return words
