import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from mtl_core.charts import (
    Curve,
    quadrant_alt,
    quadrant_chart,
    quadrant_legend,
    quadrant_legend_alt,
    style_optimizers,
)
from mtl_core.charts.layers import AXIS
from mtl_core.charts.palette import MEANING
from mtl_core.errors import InputError

Rows = Callable[..., pd.DataFrame]
Scene = Callable[..., list[dict[str, Any]]]
Skeleton = Callable[[alt.LayerChart], str]

NAMES = [f"method {i}" for i in range(18)]


def test_the_specification_is_constant_while_data_change(skeleton: Skeleton) -> None:
    styled = style_optimizers(NAMES[:4])
    full = _points(NAMES[:4])
    frames = [
        pd.DataFrame(),
        full.iloc[:0],
        full.iloc[:1],
        full.assign(counted=False),
        full.assign(x=np.nan),
        full.assign(x=1e5, y=-50.0),
        full,
    ]
    assert len({skeleton(_chart(frame, styled)) for frame in frames}) == 1
    assert skeleton(_chart(full, styled[:3])) != skeleton(_chart(full, styled))


def test_points_lie_where_they_are_said_to(rows: Rows) -> None:
    styled = style_optimizers(NAMES[:4])
    points = _points(NAMES[:4])
    points.loc[1, "x"] = np.nan  # no place
    points.loc[0, "counted"] = False
    drawn = rows(_chart(points, styled), "point")
    assert drawn["curve"].tolist() == [NAMES[0], NAMES[2], NAMES[3]]
    assert drawn["counted"].tolist() == [False, True, True]  # what counts is on top
    assert drawn["x"].tolist() == points.loc[[0, 2, 3], "x"].tolist()
    assert drawn["y"].tolist() == points.loc[[0, 2, 3], "y"].tolist()
    others = rows(_chart(points, styled[2:]), "point")
    assert others["curve"].tolist() == [NAMES[2], NAMES[3]]


def test_what_counts_is_filled_and_the_rest_hollow_and_faint(scene: Scene) -> None:
    styled = style_optimizers(NAMES[:2])
    points = _points(NAMES[:2]).assign(counted=[True, False])
    hollow, filled = scene(_chart(points, styled), "symbol")
    assert (hollow["fillOpacity"], filled["fillOpacity"]) == (0, 0.9)
    assert hollow["strokeOpacity"] < filled["strokeOpacity"] == 1
    assert filled["fill"] == filled["stroke"] == styled[0].colour
    assert hollow["stroke"] == styled[1].colour


@pytest.mark.parametrize(
    ("x", "y"), [([-20.0, 500.0], [3.0, -8.0]), ([5.0, 6.0], [1.0, 2.0]), ([], [])]
)
def test_the_shade_reaches_from_zero_to_the_edges(
    x: list[float], y: list[float], scene: Scene
) -> None:
    names = NAMES[: len(x)]
    points = _points(names).assign(x=x, y=y)
    chart = _chart(points, style_optimizers(NAMES[:2]))
    upper, lower = sorted(scene(chart, "rect"), key=lambda item: item["x"])
    assert (upper["x"], upper["y"]) == (0, 0)
    zero_x, zero_y = upper["width"], upper["height"]
    assert (lower["x"], lower["y"]) == pytest.approx((zero_x, zero_y))
    width, height = lower["x"] + lower["width"], lower["y"] + lower["height"]
    assert 260 <= height < 260 + AXIS
    assert 450 < width < 600, "what the axis leaves of it"
    # Both sides of 0 have room, wherever the points are.
    assert 0.2 * width < zero_x < 0.8 * width
    assert 0.2 * height < zero_y < 0.8 * height
    for symbol, dx, dy in zip(scene(chart, "symbol"), x, y, strict=True):
        assert np.sign(symbol["x"] - zero_x) == np.sign(dx)
        assert np.sign(zero_y - symbol["y"]) == np.sign(dy)


@pytest.mark.parametrize("largest", [0.5, 3.0, 40.0, 900.0, 2e5])
@pytest.mark.parametrize("width", [330, 600])
def test_zero_is_labelled_and_no_two_labels_touch(largest: float, width: int, scene: Scene) -> None:
    points = _points(NAMES[:2]).assign(x=[-min(largest, 90), largest], y=[largest / 9, -2.0])
    labels = scene(
        _chart(points, style_optimizers(NAMES[:2])), "text", role="axis-label", width=width
    )
    seen = [label for label in labels if label["text"]]
    texts = [label["text"] for label in seen]
    assert texts.count("0") == 2
    across = sorted(label["x"] for label in seen if label.get("y", 0) == seen[0].get("y", 0))
    along = sorted(label["y"] for label in seen if label.get("x", 0) < 0)
    assert len(across) >= 3 or largest == 0.5
    assert len(along) >= 3 or largest == 0.5
    assert np.diff(across).min(initial=99) > 25
    assert np.diff(along).min(initial=99) > 12
    assert all(text == "0" or (text[0] in "+−" and text[-1] == "%") for text in texts)


