"""What runs cost, by which plans are ordered and times are told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mtl_core.pareto import ParetoConfig
from mtl_core.runs import kinds

Make = Callable[..., Any]


def cost(config: Any) -> float:
    return kinds.of(config).cost(config)


def front(problem: str, **changes: Any) -> ParetoConfig:
    small = {"iterations": 40, "frames": 4, "solutions": 5}
    return ParetoConfig.from_preset(problem, "quick", **(small | changes))


def test_a_front_costs_what_it_differentiates_and_a_third_of_what_it_measures() -> None:
    config = front("multimnist", iterations=10, solutions=3, batch_size=32, held_out=300)
    measured = 3 * 2 * (4 + 1) * 300 / 3
    assert cost(config) == pytest.approx(10 * 3 * 32 + measured)
    assert cost(replace(config, method="mgda")) == pytest.approx(10 * 3 * 32 * 2 + measured)
    whole = replace(config, batch_size=None, samples=100)
    assert cost(whole) == pytest.approx(10 * 3 * 100 + measured)
    three = [cost(front("three", held_out=None, method=m)) for m in ("independent", "mgda")]
    assert three[1] == pytest.approx(3 * three[0])


def test_training_costs_what_it_differentiates_and_what_it_measures(make_config: Make) -> None:
    config = make_config(early_checkpoints=0)  # 2 epochs of 4 steps of 16 examples of 2 tasks
    measured = 3 * 2 * (64 + 50 + 50) / 3
    assert cost(config) == pytest.approx((2 * 4 * 16 * 2 + measured) * 4)
    assert cost(replace(config, width=8)) == pytest.approx(2 * cost(config))
    factors = replace(config, factors=("fisher_trace",), factor_examples=64, factor_points=1)
    assert cost(factors) > cost(config)
    sharp = replace(factors, factors=("sharpness",), apgd_steps=20)
    assert cost(sharp) - cost(config) == pytest.approx(11 * (cost(factors) - cost(config)))


@pytest.mark.parametrize("seeds", [(0,), (1, 2, 3)])
def test_seeds_are_not_part_of_a_runs_cost(make_config: Make, seeds: tuple[int, ...]) -> None:
    for config in (make_config(), front("toy")):
        assert cost(replace(config, seeds=seeds)) == cost(config)
