"""Sheets: what is read of a user's file, and every way in which one is refused."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core import InputError
from mtl_core.data import sheet
from mtl_core.data.sheet import Column, Sheet


def read(text: str, name: str = "t.csv") -> Sheet:
    return sheet.read(text.encode(), name)


def one(*values: str, others: str = "0") -> Column:
    """The first column of a file with these values in it."""
    return read("a,b\n" + "".join(f"{value},{others}\n" for value in values)).columns[0]


def numbers(column: Column) -> list[float | None]:
    assert column.numbers is not None
    return [None if np.isnan(value) else value for value in column.numbers.tolist()]


def refusal(data: bytes | str, name: str = "t.csv") -> str:
    with pytest.raises(InputError) as caught:
        sheet.read(data.encode() if isinstance(data, str) else data, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_are_parted_by_commas_semicolons_or_tabs(mark: str) -> None:
    found = read(f'größe{mark}"日本, x"\n1{mark}a\n\n2{mark}"b{mark}\nc"\n')
    assert [column.name for column in found.columns] == ["größe", "日本, x"]
    assert found.rows == 2
    assert numbers(found.columns[0]) == [1, 2]
    assert found.columns[1].words == ("a", f"b{mark}\nc")


def test_a_byte_order_mark_a_said_delimiter_and_an_empty_margin_are_no_data() -> None:
    plain = read("a;b\n1;2\n").columns
    for text in ("\ufeffa;b\n1;2\n", "sep=;\na;b\n1;2\n", "a;b;;\n1;2;;\n", "\n\na;b\n1;2\n"):
        assert [c.name for c in read(text).columns] == ["a", "b"]
        assert [numbers(c) for c in read(text).columns] == [numbers(c) for c in plain]


def test_missing_values_by_all_their_usual_names() -> None:
    found = one("1", "", "NA", "n/a", "nan", "NULL", "None", " ? ", "2")
    assert numbers(found) == [1, *[None] * 7, 2]
    texts = one("x", "", "NA", " null", "y")
    assert texts.codes is not None
    assert texts.codes.tolist() == [0, -1, -1, -1, 1]
    assert found.missing.sum() == 7


def test_numbers_in_every_usual_form() -> None:
    assert numbers(one("+1", "-.5", "1e3", "2.")) == [1, -0.5, 1000, 2]
    assert one("1", "2").whole
    assert not one("1", "2.5").whole


def test_a_decimal_comma_where_commas_do_not_part_columns() -> None:
    assert numbers(read("a;b\n1,5;x\n-2;y\n").columns[0]) == [1.5, -2]
    unclear = read("a;b\n1,500;x\n2,250;y\n").columns[0]
    assert unclear.kind == "text"
    assert unclear.odd.startswith("has commas that may be decimal or between thousands")


def test_dates_are_days_since_1970() -> None:
    found = one("2020-01-02", "1970-01-02 12:00", "")
    assert found.kind == "date"
    assert numbers(found) == [(date(2020, 1, 2) - date(1970, 1, 1)).days, 1.5, None]
    assert one("2021-02-30").odd == "has a day that no calendar has; correct it"
    assert one("03/04/2020").kind == "text", "which is the month nobody can tell"


def test_a_column_of_both_says_where_its_first_text_is() -> None:
    found = one("1", "2", "x", "3")
    assert found.kind == "text"
    assert found.odd.startswith("has text in row 3, where other rows have numbers; correct it")


def test_true_and_false_are_the_same_whoever_wrote_them() -> None:
    assert one("True", "FALSE").words == one("false", "true").words == ("false", "true")


def test_numbers_beyond_float32_are_odd() -> None:
    assert one("1", "1e30").odd.startswith("has a number in row 2 that is not finite or beyond")


def test_different_numbers_are_counted_as_far_as_that_matters() -> None:
    assert one("1", "1", "2", "").distinct == 2
    many = [str(value) for value in range(sheet.MOST_COUNTED + 50)]
    assert one(*many).distinct == sheet.MOST_COUNTED + 1
    late = ["0"] * 5_000 + ["1"]
    assert one(*late).distinct == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("a,a\n1,2\n", "t.csv has two columns 'a'; rename one"),
        ("a,,b\n1,2,3\n", "column 2 of t.csv has no name in the first line; name it"),
        ("a,b,\n1,2,3\n", "column 3 of t.csv has no name in the first line; name it"),
        ("a,b\n1,2\n3\n", "t.csv row 2 has 1 values, and the header 2 names; correct the row"),
        ("a,b\n", "t.csv has no rows below its header; add some"),
        ("hello\n", "t.csv is not a table: its first line has no commas, semicolons or tabs "
         "between names; save the table as CSV with a header"),
        ("", "t.csv is not a table: its first line has no commas, semicolons or tabs between "
         "names; save the table as CSV with a header"),
        (b"a,b\n\xff,2\n", "t.csv is not text in UTF-8; save the table as CSV (UTF-8)"),
        (b"a,b\n" + b"1,2\n" * 30_000 + b"\xff,2\n",
         "t.csv is not text in UTF-8; save the table as CSV (UTF-8)"),
        ("a,b\n1,2\n".encode("utf-16"),
         "t.csv is not text in UTF-8; save the table as CSV (UTF-8)"),
        (b"a,b\n\0,2\n", "t.csv has bytes that are not text; save the table as CSV (UTF-8)"),
    ],
)  # fmt: skip
def test_what_is_no_table_says_why(data: bytes | str, said: str) -> None:
    assert refusal(data) == said


def test_only_known_endings_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal("x", "t.xlsx").startswith("'t.xlsx' does not end in one of csv, tsv, txt, ")
    assert refusal("x", "../../etc/passwd").startswith("'passwd' does not end in")
    monkeypatch.setenv("MTL_SHARED", "1")
    assert sheet.most_bytes() == 20 * 2**20
    wide = ",".join(f"c{place}" for place in range(1_001))
    assert refusal(f"{wide}\n{wide}\n") == "t.csv has more than 1,000 columns; take fewer"
    monkeypatch.setattr(sheet, "_MOST_VALUES_SHARED", 5)
    assert refusal("a,b\n1,2\n3,4\n5,6\n").startswith("t.csv has more than 5 values, which is the")


def test_parquet_reads_as_the_csv_of_the_same_table(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "n": np.array([0.1, 0.2, np.nan], dtype=np.float32),
            "k": [1, 2, 3],
            "t": ["x", None, "y"],
            "b": [True, False, True],
            "d": pd.to_datetime(["2020-01-02", "2020-01-03", "2020-01-04"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    known = sheet.read((tmp_path / "t.parquet").read_bytes(), "t.parquet")
    other = read(frame.to_csv(index=False))
    for one, two in zip(known.columns, other.columns, strict=True):
        assert (one.name, one.kind, one.words) == (two.name, two.kind, two.words)
        for mine, its in ((one.numbers, two.numbers), (one.codes, two.codes)):
            np.testing.assert_array_equal(mine, its)  # type: ignore[arg-type]
    assert refusal(b"PAR1 nothing", "t.parquet") == \
        "t.parquet is not a sound Parquet file; write it anew"  # fmt: skip


def test_words_of_parquet_are_looked_at_once_each_and_rows_named_right(tmp_path: Path) -> None:
    words = ["7", None, "8", "7", "x", "7"]
    pd.DataFrame({"a": words, "b": ["1", "2", "1", None, "2.5", "1"]}).to_parquet(tmp_path / "t")
    mixed, numeric = sheet.read((tmp_path / "t").read_bytes(), "t.parquet").columns
    assert mixed.odd.startswith("has text in row 5, where other rows have numbers")
    assert mixed.words == ("7", "8", "x")
    assert mixed.codes is not None
    assert mixed.codes.tolist() == [0, -1, 1, 0, 2, 0]
    assert numbers(numeric) == [1, 2, 1, None, 2.5, 1]
    pd.DataFrame({"a": ["x" * 2_000] * 20, "b": range(20)}).to_parquet(tmp_path / "t")
    found = sheet.read((tmp_path / "t").read_bytes(), "t.parquet").columns[0]
    assert found.odd == "has texts of more than 1,000 letters; leave it out"


def test_a_column_of_lists_is_named_and_left(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2], "l": [[1], [2]]}).to_parquet(tmp_path / "t.parquet")
    found = sheet.read((tmp_path / "t.parquet").read_bytes(), "t.parquet")
    assert [column.kind for column in found.columns] == ["number", "other"]


def test_npz_of_vectors_and_of_images() -> None:
    vectors = sheet.read(npz(x=np.eye(3), y=np.array(["u", "v", "u"])), "t.npz")
    assert [column.name for column in vectors.columns] == ["x0", "x1", "x2", "y"]
    assert vectors.columns[3].words == ("u", "v")
    images = sheet.read(npz(x=np.zeros((2, 5, 4), np.uint8), y=np.arange(2)), "t.npz")
    assert images.images is not None
    assert images.images.shape == (2, 5, 4, 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npz(y=np.arange(3)), "t.npz has no array x; x holds numbers, (N, D), (N, H, W) or "),
        (npz(x=np.arange(3)), "t.npz has x of shape (3,), int64; x holds numbers"),
        (npz(x=np.eye(3)), "t.npz has no array but x; add one of N labels for each task"),
        (npz(x=np.eye(3), y=np.arange(2)),
         "t.npz has 3 examples in x, and array 'y' of shape (2,); give each label one value"),
        (npz(x=np.zeros((2, 4, 4, 5)), y=np.arange(2)), "t.npz has images of 5 channels; "),
        (npz(x=np.full((2, 4, 4), np.inf), y=np.arange(2)), "t.npz row 1 has an image with a "),
        (npz(x=np.eye(2), y=np.array([{}, {}], dtype=object)),
         "t.npz is not a sound npz file of plain arrays; write it with numpy.savez, without"),
        (b"PK nothing", "t.npz is not a sound npz file of plain arrays; "),
    ],
)  # fmt: skip
def test_an_npz_file_that_is_not_so(data: bytes, said: str) -> None:
    assert refusal(data, "t.npz").startswith(said)
