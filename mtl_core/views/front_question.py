"""A front question: what the Pareto front page asks, as it stands in a URL."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from mtl_core.errors import InputError, quoted, unknown
from mtl_core.pareto import ParetoConfig, preferences, problems, scalarizations, transfer
from mtl_core.pareto.config import BASELINES, METHODS, OPTIMIZERS, Preferences
from mtl_core.views.codec import Reader, first_few
from mtl_core.views.question import MOST_PINS, parse_seeds

__all__ = [
    "LOOKS",
    "MAY_BE_ALL",
    "METHOD_TITLES",
    "FrontQuestion",
    "differences",
    "focus",
    "label",
    "parse_preferences",
    "preference_words",
]

LOOKS = ("hypervolume", "transfer", "lesson", "toy")
"""What the page shows below the front, one at a time."""

METHOD_TITLES = {
    **{name: transfer.rule(name).title for name in transfer.names()},
    "mgda": "MGDA",
    "pareto_mtl": "Pareto MTL",
}
COMPARED = ("independent", "decay", "adaptive", *BASELINES)
"""The methods that a newcomer finds compared."""

_SEEDS = {"toy": tuple(range(10))}
"""Where a front takes a second, as many as the claim is about."""

_RUN_ID = re.compile(r"[0-9a-f]{16}")
_NUMBERS: dict[str, type] = {
    "solutions": int,
    "layout_seed": int,
    "lr": float,
    "iterations": int,
    "batch_size": int,
    "samples": int,
    "held_out": int,
    "frames": int,
    "smoothing": float,
}
MAY_BE_ALL = ("batch_size", "samples", "held_out")
_TITLES = {
    "scalarization": "",
    "smoothing": "μ ",
    "solutions": "N ",
    "layout": "",
    "layout_seed": "layout seed ",
    "preferences": "preferences ",
    "optimizer": "",
    "lr": "lr ",
    "iterations": "iterations ",
    "batch_size": "batch ",
    "samples": "samples ",
    "held_out": "held out ",
    "frames": "frames ",
    "seeds": "seeds ",
    "method_options": "",
    "problem_options": "",
}
"""How a field that differs is written on a curve's label."""


