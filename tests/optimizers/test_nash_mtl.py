"""Nash-MTL: fixed cases, its own equation, clipping, and torchjd."""

import warnings

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import NashMTL

from mtl_core import InputError, optimizers
from tests.optimizers.gramians import jacobian, jacobians
from tests.optimizers.measures import apart


def weights(rows: Tensor, max_norm: float = 0.0) -> Tensor:
    method = optimizers.create("nash_mtl", num_tasks=len(rows), max_norm=max_norm)
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


def conflict(rows: Tensor) -> float:
    """The shortest convex combination of unit gradients: 0 where no update serves all."""
    units = rows / rows.norm(dim=1, keepdim=True)
    found = optimizers.create("mgda", num_tasks=len(rows)).weights(
        units @ units.mT, torch.ones(len(rows), dtype=rows.dtype)
    )
    return float((found @ units).norm())


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_orthogonal_gradients_become_units(tasks: int) -> None:
    lengths = torch.arange(1, tasks + 1, dtype=torch.float64)
    torch.testing.assert_close(weights(torch.diag(lengths)), 1 / lengths)


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_equal_gradients(tasks: int) -> None:
    """K |g|² α² = 1."""
    rows = torch.tensor([[3.0, 4.0]] * tasks, dtype=torch.float64)
    expected = torch.full((tasks,), 1 / (5 * tasks**0.5), dtype=torch.float64)
    torch.testing.assert_close(weights(rows), expected)


def test_lengths_do_not_matter() -> None:
    """Only directions do: the update of gradients of other lengths is the same."""
    for tasks in (2, 3, 5):
        rows = jacobian(tasks, tasks, 1.0, torch.Generator().manual_seed(tasks))
        others = rows * 10.0 ** torch.arange(tasks).unsqueeze(1)
        torch.testing.assert_close(weights(others) @ others, weights(rows) @ rows)


def test_solves_its_equation_and_is_root_k_long() -> None:
    """α_k (Gα)_k is 1 to 1e-9, where there is a solution: for 500 Gramians."""
    solved = 0
    for rows in jacobians(500):
        found = weights(rows)
        assert (found > 0).all()
        assert found.isfinite().all()
        if conflict(rows) > 1e-3:
            products = found * (rows @ (found @ rows))
            torch.testing.assert_close(products, torch.ones_like(found), rtol=0, atol=1e-9)
            torch.testing.assert_close(
                (found @ rows).norm(), torch.tensor(len(rows) ** 0.5, dtype=torch.float64)
            )
            solved += 1
    assert solved > 250


def test_where_no_update_serves_all_tasks_it_is_next_to_0() -> None:
    """A combination of gradients is 0: weights are large, but the update is 1e-6 of them."""
    found = 0
    for rows in jacobians(200, seed=2):
        if conflict(rows) < 1e-9:
            found += 1
            w = weights(rows)
            assert float((w @ rows).norm() / (w * rows.norm(dim=1)).sum()) <= 1e-6
    assert found > 50


def test_opposed_tasks_leave_the_others_alone() -> None:
    rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
    found = weights(rows, max_norm=1.0) @ rows
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0], dtype=torch.float64))


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_clipping(tasks: int) -> None:
    rows = jacobian(tasks, tasks, 1.0, torch.Generator().manual_seed(tasks))
    free = weights(rows)
    length = tasks**0.5
    torch.testing.assert_close(weights(rows, max_norm=0.1), free * 0.1 / length)
    torch.testing.assert_close(weights(rows, max_norm=1.001 * length), free)
    usual = optimizers.create("nash_mtl", num_tasks=tasks).weights(
        rows @ rows.mT, torch.ones(tasks)
    )
    assert float((usual.double() @ rows).norm()) == pytest.approx(1, rel=1e-6)


def test_agrees_with_torchjd() -> None:
    """On the update of the first 25 of 500 Gramians that can be compared.

    It divides the Gramian by its norm and does not scale α back, so Gramians of norm 1 are
    compared. It stops where α (Gα) is 1 to about 1e-3, and returns what it started from where its
    solver fails: it counts where that is 1 to 1e-2, and is then compared to as much.
    """
    compared = 0
    for rows in jacobians(500, seed=5):
        if conflict(rows) < 0.05:
            continue
        rows = rows / (rows @ rows.mT).norm().sqrt()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = NashMTL(n_tasks=len(rows), max_norm=0.0).weighting(rows)
        if float((theirs * (rows @ (theirs @ rows)) - 1).abs().max()) <= 1e-2:
            compared += 1
            assert apart(weights(rows), theirs, rows) <= 1e-2
        if compared == 25:
            break
    assert compared > 20


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_tasks_without_gradient_are_left_out(tasks: int) -> None:
    rows = jacobian(tasks, tasks, 1.0, torch.Generator().manual_seed(tasks))
    alone = weights(rows[1:])
    rows[0] = 0
    found = weights(rows)
    assert found[0] == 0
    torch.testing.assert_close(found[1:], alone)
    assert weights(0 * rows).tolist() == [0.0] * tasks


def test_gramians_of_float32_gradients() -> None:
    """Where there is no solution, rounding does not make one up: the update stays short."""
    for rows in jacobians(100, seed=3):
        rows = (rows / rows.norm(dim=1, keepdim=True)).float()
        found = weights(rows).double()
        assert found.isfinite().all()
        update = (found @ rows.double()).norm()
        assert float(update) <= 1.01 * len(rows) ** 0.5
        if conflict(rows.double()) < 1e-6:
            assert float(update / found.sum()) <= 1e-3


@pytest.mark.parametrize("max_norm", [-1.0, "1"])
def test_max_norm_is_out_of_range(max_norm: object) -> None:
    with pytest.raises(InputError, match="option 'max_norm' of optimizer 'nash_mtl'"):
        optimizers.create("nash_mtl", num_tasks=2, max_norm=max_norm)
