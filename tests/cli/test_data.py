"""``data add`` and ``data list``: a file becomes a setting, and every guess is said."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.own_data import LABELS, planted
from mtl_core import RunConfig
from mtl_core.cli import main
from mtl_core.data import stored
from mtl_core.runs import Store
from tests import owned


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where own data is stored."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    owned.frame(60).to_csv(tmp_path / "size.csv", index=False)
    return tmp_path


def test_a_file_is_added_listed_and_trained_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add = ["data", "add", str(folder / "size.csv"), "--labels", "y", "kind"]
    assert main([*add, "--inputs", "a", "b", "--name", "Sizes"]) == 0
    said = capsys.readouterr().out.splitlines()
    (name,) = stored.names()
    assert said[0] == f"{name}  Sizes"
    sizes = "42 examples to train on, 9 to validate on and 9 to test on."
    assert said[1] == f"Own data: 2 columns of a table, {sizes}"
    assert said[2:5] == ["inputs: a, b", "y: a number to predict", "kind: 2 classes"]
    assert said[5] == f"python -m mtl_core run --setting {name} --preset quick --seeds 0 --out out"
    assert main(["data", "list"]) == 0
    assert capsys.readouterr().out == f"{name}  data found    Sizes: y, kind\n"
    run = ["run", "--setting", name, "--preset", "quick", "--epochs", "1", "--factors"]
    assert main([*run, "--seeds", "0", "--device", "cpu", "--out", str(folder / "out")]) == 0
    assert (folder / "out" / "trajectory.parquet").is_file()
    assert main(["list", "settings"]) == 0
    assert f"{name} data found" in capsys.readouterr().out


def test_what_is_left_out_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = owned.frame(60).assign(who=[f"w{n}" for n in range(60)], odd=[*range(59), "x"], one=1)
    table.to_csv(folder / "more.csv", index=False)
    assert main(["data", "add", str(folder / "more.csv"), "--labels", "y"]) == 0
    left = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert left == [
        "left out: who (text, 60 different, too many for an input)",
        "left out: odd (text, 60 different, too many for an input; has text in row 60, where other "
        "rows have numbers; correct it, or take the column as categories)",
        "left out: one (whole numbers, 1 different)",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--labels", "Y"],
         "error: size.csv has no column 'Y' among its 5; look at its first line"),
        (["--labels", "kind", "--classes"],
         "error: label 'kind' of size.csv is text, and no number to predict; learn it as classes"),
        (["--labels", "y", "--group", "nope"], "error: size.csv has no column 'nope' among its 5; "
         "look at its first line"),
        ([], "error: the following arguments are required: --labels; see `python -m mtl_core data "
         "add --help`"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_costs_one_line(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "add", str(folder / "size.csv"), *words]) == 2
    assert capsys.readouterr().err == f"{said}\n"
    assert stored.names() == []


def test_a_run_on_data_that_nobody_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--setting", "own-1a2b3c4d5e", "--out", "out"]) == 2
    assert capsys.readouterr().err.startswith("error: nothing is known here of the own data 'own-")


def test_data_is_removed_once_no_run_on_it_is_under_way(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MTL_STORE", str(folder / "runs.db"))
    store, name = Store(), owned.store(title="Sizes")
    config = RunConfig.from_preset(name, "quick", auxiliaries=(), seeds=(0,))
    store.submit(config)
    assert main(["data", "remove", name]) == 2
    assert capsys.readouterr().err == (
        "error: 1 run on Sizes is queued or under way; stop what you do not need, or wait for the "
        "end\n"
    )
    assert stored.data_file(name).is_file()
    store.cancel(config.id, (0,))
    assert main(["data", "remove", name]) == 0
    assert capsys.readouterr().out == "Sizes was removed; 1 run on it can still be looked at.\n"
    assert not stored.data_file(name).exists()
    assert stored.names() == [name], "it is still described"
    assert main(["data", "remove", name]) == 2
    assert capsys.readouterr().err.startswith(f"error: no own data '{name}' is stored here; ")

    other = owned.store(owned.frame(seed=1), title="Unused")
    assert main(["data", "remove", other]) == 0
    assert capsys.readouterr().out == "Unused was removed.\n"
    assert stored.names() == [name]
    assert main(["data", "remove", "../../etc/passwd"]) == 2


def test_a_table_of_fifty_columns_is_learned(folder: Path) -> None:
    """The quick preset finds planted relations, and none where none is.

    Whoever knows the relations has 0.98 and 0.97 in Pearson's correlation and 0.87 and 0.95 in
    accuracy; noise and guessing have 0 and 0.25 and 0.5. ``benchmarks/own_data.py`` has it with
    100,000 rows.
    """
    table, best = planted(4_000, 45)
    table.to_csv(folder / "large.csv", index=False)
    assert main(["data", "add", str(folder / "large.csv"), "--labels", *LABELS]) == 0
    (name,) = stored.names()
    run = ["run", "--setting", name, "--target", "price", "--aux", *LABELS[1:], "--factors"]
    assert main([*run, "--preset", "quick", "--seeds", "0", "--out", str(folder / "out")]) == 0
    rows = pd.read_parquet(folder / "out" / "trajectory.parquet")
    rows = rows[rows["whole_epoch"]]
    reached = {
        task: found.loc[found["val_metric"].idxmax(), "test_metric"]
        for task, found in rows.groupby("task")
    }
    chance = {"price": 0.0, "demand": 0.0, "tier": 0.25, "bought": 0.5}
    for task, least in chance.items():
        share = (reached[task] - least) / (best[task] - least)
        assert 0.8 < share < 1.03, (task, reached[task], best[task])
    # 600 test examples: five standard errors.
    assert abs(reached["noise"]) < 5 / 600**0.5
