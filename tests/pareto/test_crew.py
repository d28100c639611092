"""Fronts that processes help with are those of one process, to the last bit."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtl_core.pareto import Front, ParetoConfig, crew, solve
from mtl_core.training.pool import ReplicaPool

solving = importlib.import_module("mtl_core.pareto.solve")


@pytest.fixture(scope="module")
def pool() -> Iterator[ReplicaPool]:
    with ReplicaPool(2) as found:
        yield found


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Help from the first steps on, waited for; lists what was computed by others."""
    monkeypatch.setattr(solving, "WORTH_IT", 0.0)
    asked: list[str] = []

    class Waiting(crew.Crew):
        @property
        def ready(self) -> bool:
            for future in self._loading:
                future.result()
            return super().ready

        def compute(self, what: str, *of: Any) -> Any:
            asked.append(what)
            return super().compute(what, *of)

    monkeypatch.setattr(crew, "Crew", Waiting)
    return asked


def assert_same(found: list[Front], expected: list[Front]) -> None:
    assert [(f.seed, f.step) for f in found] == [(f.seed, f.step) for f in expected]
    for one, other in zip(found, expected, strict=True):
        for name in ("train", "test", "metrics", "matrix"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        for name, value in one.state.items():
            if name != "seconds":
                np.testing.assert_array_equal(value, other.state[name], err_msg=name)


@pytest.fixture
def multimnist_data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST, for processes too, which look where this one does."""
    folder = request.getfixturevalue("folder_with")("mnist")
    monkeypatch.setenv("MTL_DATA_DIR", str(folder))


@pytest.mark.parametrize(
    ("method", "optimizer"), [("independent", "sgd"), ("adaptive", "adam"), ("mgda", "sgd")]
)
def test_helped_fronts_are_the_same(
    multimnist_data: None, pool: ReplicaPool, helped: list[str], method: str, optimizer: str
) -> None:
    config = ParetoConfig(
        "multimnist",
        method=method,
        optimizer=optimizer,
        lr=0.01,
        solutions=4,
        iterations=14,
        frames=2,
        batch_size=13,
        samples=60,
        held_out=20,
        seeds=(0, 1),
    )
    alone = list(solve(config, device="cpu"))
    assert not helped
    with_pool = list(solve(config, device="cpu", pool=pool))
    assert {"directions", "train", "test", "metrics"} == set(helped)
    assert_same(with_pool, alone)
    # What one process has begun, others go on with: seeds that stand at different steps, too.
    states = {front.seed: front.state for front in alone if front.step == 7}
    states[1] = next(f.state for f in alone if (f.seed, f.step) == (1, 0))
    resumed = list(solve(config, device="cpu", states=states, pool=pool))
    order = [(1, 7), (1, 14), (0, 14)]
    assert_same(resumed, [next(f for f in alone if (f.seed, f.step) == at) for at in order])


def write(path: Path, slope: int) -> None:
    rows = [f"{n % 5},{n % 7},{slope * (n % 5) + n % 3},{(n % 7) ** 2}" for n in range(60)]
    path.write_text("\n".join(["a,b,one,other", *rows]))


def test_a_file_that_was_replaced_is_read_anew(
    tmp_path: Path, pool: ReplicaPool, helped: list[str]
) -> None:
    """The same config with the same processes, on another table."""
    path = tmp_path / "table.csv"
    config = ParetoConfig(
        "csv",
        problem_options=(("file", str(path)), ("targets", "one,other")),
        method="independent",
        solutions=2,
        iterations=8,
        frames=1,
        seeds=(0,),
    )
    last = []
    for slope in (1, -3):
        write(path, slope)
        helped.clear()
        found = list(solve(config, device="cpu", pool=pool))
        assert "directions" in helped
        assert_same(found, list(solve(config, device="cpu")))
        last.append(found[-1].losses)
    assert not np.array_equal(*last)


def test_no_processes_are_started_for_little(helped: list[str]) -> None:
    config = ParetoConfig("linnerud", solutions=3, iterations=20, frames=1, seeds=(0,))
    list(solve(config, device="cpu"))
    assert not helped
