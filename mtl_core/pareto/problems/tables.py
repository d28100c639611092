"""A table of numbers and categories in a CSV file: read, checked, split and standardised.

Nothing in a file is executed or guessed at: what is not clear is an error that names line and
column. Messages quote nothing else of a file, since others than its owner may read them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.moments import deviations
from mtl_core.data.splits import hash_order
from mtl_core.errors import InputError, quoted
from mtl_core.pareto.problems import numerals, sheets
from mtl_core.pareto.problems.examples import Examples
from mtl_core.pareto.problems.sheets import Sheet

__all__ = [
    "LARGEST",
    "MOST_CATEGORIES",
    "MOST_DEVIATIONS",
    "Table",
    "read",
    "split",
    "whole",
]

LARGEST = 1e19
"""Of a number of either sign: the square of a larger one has no place in float32."""

MOST_DEVIATIONS = 10.0
"""As far from the mean of the rows that are trained on a held-out input may lie, in their standard
deviations, unless one of them lies further; what lies beyond counts as that."""

MOST_CATEGORIES = 20
"""At most so many different values of a text column become a column each."""

_FEWEST_ROWS = 10
_TRAIN_SHARE = 0.8
_FAR = 1_000.0  # deviations of a held-out target, which is nothing like the others
_ABSENT = {"", "?", "na", "n/a", "nan", "null", "none"}


@dataclass(frozen=True)
class Table:
    """Rows of a file as numbers.

    Args:
        features: (N, D): number columns as they are, then a column of 0 and 1 for every category.
        targets: (N, K).
        texts: of the rows, N of them.
        target_names: K of them.
        name: what messages call the file.
        lines: of the rows in the file, N of them, for messages.
        numbers: names of the features that are numbers; they come first.
        categories: for each feature after those, the name of the column that it is a value of.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    texts: tuple[str, ...]
    target_names: tuple[str, ...]
    name: str
    lines: tuple[int, ...] = ()
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


def read(path: Path, targets: Sequence[str]) -> Table:
    """A CSV file in UTF-8 with a header; commas, semicolons or tabs separate.

    Every column that is not a target is a feature. A column of text becomes a column for each of
    its values, in alphabetical order, if they are at most ``MOST_CATEGORIES``. A point is decimal,
    or a comma where some number of the file, such as ``1,5``, cannot be read otherwise; what looks
    like a number and is not written so is an error, never text.

    Raises:
        InputError: names what is wrong, where, and what to do about it.
    """
    sheet = sheets.read(path)
    file, header, rows = sheet.name, sheet.header, sheet.rows
    for target in targets:
        if target not in header:
            alike = get_close_matches(target, header, n=1)
            way_out = f"did you mean {quoted(alike[0])}?" if alike else "look at its first line"
            raise InputError(
                f"{file} has no column {quoted(target)} among its {len(header)}; {way_out}"
            )
    if len(rows) < _FEWEST_ROWS:
        raise InputError(
            f"{file} has {len(rows)} rows of values, and {_FEWEST_ROWS} are the fewest to learn "
            "from; add more"
        )
    if len(header) == len(targets):
        raise InputError(f"all columns of {file} are targets; leave one to predict them from")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    comma = _decimal_comma(columns)
    numbers, categories = {}, {}
    for name, values in columns.items():
        found = _numbers(sheet, name, values, comma)
        if found is not None:
            numbers[name] = found
        elif name in targets:
            raise InputError(
                f"column {quoted(name)} of {file} is text, and no target of a regression; choose "
                "columns of numbers"
            )
        else:
            categories[name] = _categories(file, name, values)
    for name in targets:
        _refuse_constant(file, name, numbers[name], "rows")
    inputs = {name: column[:, None] for name, column in numbers.items() if name not in targets}
    return Table(
        features=np.concatenate([*inputs.values(), *categories.values()], axis=1),
        targets=np.stack([numbers[name] for name in targets], axis=1),
        texts=tuple("\x1f".join(row) for row in rows),
        target_names=tuple(targets),
        name=file,
        lines=tuple(sheet.lines),
        numbers=tuple(inputs),
        categories=tuple(name for name, kinds in categories.items() for _ in kinds.T),
    )


