"""Vocabulary: what is said of an experiment, whichever its kind."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mtl_core.config import RunConfig
from mtl_core.runs import kinds
from mtl_core.views import vocabulary

Make = Callable[..., Any]


def test_a_budget_is_the_preset_and_what_differs() -> None:
    def budget(**changes: Any) -> str:
        preset = changes.pop("preset", "quick")
        return vocabulary.words(RunConfig.from_preset("digits", preset, **changes)).budget

    assert budget() == "quick"
    assert budget(preset="standard", auxiliaries=("digits2",), optimizer="mgda") == "standard"
    assert budget(seeds=(5, 6, 7, 8)) == "quick", "seeds have a column of their own"
    assert budget(epochs=7, width=3) == "quick · epochs 7 · width 3"


def test_a_training_is_spoken_of_by_its_tasks_and_optimizer(make_config: Make) -> None:
    config = make_config(optimizer="mgda", options=(("normalization", "l2"),))
    said = vocabulary.words(config)
    assert (said.label, said.subject, said.title) == ("+ digits2", "digits", "Digits")
    assert (said.target, said.auxiliaries) == ("digits1", ("digits2",))
    assert (said.method, said.method_title) == ("mgda", "MGDA")
    assert said.method_label == "MGDA · normalization l2"
    assert said.tasks == config.tasks
    single = vocabulary.words(make_config(auxiliaries=()))
    assert (single.label, single.method, single.method_label) == (
        "single task",
        vocabulary.SINGLE,
        "",
    )


def test_a_front_is_spoken_of_by_its_problem_and_method(make_front: Make) -> None:
    said = vocabulary.words(
        make_front(method="decay", scalarization="smooth_tchebycheff", smoothing=0.1)
    )
    assert (said.label, said.subject, said.title) == ("Decaying", "toy", "Toy: two peaks")
    assert (said.method, said.method_title) == ("decay", "Decaying")
    assert said.method_label == "Decaying · smooth_tchebycheff · μ 0.1"
    assert said.budget == "quick · N 5 · iterations 40 · frames 4"
    assert (said.preset, said.target, said.tasks) == ("quick", "", ())
    assert vocabulary.words(make_front(method="mgda")).method_label == "MGDA"
    usual = vocabulary.words(make_front(solutions=10, frames=50, iterations=500))
    assert usual.preset in usual.budget


def test_a_table_of_ones_own_is_named_with_its_file(make_front: Make) -> None:
    options = (("file", "/tmp/mine.csv"), ("targets", "a,b"))
    said = vocabulary.words(make_front("csv", problem_options=options))
    assert said.subject == "csv"
    assert said.title == "Your table · file /tmp/mine.csv · targets a,b"


def test_a_kind_without_words_goes_by_those_of_the_command_line(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    third = replace(kinds.of(config), name="third")
    monkeypatch.setitem(kinds.KINDS, "third", third)
    monkeypatch.setattr(RunConfig, "kind", "third")
    said = vocabulary.words(config)
    assert said == vocabulary.Words(third.command.words(config))
    third_words = vocabulary.of("third")
    assert third_words.differences(config, make_config(lr=0.5)) == []
    assert (third_words.subjects(), third_words.targets(), third_words.methods()) == ({}, [], {})
