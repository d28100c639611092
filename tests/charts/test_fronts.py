import json
import math
from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest
import vl_convert

from mtl_core.charts import (
    FRAME_EVENT,
    front_alt,
    front_chart,
    hypervolume_alt,
    hypervolume_chart,
)
from mtl_core.charts.plane import style_methods

Rows = Callable[..., pd.DataFrame]
Scene = Callable[..., list[dict[str, Any]]]
Skeleton = Callable[[alt.LayerChart], str]

STYLES = style_methods(["adaptive", "independent"])
AXES = {"x_title": "First", "y_title": "Second", "domain_x": (0.0, 1.2), "domain_y": (0.0, 1.1)}


def test_every_solution_has_a_marker_with_its_curves_shape(rows: Rows) -> None:
    drawn = rows(_front(_points("adaptive", "independent")), "point", 1)
    assert drawn["x"].tolist() == [0.0, 0.5, 1.0] * 2
    assert drawn["y"].tolist() == [1.0, 0.6, 0.0] * 2
    assert drawn["shape"].tolist() == [STYLES[0].shape] * 3 + [STYLES[1].shape] * 3


def test_axes_are_what_the_page_says(scene: Scene) -> None:
    chart = _front(_points("adaptive"), format_x=".1%")
    encoding = _layer(chart, "point", 1)["encoding"]
    assert encoding["x"]["scale"]["domain"] == [0.0, 1.2]
    assert encoding["y"]["scale"]["domain"] == [0.0, 1.1]
    assert (encoding["x"]["axis"]["title"], encoding["y"]["axis"]["title"]) == ("First", "Second")
    assert encoding["x"]["axis"]["format"] == "~%"
    assert "format" not in encoding["y"]["axis"]
    shown = [item for item in scene(chart, "symbol", width=600) if item.get("opacity") == 0]
    first, middle, last = sorted(shown, key=lambda item: item["x"])
    # (.5, .6) between (0, 1) and (1, 0) on linear scales of 1.2 and 1.1.
    assert middle["x"] == pytest.approx((first["x"] + last["x"]) / 2)
    assert first["y"] == pytest.approx(last["y"] * (1 - 1 / 1.1))
    assert middle["y"] == pytest.approx(last["y"] * (1 - 0.6 / 1.1))


def test_hovering_tells_curve_solution_preference_and_values() -> None:
    chart = _front(_points("adaptive"), format_x=".1%", format_y=".2f")
    tips = chart.to_dict()["layer"][-1]["encoding"]["tooltip"]
    assert [tip["title"] for tip in tips] == ["curve", "solution", "preference", "First", "Second"]
    assert [tip.get("format") for tip in tips] == [None, "d", None, ".1%", ".2f"]


def test_the_line_goes_by_solution_not_by_x(scene: Scene) -> None:
    points = _points("adaptive").assign(x=[0.5, 1.0, 0.0]).sample(frac=1, random_state=1)
    line = _stroked(scene(_front(points), "line"), STYLES[0].colour)
    left, middle, right = sorted(item["x"] for item in line)
    assert [item["x"] for item in line] == [middle, right, left]


def test_more_than_two_objectives_are_not_joined() -> None:
    true = pd.DataFrame({"x": [0.0, 0.5], "y": [0.5, 0.0]})
    kinds = [
        [layer["mark"]["type"] for layer in _front(_points(), front=true, joined=joined)
         .to_dict()["layer"]]
        for joined in (True, False)
    ]  # fmt: skip
    assert [kind.count("line") for kind in kinds] == [3, 1]  # the trails alone
    assert [kind.count("point") for kind in kinds] == [4, 5]


def test_the_chosen_solution_has_a_ring(scene: Scene) -> None:
    rings = [item for item in scene(_front(_points("adaptive")), "symbol") if item["size"] == 260]
    assert len(rings) == 1
    assert rings[0]["stroke"] == STYLES[0].colour
    chosen = _points("adaptive").assign(chosen=False)
    assert not [item for item in scene(_front(chosen), "symbol") if item["size"] == 260]


