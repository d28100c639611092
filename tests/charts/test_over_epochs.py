import math
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest

from mtl_core.charts import Curve, over_epochs_chart

Trajectories = Callable[..., pd.DataFrame]


def test_the_band_is_the_mean_over_seeds_at_each_checkpoint(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    rows = _rows(_chart(trajectories(4), curves, column="test_metric"), 0)
    last = rows[rows["curve"] == "single task"].iloc[-1]
    assert last["epoch"] == 1.0
    assert last["value"] == pytest.approx(0.9 - 0.8 * 0.8**2 + 0.01)
    assert (last["low"], last["high"]) == (
        pytest.approx(last["value"] - 0.02),
        pytest.approx(last["value"] + 0.02),
    )


def test_a_factor_shows_where_it_was_due(trajectories: Trajectories, curves: list[Curve]) -> None:
    rows = _rows(_chart(trajectories(7), curves, column="sharpness"), 0)
    assert rows[rows["curve"] == "+ digits2"]["epoch"].tolist() == [0.5, 1.5, 2.5]
    assert rows["value"].iloc[0] == pytest.approx(0.1)


def test_a_log_band_stays_above_zero(trajectories: Trajectories, curves: list[Curve]) -> None:
    frame = trajectories(4)
    # Mean 1, standard deviation √3: mean − 2 SD is far below 0.
    frame["train_loss"] = frame["seed"].map({0: 0.0, 1: 0.0, 2: 3.0})
    rows = _rows(_chart(frame, curves, column="train_loss", log_y=True), 0)
    assert rows["low"].tolist() == pytest.approx([0.1] * len(rows))
    linear = _rows(_chart(frame, curves, column="train_loss"), 0)
    assert linear["low"].tolist() == pytest.approx([1 - 2 * 3**0.5] * len(linear))


def test_a_log_line_breaks_where_a_factor_is_zero_or_below(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(14)
    # 8, 4, 0 and −4.
    chart = _chart(frame, curves[:1], column="gradient_covariance", log_y=True)
    line = _rows(chart, 0)
    assert line["epoch"].tolist() == [0, 2, 4, 6]
    assert line["value"].tolist() == pytest.approx([8, 4, math.nan, math.nan], nan_ok=True)
    assert line["low"].isna().tolist() == line["high"].isna().tolist() == [False] * 2 + [True] * 2
    assert _rows(chart, -1)["value"].tolist() == [8, 4]
    linear = _chart(frame, curves[:1], column="gradient_covariance")
    assert (
        _rows(linear, 0)["value"].tolist() == _rows(linear, -1)["value"].tolist() == [8, 4, 0, -4]
    )


def test_only_a_loss_is_drawn_as_at_least_its_floor(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(4).assign(train_loss=0.0, fisher_trace=1e-9)
    assert set(_rows(_chart(frame, curves, column="train_loss", log_y=True), 0)["value"]) == {1e-12}
    fisher = _rows(_chart(frame, curves, column="fisher_trace", log_y=True), 0)
    assert set(fisher["value"]) == {1e-9}


def test_a_factor_that_was_never_due_draws_nothing(
    trajectories: Trajectories, curves: list[Curve], skeleton: Callable[[alt.LayerChart], str]
) -> None:
    frame = trajectories(9)
    chart = _chart(frame, curves, column="fisher_trace", log_y=True)
    assert _rows(chart, 0).empty
    assert _rows(chart, -1).empty
    due = frame.assign(fisher_trace=frame["sharpness"])
    assert skeleton(chart) == skeleton(_chart(due, curves, column="fisher_trace", log_y=True))


def test_scales(trajectories: Trajectories, curves: list[Curve]) -> None:
    frame = trajectories(4)
    encoding = _chart(frame, curves, column="train_loss", log_y=True).to_dict()["layer"][1][
        "encoding"
    ]
    assert encoding["x"]["scale"]["type"] == "sqrt"
    assert encoding["y"]["scale"]["type"] == "log"
    assert encoding["y"]["axis"]["title"] == "value"
    plain = _chart(frame, curves, column="train_loss").to_dict()["layer"][1]["encoding"]
    assert plain["y"]["scale"].get("type", "linear") == "linear"


def test_only_the_curves_asked_for_are_drawn(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    chart = _chart(trajectories(4), curves[1:2], column="val_metric")
    assert set(_rows(chart, 0)["curve"]) == set(_rows(chart, -1)["curve"]) == {"+ digits2"}


def _chart(frame: pd.DataFrame, curves: list[Curve], **options: Any) -> alt.LayerChart:
    return over_epochs_chart(frame, curves, **({"task": "digits1", "title": "value"} | options))


def _rows(chart: alt.LayerChart, layer: int) -> pd.DataFrame:
    spec = chart.to_dict()
    return pd.DataFrame(spec["datasets"][spec["layer"][layer]["data"]["name"]])
