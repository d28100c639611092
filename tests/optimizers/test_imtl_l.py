"""IMTL-L: fixed cases, the formula by autograd, and torchjd."""

import math

import pytest
import torch
from torchjd.scalarization import IMTLL

from mtl_core import optimizers
from tests.optimizers.measures import seeded


def test_first_step_is_the_sum() -> None:
    method = optimizers.create("imtl_l", num_tasks=2, lr=0.1)
    losses = torch.tensor([0.5, 3.0], dtype=torch.float64)
    assert method.weights(None, losses).tolist() == [1.0, 1.0]
    # s falls where a loss is above 1, and rises below it, by lr in Adam's first step.
    expected = [math.exp(0.1), math.exp(-0.1)]
    assert method.weights(None, losses).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("lr", [1e-3, 0.1])
def test_steps_are_those_of_the_formula(lr: float) -> None:
    """Two replicas over 40 steps, by torch's autograd and Adam, to rounding."""
    source = seeded(0)[0]
    method = optimizers.create("imtl_l", num_tasks=3, lr=lr)
    s = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.Adam([s], lr=lr)
    for _ in range(40):
        losses = 3 * torch.rand(2, 3, generator=source, dtype=torch.float64)
        found = method.weights(None, losses)
        torch.testing.assert_close(found, s.detach().exp(), rtol=1e-12, atol=0)
        theirs.zero_grad()
        (s.exp() * losses - s).sum().backward()
        theirs.step()


def test_agrees_with_torchjd() -> None:
    """Weights are the derivatives of its scalar, and its parameters learn by Adam: rounding, over
    500 random losses in 20 runs."""
    source = seeded(1)[0]
    for run in range(20):
        tasks = (1, 2, 3, 5, 20)[run % 5]
        method = optimizers.create("imtl_l", num_tasks=tasks, lr=0.05)
        theirs = IMTLL(tasks).double()
        optimizer = torch.optim.Adam(theirs.parameters(), lr=0.05)
        for _ in range(25):
            losses = 2 * torch.rand(tasks, generator=source, dtype=torch.float64)
            values = losses.clone().requires_grad_()
            optimizer.zero_grad()
            theirs(values).backward()
            torch.testing.assert_close(
                method.weights(None, losses), values.grad, rtol=1e-12, atol=0
            )
            optimizer.step()


def test_weighted_losses_settle_at_one() -> None:
    method = optimizers.create("imtl_l", num_tasks=3, lr=0.05)
    losses = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64)
    for _ in range(1500):
        found = method.weights(None, losses)
    torch.testing.assert_close(found * losses, torch.ones_like(losses), rtol=1e-3, atol=0)


def test_a_loss_of_zero_leaves_weights_finite() -> None:
    method = optimizers.create("imtl_l", num_tasks=2, lr=1)
    losses = torch.tensor([0.0, 1.0], dtype=torch.float64)
    for _ in range(200):
        found = method.weights(None, losses)
    assert found.isfinite().all()
    assert float(found[1]) == pytest.approx(1)
