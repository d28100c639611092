"""Words of the command line that its commands share, and how it shows that it goes on."""

import argparse
import sys
import time

from mtl_core.errors import InputError, quoted

__all__ = ["PRESETS", "Value", "count", "option", "progress", "progress_ends", "written"]

PRESETS = ("quick", "standard", "paper")
Value = bool | int | float | str


def count(text: str) -> int | str:
    """A type of ``argparse``: a whole number, or ``all``."""
    if text == "all" or text.isdecimal():
        return text if text == "all" else int(text)
    raise argparse.ArgumentTypeError(f"{quoted(text)} is neither a whole number nor all")


def option(text: str, kind: str = "optimizer") -> tuple[str, Value]:
    """``NAME=VALUE`` of a ``kind`` of option. Raises InputError."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InputError(f"{kind} option {quoted(text)} is not NAME=VALUE")
    if value in ("true", "false"):
        return name, value == "true"
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value


def written(value: Value) -> str:
    """Inverse of ``option`` for its value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def progress(done: int, total: int, started: float) -> None:
    """A moving line, where there is a terminal.

    Args:
        started: what ``time.monotonic`` said then.
    """
    if not sys.stderr.isatty():
        return
    spent = time.monotonic() - started
    left = spent * (total - done) / max(done, 1)
    print(f"\r{done / total:4.0%}  {left:5.0f} s left", end="", file=sys.stderr, flush=True)


def progress_ends() -> None:
    """The line moves no more."""
    if sys.stderr.isatty():
        print(file=sys.stderr)
