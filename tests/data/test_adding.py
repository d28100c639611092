"""A table in one call: the same setting as by the command line, whatever it comes as."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl_core import InputError, add_data, settings
from mtl_core.cli import main


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "data"))
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "a": rng.normal(size=120).round(4),
            "b": rng.normal(size=120).round(4),
            "group": np.arange(120) // 4,
            "ill": rng.choice(["yes", "no"], size=120),
            "score": rng.normal(size=120).round(4),
        }
    )


def test_a_frame_a_file_and_the_command_line_make_the_same_setting(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "table.csv"
    table.to_csv(file, index=False)
    labels = ["ill", "score"]
    name = add_data(table, labels, group="group", title="Patients")
    assert settings.get(name).title == "Patients"
    assert add_data(file, labels, group="group") == name
    assert main(["data", "add", str(file), "--labels", *labels, "--group", "group"]) == 0
    assert capsys.readouterr().out.split()[0] == name
    setting = settings.get(name)
    assert {task.name: task.classes for task in setting.tasks} == {"ill": 2, "score": 1}
    assert add_data(table, labels, inputs=["a"], group="group") != name


def test_what_cannot_be_learned_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="well"):
        add_data(table, ["well"])
    with pytest.raises(InputError, match="no label"):
        add_data(table, [])
