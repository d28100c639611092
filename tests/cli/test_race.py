"""The command ``race``."""

import pandas as pd
import pytest

from mtl_core.cli import main
from tests.cli.asking import complaint


def test_it_says_what_is_known(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "race.csv"
    asked = ["race", "--setting", "digits", "--candidates", "digits2", "--known"]
    assert main([*asked, "--margin", "50", "--out", str(out)]) == 0
    assert "digits2" in capsys.readouterr().out
    table = pd.read_csv(out)
    assert set(table["auxiliaries"]) == {"stl", "digits2"}
    assert set(table["outcome"]) == {"level"}, "nothing is worth fifty points"


def test_what_is_no_race_costs_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(["race", "--setting", "digits", "--most", "2", "--known"], capsys)
    assert said == "2 seeds are too few for this race; give at least 3"
