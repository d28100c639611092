"""Tables: what becomes of a file, and every way in which one is refused."""

from pathlib import Path

import numpy as np
import pytest

from mtl_core import InputError
from mtl_core.pareto.problems import tables

HEADER = "size,colour,price,weight"
ROWS = [f"{n},{('red', 'green', 'blue')[n % 3]},{2 * n + 1},{n * n}" for n in range(12)]


def write(folder: Path, *lines: str, name: str = "table.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def refusal(path: Path, targets: tuple[str, ...] = ("price", "weight")) -> str:
    with pytest.raises(InputError) as caught:
        tables.split(tables.read(path, targets))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_numbers_and_categories(tmp_path: Path) -> None:
    table = tables.read(write(tmp_path, HEADER, *ROWS), ("weight", "price"))
    assert table.target_names == ("weight", "price")
    np.testing.assert_array_equal(table.targets, [[n * n, 2 * n + 1] for n in range(12)])
    expected = [[n, n % 3 == 2, n % 3 == 1, n % 3 == 0] for n in range(12)]
    np.testing.assert_array_equal(table.features, expected)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_a_byte_order_mark_quotes_and_blank_lines(
    tmp_path: Path, delimiter: str
) -> None:
    lines = [line.replace(",", delimiter) for line in (HEADER, *ROWS)]
    lines[1] = lines[1].replace("red", '"red"')
    path = tmp_path / "table.csv"
    path.write_bytes(("\r\n".join([*lines[:6], "", *lines[6:]])).encode("utf-8-sig"))
    found = tables.read(path, ("price", "weight"))
    expected = tables.read(write(tmp_path, HEADER, *ROWS, name="b.csv"), ("price", "weight"))
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.targets, expected.targets)


def test_standardised_by_the_training_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = random.normal(3, 2, (50, 4)).round(3)
    lines = [",".join(map(str, row)) for row in values]
    examples = tables.split(tables.read(write(tmp_path, HEADER, *lines), ("price", "weight")))
    (x, y), (test_x, test_y) = examples.train, examples.test
    assert [part.shape for part in (x, y, test_x, test_y)] == [(40, 2), (40, 2), (10, 2), (10, 2)]
    assert x.dtype == y.dtype == np.float32
    for part in (x, y):
        np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(part.std(axis=0), 1, atol=1e-6)
    every = np.concatenate([np.column_stack([x, y]), np.column_stack([test_x, test_y])])
    # Which row is which is told by the first column's ranks, which standardising leaves.
    original = values[values[:, 0].argsort()][every[:, 0].argsort().argsort()]
    mean, deviation = original[:40].mean(axis=0), original[:40].std(axis=0)
    np.testing.assert_allclose(every, (original - mean) / deviation, rtol=1e-5, atol=1e-5)


def test_split_is_that_of_the_rows_whatever_their_order(tmp_path: Path) -> None:
    targets = ("price", "weight")
    one = tables.split(tables.read(write(tmp_path, HEADER, *ROWS), targets))
    turned = tables.split(tables.read(write(tmp_path, HEADER, *ROWS[::-1]), targets))
    assert one.fingerprint == turned.fingerprint
    other = [*ROWS[:-1], "11,blue,23,120"]
    assert tables.split(tables.read(write(tmp_path, HEADER, *other), targets)).fingerprint != (
        one.fingerprint
    )


def test_equal_rows_are_never_parted(tmp_path: Path) -> None:
    for copies in range(2, 12):
        lines = [row for row in ROWS for _ in range(copies)]
        table = tables.read(write(tmp_path, HEADER, *lines), ("price", "weight"))
        examples = tables.split(table)
        one, other = (
            {row.tobytes() for row in np.column_stack(part)}
            for part in (examples.train, examples.test)
        )
        assert one
        assert other
        assert not one & other
        assert len(examples.train[0]) + len(examples.test[0]) == 12 * copies


def test_a_feature_that_is_constant_says_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, f"{HEADER},same", *(f"{row},7" for row in ROWS))
    examples = tables.split(tables.read(path, ("price", "weight")))
    assert not examples.train[0][:, 1].any()
    assert np.isfinite(examples.train[0]).all()


def decimal(value: float, mark: str = ",") -> str:
    return f"{value:.2f}".replace(".", mark)


def random_rows(count: int = 24, scale: float = 1.0) -> list[list[float]]:
    """Two features, and their sum and difference."""
    drawn = np.random.default_rng(0).normal(0, scale, (count, 2))
    return [[a, b, a + b, a - b] for a, b in drawn.tolist()]


