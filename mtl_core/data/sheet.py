"""A user's own file as columns: CSV, TSV, Parquet or npz, and what each column looks like.

Nothing in a file is executed. Messages name the file, the column and the row, which is counted from
1 without the header, and quote nothing else of it, since others than its owner may read them.
"""

import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl_core import checks
from mtl_core.data import own
from mtl_core.errors import InputError, quoted

if TYPE_CHECKING:
    import pyarrow

__all__ = ["ENDINGS", "MOST_COUNTED", "Column", "Sheet", "most_bytes", "read"]

ENDINGS = ("csv", "tsv", "txt", "parquet", "npz")
MOST_COUNTED = 1_000
"""Different numbers of a column, beyond which they are not counted."""

_MOST_BYTES, _MOST_BYTES_SHARED = 512 * 2**20, 20 * 2**20
_MOST_VALUES, _MOST_VALUES_SHARED = 200_000_000, 4_000_000
_MOST_COLUMNS, _MOST_COLUMNS_SHARED = 10_000, 1_000  # each takes some 40 kB while it is read
_MOST_LETTERS = 1_000  # of a text that is a category
_LARGEST = 1e19  # its square has no place in float32
_DELIMITERS = ",;\t"
_ABSENT = ("", "?", "na", "n/a", "nan", "null", "none")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_COMMA_NUMBER = r"^[+-]?\d+(,\d+)?$"
_MAY_BE_THOUSANDS = r"^[+-]?\d{1,3},\d{3}$"
_DATE = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?$"
_DAY = 86_400e6  # microseconds

Kind = Literal["number", "date", "text", "other"]


@dataclass(frozen=True)
class Column:
    """N values of a file under one name.

    Args:
        kind: ``date`` has days since 1970 as its numbers; ``other`` can be no input and no label.
        numbers: (N,) float64, NaN where there is none; of numbers and dates.
        codes: (N,) places in ``words``, -1 where there is none; of texts.
        words: the different texts, in order.
        distinct: how many different values there are; of numbers, beyond ``MOST_COUNTED`` only
            that there are more.
        odd: why a column with numbers in it counts as text, or cannot be read; else empty.
    """

    name: str
    kind: Kind
    distinct: int
    numbers: NDArray[np.float64] | None = None
    codes: NDArray[np.int64] | None = None
    words: tuple[str, ...] = ()
    odd: str = ""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """(N,) whether a row has no value here."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        assert self.codes is not None
        return self.codes < 0

    @property
    def whole(self) -> bool:
        """Whether all its values are whole numbers."""
        if self.kind != "number" or self.numbers is None:
            return False
        known = self.numbers[~np.isnan(self.numbers)]
        return bool((known == np.floor(known)).all())

    def categories(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Codes and words of its values taken as names, numbers in ascending order."""
        if self.numbers is None:
            assert self.codes is not None
            return self.codes, self.words
        known = ~np.isnan(self.numbers)
        values, places = np.unique(self.numbers[known] + 0.0, return_inverse=True)
        codes = np.full(len(self.numbers), -1)
        codes[known] = places
        return codes, tuple(format(value, ".17g") for value in values.tolist())


@dataclass(frozen=True)
class Sheet:
    """A file's rows.

    Args:
        name: what messages call it.
        images: (N, H, W, C) where an npz file holds such, and the inputs are these.
    """

    name: str
    rows: int
    columns: tuple[Column, ...]
    images: NDArray[Any] | None = None

    def column(self, name: str) -> Column:
        """The column called ``name``; raises InputError with what is alike."""
        for column in self.columns:
            if column.name == name:
                return column
        from difflib import get_close_matches

        alike = get_close_matches(name, [column.name for column in self.columns], n=1)
        way_out = f"did you mean {quoted(alike[0])}?" if alike else "look at its first line"
        raise InputError(
            f"{self.name} has no column {quoted(name)} among its {len(self.columns)}; {way_out}"
        )


def most_bytes() -> int:
    """The largest file that is read: less where strangers bring it."""
    return _MOST_BYTES_SHARED if own.shared() else _MOST_BYTES


