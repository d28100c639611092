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


HARD = [
    [[1.0, 0.0], [0.0, 0.0]],
    [[0.0, 0.0], [0.0, 1.0]],
    [[0.0, 0.0], [0.0, 0.0]],
    [[1.0, 1.0], [1.0, 1.0]],
    [[1.0, -1.0], [-1.0, 1.0]],
    [[4.0, 2.0], [2.0, 1.0]],
    [[4.0, -2.0], [-2.0, 1.0]],
    [[1.0, 0.0], [0.0, 1.0]],
    [[1.0, 0.3], [0.3, 1.0]],
    [[1e-44, 0.0], [0.0, 1.0]],
    [[1e-200, 1e-201], [1e-201, 1e-200]],
    [[1e12, -1.0], [-1.0, 1e-9]],
]
"""Gramians of gradients that are 0, equal, opposite, along each other or far apart in length."""


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("mgda", "cagrad", "nash_mtl", "imtl_g", "aligned_mtl", "upgrad")),
        *(("mgda", {"normalization": kind}) for kind in ("l2", "loss", "loss+")),
        *(("cagrad", {"c": c}) for c in (0.0, 0.05, 0.99)),
        ("nash_mtl", {"max_norm": 0.0}),
        ("mgda", {"scale": "match_sum"}),
    ],
)
def test_on_the_device_they_give_the_same_numbers(name: str, options: dict[str, object]) -> None:
    """All at once and without the host, the same formulas to the last bits; NaN where theirs is."""
    generator = torch.Generator().manual_seed(1)
    rows = [jacobian(2, 1 + i % 2, SCALES[i % len(SCALES)], generator) for i in range(60)]
    for i, length in enumerate((1e-12, 1e-5, 1e5)):
        rows[i][0] *= length
    gramians = torch.stack([row @ row.mT for row in rows])
    gramians = torch.cat([gramians, torch.tensor(HARD, dtype=torch.float64)])
    gramians = torch.cat([gramians, gramians[:1] * torch.nan])
    losses = torch.rand(len(gramians), 2, dtype=torch.float64, generator=generator)
    losses[0] = 0
    static, plain = (optimizers.create(name, num_tasks=2, **options) for _ in range(2))
    assert static.on_host == ""
    static.static = True
    expected = plain.weights(gramians, losses)
    assert expected[:-1].isfinite().all()
    found = static.weights(gramians, losses)
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0, equal_nan=True)
    in_float32 = [one.weights(gramians.float(), losses.float()) for one in (static, plain)]
    torch.testing.assert_close(in_float32[0], in_float32[1], rtol=1e-6, atol=0, equal_nan=True)