def test_decimal_commas_are_numbers(tmp_path: Path) -> None:
    header, rows = "a;b;price;weight", random_rows()
    comma = write(tmp_path, header, *(";".join(map(decimal, row)) for row in rows))
    point = write(
        tmp_path, header, *(";".join(decimal(v, ".") for v in r) for r in rows), name="point.csv"
    )
    targets = ("price", "weight")
    found, expected = (tables.read(path, targets) for path in (comma, point))
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(found.targets, expected.targets)
    quoted = write(tmp_path, header.replace(";", ","), *(
        ",".join(f'"{decimal(v)}"' for v in row) for row in rows
    ), name="quoted.csv")  # fmt: skip
    np.testing.assert_array_equal(tables.read(quoted, targets).features, expected.features)


def test_a_comma_that_can_be_decimal_or_not_is_decided_by_the_file(tmp_path: Path) -> None:
    def lines(other: str) -> list[str]:
        return [f"{n + 1},250;{other};{n};{n * n}" for n in range(12)]

    header, targets = "size;a;price;weight", ("price", "weight")
    table = tables.read(write(tmp_path, header, *lines("0,5")), targets)
    assert table.features[:, 0].tolist() == [n + 1.25 for n in range(12)]
    path = write(tmp_path, header, *lines("0.5"))
    assert refusal(path) == (
        f"{path} line 2 has a value in column 'size', whose comma may be decimal or between "
        "thousands; write it with a decimal point, or without the comma"
    )
    path = write(tmp_path, header, *lines("0.5"), "1,5;0.5;3;4")
    assert refusal(path) == (
        f"{path} line 2 has a value in column 'a' with a decimal point, and other numbers have a "
        "decimal comma; write all of them with one decimal mark and nothing between thousands"
    )


@pytest.mark.parametrize(
    ("values", "line", "words"),
    [
        (["1 250"], 2, "which looks like a number; write it in digits with a decimal point and "),
        (["1.250,5"], 2, "which looks like a number; write it in digits"),
        (["€ 5"], 2, "which looks like a number; write it in digits"),
        (["5%", "6%"], 2, "which looks like a number; write it in digits"),
        (["red", "5%"], 3, "which looks like a number, where other lines have text; correct it"),
        (["red", "1,250"], 3, "whose comma may be decimal or between thousands; write it with a"),
        (["7", "1,250"], 3, "whose comma may be decimal or between thousands; write it with a"),
        (["7", "1 250"], 3, "where other lines have numbers; correct it, or make all of them text"),
        (["3 kg", "4 kg"], 2, "a number with a unit behind it; leave the unit out, or begin"),
    ],
)
def test_what_looks_like_a_number_is_never_a_category(
    tmp_path: Path, values: list[str], line: int, words: str
) -> None:
    lines = [f"{values[n % len(values)]};{n};{n};{n * n}" for n in range(12)]
    path = write(tmp_path, "size;a;price;weight", *lines)
    what = "text" if words.startswith("where") else "a value"
    assert refusal(path).startswith(f"{path} line {line} has {what} in column 'size', {words}")


@pytest.mark.parametrize(
    "values", [["1st", "2nd"], ["18-25", "26-35"], ["2x4", "4x4"], ["a1", "a2"]]
)
def test_names_with_digits_are_categories(tmp_path: Path, values: list[str]) -> None:
    lines = [f"{values[n % 2]},{n},{n * n}" for n in range(12)]
    table = tables.read(write(tmp_path, "kind,price,weight", *lines), ("price", "weight"))
    assert table.features.tolist() == [[n % 2 == 0, n % 2 == 1] for n in range(12)]


@pytest.mark.parametrize("value", ["-1.7976931348623157e+308", "1e200", "1.1e19"])
@pytest.mark.parametrize("column", ["size", "price"])
def test_a_huge_value_is_named(tmp_path: Path, value: str, column: str) -> None:
    fields = ROWS[4].split(",")
    fields[HEADER.split(",").index(column)] = value
    path = write(tmp_path, HEADER, *ROWS[:4], ",".join(fields), *ROWS[5:])
    assert refusal(path) == (
        f"{path} line 6 has a value in column {column!r}, and 1e+19 is the largest of either "
        "sign; correct it, or give the column in another unit"
    )


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-200, 1e-30, 1e15])
def test_the_scale_of_a_column_does_not_matter(tmp_path: Path, scale: float) -> None:
    counted = [[n, n % 5, (n * 7) % 11, n * n % 13] for n in range(1, 25)]
    header, targets = "a,b,price,weight", ("price", "weight")
    plain, scaled = (
        write(
            tmp_path, header, *(",".join(repr(v * by) for v in row) for row in counted), name=name
        )
        for name, by in (("plain.csv", 1.0), ("scaled.csv", scale))
    )
    expected = tables.whole(tables.read(plain, targets)).train
    found = tables.whole(tables.read(scaled, targets)).train
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def with_a_held_out(folder: Path, column: int, value: str, usual: str | None = None) -> Path:
    """A table in which one held-out row has another value, and the others the usual one."""
    header, rows = "a,b,price,weight", [[f"{v:.6f}" for v in row] for row in random_rows()]
    if usual is not None:
        for row in rows:
            row[column] = usual
    for place in range(len(rows)):
        changed = [list(row) for row in rows]
        changed[place][column] = value
        path = write(folder, header, *map(",".join, changed))
        table = tables.read(path, ("price", "weight"))
        values = table.features[:, column] if column < 2 else table.targets[:, column - 2]
        order = tables.hash_order(table.texts)
        if np.flatnonzero(values[order] == float(value))[0] >= 20:
            return path
    raise AssertionError("some row is held out")


