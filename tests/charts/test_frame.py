"""Frames: axes reach as far, bands end there, and the specification does not know of it."""

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest

from mtl_core.charts import Curve, Frame, generalization_chart

Trajectories = Callable[..., pd.DataFrame]


def _chart(rows: pd.DataFrame, curves: list[Curve], frame: Frame | None) -> alt.LayerChart:
    return generalization_chart(
        rows, curves, task="digits1", metric_title="test accuracy E", frame=frame
    )


def _labels(scene: Callable[..., Any], chart: alt.LayerChart) -> list[str]:
    return [item["text"] for item in scene(chart, "text", role="axis-label") if item["text"]]


def test_axes_are_the_same_from_the_first_row_to_the_last(
    trajectories: Trajectories, curves: list[Curve], scene: Callable[..., Any]
) -> None:
    frame = Frame((0.05, 2.5), (0.02, 0.97), cut=True)
    seen = {
        tuple(_labels(scene, _chart(trajectories(count), curves, frame))) for count in (2, 4, 9, 14)
    }
    (labels,) = seen
    assert {"0.05", "2"} <= set(labels)
    free = {tuple(_labels(scene, _chart(trajectories(count), curves, None))) for count in (2, 14)}
    assert len(free) == 2, "without one they move"


def test_bands_end_at_a_frame_that_cuts(
    trajectories: Trajectories, curves: list[Curve], rows: Callable[..., pd.DataFrame]
) -> None:
    least, most = 0.1, 0.6
    loose = rows(_chart(trajectories(9), curves, Frame((0.1, 2), (least, most))), "area")
    cut = rows(_chart(trajectories(9), curves, Frame((0.1, 2), (least, most), cut=True)), "area")
    # As errors: what is high in accuracy is low.
    assert loose["high"].min() < 1 - most - 1e-9
    assert cut["high"].min() == pytest.approx(1 - most)
    assert cut["value"].tolist() == loose["value"].tolist()


def test_the_specification_does_not_depend_on_it(
    trajectories: Trajectories, curves: list[Curve], skeleton: Callable[[alt.LayerChart], str]
) -> None:
    frames = [
        Frame((), ()),
        Frame((0.1, 2.0), (0.1, 0.9)),
        Frame((0.01, 2.0), (0.1, 0.95), cut=True),
    ]
    ticks = [
        _chart(trajectories(count), curves, one)
        for count, one in zip((0, 2, 9), frames, strict=True)
    ]
    assert len({skeleton(chart) for chart in ticks}) == 1
    for chart in ticks:
        chart.to_dict(validate=True)
