"""Rows as a DataFrame."""

from collections.abc import Iterable

import pandas as pd

from mtl_core.trajectory import COLUMNS, Row

__all__ = ["as_tidy", "to_frame"]

_TYPES = {"setting": "str", "run": "str", "optimizer": "str", "task": "str", "role": "str"} | {
    "seed": "int64",
    "step": "int64",
}


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """A tidy table with the columns of ``trajectory.COLUMNS``, also for no rows at all.

    Ordered by seed, step and role, the target first; what was not measured is NaN.
    """
    return as_tidy(pd.DataFrame(list(rows), columns=list(COLUMNS)))


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
