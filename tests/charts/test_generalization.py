from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest

from mtl_core.charts import Curve, generalization_chart

Trajectories = Callable[..., pd.DataFrame]


def test_points_are_the_means_of_checkpoints(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    points = _rows(_chart(trajectories(4), curves), "point")
    # Seed 2 has three checkpoints, so there are three that all seeds have.
    assert points.groupby("curve").size().tolist() == [3, 3, 3]
    first = points[(points["curve"] == "+ digits2") & (points["step"] == 10)].iloc[0]
    assert first["epoch"] == 0.5
    assert first["train_loss"] == pytest.approx(2.3 * 0.8 * 1.01)
    accuracy = 0.9 - 0.8 * 0.8 + 0.01 - 0.02
    assert first["metric"] == pytest.approx(accuracy)
    # Accuracy is drawn by its error, on a log scale.
    assert first["value"] == pytest.approx(1 - accuracy)
    assert first["spread"] == pytest.approx(2 * 0.01)
    assert first["seeds"] == 3
    assert first["shape"] == curves[1].shape


def test_the_line_is_read_at_equal_loss(trajectories: Trajectories, curves: list[Curve]) -> None:
    line = _rows(_chart(trajectories(4), curves), "line")
    of_first = line[line["curve"] == "single task"]
    # From the lowest first loss down to the loss that the lagging seed has reached.
    assert of_first["train_loss"].max() == pytest.approx(2.3)
    assert of_first["train_loss"].min() == pytest.approx(2.3 * 0.8**2 * 1.02)
    # As errors, so what is low in accuracy is high.
    assert (of_first["low"] > of_first["value"]).all()
    assert (of_first["high"] < of_first["value"]).all()


def test_seeds_have_lines_of_their_own_when_asked(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(4)
    seeds = _rows(_chart(frame, curves, per_seed=True), "line")
    assert len(seeds) == len(frame)
    assert seeds["value"].tolist() == pytest.approx((1 - frame["test_metric"]).tolist())
    layers = _chart(frame, curves).to_dict()["layer"]
    assert [layer["mark"]["type"] for layer in layers] == ["area", "line", "point", "point"]


def test_only_the_curves_and_the_task_asked_for_are_drawn(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(4)
    assert set(_rows(_chart(frame, curves[:1]), "point")["curve"]) == {"single task"}
    frame.loc[frame["curve"] == "single task", "task"] = "digits2"
    assert set(_rows(_chart(frame, curves), "point")["curve"]) == {"+ digits2", "+ noisy_digits"}


def test_training_moves_right_on_a_log_axis(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    line = _layer(_chart(trajectories(4), curves).to_dict(), "line")
    x, y = line["encoding"]["x"], line["encoding"]["y"]
    assert (x["scale"]["type"], x["scale"]["reverse"]) == ("log", True)
    assert x["axis"]["title"] == "training loss L (log) — training moves right →"
    assert (y["scale"]["type"], y["scale"]["reverse"]) == ("log", True)
    assert y["axis"]["title"] == "test accuracy E (log error)"
    assert "1 - datum.value" in y["axis"]["labelExpr"]
    plain = _chart(trajectories(4), curves, metric_format=".3~g").to_dict()
    encoding = _layer(plain, "line")["encoding"]["y"]
    assert encoding["axis"]["title"] == "test accuracy E"
    assert "type" not in encoding["scale"]


def test_a_perfect_accuracy_has_a_place_on_the_log_axis(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(4)
    frame["test_metric"] = 1.0
    points = _rows(_chart(frame, curves), "point")
    assert (points["value"] == 1e-3).all()
    assert (points["metric"] == 1.0).all()


def test_hovering_tells_what_a_point_is(trajectories: Trajectories, curves: list[Curve]) -> None:
    hover = _chart(trajectories(4), curves).to_dict()["layer"][-1]
    titles = [tip["title"] for tip in hover["encoding"]["tooltip"]]
    expected = ["curve", "epoch", "step", "training loss L", "test accuracy E", "± 2 SD", "seeds"]
    assert titles == expected


def test_a_loss_of_zero_has_a_place_on_the_log_axis(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(4)
    frame.loc[frame["step"] == 20, "train_loss"] = 0.0
    assert (_rows(_chart(frame, curves), "point")["train_loss"] > 0).all()
    assert (_rows(_chart(frame, curves, per_seed=True), "line")["train_loss"] > 0).all()


def _chart(frame: pd.DataFrame, curves: list[Curve], **options: Any) -> alt.LayerChart:
    options = {"task": "digits1", "metric_title": "test accuracy E"} | options
    return generalization_chart(frame, curves, **options)


def _layer(spec: dict[str, Any], mark: str) -> dict[str, Any]:
    return next(layer for layer in spec["layer"] if layer["mark"]["type"] == mark)


def _rows(chart: alt.LayerChart, mark: str) -> pd.DataFrame:
    """The data of the first layer with a mark."""
    spec = chart.to_dict()
    return pd.DataFrame(spec["datasets"][_layer(spec, mark)["data"]["name"]])
