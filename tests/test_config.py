"""RunConfig: equal where the numbers are, one identity everywhere, one line for what is wrong."""

import json
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core import InputError, RunConfig
from mtl_core.config import CONFIG_VERSION, PRECISIONS
from mtl_core.runs.library.artifacts import former_id

ROOT = Path(__file__).resolve().parents[1]


def digits(**changes: Any) -> RunConfig:
    return RunConfig(**({"setting": "digits", "target": "digits1"} | changes))


MTL = digits(auxiliaries=("digits2", "noisy_digits"), lr=3e-3, batch_size=32, seeds=(0, 1, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            {"auxiliaries": ("noisy_digits", "digits2")},
            {"auxiliaries": ("digits2", "noisy_digits")},
        ),
        ({"auxiliaries": ("digits2", "digits2")}, {"auxiliaries": ("digits2",)}),
        ({"auxiliaries": ["digits2"]}, {"auxiliaries": ("digits2",)}),
        ({"seeds": (2, 0, 1)}, {"seeds": (0, 1, 2)}),
        ({"seeds": range(3)}, {"seeds": (0, 1, 2)}),
        ({"optimizer": "mean"}, {"optimizer": "umtg"}),
        ({"samples": 250}, {"samples": None}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"options": {}}, {"options": ()}),
    ],
)
def test_configs_with_the_same_numbers_are_equal(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert digits(**one) == digits(**other)
    assert hash(digits(**one)) == hash(digits(**other))
    assert digits(**one).id == digits(**other).id


def test_all_held_out_examples_are_none() -> None:
    every = RunConfig("fashion", "fashion1", held_out=5_000)
    assert every.held_out is None
    assert every == RunConfig("fashion", "fashion1")
    # 150 is all of digits' validation data, but not of its test data.
    assert digits(held_out=150).held_out == 150


@pytest.mark.parametrize(
    "change",
    [
        {"target": "digits2", "auxiliaries": ("noisy_digits",)},
        {"auxiliaries": ("digits2",)},
        {"auxiliaries": ()},
        {"optimizer": "mean"},
        {"base_optimizer": "sgd"},
        {"lr": 1e-3},
        {"batch_size": 31},
        {"epochs": 11},
        {"samples": 249},
        {"held_out": 149},
        {"width": 15},
        {"early_checkpoints": 5},
    ],
)
def test_configs_with_other_numbers_differ(change: dict[str, Any]) -> None:
    other = replace(MTL, **change)
    assert other != MTL
    assert other.id != MTL.id


def test_id_is_pinned() -> None:
    """Other ids for equal configs would orphan every artifact and every stored run."""
    assert CONFIG_VERSION == 2
    assert digits().id == "76ca93ea25cec301"
    assert MTL.id == "d369d077803e7b11"


def test_seeds_are_no_part_of_an_experiment() -> None:
    other = replace(MTL, seeds=(7,))
    assert other == MTL
    assert (other.id, other.seeds) == (MTL.id, (7,))
    assert "seeds" not in MTL.to_dict()
    assert RunConfig.from_dict(MTL.to_dict(), seeds=(7,)).seeds == (7,)


def test_ids_from_when_seeds_were_a_part_of_them_are_known() -> None:
    """As pinned by the version before."""
    assert former_id(digits(), (0, 1, 2)) == "a75755fa30c22d3a"
    assert former_id(MTL, MTL.seeds) == "cdf61f62a61a0a9c"


def test_id_is_the_same_in_another_process() -> None:
    code = (
        "import json, sys; from mtl_core import RunConfig; "
        "print(RunConfig.from_dict(json.loads(sys.argv[1])).id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(MTL.to_dict())],
        env={**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == MTL.id


@pytest.mark.parametrize(
    "config",
    [
        digits(),
        MTL,
        RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",), optimizer="mean"),
        RunConfig.from_preset("fashion", "quick"),
        digits(samples=100, held_out=7, batch_size=3, seeds=(9,), early_checkpoints=0, width=2),
    ],
)
def test_round_trip(config: RunConfig) -> None:
    assert RunConfig.from_dict(config.to_dict()) == config
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert pickle.loads(pickle.dumps(config)) == config


def test_from_dict_fills_in_defaults() -> None:
    assert RunConfig.from_dict({"setting": "digits", "target": "digits1"}) == digits()


def test_from_dict_leaves_its_argument_alone() -> None:
    values = MTL.to_dict()
    RunConfig.from_dict(values)
    assert values == MTL.to_dict()


def test_from_preset_takes_the_budget_and_the_changes() -> None:
    config = RunConfig.from_preset("fashion", "quick", lr=0.5, auxiliaries=("fashion2",))
    assert (config.setting, config.target, config.auxiliaries_label) == (
        "fashion",
        "fashion1",
        "fashion2",
    )
    assert (config.epochs, config.batch_size, config.width) == (8, 64, 8)
    assert (config.samples, config.held_out, config.lr) == (2_500, 1_000, 0.5)


def test_config_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        MTL.lr = 1.0  # type: ignore[misc]


def test_derived_values() -> None:
    assert MTL.tasks == ("digits1", "digits2", "noisy_digits")
    assert MTL.auxiliaries_label == "digits2+noisy_digits"
    assert digits().auxiliaries_label == "stl"
    assert replace(MTL, target="noisy_digits", auxiliaries=("digits2", "digits1")).tasks == (
        "noisy_digits",
        "digits1",
        "digits2",
    )
    assert MTL.baseline == digits(lr=3e-3, batch_size=32)
    assert MTL.baseline.baseline == MTL.baseline


@pytest.mark.parametrize(
    ("samples", "batch_size", "per_epoch"),
    [
        (None, 250, 1),
        (None, 249, 2),
        (None, 32, 8),
        (None, 125, 2),
        (96, 32, 3),
        (97, 32, 4),
        (1, 1, 1),
    ],
)
def test_steps(samples: int | None, batch_size: int, per_epoch: int) -> None:
    config = digits(samples=samples, batch_size=batch_size, epochs=7)
    assert config.train_size == (samples or 250)
    assert config.steps_per_epoch == per_epoch
    assert config.steps == 7 * per_epoch


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"setting": "digit"}, "unknown setting 'digit'; one of: digits, fashion"),
    ({"setting": None}, "unknown setting None"),
    ({"setting": ["digits"]}, "unknown setting"),
    ({"target": "digits3"}, "unknown task of digits 'digits3'; one of: digits1, digits2"),
    ({"target": 1}, "unknown task of digits 1"),
    ({"target": "digits1\nx"}, "unknown task of digits 'digits1\\nx'"),
    ({"auxiliaries": ("mnist",)}, "unknown task of digits 'mnist'"),
    ({"auxiliaries": ("digits1",)}, "target 'digits1' is among its own auxiliaries; choose other"),
    ({"auxiliaries": "digits2"}, "auxiliaries 'digits2' must be a list"),
    ({"auxiliaries": 5}, "auxiliaries 5 must be a list"),
    ({"auxiliaries": ([],)}, "unknown task"),
    ({"optimizer": "pcgard"}, "unknown optimizer 'pcgard'; one of: umtg, mean"),
    ({"optimizer": []}, "unknown optimizer []"),
    ({"options": {"c": 1}}, "unknown option 'c' of optimizer 'umtg'; one of: scale"),
    ({"options": {"name": 1}}, "unknown option 'name' of optimizer 'umtg'"),
    ({"options": {"scale": "double"}}, "is 'double', not one of: raw, match_sum"),
    ({"optimizer": "cagrad", "options": {"c": 1.0}}, "'c' of optimizer 'cagrad' is 1.0, but"),
    ({"options": {"num_tasks": 1}}, "optimizer option 'num_tasks' follows from the tasks"),
    ({"options": {"c": [1]}}, "optimizer option 'c'=[1] is not a number, word or flag"),
    ({"options": {1: 1}}, "optimizer option 1=1 is not"),
    ({"options": {"c": math.nan}}, "optimizer option 'c'=nan must be finite"),
    ({"options": 5}, "optimizer options 5 are not name-value pairs"),
    ({"options": None}, "optimizer options None are not"),
    ({"base_optimizer": "adamw"}, "unknown base optimizer 'adamw'; one of: adam, sgd, momentum"),
    ({"base_optimizer": []}, "unknown base optimizer"),
    ({"lr": 0}, "learning rate 0 must be a finite number above 0"),
    ({"lr": -1e-3}, "learning rate -0.001 must be"),
    ({"lr": math.nan}, "learning rate nan must be"),
    ({"lr": math.inf}, "learning rate inf must be"),
    ({"lr": 10**400}, "learning rate 1000"),
    ({"lr": "1e-3"}, "learning rate '1e-3' is not a number"),
    ({"lr": True}, "learning rate True is not a number"),
    ({"lr": None}, "learning rate None is not a number"),
    ({"batch_size": 251}, "batch size 251 is larger than the 250 training examples of a task"),
    ({"batch_size": 33, "samples": 32}, "batch size 33 is larger than the 32 training examples"),
    ({"batch_size": 0}, "batch size 0 must be at least 1"),
    ({"batch_size": 32.0}, "batch size 32.0 is not a whole number"),
    ({"batch_size": True}, "batch size True is not a whole number"),
    ({"epochs": 0}, "epochs 0 must be between 1 and 100000"),
    ({"epochs": 100_001}, "epochs 100001 must be"),
    ({"epochs": "10"}, "epochs '10' is not a whole number"),
    ({"samples": 0}, "samples 0 must be between 1 and 250"),
    ({"samples": 251}, "samples 251 must be between 1 and 250"),
    ({"samples": "all"}, "samples 'all' is not a whole number"),
    ({"held_out": 151}, "held-out examples 151 must be between 1 and 150"),
    ({"held_out": 0}, "held-out examples 0 must be"),
    ({"width": 0}, "width 0 must be between 1 and 512"),
    ({"width": 1.5}, "width 1.5 is not a whole number"),
    ({"early_checkpoints": -1}, "early checkpoints -1 must be between 0 and 64"),
    ({"early_checkpoints": 65}, "early checkpoints 65 must be"),
    ({"seeds": ()}, "no seeds; give at least one, such as 0 1 2"),
    ({"seeds": (0, 1, 0)}, "seeds 0 1 0 repeat; give each once"),
    ({"seeds": tuple(range(65))}, "65 seeds are more than 64; give fewer"),
    ({"seeds": (-1,)}, "seed -1 must be between 0 and 2147483647"),
    ({"seeds": (2**31,)}, "seed 2147483648 must be"),
    ({"seeds": (10**20,)}, "seed 100000000000000000000 must be"),
    ({"seeds": (0.5,)}, "seed 0.5 is not a whole number"),
    ({"seeds": (True,)}, "seed True is not a whole number"),
    ({"seeds": 3}, "seeds 3 must be a list"),
    ({"seeds": "012"}, "seeds '012' must be a list"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_values_cost_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        digits(**change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [change for change, _ in WRONG])
def test_wrong_values_in_a_dict_cost_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        RunConfig.from_dict({**digits().to_dict(), **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "a run's config must be an object, not list"),
        (None, "a run's config must be an object, not NoneType"),
        ("digits", "a run's config must be an object, not str"),
        ({}, "a run's config lacks 'setting'"),
        ({"setting": "digits"}, "a run's config lacks 'target'"),
        ({"target": "digits1"}, "a run's config lacks 'setting'"),
        ({**MTL.to_dict(), "gpu": 1}, "unknown config field 'gpu'; one of: apgd_steps, "),
        ({**MTL.to_dict(), 5: 1, "x": 2}, "unknown config field '5'"),
        ({**MTL.to_dict(), "auxiliaries": "digits2"}, "'auxiliaries' must be a list"),
        ({**MTL.to_dict(), "auxiliaries": None}, "'auxiliaries' must be a list, not None"),
        ({**MTL.to_dict(), "factors": "sharpness"}, "config field 'factors' must be a list"),
        ({**MTL.to_dict(), "seeds": [0]}, "unknown config field 'seeds'; one of: "),
        ({**MTL.to_dict(), "version": CONFIG_VERSION + 1}, "config version 3 is not 2; train it"),
        ({**MTL.to_dict(), "version": "1"}, "config version '1' is not 2"),
        ({**MTL.to_dict(), "version": None}, "config version None is not 2"),
    ],
)
def test_foreign_dicts_cost_one_line(values: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        RunConfig.from_dict(values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_preset() -> None:
    with pytest.raises(InputError, match=r"^unknown preset of digits 'huge'; one of: quick, "):
        RunConfig.from_preset("digits", "huge")


def test_every_run_can_be_read_again_however_few_its_examples() -> None:
    few = RunConfig("digits", "digits1", samples=8, batch_size=8)
    assert few.factor_examples == 8
    assert RunConfig.from_dict(few.to_dict()) == few


def test_without_factors_it_does_not_matter_how_they_would_be_measured() -> None:
    plain = RunConfig("digits", "digits1", factors=())
    other = RunConfig(
        "digits", "digits1", factors=(), apgd_steps=3, factor_points=5, factor_examples=17
    )
    assert other == plain
    assert other.id == plain.id
    assert RunConfig("digits", "digits1", factors=("fisher_trace", "sharpness")).factors == (
        "sharpness",
        "fisher_trace",
    )


def test_the_papers_rho_is_not_said_and_another_is() -> None:
    """So the experiments of before ρ could be chosen keep their ids."""
    usual, other = digits(), digits(sharpness_rho=5e-3)
    assert digits(sharpness_rho=1e-3) == usual
    assert "sharpness_rho" not in usual.to_dict()
    assert other.to_dict() == {**usual.to_dict(), "sharpness_rho": 0.005}
    assert (usual.id, other.id) == ("76ca93ea25cec301", "8e34da2140dd245f")
    assert RunConfig.from_dict(other.to_dict()) == other
    assert RunConfig.from_dict(usual.to_dict()) == usual
    assert RunConfig.from_dict({**usual.to_dict(), "sharpness_rho": 0.001}).id == usual.id
    whole = RunConfig.from_dict({**usual.to_dict(), "sharpness_rho": 1})
    assert whole.id == digits(sharpness_rho=1.0).id, "a number, however it is written"
    assert other.baseline == other
    assert replace(MTL, sharpness_rho=0.1).baseline.sharpness_rho == 0.1


def test_full_precision_is_not_said_and_less_is() -> None:
    """So the experiments of before it could be chosen keep their ids."""
    usual = digits()
    assert digits(precision="fp32") == usual
    assert "precision" not in usual.to_dict()
    for precision in ("tf32", "bf16"):
        other = digits(precision=precision)
        assert other.to_dict() == {**usual.to_dict(), "precision": precision}
        assert RunConfig.from_dict(other.to_dict()) == other
        assert other.baseline.precision == precision
    assert len({digits(precision=one).id for one in PRECISIONS}) == 3
    with pytest.raises(InputError, match="unknown precision 'fp16'; one of: fp32, tf32, bf16"):
        digits(precision="fp16")
    with pytest.raises(InputError, match="unknown precision 16"):
        RunConfig.from_dict({**usual.to_dict(), "precision": 16})


def test_without_sharpness_there_is_no_rho() -> None:
    for chosen in ((), ("fisher_trace", "gradient_similarity")):
        plain = digits(factors=chosen)
        assert digits(factors=chosen, sharpness_rho=0.1) == plain
        assert digits(factors=chosen, sharpness_rho=0.1).id == plain.id
    assert digits(factors=("sharpness",), sharpness_rho=0.1).sharpness_rho == 0.1


def test_every_experiment_that_ships_keeps_its_id_and_its_text() -> None:
    manifests = [json.loads(path.read_text()) for path in ROOT.glob("cache/**/manifest.json")]
    trainings = [one for one in manifests if one["kind"] == "training"]
    assert len(trainings) > 100
    for one in trainings:
        config = RunConfig.from_dict(one["config"])
        assert config.id == one["id"]
        assert config.to_dict() == one["config"]


def test_a_single_task_has_no_auxiliary_factors() -> None:
    assert RunConfig("digits", "digits1", auxiliary_factors=True).auxiliary_factors is False
    both = RunConfig("digits", "digits1", ("digits2",), auxiliary_factors=True)
    assert both.auxiliary_factors is True
    assert both.baseline == RunConfig("digits", "digits1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factors": ("flatness",)}, "unknown factor 'flatness'; one of: sharpness, fisher_trace"),
        ({"factors": "sharpness"}, "factors 'sharpness' must be a list"),
        ({"factor_points": 0}, "factor points 0 must be between 1 and"),
        ({"factor_examples": 0}, "factor examples 0 must be between 1 and"),
        ({"apgd_steps": 2.5}, "APGD steps 2.5 is not a whole number"),
        ({"sharpness_rho": 0}, "sharpness's ρ 0 must be a finite number above 0"),
        ({"sharpness_rho": -1e-3}, "sharpness's ρ -0.001 must be a finite number above 0"),
        ({"sharpness_rho": math.nan}, "sharpness's ρ nan must be a finite number above 0"),
        ({"sharpness_rho": math.inf}, "sharpness's ρ inf must be a finite number above 0"),
        ({"sharpness_rho": "0.1"}, "sharpness's ρ '0.1' is not a number"),
        ({"sharpness_rho": True}, "sharpness's ρ True is not a number"),
        ({"sharpness_rho": 1.5}, "sharpness's ρ 1.5 must be at most 1, which lets every parameter"),
        ({"sharpness_rho": 2.0, "factors": ()}, "sharpness's ρ 2.0 must be at most 1"),
        ({"fisher_draws": -1}, "Fisher draws -1 must be between 1 and"),
        ({"similarity_batches": 0}, "similarity batches 0 must be between 1 and"),
        ({"auxiliary_factors": 1}, "auxiliary factors 1 is not true or false"),
    ],
)
def test_factors_that_cannot_be_measured_so_are_named(
    change: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        RunConfig("digits", "digits1", ("digits2",), **change)