def test_the_ring_has_its_preference_beside_it(scene: Scene) -> None:
    both = _points("adaptive").assign(ring=["0, 1", "½, ½", "1, 0"])
    (words,) = _words(scene, both)
    (ring,) = [item for item in scene(_front(both), "symbol") if item["size"] == 260]
    assert (words["text"], words["align"], words["dx"]) == ("½, ½", "left", 8)
    assert (words["x"], words["y"]) == (ring["x"], ring["y"])
    assert not _words(scene, both.assign(chosen=False))
    assert not _words(scene, both.assign(ring="")), "no preference led there"


def test_a_preference_at_the_right_edge_stands_to_the_left(scene: Scene) -> None:
    points = _points("adaptive").assign(chosen=[False, False, True], ring="1, 0")
    domain = AXES["domain_x"]
    (words,) = _words(scene, points.assign(x=[0.0, 0.5, domain[1]]))
    assert (words["align"], words["dx"]) == ("right", -8)


def _words(scene: Scene, points: pd.DataFrame) -> list[dict[str, Any]]:
    told = set(points["preference"])
    return [item for item in scene(_front(points), "text") if item["text"] in told]


def test_what_is_known_beforehand_is_grey(rows: Rows) -> None:
    chart = _front(
        _points("adaptive"),
        reference=(1.0, 1.05),
        front=pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, 0.0]}),
        ray=pd.DataFrame({"x": [0.0], "y": [0.0], "x2": [2.0], "y2": [4.0]}),
    )
    assert rows(chart, "line", 0)[["front_x", "front_y"]].to_numpy().tolist() == [[0, 1], [1, 0]]
    assert rows(chart, "rule").to_numpy().tolist() == [[0, 0, 2, 4]]
    assert rows(chart, "point", 0).to_numpy().tolist() == [[1.0, 1.05]]
    assert rows(chart, "text").to_numpy().tolist() == [[1.0, 1.05]]
    for mark in ("line", "rule", "point"):
        assert _layer(chart, mark)["mark"]["stroke"] == "#858585"


def test_trails_are_a_line_per_solution(scene: Scene) -> None:
    points = _points("adaptive")
    trails = pd.concat([points.assign(step=step, x=points["x"] + step) for step in (0, 0.1, 0.2)])
    line = _stroked(scene(_front(points, trails=trails), "line"), STYLES[0].colour)
    assert [item["opacity"] for item in line] == [0.35] * 9 + [0.6] * 3
    places = [item["x"] for item in line[:9]]
    # Solution after solution, each from left to right.
    assert all(places[i] < places[i + 1] < places[i + 2] for i in (0, 3, 6))
    assert places[0] < places[3] < places[6]


def test_a_played_front_is_where_it_was_at_the_step_that_is_told(
    scene: Scene,
) -> None:
    points = _points("adaptive").assign(x0=[1.1, math.inf, 1.0], y0=[1.0, 1.0, 1.0])
    trails = pd.concat([_points("adaptive").assign(step=step) for step in (0, 10)])

    def shown(told: int | None) -> list[float]:
        chart = _front(points, trails=trails, played=True)
        (frame,) = (param for param in chart.params if param.name == "frame")
        assert frame.bind.to_dict() == {"element": "body", "event": FRAME_EVENT}
        frame.value = alt.Undefined if told is None else told
        ends = [item for item in scene(chart, "symbol") if item.get("opacity") == 0]
        lines = [item for item in scene(chart, "line") if item["opacity"] == 0.35]
        assert len(lines) == (6 if told is None else 3)
        return [round(item["x"] / 600, 3) for item in ends]

    newest = shown(None)
    assert len(newest) == 3
    assert newest == shown(7), "a step without a frame"
    first, last = shown(0)  # the second solution was nowhere yet
    assert first > last == newest[2]


def test_points_without_a_place_or_a_style_are_left_out(rows: Rows) -> None:
    points = _points("adaptive", "mgda").assign(x=[0.1, math.nan, math.inf] * 2)
    assert rows(_front(points), "point", 1)["x"].tolist() == [0.1]


