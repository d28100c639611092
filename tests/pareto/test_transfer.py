import numpy as np
import pytest
import torch

from mtl_core import InputError
from mtl_core.pareto import preferences, transfer


def quadratic_pair(name: str, iterations: int, lr: float = 0.1, **options: float) -> float:
    """The final distance of two solutions of (θ - c)²/2 whose optima are 1 apart."""
    rule = transfer.create(name, preferences.lattice(2, 2), **options)
    centres = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
    theta = torch.tensor([[[3.0], [-2.0]]], dtype=torch.float64)
    state = rule.start(theta)
    for iteration in range(iterations):
        matrix = rule.matrix(state, iteration)
        mixed = theta if matrix is None else matrix @ theta
        moved = mixed - lr * (theta - centres)
        state, theta = rule.observe(state, mixed, moved), moved
    assert theta.mean().item() == pytest.approx(0.5, abs=1e-6)
    return (theta[0, 1] - theta[0, 0]).item()


def test_a_constant_transfer_is_biased_and_others_are_not() -> None:
    """δ = (1 - 2a) δ - α (δ - 1): the pair ends α / (α + 2a) apart instead of 1."""
    assert quadratic_pair("independent", 500) == pytest.approx(1)
    constant = quadratic_pair("constant", 500, strength=0.3, neighbours=1)
    assert constant == pytest.approx(0.1 / (0.1 + 2 * 0.3))
    # A decaying share leaves about 2 a_t / α.
    assert quadratic_pair("decay", 20_000, halving=1.0) == pytest.approx(1, abs=1e-3)
    assert quadratic_pair("adaptive", 5_000) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", transfer.names())
@pytest.mark.parametrize(("objectives", "count"), [(2, 7), (3, 10)])
def test_rows_are_shares_at_every_step(name: str, objectives: int, count: int) -> None:
    """Over stacked seeds, wandering solutions, a shared start and solutions that coincide."""
    generator = torch.Generator().manual_seed(0)
    rule = transfer.create(name, preferences.lattice(count, objectives))
    x = torch.randn(4, count, 6, generator=generator, dtype=torch.float64)
    x[1] = x[1, :1]  # one start for all
    x[2, 1] = x[2, 0]
    state = rule.start(x)
    for iteration in range(30):
        matrix = rule.matrix(state, iteration)
        mixed = x
        if matrix is not None:
            assert (matrix >= 0).all()
            np.testing.assert_allclose(matrix.sum(dim=-1), 1, atol=1e-12)
            assert (matrix.diagonal(dim1=-2, dim2=-1) >= rule.rule.kept(rule.options) - 1e-12).all()
            mixed = matrix @ x
        steps = 0.3 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
        x, state = mixed - steps, rule.observe(state, mixed, mixed - steps)


def test_an_unknown_one_is_named() -> None:
    with pytest.raises(InputError, match="unknown transfer 'copy'"):
        transfer.create("copy", preferences.lattice(2, 2))
    with pytest.raises(InputError, match="strength"):
        transfer.create("decay", preferences.lattice(2, 2), strength=1.5)


@pytest.mark.parametrize("length", [3, transfer.LONG])
def test_distances_are_those_of_all_pairs(length: int) -> None:
    solutions = torch.randn(2, 4, length, dtype=torch.float64, generator=torch.manual_seed(0))
    solutions[1, 3] = solutions[1, 0] + 1e-9  # close ones, which a Gramian would lose
    expected = (solutions[:, :, None] - solutions[:, None]).square().sum(-1).sqrt()
    found = transfer._distances(solutions)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    assert torch.equal(found, found.mT)
