"""Words of the command line that several kinds share."""

import argparse

from mtl_core.checks import Option
from mtl_core.errors import InputError, quoted

__all__ = ["PRESETS", "count", "option", "written"]

PRESETS = ("quick", "standard", "paper")


def count(text: str) -> int | str:
    """A type of ``argparse``: a whole number, or ``all``."""
    if text == "all" or text.isdecimal():
        return text if text == "all" else int(text)
    raise argparse.ArgumentTypeError(f"{quoted(text)} is neither a whole number nor all")


def option(text: str, kind: str = "optimizer") -> tuple[str, Option]:
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


def written(value: Option) -> str:
    """Inverse of ``option`` for its value."""
    return str(value).lower() if isinstance(value, bool) else str(value)
