"""Guesses drawn: bars of their counts, and the interval that came out."""

from collections.abc import Callable
from typing import Any

import pytest

from mtl_core.charts import answers_alt, answers_chart, guesses_alt, guesses_chart

Scene = Callable[..., list[dict[str, Any]]]

COUNTS = {"Better.": 3, "Worse.": 1, "Nobody knows.": 0}


def test_every_answer_has_a_bar_and_its_number(scene: Scene) -> None:
    chart = answers_chart(COUNTS)
    widths = [bar["width"] for bar in scene(chart, "rect")]
    assert widths[0] == pytest.approx(3 * widths[1])
    assert widths[2] == 0
    assert [mark["text"] for mark in scene(chart, "text")][-3:] == ["3", "1", "0"]
    chart.to_dict(validate=True)


def test_what_came_out_is_blue(scene: Scene) -> None:
    assert len({bar["fill"] for bar in scene(answers_chart(COUNTS), "rect")}) == 1
    fills = [bar["fill"] for bar in scene(answers_chart(COUNTS, "Worse."), "rect")]
    assert fills[0] == fills[2] != fills[1] == "#0072B2"
    told = answers_alt(COUNTS, "Worse.")
    assert "3 for “Better.”, 1 for “Worse.”" in told
    assert told.endswith("What came out: “Worse.”.")


def test_numbers_are_counted_in_fixed_bins(scene: Scene) -> None:
    values = [-10.0, -9.9, 4.0, 10.0]  # 20 bins of one from −10 to 10; the end is in the last
    chart = guesses_chart(values, low=-10, high=10, title="change")
    bars = scene(chart, "rect")
    heights = sorted(bar["height"] for bar in bars)
    assert heights == pytest.approx([heights[0], heights[0], 2 * heights[0]])
    width = bars[0]["width"]
    assert [round(bar["x"] / width) for bar in bars] == [0, 14, 19]
    chart.to_dict(validate=True)


def test_the_interval_and_ones_own_guess_stand_on_one_axis(scene: Scene) -> None:
    chart = guesses_chart([], low=-10, high=10, title="change", own=0.0, came=(-5.0, 5.0))
    (band,) = scene(chart, "rect")
    (own,) = scene(chart, "symbol")
    assert own["x"] == pytest.approx(band["x"] + band["width"] / 2)
    assert len(scene(guesses_chart([], low=0, high=1, title="change"), "rect")) == 0
    told = guesses_alt([1, 2, 9], title="change", own=0.0, came=(-5.0, 5.0))
    assert "3 guesses at the change; their median is 2; yours is 0" in told
    assert "from -5 to 5" in told
