"""The command ``foretell``: whether cheap predictors would have told which auxiliary helps."""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from mtl_core.cli import candidates

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "foretell", help="whether cheap predictors would have told which auxiliary helps"
    )
    parser.set_defaults(command=_foretell)
    candidates.add_options(parser)
    parser.add_argument(
        "--known", action="store_true", help="carry out no joint run; say what is known already"
    )
    parser.add_argument(
        "--look-ahead",
        type=Path,
        metavar="DIR",
        help="carry out the joint run anew, and keep what it finds in DIR",
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="of --look-ahead")


def _foretell(options: argparse.Namespace) -> int:
    from mtl_core.views.foretelling import foretell

    if options.look_ahead is not None:
        _look_ahead(options)
    found = foretell(
        options.setting,
        options.target,
        options.candidates,
        preset=options.preset,
        most=options.most,
        compute=not options.known and options.look_ahead is None,
        tell=_tell,
    )
    if len(found):
        print(found.round(4).to_string(index=False, na_rep="-"))
    else:
        print(
            "fewer than 5 candidates have been measured, of which nothing can be told; see `race`"
        )
    candidates.write(found, options.out)
    return 0


def _look_ahead(options: argparse.Namespace) -> None:
    from mtl_core import settings
    from mtl_core.runs import look_ahead
    from mtl_core.runs.race import Contest

    setting = settings.get(options.setting)
    target = setting.default_target if options.target is None else options.target
    others = [task.name for task in setting.tasks if task.name != target]
    asked = others if options.candidates is None else options.candidates
    contest = Contest(setting.name, target, options.preset, tuple(asked), most=options.most)
    words = ["foretell", "--setting", setting.name, "--target", target]
    if options.candidates is not None:
        words += ["--candidates", *asked]
    words += ["--preset", options.preset, "--look-ahead", "DIR"]
    look_ahead.compute(
        look_ahead.joint(contest),
        device=options.device,
        folder=options.look_ahead,
        command=f"python -m mtl_core {shlex.join(words)}",
        tell=_tell,
    )


def _tell(share: float) -> None:
    """One line that grows old in place, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\rlook-ahead {share:4.0%}", end="", file=sys.stderr, flush=True)