@dataclass(frozen=True)
class FrontQuestion:
    """Which trade-offs does a problem offer, and how soon does each method find them?

    Args:
        problem_options: what defines it, where it has options.
        methods: those that are compared, in ``config.METHODS``' order.
        focus: the one of them whose transfers and solutions are looked at.
        preset: the budget to start from; ``overrides`` holds the fields of ParetoConfig that
            differ, ``scalarization`` among them.
        options: method -> its options that are not at their defaults.
        pins: ids of earlier fronts that stay on the chart.
        look: one of ``LOOKS``.
        seed: the seed whose front is drawn.
        pick: the solution that is picked off it, 0-based; None takes the middle one.
        axes: the objectives that are drawn, by their place.
        zoom: whether the axes end where the last fronts do; None leaves that to the problem.
    """

    problem: str
    problem_options: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[str, ...] = COMPARED
    focus: str = "decay"
    preset: str = "standard"
    seeds: tuple[int, ...] = (0, 1, 2)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pins: tuple[str, ...] = ()
    look: str = "hypervolume"
    seed: int = 0
    pick: int | None = None
    axes: tuple[int, int] = (0, 1)
    zoom: bool | None = None

    @classmethod
    def default(cls, problem: str = "toy") -> "FrontQuestion":
        """The question that a newcomer finds asked."""
        return cls(problem, seeds=_SEEDS.get(problem, (0, 1, 2)))

    @property
    def configs(self) -> tuple[ParetoConfig, ...]:
        """A front for each method, without repetition.

        Raises:
            InputError: when one of them cannot be solved for.
        """
        return tuple(dict.fromkeys(self.config(name) for name in self.methods))

    @classmethod
    def of(cls, config: ParetoConfig) -> "FrontQuestion":
        """The question that asks for one front and no other."""
        options = {name: str(value) for name, value in config.problem_options}
        question = replace(
            cls.default(config.problem),
            problem_options=options,
            methods=(config.method,),
            focus=config.method,
            seeds=config.seeds,
            seed=config.seeds[0],
            options={config.method: dict(config.method_options)} if config.method_options else {},
        )
        usual = question.config(config.method)
        for name in _OVERRIDES:
            if (value := getattr(config, name)) != getattr(usual, name):
                question = question.with_override(name, value)
        # Given preferences say their layout and number themselves.
        if config.preferences is not None:
            question = question.with_override("layout", question.usual("layout"))
            question = question.with_override("solutions", question.usual("solutions"))
        return question

    def config(self, method: str) -> ParetoConfig:
        """The front of a method. Raises InputError."""
        return ParetoConfig.from_preset(
            self.problem,
            self.preset,
            problem_options=tuple(self.problem_options.items()),
            method=method,
            method_options=tuple(self.options.get(method, {}).items()),
            seeds=self.seeds,
            **self.overrides,
        )

    def with_override(self, name: str, value: Any) -> "FrontQuestion":
        """The same with another value of a field of ParetoConfig."""
        others = {known: kept for known, kept in self.overrides.items() if known != name}
        return replace(
            self, overrides=others if value == self.usual(name) else {**others, name: value}
        )

    def with_option(self, method: str, name: str, value: Any) -> "FrontQuestion":
        """The same with another value of a method's option."""
        usual = {option.name: option.default for option in transfer.rule(method).options}
        changed = {**self.options.get(method, {}), name: value}
        changed = {one: kept for one, kept in changed.items() if kept != usual[one]}
        others = {known: kept for known, kept in self.options.items() if known != method}
        return replace(self, options={**others, method: changed} if changed else others)

    def usual(self, name: str) -> Any:
        """What a field of ParetoConfig is without an override."""
        budget = asdict(problems.get(self.problem).preset(self.preset))
        return budget[name] if name in budget else getattr(ParetoConfig, name)

    def to_query(self) -> dict[str, str]:
        """Query parameters that say everything; fields at their usual value are left out."""
        usual = FrontQuestion.default(self.problem)
        query = {"problem": self.problem, "preset": self.preset}
        query |= {f"problem.{name}": value for name, value in self.problem_options.items()}
        query |= {"method": " ".join(self.methods), "focus": self.focus}
        query["seeds"] = " ".join(map(str, self.seeds))
        query |= {name: _show(value) for name, value in self.overrides.items()}
        for method, changed in self.options.items():
            query |= {f"{method}.{name}": _show(value) for name, value in changed.items()}
        if self.pins:
            query["pins"] = " ".join(self.pins)
        if self.look != usual.look:
            query["look"] = self.look
        if self.seed != self.seeds[0]:
            query["seed"] = str(self.seed)
        if self.pick is not None:
            query["pick"] = str(self.pick + 1)
        if self.axes != usual.axes:
            query["axes"] = " ".join(str(axis + 1) for axis in self.axes)
        if self.zoom is not None:
            query["zoom"] = str(self.zoom).lower()
        return query

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[FrontQuestion, list[str]]":
        """The question that a URL asks, and what in it could not be understood.

        A value that can be read but not solved for stays: ``configs`` says what is wrong with it.
        """
        reader = Reader(query)
        read = reader.read
        first = "toy"
        name = read("problem", lambda text: problems.get(text).name, first, first)
        problem, usual = problems.get(name), cls.default(name)
        found: dict[str, Any] = {"problem": name}
        found["problem_options"] = {
            option: query[f"problem.{option}"]
            for option in problem.options or ()
            if query.get(f"problem.{option}")
        }
        for parameter, (to, parse) in _FIELDS.items():
            shown = _show(getattr(usual, to))
            found[to] = read(parameter, partial(parse, problem), getattr(usual, to), shown)
        if "seed" not in query:
            found["seed"] = found["seeds"][0]
        if found["seed"] not in found["seeds"]:
            found["seed"] = found["seeds"][0]
        if found["focus"] not in found["methods"]:
            found["focus"] = next(
                (m for m in found["methods"] if m not in _PLAIN), found["methods"][0]
            )
        question = cls(**found)
        for parameter, parse_value in _OVERRIDES.items():
            value = question.usual(parameter)
            value = read(parameter, parse_value, value, _show(value))
            question = question.with_override(parameter, value)
        of_options = []
        for method in transfer.names():
            for option in transfer.rule(method).options:
                parameter = f"{method}.{option.name}"
                of_options.append(parameter)
                value = read(parameter, partial(_option, method, option.name), option.default, "")
                question = question.with_option(method, option.name, value)
        known = ["problem", *_FIELDS, *_OVERRIDES, *of_options]
        known += [f"problem.{option}" for option in problem.options or ()]
        return question, first_few([*reader.problems, *reader.foreign(sorted(known))])


_PLAIN = ("independent", *BASELINES)
"""Methods without transfer."""


def focus(methods: tuple[str, ...]) -> str:
    """The method that is looked at first: one that transfers, where there is one."""
    return next((name for name in methods if name not in _PLAIN), methods[0])


def label(config: ParetoConfig, reference: ParetoConfig | None = None) -> str:
    """What a front is called on a page: its method, and what differs from ``reference``."""
    extra = differences(config, reference) if reference else []
    return " · ".join([METHOD_TITLES[config.method], *extra])


