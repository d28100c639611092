"""Aligned-MTL: fixed cases, the aligned gradients' own properties, and torchjd."""

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import AlignedMTLWeighting

from mtl_core import optimizers
from mtl_core.optimizers.tools.polar import orthogonal_factor
from tests.optimizers.gramians import jacobian, jacobians
from tests.optimizers.measures import seeded


def weights(rows: Tensor) -> Tensor:
    method = optimizers.create("aligned_mtl", num_tasks=len(rows))
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


def test_orthogonal_gradients_become_as_short_as_the_shortest() -> None:
    rows = torch.diag(torch.tensor([4.0, 1.0, 2.0], dtype=torch.float64))
    expected = torch.tensor([1 / 4, 1, 1 / 2], dtype=torch.float64) / 3
    torch.testing.assert_close(weights(rows), expected)


def test_dependent_gradients_keep_their_components_that_are_not_zero() -> None:
    """Twice the same gradient has a single component, which stays as it is."""
    rows = torch.tensor([[1.0, 2.0], [1.0, 2.0]], dtype=torch.float64)
    torch.testing.assert_close(weights(rows), torch.tensor([0.5, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_update_is_the_mean_of_orthogonal_gradients(tasks: int) -> None:
    """Its squared length is that of the mean of K orthogonal gradients of length √λ_min."""
    rows = jacobian(tasks, tasks, 3.0, seeded(tasks)[0])
    smallest = torch.linalg.svdvals(rows)[-1]
    torch.testing.assert_close((weights(rows) @ rows).norm(), smallest / tasks**0.5)


def test_agrees_with_torchjd() -> None:
    """Of 500 Gramians, on weights, which are at most 1/√K: rounding times the condition of G
    without its zeros, which is the relative error of the smallest eigenvalue."""
    theirs = AlignedMTLWeighting()
    for rows in jacobians(500):
        gramian = rows @ rows.mT
        values = torch.linalg.eigvalsh(gramian)
        kept = values[values > 1e-14 * len(rows) * values[-1]]
        difference = (weights(rows) - theirs(gramian)).abs().max()
        assert difference <= 1e-14 * float(kept[-1] / kept[0])


def test_a_zero_gradient_leaves_the_others_directions_alone() -> None:
    """It has weight 0; the others' are divided by K rather than by K − 1."""
    rows = jacobian(4, 4, 1.0, seeded(0)[0])
    alone = weights(rows[1:])
    rows[0] = 0
    torch.testing.assert_close(weights(rows)[1:], alone * 3 / 4)
    assert float(weights(rows)[0]) == pytest.approx(0)


def test_all_zero_is_the_mean() -> None:
    assert weights(torch.zeros(4, 2, dtype=torch.float64)).tolist() == [0.25] * 4


def test_zeros_are_those_of_the_gramians_type() -> None:
    """Dependent float32 gradients: rounding of G's zeros must not set the length."""
    mix = torch.randn(3, 2, generator=seeded(1)[0])
    base = torch.randn(2, 20_000, generator=seeded(2)[0])
    single, double = weights(mix @ base), weights(mix.double() @ base.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1.0, 1e-2, 1e-5])
def test_dependent_gradients_beside_a_short_one(kind: torch.dtype, length: float) -> None:
    """The short one's component is the smallest, at any length; the others share one of √2."""
    rows = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, length]], dtype=kind)
    expected = torch.tensor([length / 2**0.5, length / 2**0.5, 1.0], dtype=kind)
    torch.testing.assert_close(weights(rows) * 3, expected)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_two_gradients_as_three(kind: torch.dtype) -> None:
    """The closed form of two is the general one's beside a zero gradient: dependent ones too."""
    source = seeded(4)[0]
    for number in range(60):
        rows = jacobian(2, 1 + number % 2, 1.0, source)
        rows[1] *= 10.0 ** -(number % 7)
        rows = rows.to(kind)
        third = torch.cat([rows, torch.zeros_like(rows[:1])])
        torch.testing.assert_close(weights(third)[:2] * 3, weights(rows) * 2)
        assert weights(third)[2] == 0


def test_orthogonal_factor_of_columns_of_any_lengths() -> None:
    """U is orthogonal, and UᵀX is symmetric and positive, as √(XᵀX) is."""
    source = seeded(5)[0]
    for tasks in (1, 2, 5, 20):
        lengths = torch.logspace(0, -15, tasks, dtype=torch.float64)
        mixed = torch.randn(8, tasks, tasks, generator=source, dtype=torch.float64)
        matrix = (mixed + 4 * torch.eye(tasks)) * lengths
        turn = orthogonal_factor(matrix)
        eye = torch.eye(tasks, dtype=torch.float64).expand_as(matrix)
        torch.testing.assert_close(turn.mT @ turn, eye, rtol=0, atol=1e-12)
        root = turn.mT @ matrix
        torch.testing.assert_close(root, root.mT, rtol=0, atol=1e-12 * float(matrix.abs().max()))
        assert (root.diagonal(dim1=1, dim2=2) > 0).all()
