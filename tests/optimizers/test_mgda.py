"""MGDA: fixed cases, optimality, normalization, and torchjd."""

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import MGDAWeighting

from mtl_core import InputError, optimizers
from tests.optimizers.gramians import jacobians


def weights(rows: Tensor, losses: Tensor | None = None, **options: str) -> Tensor:
    method = optimizers.create("mgda", num_tasks=len(rows), **options)
    losses = torch.ones(len(rows), dtype=torch.float64) if losses is None else losses
    return method.weights(rows @ rows.mT, losses)


def gap(gramian: Tensor, alpha: Tensor) -> float:
    """Of the optimality conditions: αᵀGα − min_k (Gα)_k, 0 at the shortest combination."""
    slope = gramian @ alpha
    return float(alpha @ slope - slope.min())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1.0], [100.0]], [1, 0]),
        ([[100.0, 0.0], [1.0, 0.0]], [0, 1]),
        ([[50.0], [1.0], [100.0]], [0, 1, 0]),
        ([[1.0, 0.0], [3.0, 1.0], [2.0, 7.0], [1.0, -1.0]], [1, 0, 0, 0]),
        ([[1.0, 0.0]], [1]),
    ],
)
def test_a_vertex_is_exact(rows: list[list[float]], expected: list[float]) -> None:
    assert weights(torch.tensor(rows, dtype=torch.float64)).tolist() == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1.0, 0.0], [-1.0, 0.0]], [1 / 2, 1 / 2]),  # opposite
        ([[1.0, 0.0], [-3.0, 0.0]], [3 / 4, 1 / 4]),
        ([[1.0, 0.0], [0.0, 2.0]], [4 / 5, 1 / 5]),  # as 1 / |g|²
        ([[1.0, 2.0], [1.0, 2.0]], [1 / 2, 1 / 2]),  # equal
        ([[0.3, 2.0]] * 3, [1 / 3] * 3),
        ([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 4.0]], [16 / 21, 4 / 21, 1 / 21]),
        # Around 0: only one combination is 0, or one is and a third gradient is not needed.
        ([[1.0, 0.0], [-1.0, 1.0], [0.0, -1.0]], [1 / 3] * 3),
        ([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]], [1 / 2, 1 / 2, 0]),
        # Far apart in length: the two short ones decide.
        ([[1e-6, 0.0, 0.0], [0.0, 2e-6, 0.0], [1.0, 1.0, 1.0]], [4 / 5, 1 / 5, 0]),
    ],
)
def test_known_combinations(rows: list[list[float]], expected: list[float]) -> None:
    found = weights(torch.tensor(rows, dtype=torch.float64))
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-7
    )


def test_agrees_with_torchjd_and_is_nearer_to_the_optimum() -> None:
    """The gap, over the trace, is 1e-14 at most for each of 500 Gramians and never above torchjd's,
    whose Frank-Wolfe steps end after 100, or when short. Its gap bounds how far it may be from us:
    the squared difference of two updates is at most the sum of their gaps."""
    theirs = MGDAWeighting()
    for rows in jacobians(500):
        alpha = weights(rows)
        assert (alpha >= 0).all()
        assert float(alpha.sum()) == pytest.approx(1, abs=1e-14)
        gramian = rows @ rows.mT / rows.square().sum()
        other = theirs(gramian)
        ours, limit = gap(gramian, alpha), gap(gramian, other)
        assert ours <= 1e-14
        assert ours <= limit + 1e-15
        difference = alpha - other
        assert float(difference @ gramian @ difference) <= limit + 2e-14


def test_the_order_of_tasks_does_not_matter_to_weights() -> None:
    """Where many weights are optimal, too; those are known to the rounding of G over 1e-8."""
    generator = torch.Generator().manual_seed(0)
    for rows in jacobians(200, seed=2):
        order = torch.randperm(len(rows), generator=generator)
        torch.testing.assert_close(weights(rows[order]), weights(rows)[order], rtol=0, atol=1e-6)


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize(
    ("normalization", "divisors"),
    [("none", [1, 1, 1]), ("l2", [1, 2, 4]), ("loss", [3, 1, 2]), ("loss+", [3, 2, 8])],
)
def test_normalization(normalization: str, divisors: list[float], tasks: int) -> None:
    """Of orthogonal gradients, weights are as 1 / (|g| / divisor)²."""
    lengths = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)[:tasks]
    losses = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)[:tasks]
    expected = (torch.tensor(divisors[:tasks]) / lengths).square()
    found = weights(torch.diag(lengths), losses, normalization=normalization)
    torch.testing.assert_close(found, expected / expected.sum())


@pytest.mark.parametrize("normalization", ["l2", "loss", "loss+"])
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_normalization_is_mgda_of_divided_gradients(normalization: str, tasks: int) -> None:
    """Any losses and lengths, be they large or tiny."""
    generator = torch.Generator().manual_seed(tasks)
    for scale in (1e-12, 1.0, 1e12):
        rows = scale * torch.randn(tasks, 7, generator=generator, dtype=torch.float64)
        losses = scale * (0.1 + torch.rand(tasks, generator=generator, dtype=torch.float64))
        divisors = losses if normalization == "loss" else rows.norm(dim=1)
        if normalization == "loss+":
            divisors = losses * divisors
        expected = weights(rows / divisors.unsqueeze(1))
        found = weights(rows, losses, normalization=normalization)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("normalization", ["none", "l2", "loss", "loss+"])
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_tasks_without_gradient_are_left_out(normalization: str, tasks: int) -> None:
    generator = torch.Generator().manual_seed(tasks)
    rows = torch.randn(tasks, 7, generator=generator, dtype=torch.float64)
    losses = 0.1 + torch.rand(tasks, generator=generator, dtype=torch.float64)
    alone = weights(rows[1:], losses[1:], normalization=normalization)
    rows[0] = 0
    found = weights(rows, losses, normalization=normalization)
    assert found[0] == 0
    torch.testing.assert_close(found[1:], alone)
    none = weights(torch.zeros_like(rows), losses, normalization=normalization)
    torch.testing.assert_close(none, torch.full_like(none, 1 / tasks))


def test_a_loss_of_0_is_not_divided_by() -> None:
    rows = torch.eye(3, dtype=torch.float64)
    losses = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    for kind in ("loss", "loss+"):
        expected = torch.tensor([0, 1 / 5, 4 / 5], dtype=torch.float64)
        torch.testing.assert_close(weights(rows, losses, normalization=kind), expected)
        found = weights(rows, 0 * losses, normalization=kind)
        torch.testing.assert_close(found, torch.full_like(found, 1 / 3))
    assert weights(rows, losses).tolist() == pytest.approx([1 / 3] * 3)


def test_gramians_of_float32_gradients() -> None:
    """Rounding makes them indefinite: the shortest update's length is found to the root of it."""
    for rows in jacobians(100, seed=3):
        rows = (rows / rows.norm()).float()
        method = optimizers.create("mgda", num_tasks=len(rows))
        found = method.weights(rows @ rows.mT, torch.ones(len(rows))).double()
        exact = weights(rows.double())
        assert float((found - exact) @ rows.double() @ rows.double().mT @ (found - exact)) <= 1e-5


def test_unknown_normalization() -> None:
    with pytest.raises(InputError, match="none, l2, loss, loss"):
        optimizers.create("mgda", num_tasks=2, normalization="l1")
