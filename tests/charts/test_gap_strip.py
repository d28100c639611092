"""The strip below the hero: gaps in points, intervals that end at the axis, one line at 0."""

from collections.abc import Callable
from typing import Any

import altair as alt
import pandas as pd
import pytest

from mtl_core.charts import Curve, CurveKey, gap_strip, gap_strip_alt, style_curves

ROWS = pd.DataFrame(
    {
        "curve": "+ digits2",
        "train_loss": [1.0, 0.5, 0.1],
        "gap": [0.0, 0.02, 0.05],
        "low": [-0.4, 0.01, 0.03],
        "high": [0.4, 0.03, 0.07],
        "largest": [0.03, 0.03, 0.06],
        "seeds": 3,
    }
)


def test_shares_are_in_points_and_wide_intervals_end_at_the_axis(
    curves: list[Curve], rows: Callable[..., pd.DataFrame]
) -> None:
    chart = _strip(ROWS, curves)
    line, band = rows(chart, "line", 1), rows(chart, "area")
    assert line["gap"].tolist() == pytest.approx([0, 2, 5])
    reach = 1.3 * 6
    assert band["from_gap"].tolist() == pytest.approx([-reach, 1, 3])
    assert band["to_gap"].tolist() == pytest.approx([reach, 3, 7])
    assert rows(chart, "point")["low"].tolist() == pytest.approx([-40, 1, 3]), "hover has all of it"
    plain = gap_strip(ROWS, curves, title="gap", share=False)
    assert rows(plain, "line", 1)["gap"].tolist() == pytest.approx([0, 0.02, 0.05])


def test_the_line_at_0_goes_from_end_to_end_and_the_axis_to_both_sides(
    curves: list[Curve], rows: Callable[..., pd.DataFrame], scene: Callable[..., Any]
) -> None:
    chart = _strip(ROWS, curves, losses=(0.01, 2.0))
    ends = rows(chart, "line")
    assert sorted(ends[ends["zero"]]["at"]) == [0.01, 2.0]
    assert sorted(set(ends["level"])) == pytest.approx([-7.8, 0, 7.8])
    assert "0.01" in [item["text"] for item in scene(chart, "text", role="axis-label")]


def test_a_gap_of_nothing_keeps_a_point_of_room(
    curves: list[Curve], rows: Callable[..., pd.DataFrame]
) -> None:
    flat = ROWS.assign(gap=0.0, low=0.0, high=0.0, largest=0.0)
    assert set(rows(_strip(flat, curves, losses=(0.1, 1.0)), "line")["level"]) == {-1, 0, 1}


def test_its_specification_is_the_same_from_the_first_row_to_the_last(
    curves: list[Curve], skeleton: Callable[[alt.LayerChart], str]
) -> None:
    ticks = [_strip(ROWS[:count], curves, losses=(0.1, 1.0)) for count in range(4)]
    ticks.append(_strip(ROWS, curves, losses=(0.05, 1.0)))
    ticks.append(_strip(ROWS.assign(low=float("nan"), high=float("nan")), curves, losses=()))
    assert len({skeleton(chart) for chart in ticks}) == 1
    ticks[0].to_dict(validate=True)


def test_the_alt_text_names_the_curves(curves: list[Curve]) -> None:
    assert "digits1" in gap_strip_alt(curves[1:], task="digits1")
    assert "+ digits2, + noisy_digits" in gap_strip_alt(curves[1:], task="digits1")


def _strip(rows: pd.DataFrame, curves: list[Curve], **more: Any) -> alt.LayerChart:
    return gap_strip(rows, curves, title="gap (pt)", share=True, **more)


def test_intervals_of_many_curves_are_in_the_tooltips_alone() -> None:
    for many, opacity in ((8, 0.2), (9, 0)):
        curves = style_curves([CurveKey(f"curve {place}", "helpful") for place in range(many)])
        spec = gap_strip(ROWS, curves, title="gap", share=True).to_dict()
        (band,) = [one for one in spec["layer"] if one["mark"]["type"] == "area"]
        assert band["mark"]["opacity"] == opacity
        (hover,) = [one for one in spec["layer"] if one["mark"]["type"] == "point"]
        assert "low" in str(hover["encoding"]["tooltip"])
