"""RunConfig: everything that decides the numbers of a training experiment, and nothing else."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Self, get_args

from mtl_core import checks, factors, optimizers, settings
from mtl_core.checks import Option
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.factors import RHO, STEPS

__all__ = [
    "BASE_OPTIMIZERS",
    "CONFIG_VERSION",
    "FACTOR_FIELDS",
    "PRECISIONS",
    "STL",
    "Precision",
    "RunConfig",
]

CONFIG_VERSION = 2
"""Part of every experiment's identity: raised when equal configs would give other numbers."""

STL = "stl"
BASE_OPTIMIZERS = ("adam", "sgd", "momentum")

Precision = Literal["fp32", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

FACTOR_FIELDS = (
    "factor_points",
    "factor_examples",
    "apgd_steps",
    "sharpness_rho",
    "fisher_draws",
    "similarity_batches",
    "auxiliary_factors",
)
"""How factors are measured; at their defaults where none is."""

_LATER = ("sharpness_rho", "precision")
"""Fields that came after the first ids: no part of a config's text, and of its id, at defaults."""


@dataclass(frozen=True)
class RunConfig:
    """A training experiment and which of its runs are asked for; frozen and serialisable.

    Two configs of one experiment are equal, whichever seeds they ask for, and have the same ``id``:
    auxiliaries are kept in the setting's order, and a single-task config forgets its multi-task
    optimizer. A run is the experiment with one seed.

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
        seeds: the runs that are asked for; a seed varies initialisation and batch order, never the
            split. They are no part of the experiment's identity.
        early_checkpoints: how many log-spaced checkpoints the first epoch gets.
        factors: which factors are measured along the way (``factors.names()``).
        factor_points: at how many of the checkpoints after step 0, evenly chosen among them and
            the last always; None takes all.
        factor_examples: training examples that factors are measured on; at most all there are.
        apgd_steps: gradients that sharpness takes to maximise the loss of a batch.
        sharpness_rho: ρ, how far each parameter may move relative to itself, at most 1; at its
            default where sharpness is not measured.
        fisher_draws: labels that are sampled for each example.
        similarity_batches: random batches that gradient similarity is averaged over.
        auxiliary_factors: whether sharpness, Fisher and covariance are measured on the auxiliary
            tasks too; gradient similarity is known of all tasks.
        precision: what products of a training step are rounded to (``training.precision``); what
            is measured is measured in fp32.

    Raises:
        InputError: on any value that cannot be trained.
    """

    kind: ClassVar[str] = "training"

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
    seeds: tuple[int, ...] = field(default=(0, 1, 2), compare=False)
    early_checkpoints: int = 6
    factors: tuple[str, ...] = tuple(factors.names())
    factor_points: int | None = None
    factor_examples: int = 2048
    apgd_steps: int = 20
    sharpness_rho: float = RHO
    fisher_draws: int = 10
    similarity_batches: int = 200
    auxiliary_factors: bool = False
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        self._check_tasks()
        self._check_optimizers()
        self._check_budget()
        self._check_factors()
        self._check_examples()

    @classmethod
    def from_preset(cls, setting: str, preset: str, **changes: Any) -> Self:
        """The config of a setting's preset (quick, standard, paper), with ``changes``."""
        found = settings.get(setting)
        values: dict[str, Any] = {"target": found.default_target} | asdict(found.preset(preset))
        return cls(setting=setting, **(values | changes))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, seeds: Any = (0, 1, 2)) -> Self:
        """Inverse of ``to_dict``; checks everything, since the text may come from anywhere."""
        if not isinstance(values, Mapping):
            raise InputError(f"a run's config must be an object, not {type(values).__name__}")
        known = {field.name for field in fields(cls) if field.compare}
        values = dict(values)
        version = values.pop("version", CONFIG_VERSION)
        if version != CONFIG_VERSION:
            raise InputError(
                f"config version {quoted(version)} is not {CONFIG_VERSION}; train it anew"
            )
        if extra := sorted(map(str, set(values) - known)):
            raise unknown("config field", extra[0], sorted(known))
        if missing := {"setting", "target"} - set(values):
            raise InputError(f"a run's config lacks {sorted(missing)[0]!r}")
        for name in ("auxiliaries", "factors"):
            if not isinstance(values.get(name, []), (list, tuple)):
                raise InputError(
                    f"config field {name!r} must be a list, not {quoted(values[name])}"
                )
            values[name] = tuple(values.get(name, getattr(cls, name)))
        options = values.get("options", {})
        values["options"] = tuple(options.items()) if isinstance(options, Mapping) else options
        return cls(**values, seeds=seeds)

    def to_dict(self) -> dict[str, Any]:
        """The experiment in plain JSON values, in field order; without seeds.

        A field that older versions did not have is left out at its default: it was that then, and
        an experiment keeps its id.
        """
        values = asdict(self)
        del values["seeds"]
        for name in _LATER:
            if values[name] == getattr(type(self), name):
                del values[name]
        return {
            "version": CONFIG_VERSION,
            **values,
            "auxiliaries": list(self.auxiliaries),
            "options": dict(self.options),
            "factors": list(self.factors),
        }

    @cached_property
    def id(self) -> str:
        """16 hex digits of the content's BLAKE2b hash: the experiment's identity."""
        return checks.content_id(self.to_dict())

    @property
    def tasks(self) -> tuple[str, ...]:
        """Target first, then the auxiliaries."""
        return (self.target, *self.auxiliaries)

    @property
    def auxiliaries_label(self) -> str:
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
        """Steps of each run."""
        return self.epochs * self.steps_per_epoch

    @property
    def apgd_lost(self) -> float | None:
        """The most that fewer steps of APGD than 20 lose of sharpness, in per cent, if known."""
        lost = settings.get(self.setting).apgd_lost
        known = [fewer for fewer in lost if fewer <= self.apgd_steps]
        measured = self.apgd_steps < STEPS and self.sharpness_rho == RHO
        return lost[max(known)] if known and measured else None

    def _check_tasks(self) -> None:
        setting = settings.get(self.setting)
        target = setting.task(self.target)
        chosen = {
            setting.task(name).name for name in checks.sequence("auxiliaries", self.auxiliaries)
        }
        if target.name in chosen:
            raise InputError(
                f"target {target.name!r} is among its own auxiliaries; choose other auxiliaries"
            )
        canonical = tuple(task.name for task in setting.tasks if task.name in chosen)
        self._set("auxiliaries", canonical)

    def _check_optimizers(self) -> None:
        options = checks.options("optimizer", self.options)
        if "num_tasks" in options:
            raise InputError("optimizer option 'num_tasks' follows from the tasks; leave it out")
        method = optimizers.create(self.optimizer, num_tasks=len(self.tasks), **options)
        self._set("options", tuple(sorted(optimizers.changed(method).items())))
        if not self.auxiliaries:
            self._set("optimizer", "umtg")
            self._set("options", ())
        if self.base_optimizer not in BASE_OPTIMIZERS:
            raise unknown("base optimizer", self.base_optimizer, BASE_OPTIMIZERS)
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)

    def _check_budget(self) -> None:
        self._set("lr", checks.positive("learning rate", self.lr))
        self._set("batch_size", checks.whole("batch size", self.batch_size, 1))
        if settings.get(self.setting).batch_norm and self.batch_size == 1:
            raise InputError(
                f"batch size 1 gives {self.setting}'s BatchNorm nothing to normalise by; choose at "
                "least 2"
            )
        self._set("epochs", checks.whole("epochs", self.epochs, 1, 100_000))
        self._set("width", checks.whole("width", self.width, 1, 512))
        early = checks.whole("early checkpoints", self.early_checkpoints, 0, 64)
        self._set("early_checkpoints", early)
        self._set("seeds", checks.seeds(self.seeds))

    def _check_examples(self) -> None:
        setting = settings.get(self.setting)
        tasks = [setting.task(name) for name in self.tasks]
        smallest = min(task.train_size for task in tasks)
        if self.samples is not None:
            self._set("samples", checks.whole("samples", self.samples, 1, smallest))
            if self.samples == smallest == max(task.train_size for task in tasks):
                self._set("samples", None)
        if self.held_out is not None:
            most = min(min(task.val_size, task.test_size) for task in tasks)
            self._set("held_out", checks.whole("held-out examples", self.held_out, 1, most))
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

    def _check_factors(self) -> None:
        chosen = checks.sequence("factors", self.factors)
        known = factors.names()
        for name in chosen:
            if name not in known:
                raise unknown("factor", name, known)
        self._set("factors", tuple(name for name in known if name in chosen))
        if self.factor_points is not None:
            checks.whole("factor points", self.factor_points, 1, 1_000_000)
        checks.whole("factor examples", self.factor_examples, 1, 1_000_000)
        checks.whole("APGD steps", self.apgd_steps, 1, 1_000)
        rho = checks.positive("sharpness's ρ", self.sharpness_rho)
        if rho > 1:
            raise InputError(
                f"sharpness's ρ {quoted(self.sharpness_rho)} must be at most 1, which lets every "
                "parameter reach 0; the paper's is 1e-3"
            )
        self._set("sharpness_rho", rho if "sharpness" in self.factors else RHO)
        checks.whole("Fisher draws", self.fisher_draws, 1, 1_000)
        checks.whole("similarity batches", self.similarity_batches, 1, 10_000)
        checks.flag("auxiliary factors", self.auxiliary_factors)
        if not self.auxiliaries:
            self._set("auxiliary_factors", False)
        if not self.factors:
            # What is not measured is not measured in any particular way.
            for name in FACTOR_FIELDS:
                self._set(name, getattr(type(self), name))

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
