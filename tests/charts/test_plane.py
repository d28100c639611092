import json
import math
from collections.abc import Callable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mtl_core import InputError
from mtl_core.charts import Curve
from mtl_core.charts.plane import plane_alt, plane_chart, style_methods

Rows = Callable[..., pd.DataFrame]
Scene = Callable[..., list[dict[str, Any]]]
Skeleton = Callable[[alt.LayerChart], str]
METHODS = style_methods(["sum", "mean", "other"])


def test_gradients_and_updates_are_drawn_to_one_scale(rows: Rows) -> None:
    chart = plane_chart(_gradients((0, 3.0), (90, 4.0)), _updates((3.0, 4.0), (1.5, 2.0)), METHODS)
    heads, ends = rows(chart, "point", 0), rows(chart, "point", 1).set_index("method")
    assert heads[["x", "y"]].to_numpy() == pytest.approx(np.array([[0.6, 0.0], [0.0, 0.8]]))
    assert heads["heading"].tolist() == [90, 0]
    assert heads["task"].tolist() == ["g₁", "g₂"]
    # The longest arrow reaches the radius 1.
    assert ends.loc["sum", ["x", "y"]].tolist() == pytest.approx([0.6, 0.8])
    assert ends.loc["mean", ["x", "y"]].tolist() == pytest.approx([0.3, 0.4])
    assert ends["length"].tolist() == [5.0, 2.5]


def test_logarithmic_lengths_keep_their_angles(rows: Rows) -> None:
    chart = plane_chart(
        _gradients((30, 1.0), (100, 100.0)), _updates((0.0, 10.0)), METHODS, log=True
    )
    heads = rows(chart, "point", 0)
    assert heads["r"].tolist() == pytest.approx([0.2, 1.0])  # of 2.5 decades
    assert np.degrees(np.arctan2(heads["y"], heads["x"])).tolist() == pytest.approx([30, 100])
    assert rows(chart, "point", 1)["r"].tolist() == pytest.approx([0.6])
    assert rows(chart, "text")["length"].tolist() == [1, 10, 100]


def test_what_is_far_shorter_than_the_rest_is_in_the_middle(rows: Rows) -> None:
    gradients = _gradients((0, 100.0), (90, 0.0))
    chart = plane_chart(gradients, _updates((1e-4, 0.0), (0.0, 1e-12)), METHODS, log=True)
    assert rows(chart, "point", 0)["r"].tolist() == [1, 0]
    assert rows(chart, "point", 1)["r"].tolist() == [0, 0]


def test_both_axes_have_one_scale_at_any_width(scene: Scene) -> None:
    updates = _updates((1.0, 1.0), (-1.0, 1.0), (0.0, 0.0))
    chart = plane_chart(_gradients((0, 1.0), (90, 1.0)), updates, METHODS)
    for width in (300, 1000):
        ends = [p for p in scene(chart, "symbol", width=width) if p.get("opacity") == 0]
        (middle, left, right) = sorted(ends, key=lambda end: (end["y"] < 189, end["x"]))
        up = middle["y"] - right["y"]
        assert right["x"] - middle["x"] == pytest.approx(up)
        assert middle["x"] - left["x"] == pytest.approx(up)
        assert middle["x"] + up < width
        assert up < middle["y"] == 190


@pytest.mark.parametrize(
    ("angles", "low", "high"),
    [((0, 60), -30, 90), ((0, 120), 30, 90), ((170, -170), 100, 260), ((10, 40, -30), -50, 60)],
)
def test_the_sector_holds_what_conflicts_with_nothing(
    angles: tuple[float, ...], low: float, high: float, rows: Rows
) -> None:
    chart = plane_chart(_gradients(*((a, 1.0) for a in angles)), _updates(), METHODS)
    sector = rows(chart, "line", 0)
    assert sector.iloc[0][["x", "y"]].tolist() == [0, 0]
    turns = np.degrees(np.arctan2(sector["y"], sector["x"]))[1:] % 360
    assert turns.iloc[0] == pytest.approx(low % 360)
    assert turns.iloc[-1] == pytest.approx(high % 360)


@pytest.mark.parametrize("angles", [(0, 180), (0, 120, -120), (0, 100, -100)])
def test_without_such_a_direction_there_is_no_sector(angles, rows: Rows) -> None:
    chart = plane_chart(_gradients(*((a, 1.0) for a in angles)), _updates(), METHODS)
    assert rows(chart, "line", 0).empty


def test_markers_on_one_place_are_all_seen(rows: Rows) -> None:
    chart = plane_chart(
        _gradients((0, 1.0), (90, 1.0)), _updates((1.0, 1.0), (0.5, 0.5), (1.0, 1.0)), METHODS
    )
    ends = rows(chart, "point", 1)
    # What covers another is smaller, and no arrow hides a shorter one of its direction.
    assert ends["method"].tolist() == ["other", "sum", "mean"]
    sizes = ends.set_index("method")["size"]
    assert sizes["other"] > 2 * sizes["sum"]
    assert sizes["sum"] == sizes["mean"]


