"""FairGrad: fixed cases, its own equation, and torchjd."""

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import FairGradWeighting

from mtl_core import InputError, optimizers
from tests.optimizers.gramians import jacobian, jacobians
from tests.optimizers.measures import apart


def weights(rows: Tensor, alpha: float = 2.0) -> Tensor:
    method = optimizers.create("fairgrad", num_tasks=len(rows), alpha=alpha)
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


def shortest(rows: Tensor) -> float:
    """Length of the shortest convex combination, as a share of the weighted lengths."""
    found = optimizers.create("mgda", num_tasks=len(rows)).weights(
        rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype)
    )
    return float((found @ rows).norm() / (found * rows.norm(dim=1)).sum())


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0, 10.0])
@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_orthogonal_gradients(alpha: float, tasks: int) -> None:
    """|g|² w = w^(−1/α), so w = |g|^(−2α / (1 + α))."""
    lengths = torch.arange(1, tasks + 1, dtype=torch.float64)
    expected = lengths ** (-2 * alpha / (1 + alpha))
    torch.testing.assert_close(weights(torch.diag(lengths), alpha), expected)


def test_equal_gradients() -> None:
    """K |g|² w = w^(−1/α), for each."""
    rows = torch.tensor([[3.0, 4.0]] * 3, dtype=torch.float64)
    expected = torch.full((3,), (3 * 25) ** (-2 / 3), dtype=torch.float64)
    torch.testing.assert_close(weights(rows), expected)


def test_alpha_of_1_is_nash_mtl_without_clipping() -> None:
    for rows in jacobians(40, seed=1):
        nash = optimizers.create("nash_mtl", num_tasks=len(rows), max_norm=0.0)
        expected = nash.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))
        if shortest(rows) > 1e-3:
            torch.testing.assert_close(weights(rows, 1.0), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 5.0, 10.0])
def test_solves_its_equation(alpha: float) -> None:
    """(Gw)_k · w_k^(1/α) is 1 to 1e-9, where there is a solution: of 100 Gramians each."""
    solved = 0
    for rows in jacobians(100, seed=int(10 * alpha)):
        found = weights(rows, alpha)
        assert (found > 0).all()
        assert found.isfinite().all()
        if shortest(rows) > 1e-3:
            products = (rows @ (found @ rows)) * found ** (1 / alpha)
            torch.testing.assert_close(products, torch.ones_like(found), rtol=0, atol=1e-9)
            solved += 1
    assert solved > 50


def test_more_alpha_is_more_even() -> None:
    """The slowest task's progress, over the update's length, rises with α towards the best."""
    rows = jacobian(5, 5, 1.0, torch.Generator().manual_seed(3))
    slowest = []
    for alpha in (0.5, 1.0, 2.0, 5.0, 10.0):
        update = weights(rows, alpha) @ rows
        slowest.append(float((rows @ update).min() / update.norm()))
    assert slowest == sorted(slowest)


def test_agrees_with_torchjd() -> None:
    """On the update of 500 Gramians with trace K, where there is a solution; rescaled by the known
    power of the trace. Its least squares stop when they gain 1e-8 of a sum of squares, which leaves
    about 1e-4 of its root: where its equation is solved to 1e-6, they are as near as that times the
    condition of the problem, 1e3 at most here."""
    theirs = FairGradWeighting(alpha=2.0)
    compared = 0
    for rows in jacobians(500):
        if shortest(rows) <= 1e-2:
            continue
        unit = rows / rows.norm() * len(rows) ** 0.5
        expected = theirs(unit @ unit.mT)
        products = (unit @ (expected @ unit)) * expected**0.5
        if float((products - 1).abs().max()) <= 1e-6:
            compared += 1
            assert apart(weights(unit), expected, unit) <= 1e-3
            scaled = weights(rows) * (rows.norm() ** 2 / len(rows)) ** (2 / 3)
            torch.testing.assert_close(scaled, weights(unit), rtol=1e-9, atol=0)
    assert compared > 200


def test_where_there_is_no_solution_the_update_is_next_to_0() -> None:
    """A combination of gradients is 0: weights are large, but the update is 1e-3 of them for the
    smallest α and 1e-5 from 1 on."""
    found = 0
    for rows in jacobians(200, seed=2):
        if shortest(rows) < 1e-9:
            found += 1
            for alpha in (0.5, 1.0, 2.0, 10.0):
                w = weights(rows, alpha)
                assert float((w @ rows).norm() / (w * rows.norm(dim=1)).sum()) <= (
                    1e-5 if alpha >= 1 else 1e-3
                )
    assert found > 50


def test_opposed_tasks_leave_the_others_alone() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    found = weights(rows)
    torch.testing.assert_close(found[2:], torch.tensor([4.0], dtype=torch.float64) ** (-2 / 3))
    assert float((found @ rows)[0]) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_tasks_without_gradient_are_left_out(tasks: int) -> None:
    rows = jacobian(tasks, tasks, 1.0, torch.Generator().manual_seed(tasks))
    alone = weights(rows[1:])
    rows[0] = 0
    found = weights(rows)
    assert found[0] == 0
    torch.testing.assert_close(found[1:], alone)
    assert weights(0 * rows).tolist() == [0.0] * tasks


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 11.0, "2"])
def test_alpha_is_out_of_range(alpha: object) -> None:
    with pytest.raises(InputError, match="option 'alpha' of optimizer 'fairgrad'"):
        optimizers.create("fairgrad", num_tasks=2, alpha=alpha)
