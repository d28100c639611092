"""What every chart of curves must keep while a run is alive."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import altair as alt
import pandas as pd
import pytest
import vl_convert
from PIL import Image

from mtl_core.charts import (
    Curve,
    CurveKey,
    generalization_alt,
    generalization_chart,
    over_epochs_alt,
    over_epochs_chart,
    over_loss_alt,
    over_loss_chart,
    style_curves,
)

Trajectories = Callable[..., pd.DataFrame]
Chart = Callable[[pd.DataFrame, list[Curve]], alt.LayerChart]

HERO = partial(generalization_chart, task="digits1", metric_title="test accuracy E")
EPOCHS = partial(over_epochs_chart, task="digits1", title="value")
LOSS = partial(over_loss_chart, task="digits1", title="value")
CHARTS = [
    pytest.param(HERO, id="generalization"),
    pytest.param(partial(HERO, per_seed=True), id="generalization per seed"),
    pytest.param(partial(EPOCHS, column="test_metric", value_format="%"), id="metric"),
    pytest.param(partial(EPOCHS, column="train_loss", log_y=True), id="log loss"),
    pytest.param(partial(EPOCHS, column="sharpness"), id="factor"),
    pytest.param(partial(EPOCHS, column="gradient_covariance", log_y=True), id="log factor"),
    pytest.param(partial(LOSS, column="gradient_similarity"), id="over loss"),
    pytest.param(partial(LOSS, column="sharpness", log_y=True), id="log over loss"),
    pytest.param(
        partial(LOSS, column="gradient_covariance", log_y=True, per_seed=True),
        id="log over loss per seed",
    ),
]


@pytest.mark.parametrize("chart", CHARTS)
def test_the_specification_is_constant_while_data_grow(
    chart: Chart,
    trajectories: Trajectories,
    curves: list[Curve],
    skeleton: Callable[[alt.LayerChart], str],
) -> None:
    full = trajectories(20)
    frames = [
        pd.DataFrame(),
        full.iloc[:0],
        full[full["curve"] == "single task"].iloc[:1],
        trajectories(2),
        trajectories(9),
        full,
    ]
    assert len({skeleton(chart(frame, curves)) for frame in frames}) == 1
    others = style_curves([CurveKey("single task", "stl")])
    assert skeleton(chart(full, others)) != skeleton(chart(full, curves))


@pytest.mark.parametrize("chart", CHARTS)
def test_selections_are_named_and_defined_once(
    chart: Chart, trajectories: Trajectories, curves: list[Curve]
) -> None:
    spec = chart(trajectories(9), curves).to_dict(validate=True)
    assert [param["name"] for param in spec["params"]] == ["pick", "zoom"]
    assert all("params" not in layer for layer in spec["layer"])
    vega = vl_convert.vegalite_to_vega(json.dumps(spec))
    names = [signal["name"] for signal in vega["signals"]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("chart", CHARTS)
def test_one_legend_shows_colour_dash_and_shape_of_every_curve(
    chart: Chart, trajectories: Trajectories, curves: list[Curve]
) -> None:
    labels = [curve.label for curve in curves]
    only_one = trajectories(9, curves=["single task"])
    spec = chart(only_one, curves).to_dict()
    vega = vl_convert.vegalite_to_vega(json.dumps(spec))
    (legend,) = vega["legends"]
    assert {"fill", "stroke", "strokeDash", "shape"} <= set(legend)
    scales = {scale["name"]: scale for scale in vega["scales"]}
    for channel in ("fill", "stroke", "strokeDash", "shape"):
        assert scales[channel]["domain"] == labels
    assert scales["stroke"]["range"] == [curve.colour for curve in curves]
    assert scales["strokeDash"]["range"] == [list(curve.dash) for curve in curves]
    # Vega-Lite 6.5, which Streamlit bundles, merges legends only of channels with a single field.
    for channel in ("fill", "stroke", "strokeDash", "shape"):
        encoded = [
            layer["encoding"][channel] for layer in spec["layer"] if channel in layer["encoding"]
        ]
        assert {encoding["field"] for encoding in encoded} == {"curve"}


@pytest.mark.parametrize("chart", CHARTS)
def test_curves_are_really_drawn(
    chart: Chart,
    trajectories: Trajectories,
    curves: list[Curve],
    picture: Callable[..., Image.Image],
) -> None:
    drawn = picture(chart(trajectories(15), curves)).crop((60, 0, 600, 270))
    assert {curve.colour for curve in curves} <= _colours(drawn)
    alone = trajectories(15, curves=["single task"])
    # The legend has the others' colours; the plot above it must not.
    plot = picture(chart(alone, curves)).crop((60, 0, 600, 270))
    assert curves[0].colour in _colours(plot)
    assert curves[1].colour not in _colours(plot)


@pytest.mark.parametrize("chart", CHARTS)
def test_nothing_measured_draws_the_legend_alone(
    chart: Chart, curves: list[Curve], picture: Callable[..., Image.Image]
) -> None:
    assert {curve.colour for curve in curves} <= _colours(picture(chart(pd.DataFrame(), curves)))


@pytest.mark.parametrize("chart", CHARTS)
def test_nothing_fixes_the_colour_of_text_or_background(
    chart: Chart, trajectories: Trajectories, curves: list[Curve]
) -> None:
    spec = chart(trajectories(3), curves).to_dict()
    spec.pop("datasets")
    assert "background" not in spec
    assert spec["width"] == "container"
    text = json.dumps(spec)
    for name in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
        assert name not in text


@pytest.mark.parametrize("width", [350, 1000])
def test_a_dozen_long_labels_fit_at_any_width(
    width: int, trajectories: Trajectories, picture: Callable[..., Image.Image]
) -> None:
    labels = ["single task", *(f"+ digits2 + noisy_digits · lr 0.0{i}" for i in range(1, 12))]
    curves = style_curves(
        [CurveKey(label, "helpful" if i else "stl") for i, label in enumerate(labels)]
    )
    image = picture(HERO(trajectories(5, curves=labels), curves), width)
    assert abs(image.width - width) <= 5
    assert {curve.colour for curve in curves} <= _colours(image)


def test_a_full_page_stays_below_the_marks_that_need_a_canvas(trajectories: Trajectories) -> None:
    labels = [f"curve {i}" for i in range(12)]
    curves = style_curves([CurveKey(label, "other") for label in labels])
    frame = trajectories(26, curves=labels)
    spec = HERO(frame, curves, per_seed=True).to_dict()
    points = sum(
        len(spec["datasets"][layer["data"]["name"]])
        for layer in spec["layer"]
        if layer["mark"]["type"] == "point"
    )
    lines = 12 * (1 + 1 + 3)
    assert points + lines < 2000


def test_descriptions_of_live_charts_name_the_curves_and_no_numbers(curves: list[Curve]) -> None:
    hero = generalization_alt(curves, task="digits one", metric_title="test accuracy E")
    epochs = over_epochs_alt(curves[:1], task="digits one", title="training loss L")
    assert hero.endswith("for single task, + digits2, + noisy_digits.")
    assert hero.startswith("Test accuracy E of digits one at equal training loss: lines")
    assert epochs.endswith("for single task.")
    assert not any(sign.isdigit() for sign in epochs)
    nothing = over_loss_alt(curves, task="digits1", title="sharpness", trajectories=pd.DataFrame())
    assert nothing == over_loss_alt(curves, task="digits1", title="sharpness")


def test_descriptions_say_what_came_out(trajectories: Trajectories, curves: list[Curve]) -> None:
    # At every loss, an auxiliary costs 2 points of accuracy; similarity falls by .4 with each.
    rows = trajectories(9, seeds=2)
    hero = generalization_alt(
        curves, task="digits1", metric_title="test accuracy E", trajectories=rows
    )
    assert hero.startswith(
        "Test accuracy E of digits1 at equal training loss: + digits2 ends 2 points below single "
        "task, + noisy_digits ends 4 points below it; "
    )
    alone = generalization_alt(
        curves[:1], task="digits1", metric_title="test accuracy E", trajectories=rows
    )
    # At seed 1's last loss it has .9 − .8 · .8⁸ + .01 = .776, and seed 0, further on there, .765.
    assert "at 0.39, the lowest, single task 77 %" in alone
    factor = over_loss_alt(
        curves,
        task="digits1",
        title="gradient similarity",
        trajectories=rows,
        column="gradient_similarity",
    )
    assert "the lowest that all reach, single task 0.46, + digits2 0.06, + noisy" in factor
    epochs = over_epochs_alt(
        curves, task="digits1", title="test accuracy E", trajectories=rows, value_format="%"
    )
    assert "at the end single task 77.1 %, + digits2 75.1 %, + noisy_digits 73.1 %" in epochs
    for told in (hero, alone, factor, epochs):
        assert len(told.split()) <= 60


def test_descriptions_of_many_curves_name_the_highest_and_the_lowest(
    trajectories: Trajectories,
) -> None:
    labels = [f"curve {i}" for i in range(7)]
    curves = style_curves([CurveKey(label, "other") for label in labels])
    rows = trajectories(9, curves=labels)
    hero = generalization_alt(curves, task="digits1", metric_title="E", trajectories=rows)
    assert "of 7 curves, curve 1 ends 2 points below curve 0, curve 6 ends 12 points" in hero
    epochs = over_epochs_alt(curves, task="digits1", title="E", trajectories=rows, value_format="%")
    assert "highest curve 0 of 7 curves" in epochs
    assert len(hero.split()) <= 60


@pytest.mark.parametrize("chart", CHARTS)
def test_marks_are_not_read_out_one_by_one(
    chart: Chart, trajectories: Trajectories, curves: list[Curve]
) -> None:
    vega = vl_convert.vegalite_to_vega(json.dumps(chart(trajectories(9), curves).to_dict()))
    marks = [mark for mark in _marks(vega) if mark["type"] != "group"]
    assert marks
    assert all(mark.get("aria") is False for mark in marks)


def _marks(vega: dict[str, Any]) -> list[dict[str, Any]]:
    own = vega.get("marks", [])
    return [*own, *(inner for mark in own for inner in _marks(mark))]


def _colours(image: Image.Image) -> set[str]:
    found = image.getcolors(maxcolors=1 << 24)
    assert found is not None
    return {"#{:02X}{:02X}{:02X}".format(*rgb) for _, rgb in found}


@pytest.mark.parametrize("height", [180, 420])
def test_a_figure_fits_into_the_height_that_a_full_screen_gives_it(
    trajectories: Trajectories,
    curves: list[Curve],
    height: int,
    picture: Callable[..., Image.Image],
) -> None:
    """Axis and legend are inside it; they are below the plot that was asked for."""
    chart = over_loss_chart(
        trajectories(15), curves, column="sharpness", task="digits1", title="value", height=height
    )
    spec = chart.to_dict()
    assert spec["autosize"] == {"type": "fit", "contains": "padding"}
    assert spec["usermeta"]["plot"] == height < spec["height"]
    shown = picture(chart.properties(height=700))
    assert shown.height == 700
    assert {curve.colour for curve in curves} <= _colours(shown.crop((0, 650, shown.width, 700)))
