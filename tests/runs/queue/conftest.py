"""Small experiments of every kind, what they measure when nothing disturbs them, and workers."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from mtl_core import checks
from mtl_core.pareto import ParetoConfig, solve
from mtl_core.runs import kinds
from mtl_core.runs.kinds.base import columns_of
from mtl_core.runs.kinds.front import tables as front_tables
from mtl_core.runs.queue import lockstep, worker
from mtl_core.runs.queue.slices import Carrier, Stacks
from mtl_core.runs.queue.store import Store
from mtl_core.training import train

Make = Callable[..., Any]


@pytest.fixture(params=list(kinds.KINDS))
def make(request: pytest.FixtureRequest, make_config: Make, make_front: Make) -> Make:
    """A small experiment of either kind, with changes; ``size`` goes by epochs or iterations."""

    def of(size: int = 2, **changes: Any) -> Any:
        if request.param == "training":
            return make_config(epochs=size, **changes)
        return make_front(iterations=20 * size, frames=2 * size, **changes)

    return of


@pytest.fixture(scope="session")
def undisturbed() -> Make:
    """The tables that ``train`` or ``solve`` gives of an experiment's seeds, without seconds."""

    def tables(config: Any) -> dict[str, pd.DataFrame]:
        parts: dict[str, list[Any]] = {name: [] for name in kinds.of(config).tables}
        for seed in config.seeds:  # one at a time, which needs no pool and changes no value
            for measured in _measured(checks.with_seeds(config, [seed])):
                for name, columns in measured.items():
                    parts[name].append(columns)
        forms = kinds.of(config).tables
        return {name: without_clock(forms[name].frame(rows)) for name, rows in parts.items()}

    return tables


def _measured(config: Any) -> Iterator[dict[str, Any]]:
    if isinstance(config, ParetoConfig):
        for front in solve(config, device="cpu", processes=1):
            yield front_tables(config, front)
        return
    forms = kinds.of(config).tables
    for one in train(config, device="cpu"):
        found = {"trajectory": one.rows, "cosines": one.cosines, "updates": one.updates}
        yield {n: columns_of(rows, forms[n].columns) for n, rows in found.items() if rows}


@pytest.fixture(scope="session")
def stored() -> Make:
    """The tables that a store has of an experiment's seeds, without seconds."""

    def tables(store: Store, config: Any) -> dict[str, pd.DataFrame]:
        names = kinds.of(config).tables
        return {name: without_clock(store.table(config, name)) for name in names}

    return tables


@pytest.fixture(scope="session")
def assert_same() -> Make:
    """To the last bit."""

    def check(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
        assert found.keys() == expected.keys()
        for name, table in found.items():
            pd.testing.assert_frame_equal(table, expected[name], check_exact=True, obj=name)

    return check


def without_clock(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="seconds", errors="ignore")


# Workers inside the test's process, where everything around them can be made to fail.


class Singly(Stacks):
    """Slices of single runs, one at a time, in this process: to the last bit as in a pool's."""

    stacks = False


@pytest.fixture
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices end at the next measured step, so what happens does not depend on the clock."""
    monkeypatch.setattr(lockstep, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(lockstep, "SLICE_BYTES", float("inf"))
    monkeypatch.setattr(lockstep, "END_PAUSES", (0.0, 0.0))


@pytest.fixture
def serve(short_slices: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Serves a store until nothing is queued; what a worker does to its process is undone."""
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(
        store: Store, carrier: Callable[[], Carrier] = Singly, idle_minutes: float = 0.003
    ) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(worker, "_carrier", lambda device: carrier())
            named = ["--store", str(store.path), "--device", "cpu"]
            return worker.main([*named, "--idle-minutes", str(idle_minutes)])

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)