def test_the_specification_is_constant_while_numbers_change(skeleton: Skeleton) -> None:
    pair = _gradients((0, 1.0), (120, 1.5))
    charts = [
        plane_chart(pair, _updates((0.25, 1.3), (0.1, 0.6), (0.3, 0.3)), METHODS),
        plane_chart(pair, _updates(), METHODS),
        plane_chart(pd.DataFrame(), pd.DataFrame(), METHODS),
        plane_chart(_gradients((0, 1.0), (180, 1.0)), _updates((0.0, 0.0)), METHODS),
        plane_chart(_gradients((0, 0.0), (180, 0.0)), _updates((math.nan, 0.0)), METHODS),
        plane_chart(_gradients((5, 1.0), (99, 70.0), (-80, 0.01)), _updates((9.0, 9.0)), METHODS),
        plane_chart(pair, _updates((0.25, 1.3)), METHODS, log=True),
    ]
    assert len({skeleton(chart) for chart in charts}) == 1
    assert skeleton(plane_chart(pair, _updates(), METHODS[:2])) != skeleton(charts[0])


def test_updates_that_are_not_finite_or_not_named_are_left_out(rows: Rows) -> None:
    updates = _updates((1.0, 0.0), (math.nan, math.nan), (math.inf, 0.0))
    chart = plane_chart(_gradients((0, 1.0)), updates, METHODS)
    assert rows(chart, "point", 1)["method"].tolist() == ["sum"]
    chart = plane_chart(_gradients((0, 1.0)), updates, METHODS[1:])
    assert rows(chart, "point", 1).empty


@pytest.mark.parametrize("count", [0, 1, 16, 36])
def test_it_is_valid_and_leaves_colours_of_the_page_to_the_page(count: int) -> None:
    styled = style_methods([f"method {i}" for i in range(count)])
    chart = plane_chart(_gradients((0, 1.0)), _updates(), styled, name="mine")
    spec = chart.to_dict(validate=True)
    assert spec["width"] == "container"
    assert spec["layer"][-1]["name"] == "mine_hover"
    assert "name" not in spec  # it would be in the names of the scales
    assert "background" not in spec
    for name in ("labelColor", "titleColor", "gridColor", "domainColor", "tickColor"):
        assert name not in json.dumps(spec)


def test_it_is_drawn_in_the_methods_colours(picture: Callable[..., Image.Image]) -> None:
    chart = plane_chart(_gradients((0, 1.0), (120, 1.0)), _updates((0.5, 0.9)), METHODS)
    found = picture(chart).getcolors(maxcolors=1 << 24)
    assert found is not None
    seen = {colour for _, colour in found}
    assert (0x00, 0x72, 0xB2) in seen
    assert (0x85, 0x85, 0x85) in seen


@pytest.mark.parametrize("longest", [1.0, 1.01, 1.99, 4.9, 5.0, 10.0, 173.0, 0.013])
def test_two_to_five_rings_tell_lengths(longest: float, rows: Rows) -> None:
    ticks = rows(plane_chart(_gradients((0, longest)), _updates(), METHODS), "text")["length"]
    assert 2 <= len(ticks) <= 5
    assert ticks.max() <= longest * (1 + 1e-9)
    rings = rows(plane_chart(_gradients((0, longest)), _updates(), METHODS), "line", 1)
    radii = np.hypot(rings["x"], rings["y"])
    assert (radii * longest).to_numpy() == pytest.approx(rings["ring"].to_numpy())


def test_every_method_differs_from_every_other_without_colour() -> None:
    styled = style_methods([f"method {i}" for i in range(36)])
    assert len({(method.dash, method.shape) for method in styled}) == 36
    assert len({(method.dash, method.colour) for method in styled}) == 36
    assert style_methods([f"method {i}" for i in range(9)]) == styled[:9]
    with pytest.raises(InputError, match="37 methods cannot be told apart; show at most 36"):
        style_methods([f"method {i}" for i in range(37)])


def test_the_description_names_tasks_and_methods() -> None:
    told = plane_alt(["g₁", "g₂"], METHODS)
    assert "gradients g₁, g₂" in told
    assert "updates of sum, mean, other" in told
    assert "no method" in plane_alt(["g₁"], [])


def _gradients(*polar: tuple[float, float]) -> pd.DataFrame:
    """From angles in degrees and lengths."""
    return pd.DataFrame(
        [
            {
                "task": f"g{'₁₂₃'[i]}",
                "x": length * round(math.cos(math.radians(angle)), 15),
                "y": length * round(math.sin(math.radians(angle)), 15),
                "loss": 1.0,
            }
            for i, (angle, length) in enumerate(polar)
        ]
    )


def _updates(*vectors: tuple[float, float], methods: list[Curve] = METHODS) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"method": method.label, "x": x, "y": y, "weights": "1, 1", "effects": "L₁ descends"}
            for method, (x, y) in zip(methods, vectors, strict=False)
        ]
    )