def test_hovering_names_all_that_a_point_is() -> None:
    spec = _chart(_points(NAMES[:2]), style_optimizers(NAMES[:2])).to_dict(validate=True)
    tips = {tip["title"]: tip["field"] for tip in spec["layer"][-1]["encoding"]["tooltip"]}
    assert {
        "optimizer": "curve",
        "task": "task",
        "auxiliaries": "auxiliaries",
        "%Δ sharpness": "x",
        "%Δ accuracy": "y",
        "accuracy": "metric",
        "accuracy, UMTG": "reference_metric",
        "sharpness": "value",
        "sharpness, UMTG": "reference_value",
        "seeds": "seeds",
        "run": "run",
    }.items() <= tips.items()


def test_no_two_of_18_optimizers_look_alike() -> None:
    styled = style_optimizers(NAMES)
    assert len({(curve.colour, curve.shape) for curve in styled}) == 18
    assert [curve.label for curve in styled] == NAMES
    # Colour says what auxiliaries are on other pages; these have none of those meanings.
    assert not {curve.colour for curve in styled} & set(MEANING.values())
    for one, other in pairwise(styled):
        assert one.colour != other.colour
    assert styled[:5] == style_optimizers(NAMES[:5])
    assert len({(c.colour, c.shape) for c in style_optimizers([str(i) for i in range(40)])}) == 40


def test_more_than_can_be_told_apart_and_equal_names_are_errors() -> None:
    with pytest.raises(InputError, match="41 optimizers cannot be told apart; show at most 40"):
        style_optimizers([str(i) for i in range(41)])
    with pytest.raises(InputError, match="two optimizers are labelled 'a'"):
        style_optimizers(["a", "b", "a"])


@pytest.mark.parametrize("count", [1, 18])
def test_one_legend_names_them_all(count: int, scene: Scene) -> None:
    styled = style_optimizers(NAMES[:count])
    chart = quadrant_legend(styled)
    spec = chart.to_dict(validate=True)
    vega = vl_convert.vegalite_to_vega(json.dumps(spec | {"width": 600}))
    (legend,) = vega["legends"]
    assert {"fill", "shape"} <= set(legend)
    labels = scene(chart, "text", role="legend-label")
    assert [label["text"] for label in labels] == NAMES[:count]
    symbols = scene(chart, "symbol", role="legend-symbol")
    assert [symbol["fill"] for symbol in symbols] == [curve.colour for curve in styled]
    panel = vl_convert.vegalite_to_vega(
        json.dumps(_chart(_points(NAMES[:count]), styled).to_dict() | {"width": 600})
    )
    assert "legends" not in panel
    scales = {scale["name"]: scale for scale in panel["scales"]}
    assert scales["fill"]["range"] == [curve.colour for curve in styled]
    assert scales["shape"]["range"] == {s["name"]: s for s in vega["scales"]}["shape"]["range"]


@pytest.mark.parametrize("background", [(255, 255, 255), (17, 21, 27)])
def test_what_is_drawn_in_grey_shows_on_light_and_dark(background, contrast) -> None:
    spec = _chart(_points(NAMES[:2]), style_optimizers(NAMES[:2])).to_dict()
    spec.pop("datasets")
    text = json.dumps(spec)
    for name in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
        assert name not in text
    assert "background" not in spec
    greys = {layer["mark"].get("stroke") or layer["mark"].get("fill") for layer in spec["layer"]}
    for grey in filter(None, greys):
        assert contrast(tuple(bytes.fromhex(grey[1:])), background) > 3


def test_the_descriptions_name_axes_and_optimizers() -> None:
    styled = style_optimizers(["MGDA", "PCGrad"])
    points = _points(["MGDA", "PCGrad"]).assign(x=[-5.0, 5.0], y=[2.0, 3.0])
    told = quadrant_alt(points, styled, x_title="sharpness", y_title="accuracy")
    assert told == (
        "Change of accuracy over the plain sum against that of sharpness, in percent, a point per "
        "optimizer and task: 2 significant by the paper's rule, 1 better in both, 0 worse in both, "
        "1 outside; the largest is PCGrad on digits1, 3 % more."
    )
    uncounted = quadrant_alt(points.assign(counted=False), styled, x_title="a", y_title="b")
    assert uncounted.endswith("none of 2 is significant by the paper's rule.")
    assert quadrant_alt(points.iloc[:0], styled, x_title="a", y_title="b").endswith("has a place.")
    assert quadrant_legend_alt(styled).endswith("MGDA: circle, PCGrad: triangle-up.")


def _points(names: list[str]) -> pd.DataFrame:
    """A point per optimizer, in changing quadrants."""
    place = np.arange(len(names))
    return pd.DataFrame(
        {
            "curve": names,
            "task": "digits1",
            "auxiliaries": "digits2",
            "x": (place - 1.5) * 10,
            "y": (place % 3 - 1.0) * 2,
            "metric": 0.9,
            "reference_metric": 0.88,
            "value": 1.0,
            "reference_value": 2.0,
            "change": "better",
            "factor_change": "worse",
            "counted": True,
            "shaded": False,
            "seeds": 3,
            "run": [f"{i:016x}" for i in place],
        }
    )


def _chart(points: pd.DataFrame, styled: list[Curve], **options: Any) -> alt.LayerChart:
    titles = {"x_title": "sharpness", "y_title": "accuracy"}
    return quadrant_chart(points, styled, **(titles | options))
