"""DWA: fixed cases, the formula by hand, and torchjd."""

import math

import pytest
import torch
from torchjd.scalarization import DWA

from mtl_core import InputError, optimizers
from mtl_core.optimizers.base import Method
from tests.optimizers.measures import seeded


def epoch(method: Method, *losses: list[float]) -> list[list[float]]:
    """The weights of an epoch's steps."""
    tensors = [torch.tensor(one, dtype=torch.float64) for one in losses]
    found = [method.weights(None, one).tolist() for one in tensors]
    method.end_epoch()
    return found


def test_two_uniform_epochs_and_then_ratios_of_averages() -> None:
    method = optimizers.create("dwa", num_tasks=2)
    assert epoch(method, [4.0, 1.0], [2.0, 3.0]) == [[1.0, 1.0]] * 2  # means 3 and 2
    assert epoch(method, [1.0, 2.0]) == [[1.0, 1.0]]
    exponents = [math.exp(1 / 3 / 2), math.exp(1 / 2)]
    expected = [2 * one / sum(exponents) for one in exponents]
    for found in epoch(method, [9.0, 0.1], [0.1, 9.0]):  # no matter what this epoch's losses are
        assert found == pytest.approx(expected)
    exponents = [math.exp(4.55 / 1 / 2), math.exp(4.55 / 2 / 2)]
    expected = [2 * one / sum(exponents) for one in exponents]
    assert epoch(method, [1.0, 1.0])[0] == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_agrees_with_torchjd(temperature: float) -> None:
    """Weights are the derivatives of its scalar: rounding, over 500 random losses in 20 runs of
    epochs of 5 steps."""
    source = seeded(1)[0]
    for run in range(20):
        tasks = (1, 2, 3, 5, 20)[run % 5]
        method = optimizers.create("dwa", num_tasks=tasks, temperature=temperature)
        theirs = DWA(temperature)
        for number in range(25):
            losses = 0.1 + torch.rand(tasks, generator=source, dtype=torch.float64)
            values = losses.clone().requires_grad_()
            theirs(values).backward()
            found = method.weights(None, losses)
            torch.testing.assert_close(found, values.grad, rtol=1e-13, atol=0)
            assert float(found.sum()) == pytest.approx(tasks)
            if number % 5 == 4:
                method.end_epoch()
                theirs.step()


def test_replicas_are_separate() -> None:
    """Three runs by the formula, in one stack."""
    source = seeded(0)[0]
    method = optimizers.create("dwa", num_tasks=2)
    means = []
    for _ in range(4):
        losses = 0.1 + torch.rand(6, 3, 2, generator=source, dtype=torch.float64)
        found = [method.weights(None, one) for one in losses]
        expected = torch.ones(3, 2, dtype=torch.float64)
        if len(means) >= 2:
            exponents = (means[-1] / means[-2] / 2).exp()
            expected = 2 * exponents / exponents.sum(dim=1, keepdim=True)
        for one in found:
            torch.testing.assert_close(one, expected, rtol=1e-13, atol=0)
        means.append(losses.mean(dim=0))
        method.end_epoch()


def test_an_epoch_without_steps_does_not_count() -> None:
    method = optimizers.create("dwa", num_tasks=2)
    method.end_epoch()
    assert method.state == {}
    epoch(method, [4.0, 1.0])
    before = {name: value.clone() for name, value in method.state.items()}
    method.end_epoch()
    for name, value in before.items():
        assert torch.equal(method.state[name], value)


def test_losses_of_zero() -> None:
    """Nothing to compare with counts as no change; a loss that came from nowhere too."""
    method = optimizers.create("dwa", num_tasks=3)
    epoch(method, [0.0, 0.0, 1.0])
    epoch(method, [0.0, 2.0, 1.0])
    assert epoch(method, [0.0, 0.0, 0.0]) == [pytest.approx([1.0, 1.0, 1.0])]
    assert all(math.isfinite(one) for one in epoch(method, [0.0, 0.0, 0.0])[0])


def test_temperature_is_positive() -> None:
    with pytest.raises(InputError, match="option 'temperature' of optimizer 'dwa' is 0"):
        optimizers.create("dwa", num_tasks=2, temperature=0)
