"""GradNorm: fixed cases, and the paper's algorithm by autograd and torch's Adam."""

import pytest
import torch
from torch import Tensor

from mtl_core import InputError, optimizers
from tests.optimizers.measures import seeded


class ByHand:
    """Algorithm 1 of one run, on the last layer's gradients."""

    def __init__(self, tasks: int, alpha: float, lr: float) -> None:
        self.weights = torch.ones(tasks, dtype=torch.float64, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.weights], lr=lr)
        self.alpha = alpha
        self.first: Tensor | None = None

    def step(self, rows: Tensor, losses: Tensor) -> Tensor:
        given = self.weights.detach().clone()
        if self.first is None:
            self.first = losses
        norms = (self.weights.unsqueeze(1) * rows).norm(dim=1)
        rates = losses / self.first
        rates = rates / rates.mean()
        target = (norms.mean() * rates**self.alpha).detach()
        self.optimizer.zero_grad()
        (norms - target).abs().sum().backward()
        self.optimizer.step()
        with torch.no_grad():
            self.weights.clamp_(min=0)
            self.weights *= len(given) / self.weights.sum()
        return given


@pytest.mark.parametrize(("alpha", "lr"), [(1.5, 0.025), (0.0, 0.1), (0.5, 1e-3)])
@pytest.mark.parametrize("tasks", [1, 2, 5])
def test_steps_are_the_papers(tasks: int, alpha: float, lr: float) -> None:
    """Three replicas over 30 steps, to rounding: 1e-12, since only signs of differences matter."""
    source = seeded(tasks)[0]
    method = optimizers.create("gradnorm", num_tasks=tasks, alpha=alpha, lr=lr)
    theirs = [ByHand(tasks, alpha, lr) for _ in range(3)]
    for step in range(30):
        rows = torch.randn(3, tasks, 7, generator=source, dtype=torch.float64)
        rows *= torch.arange(1, tasks + 1).view(1, -1, 1)
        losses = torch.rand(3, tasks, generator=source, dtype=torch.float64) + 5 / (1 + step)
        found = method.weights(None, losses, last_layer=rows @ rows.mT)
        expected = [run.step(rows[i], losses[i]) for i, run in enumerate(theirs)]
        torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.sum(dim=1), torch.full((3,), float(tasks)).double())
    assert method.state["first_losses"].shape == (3, tasks)


def test_first_steps() -> None:
    """Gradient lengths 1 and 3: the targets are 2 each, so the first weight rises by lr, and the
    second falls by it."""
    method = optimizers.create("gradnorm", num_tasks=2, lr=0.1)
    gramian = torch.diag(torch.tensor([1.0, 9.0], dtype=torch.float64))
    losses = torch.tensor([2.0, 5.0], dtype=torch.float64)
    assert method.weights(gramian, losses).tolist() == [1.0, 1.0]
    assert method.weights(gramian, losses).tolist() == pytest.approx([1.1, 0.9])


def test_slow_tasks_pull_more() -> None:
    """Equal lengths; the loss of the second did not fall."""
    method = optimizers.create("gradnorm", num_tasks=2)
    gramian = torch.eye(2, dtype=torch.float64)
    for losses in ([2.0, 3.0], [1.0, 3.0], [1.0, 3.0]):
        found = method.weights(gramian, torch.tensor(losses, dtype=torch.float64))
    assert found[1] > 1 > found[0]
    assert float(found.sum()) == pytest.approx(2)


def test_pulls_become_equal() -> None:
    """Over 300 steps of constant rates: |w_k| ‖g_k‖ within the last step's size of each other."""
    method = optimizers.create("gradnorm", num_tasks=3)
    lengths = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    for _ in range(300):
        found = method.weights(torch.diag(lengths**2), torch.ones(3, dtype=torch.float64))
    pulls = found * lengths
    assert pulls.max() / pulls.min() < 1.2


def test_reads_the_last_layer_alone() -> None:
    method = optimizers.create("gradnorm", num_tasks=2)
    assert method.needs_last_layer
    assert not method.needs_gramian
    assert optimizers.create("gradnorm", num_tasks=2, scale="match_sum").needs_gramian
    full = torch.diag(torch.tensor([9.0, 1.0]))
    last = torch.diag(torch.tensor([1.0, 9.0]))
    losses = torch.ones(2)
    method.weights(full, losses, last_layer=last)
    assert method.weights(full, losses, last_layer=last)[0] > 1


def test_weights_do_not_become_negative() -> None:
    """With a learning rate of 0.9 a weight would pass 0; it stays there, and comes back."""
    method = optimizers.create("gradnorm", num_tasks=2, lr=0.9)
    losses = torch.ones(2, dtype=torch.float64)
    lowest = []
    for step in range(40):
        strong = torch.tensor([1.0, 100.0] if step < 5 else [100.0, 1.0], dtype=torch.float64)
        found = method.weights(torch.diag(strong), losses)
        assert found.min() >= 0
        assert float(found.sum()) == pytest.approx(2)
        lowest.append(float(found[1]))
    assert min(lowest) == 0
    assert lowest[-1] > 0.5


def test_a_zero_gradient_takes_no_part() -> None:
    """What the others do to each other is as without it; over 200 steps none of them vanishes."""
    pair = optimizers.create("gradnorm", num_tasks=2)
    triple = optimizers.create("gradnorm", num_tasks=3)
    two = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    three = torch.diag(torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64))
    for step in range(200):
        losses = torch.tensor([1 + 1 / (1 + step), 1.0, 0.5], dtype=torch.float64)
        alone = pair.weights(two, losses[:2])
        found = triple.weights(three, losses)
        assert found.isfinite().all()
        if step < 3:  # before the scaling to a sum of K changes what a step of Adam means
            torch.testing.assert_close(found[0] / found[1], alone[0] / alone[1])
    assert found.min() > 0.1


def test_a_first_loss_of_zero_is_no_rate() -> None:
    method = optimizers.create("gradnorm", num_tasks=2)
    gramian = torch.eye(2, dtype=torch.float64)
    for losses in ([0.0, 1.0], [2.0, 1.0], [0.0, 0.0], [0.0, 1.0]):
        found = method.weights(gramian, torch.tensor(losses, dtype=torch.float64))
        assert found.isfinite().all()
    assert found.min() > 0.5


@pytest.mark.parametrize("options", [{"alpha": -1}, {"lr": -0.1}, {"lr": "fast"}])
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="of optimizer 'gradnorm'"):
        optimizers.create("gradnorm", num_tasks=2, **options)
