"""GradDrop: fixed cases, probabilities, and torchjd."""

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import GradDrop

from mtl_core import InputError, optimizers
from tests.optimizers.gramians import jacobians
from tests.optimizers.measures import seeded


def update(rows: Tensor, seed: int = 0, **options: float) -> Tensor:
    method = optimizers.create("graddrop", num_tasks=rows.shape[-2], **options)
    assert method.needs_jacobian
    assert not method.needs_gramian
    return method.update(rows, rows.new_ones(rows.shape[:-1]), seeded(seed)[0])


def test_where_signs_agree_it_is_the_sum() -> None:
    rows = torch.tensor([[1.0, -2.0, 0.0], [3.0, -1.0, 0.0]], dtype=torch.float64)
    for seed in range(20):
        assert update(rows, seed).tolist() == [4.0, -3.0, 0.0]


def test_one_sign_is_kept_with_its_share_as_probability() -> None:
    """4000 coordinates with 3 and −1 among three tasks: 3 in ¾ of them, within 5 errors."""
    column = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64)
    found = update(column.expand(-1, 4000))
    values, counts = found.unique(return_counts=True)
    assert values.tolist() == [-1.0, 3.0]
    assert abs(int(counts[1]) - 3000) < 5 * (4000 * 3 / 16) ** 0.5


def test_leak_adds_a_share_of_what_was_dropped() -> None:
    rows = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64).expand(-1, 50)
    pure, leaking = update(rows), update(rows, leak=0.25)
    expected = torch.where(pure > 0, 3 - 0.25, -1 + 0.25 * 3)
    torch.testing.assert_close(leaking, expected.double())
    torch.testing.assert_close(update(rows, leak=1), rows.sum(dim=0))


@pytest.mark.parametrize("leak", [0.0, 0.3])
def test_agrees_with_torchjd(leak: float) -> None:
    """Of 500 Jacobians, with the same draws: rounding of sums of K numbers, 1e-14 of them."""
    for number, rows in enumerate(jacobians(500)):
        with torch.random.fork_rng():
            torch.manual_seed(number)
            expected = GradDrop(leak=rows.new_full((len(rows),), leak))(rows)
        difference = (update(rows, number, leak=leak) - expected).abs()
        assert (difference <= 1e-14 * rows.abs().sum(dim=0)).all()


def test_stacked_replicas_and_their_types() -> None:
    rows = torch.randn(2, 3, 4, 5, generator=seeded(0)[0])
    found = update(rows)
    assert found.shape == (2, 3, 5)
    assert found.dtype == torch.float32
    total = rows.sum(dim=2)
    positive, negative = rows.clamp_min(0).sum(dim=2), rows.clamp_max(0).sum(dim=2)
    assert (torch.isclose(found, positive) | torch.isclose(found, negative)).all()
    assert not torch.allclose(found, total)


def test_is_no_weighting() -> None:
    method = optimizers.create("graddrop", num_tasks=2)
    with pytest.raises(InputError, match="'graddrop' is not a weighting"):
        method.weights(torch.eye(2), torch.ones(2))


@pytest.mark.parametrize("leak", [-0.1, 1.5])
def test_leak_is_a_share(leak: float) -> None:
    with pytest.raises(InputError, match="option 'leak' of optimizer 'graddrop'"):
        optimizers.create("graddrop", num_tasks=2, leak=leak)
