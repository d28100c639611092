"""What a config refuses, and which configs are equal."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mtl_core import InputError
from mtl_core.pareto import ParetoConfig, problems, solve


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    rows = [f"{n},{n % 7},{n * n},{-n}" for n in range(40)]
    path.write_text("\n".join(["a,b,square,minus", *rows]) + "\n")
    return path


def table(file: Path, targets: str, **changes: object) -> ParetoConfig:
    options = (("file", str(file)), ("targets", targets))
    return ParetoConfig("csv", problem_options=options, **changes)  # type: ignore[arg-type]


def test_one_target_has_no_trade_off(file: Path) -> None:
    with pytest.raises(InputError, match=r"two columns or more .* 'square' is one"):
        table(file, "square")


def test_a_target_that_the_table_lacks(file: Path) -> None:
    config = table(file, "square,cube", solutions=2)
    with pytest.raises(
        InputError, match=r"has no column 'cube' among its 4; look at its first line"
    ):
        list(solve(config, device="cpu"))


@pytest.mark.parametrize(
    ("preferences", "said"),
    [
        (((0.5, 0.6), (0.5, 0.5)), "sums to 1.1, not 1; divide its weights by that"),
        (((0.5, 0.5), (1.5, -0.5)), "weight 1.5|weight -0.5"),
        (((0.5, 0.5), (1.0,)), "has 1 weights for 2 objectives; give one for each"),
        (((0.5, 0.5), (0.2, 0.3, 0.5)), "has 3 weights for 2 objectives; give one for each"),
        ((), "number of solutions 0"),
        (((0.5, 0.5),), "1 solution for 2 objectives shows no trade-off; give at least 2 pref"),
        ("0.5", "must be a list of lists of weights"),
    ],
)
def test_preferences_that_are_none(preferences: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        ParetoConfig("toy", preferences=preferences)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=said):
        ParetoConfig.from_dict({"problem": "toy", "preferences": preferences})


def test_a_front_has_a_solution_for_each_objective(file: Path) -> None:
    with pytest.raises(InputError, match=r"^2 solutions for 3 objectives show no trade-off; give "):
        ParetoConfig("three", solutions=2)
    with pytest.raises(InputError, match=r"1 solution for 2 objectives .* at least 2 solutions"):
        table(file, "square,minus", solutions=1)
    assert len(table(file, "square,minus", solutions=2).weights) == 2


def test_a_preset_has_a_solution_for_each_objective_that_options_define() -> None:
    many = (("file", "x.csv"), ("targets", "a,b,c,d,e,f,g,h"))
    assert ParetoConfig.from_preset("csv", "quick", problem_options=many).solutions == 8
    two = (("file", "x.csv"), ("targets", "a,b"))
    assert ParetoConfig.from_preset("csv", "quick", problem_options=two).solutions == 6


def test_an_option_that_the_problem_lacks() -> None:
    with pytest.raises(InputError, match=r"^toy has no options; leave 'n' out"):
        ParetoConfig("toy", problem_options=(("n", 3),))
    with pytest.raises(InputError, match="unknown option of nyuv2 'files'"):
        ParetoConfig("nyuv2", problem_options=(("files", "x"),))


@pytest.mark.parametrize(
    "rows",
    [
        ((0.0, 1.0), (1.0, 0.0), (0.3, 0.7)),
        ((1 / 3, 2 / 3), (0.1 + 0.2, 0.7), (0.99, 0.01)),
        ((0.5000001, 0.5000002), (0.005, 0.995)),
    ],
)
def test_given_preferences_stay_what_they_are(rows: tuple[tuple[float, ...], ...]) -> None:
    """A config that has been stored and read is the same, and so is its front."""
    config = ParetoConfig("toy", preferences=rows)
    again = ParetoConfig.from_dict(config.to_dict())
    assert again == config
    assert again.id == config.id
    assert replace(config, lr=0.2).preferences == config.preferences


def test_what_a_problem_without_data_ignores_is_at_its_default() -> None:
    assert ParetoConfig("toy", batch_size=8, samples=20, held_out=3) == ParetoConfig("toy")


ROOT = Path(__file__).resolve().parents[2]


def test_a_start_at_its_default_changes_no_id() -> None:
    """The ids of all fronts that shipped before there was a choice, and of their texts."""
    shipped = sorted((ROOT / "cache/pareto").glob("*/*/manifest.json"))
    assert len(shipped) > 40
    for path in shipped:
        told = json.loads(path.read_text())
        config = ParetoConfig.from_dict(told["config"])
        assert config.id == told["id"] == path.parent.name.split("--")[1]
        assert ("start" in config.to_dict()) == (config.start != "own")
    assert ParetoConfig("toy").id == "4bf2fa47f191f35a"
    assert ParetoConfig.from_dict({"problem": "toy", "start": "own"}) == ParetoConfig("toy")


def test_a_shared_start_is_another_experiment() -> None:
    shared = ParetoConfig("toy", start="shared")
    assert shared != ParetoConfig("toy")
    assert shared.id != ParetoConfig("toy").id
    assert shared.to_dict()["start"] == "shared"
    assert ParetoConfig.from_dict(shared.to_dict()) == shared
    assert shared.baseline.start == "shared"


def test_a_start_is_chosen_only_where_there_is_a_choice() -> None:
    assert ParetoConfig("toy", method="mgda", start="shared") == ParetoConfig("toy", method="mgda")
    assert ParetoConfig("linnerud", start="shared") == ParetoConfig("linnerud")
    for name in ("linnerud", "multimnist", "nyuv2"):
        said = (
            f"method 'averaged' is 'independent' in problem '{name}', whose networks share a start"
        )
        with pytest.raises(InputError, match=said):
            ParetoConfig.from_preset(name, "quick", method="averaged")


@pytest.mark.parametrize("name", ["toy", "convex", "three", "linnerud"])
def test_own_starts_are_what_the_problem_makes_of_them(name: str) -> None:
    problem = problems.get(name)
    instance = problem.load(torch.device("cpu"), None, None, {})
    assert problem.own_starts != instance.shared_start