def read(data: bytes, name: str) -> Sheet:
    """A file's content as columns, by the ending of its name.

    A CSV file is UTF-8 with a header; commas, semicolons or tabs separate. An npz file holds ``x``
    (N, D), (N, H, W) or (N, H, W, C), and an array (N,) for each label.

    Raises:
        InputError: names what is wrong, where, and what to do about it.
    """
    shown = PurePath(name.replace("\\", "/")).name
    ending = PurePath(shown).suffix.lower().removeprefix(".")
    if ending not in ENDINGS:
        raise InputError(
            f"{quoted(shown)} does not end in one of {', '.join(ENDINGS)}; save it as one of these"
        )
    if len(data) > most_bytes():
        raise InputError(
            f"{shown} has more than {most_bytes() >> 20} MB, which is the limit; take a smaller "
            "file, or Parquet"
        )
    if ending == "npz":
        return _npz(data, shown)
    table, delimiter = _parquet(data, shown) if ending == "parquet" else _csv(data, shown)
    _check_names(shown, table.column_names)
    if not table.num_rows:
        raise InputError(f"{shown} has no rows below its header; add some")
    columns = tuple(
        _column(title, values.combine_chunks(), delimiter)
        for title, values in zip(table.column_names, table.columns, strict=True)
    )
    return Sheet(shown, table.num_rows, columns)


# CSV and Parquet, as Arrow tables.


def _csv(data: bytes, name: str) -> "tuple[pyarrow.Table, str]":
    """A table of texts, and what separates them."""
    import pyarrow
    from pyarrow import csv

    data = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    try:
        data[:65_536].decode("utf-8", errors="strict" if len(data) <= 65_536 else "ignore")
        if b"\0" in data[:65_536]:
            raise InputError(f"{name} has bytes that are not text; save the table as CSV (UTF-8)")
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text in UTF-8; save the table as CSV (UTF-8)") from None
    first = data[:65_536].decode("utf-8", errors="ignore")
    said = re.match(r'"?sep=([^\s\w"]|\t)"?[,;\t]*\r?\n', first, re.IGNORECASE)
    if said:
        data = data[data.index(b"\n") + 1 :]
        first = first[said.end() :]
    delimiter = said[1] if said else _delimiter(first)
    names = _header(first, delimiter)
    if len(names) < 2:
        raise InputError(
            f"{name} is not a table: its first line has no commas, semicolons or tabs between "
            "names; save the table as CSV with a header"
        )
    _check_columns(name, len(names))
    named = len(names)
    while named > 2 and not names[named - 1]:
        named -= 1
    _check_names(name, names[:named])
    # Spreadsheets leave a margin of empty columns at the right.
    names[named:] = [f"\0{place}" for place in range(named, len(names))]
    short: list[tuple[int, int, int]] = []

    def note(row: Any) -> str:
        short.append((row.number, row.actual_columns, row.expected_columns))
        return "skip"

    absent = sorted({form for word in _ABSENT for form in (word, word.upper(), word.title())})
    try:
        table = csv.read_csv(
            BytesIO(data),
            # One thread, so that rows have numbers.
            read_options=csv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            parse_options=csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pyarrow.string()),
                null_values=[*absent, "NaN"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        if "UTF8" in str(error) or "UTF-8" in str(error):
            raise InputError(
                f"{name} is not text in UTF-8; save the table as CSV (UTF-8)"
            ) from None
        if "Empty CSV" in str(error):
            raise InputError(f"{name} has no rows below its header; add some") from None
        raise InputError(
            f"{name} is not a CSV file (its quotes or lines do not match); save the table as CSV"
        ) from None
    if short:
        row, found, expected = short[0]
        raise InputError(
            f"{name} row {row - 1} has {found} values, and the header {expected} names; correct "
            "the row"
        )
    _check_values(name, table.num_rows, table.num_columns)
    for place in range(named, len(names)):
        if table.column(place).null_count < table.num_rows:
            _check_names(name, [*names[:named], *[""] * (place - named + 1)])
    return table.select(names[:named]), delimiter


def _delimiter(text: str) -> str:
    """The one that parts the first lines into equally many, and most, pieces."""
    lines = [line for line in text.splitlines()[:20] if line.strip()]
    lines = lines[:-1] if len(lines) > 2 else lines  # the last may be cut

    def fits(delimiter: str) -> tuple[bool, bool, int]:
        counts = [len(_header(line, delimiter)) for line in lines] or [0]
        return counts[0] > 1, len(set(counts)) == 1, counts[0]

    return max(_DELIMITERS, key=fits)


def _header(text: str, delimiter: str) -> list[str]:
    """The pieces of a text's first line; quotes hold what is between them together."""
    import csv

    try:
        row = next(csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [piece.strip() for piece in row]


def _parquet(data: bytes, name: str) -> "tuple[pyarrow.Table, str]":
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(BytesIO(data))
        _check_values(name, file.metadata.num_rows, file.metadata.num_columns)
        groups = [file.metadata.row_group(place) for place in range(file.num_row_groups)]
        if sum(group.total_byte_size for group in groups) > 8 * most_bytes():
            raise InputError(
                f"{name} unpacks to more than {8 * most_bytes() >> 20:,} MB, which is the limit; "
                "take fewer rows or columns"
            )
        texts = [
            column.name
            for column in file.schema_arrow
            if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)
        ]
        # One long word, repeated, takes little room in a file and much in memory.
        table = parquet.read_table(BytesIO(data), read_dictionary=texts)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} is not a sound Parquet file; write it anew") from None
    kept = [c for c in table.column_names if not re.fullmatch(r"__index_level_\d+__", c)]
    return table.select(kept) if len(kept) < table.num_columns else table, ""


