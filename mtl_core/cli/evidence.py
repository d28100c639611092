"""The command ``evidence``: what the papers claim, and what the runs that ship say."""

import argparse
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError

__all__ = ["add"]


def add(commands: "argparse._SubParsersAction[Any]") -> None:
    """Declare the command."""
    parser = commands.add_parser("evidence", help="what the papers claim, and what the runs say")
    parser.set_defaults(command=_evidence)
    parser.add_argument(
        "--write",
        type=Path,
        metavar="FILE.md",
        help="as Markdown, such as docs/evidence.md",
    )


def _evidence(options: argparse.Namespace) -> int:
    from mtl_core.runs import Answers
    from mtl_core.runs.library import artifacts
    from mtl_core.views.evidence import evidence, markdown, text

    shipped, damaged = artifacts.scan()
    if damaged:
        raise InputError(f"artifacts cannot be read: {'; '.join(damaged)}")
    rows = evidence(Answers(None, shipped))
    if options.write is None:
        print(text(rows))
        return 0
    try:
        options.write.write_text(markdown(rows), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {options.write} ({error.strerror})") from error
    print(options.write)
    return 0
