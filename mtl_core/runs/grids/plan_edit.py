"""Edits of a plan: a learning rate and a batch size into its grids, and not a byte besides.

A TOML library that keeps layouts would write a new field at the end of its table, which is below
the comment that opens the next one. So lines are edited here, and the outcome is believed only when
it parses to the plan of before with these two fields changed.
"""

import re
import tomllib
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_core.errors import InputError
from mtl_core.runs.kinds import KINDS

__all__ = ["Edit", "edited", "put"]

_GRID = KINDS["training"].plan.table
_HEADER = re.compile(rf"\s*\[\[\s*({'|'.join(kind.plan.table for kind in KINDS.values())})\s*\]\]")
_ANCHOR = re.compile(r"""\s*(setting|preset)\s*=\s*("[^"]*"|'[^']*')\s*(\#.*)?$""")
"""The line below which fields are added."""


@dataclass(frozen=True)
class Edit:
    """A plan's text with a pair in the grids of a setting.

    Args:
        grids: numbers of the setting's grids that have the pair now, from 1.
        kept: numbers of those that give a list of either, which are left alone.
    """

    text: str
    grids: tuple[int, ...]
    kept: tuple[int, ...]


def put(path: Path, setting: str, lr: float, batch_size: int, *, save: bool = True) -> Edit:
    """``edited`` of a plan's file, which is replaced whole or not at all.

    Args:
        save: whether it is replaced, or only tried.

    Raises:
        InputError: naming the plan.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        edit = edited(text, setting, lr, batch_size)
        if save and edit.text != text:
            part = path.with_suffix(".part")
            part.write_bytes(edit.text.encode("utf-8"))
            part.replace(path)
    except InputError as error:
        raise InputError(f"plan {path}: {error}") from error
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot write {path} ({error}); it is as it was") from error
    return edit


def edited(text: str, setting: str, lr: float, batch_size: int) -> Edit:
    """Give every grid of a setting this learning rate and batch size.

    A grid that gives a list of either, even of one, means it: it is left alone.

    Args:
        text: of a plan that ``read_plan`` takes.

    Raises:
        InputError: where the lines of its grids cannot be told.
    """
    plan = tomllib.loads(text)
    pair = {"lr": lr, "batch_size": batch_size}
    own = [number for number, grid in enumerate(plan[_GRID]) if grid["setting"] == setting]
    kept, written = [], []
    wanted = deepcopy(plan)
    lines = text.splitlines(keepends=True)
    for number in own:
        given = {name: plan[_GRID][number].get(name) for name in pair}
        if any(isinstance(value, list) for value in given.values()):
            kept.append(number + 1)
            continue
        written.append(number + 1)
        changes = {name: value for name, value in pair.items() if given[name] != value}
        wanted[_GRID][number] |= changes
        lines = _with_fields(lines, number, changes)
    changed = "".join(lines)
    if not _reads(changed, wanted):
        raise InputError(
            f"the lines of its grids of {setting} cannot be told apart; write "
            f"lr = {_spelt(lr)} and batch_size = {batch_size} into them by hand"
        )
    return Edit(changed, tuple(written), tuple(kept))


def _with_fields(lines: list[str], grid: int, fields: dict[str, Any]) -> list[str]:
    """The lines of a plan with fields of one of its grids, counted from 0, replaced or added."""
    start, end = _section(lines, grid)
    section = lines[start:end]
    added = []
    for name, value in fields.items():
        given = re.compile(rf"(\s*{name}\s*=\s*)([^\s#]+)")
        for place, line in enumerate(section):
            if found := given.match(line):
                section[place] = f"{found[1]}{_spelt(value)}{line[found.end() :]}"
                break
        else:
            added.append(f"{name} = {_spelt(value)}")
    anchors = [place for place, line in enumerate(section) if _ANCHOR.match(line)]
    if added and anchors:
        body = section[anchors[-1]].rstrip("\r\n")
        newline = section[anchors[-1]][len(body) :]
        section[anchors[-1]] = (newline or "\n").join([body, *added]) + newline
    return [*lines[:start], *section, *lines[end:]]


def _section(lines: list[str], grid: int) -> tuple[int, int]:
    """Where the lines of a grid begin and end; an empty range where that cannot be told."""
    headers = [
        (place, found[1]) for place, line in enumerate(lines) if (found := _HEADER.match(line))
    ]
    grids = [place for place, name in headers if name == _GRID]
    if grid >= len(grids):
        return 0, 0
    start = grids[grid]
    return start, next((place for place, _ in headers if place > start), len(lines))


def _reads(text: str, plan: dict[str, Any]) -> bool:
    try:
        return tomllib.loads(text) == plan
    except tomllib.TOMLDecodeError:
        return False


def _spelt(value: float) -> str:
    """A number as plans write it: ``5e-4``, ``256``.

    >>> [_spelt(value) for value in (256, 5e-4, 2.5e-3, 0.1, 1.0)]
    ['256', '5e-4', '2.5e-3', '1e-1', '1e0']
    """
    if isinstance(value, int):
        return str(value)
    mantissa, exponent = f"{value:e}".split("e")
    short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    return short if float(short) == value else repr(value)