def test_the_specification_of_a_front_is_constant_while_it_is_played(skeleton: Skeleton) -> None:
    full = _points("adaptive", "independent")
    trails = full.assign(step=1)
    true = pd.DataFrame({"x": [0.0, 1.0], "y": [1.0, 0.0]})
    ray = pd.DataFrame({"x": [0.0], "y": [0.0], "x2": [2.0], "y2": [4.0]})
    charts = [
        _front(pd.DataFrame()),
        _front(full.iloc[:0], reference=(1, 1)),
        _front(full.iloc[:1], trails=trails),
        _front(full.assign(x=math.nan), front=true),
        _front(full.assign(chosen=False), ray=ray, trails=trails.iloc[:0]),
        _front(full, front=true, ray=ray, trails=trails, reference=(2, 3)),
    ]
    assert len({skeleton(chart) for chart in charts}) == 1
    other = front_chart(full, STYLES, **{**AXES, "domain_x": (0.0, 2.0)})  # type: ignore[arg-type]
    assert skeleton(other) != skeleton(charts[0])


def test_a_line_and_a_band_for_every_curve(rows: Rows) -> None:
    bands = _bands("adaptive", "independent")
    chart = _hypervolumes(bands)
    lines = rows(chart, "line")
    assert lines["mean"].tolist() == [0.1, 0.3, 0.4] * 2
    assert lines["low"].tolist() == pytest.approx([0.05, 0.2, 0.3] * 2)
    assert lines["evaluations"].tolist() == [0, 100, 200] * 2
    assert rows(chart, "area").equals(lines)
    assert "seconds" in rows(_hypervolumes(bands, x="seconds"), "line")
    points = rows(chart, "point")
    assert points["around"].tolist() == ["0.0500", "0.1000", "0.1000"] * 2


def test_one_seed_has_no_band(rows: Rows, scene: Scene) -> None:
    bands = _bands("adaptive").assign(low=math.nan, high=math.nan)
    chart = _hypervolumes(bands)
    assert rows(chart, "point")["around"].tolist() == ["–"] * 3
    assert len(_stroked(scene(chart, "line"), STYLES[0].colour)) == 3
    assert all(not item.get("defined", True) for item in scene(chart, "area"))


def test_what_it_took_begins_at_zero(scene: Scene) -> None:
    bands = _bands("adaptive").iloc[1:]
    labels = scene(_hypervolumes(bands), "text", role="axis-label")
    assert "0" in [item["text"] for item in labels]
    encoding = _layer(_hypervolumes(bands, x="seconds"), "line")["encoding"]
    assert encoding["x"]["axis"]["title"] == "seconds of solving"
    assert encoding["y"]["axis"]["title"] == "hypervolume"


def test_markers_are_thinned_and_stay_while_frames_are_added(rows: Rows) -> None:
    def marked(count: int) -> list[int]:
        bands = pd.concat([_bands("adaptive").iloc[:1]] * count).assign(step=range(count))
        points = rows(_hypervolumes(bands), "point")
        return points.loc[points["marked"], "step"].tolist()

    assert marked(3) == [0, 1, 2]
    assert marked(51) == list(range(0, 51, 8))
    assert marked(64) == list(range(0, 64, 8))
    assert len(marked(1000)) == 8


def test_levels_and_the_frame_shown_are_rules(rows: Rows) -> None:
    levels = pd.DataFrame({"level": [0.3421], "label": ["true front"]})
    chart = _hypervolumes(_bands("adaptive"), levels=levels, now=150.0)
    assert rows(chart, "rule", 0).to_numpy().tolist() == [[0.3421, "true front"]]
    assert rows(chart, "rule", 1).to_numpy().tolist() == [[150.0]]
    assert _layer(chart, "rule")["mark"]["strokeDash"] == [6, 4]


def test_the_specification_of_hypervolumes_is_constant(skeleton: Skeleton) -> None:
    full = _bands("adaptive", "independent")
    levels = pd.DataFrame({"level": [0.3], "label": ["front"]})
    charts = [
        _hypervolumes(pd.DataFrame()),
        _hypervolumes(full.iloc[:0], now=3.0),
        _hypervolumes(full.iloc[:1], levels=levels),
        _hypervolumes(full.assign(low=math.nan, high=math.nan), levels=levels, now=0),
        _hypervolumes(full, levels=levels.iloc[:0], now=99),
    ]
    assert len({skeleton(chart) for chart in charts}) == 1
    assert skeleton(_hypervolumes(full, x="seconds")) != skeleton(charts[0])