def split(table: Table) -> Examples:
    """About four fifths of the rows to train on, and the others to test on, standardised.

    Rows are in an order by a hash of their text, so the split does not depend on the file's order,
    and equal rows are never parted.

    Raises:
        InputError: when a target is the same in all rows that are trained on.
    """
    order = hash_order(table.texts)
    texts = [table.texts[index] for index in order]
    borders = [i for i in range(1, len(texts)) if texts[i] != texts[i - 1]]
    border = min(borders, key=lambda place: abs(place - _TRAIN_SHARE * len(texts)))
    return _standardised(table, order[:border], order[border:])


def whole(table: Table) -> Examples:
    """All rows to train on, and the same to measure on: for a table too small to hold any out."""
    rows = np.arange(len(table.texts))
    return _standardised(table, rows, rows)


def _standardised(table: Table, train: NDArray[np.intp], test: NDArray[np.intp]) -> Examples:
    """By mean and standard deviation of the training rows.

    So predicting a target's training mean costs a squared error of 1 on the training rows. A
    feature that is constant there says nothing, and is 0 in all rows; held-out features have a
    bound (``MOST_DEVIATIONS``). Notes say both.
    """
    for place, name in enumerate(table.target_names):
        _refuse_constant(table.name, name, table.targets[train, place], "rows to train on")
    if (table.features[train] == table.features[train[0]]).all():
        raise InputError(
            f"all rows of {table.name} to train on are the same but for the targets: there is "
            "nothing to predict them from; add a column"
        )
    features, told = [], []
    for place, values in enumerate(table.features.T):
        column, note = _bounded(table, place, values, train)
        features.append(column)
        told += [note] if note else []
    targets = [deviations(values, values[train]) for values in table.targets.T]
    for name, column in zip(table.target_names, targets, strict=True):
        _refuse_far(table, name, column, test)
    inputs, outputs = (np.stack(part, axis=1).astype(np.float32) for part in (features, targets))
    return Examples(
        (inputs[train], outputs[train]),
        (inputs[test], outputs[test]),
        notes=tuple(dict.fromkeys(told)),
    )


def _bounded(
    table: Table, place: int, values: NDArray[np.float64], train: NDArray[np.intp]
) -> tuple[NDArray[np.float64], str]:
    """A feature in standard deviations, and what is to be said of it, if anything."""
    categorical = place >= len(table.numbers)
    names = (*table.numbers, *table.categories)
    named = f"column {quoted(names[place])}" if place < len(names) else f"feature {place + 1}"
    if (values[train] == values[train[0]]).all():
        if (values == values[train[0]]).all():
            return np.zeros(len(values)), ""
        unseen = categorical and not values[train[0]]
        why = (
            "a value that no row to train on has" if unseen else "one value in the rows to train on"
        )
        return np.zeros(len(values)), f"{named} has {why}, so it is left out"
    column = deviations(values, values[train])
    most = max(MOST_DEVIATIONS, float(np.abs(column[train]).max()))
    if categorical or (np.abs(column) <= most).all():
        return column, ""
    count = int(np.sum(np.abs(column) > most))
    what = "a held-out value" if count == 1 else f"{count} held-out values"
    return np.clip(column, -most, most), (
        f"{named} has {what} more than {most:.3g} standard deviations from the rows to train on, "
        f"which {'counts' if count == 1 else 'count'} as {most:.3g}"
    )


def _refuse_far(
    table: Table, name: str, column: NDArray[np.float64], test: NDArray[np.intp]
) -> None:
    """InputError for a held-out target beyond any scale of those that are trained on."""
    worst = test[np.argmax(np.abs(column[test]))]
    if not abs(column[worst]) <= _FAR:
        line = f" line {table.lines[worst]}" if table.lines else ""
        raise InputError(
            f"{table.name}{line} has a value of target {quoted(name)} more than {_FAR:,.0f} "
            "standard deviations from the rows to train on; correct it or remove the line"
        )


