"""Spreadsheets: no text is a formula, and numbers are numbers."""

import io

import pandas as pd
import pytest

from mtl_core.views.spreadsheets import csv


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=cmd|' /C calc'!A0"])
def test_a_text_that_begins_as_a_formula_is_text(text: str) -> None:
    written = csv(pd.DataFrame({"task": [text, "digits1"], text: [-1.5, 2.0]}))
    read = pd.read_csv(io.StringIO(written))
    assert read["task"].tolist() == [f"'{text}", "digits1"]
    assert read[f"'{text}"].tolist() == [-1.5, 2.0]


def test_the_rest_is_as_pandas_writes_it() -> None:
    frame = pd.DataFrame(
        {
            "task": ["a", 'b "c", d', "e=f"],
            "loss": [-1e-9, float("nan"), 3.0],
            "step": [1, 2, 3],
            "whole": [True, False, True],
            "mixed": [1, "x", None],
        }
    )
    assert csv(frame) == frame.to_csv(index=False)
    assert csv(frame.astype({"task": "str"})) == frame.to_csv(index=False)
    assert csv(frame.head(0)) == frame.head(0).to_csv(index=False)
