"""Axes for curves that grow: they stand from the first point on, and only ever extend."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mtl_core.analysis import LOSS_FLOOR
from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answers
from mtl_core.views.panel import Panel

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Span", "live_axes"]

Span = tuple[float, float]
"""The least and the largest value of an axis."""


def live_axes(panel: Panel, preset: str, answers: Answers) -> tuple[Span, Span] | None:
    """The losses and the metrics that the target's curves will need, while runs go on.

    As far as the finished runs of the same target and budget got, alone, which are known; and
    further where the panel's own curves have got further.

    Returns:
        None where nothing goes on, or no finished run says how far such runs get.
    """
    if not any(one.answer.active for one in panel.shown):
        return None
    base = panel.baseline.config
    usual = answers.find_id(RunConfig.from_preset(base.setting, preset, target=base.target).id)
    if usual is None or not usual.done:
        return None
    tables = [answers.main(usual), panel.trajectories]
    own = [rows[rows["task"] == base.target] for rows in tables if len(rows)]
    low, high = _span(own, "train_loss")
    return (max(low, LOSS_FLOOR) / 1.2, high * 1.1), _span(own, "test_metric")


def _span(tables: "Iterable[pd.DataFrame]", column: str) -> Span:
    values = [rows[column].dropna() for rows in tables]
    found = [one for one in values if len(one)]
    return float(min(one.min() for one in found)), float(max(one.max() for one in found))
