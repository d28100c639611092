"""The command ``race``: which auxiliary task to train with."""

import argparse
import sys
from typing import Any

from mtl_core.cli import candidates

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the command."""
    parser = commands.add_parser("race", help="which auxiliary task to train with")
    parser.set_defaults(command=_race)
    candidates.add_options(parser)
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
    candidates.write(found, options.out)
    return 0
