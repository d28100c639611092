import json
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from mtl_core.charts import Curve, CurveKey, correlation_alt, correlation_chart, style_curves

Rows = Callable[..., pd.DataFrame]
Scene = Callable[..., list[dict[str, Any]]]
Skeleton = Callable[[alt.LayerChart], str]


@pytest.mark.parametrize("log_y", [False, True])
def test_the_specification_is_constant_while_data_change(log_y: bool, skeleton: Skeleton) -> None:
    curves = _curves(4)
    full = _points(curves)
    frames = [
        pd.DataFrame(),
        full.iloc[:0],
        full.iloc[:1],
        full.iloc[:2],
        full.assign(value=-1.0),
        full.assign(similarity=0.5),
        full.assign(similarity=np.nan),
        full,
    ]
    assert len({skeleton(_chart(frame, curves, log_y=log_y)) for frame in frames}) == 1
    assert skeleton(_chart(full, curves[:3])) != skeleton(_chart(full, curves))


def test_a_point_has_whiskers_both_ways(rows: Rows) -> None:
    curves = _curves(3)
    points = _points(curves)
    chart = _chart(points, curves)
    drawn = rows(chart, "point", 1)
    assert drawn["curve"].tolist() == [curve.label for curve in curves]
    assert drawn["value"].tolist() == pytest.approx(points["value"].tolist())
    across, along = (rows(chart, "rule", place) for place in (0, 1))
    assert across["similarity_low"].tolist() == pytest.approx(points["similarity_low"].tolist())
    assert along["high"].tolist() == pytest.approx(points["value_high"].tolist())
    layers = [layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "rule"]
    ends = [
        [layer["encoding"].get(channel, {}).get("field") for channel in ("x", "x2", "y", "y2")]
        for layer in layers
    ]
    assert ends == [
        ["similarity_low", "similarity_high", "value", None],
        ["similarity", None, "low", "high"],
    ]


def test_each_curve_may_have_a_line_of_its_own(rows: Rows) -> None:
    curves = _curves(2)
    points = pd.concat([_points(_curves(4))] * 2, ignore_index=True)
    labels = [curves[place // 4].label for place in range(8)]
    similarity = [0.1, 0.2, 0.3, 0.4] * 2
    value = [1.0, 2.0, 3.0, 4.0, 8.0, 6.0, 4.0, 2.0]
    points = points.assign(curve=labels, similarity=similarity, value=value, sets="a + b")
    chart = _chart(points, curves, each=True, detail="sets")
    line = rows(chart, "line")
    assert line["curve"].tolist() == [curves[0].label] * 2 + [curves[1].label] * 2
    assert line["fitted"].tolist() == pytest.approx([1.0, 4.0, 8.0, 2.0])
    assert '"sets"' in chart.to_json()
    one = rows(_chart(points, curves, detail="sets"), "line")
    assert "curve" not in one
    assert len(one) == 2


def test_the_line_is_least_squares(rows: Rows) -> None:
    curves = _curves(6)
    points = _points(curves)
    line = rows(_chart(points, curves), "line")
    x, y = points["similarity"], points["value"]
    slope, intercept = np.polyfit(x, y, 1)
    assert line["similarity"].tolist() == pytest.approx([x.min(), x.max()])
    assert line["fitted"].tolist() == pytest.approx(
        [intercept + slope * x.min(), intercept + slope * x.max()]
    )


def test_on_a_log_axis_the_line_is_least_squares_of_the_logarithm(rows: Rows) -> None:
    curves = _curves(6)
    points = _points(curves)
    points.loc[2, "value"] = 0.0
    points.loc[3, "value"] = -1.0
    chart = _chart(points, curves, log_y=True)
    kept = points[points["value"] > 0]
    assert rows(chart, "point", 1)["run"].tolist() == kept["run"].tolist()
    slope, intercept = np.polyfit(kept["similarity"], np.log10(kept["value"]), 1)
    line = rows(chart, "line")
    expected = [10 ** (intercept + slope * x) for x in line["similarity"]]
    assert line["fitted"].tolist() == pytest.approx(expected)
    # A whisker into the negative stops at a tenth of its value.
    points["value_low"] = -5.0
    along = rows(_chart(points, curves, log_y=True), "rule", 1)
    assert along["low"].tolist() == pytest.approx((kept["value"] / 10).tolist())


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda points: points.iloc[:2], id="two points"),
        pytest.param(lambda points: points.assign(similarity=0.5), id="one similarity"),
        pytest.param(lambda points: points.assign(value=[1.0, 2.0, None, None]), id="two values"),
    ],
)
def test_there_is_no_line_through_too_little(
    spoil: Callable[[pd.DataFrame], pd.DataFrame], rows: Rows
) -> None:
    curves = _curves(4)
    assert rows(_chart(spoil(_points(curves)), curves), "line").empty
    assert len(rows(_chart(_points(curves), curves), "line")) == 2


def test_a_click_chooses_a_run_and_rings_it(scene: Scene) -> None:
    curves = _curves(4)
    spec = _chart(_points(curves), curves, name="mine").to_dict(validate=True)
    (param,) = spec["params"]
    assert (param["name"], param["views"]) == ("point", ["mine_points"])
    assert param["select"]["fields"] == ["run"]
    assert param["select"]["on"] == "click"
    ring, marks = [layer for layer in spec["layer"] if layer["mark"]["type"] == "point"]
    assert marks["name"] == "mine_points"
    assert ring["encoding"]["opacity"] == {
        "condition": {"param": "point", "empty": False, "value": 1},
        "value": 0,
    }
    vega = vl_convert.vegalite_to_vega(json.dumps(spec | {"width": 500}))
    names = [signal["name"] for signal in vega["signals"]]
    assert len(names) == len(set(names))


