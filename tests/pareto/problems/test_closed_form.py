import math

import numpy as np
import pytest
import torch

from mtl_core import InputError
from mtl_core.pareto import measures, problems

NAMES = ("toy", "convex", "three")


def instance(name: str) -> problems.Instance:
    return problems.get(name).load(torch.device("cpu"), None, None, {})


def at(name: str, x: np.ndarray) -> np.ndarray:
    """Losses of points (P, n)."""
    losses = instance(name).losses
    return np.stack([losses({"x": torch.as_tensor(row)}, ()).numpy() for row in x])


def test_the_toy_problem_is_the_papers() -> None:
    x = np.random.default_rng(0).normal(size=(5, 20))
    centre = np.ones(20) / math.sqrt(20)
    expected = [
        [1 - math.exp(-((row - centre) ** 2).sum()), 1 - math.exp(-((row + centre) ** 2).sum())]
        for row in x
    ]
    np.testing.assert_allclose(at("toy", x), expected, rtol=1e-12)


def test_the_dense_fronts_hypervolumes() -> None:
    """The toy problem's as published; of √f1 + √f2 = 1, 1 - ∫(1 - √f)² df = 5/6."""
    found = {
        name: float(measures.hypervolume(problem.front(20_001), problem.reference))
        for name in ("toy", "convex")
        if (problem := problems.get(name)).front
    }
    assert found["toy"] == pytest.approx(0.3421, abs=5e-5)
    assert found["convex"] == pytest.approx(5 / 6, abs=1e-4)


def test_the_front_is_the_segment_between_the_points() -> None:
    s = np.linspace(-1, 1, 11)
    for name, length in (("toy", 1.0), ("convex", 0.5)):
        front = problems.get(name).front
        assert front is not None
        on_it = at(name, length * s[:, None] * np.ones(20) / math.sqrt(20))
        np.testing.assert_allclose(front(11), on_it, atol=1e-12)


def test_the_front_of_three_has_the_three_points_and_their_middle() -> None:
    """The points are 1.2 apart, so 1.2/√3 from their middle."""
    front = problems.get("three").front
    assert front is not None
    found = front(10)  # divisions by 3, so with the middle
    assert found.shape == (10, 3)
    alone, middle = 1 - math.exp(-(1.2**2)), 1 - math.exp(-(1.2**2) / 3)
    for expected in ([0, alone, alone], [alone, 0, alone], [alone, alone, 0], [middle] * 3):
        assert np.isclose(found, expected).all(axis=1).sum() == 1


@pytest.mark.parametrize("name", NAMES)
def test_nothing_beats_the_front(name: str) -> None:
    """No sampled point dominates one of the front, and no point of the front another."""
    random = np.random.default_rng(1)
    problem = problems.get(name)
    assert problem.front is not None
    front = problem.front(66)
    sampled = at(name, random.normal(size=(2_000, 20)) * random.uniform(0, 0.4, (2_000, 1)))
    for points in (sampled, front):
        better = (points[:, None] < front[None] - 1e-12).any(axis=-1)
        worse = (points[:, None] > front[None] + 1e-12).any(axis=-1)
        assert not (better & ~worse).any()


@pytest.mark.parametrize("name", NAMES)
def test_the_references_box_holds_the_whole_front(name: str) -> None:
    problem = problems.get(name)
    assert problem.front is not None
    found = measures.scaled(problem.front(50), problem.reference, problem.ideal)
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_starts_are_drawn_from_the_cube_and_differ(name: str) -> None:
    made = instance(name)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([made.start(generator)["x"] for _ in range(500)])
    assert not made.shared_start
    assert drawn.shape == (500, 20)
    assert drawn.abs().max() <= 0.5
    assert drawn.mean().item() == pytest.approx(0, abs=0.01)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=0.003)  # of a uniform of length 1


def test_it_has_no_options() -> None:
    with pytest.raises(InputError, match="toy has no options"):
        problems.get("toy").load(torch.device("cpu"), None, None, {"n": 3})
