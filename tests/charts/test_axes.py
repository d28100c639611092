import math

import pandas as pd
import pytest

from mtl_core.charts.axes import vertical

FRAME = pd.DataFrame({"value": [0.5, 0.0, -1.0], "low": [-0.5] * 3, "high": [1.5, 0.2, 0.1]})


def test_a_share_lies_by_its_error() -> None:
    y = vertical("accuracy", log=False, value_format="%")
    placed = y.place(pd.DataFrame({"curve": ["a", "b"], "value": [0.9, 1.0]}))
    assert placed["value"].tolist() == pytest.approx([0.1, 1e-3])
    assert (y.scale.to_dict()["type"], y.scale.to_dict()["reverse"]) == ("log", True)
    assert y.digits == ".1%"


def test_a_logarithm_has_no_place_for_zero_and_below() -> None:
    y = vertical("sharpness", log=True, value_format=".2e")
    placed = y.place(FRAME)
    assert placed["value"].tolist() == pytest.approx([0.5, math.nan, math.nan], nan_ok=True)
    assert placed["low"].tolist() == pytest.approx([0.05, math.nan, math.nan], nan_ok=True)
    assert placed["high"].tolist() == pytest.approx([1.5, math.nan, math.nan], nan_ok=True)
    assert y.scale.to_dict()["type"] == "log"
    assert y.digits == ".2e"


def test_anything_else_lies_as_it_is() -> None:
    y = vertical("similarity", log=False, value_format=".3~g")
    assert y.place(FRAME) is FRAME
    assert "type" not in y.scale.to_dict()
    assert "format" not in y.axis.to_dict()


def test_a_linear_share_is_labelled_in_percent() -> None:
    assert vertical("accuracy", log=False, value_format=".1%").axis.to_dict()["format"] == "~%"
