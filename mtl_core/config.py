"""RunConfig: everything that decides the numbers of a run, and nothing else."""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

from mtl_core import optimizers, settings
from mtl_core.errors import InputError, unknown
from mtl_core.trajectory import FACTORS

__all__ = ["BASE_OPTIMIZERS", "CONFIG_VERSION", "FACTOR_FIELDS", "STL", "RunConfig"]

CONFIG_VERSION = 2
"""Part of every run's identity: raised when equal configs would give other numbers than before."""

STL = "stl"
BASE_OPTIMIZERS = ("adam", "sgd", "momentum")

FACTOR_FIELDS = (
    "factor_points",
    "factor_examples",
    "apgd_steps",
    "fisher_draws",
    "similarity_batches",
    "auxiliary_factors",
)
"""How factors are measured; of no consequence without any."""

Option = bool | int | float | str


@dataclass(frozen=True)
class RunConfig:
    """What is trained and what is measured; frozen, hashable and serialisable.

    Two configs that give the same numbers are equal: auxiliaries are kept in the setting's order,
    seeds sorted, and a single-task config forgets its multi-task optimizer.

    Args:
        setting: name of a setting (``settings.names()``).
        target: the task whose transfer is studied.
        auxiliaries: tasks trained along with it; none is single-task learning (STL).
        optimizer: multi-task optimizer (``optimizers.names()``), with those of its ``options``
            that are not at their defaults.
        base_optimizer: what turns the combined gradient into a step: ``adam`` (Adam,
            betas .9/.999), ``sgd`` (no momentum) or ``momentum`` (SGD, momentum .9).
        lr: constant learning rate, > 0.
        batch_size: examples per task and step.
        epochs: passes over the target task's training data.
        samples: training examples per task; None takes all of them.
        held_out: validation and test examples per task that are evaluated; None takes all.
        width: channels of the encoder's first layer.
        seeds: one replica each; a seed varies initialisation and batch order, never the split.
        early_checkpoints: how many log-spaced checkpoints the first epoch gets.
        factors: which factors are measured along the way, of ``trajectory.FACTORS``.
        factor_points: at how many of the checkpoints after step 0, evenly chosen among them and
            the last always; None takes all.
        factor_examples: training examples that factors are measured on; at most all there are.
        apgd_steps: gradients that sharpness takes to maximise the loss of a batch.
        fisher_draws: labels that are sampled for each example.
        similarity_batches: random batches that gradient similarity is averaged over.
        auxiliary_factors: whether sharpness, Fisher and covariance are measured on the auxiliary
            tasks too; gradient similarity is known of all tasks.

    Raises:
        InputError: on any value that cannot be trained.
    """

    setting: str
    target: str
    auxiliaries: tuple[str, ...] = ()
    optimizer: str = "umtg"
    options: tuple[tuple[str, Option], ...] = ()
    base_optimizer: str = "adam"
    lr: float = 1e-3
    batch_size: int = 128
    epochs: int = 10
    samples: int | None = None
    held_out: int | None = None
    width: int = 16
    seeds: tuple[int, ...] = (0, 1, 2)
    early_checkpoints: int = 6
    factors: tuple[str, ...] = FACTORS
    factor_points: int | None = None
    factor_examples: int = 2048
    apgd_steps: int = 20
    fisher_draws: int = 10
    similarity_batches: int = 200
    auxiliary_factors: bool = False

    def __post_init__(self) -> None:
        setting = settings.get(self.setting)
        target = setting.task(self.target)
        chosen = {setting.task(name).name for name in _sequence("auxiliaries", self.auxiliaries)}
        if target.name in chosen:
            raise InputError(
                f"target {target.name!r} is among its own auxiliaries; choose other auxiliaries"
            )
        canonical = tuple(task.name for task in setting.tasks if task.name in chosen)
        self._set("auxiliaries", canonical)

        options = _options(self.options)
        method = optimizers.create(self.optimizer, num_tasks=1 + len(canonical), **options)
        self._set("options", tuple(sorted(optimizers.changed(method).items())))
        if not canonical:
            self._set("optimizer", "umtg")
            self._set("options", ())
        if self.base_optimizer not in BASE_OPTIMIZERS:
            raise unknown("base optimizer", self.base_optimizer, BASE_OPTIMIZERS)

        self._set("lr", _positive("learning rate", self.lr))
        self._set("batch_size", _whole("batch size", self.batch_size, 1))
        if setting.batch_norm and self.batch_size == 1:
            raise InputError(
                f"batch size 1 gives {setting.name}'s BatchNorm nothing to normalise by; choose at "
                "least 2"
            )
        self._set("epochs", _whole("epochs", self.epochs, 1, 100_000))
        self._set("width", _whole("width", self.width, 1, 512))
        self._set("early_checkpoints", _whole("early checkpoints", self.early_checkpoints, 0, 64))
        self._set("seeds", _seeds(self.seeds))
        self._check_factors()
        tasks = [setting.task(name) for name in self.tasks]
        smallest = min(task.train_size for task in tasks)
        if self.samples is not None:
            self._set("samples", _whole("samples", self.samples, 1, smallest))
            if self.samples == smallest == max(task.train_size for task in tasks):
                self._set("samples", None)
        if self.held_out is not None:
            most = min(min(task.val_size, task.test_size) for task in tasks)
            self._set("held_out", _whole("held-out examples", self.held_out, 1, most))
            if self.held_out == most == max(max(t.val_size, t.test_size) for t in tasks):
                self._set("held_out", None)
        train_size = self.samples or smallest
        if self.batch_size > train_size:
            raise InputError(
                f"batch size {self.batch_size} is larger than the {train_size} training examples "
                f"of a task; choose at most {train_size}, or more samples"
            )
        if self.factors:
            self._set("factor_examples", min(self.factor_examples, train_size))

    @classmethod
    def from_preset(cls, setting: str, preset: str, **changes: Any) -> Self:
        """The config of a setting's preset (quick, standard, paper), with ``changes``."""
        found = settings.get(setting)
        values: dict[str, Any] = {"target": found.default_target} | asdict(found.preset(preset))
        return cls(setting=setting, **(values | changes))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of ``to_dict``; checks everything, since the text may come from anywhere."""
        if not isinstance(values, Mapping):
            raise InputError(f"a run's config must be an object, not {type(values).__name__}")
        known = {field.name for field in fields(cls)}
        values = dict(values)
        version = values.pop("version", CONFIG_VERSION)
        if version != CONFIG_VERSION:
            raise InputError(f"config version {version!r} is not {CONFIG_VERSION}; train it anew")
        if extra := sorted(map(str, set(values) - known)):
            raise unknown("config field", extra[0], sorted(known))
        if missing := {"setting", "target"} - set(values):
            raise InputError(f"a run's config lacks {sorted(missing)[0]!r}")
        for name in ("auxiliaries", "seeds", "factors"):
            if not isinstance(values.get(name, []), (list, tuple)):
                raise InputError(f"config field {name!r} must be a list, not {values[name]!r}")
            values[name] = tuple(values.get(name, getattr(cls, name)))
        options = values.get("options", {})
        values["options"] = tuple(options.items()) if isinstance(options, Mapping) else options
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in field order."""
        return {
            "version": CONFIG_VERSION,
            **asdict(self),
            "auxiliaries": list(self.auxiliaries),
            "options": dict(self.options),
            "seeds": list(self.seeds),
            "factors": list(self.factors),
        }

    @cached_property
    def id(self) -> str:
        """16 hex digits of the content's BLAKE2b hash: the run's identity."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Target first, then the auxiliaries."""
        return (self.target, *self.auxiliaries)

    @property
    def run(self) -> str:
        """``stl``, or the auxiliaries joined by ``+``."""
        return "+".join(self.auxiliaries) or STL

    @property
    def baseline(self) -> "RunConfig":
        """Single-task learning with the same budget."""
        return replace(self, auxiliaries=())

    @property
    def train_size(self) -> int:
        """Training examples of the target task."""
        return self.samples or settings.get(self.setting).task(self.target).train_size

    @property
    def steps_per_epoch(self) -> int:
        """Steps that see the target's training data once (the last batch wraps around)."""
        return math.ceil(self.train_size / self.batch_size)

    @property
    def steps(self) -> int:
        """Steps of each replica."""
        return self.epochs * self.steps_per_epoch

    def _check_factors(self) -> None:
        chosen = _sequence("factors", self.factors)
        for name in chosen:
            if name not in FACTORS:
                raise unknown("factor", name, FACTORS)
        self._set("factors", tuple(name for name in FACTORS if name in chosen))
        if self.factor_points is not None:
            _whole("factor points", self.factor_points, 1, 1_000_000)
        _whole("factor examples", self.factor_examples, 1, 1_000_000)
        _whole("APGD steps", self.apgd_steps, 1, 1_000)
        _whole("Fisher draws", self.fisher_draws, 1, 1_000)
        _whole("similarity batches", self.similarity_batches, 1, 10_000)
        if not isinstance(self.auxiliary_factors, bool):
            raise InputError(f"auxiliary factors {self.auxiliary_factors!r} is not true or false")
        if not self.auxiliaries:
            self._set("auxiliary_factors", False)
        if not self.factors:
            # What is not measured is not measured in any particular way.
            for name in FACTOR_FIELDS:
                self._set(name, getattr(type(self), name))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _options(options: Any) -> dict[str, Option]:
    try:
        pairs: dict[str, Option] = dict(options)
    except (TypeError, ValueError):
        raise InputError(f"optimizer options {options!r} are not name-value pairs") from None
    for name, value in pairs.items():
        if not isinstance(name, str) or not isinstance(value, (bool, int, float, str)):
            raise InputError(f"optimizer option {name!r}={value!r} is not a number, word or flag")
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"optimizer option {name!r}={value!r} must be finite")
        if name == "num_tasks":
            raise InputError("optimizer option 'num_tasks' follows from the tasks; leave it out")
    return pairs


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{name} {value!r} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{name} {value!r} must be a finite number above 0")
    return number


def _sequence(name: str, values: object) -> tuple[Any, ...]:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name} {values!r} must be a list")
    return tuple(values)


def _whole(name: str, value: object, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} {value!r} is not a whole number")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InputError(f"{name} {value} must be {bounds}")
    return value


def _seeds(seeds: object) -> tuple[int, ...]:
    checked = [_whole("seed", seed, 0, 2**31 - 1) for seed in _sequence("seeds", seeds)]
    if not checked:
        raise InputError("no seeds; give at least one, such as 0 1 2")
    if len(set(checked)) < len(checked):
        raise InputError(f"seeds {' '.join(map(str, checked))} repeat; give each once")
    if len(checked) > 64:
        raise InputError(f"{len(checked)} seeds are more than 64; give fewer")
    return tuple(sorted(checked))
