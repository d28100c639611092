from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest

from mtl_core.charts import Curve, generalization_chart, over_loss_chart

Trajectories = Callable[..., pd.DataFrame]
Rows = Callable[..., pd.DataFrame]
Scene = Callable[..., list[dict[str, Any]]]


def test_the_hero_is_the_test_metric_over_loss(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    frame = trajectories(5)
    hero = generalization_chart(frame, curves, task="digits1", metric_title="accuracy", name="x")
    options = {"value_format": "%", "height": 420, "name": "x", "title": "accuracy"}
    assert _chart(frame, curves, column="test_metric", **options).to_dict() == hero.to_dict()


def test_points_are_where_a_factor_was_measured(
    trajectories: Trajectories, curves: list[Curve], rows: Rows
) -> None:
    points = rows(_chart(trajectories(7), curves, column="sharpness"), "point")
    of_first = points[points["curve"] == "single task"]
    assert of_first["step"].tolist() == [10, 30, 50]
    assert of_first["train_loss"].tolist() == pytest.approx(
        [2.3 * 0.8**step * 1.01 for step in (1, 3, 5)]
    )
    assert of_first["value"].tolist() == pytest.approx([0.1 * step**0.5 for step in (1, 3, 5)])


def test_the_line_spans_the_losses_with_measurements(
    trajectories: Trajectories, curves: list[Curve], rows: Rows
) -> None:
    line = rows(_chart(trajectories(7), curves, column="sharpness"), "line")
    of_first = line[line["curve"] == "single task"]
    assert of_first["train_loss"].max() == pytest.approx(2.3 * 0.8)
    # Seed 2 has the highest loss at the last checkpoint that all of them have.
    assert of_first["train_loss"].min() == pytest.approx(2.3 * 0.8**5 * 1.02)
    assert of_first["train_loss"].is_monotonic_decreasing
    # Seeds that have equal values at different losses differ at equal loss.
    assert (of_first["high"] > of_first["low"]).any()


def test_a_value_of_zero_or_below_is_not_drawn_on_a_log_axis(
    trajectories: Trajectories, curves: list[Curve], rows: Rows, scene: Scene
) -> None:
    # 8, 4, 0 and −4 at the steps 0, 40, 80 and 120.
    chart = _chart(trajectories(14), curves[:1], column="gradient_covariance", log_y=True)
    points, line = rows(chart, "point"), rows(chart, "line")
    assert set(points["value"]) == {8.0, 4.0}
    drawn = line.dropna(subset=["value"])
    # On its way to 0 the line would take the axis down with it.
    assert drawn["value"].min() >= 2
    assert drawn["low"].min() >= 0.2
    assert line["low"].isna().equals(line["value"].isna())
    marks = scene(chart, "symbol")
    assert len(marks) == 2 * len(points)  # seen, and for hovering
    assert all(0 < item["y"] < chart.to_dict()["height"] for item in marks)
    # From 0.2 to 8 and a little: no further decades.
    assert {item["text"] for item in scene(chart, "text", role="axis-label")} >= {"5", "2", "1"}


def test_a_linear_axis_has_values_below_zero(
    trajectories: Trajectories, curves: list[Curve], rows: Rows
) -> None:
    chart = _chart(trajectories(14), curves[:1], column="gradient_covariance")
    assert set(rows(chart, "point")["value"]) == {8.0, 4.0, 0.0, -4.0}
    assert rows(chart, "line")["value"].notna().all()


@pytest.mark.parametrize("log_y", [False, True])
def test_nothing_measured_and_nothing_drawable_keep_the_specification(
    log_y: bool,
    trajectories: Trajectories,
    curves: list[Curve],
    rows: Rows,
    scene: Scene,
    skeleton: Callable[[alt.LayerChart], str],
) -> None:
    frame = trajectories(9)
    skeletons = set()
    for values in (frame["sharpness"], None, 0.0, -1.0):
        changed = frame.assign(fisher_trace=values)
        chart = _chart(changed, curves, column="fisher_trace", log_y=log_y)
        skeletons.add(skeleton(chart))
        if values is None or (log_y and isinstance(values, float)):
            assert rows(chart, "point").empty
            assert not rows(chart, "line").get("value", pd.Series()).notna().any()
        assert len(scene(chart, "text", role="legend-label")) == 3
    assert len(skeletons) == 1


def test_seeds_have_lines_through_their_measurements(
    trajectories: Trajectories, curves: list[Curve], rows: Rows
) -> None:
    frame = trajectories(7)
    seeds = rows(_chart(frame, curves, column="sharpness", per_seed=True), "line")
    assert len(seeds) == frame["sharpness"].notna().sum()
    assert set(seeds["seed"]) == {0, 1, 2}


def test_training_moves_right_at_every_height(
    trajectories: Trajectories, curves: list[Curve]
) -> None:
    spec = _chart(trajectories(7), curves, column="sharpness", log_y=True).to_dict()
    encoding = spec["layer"][1]["encoding"]
    assert spec["usermeta"]["plot"] == 220
    assert (encoding["x"]["scale"]["type"], encoding["x"]["scale"]["reverse"]) == ("log", True)
    assert (encoding["y"]["scale"]["type"], encoding["y"]["scale"]["reverse"]) == ("log", False)
    assert encoding["y"]["axis"]["title"] == "value"


def _chart(frame: pd.DataFrame, curves: list[Curve], **options: Any) -> alt.LayerChart:
    return over_loss_chart(frame, curves, **({"task": "digits1", "title": "value"} | options))
