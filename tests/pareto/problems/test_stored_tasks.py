"""Stored tasks as objectives: losses in units of knowing nothing, defined without the data."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mtl_core import DataMissing, InputError
from mtl_core.data import stored
from mtl_core.pareto import problems
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.solve import solve
from mtl_core.runs.kinds import KINDS
from tests import owned

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where own data is stored."""
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(stored, "_carried", {})
    return tmp_path / "own"


def test_the_best_constant_prediction_costs_one() -> None:
    options = {"file": owned.store(), "targets": "y,kind"}
    problem = problems.get("csv").given(options)
    assert [objective.name for objective in problem.objectives] == ["y", "kind"]
    assert problem.reference == (2.0, 2.0)
    instance = problem.load(CPU, None, None, options)
    parameters = instance.start(torch.Generator().manual_seed(0))
    kinds = instance.train[2].numpy()
    shares = np.bincount(kinds) / len(kinds)
    last = sorted(name for name in parameters if name.startswith("4"))
    assert last == ["4.bias", "4.weight"]
    parameters["4.weight"] = torch.zeros_like(parameters["4.weight"])
    parameters["4.bias"] = torch.tensor([0.0, *np.log(shares)], dtype=torch.float32)
    losses = instance.losses(parameters, instance.train)
    np.testing.assert_allclose(losses, [1, 1], rtol=1e-5)


def test_what_a_front_takes_is_known_without_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """By design: before, each solution counted as 60,000 numbers, however wide the table is."""
    options = {"file": owned.store(), "targets": "y,kind"}
    instance = problems.get("csv").given(options).load(CPU, None, None, options)
    start = instance.start(torch.Generator().manual_seed(0))
    with monkeypatch.context() as patch:
        patch.setattr(stored, "load", None)
        known = problems.get("csv").given(options).parameters
        assert known == sum(part.numel() for part in start.values())
        config = ParetoConfig.from_preset(
            "csv", "quick", problem_options=options, solutions=7, optimizer="adam"
        )
        assert KINDS["front"].state_bytes(config) == 7 * known * 4 * 3
    wide = problems.get("csv").given({"file": "own-0000000000", "targets": "y,kind"})
    assert wide.parameters is None, "of data that nobody has described"


def test_a_front_is_solved_on_a_number_and_classes() -> None:
    config = ParetoConfig.from_preset(
        "csv",
        "quick",
        problem_options={"file": owned.store(), "targets": "y,kind"},
        iterations=60,
        frames=2,
        seeds=(0,),
    )
    *_, last = solve(config)
    rows = last.fronts[0] if hasattr(last, "fronts") else last
    losses = np.asarray(rows.losses)
    assert losses.shape[-1] == 2
    assert losses.min() < 0.8


def test_it_is_defined_without_the_data_and_says_that_it_is_absent(folder: Path) -> None:
    name = owned.store()
    config = ParetoConfig.from_preset(
        "csv", "quick", problem_options={"file": name, "targets": "y,kind"}
    )
    (folder / f"{name}.npz").unlink()
    assert ParetoConfig.from_dict(config.to_dict()) == config
    with pytest.raises(DataMissing, match=f"^the data of {name} is not on this machine"):
        KINDS["front"].fingerprint(config)
    assert KINDS["front"].carried(config) == stored.carried(name)


def test_tasks_are_those_of_the_data() -> None:
    options = {"file": owned.store(), "targets": "y,nope"}
    with pytest.raises(InputError, match=r"^unknown task of own-\w+ 'nope'; one of: y, kind$"):
        problems.get("csv").load(CPU, None, None, options)
