"""Sheets: rows of texts from files as spreadsheets write them, and names of columns in a text."""

from pathlib import Path

import pytest

from mtl_core import InputError
from mtl_core.pareto.problems import sheets
from mtl_core.pareto.problems.sheets import Sheet


def sheet(folder: Path, *lines: str) -> Sheet:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sheets.read(path)


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (('"Weight, kg, dry";"Height, cm";y', "1;2;3"), ["Weight, kg, dry", "Height, cm", "y"]),
        (("Weight, kg;Height, cm;y", "1;2;3"), ["Weight, kg", "Height, cm", "y"]),
        (("a, b, c;y", "1;2", "3;4"), ["a, b, c", "y"]),
        (('"a;b","c;d",y', "1,2,3"), ["a;b", "c;d", "y"]),
        (('"a""; b","c"', "1,2"), ['a"; b', "c"]),
        (("a;b", "1,5;2,5"), ["a", "b"]),
        (('"a, b"\ty', "1,5\t2"), ["a, b", "y"]),
        (('a, "b, c", y', "1, 2, 3"), ["a", "b, c", "y"]),
        (('5" pipe;y', "1;2"), ['5" pipe', "y"]),
    ],
)
def test_the_delimiter_parts_header_and_rows_and_is_not_quoted(
    tmp_path: Path, lines: tuple[str, ...], header: list[str]
) -> None:
    found = sheet(tmp_path, *lines)
    assert found.header == header
    assert found.lines == list(range(2, len(lines) + 1))


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"', "sep=;;;", "\ufeffsep=;"])
def test_the_line_that_says_the_delimiter(tmp_path: Path, first: str) -> None:
    found = sheet(tmp_path, first, "a, b;y", "1;2", "3;4")
    assert (found.header, found.lines) == (["a, b", "y"], [3, 4])
    assert sheet(tmp_path, "sep=|", "a|y", "1|2").header == ["a", "y"]
    assert sheet(tmp_path, "sep=\t", "a;b\ty", "1\t2").header == ["a;b", "y"]
    assert sheet(tmp_path, "sep=x,y", "1,2").header == ["sep=x", "y"], "a column may be called so"


def test_blank_lines_and_columns_around_the_table(tmp_path: Path) -> None:
    found = sheet(tmp_path, "", ";;;", "a;y;;", "1;2;;", ";;;", "3;4;;")
    assert (found.header, found.lines) == (["a", "y"], [4, 6])
    assert found.rows == [["1", "2"], ["3", "4"]]
    with pytest.raises(InputError, match=r"column 3 of .* has no name in the first line; name it"):
        sheet(tmp_path, "a;y;", "1;2;3")


def test_a_name_that_cannot_be_shown_is_refused_at_the_start(tmp_path: Path) -> None:
    for name in ("a\x1b[2Jb", "a\u202eb", "![x](y)", '"a\nb"', "x" * 2001):
        with pytest.raises(InputError, match=r"the name of column 1, .* is not ") as caught:
            sheet(tmp_path, f"{name},y", "1,2")
        assert len(str(caught.value).splitlines()) == 1
    odd = ["Preis\u00a0€", "a\u00adb", "a\u200bb", "a\tb"]
    assert sheet(tmp_path, ",".join(odd), "1,2,3,4").header == odd


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a,b", ["a", "b"]),
        (" a , b c,", ["a", "b c"]),
        ('"Weight, kg", b', ["Weight, kg", "b"]),
        ('a,"say ""x"", y"', ["a", 'say "x", y']),
        ('5" pipe, b', ['5" pipe', "b"]),
        ("'a,b'", ["'a", "b'"]),
    ],
)
def test_names_in_a_text(text: str, expected: list[str]) -> None:
    assert sheets.names(text) == expected
    assert sheets.names(",".join(map(sheets.written, expected))) == expected


@pytest.mark.parametrize("text", ['"Weight, kg', '"a"b,c', "a\nb,c"])
def test_quotes_that_do_not_match(text: str) -> None:
    with pytest.raises(ValueError, match="quotes do not match"):
        sheets.names(text)
