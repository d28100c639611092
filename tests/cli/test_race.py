"""The commands ``race`` and ``foretell``."""

from pathlib import Path

import pandas as pd
import pytest

from mtl_core.cli import main
from mtl_core.runs.library.look_aheads import read
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


def test_foretell_says_how_every_predictor_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "told.csv"
    assert main(["foretell", "--setting", "synthetic", "--known", "--out", str(out)]) == 0
    assert "Look-ahead affinity" in capsys.readouterr().out
    table = pd.read_csv(out).set_index("predictor")
    assert len(table) == 5
    assert table.loc["True cosine, its size", "rho"] == pytest.approx(0.853, abs=1e-3)
    assert table.loc["Look-ahead affinity", "picked"] == "cosm100"


def test_foretell_looks_ahead_into_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["foretell", "--setting", "digits", "--look-ahead", str(tmp_path), "--device", "cpu"]
    assert main(asked) == 0
    assert "fewer than 5 candidates" in capsys.readouterr().out
    (path,) = tmp_path.glob("digits/*.json")
    known = read(path)
    assert set(known.found.epochs) == {"digits1", "digits2", "noisy_digits"}
    affinity = known.found.affinity
    # Though noise harms and more digits help: its gradients stay large when theirs have died out.
    assert affinity["noisy_digits"] > affinity["digits2"] > 0
    assert known.made["command"] == (
        "python -m mtl_core foretell --setting digits --target digits1 --preset quick "
        "--look-ahead DIR"
    )
    said = complaint(["foretell", "--setting", "digits", "--target", "x", "--known"], capsys)
    assert "unknown task of digits 'x'" in said