def _decimal_comma(columns: Mapping[str, Sequence[str]]) -> bool:
    """Whether a comma is the decimal mark of the file, by its columns of numbers."""
    return any(
        numerals.comma_is_decimal(values)
        for values in columns.values()
        if any("," in value for value in values) and all(map(numerals.looks_like_number, values))
    )


def _numbers(
    sheet: Sheet, name: str, values: Sequence[str], comma: bool
) -> NDArray[np.float64] | None:
    """A column as numbers, None if it is text; InputError if it is both, or has gaps."""
    found, strange = [], []
    for line, value in zip(sheet.lines, values, strict=True):
        if value.lower() in _ABSENT:
            raise InputError(
                f"{sheet.name} line {line} has no value in column {quoted(name)}; fill it in or "
                "remove the line"
            )
        number = numerals.number(value, comma=comma)
        if number is None:
            strange.append((line, value))
        elif not math.isfinite(number):
            raise InputError(
                f"{_has(sheet, line, name)}, which is not finite; correct it or remove the line"
            )
        elif abs(number) > LARGEST:
            raise InputError(
                f"{_has(sheet, line, name)}, and {LARGEST:g} is the largest of either sign; "
                "correct it, or give the column in another unit"
            )
        else:
            found.append(number)
    if not strange:
        return np.array(found)
    _refuse_likeness(sheet, name, strange, bool(found), comma)
    return None


def _refuse_likeness(
    sheet: Sheet, name: str, strange: Sequence[tuple[int, str]], some_are: bool, comma: bool
) -> None:
    """InputError unless a column of these is text that nobody takes for numbers.

    Args:
        strange: line and value, of those that are no numbers.
        some_are: whether other values of the column are numbers.
    """
    alike = [(line, value) for line, value in strange if numerals.looks_like_number(value)]
    at = _has(sheet, (alike or strange)[0][0], name)
    if alike and comma and "." in alike[0][1]:
        raise InputError(
            f"{at} with a decimal point, and other numbers have a decimal comma; write all of them "
            "with one decimal mark and nothing between thousands"
        )
    if alike and numerals.ambiguous(alike[0][1]):
        raise InputError(
            f"{at}, whose comma may be decimal or between thousands; write it with a decimal "
            "point, or without the comma"
        )
    if some_are:
        raise InputError(
            f"{sheet.name} line {strange[0][0]} has text in column {quoted(name)}, where other "
            "lines have numbers; correct it, or make all of them text"
        )
    if alike and len(alike) < len(strange):
        raise InputError(
            f"{at}, which looks like a number, where other lines have text; correct it, or begin "
            "it with a letter"
        )
    if alike:
        raise InputError(
            f"{at}, which looks like a number; write it in digits with a decimal point and "
            "nothing else, or begin it with a letter"
        )
    if numerals.same_unit([value for _, value in strange]):
        raise InputError(
            f"{at}, a number with a unit behind it; leave the unit out, or begin the values with a "
            "letter if they are names"
        )


def _has(sheet: Sheet, line: int, name: str) -> str:
    return f"{sheet.name} line {line} has a value in column {quoted(name)}"


def _categories(file: str, name: str, values: Sequence[str]) -> NDArray[np.float64]:
    kinds = sorted(set(values))
    if len(kinds) > MOST_CATEGORIES:
        raise InputError(
            f"column {quoted(name)} of {file} is text with {len(kinds)} different values, and "
            f"{MOST_CATEGORIES} are the most that become columns; remove it or group them"
        )
    return np.array([[value == kind for kind in kinds] for value in values], dtype=np.float64)


def _refuse_constant(file: str, name: str, values: NDArray[np.float64], where: str) -> None:
    if (values == values[0]).all():
        raise InputError(
            f"target {quoted(name)} of {file} is the same in all {len(values)} {where}: there "
            "is nothing to learn; choose another"
        )
