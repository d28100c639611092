"""Whether tables can be those of a training experiment; a file may come from anywhere."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mtl_core import factors, settings
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.settings.base import METRIC_RANGES
from mtl_core.trajectory import COLUMNS, FACTORS, SIDE_TABLES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["check"]

_WORDS = ("setting", "auxiliaries", "optimizer", "task", "role")
_METRICS = ("val_metric", "test_metric")
Columns = Mapping[str, Any]


def check(config: RunConfig, tables: "Mapping[str, pd.DataFrame]", finished: bool) -> None:
    """Raises InputError for tables that cannot be those of this experiment and its seeds."""
    # Plain arrays: dozens of artifacts ship, and all are checked before the first page shows.
    table = tables["trajectory"]
    column = {name: table[name].to_numpy() for name in COLUMNS}
    _check_places(config, column, finished)
    _check_numbers(column)
    _check_ranges(config, column)
    for name in SIDE_TABLES:
        if len(tables[name]):
            _check_side(config, name, tables[name])


def _check_places(config: RunConfig, column: Columns, finished: bool) -> None:
    seeds, steps, tasks = column["seed"], column["step"], column["task"]
    if set(seeds) != set(config.seeds) or set(tasks) != set(config.tasks):
        raise InputError("its seeds or tasks are not those of its config")
    label = {"auxiliaries": config.auxiliaries_label}
    for name in ("setting", "auxiliaries", "optimizer"):
        if set(column[name]) != {label.get(name) or getattr(config, name)}:
            raise InputError("its setting, auxiliaries or optimizer is not that of its config")
    if ((tasks == config.target) != (column["role"] == "target")).any():
        raise InputError("its roles are not those of its config")
    ends: dict[tuple[int, str], int] = {}
    places = list(zip(seeds.tolist(), tasks.tolist(), steps.tolist(), strict=True))
    for seed, task, step in places:
        ends[seed, task] = max(step, ends.get((seed, task), 0))
    if len(set(places)) < len(places):
        raise InputError("it has two rows for one seed, step and task")
    if not ((steps >= 0) & (steps <= config.steps)).all():
        raise InputError(f"it has steps outside 0 and {config.steps}")
    if finished and set(ends.values()) != {config.steps}:
        raise InputError(f"it ends before step {config.steps} without saying why")


def _check_numbers(column: Columns) -> None:
    counted = [name for name in COLUMNS if name not in (*_WORDS, *_METRICS, *FACTORS)]
    known = np.stack([column[name] for name in counted]).astype(float)
    metrics = np.stack([column[name] for name in _METRICS]).astype(float)
    measured = np.stack([column[name] for name in FACTORS]).astype(float)
    if np.isnan(known).any() or np.isnan(metrics).any():
        raise InputError("it has missing values")
    if any(np.isinf(values).any() for values in (known, metrics, measured)) or (known < 0).any():
        raise InputError("it has impossible values")


def _check_ranges(config: RunConfig, column: Columns) -> None:
    setting = settings.get(config.setting)
    metrics = np.stack([column[name] for name in _METRICS]).astype(float)
    for task in map(setting.task, config.tasks):
        low, high = METRIC_RANGES[task.metric]
        own = metrics[:, column["task"] == task.name]
        if own.min() < low or own.max() > high:
            name = task.metric.replace("_", " ")
            raise InputError(f"its {name} of {task.name} is outside {low:g} and {high:g}")
    for name in FACTORS:
        factor = factors.get(name)
        if not factor.allows(column[name]):
            raise InputError(f"its {factor.title} is outside {factor.least:g} and {factor.most:g}")


def _check_side(config: RunConfig, name: str, rows: "pd.DataFrame") -> None:
    tasks = set(rows["task"]) | set(rows.get("other", ()))
    if not tasks <= set(config.tasks):
        raise InputError(f"the tasks of {name}.parquet are not those of its config")
    cosines = rows["cosine" if name == "cosines" else "cosine_to_sum"].dropna()
    sound = [set(rows["seed"]) <= set(config.seeds), cosines.between(-1, 1).all()]
    if name == "updates":
        sound += [rows["weight"].notna().all(), not (rows["norm_ratio"] < 0).any()]
    if not all(sound):
        raise InputError(f"{name}.parquet has impossible values")
