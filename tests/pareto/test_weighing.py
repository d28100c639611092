"""MGDA and Pareto MTL: their directions against shortest combinations computed in NumPy."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mtl_core.pareto import ParetoConfig, problems, solve
from mtl_core.pareto.problems import convex, toy
from mtl_core.pareto.solver import Solver

CPU = torch.device("cpu")
Array = NDArray[np.float64]


def convex_losses(x: Array) -> tuple[Array, Array]:
    """Losses (2,) and gradients (2, 20), written out."""
    away = np.stack([x - 0.5 / np.sqrt(20), x + 0.5 / np.sqrt(20)])
    return (away**2).sum(axis=1), 2 * away


def toy_losses(x: Array) -> tuple[Array, Array]:
    away = np.stack([x - 1 / np.sqrt(20), x + 1 / np.sqrt(20)])
    left = np.exp(-(away**2).sum(axis=1))
    return 1 - left, 2 * away * left[:, None]


LOSSES = {"convex": convex_losses, "toy": toy_losses}


def shorter(first: Array, second: Array) -> tuple[float, Array]:
    """The share of the first, and the point next to 0 of the segment between two vectors."""
    share = float(np.clip(second @ (second - first) / ((second - first) @ (second - first)), 0, 1))
    return share, share * first + (1 - share) * second


def shortest(rows: Array) -> Array:
    """The point next to 0 of the hull of a few vectors: the best of all faces'."""
    best = rows[(rows**2).sum(axis=1).argmin()]
    for count in range(2, len(rows) + 1):
        for chosen in map(list, combinations(range(len(rows)), count)):
            gram = rows[chosen] @ rows[chosen].T
            level = np.linalg.lstsq(gram, np.ones(count))[0]
            if level.sum() > 0 and (level >= 0).all():
                found = level / level.sum() @ rows[chosen]
                best = found if found @ found < best @ best else best
    return best


def rays(config: ParetoConfig) -> Array:
    """Unit vectors in which preference times loss is the same for all objectives."""
    inverse = 1 / config.weights
    return inverse / np.linalg.norm(inverse, axis=1, keepdims=True)


def directions(config: ParetoConfig, step: int, points: Array) -> Array:
    """Of every solution at every one of the points, (P, N, 20)."""
    solver = Solver(config, (0,), CPU)
    size = len(config.weights)
    rows = [(0, index) for _ in points for index in range(size)]
    vectors = torch.from_numpy(points.repeat(size, axis=0))
    return solver.part("directions", step, rows, vectors).numpy().reshape(len(points), size, -1)


def points(count: int) -> Array:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (count, 20))


@pytest.mark.parametrize("reference", [(1.0, 1.0), (1.0, 16.0)])
@pytest.mark.parametrize(("name", "made"), [("convex", convex.PROBLEM), ("toy", toy.PROBLEM)])
def test_a_step_of_mgda_is_the_closed_form(
    monkeypatch: pytest.MonkeyPatch, name: str, made: problems.Problem, reference: tuple[float, ...]
) -> None:
    """In units of the losses: of the reference (1, 16), 1/4 and 4."""
    monkeypatch.setitem(problems._PROBLEMS, name, replace(made, reference=reference))
    unit = np.array(reference) / np.sqrt(np.prod(reference))
    config = ParetoConfig(
        name, method="mgda", solutions=10, iterations=1, frames=1, lr=0.07, seeds=(0, 1)
    )
    shares = []
    before, after = {}, {}
    for front in solve(config, device="cpu"):
        (after if front.step else before)[front.seed] = front.solutions
    for seed in config.seeds:
        for x, moved in zip(before[seed], after[seed], strict=True):
            first, second = LOSSES[name](x)[1] / unit[:, None]
            share, direction = shorter(first, second)
            np.testing.assert_allclose(moved, x - 0.07 * direction, rtol=0, atol=1e-14)
            shares.append(share)
    inside = [0 < share < 1 for share in shares]
    assert any(inside) if reference == (1.0, 1.0) else not all(inside)


@pytest.mark.parametrize("name", ["convex", "toy"])
def test_pareto_mtl_in_its_region_is_mgda(name: str) -> None:
    config = ParetoConfig(name, method="pareto_mtl", solutions=4, iterations=10)
    x = points(8)
    found = directions(config, 5, x)
    counted = set()
    for point, of in zip(x, found, strict=True):
        losses, gradients = LOSSES[name](point)
        own = int((rays(config) @ losses).argmax())
        counted.add(own)
        np.testing.assert_allclose(of[own], shorter(*gradients)[1], rtol=0, atol=1e-12)
    assert len(counted) > 1


@pytest.mark.parametrize("solutions", [2, 4])
def test_pareto_mtl_outside_follows_the_broken_constraints_alone_at_first(solutions: int) -> None:
    """Of two solutions, a point is outside one region, whose constraint's gradient is followed."""
    config = ParetoConfig("toy", method="pareto_mtl", solutions=solutions, iterations=10)
    x, u = points(8), rays(config)
    at_first, later = directions(config, 1, x), directions(config, 2, x)
    broken_ones = set()
    for place, point in enumerate(x):
        losses, gradients = toy_losses(point)
        for index in range(solutions):
            broken = [j for j in range(solutions) if (u[j] - u[index]) @ losses > 0]
            if not broken:
                continue
            constraints = (u[broken] - u[index]) @ gradients
            broken_ones.add(len(broken))
            if len(broken) == 1:
                expected = constraints[0]
            elif len(broken) == 2:
                expected = shorter(*constraints)[1]
            else:
                expected = shortest(constraints)
            np.testing.assert_allclose(at_first[place, index], expected, rtol=0, atol=1e-9)
            expected = shortest(np.concatenate([gradients, constraints]))
            np.testing.assert_allclose(later[place, index], expected, rtol=0, atol=1e-9)
    assert broken_ones == set(range(1, solutions))


def test_pareto_mtls_solutions_end_in_a_region_each() -> None:
    config = ParetoConfig("toy", method="pareto_mtl", solutions=5, iterations=1_000, frames=1)
    for front in solve(config, device="cpu"):
        if front.step:
            nearest = (front.losses @ rays(config).T).argmax(axis=1)
            assert nearest.tolist() == [0, 1, 2, 3, 4]
            # The more the first objective weighs, the better it is.
            assert (np.diff(front.losses[:, 0]) < 0).all()
            assert (np.diff(front.losses[:, 1]) > 0).all()


@pytest.mark.parametrize(("problem", "solutions"), [("toy", 7), ("toy", 13), ("three", 10)])
def test_pareto_mtl_does_not_depend_on_other_seeds(problem: str, solutions: int) -> None:
    config = ParetoConfig(
        problem, method="pareto_mtl", solutions=solutions, iterations=30, frames=1, seeds=(0, 1, 2)
    )
    whole = {front.seed: front for front in solve(config, device="cpu")}
    for seed in config.seeds:
        alone = list(solve(replace(config, seeds=(seed,)), device="cpu"))[-1]
        np.testing.assert_array_equal(alone.losses, whole[seed].losses)
