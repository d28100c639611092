"""A table of numbers and categories in a CSV file: read, checked, split and standardised.

Nothing in a file is executed or guessed at: what is not clear is an error that names the line.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.splits import hash_order
from mtl_core.errors import InputError, quoted
from mtl_core.pareto.problems.examples import Examples

__all__ = ["MOST_BYTES", "MOST_CATEGORIES", "Table", "read", "split", "whole"]

MOST_BYTES = 64 * 2**20
"""Of a file."""

MOST_CATEGORIES = 20
"""At most so many different values of a text column become a column each."""

_FEWEST_ROWS = 10
_LISTED = 30  # columns in a message
_TRAIN_SHARE = 0.8
_DELIMITERS = ",;\t"
_ABSENT = {"", "?", "na", "n/a", "nan", "null", "none"}


@dataclass(frozen=True)
class Table:
    """Rows of a file as numbers.

    Args:
        features: (N, D): number columns as they are, then a column of 0 and 1 for every category.
        targets: (N, K).
        texts: of the rows, N of them.
        target_names: K of them.
        path: of the file, for messages.
    """

    features: NDArray[np.float64]
    targets: NDArray[np.float64]
    texts: tuple[str, ...]
    target_names: tuple[str, ...]
    path: Path


def read(path: Path, targets: Sequence[str]) -> Table:
    """A CSV file in UTF-8 with a header; commas, semicolons or tabs separate, a point is decimal.

    Every column that is not a target is a feature. A column of text becomes a column for each of
    its values, in alphabetical order, if they are at most ``MOST_CATEGORIES``.

    Raises:
        InputError: names what is wrong, where, and what to do about it.
    """
    header, lines, rows = _rows(path)
    for target in targets:
        if target not in header:
            more = f" and {len(header) - _LISTED} more" if len(header) > _LISTED else ""
            there = ", ".join(header[:_LISTED])
            raise InputError(f"{path} has no column {quoted(target)}; it has: {there}{more}")
    if len(rows) < _FEWEST_ROWS:
        raise InputError(
            f"{path} has {len(rows)} rows of values, and {_FEWEST_ROWS} are the fewest to learn "
            "from; add more"
        )
    if len(header) == len(targets):
        raise InputError(f"all columns of {path} are targets; leave one to predict them from")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    numbers, categories = {}, {}
    for name, values in columns.items():
        found = _numbers(path, name, values, lines)
        if found is not None:
            numbers[name] = found
        elif name in targets:
            raise InputError(
                f"column {quoted(name)} of {path} is text, such as {quoted(values[0])}, and no "
                "target of a regression; choose columns of numbers"
            )
        else:
            categories[name] = _categories(path, name, values)
    for name in targets:
        _refuse_constant(path, name, numbers[name], "rows")
    inputs = [numbers[name][:, None] for name in numbers if name not in targets]
    return Table(
        features=np.concatenate([*inputs, *categories.values()], axis=1),
        targets=np.stack([numbers[name] for name in targets], axis=1),
        texts=tuple("\x1f".join(row) for row in rows),
        target_names=tuple(targets),
        path=path,
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
    """By mean and standard deviation of the training rows; what is constant there is only shifted.

    So predicting a target's training mean costs a squared error of 1 on the training rows.
    """
    for place, name in enumerate(table.target_names):
        _refuse_constant(table.path, name, table.targets[train, place], "rows to train on")
    parts = []
    for values in (table.features, table.targets):
        moments = [_moments(column) for column in values[train].T]
        mean = np.array([mean for mean, _ in moments])
        deviation = np.array([deviation or 1.0 for _, deviation in moments])
        parts.append(((values - mean) / deviation).astype(np.float32))
    features, targets = parts
    return Examples((features[train], targets[train]), (features[test], targets[test]))


def _moments(column: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation, summed without rounding: the same on every machine."""
    values = column.tolist()
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))


def _rows(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Header, line numbers and rows."""
    lines, rows = [], []
    try:
        if path.exists() and not path.is_file():
            kind = "Is a directory" if path.is_dir() else "it is not a file of rows"
            raise InputError(f"{path} cannot be read ({kind}); name a CSV file")
        if path.exists() and (size := path.stat().st_size) > MOST_BYTES:
            raise InputError(
                f"{path} has {size / 2**20:,.0f} MB, above the limit of {MOST_BYTES >> 20} MB; "
                "name a smaller table"
            )
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            delimiter = max(_DELIMITERS, key=first.count)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(reader, [])]
            for row in reader:
                if any(value.strip() for value in row):
                    lines.append(reader.line_num)
                    rows.append([value.strip() for value in row])
        if "\0" in first:
            raise csv.Error("it has bytes that are not text")
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; name a CSV file that is there") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a CSV file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save the table as CSV (UTF-8)") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}); save the table as CSV") from None
    _check_header(path, header)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{path} line {line} has {len(row)} values, and the header {len(header)} names; "
                "correct the line"
            )
    return header, lines, rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    if len(header) < 2:
        raise InputError(
            f"{path} is not a table: its first line has no commas, semicolons or tabs between "
            "names; save the table as CSV with a header"
        )
    for place, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"column {place} of {path} has no name in the first line; name it")
        if header.count(name) > 1:
            raise InputError(f"{path} has two columns {quoted(name)}; rename one")


def _numbers(
    path: Path, name: str, values: Sequence[str], lines: Sequence[int]
) -> NDArray[np.float64] | None:
    """A column as numbers, None if it is text; InputError if it is both, or has gaps."""
    found = []
    strange: tuple[int, str] | None = None
    for line, value in zip(lines, values, strict=True):
        if value.lower() in _ABSENT:
            raise InputError(
                f"{path} line {line} has no value in column {quoted(name)} ({quoted(value)}); fill "
                "it in or remove the line"
            )
        number = _number(value)
        if number is None:
            strange = strange or (line, value)
        elif not math.isfinite(number):
            raise InputError(
                f"{path} line {line} has {quoted(value)} in column {quoted(name)}, which is not "
                "finite; correct it or remove the line"
            )
        else:
            found.append(number)
    if strange is None:
        return np.array(found)
    if found:
        line, value = strange
        raise InputError(
            f"{path} line {line} has {quoted(value)} in column {quoted(name)}, where other lines "
            "have numbers; correct it, or make all of them text"
        )
    return None


def _number(value: str) -> float | None:
    try:
        # float() would also take 1_000, which no table means.
        return None if "_" in value else float(value)
    except ValueError:
        return None


def _categories(path: Path, name: str, values: Sequence[str]) -> NDArray[np.float64]:
    kinds = sorted(set(values))
    if len(kinds) > MOST_CATEGORIES:
        raise InputError(
            f"column {quoted(name)} of {path} is text with {len(kinds)} different values, and "
            f"{MOST_CATEGORIES} are the most that become columns; remove it or group them"
        )
    return np.array([[value == kind for kind in kinds] for value in values], dtype=np.float64)


def _refuse_constant(path: Path, name: str, values: NDArray[np.float64], where: str) -> None:
    if (values == values[0]).all():
        raise InputError(
            f"target {quoted(name)} of {path} is {values[0]:g} in all {len(values)} {where}: there "
            "is nothing to learn; choose another"
        )