def test_hovering_names_the_run() -> None:
    curves = _curves(4)
    tips = _chart(_points(curves), curves, value_format=".2e").to_dict()["layer"][-1]["encoding"]
    assert [tip["field"] for tip in tips["tooltip"]] == [
        "curve",
        "similarity",
        "value",
        "seeds",
        "run",
    ]
    assert tips["tooltip"][1]["title"] == "early similarity"
    assert tips["tooltip"][2]["title"] == "sharpness"
    assert tips["tooltip"][2]["format"] == ".2e"


@pytest.mark.parametrize("count", [12, 13])
def test_a_legend_of_colour_and_shape_up_to_a_dozen_curves(count: int) -> None:
    curves = _curves(count)
    spec = _chart(_points(curves), curves).to_dict(validate=True)
    vega = vl_convert.vegalite_to_vega(json.dumps(spec | {"width": 500}))
    legends = vega.get("legends", [])
    assert len(legends) == (1 if count == 12 else 0)
    assert all({"fill", "shape"} <= set(legend) for legend in legends)
    scales = {scale["name"]: scale for scale in vega["scales"]}
    assert scales["fill"]["domain"] == [curve.label for curve in curves]
    assert scales["fill"]["range"] == [curve.colour for curve in curves]


def test_the_axis_of_similarity_goes_where_the_points_are(scene: Scene) -> None:
    curves = _curves(4)
    spec = _chart(_points(curves), curves).to_dict()
    for layer in spec["layer"]:
        scale = layer["encoding"]["x"]["scale"]
        assert scale["zero"] is False
        assert "domain" not in scale
    labels = scene(_chart(_points(curves), curves), "text", role="axis-label")
    assert all(float(label["text"]) > 0 for label in labels)
    assert {"0.50", "0.60"} <= {label["text"] for label in labels}


def test_a_share_is_linear_and_in_percent() -> None:
    curves = _curves(4)
    spec = _chart(_points(curves), curves, value_format="%").to_dict()
    y = spec["layer"][-1]["encoding"]["y"]
    assert "type" not in y["scale"]
    assert y["axis"]["format"] == "~%"
    assert spec["layer"][-1]["encoding"]["tooltip"][2]["format"] == ".1%"


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("rows_drawn", [0, 1, 4])
def test_it_is_drawn_at_any_moment(log_y: bool, rows_drawn: int, scene: Scene) -> None:
    curves = _curves(4)
    chart = _chart(_points(curves).iloc[:rows_drawn], curves, log_y=log_y)
    symbols = scene(chart, "symbol")
    assert len(symbols) == 2 * rows_drawn
    assert [symbol["opacity"] for symbol in symbols] == [0] * rows_drawn + [1] * rows_drawn
    assert len(scene(chart, "text", role="legend-label")) == len(curves)


def test_nothing_fixes_the_colour_of_text_or_background() -> None:
    curves = _curves(4)
    spec = _chart(_points(curves), curves).to_dict()
    spec.pop("datasets")
    assert spec["width"] == "container"
    assert "background" not in spec
    text = json.dumps(spec)
    for name in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
        assert name not in text


def test_the_description_names_axes_and_curves() -> None:
    told = correlation_alt(_curves(2), x_title="early similarity", y_title="sharpness")
    assert told.startswith("Sharpness against early similarity: a point per run")
    assert told.endswith("for + task 0, + task 1.")


def test_the_description_says_where_the_fitted_lines_lead() -> None:
    points = pd.concat([_points(_curves(1))] * 3).assign(
        similarity=[0.1, 0.3, 0.5], value=[0.4, 0.6, 0.8]
    )
    asked: dict[str, Any] = {
        "x_title": "similarity",
        "y_title": "E",
        "points": points,
        "value_format": "%",
    }
    told = correlation_alt(_curves(1), **asked)
    assert told.endswith("over 3 points the fitted line rises from 40 % at 0.1 to 80 % at 0.5.")
    told = correlation_alt(_curves(1), each=True, **asked)
    assert "the fitted line of + task 0 rises from 40 % at 0.1 to" in told
    falling = points.assign(value=[1.0, 0.1, 0.01])
    told = correlation_alt(
        _curves(1), log_y=True, **asked | {"points": falling, "value_format": ""}
    )
    assert "falls from 1 at 0.1 to 0.01 at 0.5" in told
    flat = correlation_alt(_curves(1), **asked | {"points": points.assign(value=0.5)})
    assert "stays at 50 %" in flat
    assert len(told.split()) <= 60


def _curves(count: int) -> list[Curve]:
    return style_curves([CurveKey(f"+ task {i}", "other") for i in range(count)])


def _points(curves: list[Curve]) -> pd.DataFrame:
    """A run per curve, in no perfect line."""
    place = np.arange(len(curves))
    similarity = 0.5 + 0.05 * place
    value = 0.1 + 0.02 * place + 0.015 * (place % 2)
    return pd.DataFrame(
        {
            "curve": [curve.label for curve in curves],
            "run": [f"{i:016x}" for i in place],
            "similarity": similarity,
            "value": value,
            "seeds": 3,
            "similarity_low": similarity - 0.02,
            "similarity_high": similarity + 0.02,
            "value_low": value - 0.05,
            "value_high": value + 0.05,
        }
    )


def _chart(points: pd.DataFrame, curves: list[Curve], **options: Any) -> alt.LayerChart:
    titles = {"x_title": "early similarity", "y_title": "sharpness"}
    return correlation_chart(points, curves, **(titles | options))
