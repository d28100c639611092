"""Rows as a DataFrame."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from mtl_core.trajectory import COLUMNS, SIDE_TABLES, Row

__all__ = ["as_side", "as_tidy", "side_frame", "to_frame"]

_WORDS = ("setting", "run", "optimizer", "task", "role", "other")
_TYPES = dict.fromkeys(_WORDS, "str") | {"seed": "int64", "step": "int64"}


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """A tidy table with the columns of ``trajectory.COLUMNS``, also for no rows at all.

    Ordered by seed, step and role, the target first; what was not measured is NaN.
    """
    return as_tidy(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def side_frame(name: str, rows: Iterable[Mapping[Any, Any]]) -> pd.DataFrame:
    """A table of ``trajectory.SIDE_TABLES`` with its columns, also for no rows at all."""
    return as_side(name, pd.DataFrame(list(rows), columns=list(SIDE_TABLES[name])))


def as_side(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the types and in the order of ``side_frame``.

    Raises:
        ValueError, TypeError: when a column is of another kind.
    """
    columns = SIDE_TABLES[name]
    typed = frame.astype({column: _TYPES.get(column, "float64") for column in columns})
    order = [column for column in ("seed", "step", "task", "other") if column in columns]
    return typed.sort_values(order).reset_index(drop=True)


def as_tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the types and in the order of ``to_frame``.

    Raises:
        ValueError, TypeError: when a column is of another kind.
    """
    types = {name: _TYPES.get(name, "float64") for name in COLUMNS}
    ordered = frame.astype(types).sort_values(
        ["seed", "step", "role", "task"], ascending=[True, True, False, True]
    )
    return ordered.reset_index(drop=True)
