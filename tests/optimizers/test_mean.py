"""mean: UMTG divided by the number of tasks."""

import pytest
import torch

from mtl_core import optimizers


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 2), (2, 1, 5), (0, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_one_over_k(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    method = optimizers.create("mean", num_tasks=shape[-1])
    assert method.constant
    assert not method.needs_gramian
    losses = torch.rand(shape, dtype=dtype)
    weights = method.weights(torch.rand(*shape, shape[-1], dtype=dtype), losses)
    expected = torch.full(shape, 1 / shape[-1], dtype=dtype)
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)


def test_update_is_the_mean_of_task_gradients() -> None:
    gradients = torch.tensor([[1.0, -2.0], [3.0, 6.0]])
    weights = optimizers.create("mean", num_tasks=2).weights(None, torch.tensor([9.0, 0.1]))
    assert (weights @ gradients).tolist() == [2.0, 2.0]


def test_weights_are_umtgs_over_k() -> None:
    losses = torch.rand(2, 3, 4)
    mean, umtg = (optimizers.create(name, num_tasks=4) for name in ("mean", "umtg"))
    torch.testing.assert_close(4 * mean.weights(None, losses), umtg.weights(None, losses))
