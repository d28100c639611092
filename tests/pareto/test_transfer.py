"""Transfers: invariants, a bias in closed form, and what they do to the toy problem."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.func import jacrev, vmap

from mtl_core import InputError
from mtl_core.pareto import measures, preferences, problems, scalarizations, transfer
from mtl_core.pareto.transfer import Transfer

IDEAL_HYPERVOLUME = 0.3421
"""Of the toy problem's dense front."""


def toy_run(rule: Transfer, seed: int, iterations: int, scalarization: str = "tchebycheff"):
    """Yields losses (N, K) and the matrix before each iteration: plain gradient descent."""
    problem = problems.get("toy")
    budget = problem.preset("quick")
    made = problem.load(torch.device("cpu"), None, None, {})
    wanted = torch.as_tensor(preferences.lattice(2, budget.solutions))
    generator = torch.Generator().manual_seed(seed)
    x = torch.stack([made.start(generator)["x"] for _ in wanted])
    ideal = torch.zeros(2, dtype=x.dtype)
    losses = vmap(lambda point: made.losses({"x": point}, ()))
    gradients = vmap(jacrev(lambda point: made.losses({"x": point}, ())))
    state = transfer.start(rule, wanted, x)
    for _ in range(iterations):
        found = losses(x)
        yield found, state.matrix
        weights = scalarizations.get(scalarization).weights(found, wanted, ideal)
        steps = budget.lr * (weights[:, None] @ gradients(x)).squeeze(1)
        x = transfer.descend(state, rule, x, steps)
        state = transfer.advance(state, rule, x, steps)
    yield losses(x), state.matrix


def hypervolumes(run: Iterator[tuple[torch.Tensor, torch.Tensor]]) -> np.ndarray:
    return measures.hypervolume(np.stack([found.numpy() for found, _ in run]), (1, 1))


def quadratic_pair(rule: Transfer, iterations: int, lr: float = 0.1) -> float:
    """The final distance of two solutions of (θ - c)²/2 whose optima are 1 apart."""
    centres = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    theta = torch.tensor([[3.0], [-2.0]], dtype=torch.float64)
    state = transfer.start(rule, torch.eye(2, dtype=torch.float64), theta)
    for _ in range(iterations):
        steps = lr * (theta - centres)
        theta = transfer.descend(state, rule, theta, steps)
        state = transfer.advance(state, rule, theta, steps)
    assert theta.mean().item() == pytest.approx(0.5, abs=1e-6)
    return (theta[1] - theta[0]).item()


@pytest.mark.parametrize("name", transfer.names())
@pytest.mark.parametrize(("objectives", "count"), [(2, 7), (3, 10)])
def test_rows_are_shares_at_every_step(name: str, objectives: int, count: int) -> None:
    """Over stacked seeds, wandering solutions, a shared start and solutions that coincide."""
    generator = torch.Generator().manual_seed(0)
    wanted = torch.as_tensor(preferences.lattice(objectives, count))
    for strength in (0.0, 0.5, 0.95):
        rule = Transfer(name, strength=strength)
        x = torch.randn(4, count, 6, generator=generator, dtype=torch.float64)
        x[1] = x[1, :1]  # one start for all
        x[2, 1] = x[2, 0]
        state = transfer.start(rule, wanted, x)
        for _ in range(30):
            assert state.matrix.shape == (4, count, count)
            assert (state.matrix >= 0).all()
            torch.testing.assert_close(state.matrix.sum(dim=-1), torch.ones(4, count).double())
            kept = state.matrix.diagonal(dim1=-2, dim2=-1)
            assert (kept >= 1 - strength - 1e-12).all()
            steps = 0.3 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
            x = transfer.descend(state, rule, x, steps)
            state = transfer.advance(state, rule, x, steps)


