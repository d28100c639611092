"""Quadratic programs of task weights: their conditions, and scipy's non-negative least squares."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor

from mtl_core.optimizers.tools import quadratic
from mtl_core.optimizers.tools.quadratic import approach, minimise
from tests.optimizers.gramians import jacobians


def problems(count: int, simplex: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(K, P) unit gradients, (1, K, K) their cosines and (1, K) a linear part in their span."""
    for rows in jacobians(count, seed=1):
        rows = rows / rows.norm(dim=1, keepdim=True)
        aim = rows[0] - 0.5 * rows[-1]
        yield rows, (rows @ rows.mT).unsqueeze(0), (rows @ aim).unsqueeze(0)


def gap(hessian: Tensor, linear: Tensor, x: Tensor) -> float:
    """How far x on the simplex may be above the minimum: xᵀs − min s with the slope s."""
    slope = (hessian @ x.unsqueeze(-1)).squeeze(-1) + linear
    return float((x * slope).sum() - slope.min())


@pytest.mark.parametrize("guesses", [0, 1, 10])
def test_simplex(guesses: int) -> None:
    """The optimality gap is 1e-13, and 1e-8 where the interior-point method is left alone."""
    with patch.object(quadratic, "_MOST_GUESSES", guesses):
        for _, hessian, linear in problems(100, simplex=True):
            start = torch.full_like(linear, 1 / linear.shape[1])
            found = minimise(hessian, linear, start, simplex=True)
            assert (found >= 0).all()
            assert float(found.sum()) == pytest.approx(1, abs=1e-8)
            assert gap(hessian, linear, found) <= (1e-8 if guesses == 0 else 1e-13)


@pytest.mark.parametrize("guesses", [0, 1, 10])
def test_not_negative(guesses: int) -> None:
    """Jᵀx is scipy's to 1e-10. The interior-point method alone has 1e-9 of the objective, and so
    the square root of that of Jᵀx, times the lengths that it adds."""
    with patch.object(quadratic, "_MOST_GUESSES", guesses):
        for rows, hessian, linear in problems(100, simplex=False):
            start = torch.ones_like(linear)
            found = minimise(hessian, linear, start, simplex=False, offset=1.0)
            assert (found >= 0).all()
            expected, _ = nnls(rows.mT.numpy(), -(rows[0] - 0.5 * rows[-1]).numpy(), maxiter=1000)
            apart = ((found[0] - torch.from_numpy(expected)) @ rows).norm()
            assert apart <= (1e-4 if guesses == 0 else 1e-10) * (1 + float(found.sum()))


def test_both_variables_of_a_bound_are_above_0() -> None:
    for _, hessian, linear in problems(20, simplex=True):
        start = torch.full_like(linear, 1 / linear.shape[1])
        x, z = approach(hessian, linear, start, simplex=True)
        assert (x > 0).all()
        assert (z > 0).all()
        assert float((x * z).sum()) <= 1e-9


@pytest.mark.parametrize("guesses", [0, 1, 10])
def test_replicas_do_not_depend_on_each_other(guesses: int) -> None:
    """Easy and hard ones side by side, each as if alone: Jᵀx is to 1e-9, and to 1e-6 where the
    interior-point method is left alone, which stops at 1e-9 of the objective."""
    each = [case[1:] for case in problems(80, simplex=True) if case[0].shape[0] == 5]
    hessian, linear = (torch.cat(part) for part in zip(*each, strict=True))
    start = torch.full_like(linear, 0.2)
    with patch.object(quadratic, "_MOST_GUESSES", guesses):
        together = minimise(hessian, linear, start, simplex=True)
        for i in range(len(start)):
            alone = minimise(hessian[[i]], linear[[i]], start[[i]], simplex=True)
            apart = together[i] - alone
            assert float(apart @ hessian[i] @ apart.mT) <= (1e-12 if guesses == 0 else 1e-18)


def test_entries_that_are_not_there_are_exactly_0() -> None:
    hessian = torch.diag(torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)).unsqueeze(0)
    linear = torch.tensor([[0.0, 0.0, 5.0]], dtype=torch.float64)
    found = minimise(hessian, linear, torch.full_like(linear, 1 / 3), simplex=True)
    assert found[0, 2] == 0
    torch.testing.assert_close(found[0, :2], torch.tensor([2 / 3, 1 / 3], dtype=torch.float64))
