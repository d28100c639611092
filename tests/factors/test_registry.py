"""The registry: what a factor declares, and that a further one takes one file and one line."""

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_core import InputError, RunConfig, factors
from mtl_core.factors import Factor, Site, Terms
from mtl_core.training.meter import protocol
from mtl_core.training.replicas import advance
from mtl_core.trajectory import COLUMNS, FACTORS, METRICS

ROOT = Path(__file__).resolve().parents[2]


def test_names_are_the_columns() -> None:
    assert tuple(factors.names()) == FACTORS
    assert (*COLUMNS[-len(FACTORS) - 1 :],) == (*FACTORS, "seconds")
    assert METRICS[-len(FACTORS) :] == FACTORS
    assert factors.explaining() == ["sharpness", "fisher_trace", "gradient_covariance"]


def test_an_unknown_factor() -> None:
    with pytest.raises(InputError, match=r"unknown factor 'sharp'; one of: sharpness, fisher_"):
        factors.get("sharp")
    with pytest.raises(InputError, match=r"unknown factor 'sharp'; one of: sharpness, fisher_"):
        RunConfig("digits", "digits1", factors=("sharp",))


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("sharpness", [0.0, 1e9], [-1e-9]),
        ("fisher_trace", [0.0, 1e9], [-1e-9]),
        ("gradient_covariance", [-1e-9, 0.0, 1e9], []),  # rounding may take it below 0
        ("gradient_similarity", [-1.0, 0.5, 1.0], [-1.001, 1.001]),
    ],
)
def test_the_values_that_a_factor_may_have(
    name: str, inside: list[float], outside: list[float]
) -> None:
    assert factors.get(name).allows(np.array([*inside, np.nan]))
    for value in outside:
        assert not factors.get(name).allows(np.array([*inside, value]))


def norm(site: Site, task: str) -> Tensor:
    """ℓ2 norm of θ, (R,)."""
    squares = [p.flatten(1).double().square().sum(dim=1) for p in site.params.values()]
    return torch.stack(squares).sum(dim=0).sqrt()


def words(terms: Terms) -> str:
    return f"norm of θ, on none of {terms.on}"


NORM = Factor(title="norm", about="The length of θ.", measure=norm, protocol=words, least=0)


def test_a_fifth_factor_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(factors._FACTORS, "norm", NORM)  # type: ignore[arg-type]
    config = RunConfig(
        "digits",
        "digits1",
        ("digits2",),
        samples=40,
        batch_size=20,
        epochs=2,
        width=2,
        seeds=(0, 1),
        early_checkpoints=0,
        factors=("norm", "gradient_covariance"),
        factor_examples=40,
    )
    assert config.factors == ("gradient_covariance", "norm")
    assert RunConfig.from_dict(config.to_dict()) == config
    assert protocol(config)["norm"] == (
        "norm of θ, on none of the first 40 training examples of the task"
    )
    checkpoints = advance(config, (0, 1), None, slice_seconds=math.inf)
    rows = [row for checkpoint in checkpoints for row in checkpoint.rows]
    assert {tuple(row) for row in rows} == {(*COLUMNS[:-1], "norm", "seconds")}
    due = [row for row in rows if row["step"] > 0 and row["role"] == "target"]
    assert [row["step"] for row in due] == [2, 2, 4, 4]
    for row in rows:
        assert (row["norm"] is not None) == (row in due)
        assert row["sharpness"] is None
    state = checkpoints[-1].state
    assert state is not None
    shared = [p for name, p in state.items() if name.startswith("parameter/encoder.")]
    for replica, row in enumerate(due[-2:]):
        squares = sum(np.square(p[replica], dtype=float).sum() for p in shared)
        assert row["norm"] == pytest.approx(np.sqrt(squares))


FILE = '''
"""Norm: the length of θ."""

from mtl_core.factors.base import Factor, Site, Terms


def _measured(site: Site, task: str):
    return sum(p.flatten(1).square().sum(dim=1) for p in site.params.values()).sqrt()


FACTOR = Factor("norm", "The length of θ.", _measured, lambda terms: "norm of θ")
'''

RUN = """
from mtl_core import RunConfig, train
from mtl_core.trajectory import COLUMNS

config = RunConfig("digits", "digits1", samples=20, batch_size=20, epochs=1, width=1, seeds=(0,))
assert config.factors[-1] == "norm", config.factors
rows = [row for checkpoint in train(config, device="cpu") for row in checkpoint.rows]
assert all(tuple(row) == COLUMNS for row in rows)
print(COLUMNS[-2], rows[-1]["norm"] > 0)
"""


def test_a_fifth_factor_is_one_file_and_one_line(tmp_path: Path) -> None:
    """Written into a copy of the package, where every table of columns is made anew."""
    copy = tmp_path / "mtl_core"
    shutil.copytree(ROOT / "mtl_core", copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "factors" / "norm.py").write_text(FILE)
    registry = copy / "factors" / "__init__.py"
    text = registry.read_text()
    last = '    "gradient_similarity": similarity.FACTOR,\n'
    assert text.count(last) == 1
    text = text.replace(last, f'{last}    "norm": norm.FACTOR,\n')
    registry.write_text(text.replace("import covariance,", "import norm, covariance,"))
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["norm", "True"]
