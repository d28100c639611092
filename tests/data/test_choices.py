"""Choices: the arrays that follow from columns, the same whatever file they came in."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core import InputError
from mtl_core.data import choices, sheet
from mtl_core.data.choices import Choice, Prepared
from mtl_core.data.sheet import Sheet
from mtl_core.settings.digits import FILE


def read(frame: pd.DataFrame, name: str = "t.csv") -> Sheet:
    return sheet.read(frame.to_csv(index=False).encode(), name)


def npz(**arrays: Any) -> Sheet:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return sheet.read(buffer.getvalue(), "t.npz")


def table(rows: int = 100) -> pd.DataFrame:
    random = np.random.default_rng(0)
    a, b = random.standard_normal((2, rows))
    kinds = np.array(["red", "green", "blue"])[random.integers(3, size=rows)]
    return pd.DataFrame({"a": a, "b": b, "kind": kinds, "y": a + b, "c": np.where(a > b, "u", "v")})


def prepared(found: Sheet, *labels: str, **changes: Any) -> Prepared:
    guess = choices.guessed(found, labels)
    return choices.prepared(found, Choice(**{**vars(guess), **changes}))


def refusal(found: Sheet, *labels: str, **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        prepared(found, *labels, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The same tensors from any file.


def test_digits_written_out_and_read_back_are_the_same_tensors() -> None:
    with np.load(FILE) as archive:
        images, labels = archive["images"], archive["labels"]
    flat = images.reshape(len(images), -1)
    columns = {f"x{place}": flat[:, place] for place in range(64)}
    as_csv = prepared(read(pd.DataFrame({**columns, "digit": labels})), "digit", title="d")
    as_npz = prepared(npz(x=flat, digit=labels), "digit", title="d")
    assert as_csv.described == as_npz.described
    assert as_csv.described.labels[0].classes == 10
    as_images = prepared(npz(x=images, digit=labels), "digit")
    assert as_images.described.shape == (1, 8, 8)
    train = as_images.described.sizes[0]
    pixels = as_images.arrays["x"]
    assert pixels[:train].mean() == pytest.approx(0, abs=1e-6)
    assert pixels[:train].std() == pytest.approx(1, abs=1e-5)
    # Every image is there once, with its own label, up to scale and order.
    known = {row.tobytes(): label for row, label in zip(flat, labels, strict=True)}
    scale = flat.max() - flat.min()
    back = (pixels - pixels.min()) / (pixels.max() - pixels.min()) * scale + flat.min()
    rows = np.round(back).astype(flat.dtype).reshape(len(flat), -1)
    assert [known[row.tobytes()] for row in rows] == as_images.arrays["y0"].tolist()
    assert len({row.tobytes() for row in rows}) == len(known)


def test_the_name_depends_on_no_format_row_order_file_or_title(tmp_path: Path) -> None:
    frame = table()
    frame.to_parquet(tmp_path / "t.parquet")
    parquet = sheet.read((tmp_path / "t.parquet").read_bytes(), "other.parquet")
    mixed = frame.sample(frac=1, random_state=1)
    semicolons = sheet.read(frame.to_csv(index=False, sep=";", decimal=",").encode(), "z.csv")
    found = [
        prepared(one, *labels, title=title).described.name
        for one, labels, title in (
            (read(frame), ("y", "c"), ""),
            (parquet, ("c", "y"), "Mine"),
            (read(mixed), ("y", "c"), ""),
            (semicolons, ("y", "c"), ""),
        )
    ]
    assert len({*found}) == 1
    assert found[0].startswith("own-")
    frame.loc[3, "a"] += 1e-3
    assert prepared(read(frame), "y", "c").described.name != found[0]


# The split.


def test_about_70_15_and_15_per_cent_and_equal_inputs_on_one_side() -> None:
    frame = table(200)
    frame = pd.concat([frame, frame.assign(y=frame["y"] + 1)])
    made = prepared(read(frame), "y")
    sizes = made.described.sizes
    assert sum(sizes) == 400
    np.testing.assert_allclose(np.array(sizes) / 400, [0.7, 0.15, 0.15], atol=0.01)
    rows = [
        {row.tobytes() for row in part} for part in np.split(made.arrays["x"], np.cumsum(sizes))
    ]
    assert not rows[0] & rows[1]
    assert not rows[1] & rows[2]
    assert not rows[0] & rows[2]


def test_a_groups_rows_are_on_one_side() -> None:
    frame = table(300)
    frame["patient"] = [f"p{number % 30}" for number in range(300)]
    frame["mark"] = np.arange(300) % 30  # the group again, so that it can be told from the inputs
    changes = {"group": "patient", "inputs": ("a", "mark"), "categories": ()}
    made = prepared(read(frame), "y", **changes)
    parts = np.split(made.arrays["x"][:, 1], np.cumsum(made.described.sizes)[:2])
    marks = [set(part.tolist()) for part in parts]
    assert sum(map(len, marks)) == len(set.union(*marks)) == 30
    beginning = len({*parts[0][:42].tolist()})
    assert beginning > 10, "a beginning is of many groups"
    assert "patient" in made.described.group
    frame["patient"] = np.arange(300) % 2
    assert refusal(read(frame), "y", **changes) == (
        "t.csv has fewer than 3 groups by 'patient'; training, validation and test data take one "
        "each"
    )


def test_a_group_is_no_input_and_has_no_gaps() -> None:
    frame = table()
    frame["who"] = np.arange(100) % 10
    both = refusal(read(frame), "y", group="who", inputs=("a", "who"))
    assert both.startswith("column 'who' is an input and the group; ")
    frame.loc[4, "who"] = np.nan
    assert refusal(read(frame), "y", group="who", inputs=("a",)) == \
        "t.csv row 5 has no value in column 'who', the group; fill it in"  # fmt: skip


# Inputs and labels.


def test_inputs_are_standardised_by_the_training_rows_and_texts_become_columns() -> None:
    made = prepared(read(table()), "y", "c")
    x, train = made.arrays["x"], made.described.sizes[0]
    assert x.shape == (100, 5)
    np.testing.assert_allclose(x[:train].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x[:train].std(axis=0), 1, atol=1e-5)
    assert all(len(np.unique(x[:, place])) == 2 for place in (2, 3, 4))
    y = made.arrays["y0"]
    assert y[:train].mean() == pytest.approx(0, abs=1e-6)
    assert y[:train].std() == pytest.approx(1, abs=1e-5)
    assert made.arrays["y1"].dtype == np.int64
    # y = a + b holds for what was standardised, up to an affine map; c tells a > b.
    assert np.linalg.lstsq(np.c_[x[:, :2], np.ones(100)], y)[1] == pytest.approx(0, abs=1e-8)


def test_whole_numbers_of_few_values_are_guessed_to_be_classes_and_may_be_numbers() -> None:
    frame = table(100).assign(grade=np.arange(100) % 5)
    guess = choices.guessed(read(frame), ["grade", "y"])
    assert set(guess.classes) >= {"grade", "c"}
    assert "y" not in guess.classes
    assert prepared(read(frame), "grade").described.labels[0].classes == 5
    assert prepared(read(frame), "grade", classes=()).described.labels[0].classes == 1
    as_names = prepared(read(frame), "y", inputs=("grade",), categories=("grade",))
    assert as_names.arrays["x"].shape == (100, 5)
    assert prepared(read(frame), "y", inputs=("grade",), categories=()).arrays["x"].shape[1] == 1


def test_dates_are_numbers() -> None:
    days = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
    made = prepared(read(table(60).assign(day=days, when=days)), "when", inputs=("day",))
    x, y = made.arrays["x"][:, 0], made.arrays["y0"]
    np.testing.assert_allclose(x, y, atol=1e-6)


def test_missing_inputs_are_refused_or_filled_in_where_that_was_ticked() -> None:
    frame = table()
    frame.loc[6, "a"] = np.nan
    frame.loc[8, "kind"] = None
    assert refusal(read(frame), "y") == (
        "t.csv row 7 has no value in column 'a'; fill it in, leave the column out, or choose to "
        "have missing inputs filled in"
    )
    made = prepared(read(frame), "y", fill=True)
    x = made.arrays["x"]
    assert x.shape[1] == 2 + 4 + 2, "numbers, kinds with the missing one, and c"
    assert (x[:, 0] == 0).sum() == 1
    assert made.described.notes == (
        "1 missing value of 'a' is the mean of the rows to train on",
        "1 missing value of 'kind' is a category of their own",
    )


def test_rows_without_a_label_are_refused_or_left_out_where_that_was_ticked() -> None:
    frame = table()
    frame.loc[[2, 5], "y"] = np.nan
    assert refusal(read(frame), "y") == (
        "t.csv row 3 has no value of label 'y'; fill it in, or leave out rows without a label"
    )
    made = prepared(read(frame), "y", drop=True)
    assert sum(made.described.sizes) == 98
    assert made.described.notes == ("2 rows without a label are left out",)


def test_a_constant_input_is_left_out_and_said() -> None:
    made = prepared(read(table().assign(same=7)), "y")
    assert made.described.notes == ("column 'same' is the same in all rows: it is left out",)
    assert "same" not in made.described.inputs
    only = refusal(read(table().assign(same=7)), "y", inputs=("same",), categories=())
    assert only.startswith("all inputs of t.csv are the same in all rows: there is nothing to ")


def test_held_out_inputs_far_away_are_bounded_and_said() -> None:
    frame = table(100)
    sizes = prepared(read(frame), "y", inputs=("b",)).described.sizes
    made = prepared(read(frame.assign(a=[*[0.0, 1.0] * 49, 0.0, 1e6])), "y", inputs=("a", "b"))
    x, train = made.arrays["x"], sizes[0]
    if np.abs(x[:train, 0]).max() < 5:  # the far row is held out, by its hash
        assert np.abs(x[:, 0]).max() == pytest.approx(10)
        assert "held-out values more than 10 standard" in made.described.notes[0]


@pytest.mark.parametrize(
    ("change", "labels", "choice", "said"),
    [
        ({"c": "u"}, ("c",), {}, "label 'c' of t.csv has one class: there is nothing to learn; "),
        ({"y": 1.0}, ("y",), {"classes": ()}, "label 'y' of t.csv is the same in all rows: there"),
        ({}, (), {}, "no label of t.csv is chosen; choose one column or more to learn"),
        ({}, ("y",), {"inputs": ()}, "no input of t.csv is chosen; choose columns to predict from"),
        ({}, ("y",), {"inputs": ("y", "a")}, "column 'y' is a label and an input; choose one of"),
        ({}, ("c",), {"classes": ()}, "label 'c' of t.csv is text, and no number to predict; "),
        ({}, ("y",), {"inputs": ("kinds",)},
         "t.csv has no column 'kinds' among its 5; did you mean 'kind'?"),
        ({"i": [f"i{n}" for n in range(100)]}, ("y",), {"inputs": ("i",), "categories": ("i",)},
         "column 'i' of t.csv is text with 100 different values, and 20 are the most that become"),
        ({"i": [f"i{n}" for n in range(100)]}, ("i",), {},
         "label 'i' of t.csv has 100 classes in 100 rows; choose another"),
        ({"i": [*range(99), "x"]}, ("y",), {"inputs": ("i",), "categories": ()},
         "column 'i' of t.csv has text in row 100, where other rows have numbers; correct it, or "),
        ({"i": [*[1.0] * 99, 1e30]}, ("y",), {"inputs": ("i",), "categories": ()},
         "column 'i' of t.csv has a number in row 100 that is not finite or beyond 1e+19; "),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_is_refused_in_one_line(
    change: dict[str, Any], labels: tuple[str, ...], choice: dict[str, Any], said: str
) -> None:
    assert refusal(read(table().assign(**change)), *labels, **choice).startswith(said)


@pytest.mark.parametrize("rows", [1, 19])
def test_too_few_rows(rows: int) -> None:
    said = refusal(read(table(rows).assign(y=np.arange(rows))), "y")
    assert said.startswith(f"t.csv has {rows} row{'' if rows == 1 else 's'} of values, and 20 are")


def test_a_million_rows_are_read_right() -> None:
    import pyarrow
    from pyarrow import csv

    values = np.arange(1_000_000)
    arrow = pyarrow.table({"a": values, "b": values % 7, "y": 2.0 * values, "c": values % 2})
    buffer = io.BytesIO()
    csv.write_csv(arrow, buffer)
    made = prepared(sheet.read(buffer.getvalue(), "t.csv"), "y", "c")
    assert sum(made.described.sizes) == 1_000_000
    assert [label.classes for label in made.described.labels] == [1, 2]
    np.testing.assert_allclose(made.arrays["x"][:, 0], made.arrays["y0"], atol=1e-5)


def test_names_of_tasks_are_plain_and_each_once() -> None:
    frame = table(40).rename(columns={"y": "größe [cm]", "c": "größe (cm)"})
    frame["stl"] = frame["a"] * 2
    frame["../.."] = frame["a"] * 3
    labels = prepared(
        read(frame), "größe [cm]", "größe (cm)", "stl", "../..", inputs=("b",)
    ).described.labels
    assert [one.name for one in labels] == ["größe_cm", "größe_cm_2", "stl_2", "label"]
    assert [one.title for one in labels] == ["größe [cm]", "größe (cm)", "stl", "../.."]


def test_balance_counts_classes_and_gives_the_range_of_numbers() -> None:
    found = read(table())
    kinds = choices.balance(found, "kind", classes=True)
    assert sum(count for _, count in kinds) == 100
    assert [count for _, count in kinds] == sorted((count for _, count in kinds), reverse=True)
    ((words, count),) = choices.balance(found, "y", classes=False)
    assert count == 100
    assert " to " in words
