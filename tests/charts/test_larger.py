"""Charts for a projector: text and marks grow, the data and the plot do not."""

from collections.abc import Callable

import pandas as pd
import pytest

from mtl_core.charts import Curve, generalization_chart, larger, ready


def test_text_and_marks_grow_and_the_rest_stays(
    trajectories: Callable[..., pd.DataFrame], curves: list[Curve]
) -> None:
    chart = generalization_chart(
        trajectories(5), curves, task="digits1", metric_title="test accuracy E"
    )
    spec = ready(chart).spec
    grown = larger(spec, 1.6)
    for one, other in zip(spec["layer"], grown["layer"], strict=True):
        if one["mark"]["type"] == "line":
            assert other["mark"]["strokeWidth"] == pytest.approx(1.6 * one["mark"]["strokeWidth"])
        if one["mark"]["type"] == "point":
            assert other["mark"]["size"] == pytest.approx(1.6**2 * one["mark"]["size"])
        assert other["encoding"]["x"]["scale"] == one["encoding"]["x"]["scale"]
        assert other["data"] == one["data"]
    assert grown["config"]["axis"]["labelFontSize"] == 19
    assert grown["height"] == spec["height"]
    assert grown["datasets"] is spec["datasets"], "not copied"
    assert "config" not in spec or "labelFontSize" not in spec["config"].get("axis", {})
