"""ParetoConfig: everything that decides the numbers of a front experiment, and nothing else."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mtl_core import checks
from mtl_core.checks import Option
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.pareto import preferences, problems, scalarizations, transfer
from mtl_core.pareto.problems.base import Problem
from mtl_core.pareto.problems.options import refuse_unknown

__all__ = [
    "BASELINES",
    "METHODS",
    "OPTIMIZERS",
    "PARETO_VERSION",
    "STARTS",
    "WITHOUT_TRANSFER",
    "ParetoConfig",
    "Preferences",
]

PARETO_VERSION = 1
"""Part of every front's identity: raised when equal configs would give other numbers."""

BASELINES = ("mgda", "pareto_mtl")
"""Methods that combine task gradients instead of minimising a scalarization."""

METHODS = (*transfer.names(), *BASELINES)

WITHOUT_TRANSFER = (
    *(name for name in transfer.names() if transfer.rule(name).matrix is None),
    *BASELINES,
)
"""Methods of which M = I at every step."""

STARTS = ("own", "shared")
OPTIMIZERS = ("sgd", "adam")

Options = tuple[tuple[str, Option], ...]
Preferences = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ParetoConfig:
    """A front experiment: a problem, how it is solved, and for which seeds; frozen and
    serialisable.

    Two configs of one experiment are equal, whichever seeds they ask for, and have the same ``id``:
    what a method does not use is at its default. A run is the experiment with one seed.

    Args:
        problem: name of a problem (``problems.names()``).
        problem_options: name-value pairs that define it, where it has any.
        method: ``independent`` (M = I), ``averaged`` (the same from the mean of the starts), a
            transfer (``transfer.names()``), ``mgda`` or ``pareto_mtl``. Networks share a start, so
            that ``averaged`` would be ``independent`` there and is refused.
        method_options: those of a transfer's options that are not at their defaults.
        scalarization: what a subproblem minimises (``scalarizations.names()``).
        smoothing: μ of smooth Tchebycheff.
        solutions: N, at least one for each objective; where ``preferences`` are given, their
            number.
        layout: of preferences: ``lattice``, ``random`` or ``given``.
        layout_seed: of random preferences; all seeds of a run have the same preferences.
        preferences: the given ones, N rows of K weights; N is at least K.
        start: ``own`` draws a random start for each solution of a seed, ``shared`` one for all of
            them. It is ``own`` where there is nothing to choose: networks of a seed share an
            initialisation in any case, and MGDA, which knows no preference, needs starts that
            differ.
        optimizer: ``sgd`` (no momentum) or ``adam`` (betas .9/.999).
        lr: constant learning rate, > 0; with a transfer, below 2 m_ii / curvature (``transfer``).
        iterations: steps of each solution.
        batch_size: examples of a step, the same for all solutions of a seed; None takes all. Like
            the next two, None in a problem without data.
        samples: training examples; None takes all.
        held_out: test examples that a front is measured on; None takes all.
        frames: at how many steps after 0, evenly spaced and the last always, it is measured.
        seeds: one front each; a seed varies starts and batches, never the preferences. They are no
            part of the experiment's identity.

    Raises:
        InputError: on any value that cannot be solved.
    """

    kind: ClassVar[str] = "front"

    problem: str
    problem_options: Options = ()
    method: str = "adaptive"
    method_options: Options = ()
    scalarization: str = "tchebycheff"
    smoothing: float = scalarizations.SMOOTHING
    solutions: int = 10
    layout: str = "lattice"
    layout_seed: int = 0
    preferences: Preferences | None = None
    start: str = "own"
    optimizer: str = "sgd"
    lr: float = 0.1
    iterations: int = 500
    batch_size: int | None = None
    samples: int | None = None
    held_out: int | None = None
    frames: int = 50
    seeds: tuple[int, ...] = field(default=(0, 1, 2), compare=False)

    def __post_init__(self) -> None:
        options = checks.options("problem", self.problem_options)
        refuse_unknown(self.problem, options, problems.get(self.problem).options or ())
        self._set("problem_options", tuple(sorted(options.items())))
        self._check_preferences(len(self.definition.objectives))
        self._check_method()
        self._check_start()
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        self._set("lr", checks.positive("learning rate", self.lr))
        checks.whole("iterations", self.iterations, 1, 10_000_000)
        for name in ("batch_size", "samples", "held_out"):
            if getattr(self, name) is not None:
                checks.whole(name.replace("_", " "), getattr(self, name), 1)
        if self.batch_size and self.samples and self.batch_size > self.samples:
            raise InputError(
                f"batch size {self.batch_size} is larger than the {self.samples} training "
                "examples; choose a smaller one, or more samples"
            )
        if self.definition.fingerprint is None:
            for name in ("batch_size", "samples", "held_out"):
                self._set(name, None)
        checks.whole("frames", self.frames, 1, 100_000)
        self._set("frames", min(self.frames, self.iterations))
        self._set("seeds", checks.seeds(self.seeds))

    @classmethod
    def from_preset(cls, problem: str, preset: str, **changes: Any) -> Self:
        """The config of a problem's preset (quick, standard, paper), with ``changes``.

        Where options define more objectives than a preset has solutions, it gets one for each.
        """
        values = asdict(problems.get(problem).preset(preset))
        options = checks.options("problem", changes.get("problem_options", ()))
        objectives = len(problems.get(problem).given(options).objectives)
        values["solutions"] = max(values["solutions"], objectives)
        return cls(problem=problem, **(values | changes))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, seeds: Any = (0, 1, 2)) -> Self:
        """Inverse of ``to_dict``; checks everything, since the text may come from anywhere."""
        if not isinstance(values, Mapping):
            raise InputError(f"a front's config must be an object, not {type(values).__name__}")
        values = dict(values)
        if (kind := values.pop("kind", "pareto")) != "pareto":
            raise InputError(f"config kind {quoted(kind)} is not 'pareto'")
        version = values.pop("version", PARETO_VERSION)
        if version != PARETO_VERSION:
            raise InputError(
                f"config version {quoted(version)} is not {PARETO_VERSION}; solve it anew"
            )
        known = [field.name for field in fields(cls) if field.compare]
        if extra := sorted(map(str, set(values) - set(known))):
            raise unknown("config field", extra[0], sorted(known))
        if "problem" not in values:
            raise InputError("a front's config lacks 'problem'")
        if isinstance(rows := values.get("preferences"), list):
            values["preferences"] = tuple(tuple(r) if isinstance(r, list) else r for r in rows)
        for name in ("problem_options", "method_options"):
            given = values.get(name, {})
            values[name] = tuple(given.items()) if isinstance(given, Mapping) else given
        return cls(**values, seeds=seeds)

    def to_dict(self) -> dict[str, Any]:
        """The experiment in plain JSON values, in field order; without seeds.

        ``start`` came later than the fronts that ship: at its default it is left out, so that they
        keep their ids.
        """
        values = asdict(self)
        del values["seeds"]
        if self.start == type(self).start:
            del values["start"]
        given = None if self.preferences is None else [list(row) for row in self.preferences]
        return {
            "kind": "pareto",
            "version": PARETO_VERSION,
            **values,
            "problem_options": dict(self.problem_options),
            "method_options": dict(self.method_options),
            "preferences": given,
        }

    @cached_property
    def id(self) -> str:
        """16 hex digits of the content's BLAKE2b hash: the experiment's identity."""
        return checks.content_id(self.to_dict())

    @property
    def definition(self) -> Problem:
        """The problem, with the objectives that its options define."""
        return problems.get(self.problem).given(dict(self.problem_options))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The preferences, (N, K), on the simplex."""
        objectives = len(self.definition.objectives)
        if self.preferences is not None:
            return np.array(self.preferences)
        if self.layout == "random":
            return preferences.random(self.solutions, objectives, self.layout_seed)
        return preferences.lattice(self.solutions, objectives)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps after which the front is measured, ascending: 0, then evenly to the last."""
        return tuple(round(i * self.iterations / self.frames) for i in range(self.frames + 1))

    @property
    def passes(self) -> int:
        """Backward passes of a solution in a step: one, or one per objective for a baseline."""
        return len(self.definition.objectives) if self.method in BASELINES else 1

    @property
    def baseline(self) -> "ParetoConfig":
        """The same without transfer."""
        return replace(self, method="independent", method_options=())

    def _check_preferences(self, objectives: int) -> None:
        if self.layout not in preferences.LAYOUTS:
            raise unknown("layout", self.layout, preferences.LAYOUTS)
        if self.preferences is not None:
            # Adding 0.0 turns a -0.0 into what it equals.
            rows = preferences.given(self.preferences, objectives) + 0.0
            self._set("preferences", tuple(tuple(row.tolist()) for row in rows))
            self._set("layout", "given")
            self._set("solutions", len(rows))
        elif self.layout == "given":
            raise InputError("layout 'given' needs preferences; give a row of weights per solution")
        else:
            preferences.lattice(self.solutions, objectives)
        if self.solutions < objectives:
            count = f"{self.solutions} solution{'s' * (self.solutions > 1)}"
            shown = "shows" if self.solutions == 1 else "show"
            raise InputError(
                f"{count} for {objectives} objectives {shown} no trade-off; give at least "
                f"{objectives} {'solutions' if self.preferences is None else 'preferences'}"
            )
        checks.whole("layout seed", self.layout_seed, 0, 2**31 - 1)
        if self.layout != "random":
            self._set("layout_seed", 0)

    def _check_method(self) -> None:
        options = checks.options("method", self.method_options)
        if self.method in BASELINES:
            if options:
                raise InputError(
                    f"method {self.method!r} has no options; leave {quoted(min(options))} out"
                )
        elif self.method in METHODS:
            defaults = transfer.checked(self.method, {})
            values = transfer.checked(self.method, options)
            changed = {name: value for name, value in values.items() if value != defaults[name]}
            self._set("method_options", tuple(sorted(changed.items())))
        else:
            raise unknown("method", self.method, METHODS)
        smoothed = scalarizations.get(self.scalarization).smoothed
        self._set("smoothing", checks.positive("smoothing", self.smoothing))
        if self.method in BASELINES:
            # Baselines use no scalarization.
            self._set("scalarization", type(self).scalarization)
            smoothed = False
        if not smoothed:
            self._set("smoothing", scalarizations.SMOOTHING)

    def _check_start(self) -> None:
        if self.start not in STARTS:
            raise unknown("start", self.start, STARTS)
        if not self.definition.own_starts:
            if self.method == "averaged":
                raise InputError(
                    f"method 'averaged' is 'independent' in problem {self.problem!r}, whose "
                    "networks share a start; use method 'independent'"
                )
            self._set("start", type(self).start)
        elif self.method == "mgda":
            self._set("start", type(self).start)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
