"""Checks of the options with which a user defines a problem."""

from collections.abc import Iterable, Mapping
from typing import Any

from mtl_core.errors import InputError, quoted, unknown

__all__ = ["refuse_unknown"]


def refuse_unknown(problem: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """InputError for an option that ``problem`` does not have."""
    choices = list(known)
    for name in options:
        if not choices:
            raise InputError(f"{problem} has no options; leave {quoted(name)} out")
        if name not in choices:
            raise unknown(f"option of {problem}", name, choices)