@pytest.mark.parametrize("count", [0, 1, 6])
def test_they_are_valid_with_one_legend_and_leave_the_pages_colours(count: int) -> None:
    styles = style_methods([f"method {i}" for i in range(count)])
    labels = [style.label for style in styles]
    fronts = pd.concat([_points(*labels)] * 34).assign(solution=range(34 * 3 * max(count, 0)))
    charts = {
        "mine": front_chart(fronts, styles, **AXES, name="mine"),  # type: ignore[arg-type]
        "yours": hypervolume_chart(
            _bands(*labels), styles, x="seconds", title="spacing", name="yours"
        ),
    }
    for name, chart in charts.items():
        spec = chart.to_dict(validate=True)
        assert spec["layer"][-1]["name"] == f"{name}_hover"
        assert spec["width"] == "container"
        assert [param["name"] for param in spec["params"]] == ["pick", "zoom"]
        assert "background" not in spec
        spec.pop("datasets")
        for colour in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
            assert colour not in json.dumps(spec)
        vega = vl_convert.vegalite_to_vega(json.dumps(chart.to_dict()))
        (legend,) = vega["legends"]
        assert {"fill", "stroke", "strokeDash", "shape"} <= set(legend)
        scales = {scale["name"]: scale for scale in vega["scales"]}
        assert scales["stroke"]["domain"] == labels


def test_descriptions_name_curves_and_axes() -> None:
    told = front_alt(STYLES, x_title="First", y_title="Second")
    assert "of Second against First" in told
    assert told.endswith("for adaptive, independent.")
    told = hypervolume_alt(STYLES, x="evaluations", title="hypervolume")
    assert told.startswith("Hypervolume against gradient evaluations")
    assert hypervolume_alt([], x="seconds", title="a").endswith("for no run.")


def test_descriptions_say_how_far_fronts_reach_and_how_much_they_dominate() -> None:
    points = _points("independent", "adaptive").assign(y=[1.0, 0.6, 0.25, 0.9, 0.5, 0.1])
    told = front_alt(STYLES, x_title="First", y_title="Second", points=points, format_x="%")
    assert told.endswith(
        "at the end, adaptive from 0 % to 100 % across and 0.1 to 0.9 up; independent from 0 % to "
        "100 % across and 0.25 to 1 up."
    )
    bands = _bands("adaptive", "independent")
    last = bands.groupby("curve")["mean"].last()
    told = hypervolume_alt(STYLES, x="seconds", title="hypervolume", bands=bands)
    for name in ("adaptive", "independent"):
        assert f"{name} {last[name]:.2g}" in told
    assert len(told.split()) <= 60


def _front(points: pd.DataFrame, **options: Any) -> alt.LayerChart:
    return front_chart(points, STYLES, **AXES, **options)  # type: ignore[arg-type]


def _hypervolumes(bands: pd.DataFrame, x: Any = "evaluations", **options: Any) -> alt.LayerChart:
    return hypervolume_chart(bands, STYLES, x=x, title="hypervolume", **options)


def _points(*curves: str) -> pd.DataFrame:
    """Three solutions of each; the second is chosen."""
    three = pd.DataFrame(
        {
            "solution": [0, 1, 2],
            "x": [0.0, 0.5, 1.0],
            "y": [1.0, 0.6, 0.0],
            "preference": ["0, 1", "½, ½", "1, 0"],
            "chosen": [False, True, False],
        }
    )
    return pd.concat([three.iloc[:0], *(three.assign(curve=curve) for curve in curves)])


def _bands(*curves: str) -> pd.DataFrame:
    three = pd.DataFrame(
        {
            "step": [0, 10, 20],
            "evaluations": [0.0, 100.0, 200.0],
            "seconds": [0.0, 1.0, 2.0],
            "seeds": 3,
            "mean": [0.1, 0.3, 0.4],
            "low": [0.05, 0.2, 0.3],
            "high": [0.15, 0.4, 0.5],
        }
    )
    return pd.concat([three.iloc[:0], *(three.assign(curve=curve) for curve in curves)])


def _layer(chart: alt.LayerChart, mark: str, place: int = 0) -> dict[str, Any]:
    layers = [layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == mark]
    found: dict[str, Any] = layers[place]
    return found


def _stroked(items: list[dict[str, Any]], colour: str) -> list[dict[str, Any]]:
    return [item for item in items if item.get("stroke") == colour]
