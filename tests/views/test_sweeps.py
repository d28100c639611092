"""Where learning rate and batch size come from: by the winner of a sweep, else by preset."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.runs.library.sweeps import SweepTable, SweptRun
from mtl_core.views import sweeps

Make = Callable[..., SweepTable]


@pytest.fixture
def sweep(make_config: Callable[..., Any]) -> Make:
    """A sweep of two rates and two batch sizes, which the first of both wins."""

    def make(
        rates: tuple[float, ...] = (0.2, 0.3), auxiliaries: Any = ((),), **more: Any
    ) -> SweepTable:
        runs = [
            SweptRun(
                make_config(lr=lr, batch_size=size, seeds=(100,), auxiliaries=names, **more),
                1 - lr - size / 1000,
                1.0,
            )
            for lr in rates
            for size in (16, 32)
            for names in auxiliaries
        ]
        runs[-1] = SweptRun(runs[-1].config, diverged=True)
        return SweepTable("fashion_sweep.toml", tuple(runs), ())

    return make


def test_a_run_of_any_size_and_tasks_that_takes_the_winner_was_chosen(sweep: Make) -> None:
    table = sweep()
    assert (table.choice.lr, table.choice.batch_size) == (0.2, 16)
    run = RunConfig.from_preset("digits", "standard", lr=0.2, batch_size=16)
    for one in (run, replace(run, auxiliaries=("digits2",), epochs=3, target="digits1")):
        assert sweeps.chosen_by(one, [table]) is table
    others = [
        replace(run, lr=0.3),
        replace(run, batch_size=32),
        replace(run, base_optimizer="sgd"),
        RunConfig.from_preset("fashion", "quick", lr=0.2, batch_size=16),
    ]
    for one in others:
        assert sweeps.chosen_by(one, [table]) is None
    assert sweeps.chosen_by(run, []) is None


def test_of_several_sweeps_the_largest_counts(sweep: Make) -> None:
    run = RunConfig.from_preset("digits", "quick", lr=0.2, batch_size=16)
    small, large = sweep(), sweep((0.2, 0.3, 0.4))
    assert sweeps.chosen_by(run, [small, large]) is large
    assert sweeps.chosen_by(run, [large, small]) is large


def test_the_shipped_sweeps_are_looked_at() -> None:
    run = RunConfig.from_preset("fashion", "paper", lr=1e-3, batch_size=256)
    table = sweeps.chosen_by(run)
    assert table is not None
    assert sweeps.command(table) == "python -m mtl_core sweep plans/fashion_sweep.toml"
    assert sweeps.command(replace(table, plan="mine.toml")) is None
    assert sweeps.on(table) == (
        "fashion1 alone; seed 100, 20 epochs, 25,000 training examples per task, width 16"
    )


def test_the_preset_is_the_nearest_that_has_both() -> None:
    for name in ("quick", "standard", "paper"):
        assert sweeps.preset_with(RunConfig.from_preset("fashion", name, epochs=3)) == name
    standard = RunConfig.from_preset("fashion", "standard")
    assert sweeps.preset_with(replace(standard, lr=3e-3, batch_size=64)) == "quick"
    assert sweeps.preset_with(replace(standard, lr=3e-3)) is None


def test_the_grid_has_a_row_for_every_rate(sweep: Make) -> None:
    found = sweeps.grid(sweep())
    assert found.index.tolist() == [0.3, 0.2]
    assert found.columns.tolist() == [16, 32]
    assert found.loc[0.2].tolist() == pytest.approx([1 - 0.2 - 0.016, 1 - 0.2 - 0.032])
    assert found.loc[0.3, 16] == pytest.approx(1 - 0.3 - 0.016)
    assert math.isnan(found.loc[0.3, 32])


def test_a_sweep_names_what_it_trained(sweep: Make) -> None:
    table = sweep(auxiliaries=((), ("digits2",), ("digits2", "noisy_digits")))
    assert sweeps.experiments(table) == [
        "digits1 alone",
        "digits1 with digits2",
        "digits1 with digits2 and noisy_digits",
    ]
