"""Training: networks that learn a target task, alone or with auxiliaries."""

import argparse
import shlex
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mtl_core import optimizers, settings
from mtl_core.config import BASE_OPTIMIZERS, PRECISIONS, RunConfig
from mtl_core.data import stored
from mtl_core.data.base import Stamp
from mtl_core.errors import DataMissing, InputError, TrainingDiverged, quoted
from mtl_core.runs.kinds.base import (
    Command,
    Derived,
    Kind,
    Part,
    Piece,
    Plan,
    States,
    Table,
    Together,
    columns_of,
)
from mtl_core.runs.kinds.training_checks import check
from mtl_core.runs.kinds.words import PRESETS, count, option, written
from mtl_core.trajectory import COLUMNS, FACTORS, SIDE_TABLES, is_whole

if TYPE_CHECKING:
    from mtl_core.training import Checkpoint
    from mtl_core.training.pool import ReplicaPool

__all__ = ["TRAINING"]

_TASKS = ("task", "other")
_TABLES = {
    "trajectory": Table(
        COLUMNS,
        words=("setting", "auxiliaries", "optimizer", "task", "role"),
        order=("seed", "step", "role", "task"),
        descending=("role",),  # the target first
        row_bytes=170,
        derived={"whole_epoch": Derived("epoch", is_whole)},
    ),
    **{
        name: Table(
            columns,
            words=tuple(word for word in _TASKS if word in columns),
            order=("seed", "step", *(word for word in _TASKS if word in columns)),
            row_bytes=70,
        )
        for name, columns in SIDE_TABLES.items()
    },
}


# How a run advances.


def advance(
    config: RunConfig, seeds: tuple[int, ...], states: States, seconds: float, device: str
) -> list[Piece]:
    """As ``Kind.advance``: several seeds are stacked into one computation."""
    try:
        (pieces,) = _advance_together([(config, seeds, states)], seconds, device)
    except TrainingDiverged as error:
        before = [piece for one in error.checkpoints for piece in _pieces(one)]
        raise TrainingDiverged(error.message, before) from None
    return pieces


def _advance_together(parts: Sequence[Part], seconds: float, device: str) -> list[list[Piece]]:
    """As ``Together.advance``."""
    from mtl_core.training.checkpoint import stack
    from mtl_core.training.replicas import Stack, advance_together

    stacks = [
        Stack(config, seeds, stack([states[seed] for seed in seeds]) if states else None)
        for config, seeds, states in parts
    ]
    found = advance_together(stacks, device=device, slice_seconds=seconds)
    return [[piece for one in checkpoints for piece in _pieces(one)] for checkpoints in found]


def _shape(config: RunConfig) -> Hashable:
    """As ``Together.shape``: texts, whose batches differ in length, are by themselves."""
    from mtl_core.training.stepping import shape

    pretrained = settings.get(config.setting).pretrained() is not None
    return config.id if pretrained else shape(config)


def _run_bytes(config: RunConfig) -> int:
    from mtl_core.training.room import step_bytes

    # A large encoder is by itself anyway, and costs much to look at.
    return 0 if settings.get(config.setting).pretrained() is not None else step_bytes(config)


def _room(device: str) -> int:
    from mtl_core.training.room import room

    return room(device)


def _carry_out(
    config: RunConfig, device: str, pool: "ReplicaPool | None", states: States
) -> Iterator[Piece]:
    from mtl_core.training import train

    for checkpoint in train(config, device=device, pool=pool, states=states):
        yield from _pieces(checkpoint)


def _pieces(checkpoint: "Checkpoint") -> list[Piece]:
    """A checkpoint of a stack, seed by seed."""
    from mtl_core.training.checkpoint import split

    seeds, state = checkpoint.seeds, checkpoint.state
    states = split(state, len(seeds)) if state is not None else [None] * len(seeds)
    rows: dict[str, tuple[tuple[str, ...], Any]] = {
        "trajectory": (COLUMNS, checkpoint.rows),
        **{name: (columns, getattr(checkpoint, name)) for name, columns in SIDE_TABLES.items()},
    }
    return [
        Piece(
            seed,
            checkpoint.step,
            {
                name: columns_of(own, columns)
                for name, (columns, every) in rows.items()
                if (own := [row for row in every if row["seed"] == seed])
            },
            own_state,
            checkpoint.notes,
        )
        for seed, own_state in zip(seeds, states, strict=True)
    ]


# What it costs, and on which data.


