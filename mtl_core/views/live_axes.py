"""Axes for curves that grow: they stand from the first moment on, and only ever extend."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mtl_core import settings
from mtl_core.analysis import LOSS_FLOOR
from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answers
from mtl_core.settings.base import METRIC_RANGES
from mtl_core.views.panel import Panel

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.charts.frame import Frame

__all__ = ["live_axes"]

FURTHER = 20
"""How far below chance the loss is expected to fall where no finished run says it."""
FEWER = 10
"""How many times fewer errors than at chance are expected there."""


def live_axes(panel: Panel, preset: str, answers: Answers) -> "Frame":
    """What the target's curves need, and while runs go on what they will need.

    It reaches as far as any seed of the panel has come. While runs go on also as far as the
    finished runs of the same target and budget, alone, which are known; without them from chance to
    what a small network may learn. So it only ever extends.
    """
    from mtl_core.charts.frame import Frame

    base = panel.baseline.config
    tables = [panel.trajectories]
    live = any(one.answer.active for one in panel.shown)
    at_chance = None
    if live:
        usual = answers.find_id(RunConfig.from_preset(base.setting, preset, target=base.target).id)
        if usual is not None and usual.done:
            tables.append(answers.main(usual))
        else:
            at_chance = _chance(base.setting, base.target)
    rows = [table[table["task"] == base.target] for table in tables if len(table)]
    losses, values = _ends(rows, "train_loss"), _ends(rows, "test_metric")
    if at_chance is not None:
        losses += at_chance.losses
        values += at_chance.values
    if not losses or not values:
        return Frame((), (), cut=live)
    least, most = (max(end(losses), LOSS_FLOOR) for end in (min, max))
    return Frame((least, most), (min(values), max(values)), cut=live)


def _ends(tables: "Iterable[pd.DataFrame]", column: str) -> list[float]:
    """The least and the largest of each table."""
    columns = [rows[column].dropna() for rows in tables]
    return [float(end) for one in columns if len(one) for end in (one.min(), one.max())]


def _chance(setting: str, target: str) -> "Frame | None":
    """From chance on; None where chance is not known, as for a regression."""
    from mtl_core.charts.frame import Frame

    task = settings.get(setting).task(target)
    if task.loss != "cross_entropy" or METRIC_RANGES[task.metric] != (0, 1):
        return None
    loss, share = math.log(task.classes), 1 / task.classes
    return Frame((loss / FURTHER, loss * 1.1), (share, 1 - (1 - share) / FEWER))
