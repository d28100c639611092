"""Sheets: a CSV file as rows of texts, however the program that wrote it separates and quotes."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from mtl_core import checks
from mtl_core.errors import InputError, quoted

__all__ = ["MOST_BYTES", "Sheet", "names", "read", "written"]

MOST_BYTES = 64 * 2**20  # of a file
_DELIMITERS = ",;\t"
_SAMPLE = 20  # rows that are looked at to find the delimiter
_SAID = re.compile(r'"?sep=([^\s\w"]|\t)"?[,;\t]*', re.IGNORECASE)
"""The line in which a spreadsheet program says the delimiter, before the header."""


@dataclass(frozen=True)
class Sheet:
    """The texts of a file, without the white space around them.

    Args:
        header: names of the columns, all different.
        lines: of the rows in the file.
        rows: each as long as the header; blank ones are left out.
    """

    path: Path
    header: Sequence[str]
    lines: Sequence[int]
    rows: Sequence[Sequence[str]]


def read(path: Path) -> Sheet:
    """A CSV file in UTF-8 with a header. Raises InputError, which says what to do about it."""
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
            found = list(_records(file))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; name a CSV file that is there") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name a CSV file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; save the table as CSV (UTF-8)") from None
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file ({error}); save the table as CSV") from None
    lines, rows = [line for line, _ in found], _without_margin([row for _, row in found])
    header = rows[0] if rows else []
    _check_header(path, header)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{path} line {line} has {len(row)} values, and the header {len(header)} names; "
                "correct the line"
            )
    return Sheet(path, header, lines[1:], rows[1:])


def names(text: str) -> list[str]:
    """Names of columns in a text, with commas between them; one that has a comma, or begins with a
    double quote, stands in double quotes.

    Raises:
        ValueError: where a quote has no other.

    >>> names('height, "Weight, kg"')
    ['height', 'Weight, kg']
    """
    try:
        (row,) = csv.reader([text], skipinitialspace=True, strict=True) if text else [[]]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"its double quotes do not match ({error})") from None
    return [name.strip() for name in row if name.strip()]


def written(name: str) -> str:
    """A name as ``names`` reads it.

    >>> written("Weight, kg")
    '"Weight, kg"'
    """
    quotes = name.startswith('"') or "," in name
    return '"{}"'.format(name.replace('"', '""')) if quotes else name


def _records(file: IO[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, header first, each with the line where it ends."""
    first = file.readline()
    if "\0" in first:
        raise csv.Error("it has bytes that are not text")
    said = _SAID.fullmatch(first.strip(" \r\n"))
    start = 1 if said else 0
    delimiter = said[1] if said else _delimiter(file)
    if not said:
        file.seek(0)
    reader = _reader(file, delimiter)
    for row in reader:
        texts = [text.strip() for text in row]
        if any(texts):
            yield reader.line_num + start, texts


def _delimiter(file: IO[str]) -> str:
    """The one that parts the header, and the rows after it alike; quoted ones do not count."""
    fits = {}
    for delimiter in _DELIMITERS:
        file.seek(0)
        lengths = []
        try:
            rows = (row for row in _reader(file, delimiter) if any(map(str.strip, row)))
            lengths += [len(row) for row in islice(rows, 1)]
            lengths += [len(row) for row in islice(rows, _SAMPLE)]
            alike = len(set(lengths)) == 1
        except csv.Error:
            alike = False
        count = lengths[0] if lengths else 0
        fits[delimiter] = (count > 1, alike, count)
    return max(_DELIMITERS, key=fits.__getitem__)


def _reader(file: IO[str], delimiter: str) -> Any:  # csv names no type for it
    return csv.reader(file, delimiter=delimiter, strict=True, skipinitialspace=True)


def _without_margin(rows: list[list[str]]) -> list[list[str]]:
    """Without the empty columns at the right, which spreadsheets leave."""
    if not rows or rows[0][-1]:
        return rows
    used = max(index for row in rows for index, text in enumerate(row, start=1) if text)
    return [row[:used] for row in rows]


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
        checks.plain_text(f"{path}: the name of column {place},", name)