def test_none_is_every_solution_by_itself_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(1)
    wanted = torch.as_tensor(preferences.lattice(2, 5))
    rule = Transfer("none")
    x = torch.randn(5, 8, generator=generator)
    state = transfer.start(rule, wanted, x)
    alone = x.clone()
    for _ in range(20):
        steps = 0.1 * torch.randn(5, 8, generator=generator)
        x = transfer.descend(state, rule, x, steps)
        state = transfer.advance(state, rule, x, steps)
        alone = torch.stack([one - step for one, step in zip(alone, steps, strict=True)])
    assert torch.equal(x, alone)
    assert torch.equal(state.matrix, torch.eye(5))


def test_a_constant_transfer_is_biased_and_a_decaying_one_is_not() -> None:
    """δ = (1 - 2a) δ - α (δ - 1): the pair ends α / (α + 2a) apart instead of 1."""
    assert quadratic_pair(Transfer("none"), 500) == pytest.approx(1)
    constant = quadratic_pair(Transfer("constant", strength=0.5), 500)
    assert constant == pytest.approx(0.1 / (0.1 + 2 * 0.5))
    assert quadratic_pair(Transfer("decay", strength=0.5), 5_000) == pytest.approx(1, abs=1e-3)
    assert quadratic_pair(Transfer("adaptive", strength=0.5), 5_000) == pytest.approx(1, abs=1e-3)


def test_neighbours_count_most() -> None:
    wanted = torch.as_tensor(preferences.lattice(2, 9))
    rule = Transfer("decay", strength=0.4, width=0.2, iterations=10)
    state = transfer.start(rule, wanted, torch.zeros(9, 2, dtype=torch.float64))
    row = state.matrix[4].numpy()
    # Gaussian of distances .125, .25, .375, .5 on either side.
    near = np.exp(-0.5 * (np.array([4, 3, 2, 1, 1, 2, 3, 4]) / 8 / 0.2) ** 2)
    np.testing.assert_allclose(np.delete(row, 4), 0.4 * near / near.sum())
    for _ in range(10):
        state = transfer.advance(state, rule, torch.zeros(9, 2), torch.zeros(9, 2))
    assert state.matrix[4, 4].item() == pytest.approx(1 - 0.4 / 4)


@pytest.mark.parametrize("seed", range(10))
def test_transfer_halves_the_iterations_on_the_toy_problem(seed: int) -> None:
    """90 % of the ideal hypervolume, and no less in the end than without transfer."""
    alone = hypervolumes(toy_run(Transfer("none"), seed, 300))
    reached_alone = measures.evaluations_to(0.9 * IDEAL_HYPERVOLUME, range(301), alone)
    for name in ("decay", "adaptive"):
        found = hypervolumes(toy_run(Transfer(name), seed, 300))
        reached = measures.evaluations_to(0.9 * IDEAL_HYPERVOLUME, range(301), found)
        assert reached is not None
        assert reached <= (300 if reached_alone is None else reached_alone) / 2
        assert found[-1] >= 0.99 * alone[-1]


def test_a_weighted_sum_collapses_on_the_concave_front() -> None:
    """Every solution goes to one of the two ends, where the other objective is at its worst."""
    (losses, _) = list(toy_run(Transfer("decay"), 0, 600, "weighted_sum"))[-1]
    (spread, _) = list(toy_run(Transfer("decay"), 0, 600, "tchebycheff"))[-1]
    near_an_end = losses.min(dim=1).values < 0.1
    assert near_an_end.sum() >= 18
    assert (spread.min(dim=1).values < 0.1).sum() <= 8
    share = float(measures.hypervolume(losses.numpy(), (1, 1)))
    assert share < 0.7 * float(measures.hypervolume(spread.numpy(), (1, 1)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "copy"}, "unknown transfer 'copy'"),
        ({"name": "decay", "strength": 1.0}, "strength 1.0 must be at least 0 and below 1"),
        ({"name": "decay", "width": 0.0}, "width 0.0 must be above 0"),
        ({"name": "decay", "iterations": 0}, "iterations 0 must be at least 1"),
    ],
)
def test_what_cannot_be_is_named(options, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Transfer(**options)
