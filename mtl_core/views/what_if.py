"""What If: the question that its page asks, as it stands in a URL."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

from mtl_core import factors, optimizers, settings
from mtl_core.config import BASE_OPTIMIZERS, FACTOR_FIELDS, PRECISIONS, RunConfig
from mtl_core.errors import unknown
from mtl_core.optimizers import Option, OptionValue
from mtl_core.views import codec
from mtl_core.views.codec import MOST_PINS, Entries, Field, Values

__all__ = [
    "AGAINST",
    "BASELINE",
    "LOOKS",
    "MAY_BE_ALL",
    "X_AXES",
    "Question",
    "differences",
    "kind",
    "label",
    "named",
]

FIRST = "synthetic"
"""The setting that a newcomer finds: it needs no data, and its auxiliaries plainly help or harm."""
BASELINE = "umtg"
"""The optimizer that every question has an answer for, beside those that were chosen."""
MAY_BE_ALL = ("samples", "held_out", "factor_points")
"""Numbers of RunConfig that may be None, for all there are."""
MOST_NAMES = 3
"""Auxiliaries that a run's label names."""
MOST_SEEDS = 4
"""Seeds that it lists."""
LOOKS = ("factors", "gradients", "optimizers", "correlation", "epochs")
"""What the page shows below the generalization chart, one at a time."""
X_AXES = ("loss", "epoch")
AGAINST = (*factors.explaining(), "test_metric")
"""What early gradient similarity is correlated with."""

_TITLES = {
    "optimizer": "",
    "base_optimizer": "",
    "precision": "",
    "lr": "lr ",
    "batch_size": "batch ",
    "epochs": "epochs ",
    "samples": "samples ",
    "held_out": "held out ",
    "width": "width ",
    "early_checkpoints": "early checkpoints ",
    "factors": "factors ",
    "factor_points": "factor points ",
    "factor_examples": "factor examples ",
    "apgd_steps": "search steps for sharpness ",
    "sharpness_rho": "ρ ",
    "fisher_draws": "draws for Fisher ",
    "similarity_batches": "batches for similarity ",
    "auxiliary_factors": "auxiliaries' factors",
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
    def default(cls, setting: str = FIRST) -> "Question":
        """The question that a newcomer finds asked: the first auxiliary of the setting."""
        found = settings.get(setting)
        others = [task.name for task in found.tasks if task.name != found.default_target]
        return cls(setting, found.default_target, tuple(others[:1]))

    @property
    def title(self) -> str:
        """What is asked, in a sentence."""
        if self.auxiliaries:
            others = " and ".join(self.auxiliaries)
            return f"What if {self.target} is trained together with {others}?"
        return f"What does {self.target} reach alone?"

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
        return codec.write(self, _FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "tuple[Question, list[str]]":
        """The question that a URL asks, and what in it could not be understood.

        Its config can always be trained: what cannot be is left at its default, one by one.
        """
        reading = codec.read(query, _FIELDS, _trainable)
        return cls(**reading.values), reading.told


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


def seeds_label(seeds: Sequence[int]) -> str:
    """``seeds 0 1 2``, and in a few words where there are more.

    >>> seeds_label((0, 1, 2)), seeds_label(range(20)), seeds_label((0, 2, 4, 6, 8))
    ('seeds 0 1 2', 'seeds 0–19', '5 seeds')
    """
    ordered = sorted(seeds)
    if len(ordered) <= MOST_SEEDS:
        return f"seeds {codec.show(tuple(seeds))}"
    if ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"seeds {ordered[0]}–{ordered[-1]}"
    return f"{len(ordered)} seeds"


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
        elif isinstance(mine, bool) and mine != theirs:
            words.append(f"{'with' if mine else 'without'} {title}")
        elif name == "seeds" and mine != theirs:
            words.append(seeds_label(mine))
        elif mine != theirs:
            words.append(f"{title}{codec.show(mine)}")
    return words


# The URL.


def _trainable(values: Values) -> object:
    """Raises InputError for what cannot be trained."""
    return "target" not in values or Question(**values).configs


def _task(text: str, values: Values) -> str:
    return settings.get(values["setting"]).task(text).name


def _usual_target(values: Values) -> str:
    return settings.get(values["setting"]).default_target


def _auxiliaries(text: str, values: Values) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_task(name, values) for name in text.split()))


def _usual_auxiliaries(values: Values) -> tuple[str, ...]:
    usual = Question.default(values["setting"]).auxiliaries
    return tuple(name for name in usual if name != values["target"])


def _preset(text: str, values: Values) -> str:
    settings.get(values["setting"]).preset(text)
    return text


def _optimizers(text: str, _: Values) -> tuple[str, ...]:
    names = text.split() or [text]
    for name in names:
        if name not in optimizers.names():
            raise unknown("optimizer", name, optimizers.names())
    return tuple(dict.fromkeys(name for name in names if name != BASELINE))


def _overrides(_: Values) -> list[Field]:
    """Fields of RunConfig, which may only fit together, as batch size and samples."""
    parsers = {
        "base_optimizer": codec.one_of("base optimizer", BASE_OPTIMIZERS),
        "precision": codec.one_of("precision", PRECISIONS),
        "auxiliary_factors": codec.flag,
        "lr": codec.number,
        "sharpness_rho": codec.number,
    }
    for name in _WHOLE:
        parsers[name] = codec.or_all(codec.whole) if name in MAY_BE_ALL else codec.whole
    return [
        Field(name, parse, default=partial(_of_preset, name), at=("overrides", name))
        for name, parse in parsers.items()
    ]


def _of_preset(name: str, values: Values) -> Any:
    """What a field of RunConfig is without an override."""
    return getattr(replace(Question(**values), overrides={}).config, name)


def _options(values: Values) -> list[Field]:
    """The options of the chosen optimizers."""
    return [
        Field(
            f"{name}.{option.name}",
            partial(_option, name, option),
            default=option.default,
            at=("options", name, option.name),
        )
        for name in values["optimizers"]
        for option in optimizers.options(name)
    ]


def _option(optimizer: str, option: Option, text: str, _: Values) -> OptionValue:
    return option.parse(optimizer, text)


_WHOLE = (
    "epochs",
    "samples",
    "held_out",
    "batch_size",  # after the samples, which bound it
    "width",
    "early_checkpoints",
    "factor_points",
    "factor_examples",
    "apgd_steps",
    "fisher_draws",
    "similarity_batches",
)

_FIELDS: Entries = (
    Field(
        "setting",
        lambda text, _: settings.get(text).name,
        default=FIRST,
        always=True,
    ),
    Field("target", _task, default=_usual_target, always=True),
    Field(
        "aux",
        _auxiliaries,
        " ".join,
        default=_usual_auxiliaries,
        at=("auxiliaries",),
        always=True,
    ),
    Field("preset", _preset, default=Question.preset, always=True),
    Field(
        "optimizer",
        _optimizers,
        lambda names: " ".join((BASELINE, *names)),
        default=Question.optimizers,
        at=("optimizers",),
        always=True,
    ),
    Field("seeds", codec.parse_seeds, default=Question.seeds, always=True),
    Field("pins", codec.ids(MOST_PINS, "pins"), default=Question.pins),
    Field("per_seed", codec.flag, default=Question.per_seed),
    Field("look", codec.one_of("look", LOOKS), default=Question.look),
    Field("x", codec.one_of("x axis", X_AXES), default=Question.x),
    Field("against", codec.one_of("quantity", AGAINST), default=Question.against),
    _overrides,
    _options,
)
