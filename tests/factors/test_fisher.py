"""Fisher: against softmax regression, whose gradients have a closed form."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy, one_hot

from mtl_core import InputError
from mtl_core.errors import FactorUndefined
from mtl_core.factors import drawn_labels, empirical_fisher_trace, fisher_trace

AtOnce = Callable[[int], None]
CLASSES, WIDTH = 4, 6


def logits(params: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """Softmax regression without bias: (*L, C, F), (N, F) -> (*L, N, C)."""
    return inputs @ params["w"].mT


def loss(params: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
    inputs, targets = batch
    log_p = torch.log_softmax(logits(params, inputs), dim=-1)
    everyone = targets.expand(log_p.shape[:-1]).unsqueeze(-1)
    return -log_p.gather(-1, everyone).squeeze(-1).mean(dim=-1)


def regression(
    *lead: int, examples: int, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Weights, inputs and labels."""
    source = seeded(3)
    weights = torch.randn(*lead, CLASSES, WIDTH, generator=source, dtype=torch.float64)
    inputs = torch.randn(examples, WIDTH, generator=source, dtype=torch.float64)
    targets = torch.randint(CLASSES, (examples,), generator=source)
    return {"w": weights.to(device, dtype)}, inputs.to(device, dtype), targets.to(device)


def seeded(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def exact_trace(params: dict[str, Tensor], inputs: Tensor) -> float:
    """E ||x||² (1 − ||p||²)."""
    p = logits(params, inputs).softmax(dim=-1)
    return float((inputs.square().sum(-1) * (1 - p.square().sum(-1))).mean())


# --- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_softmax_regression(batch_size: int, at_once: AtOnce) -> None:
    """The mean of 200 measurements, within 4 of its standard errors, of the trace / batch size."""
    at_once(2**28)
    params, inputs, _ = regression(examples=64)
    found = np.array(
        [
            float(fisher_trace(logits, params, inputs, batch_size=batch_size, generator=seeded(s)))
            for s in range(200)
        ]
    )
    error = found.std(ddof=1) / math.sqrt(len(found))
    expected = exact_trace(params, inputs) / batch_size
    assert abs(found.mean() - expected) < 4 * error
    assert error < 0.03 * expected


def test_many_samples_are_a_mean_of_draws(at_once: AtOnce) -> None:
    at_once(2**28)
    params, inputs, _ = regression(examples=64)
    found = float(fisher_trace(logits, params, inputs, samples=800, generator=seeded(0)))
    alone = [
        float(fisher_trace(logits, params, inputs, generator=seeded(s))) for s in range(1, 101)
    ]
    spread = float(np.std(alone, ddof=1))
    expected = exact_trace(params, inputs) / 16  # ... and 16 is the batch size by default
    assert abs(found - expected) < 4 * spread / math.sqrt(800)


def test_labels_of_a_certain_model_cost_nothing() -> None:
    """Where p is 0 or 1, so is what is drawn, and gradients vanish."""
    params, inputs, _ = regression(examples=32)
    sure = {"w": 1e4 * params["w"]}
    assert float(fisher_trace(logits, sure, inputs, generator=seeded(0))) == 0


def test_it_is_the_empirical_trace_of_the_labels_it_draws() -> None:
    """The generator's numbers go to batches, draws and examples in this order."""
    params, inputs, _ = regression(examples=40, dtype=torch.float64)
    found = float(
        fisher_trace(logits, params, inputs, batch_size=8, samples=3, generator=seeded(5))
    )
    numbers = torch.rand((5, 3, 8), generator=seeded(5))
    log_p = torch.log_softmax(logits(params, inputs), dim=-1)
    each = []
    for draw in range(3):
        labels = drawn_labels(log_p, numbers[:, draw].flatten())
        each.append(float(empirical_fisher_trace(loss, params, inputs, labels, batch_size=8)))
    assert found == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_empirical_trace(batch_size: int, dtype: torch.dtype, device: str) -> None:
    """Mean ||mean_x (p − onehot(y)) xᵀ||², which for single examples is ||x||² ||p − onehot(y)||².

    1e-5: floats have 6e-8 each.
    """
    params, inputs, targets = regression(examples=50, dtype=dtype, device=device)
    found = empirical_fisher_trace(loss, params, inputs, targets, batch_size=batch_size)
    assert found.shape == ()
    assert (found.dtype, found.device.type) == (dtype, device)
    params, inputs, targets = regression(examples=50, dtype=torch.float64)
    residual = logits(params, inputs).softmax(dim=-1) - one_hot(targets, CLASSES)
    if batch_size == 1:
        expected = (inputs.square().sum(-1) * residual.square().sum(-1)).mean()
    else:
        gradients = torch.einsum("nc,nf->ncf", residual, inputs)[:48].view(3, 16, CLASSES, WIDTH)
        expected = gradients.mean(dim=1).square().sum(dim=(1, 2)).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_batch_that_is_not_full_is_left_out() -> None:
    params, inputs, targets = regression(examples=47)
    for examples in (32, 33, 47):
        some, labels = inputs[:examples], targets[:examples]
        assert torch.equal(
            fisher_trace(logits, params, some, generator=seeded(1)),
            fisher_trace(logits, params, inputs[:32], generator=seeded(1)),
        )
        assert torch.equal(
            empirical_fisher_trace(loss, params, some, labels),
            empirical_fisher_trace(loss, params, inputs[:32], targets[:32]),
        )


def test_the_generator_decides() -> None:
    params, inputs, _ = regression(examples=64)
    one, two, other = (
        fisher_trace(logits, params, inputs, generator=seeded(seed)) for seed in (7, 7, 8)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    before = torch.get_rng_state()
    fisher_trace(logits, params, inputs, generator=seeded(7))
    assert torch.equal(torch.get_rng_state(), before)
    # Without one, PyTorch's own.
    torch.manual_seed(7)
    assert torch.equal(fisher_trace(logits, params, inputs), one)


# --- replicas and batches ---------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(1,), (4,), (2, 3)])
@pytest.mark.parametrize("numbers", [0, 2**28])
def test_replicas_are_given_the_same_numbers(
    lead: tuple[int, ...], numbers: int, device: str, at_once: AtOnce
) -> None:
    """Stacked equals one by one, and CUDA the CPU: 1e-9 in double precision, where sums differ."""
    at_once(numbers)
    params, inputs, targets = regression(*lead, examples=70, dtype=torch.float64, device=device)
    sampled = fisher_trace(logits, params, inputs, samples=2, generator=seeded(1))
    true = empirical_fisher_trace(loss, params, inputs, targets)
    assert sampled.shape == true.shape == lead
    weights, inputs, targets = regression(*lead, examples=70, dtype=torch.float64)
    for index in np.ndindex(lead):
        own = {"w": weights["w"][index]}
        alone = fisher_trace(logits, own, inputs, samples=2, generator=seeded(1))
        assert float(sampled[index]) == pytest.approx(float(alone), rel=1e-9)
        alone = empirical_fisher_trace(loss, own, inputs, targets)
        assert float(true[index]) == pytest.approx(float(alone), rel=1e-9)


@pytest.mark.parametrize("numbers", [0, 24, 24 * 2, 24 * 3, 2**28])
def test_batches_side_by_side(numbers: int, at_once: AtOnce) -> None:
    """One, two, three at once, or all: 24 numbers are the parameters of a batch."""
    params, inputs, targets = regression(examples=70, dtype=torch.float64)
    expected = fisher_trace(logits, params, inputs, batch_size=7, samples=2, generator=seeded(1))
    true = empirical_fisher_trace(loss, params, inputs, targets, batch_size=7)
    at_once(numbers)
    found = fisher_trace(logits, params, inputs, batch_size=7, samples=2, generator=seeded(1))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    found = empirical_fisher_trace(loss, params, inputs, targets, batch_size=7)
    torch.testing.assert_close(found, true, rtol=1e-12, atol=0)


# --- labels -----------------------------------------------------------------------------------


def test_labels_have_the_model_s_frequencies() -> None:
    """χ² of three degrees of freedom is above 16.3 once in a thousand."""
    p = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.97, 0.01, 0.01, 0.01]])
    count = 20_000
    uniform = torch.rand(count, 2, generator=seeded(0))
    labels = drawn_labels(p.log().expand(count, 2, 4), uniform)
    assert labels.shape == (count, 2)
    for row in range(2):
        seen = torch.bincount(labels[:, row], minlength=4)
        expected = count * p[row]
        assert float(((seen - expected).square() / expected).sum()) < 16.3