def test_a_feature_that_differs_in_held_out_rows_only_is_left_out_and_said(tmp_path: Path) -> None:
    examples = tables.split(
        tables.read(with_a_held_out(tmp_path, 0, "5000", "0"), ("price", "weight"))
    )
    assert not examples.train[0][:, 0].any()
    assert not examples.test[0][:, 0].any()
    assert examples.notes == (
        "column 'a' has one value in the rows to train on, so it is left out",
    )


@pytest.mark.parametrize("value", ["1e18", "-5000"])
def test_a_held_out_feature_has_a_bound_and_it_is_said(tmp_path: Path, value: str) -> None:
    path = with_a_held_out(tmp_path, 0, value)
    examples = tables.split(tables.read(path, ("price", "weight")))
    assert np.abs(examples.test[0]).max() == tables.MOST_DEVIATIONS
    assert np.sign(examples.test[0][:, 0]).sum() != 0
    assert examples.notes == (
        "column 'a' has a held-out value more than 10 standard deviations from the rows to train "
        "on, which counts as 10",
    )
    plain = tables.split(tables.read(with_a_held_out(tmp_path, 0, "2.5"), ("price", "weight")))
    assert plain.notes == ()


def test_a_category_of_held_out_rows_only_is_left_out_and_said(tmp_path: Path) -> None:
    for name in map("rare {}".format, range(100)):
        rows = [row.replace("green", "red") for row in ROWS]
        rows[0] = rows[0].replace("red", name)
        examples = tables.split(tables.read(write(tmp_path, HEADER, *rows), ("price", "weight")))
        if examples.notes:
            break
    assert examples.notes == (
        "column 'colour' has a value that no row to train on has, so it is left out",
    )
    assert examples.test[0].shape == (2, 4)


def test_a_held_out_target_that_is_nothing_like_the_others_is_named(tmp_path: Path) -> None:
    path = with_a_held_out(tmp_path, 2, "1e12")
    message = refusal(path)
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "1e12" in text)
    assert message == (
        f"{path} line {line} has a value of target 'price' more than 1,000 standard deviations "
        "from the rows to train on; correct it or remove the line"
    )


def test_rows_that_differ_in_nothing_cannot_be_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path, "a,price,weight", *(f"7,{n},{n * n}" for n in range(12)))
    assert refusal(path) == (
        f"all rows of {path} to train on are the same but for the targets: there is nothing to "
        "predict them from; add a column"
    )


def test_a_constant_that_rounds_is_constant(tmp_path: Path) -> None:
    """The mean of fourteen times 0.1 is not 0.1."""
    lines = [f"{n},0.1,{n},{n * n}" for n in range(17)]
    path = write(tmp_path, "a,b,price,weight", *lines)
    examples = tables.split(tables.read(path, ("price", "weight")))
    assert not examples.train[0][:, 1].any()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nope.csv"
    assert refusal(path) == f"there is no file {path}; name a file that is there"


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} cannot be read (Is a directory); name a file"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04\x95", "is not text in UTF-8; save the table as CSV (UTF-8)"),
        (b"a,b\n1,\xff\n", "is not text in UTF-8; save the table as CSV (UTF-8)"),
        (b"PK\0\0,b\n1,2\n", "is not a CSV file (it has bytes that are not text); save the table"),
        (b'a,b\n"1"2,3\n', "is not a CSV file (',' expected after '\"'); save the table as CSV"),
        (b"", "is not a table: its first line has no commas, semicolons or tabs between names"),
        (b"one column\n1\n2\n", "is not a table: its first line has no commas, semicolons or tabs"),
        (b"a,,c\n1,2,3\n", "has no name in the first line; name it"),
        (b"a,b,a\n1,2,3\n", "has two columns 'a'; rename one"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 values, and the header 2 names; correct the line"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    message = refusal(path)
    assert str(path) in message
    assert words in message


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return open, (str(tmp_path / "executed"), "w")  # type: ignore[return-value]

    for protocol in (0, 4):
        path = tmp_path / "table.csv"
        path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
        refusal(path)
    assert not (tmp_path / "executed").exists()


def test_targets_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, *ROWS)
    expected = f"{path} has no column 'cost' among its 4; look at its first line"
    assert refusal(path, ("price", "cost")) == expected
    expected = f"{path} has no column 'wieght' among its 4; did you mean 'weight'?"
    assert refusal(path, ("price", "wieght")) == expected


