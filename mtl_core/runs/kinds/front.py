"""Front: many trade-offs of a multi-objective problem, solved for together (MT2O)."""

import argparse
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core.data import stored
from mtl_core.data.base import Stamp
from mtl_core.errors import DataMissing, InputError, TrainingDiverged, quoted
from mtl_core.pareto import preferences, problems, scalarizations
from mtl_core.pareto.config import (
    BASELINES,
    METHODS,
    OPTIMIZERS,
    STARTS,
    WITHOUT_TRANSFER,
    Options,
    ParetoConfig,
)
from mtl_core.pareto.front import FRONT_COLUMNS, TRANSFER_COLUMNS, Front
from mtl_core.runs.kinds.base import Columns, Command, Kind, Piece, Plan, States, Table, packed
from mtl_core.runs.kinds.words import PRESETS, count, option, written

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.training.pool import ReplicaPool

__all__ = ["FORMULA", "FRONT"]

FORMULA = "formula"
"""Instead of a fingerprint, for a problem in closed form."""
LEAST = 1e-9
"""The least share of a transfer matrix that is kept: a wide neighbourhood has thousands below."""
_FEW = 16
"""The cost, in examples, of a step of a formula or on all of a small table."""
_FEW_PARAMETERS, _PARAMETERS = 50, 60_000
"""Of a solution of a formula, and of a network, about."""
_OFF_ONE = 1e-6
"""How far the rows of a transfer matrix may be from the sum 1."""

_TABLES = {
    "front": Table(
        FRONT_COLUMNS,
        words=("objective",),
        whole=("seed", "step", "evaluations", "solution"),
        # Objectives stay in the problem's order, which is theirs within a solution.
        order=("seed", "step", "solution"),
        row_bytes=80,
    ),
    "transfers": Table(
        TRANSFER_COLUMNS,
        whole=("seed", "step", "solution", "other"),
        order=("seed", "step", "solution", "other"),
        row_bytes=27,
    ),
}


# How a run advances.