def _column(name: str, values: "pyarrow.Array", delimiter: str) -> Column:
    """What a column is, by its type where the file has one, and else by all of its texts."""
    import pyarrow
    import pyarrow.compute as pc

    types = pyarrow.types
    if types.is_dictionary(values.type):
        return _coded(name, values)
    kind = values.type
    if types.is_boolean(kind):
        values = pc.cast(values, pyarrow.string())
    elif types.is_float32(kind) or types.is_float16(kind):
        # 0.1 is what its owner meant, not the nearest number of 32 bits.
        return _numbers(name, pc.cast(pc.cast(values, pyarrow.string()), pyarrow.float64()))
    elif types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return _numbers(name, pc.cast(values, pyarrow.float64(), safe=False))
    elif types.is_date(kind) or types.is_timestamp(kind):
        stamps = pc.cast(values, pyarrow.timestamp("us", tz=getattr(kind, "tz", None)), safe=False)
        return _dates(name, stamps)
    elif not (types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)):
        return Column(name, "other", 0, np.full(len(values), np.nan), odd=f"is of type {kind}")
    if types.is_null(kind):
        return _numbers(name, pc.cast(values, pyarrow.float64()))
    return _guessed(name, pc.cast(values, pyarrow.string()), delimiter)


def _coded(name: str, values: "pyarrow.Array") -> Column:
    """Texts that a file has once each, and for every row which: looked at once each too.

    Written out they may take any room: a word of a million letters may be in a million rows.
    """
    import pyarrow
    import pyarrow.compute as pc

    places = np.array(pc.fill_null(values.indices, -1).to_numpy(zero_copy_only=False))
    used, places = np.unique(places, return_inverse=True)
    none = len(used) > 0 and used[0] < 0
    texts = values.dictionary.take(pyarrow.array(used[used >= 0]))
    if not pyarrow.types.is_string(texts.type) and not pyarrow.types.is_large_string(texts.type):
        return _column(name, values.dictionary_decode(), "")
    found = _guessed(name, texts, "", lambda place: int(np.argmax(places == place + none)))
    if found.codes is not None:
        codes = np.append(-1, found.codes)[places + (not none)]
        return replace(found, codes=codes)
    assert found.numbers is not None
    return replace(found, numbers=np.append(np.nan, found.numbers)[places + (not none)])


