"""Checks of an experiment's values, the same for every kind: numbers, seeds, options."""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any, TypeVar

from mtl_core.errors import InputError, quoted

__all__ = [
    "MOST_SEEDS",
    "Option",
    "content_id",
    "finite",
    "flag",
    "options",
    "plain_text",
    "positive",
    "seeds",
    "sequence",
    "whole",
    "with_seeds",
]

C = TypeVar("C")
Option = bool | int | float | str
MOST_SEEDS = 64
_MOST_LETTERS = 2_000  # of a text
_NOT_PLAIN = re.compile(
    r"""
    [\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]  # control, lines, half a letter
    | [\u202a-\u202e\u2066-\u2069]  # what turns the direction of the text that follows
    | !\[                             # a picture, where a page sets it as Markdown
    """,
    re.VERBOSE,
)


def finite(name: str, value: object) -> float:
    """A finite number as a float; raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{name} {quoted(value)} is not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{name} {quoted(value)} must be a finite number")
    return number


def positive(name: str, value: object) -> float:
    """A finite number above 0 as a float; raises InputError for anything else."""
    try:
        number = finite(name, value)
    except InputError as error:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise
        raise InputError(f"{name} {quoted(value)} must be a finite number above 0") from error
    if number <= 0:
        raise InputError(f"{name} {quoted(value)} must be a finite number above 0")
    return number


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """A whole number within bounds; raises InputError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} {quoted(value)} is not a whole number")
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise InputError(f"{name} {quoted(value)} must be {bounds}")
    return value


def flag(name: str, value: object) -> bool:
    """True or False; raises InputError for anything else."""
    if not isinstance(value, bool):
        raise InputError(f"{name} {quoted(value)} is not true or false")
    return value


def sequence(name: str, values: object) -> tuple[Any, ...]:
    """Any iterable but a text or a mapping, as a tuple; raises InputError for anything else."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise InputError(f"{name} {quoted(values)} must be a list")
    return tuple(values)


def seeds(values: object) -> tuple[int, ...]:
    """Seeds in ascending order: whole numbers from 0 to 2³¹ − 1, each once, at most 64 of them.

    Raises:
        InputError: for anything else, or for none at all.
    """
    checked = [whole("seed", seed, 0, 2**31 - 1) for seed in sequence("seeds", values)]
    if not checked:
        raise InputError("no seeds; give at least one, such as 0 1 2")
    if len(set(checked)) < len(checked):
        raise InputError(f"seeds {' '.join(map(str, checked[:10]))} repeat; give each once")
    if len(checked) > MOST_SEEDS:
        raise InputError(f"{len(checked)} seeds are more than {MOST_SEEDS}; give fewer")
    return tuple(sorted(checked))


def with_seeds(config: C, values: object) -> C:
    """The same experiment with other seeds asked for. Raises InputError as ``seeds``."""
    other = copy(config)
    object.__setattr__(other, "seeds", seeds(values))
    return other


def plain_text(name: str, value: object) -> str:
    """A text that any page, terminal or file may show as it is, on one line.

    Spaces of all kinds, tabs, and letters that are not seen, such as soft hyphens and zero-width
    joiners, are plain: spreadsheets and many languages have them.

    Raises:
        InputError: for anything else.
    """
    if not isinstance(value, str) or len(value) > _MOST_LETTERS:
        raise InputError(f"{name} {quoted(value)} is not a short text")
    if found := _NOT_PLAIN.search(value):
        raise InputError(
            f"{name} {quoted(value)} is not plain text on one line; leave {found[0]!r} out"
        )
    return value


def options(kind: str, values: Any) -> dict[str, Option]:
    """Name-value pairs of an optimizer, a method or a problem as a dictionary.

    Raises:
        InputError: for anything but pairs, or a value that is not a finite number, plain text or
            flag.
    """
    try:
        pairs: dict[str, Option] = dict(values)
    except (TypeError, ValueError):
        raise InputError(f"{kind} options {quoted(values)} are not name-value pairs") from None
    for name, value in pairs.items():
        if not isinstance(name, str) or not isinstance(value, (bool, int, float, str)):
            raise InputError(
                f"{kind} option {quoted(name)}={quoted(value)} is not a number, word or flag"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{kind} option {quoted(name)}={value!r} must be finite")
        if isinstance(value, str):
            plain_text(f"{kind} option {quoted(name)}", value)
    return pairs


def content_id(values: Mapping[str, Any]) -> str:
    """16 hex digits of the BLAKE2b hash of plain JSON values: an experiment's identity."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
