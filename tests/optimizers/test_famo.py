"""FAMO: fixed cases, the paper's algorithm by autograd, and torchjd."""

import pytest
import torch
from torch import Tensor
from torchjd.scalarization import FAMO

from mtl_core import optimizers
from tests.optimizers.measures import seeded


def two(first: float, second: float) -> Tensor:
    return torch.tensor([first, second], dtype=torch.float64)


def test_first_step_weighs_inversely_to_losses() -> None:
    """Equal logits: weights ∝ 1 / L_k, and sum to 1."""
    method = optimizers.create("famo", num_tasks=2)
    assert method.needs_losses_after
    assert method.weights(None, two(1.0, 3.0)).tolist() == pytest.approx([0.75, 0.25])


def test_a_loss_that_falls_slower_counts_more_in_the_next_step() -> None:
    """The first loss halves, the second stays: Adam's first step moves the logits by lr each."""
    method = optimizers.create("famo", num_tasks=2, lr=0.1)
    method.weights(None, two(1.0, 1.0))
    method.observe(two(0.5, 1.0))
    expected = two(-0.1, 0.1).softmax(dim=0)
    assert method.weights(None, two(1.0, 1.0)).tolist() == pytest.approx(expected.tolist())


def test_without_outcomes_nothing_is_learned() -> None:
    method = optimizers.create("famo", num_tasks=2)
    method.observe(two(1.0, 2.0))
    assert method.state == {}
    for _ in range(3):
        found = method.weights(None, two(1.0, 3.0))
    assert found.tolist() == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("weight_decay", [0.0, 1e-3, 0.5])
def test_steps_are_the_papers(weight_decay: float) -> None:
    """Two replicas over 40 steps: weights are the derivative of c Σ z log L, logits learn from
    Σ z (log L − log L after) by torch's Adam. 1e-7, the ε that is added to losses of 0.2 and more.
    """
    source = seeded(0)[0]
    method = optimizers.create("famo", num_tasks=3, weight_decay=weight_decay)
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    theirs = torch.optim.Adam([logits], lr=0.025, weight_decay=weight_decay)
    for _ in range(40):
        losses, after = 0.2 + torch.rand(2, 2, 3, generator=source, dtype=torch.float64)
        shares = logits.detach().softmax(dim=1)
        constant = 1 / (shares / losses).sum(dim=1, keepdim=True)
        values = losses.clone().requires_grad_()
        (constant * shares * values.log()).sum().backward()
        torch.testing.assert_close(method.weights(None, losses), values.grad, rtol=1e-7, atol=0)
        method.observe(after)
        theirs.zero_grad()
        (logits.softmax(dim=1) * (losses.log() - after.log())).sum().backward()
        theirs.step()


def test_agrees_with_torchjd() -> None:
    """Weights are the derivatives of its scalar: rounding, over 500 random losses in 20 runs."""
    source = seeded(1)[0]
    for run in range(20):
        tasks = (1, 2, 3, 5, 20)[run % 5]
        method = optimizers.create("famo", num_tasks=tasks)
        theirs = FAMO(tasks).double()
        for _ in range(25):
            losses, after = 10 ** (
                6 * torch.rand(2, tasks, generator=source, dtype=torch.float64) - 4
            )
            values = losses.clone().requires_grad_()
            theirs(values).backward()
            torch.testing.assert_close(
                method.weights(None, losses), values.grad, rtol=1e-12, atol=0
            )
            theirs.update(after)
            method.observe(after)


def test_a_loss_of_zero_does_not_take_all() -> None:
    method = optimizers.create("famo", num_tasks=3)
    losses = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    assert method.weights(None, losses).tolist() == pytest.approx([0.0, 0.75, 0.25])
    method.observe(losses / 2)
    assert method.weights(None, losses).isfinite().all()


def test_all_losses_zero() -> None:
    method = optimizers.create("famo", num_tasks=2)
    for _ in range(3):
        assert method.weights(None, two(0.0, 0.0)).tolist() == [0.5, 0.5]
        method.observe(two(0.0, 0.0))
    method.weights(None, two(1.0, 1.0))
    method.observe(two(0.0, 1.0))
    assert method.weights(None, two(1.0, 1.0)).isfinite().all()
