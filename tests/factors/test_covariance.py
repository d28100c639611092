"""Gradient covariance: against the covariance of gradients that are known one by one."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtl_core import InputError
from mtl_core.errors import FactorUndefined
from mtl_core.factors import covariance_trace, gradient_covariance_trace

AtOnce = Callable[[int], None]
Array = NDArray[np.float64]


def linear(params: dict[str, Tensor], batch: tuple[Tensor, ...]) -> Tensor:
    """Mean of x·w: an example's gradient is the example. (*L, P), (B, P) -> (*L)."""
    return (params["w"].unsqueeze(-2) * batch[0]).sum(dim=-1).mean(dim=-1)


def softmax(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy of softmax regression. (*L, C, F), (B, F) -> (*L)."""
    log_p = torch.log_softmax(batch[0] @ params["w"].mT, dim=-1)
    everyone = batch[1].expand(log_p.shape[:-1]).unsqueeze(-1)
    return -log_p.gather(-1, everyone).squeeze(-1).mean(dim=-1)


def population_trace(gradients: Array) -> float:
    """Mean squared distance from the mean, over N and not N − 1 (M24 Eq. 4)."""
    return float(np.square(gradients - gradients.mean(axis=0)).sum(axis=1).mean())


def regression(
    *lead: int, examples: int, dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weights, inputs and labels."""
    source = torch.Generator().manual_seed(3)
    weights = torch.randn(*lead, 4, 6, generator=source, dtype=torch.float64)
    inputs = torch.randn(examples, 6, generator=source, dtype=torch.float64)
    targets = torch.randint(4, (examples,), generator=source)
    return {"w": weights.to(device, dtype)}, inputs.to(device, dtype), targets.to(device)


# --- the mean over draws ----------------------------------------------------------------------


@pytest.mark.parametrize(("batches", "size"), [(2, 1), (2, 2), (4, 1), (5, 1)])
def test_the_mean_over_all_draws_is_exact(batches: int, size: int) -> None:
    """Of five examples, in every order: the finite-population factors leave no bias, and the
    covariance is the one that divides by N."""
    examples = np.random.default_rng(0).normal(size=(5, 3)) + 2
    params = {"w": torch.zeros(3, dtype=torch.float64)}
    found = []
    for order in itertools.permutations(range(5)):
        drawn = torch.tensor(examples[list(order[: batches * size])])
        parts = [(part, part) for part in drawn.split(size)]
        found.append(float(gradient_covariance_trace(linear, params, parts, dataset_size=5)))
    assert np.mean(found) == pytest.approx(population_trace(examples), rel=1e-12)


@pytest.mark.parametrize(("batches", "size"), [(4, 16), (2, 32), (64, 1), (4, 4), (3, 16), (2, 1)])
def test_the_mean_over_2000_draws(batches: int, size: int) -> None:
    """Within 2 % of the exact trace, of 64 examples; where all are drawn, A_L is 0.

    Each draw is a replica with the same weights and its own batches.
    """
    params, inputs, targets = regression(examples=64)
    residual = torch.softmax(inputs @ params["w"].mT, dim=-1)
    residual[torch.arange(64), targets] -= 1
    gradients = torch.einsum("nc,nf->ncf", residual, inputs).flatten(1)
    rng = np.random.default_rng(0)
    draws = 2_000 if batches > 2 else 10_000  # two gradients leave more to chance
    order = np.stack([rng.permutation(64)[: batches * size] for _ in range(draws)])

    def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        """Of batches (B, draws, F)."""
        log_p = torch.log_softmax(torch.einsum("dcf,bdf->bdc", params["w"], batch[0]), dim=-1)
        return -log_p.gather(-1, batch[1].unsqueeze(-1)).squeeze(-1).mean(dim=0)

    drawn = torch.from_numpy(order.T).split(size)
    found = gradient_covariance_trace(
        loss,
        {"w": params["w"].expand(draws, 4, 6)},
        [(inputs[part], targets[part]) for part in drawn],
        dataset_size=64,
    ).numpy()
    exact = population_trace(gradients.numpy())
    assert found.shape == (draws,)
    assert found.std() / math.sqrt(draws) < 0.0075 * exact
    assert found.mean() == pytest.approx(exact, rel=0.02)


# --- one draw ---------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [0, 30, 2**28])
@pytest.mark.parametrize("dataset_size", [12, 13, 2048])
def test_linear_loss(dataset_size: int, numbers: int, at_once: AtOnce, device: str) -> None:
    """Eq. 13 from gradients that are the examples themselves."""
    at_once(numbers)
    examples = np.random.default_rng(1).normal(size=(3, 4, 10)) + 1
    means = examples.mean(axis=1)
    small = np.square(means).sum(axis=1).mean()
    large = np.square(means.mean(axis=0)).sum()
    factor = [(dataset_size - z) / (dataset_size - 1) / z for z in (4, 12)]
    params = {"w": torch.ones(10, dtype=torch.float64, device=device)}
    parts = [(part, part) for part in torch.tensor(examples, device=device)]
    found = gradient_covariance_trace(linear, params, parts, dataset_size=dataset_size)
    assert found.shape == ()
    assert (found.dtype, found.device.type) == (torch.float64, device)
    assert float(found) == pytest.approx((small - large) / (factor[0] - factor[1]), rel=1e-12)
    if dataset_size == 12:
        assert factor[1] == 0


def test_from_squares_and_a_mean() -> None:
    """The arithmetic alone: (10 − 4) / (8/9 / 2 − 4/9 / 6) of 10 examples, 3 batches of 2."""
    found = covariance_trace(
        torch.tensor(10.0), torch.tensor([2.0, 0.0]), batches=3, batch_size=2, dataset_size=10
    )
    assert found.dtype == torch.float64
    assert float(found) == pytest.approx(6 / (8 / 18 - 4 / 54), rel=1e-12)


def test_no_draw_is_negative() -> None:
    """A mean's square is at most the mean square, so no draw can be; equal gradients give 0."""
    ones = torch.ones(4, 3, dtype=torch.float64)
    params = {"w": torch.ones(3, dtype=torch.float64)}
    found = gradient_covariance_trace(linear, params, [(ones, ones)] * 3, dataset_size=12)
    assert float(found) == 0


def test_parameters_together_are_one_vector() -> None:
    """Their traces add up."""
    params, inputs, targets = regression(examples=30)
    parts = list(zip(inputs.split(10), targets.split(10), strict=True))
    whole = gradient_covariance_trace(softmax, params, parts, dataset_size=40)
    rows = 0.0
    for row in range(4):

        def loss(own: dict[str, Tensor], batch: Any, row: int = row) -> Tensor:
            weights = [own["w"] if i == row else params["w"][i] for i in range(4)]
            return softmax({"w": torch.stack(weights)}, batch)

        own = {"w": params["w"][row]}
        rows += float(gradient_covariance_trace(loss, own, parts, dataset_size=40))
    assert float(whole) == pytest.approx(rows, rel=1e-9)


# --- replicas and batches ---------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(1,), (4,), (2, 3)])
@pytest.mark.parametrize("numbers", [0, 2**28])
def test_replicas_are_measured_on_their_own(
    lead: tuple[int, ...], numbers: int, device: str, at_once: AtOnce
) -> None:
    """Stacked equals one by one, and CUDA the CPU: 1e-9 in double precision, where sums differ."""
    at_once(numbers)
    params, inputs, targets = regression(*lead, examples=40, device=device)
    parts = list(zip(inputs.split(8), targets.split(8), strict=True))
    found = gradient_covariance_trace(softmax, params, parts, dataset_size=50)
    assert found.shape == lead
    weights, inputs, targets = regression(*lead, examples=40)
    parts = list(zip(inputs.split(8), targets.split(8), strict=True))
    for index in np.ndindex(lead):
        own = {"w": weights["w"][index]}
        alone = gradient_covariance_trace(softmax, own, parts, dataset_size=50)
        assert float(found[index]) == pytest.approx(float(alone), rel=1e-9)


def test_floats_lose_little(device: str) -> None:
    """Norms are summed in double precision: 1e-5 off at most."""
    values = []
    for dtype in (torch.float32, torch.float64):
        params, inputs, targets = regression(examples=64, dtype=dtype, device=device)
        parts = list(zip(inputs.split(16), targets.split(16), strict=True))
        found = gradient_covariance_trace(softmax, params, parts, dataset_size=64)
        assert found.dtype == dtype
        values.append(float(found))
    assert values[0] == pytest.approx(values[1], rel=1e-5)


# --- what cannot be measured ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "dataset_size", "message"),
    [
        ([], 10, r"not 0 of the sizes \[\]"),
        ([4], 10, r"not 1 of the sizes \[4\]"),
        ([4, 3], 10, r"not 2 of the sizes \[3, 4\]"),
        ([4, 4, 2], 10, r"not 3 of the sizes \[2, 4\]"),
        ([4, 4, 4], 11, "3 batches of 4 examples cannot be drawn from 11"),
        ([0, 0], 10, "2 batches of 0 examples cannot be drawn from 10"),
        ([1, 1], 1, "2 batches of 1 examples cannot be drawn from 1"),
        ([1, 1], -5, "2 batches of 1 examples cannot be drawn from -5"),
    ],
)
def test_impossible_batches(sizes: list[int], dataset_size: int, message: str) -> None:
    parts = [(torch.ones(size, 3), torch.ones(size)) for size in sizes]
    with pytest.raises(InputError, match=message):
        gradient_covariance_trace(linear, {"w": torch.ones(3)}, parts, dataset_size=dataset_size)


def test_no_parameters() -> None:
    parts = [(torch.ones(2, 3), torch.ones(2))] * 2
    with pytest.raises(InputError, match="no shared parameters"):
        gradient_covariance_trace(linear, {}, parts, dataset_size=4)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("numbers", [0, 2**28])
def test_a_replica_that_is_not_finite(bad: float, numbers: int, at_once: AtOnce) -> None:
    """The others keep their values."""
    at_once(numbers)
    params, inputs, targets = regression(3, examples=40)
    parts = list(zip(inputs.split(8), targets.split(8), strict=True))
    good = gradient_covariance_trace(softmax, params, parts, dataset_size=50)
    params["w"][1, 2, 3] = bad
    with pytest.raises(FactorUndefined, match="gradient covariance is not finite") as caught:
        gradient_covariance_trace(softmax, params, parts, dataset_size=50)
    assert torch.isfinite(caught.value.values).tolist() == [True, False, True]
    torch.testing.assert_close(caught.value.values[[0, 2]], good[[0, 2]])
