"""Closed forms for two tasks give what the solvers do."""

import pytest
import torch
from torch import Tensor

from mtl_core import optimizers
from tests.optimizers.gramians import SCALES, jacobian
from tests.optimizers.measures import apart


def weights(name: str, rows: Tensor) -> Tensor:
    method = optimizers.create(name, num_tasks=len(rows))
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


@pytest.mark.parametrize(
    ("name", "share"),
    [("mgda", 1.0), ("cagrad", 2 / 3), ("nash_mtl", 1.0), ("fairgrad", 1.0), ("upgrad", 2 / 3)],
)
def test_a_third_task_without_gradient_changes_nothing(name: str, share: float) -> None:
    """But the K of means. It makes the solvers be used; the updates are as near as rounding allows
    where gradients are nearly opposite, which is 1e-8 of the lengths that are added up."""
    generator = torch.Generator().manual_seed(0)
    for number in range(100):
        rows = jacobian(2, 2, SCALES[number % len(SCALES)], generator)
        expected = share * weights(name, rows)
        third = torch.cat([rows, torch.zeros_like(rows[:1])])
        assert apart(weights(name, third)[:2], expected, rows) <= 1e-8


@pytest.mark.parametrize("name", ["mgda", "cagrad", "nash_mtl", "fairgrad", "upgrad"])
@pytest.mark.parametrize("tasks", [2, 3])
def test_lengths_far_apart(name: str, tasks: int) -> None:
    """Weights are finite, in float32 too, and a gradient too short for that counts as 0."""
    rows = torch.eye(tasks, 4, dtype=torch.float64)
    for length in (1e-15, 1e-25, 1e-150, 0.0):
        rows[0] = length * (rows[1] + 2)
        found = weights(name, rows)
        assert found.float().isfinite().all()
        if length < 1e-20:
            rows[0] = 0
            torch.testing.assert_close(found, weights(name, rows))


@pytest.mark.parametrize("name", ["mgda", "cagrad", "nash_mtl", "fairgrad", "upgrad"])
@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_extreme_scales(name: str, tasks: int, scale: float) -> None:
    """The update's direction is that of gradients of ordinary lengths."""
    rows = jacobian(tasks, tasks, 1.0, torch.Generator().manual_seed(tasks))
    expected, found = (weights(name, c * rows) @ (c * rows) for c in (1.0, scale))
    torch.testing.assert_close(found / found.norm(), expected / expected.norm())
