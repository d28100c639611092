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