def _cost(config: RunConfig) -> float:
    """Examples differentiated, a third of those evaluated, and the passes that factors take."""
    from mtl_core.training.schedule import checkpoint_steps, factor_steps

    setting = settings.get(config.setting)
    evaluated = 0
    for task in map(setting.task, config.tasks):
        evaluated += config.samples or task.train_size
        evaluated += (config.held_out or task.val_size) + (config.held_out or task.test_size)
    trained = config.steps * config.batch_size * len(config.tasks)
    measured = len(checkpoint_steps(config)) * evaluated
    passes = len(config.tasks)
    if "sharpness" in config.factors:
        passes += config.apgd_steps * (len(config.tasks) if config.auxiliary_factors else 1)
    factors = len(factor_steps(config)) * config.factor_examples * passes
    return (trained + measured / 3 + factors) * config.width


def _state_bytes(config: RunConfig) -> int:
    """Parameters in float32, and what the base optimizer remembers of each."""
    kept = {"sgd": 1, "momentum": 2, "adam": 3}[config.base_optimizer]
    return settings.get(config.setting).parameters(config.width) * 4 * kept


def _most_rows(config: RunConfig) -> Mapping[str, int]:
    from mtl_core.training.schedule import checkpoint_steps

    tasks = len(config.tasks)
    each = len(config.seeds) * len(checkpoint_steps(config))
    return {
        "trajectory": each * tasks,
        "cosines": each * tasks * (tasks - 1) // 2,
        "updates": each * tasks,
    }


def _fingerprint(config: RunConfig) -> str:
    """The hash of the examples of all of a config's tasks, as they are on this machine.

    A pretrained encoder that a user may exchange counts as one of them.

    Raises:
        DataMissing: when they are not.
    """
    setting = settings.get(config.setting)
    state = setting.data_state()
    if state.state != "found":
        raise DataMissing(state.message)
    return _fingerprint_of(setting.name, config.tasks, state.stamp)


@lru_cache(maxsize=512)
def _fingerprint_of(setting: str, tasks: tuple[str, ...], _stamp: Stamp) -> str:
    from mtl_core.data.splits import fingerprint

    found = settings.get(setting)
    model = found.pretrained()
    return fingerprint(
        found.load(tasks),
        one_input=found.one_input,
        pretrained="" if model is None else model.digest,
    )


def _protocol(config: RunConfig) -> Mapping[str, str]:
    from mtl_core.training.meter import protocol

    return protocol(config)


def _folder(config: RunConfig) -> str:
    name = config.auxiliaries_label
    name = name if len(name) <= 100 else f"{len(config.auxiliaries)}-auxiliaries"
    return f"{config.setting}/{config.target}--{name}--{config.id}"


def _coarser(config: RunConfig) -> tuple[RunConfig, ...]:
    """The same training with 3 steps of APGD, as presets with a ResNet had it once."""
    resnet = settings.get(config.setting).batch_norm
    more = "sharpness" in config.factors and config.apgd_steps > 3
    return (replace(config, apgd_steps=3),) if resnet and more else ()


# The command line.

_BUDGET = {
    "base_optimizer": "--base-optimizer",
    "precision": "--precision",
    "lr": "--lr",
    "batch_size": "--batch-size",
    "epochs": "--epochs",
    "samples": "--samples",
    "held_out": "--held-out",
    "width": "--width",
    "early_checkpoints": "--early-checkpoints",
    "factor_points": "--factor-points",
    "factor_examples": "--factor-examples",
    "apgd_steps": "--apgd-steps",
    "sharpness_rho": "--rho",
    "fisher_draws": "--fisher-draws",
    "similarity_batches": "--similarity-batches",
}
"""Fields of RunConfig that make a budget, and the flags that override a preset's."""