def test_labels_invert_the_distribution() -> None:
    log_p = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64).log()
    uniform = torch.tensor([0, 0.2, 0.2499, 0.2501, 0.5, 0.7499, 0.7501, 0.99])
    assert drawn_labels(log_p.expand(8, 3), uniform).tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sure", range(4))
def test_a_label_of_probability_1_is_the_only_one(sure: int, dtype: torch.dtype) -> None:
    log_p = torch.full((4,), -math.inf, dtype=dtype)
    log_p[sure] = 0
    uniform = torch.tensor([0, 1e-30, 0.5, 1 - 2**-24])
    assert drawn_labels(log_p.expand(4, 4), uniform).tolist() == [sure] * 4


def test_an_impossible_label_is_never_drawn() -> None:
    """Not by the largest number either, where rounded probabilities add up to less than 1."""
    source = seeded(0)
    scores = torch.randn(5_000, 9, generator=source)
    scores[:, [0, 8]] = -math.inf
    log_p = torch.log_softmax(scores, dim=-1)
    for number in (0.0, 1 - 2**-24):
        labels = drawn_labels(log_p, torch.full((5_000,), number))
        assert bool(torch.isfinite(log_p.gather(1, labels.unsqueeze(1))).all())
        assert labels.unique().tolist() == ([1] if number == 0 else [7])


