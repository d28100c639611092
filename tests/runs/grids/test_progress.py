"""Progress: what it says, and what it reckons with."""

import io
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.runs import kinds
from mtl_core.runs.grids.progress import Progress, duration

Make = Callable[..., Any]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("mtl_core.runs.grids.progress.time.monotonic", clock)
    return clock


@pytest.fixture
def config(make_config: Make, plain_cost: None) -> RunConfig:
    """2 epochs of 15 steps of 16 examples of 2 tasks."""
    found: RunConfig = make_config(samples=240, seeds=(0, 1, 2, 3))
    assert cost(found) == 2 * 15 * 16 * 2
    return found


def cost(config: Any) -> float:
    return kinds.of(config).cost(config)


def tasks(*configs: Any) -> list[tuple[Any, int]]:
    return [(config, seed) for config in configs for seed in config.seeds]


def test_time_left_goes_by_cost_not_by_count(clock: Clock, config: RunConfig) -> None:
    long = replace(config, epochs=6, seeds=(0,))
    progress = Progress(tasks(long, config), processes=2)
    assert progress.text() == "0/5 runs, 0 %"
    progress.done(long.id, 0, 30.0)  # 3 of 7 parts of the cost, 10 s each
    assert progress.text() == "1/5 runs, 42 %, 20 s left"  # 4 parts in 2 processes
    clock.now = 6.0
    assert progress.text() == "1/5 runs, 42 %, 14 s left"
    progress.done(config.id, 1, 10.0)
    assert progress.text() == "2/5 runs, 57 %, 15 s left"
    clock.now = 99.0
    assert progress.text() == "2/5 runs, 57 %, 0 s left"


def test_each_setting_has_its_own_speed(clock: Clock, config: RunConfig) -> None:
    other = RunConfig.from_preset("fashion", "quick", seeds=(0, 1))
    share = cost(other) / cost(config)
    progress = Progress(tasks(config, other), processes=1)
    progress.done(config.id, 0, 1.0)
    assert progress.text().endswith(f", {duration(3 + 2 * share)} left"), "as fast as what is known"
    progress.done(other.id, 0, 1000 * share)
    assert progress.text().endswith(f", {duration(3 + 1000 * share)} left")


def test_an_experiment_that_failed_is_not_waited_for(clock: Clock, config: RunConfig) -> None:
    bad = replace(config, epochs=1)
    progress = Progress(tasks(config, bad), processes=1)
    progress.done(config.id, 0, 1.0)
    progress.done(bad.id, 0, 0.5)
    progress.drop(bad.id)
    assert progress.text() == f"2/5 runs, {int(100 * 1.5 / 4.5)} %, 3 s left"
    progress.done(bad.id, 1, 0.5)  # it was under way
    assert progress.text() == f"2/5 runs, {int(100 * 1.5 / 4.5)} %, 3 s left"


def test_kinds_share_what_is_left_by_their_costs(
    clock: Clock, make_config: Make, make_front: Make
) -> None:
    run, front = make_config(), make_front("linnerud", seeds=(0, 1))
    progress = Progress(tasks(run, front), processes=1)
    progress.done(front.id, 0, 1.0)
    whole = cost(run) + 2 * cost(front)
    left = duration((whole - cost(front)) / cost(front))
    assert progress.text() == f"1/3 runs, {int(100 * cost(front) / whole)} %, {left} left"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (99.4, "99 s"),
        (100, "2 min"),
        (5960, "99 min"),
        (6000, "1 h 40 min"),
        (7500, "2 h 05 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_terminal_there_is_a_line_for_each_run(
    clock: Clock, config: RunConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress(tasks(config), processes=2)
    progress.done(config.id, 0, 4.0)
    with progress:
        progress.done(config.id, 1, 4.0)
    progress.done(config.id, 2, 4.0)
    assert capsys.readouterr().err.splitlines() == [
        "1/4 runs, 25 %, 6 s left",
        "2/4 runs, 50 %, 4 s left",
    ], "and silence outside the context"


def test_on_a_terminal_one_line_moves(
    clock: Clock, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress(tasks(config), processes=2) as progress:
        progress.done(config.id, 0, 400.0)
        progress.done(config.id, 1, 2.0)
    first, *moves, last = terminal.getvalue().split("\r")
    assert first == ""
    lines = [*moves, last]
    assert lines[0] == "[........................] 0/4 runs, 0 %"
    assert lines[1] == "[######..................] 1/4 runs, 25 %, 10 min left"
    assert lines[-1].rstrip() == "[############............] 2/4 runs, 50 %, 3 min left"
    assert len(last.rstrip("\n")) >= len(lines[-2]), "nothing of the longer line is left"
    assert terminal.getvalue().endswith("\n")
    assert terminal.getvalue().count("\n") == 1