def _add(run: argparse.ArgumentParser) -> None:
    run.add_argument("--setting", required=True, help=", ".join(settings.names()))
    run.add_argument("--target", help="default: the setting's first task")
    run.add_argument("--aux", nargs="*", default=[], help="auxiliary tasks; none: single-task")
    run.add_argument("--optimizer", default="umtg", help=", ".join(optimizers.names()))
    run.add_argument("--option", action="append", default=[], metavar="NAME=VALUE")
    run.add_argument("--preset", default="standard", help=", ".join(PRESETS))
    run.add_argument("--factors", nargs="*", default=FACTORS, help="default: all of them")
    run.add_argument("--factor-points", type=count, help="checkpoints at which, or all")
    run.add_argument("--factor-examples", type=int, help="training examples to measure on")
    run.add_argument("--apgd-steps", type=int, help="of sharpness; the paper's are 20")
    run.add_argument(
        "--rho", type=float, dest="sharpness_rho", help="of sharpness; the paper's is 1e-3"
    )
    run.add_argument("--fisher-draws", type=int, help="labels sampled for each example")
    run.add_argument("--similarity-batches", type=int, help="random batches averaged over")
    run.add_argument(
        "--auxiliary-factors", action="store_true", help="measure the auxiliary tasks too"
    )
    run.add_argument("--base-optimizer", help=", ".join(BASE_OPTIMIZERS))
    run.add_argument(
        "--precision", help=f"of training: {', '.join(PRECISIONS)}; measured is always in fp32"
    )
    run.add_argument("--lr", type=float)
    run.add_argument("--batch-size", type=int)
    run.add_argument("--epochs", type=int)
    run.add_argument("--samples", type=count, help="training examples per task, or all")
    run.add_argument("--held-out", type=count, help="validation and test examples, or all")
    run.add_argument("--width", type=int, help="channels of the encoder's first layer")
    run.add_argument("--early-checkpoints", type=int, help="log-spaced, inside the first epoch")


def _config(options: argparse.Namespace) -> RunConfig:
    given = {name: getattr(options, name) for name in _BUDGET}
    changes: dict[str, Any] = {
        name: None if value == "all" else value
        for name, value in given.items()
        if value is not None
    }
    if options.target is not None:
        changes["target"] = options.target
    return RunConfig.from_preset(
        options.setting,
        options.preset,
        auxiliaries=tuple(options.aux),
        optimizer=options.optimizer,
        options=tuple(map(option, options.option)),
        seeds=tuple(options.seeds),
        factors=tuple(options.factors),
        auxiliary_factors=options.auxiliary_factors,
        **changes,
    )


def _line(config: RunConfig, preset: str) -> str:
    plain = RunConfig.from_preset(
        config.setting, preset, target=config.target, auxiliaries=config.auxiliaries
    )
    words = ["--setting", config.setting, "--target", config.target]
    if config.auxiliaries:
        words += ["--aux", *config.auxiliaries, "--optimizer", config.optimizer]
        for name, value in config.options:
            words += ["--option", f"{name}={written(value)}"]
    words += ["--preset", preset]
    for name, flag in _BUDGET.items():
        value = getattr(config, name)
        if value != getattr(plain, name):
            words += [flag, "all" if value is None else format(value)]
    if config.factors != FACTORS:
        words += ["--factors", *config.factors]
    if config.auxiliary_factors:
        words.append("--auxiliary-factors")
    words += ["--seeds", *map(str, config.seeds), "--out", "out"]
    return f"python -m mtl_core run {shlex.join(words)}"


def _words(config: RunConfig) -> str:
    return (
        f"{config.setting} {config.target} {config.auxiliaries_label}  lr {config.lr:g}  "
        f"epochs {config.epochs}"
    )


# Plans.


def _sets(given: object) -> list[Any]:
    if not isinstance(given, list) or not all(isinstance(one, list) for one in given):
        raise InputError(
            f"auxiliaries {quoted(given)} are not a list of lists, such as [[], ['NAME']]"
        )
    return [tuple(one) for one in given]


def _factors(given: object) -> list[Any]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise InputError(f"factors {quoted(given)} are not a list of names, such as []")
    return [tuple(given)]


TRAINING = Kind(
    name="training",
    noun="training run",
    verb="trained",
    config=RunConfig,
    tables=_TABLES,
    steps=lambda config: int(config.steps),
    advance=advance,
    carry_out=_carry_out,
    device=lambda config, best: best,
    cost=_cost,
    pace=lambda config: f"setting {config.setting}",
    fingerprint=_fingerprint,
    protocol=_protocol,
    check=check,
    folder=_folder,
    baseline=lambda config: config.baseline,
    coarser=_coarser,
    state_bytes=_state_bytes,
    most_rows=_most_rows,
    carried=lambda config: stored.carried(config.setting),
    together=Together(_shape, _advance_together, _run_bytes, _room),
    command=Command(
        "run",
        "train one experiment and write its trajectory",
        _add,
        _config,
        _line,
        _words,
    ),
    plan=Plan("grid", "setting", {"auxiliaries": _sets, "factors": _factors}),
)
