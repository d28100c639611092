"""Choices: which columns of a sheet are inputs and labels, and the arrays that follow from them.

The split is the project's: rows are ordered by a hash of their inputs, or of their group where
examples belong to one, so neither the file's order nor its format counts, and equal rows, or those
of a group, are on one side. Inputs are standardised by the rows that are trained on.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mtl_core.data.moments import deviations
from mtl_core.data.sheet import Column, Sheet
from mtl_core.data.splits import row_digests
from mtl_core.data.stored import MOST_CLASSES, MOST_TASKS, Described, Label, arrays_digest
from mtl_core.errors import InputError, quoted

__all__ = ["FEWEST_ROWS", "MOST_CATEGORIES", "Choice", "Prepared", "balance", "guessed", "prepared"]

FEWEST_ROWS = 20
MOST_CATEGORIES = 20
"""At most so many different values of a text input become a column each."""
MOST_GUESSED = 20
"""Whole numbers of at most so many values are guessed to be classes, as a label."""
_MOST_DEVIATIONS = 10.0  # of a held-out input, where no training row is further from the mean
_SHARES = (0.70, 0.85)  # train, validation and test end here
_RESERVED = ("stl", "all", "none")  # words of links and tables


@dataclass(frozen=True)
class Choice:
    """What is to be learned of a sheet.

    Args:
        inputs: columns; none where the sheet has images.
        labels: columns, a task each.
        classes: those of the labels that are classes; the others are numbers.
        categories: those of the inputs that are names, and become a column for each value.
        group: the column whose rows are all on one side of the split; empty for none.
        network: of ``stored.NETWORKS``.
        fill: whether missing inputs are filled in, numbers by the mean of the training rows and
            names by one of their own; else they are refused.
        drop: whether rows without a label are left out; else they are refused.
        title: what it is called.
    """

    inputs: tuple[str, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    group: str = ""
    network: Literal["mlp", "cnn", "resnet18"] = "mlp"
    fill: bool = False
    drop: bool = False
    title: str = ""


@dataclass(frozen=True)
class Prepared:
    """A choice carried out: ready to be saved."""

    described: Described
    arrays: Mapping[str, NDArray[Any]]


def guessed(sheet: Sheet, labels: Sequence[str] = ()) -> Choice:
    """What each column looks like, for whoever chooses to see and to change.

    Args:
        labels: those that are known; every other column that can be is then an input.
    """
    able = [column for column in sheet.columns if column.kind != "other"]
    classes = [column.name for column in able if _looks_like_classes(column, sheet.rows)]
    names = [column.name for column in able if column.kind == "text" and not column.odd]
    inputs = [
        column.name
        for column in able
        if column.name not in labels
        and (column.kind != "text" or column.distinct <= MOST_CATEGORIES)
        and not column.odd
    ]
    images = sheet.images is not None
    return Choice(
        inputs=() if images else tuple(inputs),
        labels=tuple(column.name for column in able if column.name in labels),
        classes=tuple(classes),
        categories=tuple(names),
        network="cnn" if images else "mlp",
    )


def _looks_like_classes(column: Column, rows: int) -> bool:
    if column.kind == "text":
        return not column.odd
    return column.whole and column.distinct <= min(MOST_GUESSED, rows // 5)


def balance(sheet: Sheet, label: str, *, classes: bool, most: int = 10) -> list[tuple[str, int]]:
    """The classes of a label, largest first, and their rows; of a number its range in words."""
    column = sheet.column(label)
    if classes:
        codes, words = column.categories()
        counts = np.bincount(codes[codes >= 0], minlength=len(words))
        order = np.argsort(-counts, kind="stable")[:most]
        return [(words[place], int(counts[place])) for place in order]
    assert column.numbers is not None
    known = column.numbers[~np.isnan(column.numbers)]
    if not len(known):
        return []
    return [(f"{known.min():g} to {known.max():g}", len(known))]


def prepared(sheet: Sheet, choice: Choice) -> Prepared:
    """The arrays of a choice, and what they are.

    Raises:
        InputError: names the column and the row, and what to do about it.
    """
    labels = _labels(sheet, choice)
    inputs = [] if sheet.images is not None else _inputs(sheet, choice)
    group = sheet.column(choice.group) if choice.group else None
    notes: list[str] = []
    kept = _rows(sheet, choice, labels, notes)
    targets = [_target(sheet, column, choice, kept) for column in labels]
    names: tuple[str, ...] = ()
    raw: NDArray[np.float32] | NDArray[np.float64]
    if sheet.images is not None:
        raw = _pixels(sheet.images[kept], choice)
    else:
        raw, names = _matrix(sheet, inputs, choice, kept, notes)
    parts = _split(sheet, raw, targets, group, kept)
    order = np.concatenate(parts)
    train = len(parts[0])
    if sheet.images is not None:
        x = _normalised(raw[order].astype(np.float32), train)
    else:
        x = _scaled(raw[order].astype(np.float64), train, names, notes)
    arrays: dict[str, NDArray[Any]] = {"x": x}
    for place, (column, values) in enumerate(zip(labels, targets, strict=True)):
        classes = column.name in choice.classes
        arrays[f"y{place}"] = _aimed(sheet, column, values[order], train, classes, notes)
    described = Described(
        title=(choice.title.strip() or _stem(sheet.name))[:100],
        shape=tuple(x.shape[1:]),
        inputs=tuple(dict.fromkeys(names)),
        labels=tuple(
            Label(name, column.name, _classes(column, choice, kept))
            for name, column in zip(_slugs(labels), labels, strict=True)
        ),
        group=choice.group,
        network=choice.network,
        sizes=(len(parts[0]), len(parts[1]), len(parts[2])),
        filled=choice.fill,
        digest=arrays_digest(arrays),
        notes=tuple(notes[:50]),
    )
    # Whatever is written can be read.
    return Prepared(Described.from_dict(described.to_dict()), arrays)


# Which columns, and which rows.


def _labels(sheet: Sheet, choice: Choice) -> list[Column]:
    if not choice.labels:
        raise InputError(f"no label of {sheet.name} is chosen; choose one column or more to learn")
    if len(choice.labels) > MOST_TASKS:
        raise InputError(f"{len(choice.labels)} labels are more than {MOST_TASKS}; choose fewer")
    for name in choice.labels:
        if name in choice.inputs or name == choice.group:
            other = "an input" if name in choice.inputs else "the group"
            raise InputError(f"column {quoted(name)} is a label and {other}; choose one of both")
        column = sheet.column(name)
        _refuse_odd(sheet, column, names=name in choice.classes)
        if column.kind == "text" and name not in choice.classes:
            raise InputError(
                f"label {quoted(name)} of {sheet.name} is text, and no number to predict; learn it "
                "as classes"
            )
    wanted = {*choice.labels}
    return [column for column in sheet.columns if column.name in wanted]


def _inputs(sheet: Sheet, choice: Choice) -> list[Column]:
    if not choice.inputs:
        raise InputError(f"no input of {sheet.name} is chosen; choose columns to predict from")
    for name in choice.inputs:
        column = sheet.column(name)
        if name == choice.group:
            raise InputError(
                f"column {quoted(name)} is an input and the group; it tells rows of the test data "
                "from all others, so leave it out of the inputs"
            )
        _refuse_odd(sheet, column, names=name in choice.categories)
        as_names = name in choice.categories or column.kind == "text"
        if as_names and column.distinct > MOST_CATEGORIES:
            what = "text" if column.kind == "text" else "categories"
            raise InputError(
                f"column {quoted(name)} of {sheet.name} is {what} with {column.distinct:,} "
                f"different values, and {MOST_CATEGORIES} are the most that become inputs; leave "
                "it out, or group its values"
            )
    wanted = {*choice.inputs}
    return [column for column in sheet.columns if column.name in wanted]


def _refuse_odd(sheet: Sheet, column: Column, *, names: bool) -> None:
    """InputError for a column that cannot be read as it is chosen."""
    readable = names and column.kind == "text" and not column.odd.endswith("leave it out")
    if column.odd and not readable:
        raise InputError(f"column {quoted(column.name)} of {sheet.name} {column.odd}")


def _rows(
    sheet: Sheet, choice: Choice, labels: Sequence[Column], notes: list[str]
) -> NDArray[np.intp]:
    """The rows that have every label."""
    lacks = np.zeros(sheet.rows, dtype=bool)
    for column in labels:
        if column.missing.any() and not choice.drop:
            row = int(np.argmax(column.missing)) + 1
            raise InputError(
                f"{sheet.name} row {row} has no value of label {quoted(column.name)}; fill it in, "
                "or leave out rows without a label"
            )
        lacks |= column.missing
    kept = np.flatnonzero(~lacks)
    if len(kept) < FEWEST_ROWS:
        rows = f"{len(kept):,} row{'' if len(kept) == 1 else 's'}"
        raise InputError(
            f"{sheet.name} has {rows} of values, and {FEWEST_ROWS} are the fewest to learn from "
            "and test on; add more"
        )
    if lacks.any():
        notes.append(f"{int(lacks.sum()):,} rows without a label are left out")
    return kept


# Targets.


def _target(
    sheet: Sheet, column: Column, choice: Choice, kept: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Classes from 0 in the order of their names, or numbers, of the rows that are kept."""
    name = quoted(column.name)
    if column.name not in choice.classes:
        assert column.numbers is not None
        numbers = column.numbers[kept]
        if (numbers == numbers[0]).all():
            raise InputError(
                f"label {name} of {sheet.name} is the same in all rows: there is nothing to learn; "
                "choose another"
            )
        return numbers
    found, places = np.unique(column.categories()[0][kept], return_inverse=True)
    if len(found) < 2:
        raise InputError(
            f"label {name} of {sheet.name} has one class: there is nothing to learn; choose another"
        )
    if len(found) > min(MOST_CLASSES, len(kept) // 2):
        way_out = "choose another" if column.kind == "text" else "learn it as a number"
        raise InputError(
            f"label {name} of {sheet.name} has {len(found):,} classes in {len(kept):,} rows; "
            f"{way_out}"
        )
    return places.astype(np.float64)


def _classes(column: Column, choice: Choice, kept: NDArray[np.intp]) -> int:
    if column.name not in choice.classes:
        return 1
    return len(np.unique(column.categories()[0][kept]))


def _aimed(
    sheet: Sheet,
    column: Column,
    values: NDArray[np.float64],
    train: int,
    classes: bool,
    notes: list[str],
) -> NDArray[Any]:
    """Classes as they are, and numbers in standard deviations of the training rows."""
    name = quoted(column.name)
    if (values[:train] == values[0]).all():
        raise InputError(
            f"label {name} of {sheet.name} is the same in all rows to train on: there is nothing "
            "to learn; choose another, or add rows"
        )
    if not classes:
        return deviations(values, values[:train]).astype(np.float32)
    unseen = len(np.setdiff1d(values, values[:train]))
    if unseen:
        notes.append(f"{unseen:,} classes of {name} have no row to train on")
    return values.astype(np.int64)


# Inputs.


def _matrix(
    sheet: Sheet,
    columns: Sequence[Column],
    choice: Choice,
    kept: NDArray[np.intp],
    notes: list[str],
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """(N, D) numbers as they are, and a column of 0 and 1 for each category; names of the D."""
    parts: list[NDArray[np.float64]] = []
    names: list[str] = []
    for column in columns:
        lacks = column.missing[kept]
        if lacks.any() and not choice.fill:
            row = int(kept[np.argmax(lacks)]) + 1
            raise InputError(
                f"{sheet.name} row {row} has no value in column {quoted(column.name)}; fill it in, "
                "leave the column out, or choose to have missing inputs filled in"
            )
        as_names = column.kind == "text" or column.name in choice.categories
        if as_names:
            codes = column.categories()[0][kept]
            made = [(codes == code).astype(np.float64) for code in np.unique(codes)]
        else:
            assert column.numbers is not None
            made = [column.numbers[kept] + 0.0]  # a -0 is a 0
        if len(made) == 1 and _constant(made[0]):
            notes.append(f"column {quoted(column.name)} is the same in all rows: it is left out")
            continue
        if lacks.any():
            how = "a category of their own" if as_names else "the mean of the rows to train on"
            many = int(lacks.sum())
            notes.append(
                f"{many:,} missing value{'' if many == 1 else 's'} of {quoted(column.name)} "
                f"{'is' if many == 1 else 'are'} {how}"
            )
        parts += made
        names += [column.name] * len(made)
    if not parts:
        raise InputError(
            f"all inputs of {sheet.name} are the same in all rows: there is nothing to predict "
            "from; choose another column"
        )
    return np.stack(parts, axis=1), tuple(names)


def _constant(values: NDArray[np.float64]) -> bool:
    known = values[~np.isnan(values)]
    return not len(known) or bool((known == known[0]).all())


def _scaled(
    x: NDArray[np.float64], train: int, names: Sequence[str], notes: list[str]
) -> NDArray[np.float32]:
    """Standardised by the training rows; what is missing is their mean, so 0."""
    scaled = np.zeros(x.shape, dtype=np.float32)
    for place, name in enumerate(names):
        column = x[:, place]
        seen = column[:train][~np.isnan(column[:train])]
        if not len(seen) or _constant(seen):
            notes.append(f"column {quoted(name)} has one value in the rows to train on: it is 0")
            continue
        values = deviations(column, seen)
        most = max(_MOST_DEVIATIONS, float(np.nanmax(np.abs(values[:train]))))
        if float(np.nanmax(np.abs(values))) > most:
            notes.append(
                f"column {quoted(name)} has held-out values more than {most:.3g} standard "
                f"deviations from the rows to train on, which count as {most:.3g}"
            )
            values = np.clip(values, -most, most)
        scaled[:, place] = np.nan_to_num(values)
    notes[:] = list(dict.fromkeys(notes))
    return scaled


def _pixels(images: NDArray[Any], choice: Choice) -> NDArray[np.float32]:
    """(N, H, W, C) to (N, C, H, W); grey becomes three channels where the network takes those."""
    moved = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32) + np.float32(0)
    if choice.network == "resnet18" and moved.shape[1] == 1:
        moved = np.repeat(moved, 3, axis=1)
    if choice.network == "cnn" and min(moved.shape[2:]) < 4:
        raise InputError(
            f"images of {moved.shape[2]}×{moved.shape[3]} are too small for the CNN; choose the MLP"
        )
    return moved


def _normalised(x: NDArray[np.float32], train: int) -> NDArray[np.float32]:
    """Each channel by the mean and standard deviation of its pixels in the training images.

    Both are rounded to float32, so that no machine's last bit counts.
    """
    for channel in range(x.shape[1]):
        pixels = x[:train, channel]
        mean = np.float32(pixels.mean(dtype=np.float64))
        deviation = np.float32(pixels.std(dtype=np.float64)) or np.float32(1)
        x[:, channel] = (x[:, channel] - mean) / deviation
    return x


# The split.


def _split(
    sheet: Sheet,
    raw: NDArray[np.float32] | NDArray[np.float64],
    targets: Sequence[NDArray[np.float64]],
    group: Column | None,
    kept: NDArray[np.intp],
) -> list[NDArray[np.intp]]:
    """Rows to train on, validate on and test on: about 70, 15 and 15 % of them, in whole units.

    A unit is a group's rows, or all that have the same inputs.
    """
    rows = row_digests(np.where(np.isnan(raw), np.nan, raw).astype(raw.dtype, copy=False))
    units, noun = rows, "different rows of inputs"
    if group is not None:
        units, noun = _group_digests(sheet, group, kept), f"groups by {quoted(group.name)}"
    ties = [*targets[::-1], rows]
    order = np.lexsort((*ties, units))
    ordered = units[order]
    borders = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(borders) < 2:
        raise InputError(
            f"{sheet.name} has fewer than 3 {noun}; training, validation and test data take one "
            "each"
        )
    first = int(np.argmin(np.abs(borders[:-1] - _SHARES[0] * len(order))))
    second = first + 1
    second += int(np.argmin(np.abs(borders[second:] - _SHARES[1] * len(order))))
    parts = np.split(order, borders[[first, second]])
    # Within a part a beginning is a random choice, which it would not be group after group.
    return [part[np.lexsort([tie[part] for tie in ties])] for part in parts]


def _group_digests(sheet: Sheet, group: Column, kept: NDArray[np.intp]) -> NDArray[np.uint64]:
    _refuse_odd(sheet, group, names=True)
    missing = group.missing[kept]
    if missing.any():
        row = int(kept[np.argmax(missing)]) + 1
        raise InputError(
            f"{sheet.name} row {row} has no value in column {quoted(group.name)}, the group; fill "
            "it in"
        )
    codes, words = group.categories()
    letters = [np.frombuffer(word.encode(), dtype=np.uint8)[None] for word in words]
    each = np.concatenate([row_digests(word) for word in letters])
    found: NDArray[np.uint64] = each[codes[kept]]
    return found


# Names.


def _slugs(columns: Sequence[Column]) -> list[str]:
    """Names of tasks: the letters and digits of their columns', each once."""
    found: list[str] = []
    for column in columns:
        plain = unicodedata.normalize("NFC", column.name)
        plain = re.sub(r"\W+", "_", plain).strip("_")[:50] or "label"
        name, number = plain, 2
        while name in found or name.lower() in _RESERVED:
            name, number = f"{plain}_{number}", number + 1
        found.append(name)
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0][:100] or name[:100]
