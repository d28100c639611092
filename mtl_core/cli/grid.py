"""Commands that carry out a plan: ``precompute`` into artifacts, ``sweep`` into other plans."""

import argparse
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError
from mtl_core.runs.kinds import KINDS

__all__ = ["BACKENDS", "add"]

BACKENDS = ("loky", "dask", "ray")


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the commands."""
    tables = ", ".join(f"[[{kind.plan.table}]]" for kind in KINDS.values())
    parser = commands.add_parser("precompute", help="train and solve for what a plan names")
    parser.set_defaults(command=_precompute)
    parser.add_argument("plan", type=Path, metavar="PLAN.toml", help=f"with tables {tables}")
    _add_engine(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: cache/")

    parser = commands.add_parser("sweep", help="choose learning rate and batch size by validation")
    parser.set_defaults(command=_sweep)
    parser.add_argument("plan", type=Path, metavar="PLAN.toml", help="with tables [[sweep]]")
    _add_engine(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="of its runs; default: .sweeps/PLAN beside cache/"
    )
    parser.add_argument(
        "--tables", type=Path, metavar="DIR", help="of what was tried; default: cache/sweeps/"
    )


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend", default="loky", choices=BACKENDS, help="default: loky; others are extras"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes; default: one per core, or all workers"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask or Ray cluster; default: a local one"
    )


def _engine(options: argparse.Namespace) -> dict[str, Any]:
    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"jobs {options.jobs} must be at least 1")
    return {name: getattr(options, name) for name in ("jobs", "backend", "scheduler")}


def _precompute(options: argparse.Namespace) -> int:
    from mtl_core.runs.grids import precompute
    from mtl_core.runs.library.artifacts import cache_dir

    engine = _engine(options)
    configs = precompute.read_plan(options.plan)
    return precompute.precompute(configs, options.out or cache_dir(), **engine)


def _sweep(options: argparse.Namespace) -> int:
    from mtl_core.runs.grids import sweep

    return sweep.sweep(options.plan, options.out, options.tables, **_engine(options))