# --- what cannot be measured ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 16}, "15 examples are fewer than a batch of 16"),
        ({"batch_size": 0}, "batch_size 0 must be at least 1"),
        ({"batch_size": -2}, "batch_size -2 must be at least 1"),
        ({"batch_size": 4, "samples": 0}, "samples 0 must be at least 1"),
    ],
)
def test_impossible_sizes(options: dict[str, Any], message: str) -> None:
    params, inputs, targets = regression(examples=15)
    with pytest.raises(InputError, match=message):
        fisher_trace(logits, params, inputs, **options)
    if "samples" not in options:
        with pytest.raises(InputError, match=message):
            empirical_fisher_trace(loss, params, inputs, targets, **options)


def test_no_parameters() -> None:
    _, inputs, targets = regression(examples=16)
    with pytest.raises(InputError, match="no shared parameters"):
        fisher_trace(logits, {}, inputs)
    with pytest.raises(InputError, match="no shared parameters"):
        empirical_fisher_trace(loss, {}, inputs, targets)


@pytest.mark.parametrize("numbers", [0, 2**28])
def test_a_replica_that_is_not_finite(numbers: int, at_once: AtOnce) -> None:
    """The others keep their values."""
    at_once(numbers)
    params, inputs, targets = regression(3, examples=40)
    good = fisher_trace(logits, params, inputs, generator=seeded(0))
    true = empirical_fisher_trace(loss, params, inputs, targets)
    params["w"][1, 0, 0] = math.nan
    with pytest.raises(FactorUndefined, match="Fisher trace is not finite") as caught:
        fisher_trace(logits, params, inputs, generator=seeded(0))
    assert torch.isfinite(caught.value.values).tolist() == [True, False, True]
    torch.testing.assert_close(caught.value.values[[0, 2]], good[[0, 2]])
    with pytest.raises(FactorUndefined, match="empirical Fisher trace is not finite") as caught:
        empirical_fisher_trace(loss, params, inputs, targets)
    assert torch.isfinite(caught.value.values).tolist() == [True, False, True]
    torch.testing.assert_close(caught.value.values[[0, 2]], true[[0, 2]])


def test_the_loss_here_is_cross_entropy() -> None:
    params, inputs, targets = regression(examples=9)
    expected = cross_entropy(logits(params, inputs), targets)
    torch.testing.assert_close(loss(params, (inputs, targets)), expected)
