"""Pareto front: the question that its page asks, as it stands in a URL."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from mtl_core.errors import InputError, quoted
from mtl_core.pareto import ParetoConfig, preferences, problems, scalarizations, transfer
from mtl_core.pareto.config import (
    BASELINES,
    METHODS,
    OPTIMIZERS,
    STARTS,
    WITHOUT_TRANSFER,
    Preferences,
)
from mtl_core.views import codec
from mtl_core.views.codec import MOST_PINS, Entries, Field, Values

__all__ = [
    "LOOKS",
    "MAY_BE_ALL",
    "METHOD_TITLES",
    "FrontQuestion",
    "differences",
    "focus",
    "label",
    "offered",
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
COMPARED = ("independent", "averaged", "decay", "adaptive", *BASELINES)
"""The methods that a newcomer sees compared, where a problem has them."""

_EVERYWHERE = tuple(name for name in COMPARED if name != "averaged")
_SEEDS = {"toy": tuple(range(10))}
"""Where a front takes a second, as many as the claim is about."""

MAY_BE_ALL = ("batch_size", "samples", "held_out")
"""Numbers of ParetoConfig that may be None, for all there are."""
_TITLES = {
    "scalarization": "",
    "smoothing": "μ ",
    "solutions": "N ",
    "layout": "",
    "layout_seed": "layout seed ",
    "preferences": "preferences ",
    "start": "start ",
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
    methods: tuple[str, ...] = _EVERYWHERE
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
        compared = tuple(name for name in COMPARED if name in offered(problem))
        return cls(problem, methods=compared, seeds=_SEEDS.get(problem, (0, 1, 2)))

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
        for name in _PARSERS:
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
        return codec.write(self, _FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[FrontQuestion, list[str]]":
        """The question that a URL asks, and what in it could not be understood.

        A value that can be read but not solved for stays: ``configs`` says what is wrong with it.
        """
        reading = codec.read(query, _FIELDS)
        return cls(**reading.values), reading.told


def offered(problem: str) -> tuple[str, ...]:
    """The methods that a problem has: networks share a start, so there is none to average."""
    own = problems.get(problem).own_starts
    return tuple(name for name in METHODS if own or name != "averaged")


def focus(methods: tuple[str, ...]) -> str:
    """The method that is looked at first: one that transfers, where there is one."""
    return next((name for name in methods if name not in WITHOUT_TRANSFER), methods[0])


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
            continue  # they use no scalarization
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
        return " ".join(f"{name} {codec.show(one)}" for name, one in value)
    return codec.show(value)


# The URL.


def _problem_options(values: Values) -> list[Field]:
    """What defines the problem; empty text says nothing."""
    return [
        Field(f"problem.{name}", lambda text, _: text, default="", at=("problem_options", name))
        for name in problems.get(values["problem"]).options or ()
    ]


def _preset(text: str, values: Values) -> str:
    problems.get(values["problem"]).preset(text)
    return text


def _focus(text: str, values: Values) -> str:
    name: str = codec.one_of("method", METHODS)(text, values)
    return name if name in values["methods"] else focus(values["methods"])


def _usual_methods(values: Values) -> tuple[str, ...]:
    return FrontQuestion.default(values["problem"]).methods


def _usual_seeds(values: Values) -> tuple[int, ...]:
    return FrontQuestion.default(values["problem"]).seeds


def _seed(text: str, values: Values) -> int:
    seed = codec.parse_seeds(text)[0]
    return seed if seed in values["seeds"] else _usual_seed(values)


def _usual_seed(values: Values) -> int:
    seed: int = values["seeds"][0]
    return seed


def _solution(text: str, _: Values) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or int(text) < 1:
        raise InputError(f"{quoted(text)} is not the number of a solution, 1 or more")
    return int(text) - 1


def _axes(text: str, _: Values) -> tuple[int, int]:
    words = text.split()
    if len(words) != 2 or words[0] == words[1] or not all(re.fullmatch("[1-9]", w) for w in words):
        raise InputError(f"{quoted(text)} is not two objectives by number, such as 1 2")
    return int(words[0]) - 1, int(words[1]) - 1


def _rows(preferred: Preferences | None) -> str:
    return "/".join(" ".join(map(repr, row)) for row in preferred or ())


def _overrides(_: Values) -> list[Field]:
    """Fields of ParetoConfig."""
    return [
        Field(
            name,
            parse,
            _rows if name == "preferences" else codec.show,
            default=partial(_of_preset, name),
            at=("overrides", name),
        )
        for name, parse in _PARSERS.items()
    ]


def _of_preset(name: str, values: Values) -> Any:
    return FrontQuestion(values["problem"], preset=values["preset"]).usual(name)


def _options(_: Values) -> list[Field]:
    """The options of every method, whether it is compared or not."""
    return [
        Field(
            f"{method}.{option.name}",
            partial(_option, method, option.name),
            default=option.default,
            at=("options", method, option.name),
        )
        for method in transfer.names()
        for option in transfer.rule(method).options
    ]


def _option(method: str, name: str, text: str, _: Values) -> Any:
    value = codec.number(text)
    usual = {option.name: option.default for option in transfer.rule(method).options}[name]
    if isinstance(usual, int) and value == int(value):
        value = int(value)
    return transfer.checked(method, {name: value})[name]


_PARSERS: Mapping[str, codec.Parse] = {
    "scalarization": codec.one_of("scalarization", scalarizations.names()),
    "layout": codec.one_of("layout", preferences.LAYOUTS[:2]),
    "preferences": lambda text, _: parse_preferences(text),
    "start": codec.one_of("start", STARTS),
    "optimizer": codec.one_of("optimizer", OPTIMIZERS),
    "solutions": codec.whole,
    "layout_seed": codec.whole,
    "lr": codec.number,
    "iterations": codec.whole,
    "batch_size": codec.or_all(codec.whole),
    "samples": codec.or_all(codec.whole),
    "held_out": codec.or_all(codec.whole),
    "frames": codec.whole,
    "smoothing": codec.number,
}
"""Fields of ParetoConfig that a question can change of its preset, and what reads them."""

_FIELDS: Entries = (
    Field("problem", lambda text, _: problems.get(text).name, default="toy", always=True),
    _problem_options,
    Field("preset", _preset, default=FrontQuestion.preset, always=True),
    Field(
        "method",
        codec.some_of("method", lambda values: offered(values["problem"])),
        default=_usual_methods,
        at=("methods",),
        always=True,
    ),
    Field("focus", _focus, default=lambda values: _focus(FrontQuestion.focus, values), always=True),
    Field("seeds", codec.parse_seeds, default=_usual_seeds, always=True),
    Field("pins", codec.ids(MOST_PINS, "pins"), default=FrontQuestion.pins),
    Field("look", codec.one_of("look", LOOKS), default=FrontQuestion.look),
    Field("seed", _seed, default=_usual_seed),
    Field("pick", _solution, lambda place: str(place + 1), usually="the middle one"),
    Field(
        "axes",
        _axes,
        lambda axes: " ".join(str(axis + 1) for axis in axes),
        default=FrontQuestion.axes,
    ),
    Field("zoom", codec.flag, usually="what suits the problem"),
    _overrides,
    _options,
)
