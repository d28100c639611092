"""Own data: what a file's columns look like, in words, and what a page offers of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_core import settings
from mtl_core.data import choices, stored
from mtl_core.data.choices import Choice
from mtl_core.data.sheet import MOST_COUNTED, Column, Sheet
from mtl_core.errors import InputError
from mtl_core.runs import Store
from mtl_core.views.phrases import counted

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Offered",
    "balances",
    "columns",
    "looks",
    "offered",
    "removable",
    "remove",
    "settings_offered",
    "split",
    "summary",
]

MOST_SHOWN = 200
"""Columns that a table of columns lists."""
MOST_BALANCES = 12


@dataclass(frozen=True)
class Offered:
    """What may be chosen of a sheet, by name.

    Args:
        labels: columns that can be learned.
        able: those of them that may be taken as names or as numbers; the others are names.
        inputs: columns that can be inputs, labels aside.
        groups: columns that may say to which group an example belongs.
    """

    labels: tuple[str, ...]
    able: tuple[str, ...]
    inputs: tuple[str, ...]
    groups: tuple[str, ...]


def offered(sheet: Sheet, labels: Sequence[str]) -> Offered:
    """What may be chosen, given the labels."""
    known = [column for column in sheet.columns if column.kind != "other"]
    return Offered(
        labels=tuple(column.name for column in known),
        able=tuple(one.name for one in known if one.numbers is not None or one.odd),
        inputs=()
        if sheet.images is not None
        else tuple(column.name for column in known if column.name not in labels),
        groups=tuple(column.name for column in known if column.name not in labels),
    )


def columns(sheet: Sheet) -> "pd.DataFrame":
    """The columns of a file: what each looks like, how many values are missing, and a beginning."""
    import pandas as pd

    rows = [
        {
            "column": column.name,
            "looks like": looks(column),
            "missing": int(column.missing.sum()) if column.kind != "other" else 0,
            "first values": _beginning(column),
        }
        for column in sheet.columns[:MOST_SHOWN]
    ]
    return pd.DataFrame(rows, columns=["column", "looks like", "missing", "first values"])


def looks(column: Column) -> str:
    """What a column looks like, in words."""
    if column.kind == "other":
        return f"{column.odd}; it can't be used"
    many = f"more than {MOST_COUNTED:,}" if column.distinct > MOST_COUNTED else f"{column.distinct}"
    values = f"{many} different"
    kind = {"number": "whole numbers" if column.whole else "numbers", "date": "dates, as days"}
    said = f"{kind.get(column.kind, 'text')}, {values}"
    if column.kind == "text" and column.distinct > choices.MOST_CATEGORIES:
        said += ", too many for an input"
    return f"{said}; {column.odd}" if column.odd else said


def split(sheet: Sheet) -> str:
    """About how many rows each part of the split has."""
    train, held_out = round(0.7 * sheet.rows), round(0.15 * sheet.rows)
    return (
        f"About {train:,} rows are trained on, {held_out:,} validate, and {held_out:,} test; equal "
        "rows of inputs, and all rows of a group, are on one side."
    )


def summary(sheet: Sheet) -> str:
    """How much there is in a file."""
    what = f"{sheet.rows:,} {'examples' if sheet.images is not None else 'rows'}"
    if sheet.images is not None:
        _, height, width, channels = sheet.images.shape
        what += f", {height}×{width} images of {counted(channels, 'channel')}"
    return f"{what}, {counted(len(sheet.columns), 'column')}"


def balances(sheet: Sheet, choice: Choice) -> list[str]:
    """Classes and their rows, or the range, of the first labels: a line each."""
    lines = []
    for name in choice.labels[:MOST_BALANCES]:
        column, classes = sheet.column(name), name in choice.classes
        if not classes and column.numbers is None:
            continue
        found = choices.balance(sheet, name, classes=classes)
        if not classes:
            lines += [f"{name}: a number, {words}, in {count:,} rows" for words, count in found]
            continue
        of = len(column.categories()[1])
        said = ", ".join(f"{words} ({count:,})" for words, count in found)
        more = f", and {of - len(found)} more" if of > len(found) else ""
        lines.append(f"{name}: {of} class{'' if of == 1 else 'es'}: {said}{more}")
    return lines


def settings_offered(current: str, *, shared: bool, known: Sequence[str] = ()) -> list[str]:
    """The settings that a page offers.

    On a shared server a visitor is offered nothing that others have brought.

    Args:
        current: the one that is shown.
        known: own data that this visitor has added.
    """
    every = settings.names()
    mine = {current, *known}
    found = [name for name in every if not (shared and stored.is_name(name)) or name in mine]
    return found if current in found else [*found, current]


def _beginning(column: Column) -> str:
    """The first values of a column, for its owner."""
    if column.numbers is not None:
        return ", ".join(f"{value:g}" for value in column.numbers[:4].tolist())
    assert column.codes is not None
    return ", ".join(column.words[code][:20] if code >= 0 else "–" for code in column.codes[:4])


def removable() -> dict[str, str]:
    """Own data whose arrays are on this machine: its name to what a reader chooses it by."""
    found = {}
    for name in stored.names():
        file, described = stored.data_file(name), stored.find(name)
        if described is not None and file.is_file():
            found[name] = f"{described.title}, {file.stat().st_size / 1e6:,.1f} MB"
    return found


def remove(name: str, store: Store) -> str:
    """Takes own data off this machine; a sentence on what stays.

    Runs on it stay, and with them its description, without which they could not be shown.

    Raises:
        InputError: where it is not here, or while runs on it are queued or under way.
    """
    described = stored.find(name)
    title = name if described is None else described.title
    runs = [one for one in store.runs() if name in str(one.config.to_dict())]
    if active := sum(one.active for one in runs):
        raise InputError(
            f"{counted(active, 'run')} on {title} {'is' if active == 1 else 'are'} queued or under "
            "way; stop what you do not need, or wait for the end"
        )
    stored.remove(name, keep_description=bool(runs))
    if not runs:
        return f"{title} was removed."
    return f"{title} was removed; {counted(len(runs), 'run')} on it can still be looked at."
