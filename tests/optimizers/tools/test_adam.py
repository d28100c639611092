"""The Adam of methods that learn numbers of their own is torch's."""

import pytest
import torch

from mtl_core.optimizers.tools.adam import adam


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_torchs(weight_decay: float) -> None:
    """To rounding: 1e-13 of values around 1, over 50 steps."""
    source = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, generator=source, dtype=torch.float64)
    parameter = start.clone().requires_grad_()
    theirs = torch.optim.Adam([parameter], lr=0.025, weight_decay=weight_decay)
    state = {"x": start}
    for _ in range(50):
        gradient = torch.randn(2, 3, generator=source, dtype=torch.float64)
        parameter.grad = gradient
        theirs.step()
        adam(state, "x", gradient, lr=0.025, weight_decay=weight_decay)
        torch.testing.assert_close(state["x"], parameter.detach(), rtol=0, atol=1e-13)
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        "x": (2, 3),
        "x_mean": (2, 3),
        "x_square": (2, 3),
        "x_steps": (2, 1),
    }


def test_earlier_values_are_left_alone() -> None:
    """Weights that were handed out must not change when the state moves on."""
    before = torch.ones(1, 2, dtype=torch.float64)
    state = {"x": before}
    adam(state, "x", torch.ones(1, 2, dtype=torch.float64), lr=0.5)
    assert before.tolist() == [[1.0, 1.0]]
    assert state["x"][0].tolist() == pytest.approx([0.5, 0.5])


def test_no_gradient_is_no_step() -> None:
    state = {"x": torch.ones(1, 2, dtype=torch.float64)}
    adam(state, "x", torch.tensor([[0.0, 1.0]], dtype=torch.float64), lr=0.1)
    assert state["x"][0, 0] == 1.0
