"""The command ``race``: which auxiliary task to train with."""

import argparse
import sys
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the command."""
    parser = commands.add_parser("race", help="which auxiliary task to train with")
    parser.set_defaults(command=_race)
    parser.add_argument("--setting", required=True)
    parser.add_argument("--target", help="default: the setting's usual one")
    parser.add_argument("--candidates", nargs="+", metavar="TASK", help="default: all other tasks")
    parser.add_argument("--preset", default="quick", help="default: quick")
    parser.add_argument(
        "--most", type=int, default=10, metavar="SEEDS", help="of each training; default: 10"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=2.0,
        metavar="POINTS",
        help="differences up to this are worth nothing; default: 2",
    )
    parser.add_argument(
        "--grow", action="store_true", help="go on to race for one more beside what won"
    )
    parser.add_argument(
        "--known", action="store_true", help="train nothing; say what is known already"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.csv", help="the table")


MOST_NAMED = 4  # auxiliaries of one training that are written out in the printed table


def _short(auxiliaries: str) -> str:
    names = auxiliaries.split("+")
    return auxiliaries if len(names) <= MOST_NAMED else f"{len(names)} tasks together"


def _race(options: argparse.Namespace) -> int:
    from mtl_core.runs.race import race

    found = race(
        options.setting,
        options.target,
        options.candidates,
        preset=options.preset,
        most=options.most,
        margin=options.margin / 100,
        grow=options.grow,
        train=not options.known,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    shown = found.drop(columns="outcome").round(4)
    shown["auxiliaries"] = shown["auxiliaries"].map(_short)
    print(shown.to_string(index=False, na_rep="-"))
    if options.out is not None:
        try:
            found.to_csv(options.out, index=False)
        except OSError as error:
            raise InputError(f"cannot write {options.out} ({error.strerror})") from error
    return 0
