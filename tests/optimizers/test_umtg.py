"""UMTG: every task gradient counts fully."""

import pytest
import torch

from mtl_core import optimizers


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 2), (2, 1, 5), (0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_ones(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    method = optimizers.create("umtg", num_tasks=shape[-1])
    assert method.constant
    assert not method.needs_gramian
    losses = torch.rand(shape, dtype=dtype)
    for gramian in (None, torch.rand(*shape, shape[-1], dtype=dtype)):
        weights = method.weights(gramian, losses)
        torch.testing.assert_close(weights, torch.ones(shape, dtype=dtype), rtol=0, atol=0)


def test_update_is_the_sum_of_task_gradients() -> None:
    gradients = torch.tensor([[1.0, -2.0], [3.0, 5.0], [0.5, 0.0]])
    weights = optimizers.create("umtg", num_tasks=3).weights(
        gradients @ gradients.mT, torch.tensor([9.0, 0.1, 2.0])
    )
    assert (weights @ gradients).tolist() == [4.5, 3.0]
