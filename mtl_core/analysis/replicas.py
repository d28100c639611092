"""Replicas: the trajectories of one curve, one per seed."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from mtl_core.trajectory import whole_epochs

__all__ = ["Rows", "numbers", "replicas", "seed_numbers", "shared_epoch", "whole", "whole_numbers"]

Array = npt.NDArray[np.float64]
Rows = pd.DataFrame | Mapping[str, list[pd.DataFrame]]
"""Trajectories, or what ``replicas`` makes of them."""


def replicas(trajectories: pd.DataFrame, task: str) -> dict[str, list[pd.DataFrame]]:
    """A task's rows in step order, split by curve and seed.

    Curves come in order of appearance, their replicas in order of seed. Every curve has a replica
    and every replica a row: a curve without rows of the task is absent.
    """
    # A run that has not measured anything yet may come as a frame without columns.
    if trajectories.empty:
        return {}
    rows = trajectories[trajectories["task"] == task].sort_values("step", kind="stable")
    curves: dict[str, list[pd.DataFrame]]
    curves = {str(curve): [] for curve in trajectories["curve"].unique()}
    for (curve, _), replica in rows.groupby(["curve", "seed"], observed=True):
        curves[str(curve)].append(replica)
    return {curve: seeds for curve, seeds in curves.items() if seeds}


def numbers(replica: pd.DataFrame, column: str) -> Array:
    """A column as floats, (checkpoints,): NaN where it was not measured or is absent."""
    if column not in replica:
        return np.full(len(replica), np.nan)
    return replica[column].to_numpy(dtype=float)


def whole_numbers(replica: pd.DataFrame, *columns: str, until: float = np.inf) -> list[Array]:
    """``numbers`` of columns at the end of whole epochs up to ``until``, without the other columns.

    Taking a frame's rows costs more than all that a page then computes of them.
    """
    kept = whole_epochs(replica)
    if until < np.inf:
        kept = kept & (replica["epoch"].to_numpy() <= until)
    return [numbers(replica, column)[kept] for column in columns]


def shared_epoch(seeds: Sequence[pd.DataFrame]) -> float:
    """The epoch that each of these replicas, at least one, has reached.

    Of a live run, like is compared with like up to there. (Epochs, not steps, so that curves with
    other batch sizes are read to their ends too; otherwise they agree.)
    """
    return min(float(replica["epoch"].max()) for replica in seeds)


def seed_numbers(seeds: Sequence[pd.DataFrame]) -> list[int]:
    """The seed of each of these replicas."""
    return [int(replica["seed"].iloc[0]) for replica in seeds]


def whole(replica: pd.DataFrame) -> pd.DataFrame:
    """Its checkpoints at the end of whole epochs, which are those that the paper has."""
    return replica[whole_epochs(replica)]
