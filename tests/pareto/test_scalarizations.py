import math

import pytest
import torch

from mtl_core import InputError
from mtl_core.pareto import scalarizations

LOSSES = torch.tensor([[0.2, 0.9], [1.9, 0.1]], dtype=torch.float64)
PREFERENCES = torch.tensor([[0.8, 0.2], [0.5, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "values", "weights"),
    [
        ("weighted_sum", [0.34, 1.0], [[0.8, 0.2], [0.5, 0.5]]),
        # .8 · .2 = .16 < .2 · .9 = .18, and .5 · 1.9 = .95 > .5 · .1
        ("tchebycheff", [0.18, 0.95], [[0.0, 0.2], [0.5, 0.0]]),
    ],
)
def test_by_hand(name: str, values: list[float], weights: list[list[float]]) -> None:
    found = scalarizations.get(name)
    assert found.value(LOSSES, PREFERENCES, 0.05).tolist() == pytest.approx(values)
    torch.testing.assert_close(
        found.weights(LOSSES, PREFERENCES, 0.05), torch.tensor(weights, dtype=torch.float64)
    )


def test_the_smooth_one_by_hand() -> None:
    found = scalarizations.get("smooth_tchebycheff")
    value = 0.01 * math.log(math.exp(16) + math.exp(18))
    assert found.value(LOSSES, PREFERENCES, 0.01)[0].item() == pytest.approx(value)
    share = 1 / (1 + math.exp(2))
    assert found.weights(LOSSES, PREFERENCES, 0.01)[0].tolist() == pytest.approx(
        [0.8 * share, 0.2 * (1 - share)]
    )


@pytest.mark.parametrize("name", scalarizations.names())
def test_weights_are_the_derivative(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(4, 50, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(50, 3, generator=generator, dtype=torch.float64)
    preferences = weights / weights.sum(dim=-1, keepdim=True)
    found = scalarizations.get(name)
    value = found.value(losses, preferences, 0.05)
    (expected,) = torch.autograd.grad(value.sum(), losses)
    assert value.shape == (4, 50)
    torch.testing.assert_close(
        found.weights(losses.detach(), preferences, 0.05), expected, rtol=1e-9, atol=1e-12
    )


def test_the_smooth_one_is_above_by_at_most_mu_log_k() -> None:
    generator = torch.Generator().manual_seed(1)
    losses = torch.rand(200, 3, generator=generator, dtype=torch.float64)
    preferences = torch.full((200, 3), 1 / 3, dtype=torch.float64)
    hard = scalarizations.get("tchebycheff").value(losses, preferences, 0.0)
    smooth = scalarizations.get("smooth_tchebycheff").value(losses, preferences, 0.02)
    assert (smooth >= hard).all()
    assert (smooth <= hard + 0.02 * math.log(3) + 1e-12).all()


def test_an_unknown_one_is_named() -> None:
    with pytest.raises(InputError, match="unknown scalarization 'chebyshev'"):
        scalarizations.get("chebyshev")
