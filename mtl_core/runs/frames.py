"""Rows as a DataFrame."""

from collections.abc import Iterable

import pandas as pd

from mtl_core.trajectory import COLUMNS, COSINES, Cosine, Row

__all__ = ["as_cosines", "as_tidy", "cosine_frame", "to_frame"]

_TYPES = {"setting": "str", "run": "str", "optimizer": "str", "task": "str", "role": "str"} | {
    "seed": "int64",
    "step": "int64",
}


def to_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """A tidy table with the columns of ``trajectory.COLUMNS``, also for no rows at all.

    Ordered by seed, step and role, the target first; what was not measured is NaN.
    """
    return as_tidy(pd.DataFrame(list(rows), columns=list(COLUMNS)))


def cosine_frame(cosines: Iterable[Cosine]) -> pd.DataFrame:
    """A table with the columns of ``trajectory.COSINES``, also for none at all."""
    return as_cosines(pd.DataFrame(list(cosines), columns=list(COSINES)))


def as_cosines(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows with the types and in the order of ``cosine_frame``."""
    types = {"seed": "int64", "step": "int64", "task": "str", "other": "str"}
    typed = frame.astype({name: types.get(name, "float64") for name in COSINES})
    return typed.sort_values(["seed", "step", "task", "other"]).reset_index(drop=True)


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
