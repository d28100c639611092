"""Fronts as tables, and as arrays in the store."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.front import FRONT_COLUMNS, TRANSFER_COLUMNS, Front

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LEAST",
    "as_front",
    "as_transfers",
    "front_table",
    "packed",
    "transfer_table",
    "unpacked",
]

Arrays = dict[str, NDArray[Any]]
LEAST = 1e-9
"""The least share that is kept of a transfer matrix."""

_VALUES = ("train", "test", "metrics", "matrix", "solutions")
_TYPES = {
    "seed": "int64",
    "step": "int64",
    "evaluations": "int64",
    "solution": "int64",
    "other": "int64",
    "objective": "str",
}


def packed(front: Front) -> Arrays:
    """What a front measured, without its state."""
    arrays = {name: getattr(front, name) for name in _VALUES if getattr(front, name) is not None}
    numbers = {"evaluations": front.evaluations, "seconds": front.seconds}
    return arrays | {name: np.array(value) for name, value in numbers.items()}


def unpacked(seed: int, step: int, arrays: Mapping[str, NDArray[Any]]) -> Front:
    """Inverse of ``packed``; the front has no state."""
    return Front(
        seed=seed,
        step=step,
        evaluations=int(arrays["evaluations"]),
        seconds=float(arrays["seconds"]),
        train=arrays["train"],
        test=arrays.get("test"),
        metrics=arrays.get("metrics"),
        matrix=arrays["matrix"],
        solutions=arrays.get("solutions"),
        state={},
    )


def front_table(config: ParetoConfig, fronts: Iterable[Front]) -> "pd.DataFrame":
    """Losses and metrics of fronts with the columns of ``front.FRONT_COLUMNS``, seeds first."""
    import pandas as pd

    names = [objective.name for objective in config.definition.objectives]
    parts: list[pd.DataFrame] = []
    for front in fronts:
        solutions, objectives = front.train.shape
        nothing = np.full(front.train.shape, np.nan)
        parts.append(
            pd.DataFrame(
                {
                    "seed": front.seed,
                    "step": front.step,
                    "evaluations": front.evaluations,
                    "seconds": front.seconds,
                    "solution": np.repeat(np.arange(solutions), objectives),
                    "objective": names * solutions,
                    "train_loss": front.train.ravel(),
                    "test_loss": (nothing if front.test is None else front.test).ravel(),
                    "metric": (nothing if front.metrics is None else front.metrics).ravel(),
                }
            )
        )
    return as_front(pd.concat(parts) if parts else pd.DataFrame(columns=list(FRONT_COLUMNS)))


def transfer_table(fronts: Iterable[Front]) -> "pd.DataFrame":
    """Transfer matrices with the columns of ``front.TRANSFER_COLUMNS``.

    Shares below ``LEAST`` are left out: a wide neighbourhood has thousands, which are nothing.
    """
    import pandas as pd

    parts: list[pd.DataFrame] = []
    for front in fronts:
        solution, other = np.nonzero(front.matrix >= LEAST)
        parts.append(
            pd.DataFrame(
                {
                    "seed": front.seed,
                    "step": front.step,
                    "solution": solution,
                    "other": other,
                    "share": front.matrix[solution, other],
                }
            )
        )
    return as_transfers(pd.concat(parts) if parts else pd.DataFrame(columns=list(TRANSFER_COLUMNS)))


def as_front(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The same rows with the types and in the order of ``front_table``.

    Raises:
        ValueError, TypeError: when a column is of another kind.
    """
    typed = _typed(frame, FRONT_COLUMNS)
    # Objectives stay in the problem's order, which is theirs within a solution.
    order = ["seed", "step", "solution"]
    return typed.sort_values(order, kind="stable").reset_index(drop=True)


def as_transfers(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The same rows with the types and in the order of ``transfer_table``.

    Raises:
        ValueError, TypeError: when a column is of another kind.
    """
    order = ["seed", "step", "solution", "other"]
    return _typed(frame, TRANSFER_COLUMNS).sort_values(order).reset_index(drop=True)


def _typed(frame: "pd.DataFrame", columns: tuple[str, ...]) -> "pd.DataFrame":
    return frame[list(columns)].astype({name: _TYPES.get(name, "float64") for name in columns})
