"""The README's example of a new method: its file, its registry line and its test, as they stand."""

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mtl_core import InputError, RunConfig, optimizers
from mtl_core.training.replicas import advance

ROOT = Path(__file__).resolve().parents[2]


def blocks() -> dict[str, str]:
    """The section's code by the file that its first line names."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("### Adding a multi-task optimizer")[2].partition("\n## ")[0]
    found = re.findall(r"```python\n# (\S+)\n(.*?)```", section, flags=re.DOTALL)
    return dict(found)


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The method as if it had been added."""
    code = blocks()
    file = tmp_path / "inverse_loss.py"
    file.write_text(code["mtl_core/optimizers/inverse_loss.py"], encoding="utf-8")
    module = runpy.run_path(str(file))
    line = code["mtl_core/optimizers/__init__.py"].strip()
    assert line == '"inverse_loss": inverse_loss.RULE,'
    rules = {**optimizers._RULES, "inverse_loss": module["RULE"]}
    monkeypatch.setattr(optimizers, "_RULES", rules)
    yield code
    sys.modules.pop("inverse_loss", None)


def test_it_names_three_files(added: dict[str, str]) -> None:
    assert set(added) == {
        "mtl_core/optimizers/inverse_loss.py",
        "mtl_core/optimizers/__init__.py",
        "tests/optimizers/test_inverse_loss.py",
    }


def test_its_own_tests_pass(added: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "test_inverse_loss.py"
    file.write_text(added["tests/optimizers/test_inverse_loss.py"], encoding="utf-8")
    tests = {
        name: test for name, test in runpy.run_path(str(file)).items() if name.startswith("test_")
    }
    assert len(tests) == 2
    for test in tests.values():
        test()


def test_it_trains_by_its_name_like_any_other(added: dict[str, str]) -> None:
    config = RunConfig(
        "digits", "digits1", ("digits2",), optimizer="inverse_loss", options=(("power", 0.5),),
        samples=50, batch_size=25, epochs=1, width=2, seeds=(0,), factors=(),
    )  # fmt: skip
    rows = [row for one in advance(config, (0,), None, slice_seconds=60) for row in one.rows]
    assert {row["optimizer"] for row in rows} == {"inverse_loss"}
    assert torch.tensor([row["train_loss"] for row in rows]).isfinite().all()
    with pytest.raises(InputError, match=r"'power' of optimizer 'inverse_loss' is -1\.0"):
        RunConfig(
            "digits", "digits1", ("digits2",), optimizer="inverse_loss", options=(("power", -1),)
        )
