"""The command ``precompute``: everything that a plan names, into artifacts."""

import argparse
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError
from mtl_core.runs.kinds import KINDS

__all__ = ["BACKENDS", "add"]

BACKENDS = ("loky", "dask", "ray")


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the command."""
    tables = ", ".join(f"[[{kind.plan.table}]]" for kind in KINDS.values())
    parser = commands.add_parser("precompute", help="train and solve for what a plan names")
    parser.set_defaults(command=_precompute)
    parser.add_argument("plan", type=Path, metavar="PLAN.toml", help=f"with tables {tables}")
    parser.add_argument(
        "--backend", default="loky", choices=BACKENDS, help="default: loky; others are extras"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes; default: one per core, or all workers"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask or Ray cluster; default: a local one"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: cache/")


def _precompute(options: argparse.Namespace) -> int:
    from mtl_core.runs.grids import precompute
    from mtl_core.runs.library.artifacts import cache_dir

    if options.jobs is not None and options.jobs < 1:
        raise InputError(f"jobs {options.jobs} must be at least 1")
    return precompute.precompute(
        precompute.read_plan(options.plan),
        options.out or cache_dir(),
        jobs=options.jobs,
        backend=options.backend,
        scheduler=options.scheduler,
    )
