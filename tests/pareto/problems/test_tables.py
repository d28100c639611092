"""Tables: what becomes of a file, and every way in which one is refused."""

import math
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


def test_moments_do_not_round() -> None:
    mean, deviation = tables._moments(np.array([1e16, 1.0, -1e16, 3.0]))
    assert mean == 1.0
    assert deviation == pytest.approx(math.sqrt((2e32 + 4 + 0) / 4))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "nope.csv"
    assert refusal(path) == f"there is no file {path}; name a CSV file that is there"


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path} cannot be read (Is a directory); name a CSV file"


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
    expected = f"{path} has no column 'cost'; it has: size, colour, price, weight"
    assert refusal(path, ("price", "cost")) == expected
    wide = write(tmp_path, ",".join(f"c{n}" for n in range(50)), name="wide.csv")
    assert refusal(wide).endswith("c28, c29 and 20 more")


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
        f"{path} line 6 has no value in column {column!r} ({value.strip()!r}); fill it in or "
        "remove the line"
    )


@pytest.mark.parametrize("value", ["inf", "-Infinity", "1e999"])
def test_what_is_not_finite(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, HEADER, f"{value},red,1,2", *ROWS)
    assert refusal(path) == (
        f"{path} line 2 has {value!r} in column 'size', which is not finite; correct it or remove "
        "the line"
    )


@pytest.mark.parametrize("value", ["3 kg", "1_000", "12.3.4"])
def test_text_among_numbers(tmp_path: Path, value: str) -> None:
    path = write(tmp_path, HEADER, *ROWS, f"{value},red,1,2")
    assert refusal(path) == (
        f"{path} line 14 has {value!r} in column 'size', where other lines have numbers; correct "
        "it, or make all of them text"
    )


def test_a_target_of_text(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, *ROWS)
    assert refusal(path, ("price", "colour")) == (
        f"column 'colour' of {path} is text, such as 'red', and no target of a regression; choose "
        "columns of numbers"
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
        f"target 'weight' of {path} is 2.5 in all 12 rows: there is nothing to learn; choose "
        "another"
    )


def test_a_target_that_is_constant_where_it_is_trained(tmp_path: Path) -> None:
    """The only row with another value is one that is held out."""
    table = tables.read(write(tmp_path, HEADER, *ROWS), ("price", "weight"))
    last = tables.hash_order(table.texts)[-1]
    targets = np.zeros((12, 2))
    targets[:, 0] = np.arange(12)
    targets[last, 1] = 1
    changed = tables.Table(table.features, targets, table.texts, table.target_names, table.path)
    with pytest.raises(InputError) as caught:
        tables.split(changed)
    assert "target 'weight'" in str(caught.value)
    assert "is 0 in all 10 rows to train on: there is nothing to learn" in str(caught.value)