def differences(config: ParetoConfig, reference: ParetoConfig) -> list[str]:
    """The fields in which two fronts differ, apart from their methods, as words of ``config``."""
    words = []
    if config.problem != reference.problem:
        words.append(problems.get(config.problem).title)
    for name, title in _TITLES.items():
        mine, theirs = getattr(config, name), getattr(reference, name)
        if name == "scalarization" and {config.method, reference.method} & set(BASELINES):
            continue  # they ask nothing of one
        if name == "method_options" and config.method != reference.method:
            theirs = ()
        if mine != theirs:
            shown = mine if name != "preferences" else len(mine or ())
            words.append(f"{title}{_words(shown)}")
    return words


def preference_words(weights: Any) -> str:
    """A preference as people read it: ``0.25 · 0.75``."""
    return " · ".join(f"{weight:.2f}" for weight in weights)


def parse_preferences(text: str) -> Preferences | None:
    """Lines (or ``/`` between) of weights to rows; None without any. Raises InputError."""
    rows = []
    for line in re.split(r"[\n/]", text):
        words = line.replace(",", " ").replace("·", " ").split()
        if not words:
            continue
        try:
            rows.append(tuple(float(word) for word in words))
        except ValueError:
            raise InputError(
                f"preference {quoted(line.strip())} is not a line of numbers such as 0.3 0.7"
            ) from None
    return tuple(rows) or None


def _words(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return " ".join(f"{name} {_show(one)}" for name, one in value)
    return _show(value)


def _show(value: object) -> str:
    if value is None:
        return "all"
    if isinstance(value, tuple):
        if value and isinstance(value[0], tuple):
            return "/".join(" ".join(map(repr, row)) for row in value)
        return " ".join(map(_show, value)) or "none"
    if isinstance(value, bool):
        return str(value).lower()
    return format(value)


def _number(name: str, text: str) -> Any:
    if text == "all" and name in MAY_BE_ALL:
        return None
    kind = _NUMBERS[name]
    try:
        value = kind(text) if len(text) <= 30 else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        whole = "whole " if kind is int else ""
        raise InputError(f"{quoted(text)} is not a {whole}number")
    return value


def _option(method: str, name: str, text: str) -> Any:
    try:
        value: Any = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{quoted(text)} is not a number")
    usual = {option.name: option.default for option in transfer.rule(method).options}[name]
    if isinstance(usual, int) and value == int(value):
        value = int(value)
    return transfer.checked(method, {name: value})[name]


def _one_of(kind: str, choices: tuple[str, ...], text: str) -> str:
    if text not in choices:
        raise unknown(kind, text, choices)
    return text


def _methods(_: problems.Problem, text: str) -> tuple[str, ...]:
    names = text.split() or [text]
    for name in names:
        _one_of("method", METHODS, name)
    return tuple(name for name in METHODS if name in names)


def _preset(problem: problems.Problem, text: str) -> str:
    problem.preset(text)
    return text


def _pins(_: problems.Problem, text: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(text.split()))
    for word in words:
        if not _RUN_ID.fullmatch(word):
            raise InputError(f"{quoted(word)} is not a front's id of 16 hex digits")
    if len(words) > MOST_PINS:
        raise InputError(f"{len(words)} pins are more than {MOST_PINS}")
    return words


def _place(_: problems.Problem, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < 1:
        raise InputError(f"{quoted(text)} is not the number of a solution, 1 or more")
    return int(text) - 1


def _seed(_: problems.Problem, text: str) -> int:
    return parse_seeds(text)[0]


def _axes(_: problems.Problem, text: str) -> tuple[int, int]:
    words = text.split()
    if len(words) != 2 or words[0] == words[1] or not all(re.fullmatch("[1-9]", w) for w in words):
        raise InputError(f"{quoted(text)} is not two objectives by number, such as 1 2")
    return int(words[0]) - 1, int(words[1]) - 1


def _flag(_: problems.Problem, text: str) -> bool:
    return _one_of("flag", ("true", "false"), text) == "true"


def _preferences(text: str) -> Preferences | None:
    return parse_preferences(text)


_FIELDS: dict[str, tuple[str, Callable[[problems.Problem, str], Any]]] = {
    "preset": ("preset", _preset),
    "method": ("methods", _methods),
    "focus": ("focus", lambda _, text: _one_of("method", METHODS, text)),
    "seeds": ("seeds", lambda _, text: parse_seeds(text)),
    "pins": ("pins", _pins),
    "look": ("look", lambda _, text: _one_of("look", LOOKS, text)),
    "seed": ("seed", _seed),
    "pick": ("pick", _place),
    "axes": ("axes", _axes),
    "zoom": ("zoom", _flag),
}
"""Parameters of the URL: the field of FrontQuestion and what reads it."""

_OVERRIDES: dict[str, Callable[[str], Any]] = {
    "scalarization": partial(_one_of, "scalarization", tuple(scalarizations.names())),
    "layout": partial(_one_of, "layout", preferences.LAYOUTS[:2]),
    "preferences": _preferences,
    "optimizer": partial(_one_of, "optimizer", OPTIMIZERS),
    **{name: partial(_number, name) for name in _NUMBERS},
}