def advance(
    config: ParetoConfig, seeds: tuple[int, ...], states: States, seconds: float, device: str
) -> list[Piece]:
    """As ``Kind.advance``: several seeds are solved for in one computation."""
    from mtl_core.pareto import advance as advance_solver

    data = _fingerprint(config)
    try:
        fronts, left = advance_solver(
            config, seeds, states, device=device, slice_seconds=seconds, data=data
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(error.message, _pieces(config, error.checkpoints)) from None
    ends = [Piece(seed, int(state["step"]), {}, state) for seed, state in left.items()]
    return [*_pieces(config, fronts), *ends]


def _carry_out(
    config: ParetoConfig, device: str, pool: "ReplicaPool | None", states: States
) -> Iterator[Piece]:
    from mtl_core.pareto import slices

    for part in slices(config, device=device, pool=pool, states=states):
        yield from _pieces(config, part.fronts)
        yield from (Piece(seed, part.step, {}, state) for seed, state in part.states().items())


def _pieces(config: ParetoConfig, fronts: Sequence[Front]) -> list[Piece]:
    return [
        Piece(front.seed, front.step, tables(config, front), notes=_notes(config, front))
        for front in fronts
    ]


def _notes(config: ParetoConfig, front: Front) -> tuple[str, ...]:
    """What is to be said of the examples, with the first front."""
    tell = problems.get(config.problem).notes
    return () if front.step or tell is None else tuple(tell(dict(config.problem_options)))


def tables(config: ParetoConfig, front: Front) -> dict[str, Columns]:
    """A front as rows of this kind's tables; no transfers where a method has none."""
    names = [objective.name for objective in config.definition.objectives]
    solutions, objectives = front.train.shape
    nothing = [None] * front.train.size
    rows = {
        "seed": [front.seed] * front.train.size,
        "step": [front.step] * front.train.size,
        "evaluations": [front.evaluations] * front.train.size,
        "seconds": [front.seconds] * front.train.size,
        "solution": np.repeat(np.arange(solutions), objectives).tolist(),
        "objective": names * solutions,
        "train_loss": front.train.ravel().tolist(),
        "test_loss": nothing if front.test is None else front.test.ravel().tolist(),
        "metric": nothing if front.metrics is None else front.metrics.ravel().tolist(),
    }
    found = {"front": packed(rows, front.train.size)}
    if config.method not in WITHOUT_TRANSFER:
        found["transfers"] = _transfers(front)
    return found


def _transfers(front: Front) -> Columns:
    solution, other = np.nonzero(front.matrix >= LEAST)
    rows = {
        "seed": [front.seed] * len(solution),
        "step": [front.step] * len(solution),
        "solution": solution.tolist(),
        "other": other.tolist(),
        "share": front.matrix[solution, other].tolist(),
    }
    return packed(rows, len(solution))


# What it costs, and on which data.


def _cost(config: ParetoConfig) -> float:
    """Examples differentiated, and a third of those measured."""
    each = config.batch_size or config.samples or _FEW
    measured = (config.frames + 1) * 2 * (config.held_out or 0)
    return (config.iterations * each * config.passes + measured / 3) * config.solutions


def _state_bytes(config: ParetoConfig) -> int:
    """Solutions in float32, and what Adam remembers of each."""
    problem = config.definition
    each = problem.parameters or (_FEW_PARAMETERS if problem.fingerprint is None else _PARAMETERS)
    return len(config.weights) * each * 4 * (3 if config.optimizer == "adam" else 1)


def _most_rows(config: ParetoConfig) -> Mapping[str, int]:
    solutions = len(config.weights)
    each = len(config.seeds) * len(config.steps) * solutions
    without = config.method in WITHOUT_TRANSFER
    return {
        "front": each * len(config.definition.objectives),
        "transfers": 0 if without else each * solutions,
    }


def _fingerprint(config: ParetoConfig) -> str:
    """The hash of a problem's examples as they are on this machine, or ``FORMULA``.

    Raises:
        DataMissing: when they are not.
        InputError: when they cannot be read.
    """
    problem = config.definition
    if problem.fingerprint is None:
        return FORMULA
    state = problem.data_state()
    if state.state != "found":
        raise DataMissing(state.message)
    if not state.files:
        return problem.fingerprint(dict(config.problem_options))
    return _fingerprint_of(config.problem, config.problem_options, state.stamp)


@lru_cache(maxsize=64)
def _fingerprint_of(problem: str, options: Options, _stamp: Stamp) -> str:
    """Cached by the files' stamps, since making and hashing all canvases takes a while."""
    found = problems.get(problem).given(dict(options))
    assert found.fingerprint is not None
    return found.fingerprint(dict(options))


# Whether tables can be those of an experiment.


def _check(config: ParetoConfig, tables: "Mapping[str, pd.DataFrame]", finished: bool) -> None:
    """Raises InputError for tables that cannot be those of this experiment and its seeds."""
    _check_places(config, tables["front"], finished)
    _check_numbers(config, tables["front"])
    if len(tables["transfers"]):
        _check_transfers(config, tables["transfers"])


def _check_places(config: ParetoConfig, table: "pd.DataFrame", finished: bool) -> None:
    if not set(table["step"]) <= set(config.steps):
        raise InputError("it has steps that its config does not measure")
    names = [objective.name for objective in config.definition.objectives]
    solutions = np.repeat(np.arange(len(config.weights)), len(names))
    places = table.groupby(["seed", "step"]).size()
    if set(places.index.get_level_values("seed")) != set(config.seeds):
        raise InputError("its seeds are not those of its config")
    if (places != len(solutions)).any():
        raise InputError("it does not have one row for each solution and objective of its config")
    if finished and len(places) != len(config.steps) * len(config.seeds):
        raise InputError("it lacks steps without saying why")
    numbered = table["solution"].to_numpy().reshape(len(places), -1) == solutions
    named = table["objective"].to_numpy().reshape(-1, len(names)) == np.array(names, dtype=object)
    if not (numbered.all() and named.all()):
        raise InputError("its solutions or objectives are not those of its config")


def _check_numbers(config: ParetoConfig, table: "pd.DataFrame") -> None:
    if not np.isfinite(table[["train_loss", "seconds"]].to_numpy()).all():
        raise InputError("it has missing or infinite training losses or seconds")
    if np.isinf(table[["test_loss", "metric"]].to_numpy()).any():
        raise InputError("it has infinite losses or metrics")
    each = len(config.weights) * config.passes
    if (table["evaluations"] != table["step"] * each).any() or (table["seconds"] < 0).any():
        raise InputError("it has evaluations or seconds that cannot be")
    held_out = table["test_loss"].notna()
    if held_out.any() != held_out.all() or held_out.any() != bool(config.definition.fingerprint):
        raise InputError("its test losses do not match its training losses")


def _check_transfers(config: ParetoConfig, table: "pd.DataFrame") -> None:
    """Whether all matrices are row-stochastic."""
    if not (table[["solution", "other"]].isin(range(len(config.weights)))).all(axis=None):
        raise InputError("transfers.parquet names solutions that its config does not have")
    if not (set(table["seed"]) <= set(config.seeds) and set(table["step"]) <= set(config.steps)):
        raise InputError("transfers.parquet has seeds or steps that its config does not have")
    sums = table.groupby(["seed", "step", "solution"])["share"].sum()
    if not (table["share"] >= 0).all() or ((sums - 1).abs() > _OFF_ONE).any():
        raise InputError("transfers.parquet has rows that are not shares of 1")


# The command line.

_DEFAULTS = {field.name: field.default for field in fields(ParetoConfig)}

_FLAGS = (
    "method",
    "scalarization",
    "smoothing",
    "solutions",
    "layout",
    "layout_seed",
    "start",
    "optimizer",
    "lr",
    "iterations",
    "batch_size",
    "samples",
    "held_out",
    "frames",
)
"""Fields of ParetoConfig that have one value, and a flag of their name."""


def _add(front: argparse.ArgumentParser) -> None:
    front.add_argument("--problem", required=True, help=", ".join(problems.names()))
    front.add_argument(
        "--problem-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="csv: file=PATH or own-…, and targets=COLUMN,COLUMN (a COLUMN with a comma in "
        '"double quotes")',
    )
    front.add_argument("--method", help=f"{', '.join(METHODS)}; default: {_DEFAULTS['method']}")
    front.add_argument("--method-option", action="append", default=[], metavar="NAME=VALUE")
    front.add_argument(
        "--scalarization",
        help=f"{', '.join(scalarizations.names())}; default: {_DEFAULTS['scalarization']}",
    )
    front.add_argument("--smoothing", type=float, help="of smooth_tchebycheff")
    front.add_argument("--solutions", type=int, help="how many trade-offs, at once")
    front.add_argument("--layout", help=f"of preferences: {', '.join(preferences.LAYOUTS)}")
    front.add_argument("--layout-seed", type=int, help="of random preferences")
    front.add_argument(
        "--preferences",
        nargs="+",
        metavar="W,W",
        help="a weight for each objective, which sum to 1; instead of --solutions and --layout",
    )
    front.add_argument(
        "--start",
        help=f"{', '.join(STARTS)}: a random start for each solution, or one for all of a seed",
    )
    front.add_argument("--preset", default="standard", help=", ".join(PRESETS))
    front.add_argument("--optimizer", help=", ".join(OPTIMIZERS))
    front.add_argument("--lr", type=float)
    front.add_argument("--iterations", type=int, help="steps of each solution")
    front.add_argument("--batch-size", type=count, help="examples of a step, or all")
    front.add_argument("--samples", type=count, help="training examples, or all")
    front.add_argument("--held-out", type=count, help="test examples measured on, or all")
    front.add_argument("--frames", type=int, help="at how many steps the front is measured")


def _config(options: argparse.Namespace) -> ParetoConfig:
    given = {name: getattr(options, name) for name in _FLAGS}
    changes: dict[str, Any] = {
        name: None if value == "all" else value
        for name, value in given.items()
        if value is not None
    }
    if options.preferences is not None:
        changes["preferences"] = tuple(map(_preference, options.preferences))
    return ParetoConfig.from_preset(
        options.problem,
        options.preset,
        problem_options=tuple(map(_text, options.problem_option)),
        method_options=tuple(option(text, "method") for text in options.method_option),
        seeds=tuple(options.seeds),
        **changes,
    )


def _text(said: str) -> tuple[str, str]:
    """An option of a problem: what looks like a number may be a file or a column."""
    name, equals, value = said.partition("=")
    if not (name and equals):
        raise InputError(f"problem option {quoted(said)} is not NAME=VALUE")
    return name, value


def _preference(text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, text.split(",")))
    except ValueError:
        raise InputError(
            f"preference {quoted(text)} is not numbers with commas between, such as 0.2,0.8"
        ) from None


def _line(config: ParetoConfig, preset: str) -> str:
    plain = _DEFAULTS | asdict(problems.get(config.problem).preset(preset))
    words = ["--problem", config.problem]
    for name, value in config.problem_options:
        words += ["--problem-option", f"{name}={value}"]
    words += ["--method", config.method]
    for name, value in config.method_options:
        words += ["--method-option", f"{name}={written(value)}"]
    if config.method not in BASELINES:
        words += ["--scalarization", config.scalarization]
    words += ["--preset", preset]
    said = ["method", "scalarization"]
    if config.preferences is not None:
        rows = [",".join(map(repr, row)) for row in config.preferences]
        words += ["--preferences", *rows]
        said += ["solutions", "layout", "layout_seed"]
    for name in _FLAGS:
        value = getattr(config, name)
        if name not in said and value != plain[name]:
            flag = f"--{name.replace('_', '-')}"
            words += [flag, "all" if value is None else str(value)]
    words += ["--seeds", *map(str, config.seeds), "--out", "out"]
    return f"python -m mtl_core front {shlex.join(words)}"


def _words(config: ParetoConfig) -> str:
    asked = "" if config.method in BASELINES else f" {config.scalarization}"
    return (
        f"{config.problem} {config.method}{asked}  {config.solutions} solutions  "
        f"lr {config.lr:g}  iterations {config.iterations}"
    )


# Plans.


def _preferences(given: object) -> list[Any]:
    if not isinstance(given, list) or not all(isinstance(one, list) for one in given):
        raise InputError(
            f"preferences {quoted(given)} are not a list of lists, such as [[0.5, 0.5]]"
        )
    return [tuple(map(tuple, given))]


def _pairs(name: str, given: object) -> list[Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"{name} {quoted(given)} are not a table, such as {{ NAME = VALUE }}")
    return [tuple(given.items())]


FRONT = Kind(
    name="front",
    noun="front",
    verb="solved for",
    config=ParetoConfig,
    tables=_TABLES,
    steps=lambda config: int(config.iterations),
    advance=advance,
    carry_out=_carry_out,
    # What is in closed form is faster on the CPU.
    device=lambda config, best: "cpu" if config.definition.fingerprint is None else best,
    cost=_cost,
    pace=lambda config: f"problem {config.problem}",
    fingerprint=_fingerprint,
    protocol=lambda config: {},
    check=_check,
    folder=lambda config: f"pareto/{config.problem}/{config.method}--{config.id}",
    state_bytes=_state_bytes,
    most_rows=_most_rows,
    carried=lambda config: stored.carried(dict(config.problem_options).get("file")),
    own_file=lambda config: bool(config.problem_options),
    command=Command("front", "solve for one front and write it", _add, _config, _line, _words),
    plan=Plan(
        "front",
        "problem",
        {
            "preferences": _preferences,
            "problem_options": partial(_pairs, "problem_options"),
            "method_options": partial(_pairs, "method_options"),
        },
    ),
)
