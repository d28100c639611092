from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from mtl_core.charts import leaderboard_alt, leaderboard_chart

Scene = Callable[..., list[dict[str, Any]]]


def rows(**changes: list[object]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "key": ["a", "b", "stl"],
            "name": ["a", "b", "alone"],
            "reference": [False, False, True],
            "state": ["winner", "out", "out"],
            "seeds": [5, 3, 5],
            "delta": [0.05, -0.02, 0.0],
            "low": [0.03, -0.06, 0.0],
            "high": [0.07, 0.02, 0.0],
            "beaten_by": ["", "a", "a"],
        }
        | changes
    )


def chart(table: pd.DataFrame) -> Any:
    return leaderboard_chart(table, title="ΔE, points", share=True)


def test_rows_keep_the_races_order_and_say_their_state(scene: Scene) -> None:
    drawn = chart(rows())
    drawn.to_dict(validate=True)
    assert drawn.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"] == ["a", "b", "alone"]
    texts = [text["text"] for text in scene(drawn, "text") if "seeds" in str(text.get("text"))]
    assert texts == ["winner · 5 seeds", "out · 3 seeds", "out · 5 seeds"]


def test_colour_tells_who_leads_and_who_is_out(scene: Scene) -> None:
    colours = {bar["fill"] for bar in scene(chart(rows()), "rect") if bar.get("fill")}
    assert {"#009E73", "#858585"} <= colours


def test_a_wide_interval_does_not_dwarf_the_means() -> None:
    table = rows(low=[-9.0, -0.06, 0.0], high=[9.0, 0.02, 0.0])
    low, high = chart(table).to_dict()["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert -40 < low < -2
    assert 5 < high < 70


@pytest.mark.parametrize("missing", [float("nan"), float("inf")])
def test_before_the_first_look_there_are_names_alone(scene: Scene, missing: float) -> None:
    nothing = [float("nan")] * 3
    table = rows(delta=nothing, low=[-missing] * 3, high=[missing] * 3, seeds=[0, 0, 0])
    assert scene(chart(table), "symbol") == []


def test_it_has_a_sentence() -> None:
    assert leaderboard_alt(rows(), "alone", share=True) == (
        "Bars of what 2 trainings gain over training alone, with 95 % intervals: first a, 5 points "
        "above it (3 to 7), winner; last b, 2 points below it (-6 to 2), out."
    )
    nothing = rows(delta=[float("nan")] * 3)
    assert leaderboard_alt(nothing, "alone", share=True).endswith("none is known yet.")
