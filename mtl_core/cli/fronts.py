"""The command ``front``: one front solved for and written, and the line that repeats one."""

import argparse
import shlex
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from mtl_core.cli.words import PRESETS, count, option, progress, progress_ends, written
from mtl_core.errors import InputError, quoted
from mtl_core.pareto import preferences, problems, scalarizations
from mtl_core.pareto.config import BASELINES, METHODS, OPTIMIZERS, ParetoConfig

__all__ = ["add_front", "config_of", "front_line", "in_words"]


def add_front(front: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    front.set_defaults(command=_front)
    front.add_argument("--problem", required=True, help=", ".join(problems.names()))
    front.add_argument(
        "--problem-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="csv: file=PATH and targets=COLUMN,COLUMN",
    )
    front.add_argument("--method", help=f"{', '.join(METHODS)}; default: {_usual('method')}")
    front.add_argument("--method-option", action="append", default=[], metavar="NAME=VALUE")
    front.add_argument(
        "--scalarization",
        help=f"{', '.join(scalarizations.names())}; default: {_usual('scalarization')}",
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
    front.add_argument("--preset", default="standard", help=", ".join(PRESETS))
    front.add_argument("--optimizer", help=", ".join(OPTIMIZERS))
    front.add_argument("--lr", type=float)
    front.add_argument("--iterations", type=int, help="steps of each solution")
    front.add_argument("--batch-size", type=count, help="examples of a step, or all")
    front.add_argument("--samples", type=count, help="training examples, or all")
    front.add_argument("--held-out", type=count, help="test examples measured on, or all")
    front.add_argument("--frames", type=int, help="at how many steps the front is measured")
    front.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    front.add_argument("--device", help="cpu or cuda; default: cuda for data, where there is one")
    front.add_argument("--out", type=Path, required=True, metavar="DIR")


def config_of(options: argparse.Namespace) -> ParetoConfig:
    """The config that was asked for. Raises InputError."""
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


def front_line(config: ParetoConfig, preset: str, out: str = "out") -> str:
    """The ``python -m mtl_core front`` line that repeats a front."""
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
    words += ["--seeds", *map(str, config.seeds), "--out", out]
    return f"python -m mtl_core front {shlex.join(words)}"


def in_words(config: ParetoConfig) -> str:
    """One line that tells it from others."""
    asked = "" if config.method in BASELINES else f" {config.scalarization}"
    return (
        f"{config.problem} {config.method}{asked}  {config.solutions} solutions  lr {config.lr:g}  "
        f"iterations {config.iterations}  seeds {' '.join(map(str, config.seeds))}"
    )


_DEFAULTS = {field.name: field.default for field in fields(ParetoConfig)}

_FLAGS = (
    "method",
    "scalarization",
    "smoothing",
    "solutions",
    "layout",
    "layout_seed",
    "optimizer",
    "lr",
    "iterations",
    "batch_size",
    "samples",
    "held_out",
    "frames",
)
"""Fields of ParetoConfig that have one value, and a flag of their name."""


def _usual(name: str) -> Any:
    return _DEFAULTS[name]


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


def _front(options: argparse.Namespace) -> int:
    config = config_of(options)

    from mtl_core.pareto import slices
    from mtl_core.runs import front_artifacts
    from mtl_core.runs.collected import CollectedFronts
    from mtl_core.runs.library import folders
    from mtl_core.training import devices

    device = devices.choose(options.device)
    if options.device is None and config.definition.fingerprint is None:
        device = "cpu"  # which is faster for a formula
    info = front_artifacts.provenance(config, device)
    folders.check_without(options.out, "trajectory.parquet")
    folders.check_writable(options.out)
    started = time.monotonic()
    found = CollectedFronts()
    try:
        for part in slices(config, device=device):
            found.add(part.fronts)
            progress(part.step, config.iterations, started)
    except BaseException as error:
        info["error"] = str(error) or "stopped before its end"
        raise
    finally:
        progress_ends()
        if found.fronts:
            info["duration_seconds"] = round(time.monotonic() - started, 3)
            found.write(options.out, config, info)
            print(options.out)
    return 0
