"""Answers and panels: what is known of a run, from where, and under which name it is drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mtl_core.config import RunConfig
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answers, other_data
from mtl_core.runs.library.frames import to_frame
from mtl_core.runs.queue.store import Store
from mtl_core.trajectory import COLUMNS, COSINES, Cosine
from mtl_core.views.panel import build

Make = Callable[..., Any]
ALICE = "1-alice"


@pytest.fixture
def ship(tmp_path: Path, make_row: Make) -> Callable[..., artifacts.Artifact]:
    """Writes an artifact of a config and reads it again."""

    def write(config: RunConfig, **info: Any) -> artifacts.Artifact:
        rows = [
            make_row(config, seed, task, step)
            for seed in config.seeds
            for task in config.tasks
            for step in (0, config.steps)
        ]
        return artifacts.read(artifacts.write(tmp_path / config.id, config, to_frame(rows), info))

    return write


def train(store: Store, config: RunConfig, make_checkpoint: Make, end: Any = "done") -> None:
    store.submit(config)
    store.claim(ALICE)
    for step in (0, 1, config.steps):
        store.save(config.id, ALICE, [make_checkpoint(config, config.seeds, step)])
    if end:
        store.finish(config.id, ALICE, end)


def test_nobody_asked_before(store: Store, make_config: Make) -> None:
    answers = Answers(store, {})
    answer = answers.find(make_config())
    assert (answer.source, answer.state, answer.active) == ("none", "new", False)
    assert dict(answer.manifest) == {}
    assert list(answers.trajectory(answer).columns) == list(COLUMNS)
    assert len(answers.trajectory(answer)) == 0
    assert answers.find_id(make_config().id) is None


def test_the_store_answers_while_it_trains(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config = make_config()
    train(store, config, make_checkpoint, end=None)
    answers = Answers(store, {})
    answer = answers.find(config)
    assert (answer.source, answer.state, answer.active) == ("store", "running", True)
    assert answers.find_id(config.id) == answer
    assert len(answers.trajectory(answer)) == 2 * 3
    store.finish(config.id, ALICE, "done")
    assert answers.find(config).state == "done"
    assert not answers.find(config).active


def test_an_artifact_comes_before_the_store(
    store: Store, make_config: Make, make_checkpoint: Make, ship: Make
) -> None:
    config = make_config()
    train(store, config, make_checkpoint, end="failed")
    artifact = ship(config, device="elsewhere")
    answers = Answers(store, {config.id: artifact})
    answer = answers.find(config)
    assert (answer.source, answer.state, answer.active) == ("artifact", "done", False)
    assert answer.manifest["device"] == "elsewhere"
    assert answers.find_id(config.id) == answer
    pd.testing.assert_frame_equal(answers.trajectory(answer), artifact.trajectory())


def test_alike_are_finished_runs_of_the_same_target_and_budget(
    store: Store, make_config: Make, make_checkpoint: Make, ship: Make
) -> None:
    config = make_config()
    noisy = make_config(auxiliaries=("noisy_digits",))
    mean = make_config(auxiliaries=("noisy_digits",), optimizer="mean")
    for other in (noisy, mean, make_config(epochs=3), make_config(lr=0.5)):
        train(store, other, make_checkpoint)
    train(store, make_config(seeds=(1,)), make_checkpoint)
    train(store, make_config(auxiliaries=("digits2", "noisy_digits")), make_checkpoint, end=None)
    shipped = {one.id: ship(one) for one in (config, config.baseline, make_config(width=5))}
    found = Answers(store, shipped).alike(config)
    assert {answer.config for answer in found} == {config, config.baseline, noisy, mean}
    assert {answer.config for answer in found if answer.source == "store"} == {noisy, mean}


def test_cosines_and_notes_come_from_where_the_run_is(
    store: Store, make_config: Make, make_checkpoint: Make, ship: Make
) -> None:
    config, other = make_config(), make_config(epochs=3)
    pair = Cosine(seed=0, step=4, epoch=1.0, task="digits1", other="digits2", cosine=0.25)
    store.submit(other)
    store.claim(ALICE)
    measured = replace(make_checkpoint(other, (0,), 4), cosines=(pair,), notes=("why",))
    store.save(other.id, ALICE, [measured])
    answers = Answers(store, {config.id: ship(config, notes=["shipped so"])})
    live, done = answers.find(other), answers.find(config)
    assert answers.side("cosines", live).to_dict("records") == [dict(pair)]
    assert (answers.notes(live), answers.notes(done)) == (["why"], ["shipped so"])
    nobody = answers.find(make_config(epochs=9))
    for answer in (done, nobody):
        assert list(answers.side("cosines", answer).columns) == list(COSINES)
        assert len(answers.side("cosines", answer)) == 0
    assert answers.notes(nobody) == []


def test_without_a_store_artifacts_still_answer(make_config: Make, ship: Make) -> None:
    config, other = make_config(), make_config(epochs=1)
    answers = Answers(None, {config.id: ship(config)})
    assert answers.find(config).source == "artifact"
    assert answers.find(other).source == "none"
    assert answers.find_id(other.id) is None
    assert answers.estimate_seconds(config) is None
    assert len(answers.trajectory(answers.find(other))) == 0


def test_estimates_scale_with_the_work_of_the_last_finished_run(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, now = Answers(store, {}), 1000.0
    monkeypatch.setattr("mtl_core.runs.queue.store.time.time", lambda: now)
    assert answers.estimate_seconds(make_config()) is None
    for config, seconds in ((make_config(epochs=4), 99.0), (make_config(epochs=8), 10.0)):
        store.submit(config)
        store.claim(ALICE)
        now += seconds
        store.finish(config.id, ALICE, "done")
    assert answers.estimate_seconds(make_config(epochs=8)) == pytest.approx(10.0)
    assert answers.estimate_seconds(make_config(epochs=8, lr=1.0)) == pytest.approx(10.0)
    assert answers.estimate_seconds(make_config(epochs=8, seeds=(0, 1, 2))) == pytest.approx(30.0)
    longer = answers.estimate_seconds(make_config(epochs=16))
    assert 10 * 1.6 < longer < 20
    alone = answers.estimate_seconds(make_config(epochs=8, auxiliaries=()))
    assert alone == pytest.approx(5.0)
    measured = make_config(epochs=8, factors=("sharpness",))
    cheaper = make_config(epochs=8, factors=("fisher_trace",))
    assert answers.estimate_seconds(measured) > answers.estimate_seconds(cheaper) > 10
    fashion = RunConfig.from_preset("fashion", "quick")
    assert answers.estimate_seconds(fashion) is None, "nothing of its kind was trained here"


def test_data_that_is_not_this_machines_is_said(
    make_config: Make, ship: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    here = artifacts.data_fingerprint(config)
    same = Answers(None, {config.id: ship(config, data_fingerprint=here)}).find(config)
    assert other_data(same) is None
    other = Answers(None, {config.id: ship(config, data_fingerprint="f" * 16)}).find(config)
    assert other_data(other) == (
        f"made on other data (fingerprint {'f' * 16}) than this machine has ({here})"
    )

    def never(_: RunConfig) -> str:
        raise AssertionError("reading the data takes seconds")

    monkeypatch.setattr(artifacts, "data_fingerprint", never)
    assert other_data(Answers(None, {}).find(config)) is None


def test_without_the_data_there_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ship: Make
) -> None:
    monkeypatch.setenv("MTL_DATA_DIR", str(tmp_path / "empty"))
    config = RunConfig.from_preset("fashion", "quick", seeds=(0,))
    answer = Answers(None, {config.id: ship(config, data_fingerprint="f" * 16)}).find(config)
    assert other_data(answer) is None


# Panels.


def test_a_panel_shows_the_baseline_the_question_and_the_pins(
    store: Store, make_config: Make, make_checkpoint: Make
) -> None:
    config, pinned = make_config(), make_config(auxiliaries=("noisy_digits",))
    for each in (config, config.baseline, pinned):
        train(store, each, make_checkpoint)
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
