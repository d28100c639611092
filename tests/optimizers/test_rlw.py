"""RLW: softmax of normal numbers, drawn anew in each step."""

import pytest
import torch
from torchjd.scalarization import Random

from mtl_core import optimizers
from tests.optimizers.measures import seeded


def test_agrees_with_torchjd() -> None:
    """In 500 steps: the same numbers from the same seed, to rounding."""
    for seed in range(500):
        tasks = (1, 2, 3, 5, 20)[seed % 5]
        values = torch.ones(tasks, dtype=torch.float64, requires_grad=True)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            Random()(values).backward()
        method = optimizers.create("rlw", num_tasks=tasks)
        found = method.weights(None, values.detach(), seeded(seed)[0])
        torch.testing.assert_close(found, values.grad, rtol=1e-14, atol=0)


def test_weights_are_positive_and_sum_to_one() -> None:
    method = optimizers.create("rlw", num_tasks=4)
    found = method.weights(None, torch.rand(1000, 4, dtype=torch.float64), seeded(0)[0])
    assert found.min() > 0
    torch.testing.assert_close(found.sum(dim=1), torch.ones(1000, dtype=torch.float64))


def test_no_task_is_preferred() -> None:
    """Means of 20 000 draws within 5 standard errors of 1/K."""
    method = optimizers.create("rlw", num_tasks=4)
    found = method.weights(None, torch.rand(20_000, 4, dtype=torch.float64), seeded(0)[0])
    error = found.std(dim=0) / 20_000**0.5
    assert ((found.mean(dim=0) - 1 / 4).abs() < 5 * error).all()


def test_draws_anew_in_each_step_and_from_the_given_generator() -> None:
    method = optimizers.create("rlw", num_tasks=3)
    losses = torch.ones(3, dtype=torch.float64)
    source, same = seeded(0, 0)
    before = torch.get_rng_state()
    first, second = (method.weights(None, losses, source) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(first, method.weights(None, losses, same))
    assert torch.equal(torch.get_rng_state(), before)
    assert float(first.sum()) == pytest.approx(1)