def _guessed(
    name: str,
    texts: "pyarrow.Array",
    delimiter: str,
    row: Callable[[int], int] = lambda place: place,
) -> Column:
    """Numbers if all texts are, dates if all are, and else texts.

    Args:
        row: a place among the texts to the row, from 0, that messages name.
    """
    import pyarrow
    import pyarrow.compute as pc

    try:
        return _numbers(name, pc.cast(texts, pyarrow.float64()))
    except pyarrow.ArrowInvalid:
        texts = pc.utf8_trim_whitespace(texts)
        absent = pc.is_in(pc.utf8_lower(texts), pyarrow.array(_ABSENT))
        texts = pc.if_else(absent, pyarrow.scalar(None, pyarrow.string()), texts)
    number = pc.match_substring_regex(texts, _NUMBER)
    if pc.all(number).as_py() is not False:
        plain = pc.replace_substring_regex(texts, r"^\+", "")
        return _numbers(name, pc.cast(plain, pyarrow.float64()))
    odd = ""
    if delimiter != "," and pc.all(pc.match_substring_regex(texts, _COMMA_NUMBER)).as_py():
        if not _every(texts, _MAY_BE_THOUSANDS):
            plain = pc.replace_substring_regex(texts, r"^\+", "")
            plain = pc.replace_substring(plain, ",", ".")
            return _numbers(name, pc.cast(plain, pyarrow.float64()))
        odd = "has commas that may be decimal or between thousands; write decimal points"
    if _every(texts, _DATE):
        try:
            return _dates(name, pc.cast(texts, pyarrow.timestamp("us")))
        except pyarrow.ArrowInvalid:
            odd = "has a day that no calendar has; correct it"
    if not odd and pc.any(number).as_py():
        place = row(int(pc.index(number, False).as_py())) + 1
        odd = (
            f"has text in row {place}, where other rows have numbers; correct it, or take the "
            "column as categories"
        )
    return _texts(name, texts, odd)


def _every(texts: "pyarrow.Array", pattern: str) -> bool:
    """Whether all texts that are there match, and some are there."""
    import pyarrow.compute as pc

    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py()) and (
        texts.null_count < len(texts)
    )


def _numbers(name: str, values: "pyarrow.Array") -> Column:
    numbers = np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    odd = ""
    wrong = np.isinf(numbers) | (np.abs(np.nan_to_num(numbers)) > _LARGEST)
    if wrong.any():
        odd = (
            f"has a number in row {int(np.argmax(wrong)) + 1} that is not finite or beyond "
            f"{_LARGEST:g}; correct it, or give the column in another unit"
        )
    return Column(name, "number", _distinct(numbers), numbers, odd=odd)


def _dates(name: str, values: "pyarrow.Array") -> Column:
    import pyarrow
    import pyarrow.compute as pc

    micros = pc.cast(pc.cast(values, pyarrow.int64()), pyarrow.float64(), safe=False)
    days = np.array(micros.to_numpy(zero_copy_only=False), dtype=np.float64) / _DAY
    return Column(name, "date", _distinct(days), days)


def _distinct(numbers: NDArray[np.float64]) -> int:
    """How many different ones there are, as far as ``MOST_COUNTED``: a beginning tells most."""
    for part in (numbers[: 4 * MOST_COUNTED], numbers):
        count = len(np.unique(part[~np.isnan(part)]))
        if count > MOST_COUNTED:
            return MOST_COUNTED + 1
    return count


def _texts(name: str, texts: "pyarrow.Array", odd: str = "") -> Column:
    """Texts in order; true and false are the same whoever wrote them."""
    import pyarrow.compute as pc

    coded = texts.dictionary_encode()
    words = [str(word) for word in coded.dictionary.to_pylist()]
    if {word.lower() for word in words} <= {"true", "false"}:
        words = [word.lower() for word in words]
    ordered = sorted(set(words))
    place = {word: number for number, word in enumerate(ordered)}
    moved = np.array([place[word] for word in words] or [0], dtype=np.int64)
    found = np.array(pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False))
    codes = np.where(found < 0, -1, moved[found]).astype(np.int64)
    if any(len(word) > _MOST_LETTERS for word in ordered):
        odd = f"has texts of more than {_MOST_LETTERS:,} letters; leave it out"
    return Column(name, "text", len(ordered), codes=codes, words=tuple(ordered), odd=odd)


