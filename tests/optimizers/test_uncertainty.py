"""Uncertainty weighting: fixed cases, the formulas by autograd, and torchjd."""

import math

import pytest
import torch
from torchjd.scalarization import UW

from mtl_core import InputError, optimizers
from tests.optimizers.measures import seeded


@pytest.mark.parametrize(("likelihood", "first"), [("classification", 1.0), ("regression", 0.5)])
def test_first_steps(likelihood: str, first: float) -> None:
    """s starts at 0; in Adam's first step it moves by lr, up where the loss is above ½ or 1."""
    method = optimizers.create("uncertainty", num_tasks=2, likelihood=likelihood, lr=0.1)
    losses = torch.tensor([0.2, 3.0], dtype=torch.float64)
    assert method.weights(None, losses).tolist() == [first, first]
    expected = [first * math.exp(0.1), first * math.exp(-0.1)]
    assert method.weights(None, losses).tolist() == pytest.approx(expected)


def test_classification_is_the_default() -> None:
    method = optimizers.create("uncertainty", num_tasks=2)
    assert method.options["likelihood"] == "classification"


@pytest.mark.parametrize("likelihood", ["classification", "regression"])
@pytest.mark.parametrize("lr", [1e-3, 0.1])
def test_steps_are_those_of_the_formula(likelihood: str, lr: float) -> None:
    """Two replicas over 40 steps, by torch's autograd and Adam, to rounding."""
    source = seeded(0)[0]
    factor = {"classification": 1.0, "regression": 0.5}[likelihood]
    method = optimizers.create("uncertainty", num_tasks=3, likelihood=likelihood, lr=lr)
    s = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.Adam([s], lr=lr, weight_decay=0)
    for _ in range(40):
        losses = 3 * torch.rand(2, 3, generator=source, dtype=torch.float64)
        values = losses.clone().requires_grad_()
        theirs.zero_grad()
        (factor * (-s).exp() * values + s / 2).sum().backward()
        found = method.weights(None, losses)
        torch.testing.assert_close(found, values.grad, rtol=1e-12, atol=0)
        theirs.step()


def test_agrees_with_torchjd() -> None:
    """Which has the regression form: rounding, over 500 random losses in 20 runs."""
    source = seeded(1)[0]
    for run in range(20):
        tasks = (1, 2, 3, 5, 20)[run % 5]
        method = optimizers.create("uncertainty", num_tasks=tasks, likelihood="regression", lr=0.05)
        theirs = UW(tasks).double()
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


@pytest.mark.parametrize("likelihood", ["classification", "regression"])
def test_weighted_losses_settle_at_half(likelihood: str) -> None:
    """c e^{−s} L = ½, where its derivative vanishes."""
    method = optimizers.create("uncertainty", num_tasks=3, likelihood=likelihood, lr=0.05)
    losses = torch.tensor([0.1, 1.0, 20.0], dtype=torch.float64)
    for _ in range(1500):
        found = method.weights(None, losses)
    torch.testing.assert_close(found * losses, torch.full_like(losses, 0.5), rtol=1e-3, atol=0)


def test_a_loss_of_zero_leaves_weights_finite() -> None:
    method = optimizers.create("uncertainty", num_tasks=2, lr=1)
    losses = torch.tensor([0.0, 0.5], dtype=torch.float64)
    for _ in range(200):
        found = method.weights(None, losses)
    assert found.isfinite().all()
    assert float(found[1]) == pytest.approx(1)


def test_unknown_likelihood() -> None:
    with pytest.raises(InputError, match="'poisson', not one of: classification, regression"):
        optimizers.create("uncertainty", num_tasks=2, likelihood="poisson")
