"""Sheets: a CSV file as rows of texts, however the program that wrote it separates and quotes."""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import IO, Any

from mtl_core import checks
from mtl_core.data import own
from mtl_core.errors import InputError, quoted

__all__ = ["Sheet", "names", "read", "written"]

_MOST_CELLS = 2_000_000  # of a file that anybody may have brought: they take 60 bytes and more each
_MOST_COLUMNS = 10_000
_MOST_BLANK = 100_000  # lines
_DELIMITERS = ",;\t"
_SAMPLE = 20  # rows that are looked at to find the delimiter
_SAID = re.compile(r'"?sep=([^\s\w"]|\t)"?[,;\t]*', re.IGNORECASE)
"""The line in which a spreadsheet program says the delimiter, before the header."""


@dataclass(frozen=True)
class Sheet:
    """The texts of a file, without the white space around them.

    Args:
        name: what messages call it.
        header: names of the columns, all different.
        lines: of the rows in the file.
        rows: each as long as the header; blank ones are left out.
    """

    name: str
    header: Sequence[str]
    lines: Sequence[int]
    rows: Sequence[Sequence[str]]


def read(path: Path) -> Sheet:
    """A CSV file in UTF-8 with a header.

    Raises:
        InputError: says what to do about it, and quotes nothing of the file but names of columns.
    """
    name, lines, rows = own.called(path), [], []
    left = _MOST_CELLS if own.restricted() else None
    try:
        file = TextIOWrapper(BytesIO(own.content(path)), encoding="utf-8-sig", newline="")
        for line, row in _records(file):
            lines.append(line)
            rows.append(row)
            if left is not None and (left := left - len(row)) < 0:
                raise InputError(
                    f"{name} has more than {_MOST_CELLS:,} values, which is the limit; take fewer "
                    "rows or columns"
                )
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text in UTF-8; save the table as CSV (UTF-8)") from None
    except csv.Error as error:
        raise InputError(f"{name} is not a CSV file ({error}); save the table as CSV") from None
    if rows and len(rows[0]) > _MOST_COLUMNS:
        raise InputError(f"{name} has more than {_MOST_COLUMNS:,} columns; take fewer")
    rows = _without_margin(rows)
    header = rows[0] if rows else []
    _check_header(name, header)
    for line, row in zip(lines, rows, strict=True):
        if len(row) != len(header):
            raise InputError(
                f"{name} line {line} has {len(row)} values, and the header {len(header)} names; "
                "correct the line"
            )
    return Sheet(name, header, lines[1:], rows[1:])


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
    lines = _Lines(file, delimiter)
    reader = _reader(lines, delimiter)
    for row in reader:
        texts = [text.strip() for text in row]
        if any(texts):
            yield reader.line_num + start, texts
        lines.fields = 0


def _delimiter(file: IO[str]) -> str:
    """The one that parts the header, and the rows after it alike; quoted ones do not count."""
    fits = {}
    for delimiter in _DELIMITERS:
        file.seek(0)
        lengths = []
        try:
            lines = _reader(_Lines(file, delimiter), delimiter)
            rows = (row for row in lines if any(map(str.strip, row)))
            lengths += [len(row) for row in islice(rows, 1)]
            lengths += [len(row) for row in islice(rows, _SAMPLE)]
            alike = len(set(lengths)) == 1
        except csv.Error:
            alike = False
        count = lengths[0] if lengths else 0
        fits[delimiter] = (count > 1, alike, count)
    return max(_DELIMITERS, key=fits.__getitem__)


class _Lines:
    """Lines of a file, as long as they make no row that is too long to be held.

    Attributes:
        fields: of the row so far, at most; set it to 0 when one is over.
    """

    def __init__(self, file: IO[str], delimiter: str) -> None:
        self.fields = self._blank = 0
        self._file = file
        self._delimiter = delimiter

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.fields += line.count(self._delimiter)
            self._blank += line.isspace()
            if self._blank > _MOST_BLANK:
                raise csv.Error(f"more than {_MOST_BLANK:,} lines are empty")
            if self.fields > _MOST_COLUMNS * _SAMPLE:  # as many as those that are looked at
                raise csv.Error(f"a row has more than {_MOST_COLUMNS:,} columns")
            yield line


def _reader(lines: Iterable[str], delimiter: str) -> Any:  # csv names no type for it
    return csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)


def _without_margin(rows: list[list[str]]) -> list[list[str]]:
    """Without the empty columns at the right, which spreadsheets leave."""
    if not rows or rows[0][-1]:
        return rows
    used = max(index for row in rows for index, text in enumerate(row, start=1) if text)
    return [row[:used] for row in rows]


def _check_header(file: str, header: Sequence[str]) -> None:
    if len(header) < 2:
        raise InputError(
            f"{file} is not a table: its first line has no commas, semicolons or tabs between "
            "names; save the table as CSV with a header"
        )
    for place, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"column {place} of {file} has no name in the first line; name it")
        if header.count(name) > 1:
            raise InputError(f"{file} has two columns {quoted(name)}; rename one")
        checks.plain_text(f"{file}: the name of column {place},", name)