# npz.


def _npz(data: bytes, name: str) -> Sheet:
    """Raises InputError also for arrays of objects, which only a pickle can hold."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            size = sum(member.file_size for member in archive.infolist())
        # Values of one byte are kept in eight.
        _check_values(name, size, 1)
        with np.load(BytesIO(data), allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except InputError:
        raise
    except Exception:  # whatever zlib, zipfile and NumPy raise for a damaged file
        raise InputError(
            f"{name} is not a sound npz file of plain arrays; write it with numpy.savez, without "
            "objects"
        ) from None
    x = arrays.pop("x", None)
    if x is None or x.ndim not in (2, 3, 4) or x.dtype.kind not in "biuf" or not x.size:
        said = "has no array x" if x is None else f"has x of shape {x.shape}, {x.dtype}"
        raise InputError(
            f"{name} {said}; x holds numbers, (N, D), (N, H, W) or (N, H, W, C), for N examples"
        )
    if not arrays:
        raise InputError(f"{name} has no array but x; add one of N labels for each task")
    for key, array in arrays.items():
        if array.shape != (len(x),):
            raise InputError(
                f"{name} has {len(x):,} examples in x, and array {quoted(key)} of shape "
                f"{array.shape}; give each label one value an example"
            )
    _check_names(name, list(arrays))
    labels = tuple(_array(key, array) for key, array in arrays.items())
    if x.ndim == 2:
        names = [f"x{place}" for place in range(x.shape[1])]
        _check_names(name, [*names, *arrays])
        columns = tuple(_array(key, x[:, place]) for place, key in enumerate(names))
        return Sheet(name, len(x), (*columns, *labels))
    if not np.isfinite(x).all():
        row = int(np.argmax(~np.isfinite(x.reshape(len(x), -1)).all(axis=1))) + 1
        raise InputError(f"{name} row {row} has an image with a pixel that is not finite")
    images = x[..., None] if x.ndim == 3 else x
    if images.shape[3] not in (1, 3):
        raise InputError(
            f"{name} has images of {images.shape[3]} channels; (N, H, W, C) has 1 or 3 of them"
        )
    return Sheet(name, len(x), labels, images)


def _array(name: str, array: NDArray[Any]) -> Column:
    import pyarrow

    if array.dtype.kind in "biuf":
        if array.dtype.kind == "f" and array.dtype.itemsize < 8:
            return _column(name, pyarrow.array(array.astype(np.float32)), "")
        return _column(name, pyarrow.array(np.ascontiguousarray(array)), "")
    if array.dtype.kind in "US":
        return _guessed(name, pyarrow.array(array.astype(str).tolist(), pyarrow.string()), "")
    if array.dtype.kind == "M":
        return _dates(name, pyarrow.array(array.astype("datetime64[us]")))
    nothing = np.full(len(array), np.nan)
    return Column(name, "other", 0, nothing, odd=f"is of type {array.dtype}")


# What every file has to be.


def _check_names(file: str, names: Sequence[str]) -> None:
    """Every column has a name of its own that any page may show."""
    seen: set[str] = set()
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise InputError(f"column {place} of {file} has no name in the first line; name it")
        if name in seen:
            raise InputError(f"{file} has two columns {quoted(name)}; rename one")
        if len(name) > 200:
            raise InputError(f"the name of column {place} of {file} is too long; shorten it")
        checks.plain_text(f"{file}: the name of column {place},", name)
        seen.add(name)


def _check_columns(name: str, columns: int) -> None:
    most = _MOST_COLUMNS_SHARED if own.shared() else _MOST_COLUMNS
    if columns > most:
        raise InputError(f"{name} has more than {most:,} columns; take fewer")


def _check_values(name: str, rows: int, columns: int) -> None:
    most = _MOST_VALUES_SHARED if own.shared() else _MOST_VALUES
    if rows * columns > most:
        raise InputError(
            f"{name} has more than {most:,} values, which is the limit; take fewer rows or columns"
        )
    _check_columns(name, columns)
