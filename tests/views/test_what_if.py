"""Questions: a URL says everything, and no URL breaks anything."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from mtl_core import optimizers, settings
from mtl_core.config import BASE_OPTIMIZERS, FACTOR_FIELDS, PRECISIONS, RunConfig
from mtl_core.errors import InputError
from mtl_core.views.codec import MOST_PINS, parse_seeds
from mtl_core.views.what_if import (
    AGAINST,
    LOOKS,
    X_AXES,
    Question,
    differences,
    kind,
    label,
)

Make = Callable[..., Any]


def sampled(random: Random) -> Question:
    """Any question that a page can come to."""
    setting = settings.get(random.choice(settings.names()))
    tasks = [task.name for task in setting.tasks]
    target = random.choice(tasks)
    others = [name for name in tasks if name != target]
    question = Question(
        setting.name,
        target,
        tuple(random.sample(others, random.randint(0, len(others)))),
        preset=random.choice(list(setting.presets)),
        optimizers=tuple(random.sample(optimizers.names()[1:], random.randint(0, 1))),
        seeds=tuple(random.sample(range(2**31), random.randint(1, 8))),
        pins=tuple(f"{random.getrandbits(64):016x}" for _ in range(random.randint(0, MOST_PINS))),
        per_seed=random.random() < 0.5,
        look=random.choice(LOOKS),
        x=random.choice(X_AXES),
        against=random.choice(AGAINST),
    )
    for name in question.optimizers:
        chosen_options = {
            option.name: random.choice(option.choices)
            for option in optimizers.options(name)
            if option.choices and random.random() < 0.5
        }
        question = question.with_options(name, chosen_options)
    values = {
        "base_optimizer": random.choice(BASE_OPTIMIZERS),
        "precision": random.choice(PRECISIONS),
        "lr": 10 ** random.uniform(-9, 3),
        "epochs": random.randint(1, 1000),
        "samples": random.choice([None, random.randint(64, 250)]),
        "held_out": random.choice([None, random.randint(1, 150)]),
        "batch_size": random.randint(2, 64),  # BatchNorm needs two
        "width": random.randint(1, 512),
        "early_checkpoints": random.randint(0, 64),
        "factor_points": random.choice([None, random.randint(1, 99)]),
        "factor_examples": random.randint(16, 50),
        "apgd_steps": random.randint(1, 30),
        "sharpness_rho": 10 ** random.uniform(-6, 0),
        "fisher_draws": random.randint(1, 30),
        "similarity_batches": random.randint(1, 300),
        "auxiliary_factors": bool(question.auxiliaries),
    }
    usual = question.config
    chosen = random.sample(sorted(values), random.randint(0, len(values)))
    overrides = {name: values[name] for name in chosen if values[name] != getattr(usual, name)}
    if "samples" in overrides and "batch_size" not in overrides:
        sizes = [size for size in range(2, 64) if size != usual.batch_size]
        overrides["batch_size"] = random.choice(sizes)  # the preset's may need more samples
    return replace(question, overrides=overrides)


@pytest.mark.parametrize("number", range(200))
def test_every_question_survives_its_url(number: int) -> None:
    question = sampled(Random(number))
    query = question.to_query()
    assert all(isinstance(value, str) for value in query.values())
    again, problems = Question.from_query(query)
    assert problems == []
    assert again == question
    assert again.config.id == question.config.id


def test_no_query_is_the_default_question() -> None:
    question, problems = Question.from_query({})
    assert (question, problems) == (Question.default(), [])


def test_a_field_at_its_presets_value_is_not_an_override() -> None:
    preset = settings.get("digits").preset("quick")
    query = {
        "setting": "digits",
        "lr": str(preset.lr),
        "epochs": str(preset.epochs),
        "base_optimizer": "adam",
    }
    question, problems = Question.from_query(query)
    assert (dict(question.overrides), problems) == ({}, [])


NONSENSE = {
    "setting": ["", "marsian", "DIGITS", "../x"],
    "target": ["", "fashion1", "digits2 "],
    "aux": ["digits9", "digits1", "digits2 digits2x"],
    "preset": ["", "huge"],
    "optimizer": ["", "pcgard"],
    "base_optimizer": ["", "adamw"],
    "precision": ["", "fp16", "BF16"],
    "seeds": ["", "a", "-1", "1.5", "1 1", "²", "9999999999", " ".join(map(str, range(65)))],
    "lr": ["", "0", "-1", "nan", "inf", "all", "fast", "1e999"],
    "epochs": ["", "0", "1.5", "all", "1e3", "9" * 5000],
    "samples": ["0", "-5", "251", "few"],
    "held_out": ["0", "151", "few"],
    "batch_size": ["0", "251", "all"],
    "width": ["0", "513", "all"],
    "early_checkpoints": ["-1", "65", "all"],
    "pins": [
        "x",
        "0" * 15,
        "0" * 16 + " G" + "0" * 15,
        " ".join(f"{i:016x}" for i in range(MOST_PINS + 1)),
    ],
    "per_seed": ["", "True", "1"],
    "look": ["", "everything"],
    "x": ["", "step"],
    "against": ["", "val_metric", "gradient_similarity"],
    "factor_points": ["", "0", "1.5"],
    "factor_examples": ["", "0", "all"],
    "apgd_steps": ["", "0", "1001"],
    "sharpness_rho": ["", "0", "-0.1", "1.1", "nan", "inf", "all", "small"],
    "fisher_draws": ["", "0", "all"],
    "similarity_batches": ["", "0", "10001"],
    "auxiliary_factors": ["", "1", "yes"],
}


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in NONSENSE.items() for text in texts]
)
def test_nonsense_falls_back_and_is_named(name: str, text: str) -> None:
    good = {"setting": "digits", "target": "digits1", "aux": "digits2", "lr": "0.01"}
    if name == "setting":
        good = {"setting": "synthetic", "target": "target", "aux": "cos100", "lr": "0.01"}
    expected, none = Question.from_query({k: v for k, v in good.items() if k != name})
    assert none == []
    question, (problem,) = Question.from_query(good | {name: text})
    assert question == expected, "the others stay as they are"
    assert problem.startswith(f"in the URL, {name}: ")
    assert problem.endswith(" instead")
    assert len(problem) < 400


def test_every_parameter_is_tried() -> None:
    known = set(Question.default().to_query()) | {
        *sampled(Random(3)).to_query(),
        *("base_optimizer", "precision", "lr", "epochs", "samples", "held_out", "batch_size"),
        *("width", "early_checkpoints", "pins", "per_seed", "look", "x", "against"),
        *FACTOR_FIELDS,
    }
    assert known == set(NONSENSE)


def test_unknown_parameters_are_named_and_ignored() -> None:
    question, (problem,) = Question.from_query({"learning_rate": "1"})
    assert question == Question.default()
    assert problem.startswith("in the URL, unknown parameter 'learning_rate'; one of: against, ")


def test_all_nonsense_at_once_is_the_default_with_a_short_list() -> None:
    query = {name: texts[-1] for name, texts in NONSENSE.items()} | {f"x{i}": "" for i in range(99)}
    question, problems = Question.from_query(query)
    assert question == Question.default()
    assert len(problems) == 9
    assert problems[-1].endswith("more such")


@pytest.mark.parametrize("name", [*NONSENSE, "x" * 10**5])
def test_very_long_values_are_cut(name: str) -> None:
    _, problems = Question.from_query({name: "y" * 10**6})
    assert len(problems) == 1
    assert len(problems[0]) < 500


def test_values_that_only_fit_together_are_taken_together() -> None:
    query = {"setting": "fashion", "batch_size": "5000", "samples": "10000"}
    question, problems = Question.from_query(query)
    assert problems == []
    assert (question.config.batch_size, question.config.samples) == (5000, 10000)


def test_only_the_value_that_does_not_fit_is_dropped() -> None:
    query = {"setting": "digits", "samples": "10", "lr": "0.5", "batch_size": "40"}
    question, (problem,) = Question.from_query(query)
    assert dict(question.overrides) == {"lr": 0.5, "batch_size": 40}
    assert problem.startswith("in the URL, samples: batch size 16 is larger than the 10")


@pytest.mark.parametrize(
    ("text", "seeds"), [("0 1 2", (0, 1, 2)), ("3,1", (3, 1)), (" 7 ", (7,)), ("5, 6", (5, 6))]
)
def test_seeds_are_written_as_people_write_them(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


def test_no_seeds_is_an_error() -> None:
    with pytest.raises(InputError, match="no seeds; give at least one"):
        parse_seeds(" , ")


@pytest.mark.parametrize(
    ("auxiliaries", "expected"),
    [
        ((), "stl"),
        (("digits2",), "helpful"),
        (("noisy_digits",), "harmful"),
        (("digits2", "noisy_digits"), "other"),
    ],
)
def test_kind_follows_the_construction(
    make_config: Make, auxiliaries: tuple[str, ...], expected: str
) -> None:
    assert kind(make_config(auxiliaries=auxiliaries)) == expected


def test_labels_name_the_auxiliaries_and_what_differs(make_config: Make) -> None:
    config = make_config(auxiliaries=("noisy_digits", "digits2"))
    assert label(config) == "+ digits2 + noisy_digits"
    assert label(config, config) == label(config)
    assert label(config.baseline) == "single task"
    other = make_config(optimizer="mean", lr=0.02, epochs=5, held_out=None, seeds=(0, 1))
    assert label(other, config) == (
        "+ digits2 · Mean · lr 0.02 · epochs 5 · held out all · seeds 0 1"
    )


def test_examples_for_factors_are_named_unless_they_are_all_there_are(make_config: Make) -> None:
    config = make_config(factors=("sharpness",), samples=100, batch_size=32)
    fewer = make_config(factors=("sharpness",), samples=50, batch_size=32)
    assert (config.factor_examples, fewer.factor_examples) == (100, 50)
    assert differences(fewer, config) == ["samples 50"]
    part = make_config(factors=("sharpness",), samples=100, batch_size=32, factor_examples=40)
    assert differences(part, config) == ["factor examples 40"]


def test_rho_is_named_where_it_is_not_the_papers(make_config: Make) -> None:
    config = make_config(factors=("sharpness",))
    wide = make_config(factors=("sharpness",), sharpness_rho=0.01)
    assert label(wide, config) == f"{label(config)} · ρ 0.01"
    assert differences(config, wide) == ["ρ 0.001"]
    assert differences(make_config(factors=(), sharpness_rho=0.01), config) == ["factors none"]


def test_what_is_done_or_not_is_written_as_words(make_config: Make) -> None:
    config = make_config(factors=("sharpness",))
    too = make_config(factors=("sharpness",), auxiliary_factors=True)
    assert differences(too, config) == ["with auxiliaries' factors"]
    assert differences(config, too) == ["without auxiliaries' factors"]


def test_an_optimizer_is_named_beside_a_single_task_too(make_config: Make) -> None:
    single = make_config(auxiliaries=())
    assert differences(make_config(), single) == []
    assert differences(make_config(optimizer="mean"), single) == ["Mean"]
    assert differences(single, make_config(optimizer="mean")) == []


def test_options_are_written_as_words() -> None:
    question = Question.default().config
    with_options = RunConfig.from_dict(question.to_dict())
    object.__setattr__(with_options, "options", (("c", 0.5), ("fast", True)))
    assert differences(with_options, question) == ["c 0.5 fast true"]
