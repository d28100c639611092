"""Panels: which runs are drawn together, and under which names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import COLUMNS
from mtl_core.views import panel as panels
from mtl_core.views.comparisons import alike
from mtl_core.views.panel import build

Make = Callable[..., Any]


def test_a_panel_shows_the_baseline_the_question_and_the_pins(
    store: Store, make_config: Make, put_runs: Make
) -> None:
    config, pinned = make_config(), make_config(auxiliaries=("noisy_digits",))
    for each in (config, config.baseline, pinned):
        put_runs(store, each)
    answers = Answers(store, {})
    panel = build([config], [answers.find(pinned)], answers)
    assert [one.label for one in panel.shown] == ["single task", "+ digits2", "+ noisy_digits"]
    assert [one.pinned for one in panel.shown] == [False, False, True]
    assert panel.baseline.config == config.baseline
    assert panel.current.config == config
    assert set(panel.trajectories["curve"]) == {"single task", "+ digits2", "+ noisy_digits"}
    assert list(panel.trajectories.columns) == [*COLUMNS, "curve"]
    comparison = panel.transfer(panel.current)
    assert comparison is not None
    assert -1 <= comparison.delta <= 1


def test_a_single_task_is_its_own_baseline(store: Store, make_config: Make) -> None:
    config = make_config(auxiliaries=())
    panel = build([config], [], Answers(store, {}))
    assert [one.label for one in panel.shown] == ["single task"]
    assert panel.current is panel.baseline
    assert list(panel.trajectories.columns) == [*COLUMNS, "curve"]
    assert len(panel.trajectories) == 0


def test_pins_of_other_questions_are_listed_not_drawn(store: Store, make_config: Make) -> None:
    answers = Answers(store, {})
    elsewhere = [
        answers.find(make_config(target="digits2", auxiliaries=())),
        answers.find(RunConfig.from_preset("fashion", "quick")),
    ]
    panel = build([make_config()], elsewhere, answers)
    assert list(panel.elsewhere) == elsewhere
    assert len(panel.shown) == 2


@pytest.mark.parametrize("auxiliaries", [(), ("digits2",)])
def test_no_two_curves_have_one_name(
    store: Store, make_config: Make, auxiliaries: tuple[str, ...]
) -> None:
    answers = Answers(store, {})
    question = make_config(auxiliaries=auxiliaries)
    changes: list[dict[str, Any]] = [
        {"optimizer": "mean"},
        {"optimizer": "umtg"},
        {"lr": 1e-3},
        {"lr": 1.0000001e-3},
        {"base_optimizer": "sgd"},
        {"epochs": 3},
        {"batch_size": 8},
        {"samples": 65},
        {"samples": None},
        {"held_out": None},
        {"width": 5},
        {"early_checkpoints": 3},
        {"seeds": (1,)},
        {"auxiliaries": ("noisy_digits",)},
        {"auxiliaries": ("digits2", "noisy_digits")},
        {"auxiliaries": ()},
        {"auxiliaries": (), "lr": 1e-3},
    ]
    pins = [answers.find(make_config(**change)) for change in changes]
    panel = build([question], [*pins, *pins], answers)
    labels = [one.label for one in panel.shown]
    assert len(set(labels)) == len(labels)
    assert len({one.config for one in panel.shown}) == len(labels), "and none is drawn twice"
    expected = {question, question.baseline, *(pin.config for pin in pins)}
    assert {one.config for one in panel.shown} == expected


def test_alike_are_finished_experiments_of_the_same_target_and_budget(
    store: Store, make_config: Make, put_runs: Make
) -> None:
    config = make_config()
    noisy = make_config(auxiliaries=("noisy_digits",))
    mean = make_config(auxiliaries=("noisy_digits",), optimizer="mean")
    for other in (noisy, mean, make_config(epochs=3), make_config(lr=0.5), make_config(width=5)):
        put_runs(store, other)
    put_runs(store, config.baseline)
    put_runs(store, make_config(seeds=(0, 1)))
    put_runs(store, make_config(auxiliaries=("digits2", "noisy_digits")), end=None)
    found = alike(config, Answers(store, {}))
    assert {answer.config for answer in found} == {config, config.baseline, noisy, mean}
    (own,) = [answer for answer in found if answer.config == config]
    assert own.config.seeds == (0, 1), "all seeds that are known"


def test_who_watches_the_same_runs_sees_the_same_rows_for_a_moment(
    store: Store,
    make_config: Make,
    make_pieces: Make,
    put_runs: Make,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But never a run that ended as one that goes on."""
    now = [100.1]
    monkeypatch.setattr(panels.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(panels, "SHARED_SECONDS", 0.5)
    config = make_config(seeds=(0, 1))
    answers = Answers(store, {})
    put_runs(store, config, end=None, step=1)
    first = build([config], [], answers)
    for seed in config.seeds:
        assert store.save(Key(config.id, seed), "1-alice", make_pieces(config, (seed,), 2))
    assert build([config], [], answers) is first
    assert set(first.trajectories["step"]) == {0, 1}
    now[0] += 0.5
    second = build([config], [], answers)
    assert set(second.trajectories["step"]) == {0, 1, 2}
    assert store.finish(Key(config.id, 0), "1-alice", "failed", "it broke")
    third = build([config], [], answers)
    assert third.current.answer.states() == {0: "failed", 1: "running"}
    assert store.save(Key(config.id, 1), "1-alice", make_pieces(config, (1,), 3))
    assert store.finish(Key(config.id, 1), "1-alice", "done", None)
    last = build([config], [], answers)
    assert set(last.trajectories["step"]) == {0, 1, 2, 3}, "once all are over, all of it"
    assert build([config], [], answers) is last


def test_a_factor_is_another_one_only_when_it_was_measured() -> None:
    """A checkpoint without it draws nothing new, one with it does, and so does another value."""
    rows = pd.DataFrame(
        {
            "curve": "+ digits2",
            "task": "digits1",
            "seed": 0,
            "step": [0, 5, 10],
            "epoch": [0.0, 0.5, 1.0],
            "train_loss": [2.0, 1.0, 0.5],
            "sharpness": [np.nan, 0.1, np.nan],
        }
    )
    before = panels._hash_of(rows, "sharpness")
    assert panels._hash_of(rows.iloc[:2], "sharpness") == before
    later = rows.assign(sharpness=[np.nan, 0.1, 0.2])
    other = rows.assign(sharpness=[np.nan, np.nextafter(0.1, 1), np.nan])
    moved = rows.assign(train_loss=[2.0, 0.9, 0.5])
    found = {panels._hash_of(one, "sharpness") for one in (rows, later, other, moved)}
    assert len(found) == 4
    assert panels._hash_of(rows.iloc[:0], "sharpness") == b""
