"""ParetoConfig: everything that decides the numbers of a front, and nothing else."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mtl_core.errors import InputError, quoted, unknown
from mtl_core.pareto import preferences, problems, scalarizations, transfer
from mtl_core.pareto.problems.base import Problem
from mtl_core.pareto.problems.options import refuse_unknown

__all__ = ["BASELINES", "METHODS", "OPTIMIZERS", "PARETO_VERSION", "ParetoConfig", "Preferences"]

PARETO_VERSION = 1
"""Part of every front's identity: raised when equal configs would give other numbers."""

BASELINES = ("mgda", "pareto_mtl")
"""Methods that combine task gradients instead of minimising a scalarization."""

METHODS = (*transfer.names(), *BASELINES)
OPTIMIZERS = ("sgd", "adam")

Option = bool | int | float | str
Options = tuple[tuple[str, Option], ...]
Preferences = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ParetoConfig:
    """Which front is looked for and how; frozen, hashable and serialisable.

    Configs that give the same numbers are equal: what a method does not use is at its default.

    Args:
        problem: name of a problem (``problems.names()``).
        problem_options: name-value pairs that define it, where it has any.
        method: ``independent`` (M = I), a transfer (``transfer.names()``), ``mgda`` or
            ``pareto_mtl``.
        method_options: those of a transfer's options that are not at their defaults.
        scalarization: what a subproblem minimises (``scalarizations.names()``).
        smoothing: μ of smooth Tchebycheff.
        solutions: N, at least one for each objective; of no consequence where ``preferences`` are
            given.
        layout: of preferences: ``lattice``, ``random`` or ``given``.
        layout_seed: of random preferences; all seeds of a run have the same preferences.
        preferences: the given ones, N rows of K weights; N is at least K.
        optimizer: ``sgd`` (no momentum) or ``adam`` (betas .9/.999).
        lr: constant learning rate, > 0; with a transfer, below 2 m_ii / curvature (``transfer``).
        iterations: steps of each solution.
        batch_size: examples of a step, the same for all solutions of a seed; None takes all. Like
            the next two, None in a problem without data.
        samples: training examples; None takes all.
        held_out: test examples that a front is measured on; None takes all.
        frames: at how many steps after 0, evenly spaced and the last always, it is measured.
        seeds: one front each; a seed varies starts and batches, never the preferences.

    Raises:
        InputError: on any value that cannot be solved.
    """

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
    optimizer: str = "sgd"
    lr: float = 0.1
    iterations: int = 500
    batch_size: int | None = None
    samples: int | None = None
    held_out: int | None = None
    frames: int = 50
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        options = _pairs(self.problem_options, "problem")
        refuse_unknown(self.problem, options, problems.get(self.problem).options or ())
        self._set("problem_options", tuple(sorted(options.items())))
        self._check_preferences(len(self.definition.objectives))
        self._check_method()
        if self.optimizer not in OPTIMIZERS:
            raise unknown("optimizer", self.optimizer, OPTIMIZERS)
        self._set("lr", _positive("learning rate", self.lr))
        _whole("iterations", self.iterations, 1, 10_000_000)
        for name in ("batch_size", "samples", "held_out"):
            if getattr(self, name) is not None:
                _whole(name.replace("_", " "), getattr(self, name), 1)
        if self.batch_size and self.samples and self.batch_size > self.samples:
            raise InputError(
                f"batch size {self.batch_size} is larger than the {self.samples} training "
                "examples; choose a smaller one, or more samples"
            )
        if self.definition.fingerprint is None:
            for name in ("batch_size", "samples", "held_out"):
                self._set(name, None)
        _whole("frames", self.frames, 1, 100_000)
        self._set("frames", min(self.frames, self.iterations))
        self._set("seeds", _seeds(self.seeds))

    @classmethod
    def from_preset(cls, problem: str, preset: str, **changes: Any) -> Self:
        """The config of a problem's preset (quick, standard, paper), with ``changes``.

        Where options define more objectives than a preset has solutions, it gets one for each.
        """
        values = asdict(problems.get(problem).preset(preset))
        options = _pairs(changes.get("problem_options", ()), "problem")
        objectives = len(problems.get(problem).given(options).objectives)
        values["solutions"] = max(values["solutions"], objectives)
        return cls(problem=problem, **(values | changes))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
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
        known = [field.name for field in fields(cls)]
        if extra := sorted(map(str, set(values) - set(known))):
            raise unknown("config field", extra[0], sorted(known))
        if "problem" not in values:
            raise InputError("a front's config lacks 'problem'")
        if isinstance(rows := values.get("preferences"), list):
            values["preferences"] = tuple(tuple(r) if isinstance(r, list) else r for r in rows)
        for name in ("problem_options", "method_options"):
            given = values.get(name, {})
            values[name] = tuple(given.items()) if isinstance(given, Mapping) else given
        if isinstance(seeds := values.get("seeds"), list):
            values["seeds"] = tuple(seeds)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, in field order."""
        given = None if self.preferences is None else [list(row) for row in self.preferences]
        return {
            "kind": "pareto",
            "version": PARETO_VERSION,
            **asdict(self),
            "problem_options": dict(self.problem_options),
            "method_options": dict(self.method_options),
            "preferences": given,
            "seeds": list(self.seeds),
        }

    @cached_property
    def id(self) -> str:
        """16 hex digits of the content's BLAKE2b hash: the front's identity."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

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
        _whole("layout seed", self.layout_seed, 0, 2**31 - 1)
        if self.layout != "random":
            self._set("layout_seed", 0)

    def _check_method(self) -> None:
        options = _pairs(self.method_options, "method")
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
        self._set("smoothing", _positive("smoothing", self.smoothing))
        if self.method in BASELINES:
            # They ask nothing of a scalarization.
            self._set("scalarization", type(self).scalarization)
            smoothed = False
        if not smoothed:
            self._set("smoothing", scalarizations.SMOOTHING)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _pairs(options: Any, kind: str) -> dict[str, Option]:
    try:
        pairs: dict[str, Option] = dict(options)
    except (TypeError, ValueError):
        raise InputError(f"{kind} options {quoted(options)} are not name-value pairs") from None
    for name, value in pairs.items():
        if not isinstance(name, str) or not isinstance(value, (bool, int, float, str)):
            raise InputError(
                f"{kind} option {quoted(name)}={quoted(value)} is not a number, word or flag"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{kind} option {name!r}={value!r} must be finite")
    return pairs


def _positive(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{name} {quoted(value)} is not a number")
    if not (abs(value) < 1e300 and value > 0):
        raise InputError(f"{name} {quoted(value)} must be a finite number above 0")
    return float(value)


def _whole(name: str, value: object, least: int, most: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} {quoted(value)} is not a whole number")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InputError(f"{name} {quoted(value)} must be {bounds}")
    return value


def _seeds(seeds: object) -> tuple[int, ...]:
    if not isinstance(seeds, (tuple, list, range)):
        raise InputError(f"seeds {quoted(seeds)} must be a list")
    checked = [_whole("seed", seed, 0, 2**31 - 1) for seed in seeds]
    if not checked:
        raise InputError("no seeds; give at least one, such as 0 1 2")
    if len(set(checked)) < len(checked):
        raise InputError(f"seeds {' '.join(map(str, checked))} repeat; give each once")
    if len(checked) > 64:
        raise InputError(f"{len(checked)} seeds are more than 64; give fewer")
    return tuple(sorted(checked))