def test_what_the_app_reads_is_named_by_its_name_and_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_FILES", "own")
    path = write(tmp_path, HEADER, *ROWS)
    assert refusal(path, ("price", "cost")).startswith("table.csv has no column 'cost'")
    wide = write(tmp_path, *(",".join("01" * 5_000) for _ in range(201)))
    assert refusal(wide) == (
        "table.csv has more than 2,000,000 values, which is the limit; take fewer rows or columns"
    )
    one_row = write(tmp_path, "," * 19_000_000)
    assert refusal(one_row).startswith(
        "table.csv is not a CSV file (a row has more than 10,000 columns)"
    )
    large = write(tmp_path, "a" * 21_000_000)
    assert refusal(large) == (
        "table.csv has more than 20 MB, which is the limit; take a smaller file"
    )


def test_too_few_rows(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, *ROWS[:9])
    assert refusal(path) == (
        f"{path} has 9 rows of values, and 10 are the fewest to learn from; add more"
    )
    assert len(tables.read(write(tmp_path, HEADER, *ROWS[:10]), ("price", "weight")).texts) == 10


def test_nothing_to_predict_from(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b", *(f"{n},{n * n}" for n in range(12)))
    assert refusal(path, ("b", "a")) == (
        f"all columns of {path} are targets; leave one to predict them from"
    )


@pytest.mark.parametrize("value", ["", " ", "NA", "nan", "?", "null", "None"])
@pytest.mark.parametrize("column", ["size", "colour", "price"])
def test_a_missing_value_is_named(tmp_path: Path, value: str, column: str) -> None:
    fields = ROWS[4].split(",")
    fields[HEADER.split(",").index(column)] = value
    path = write(tmp_path, HEADER, *ROWS[:4], ",".join(fields), *ROWS[5:])
    assert refusal(path) == (
        f"{path} line 6 has no value in column {column!r}; fill it in or remove the line"
    )


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e999"])
def test_what_is_not_finite(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, HEADER, f"{value},red,1,2", *ROWS)
    assert refusal(path) == (
        f"{path} line 2 has a value in column 'size', which is not finite; correct it or remove "
        "the line"
    )


@pytest.mark.parametrize("value", ["3 kg", "1_000", "12.3.4"])
def test_text_among_numbers(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, HEADER, *ROWS, f"{value},red,1,2")
    assert refusal(path) == (
        f"{path} line 14 has text in column 'size', where other lines have numbers; correct it, or "
        "make all of them text"
    )


def test_a_target_of_text(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, *ROWS)
    assert refusal(path, ("price", "colour")) == (
        f"column 'colour' of {path} is text, and no target of a regression; choose columns of "
        "numbers"
    )


def test_text_with_too_many_values(tmp_path: Path) -> None:
    def lines(kinds: int) -> list[str]:
        return [f"{n},kind {n % kinds},{n},{n * n}" for n in range(60)]

    targets = ("price", "weight")
    assert tables.read(write(tmp_path, HEADER, *lines(20)), targets).features.shape == (60, 21)
    path = write(tmp_path, HEADER, *lines(21))
    assert refusal(path) == (
        f"column 'colour' of {path} is text with 21 different values, and 20 are the most that "
        "become columns; remove it or group them"
    )


def test_a_constant_target(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, *(f"{n},red,{n},2.5" for n in range(12)))
    assert refusal(path) == (
        f"target 'weight' of {path} is the same in all 12 rows: there is nothing to learn; choose "
        "another"
    )


def test_a_target_that_is_constant_where_it_is_trained(tmp_path: Path) -> None:
    """The only row with another value is one that is held out."""
    table = tables.read(write(tmp_path, HEADER, *ROWS), ("price", "weight"))
    last = tables.hash_order(table.texts)[-1]
    targets = np.zeros((12, 2))
    targets[:, 0] = np.arange(12)
    targets[last, 1] = 1
    changed = tables.Table(table.features, targets, table.texts, table.target_names, table.name)
    with pytest.raises(InputError) as caught:
        tables.split(changed)
    assert "target 'weight'" in str(caught.value)
    assert "is the same in all 10 rows to train on: there is nothing to learn" in str(caught.value)
