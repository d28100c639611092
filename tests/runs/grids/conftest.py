"""Small experiments of every kind, and what carrying one out gives without a grid."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.pareto import Front, ParetoConfig, solve
from mtl_core.pareto.config import WITHOUT_TRANSFER
from mtl_core.runs import kinds
from mtl_core.runs.library import artifacts
from mtl_core.training import train

Make = Callable[..., Any]
KINDS = list(kinds.KINDS)


@pytest.fixture(scope="session")
def make_front() -> Make:
    """A front that is solved for in well under a second, with changes."""

    def make(problem: str = "toy", **changes: Any) -> ParetoConfig:
        small = {"iterations": 40, "frames": 4, "solutions": 5, "seeds": (0,)}
        return ParetoConfig.from_preset(problem, "quick", **(small | changes))

    return make


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, make_config: Make, make_front: Make) -> Make:
    """A small experiment of either kind, with changes; ``steps`` goes by epochs or iterations."""

    def of(steps: int = 2, **changes: Any) -> Any:
        if request.param == "training":
            return make_config(epochs=steps, **changes)
        return make_front(iterations=20 * steps, **changes)

    return of


@pytest.fixture
def change(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Declares something else of an experiment's kind, in this process and for this test."""

    def declare(config: Any, **changes: Any) -> None:
        kind = kinds.of(config)
        monkeypatch.setitem(kinds.KINDS, kind.name, replace(kind, **changes))

    return declare


@pytest.fixture
def plain_cost(change: Make, make_config: Make) -> None:
    """Training costs as many examples as are differentiated, whose shares are known by heart."""
    change(make_config(), cost=lambda c: float(c.steps * c.batch_size * len(c.tasks)))


@pytest.fixture(scope="session")
def measured() -> Make:
    """What ``train`` or ``solve`` gives of an experiment's seeds: its tables, without seconds."""

    def tables(config: Any) -> dict[str, pd.DataFrame]:
        kind = kinds.of(config)
        rows = _solved(config) if isinstance(config, ParetoConfig) else _trained(config)
        found = {}
        for name, table in kind.tables.items():
            frame = pd.DataFrame(rows[name], columns=list(table.columns))
            found[name] = clockless(table.tidied(frame))
        return found

    return tables


def _trained(config: Any) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {"trajectory": [], "cosines": [], "updates": []}
    for seed in config.seeds:  # one at a time, which needs no pool and changes no value
        for checkpoint in train(checks.with_seeds(config, [seed]), device="cpu"):
            rows["trajectory"] += checkpoint.rows
            rows["cosines"] += checkpoint.cosines
            rows["updates"] += checkpoint.updates
    return rows


def _solved(config: ParetoConfig) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {"front": [], "transfers": []}
    for front in solve(config, device="cpu"):
        rows["front"] += _front_rows(config, front)
        if config.method not in WITHOUT_TRANSFER:
            rows["transfers"] += [
                {"seed": front.seed, "step": front.step, "solution": i, "other": j, "share": share}
                for (i, j), share in pd.DataFrame(front.matrix).stack().items()
                if share >= 1e-9
            ]
    return rows


def _front_rows(config: ParetoConfig, front: Front) -> Iterator[dict[str, Any]]:
    for solution in range(config.solutions):
        for place, objective in enumerate(config.definition.objectives):
            yield {
                "seed": front.seed,
                "step": front.step,
                "evaluations": front.evaluations,
                "seconds": front.seconds,
                "solution": solution,
                "objective": objective.name,
                "train_loss": front.train[solution, place],
                "test_loss": None if front.test is None else front.test[solution, place],
                "metric": None if front.metrics is None else front.metrics[solution, place],
            }


def clockless(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns="seconds", errors="ignore")


@pytest.fixture(scope="session")
def held() -> Make:
    """The tables of an artifact, without seconds."""

    def tables(artifact: artifacts.Artifact) -> dict[str, pd.DataFrame]:
        return {name: clockless(artifact.table(name)) for name in artifact.kind.tables}

    return tables


@pytest.fixture(scope="session")
def same() -> Make:
    """Asserts that two sets of tables are the same to the last bit."""

    def check(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
        assert set(found) == set(expected)
        for name, rows in expected.items():
            pd.testing.assert_frame_equal(found[name], rows, check_exact=True)

    return check


@pytest.fixture(scope="session")
def numbers(held: Make) -> Callable[[Path], dict[str, Any]]:
    """All that a folder's artifacts hold by id, but what a clock has said."""

    def read(folder: Path) -> dict[str, Any]:
        found, problems = artifacts.scan(folder)
        assert problems == []
        return {
            run: (
                one.folder.relative_to(folder),
                _timeless(one.manifest),
                {name: rows.map(repr).to_csv() for name, rows in held(one).items()},
            )
            for run, one in found.items()
        }

    return read


def _timeless(manifest: Any) -> Any:
    """A manifest without what a clock has said, hashes of tables with seconds included."""
    clocks = ("created", "duration_seconds", "blake2b")
    if isinstance(manifest, dict):
        return {name: _timeless(value) for name, value in manifest.items() if name not in clocks}
    return [*map(_timeless, manifest)] if isinstance(manifest, list) else manifest
