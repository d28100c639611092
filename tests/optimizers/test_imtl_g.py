"""IMTL-G: fixed cases, equal projections, and torchjd."""

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import IMTLGWeighting

from mtl_core import optimizers
from tests.optimizers.gramians import SCALES, jacobian, jacobians
from tests.optimizers.measures import seeded


def weights(rows: Tensor) -> Tensor:
    method = optimizers.create("imtl_g", num_tasks=len(rows))
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


def test_orthogonal_gradients_weigh_inversely_to_their_length() -> None:
    rows = torch.tensor([[3.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(weights(rows), torch.tensor([0.25, 0.75], dtype=torch.float64))


def test_weights_may_be_negative() -> None:
    """g₁ = (1, 0, 0), g₂ = (0, 1, 0) and g₃ = (1, 1, 0.1): the last is nearly their bisector.

    Gα ∝ d with d = (1, 1, √2.01) is solved by α₃ = 100 (√2.01 − 2) and α₁ = α₂ = 1 − α₃.
    """
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 0.1]], dtype=torch.float64)
    third = 100 * (2.01**0.5 - 2)
    expected = torch.tensor([1 - third, 1 - third, third], dtype=torch.float64)
    torch.testing.assert_close(weights(rows), expected / expected.sum())
    assert expected.min() < 0


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_projections_are_equal(tasks: int, scale: float) -> None:
    """Of independent gradients, to rounding times the Gramian's condition: 1e-9 of the longest."""
    rows = jacobian(tasks, tasks, scale, seeded(tasks)[0])
    found = weights(rows)
    assert float(found.sum()) == pytest.approx(1)
    along = (found @ rows) @ rows.mT / rows.norm(dim=1)
    size = (found.abs() * rows.norm(dim=1)).sum()
    assert along.max() - along.min() <= 1e-9 * size


def test_agrees_with_torchjd() -> None:
    """On weights of those of 500 Gramians that are of independent gradients.

    It solves with G⁺, so that they differ by rounding times what that amplifies: the condition of
    G, and the cancellation in Σα. Of dependent gradients its least squares are of projections times
    lengths, and so mostly of the longest gradient's.
    """
    theirs, compared = IMTLGWeighting(), 0
    for rows in jacobians(500):
        gramian = rows @ rows.mT
        values = torch.linalg.eigvalsh(gramian)
        if values[0] <= 1e-14 * len(rows) * values[-1]:
            continue
        compared += 1
        expected, found = theirs(gramian), weights(rows)
        amplified = float(values[-1] / values[0] * expected.abs().sum())
        assert (found - expected).abs().sum() <= 1e-13 * amplified * expected.abs().sum()
    assert compared > 100


def test_a_short_gradient_is_not_taken_for_none() -> None:
    """Float32: the lengths of the second case are those of step 217 of digits1 with noisy_digits,
    whose training loss rose twentyfold there when the short gradient weighed 0."""
    for shortest, longest, expected in (
        (1e-3, 1.0, [0.999001, 0.000999]),
        (0.005937, 3.951, [0.9985, 0.0015]),
    ):
        for extra in (0, 1):  # the closed form, and with a zero gradient the general one
            method = optimizers.create("imtl_g", num_tasks=2 + extra)
            lengths = torch.tensor([shortest, longest, 0.0][: 2 + extra])
            found = method.weights(torch.diag(lengths.square()), torch.ones(2 + extra))
            wanted = torch.tensor([*expected, 0.0][: 2 + extra])
            torch.testing.assert_close(found, wanted, rtol=0, atol=5e-5 if longest > 1 else 5e-7)


@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e-6])
def test_dependent_gradients_project_as_evenly_as_can_be(ratio: float) -> None:
    """Least squares of the unit gradients' projections, Cβ ∝ C⁺C1, at any lengths."""
    rows = jacobian(5, 3, 1.0, seeded(3)[0])
    units = rows / rows.norm(dim=1, keepdim=True)
    lengths = torch.logspace(0, 1, 5, ratio, dtype=torch.float64)
    along = units @ (weights(units * lengths.unsqueeze(1)) @ (units * lengths.unsqueeze(1)))
    cosines = units @ units.mT
    even = cosines @ torch.linalg.pinv(cosines, rtol=1e-12) @ torch.ones(5, dtype=torch.float64)
    torch.testing.assert_close(along / along.norm(), even / even.norm() * along.sum().sign())


def test_where_projections_can_only_be_0_weights_are_inverse_to_lengths() -> None:
    """Opposite gradients, and three at 120° in a plane, of any lengths: the update is 0."""
    third = 3**0.5 / 2
    for rows in ([[1.0, 0.0], [-1.0, 0.0]], [[1.0, 0.0], [-0.5, third], [-0.5, -third]]):
        units = torch.tensor(rows, dtype=torch.float64)
        lengths = torch.tensor([1e-3, 1.0, 20.0], dtype=torch.float64)[: len(units)]
        for kind in (torch.float32, torch.float64):
            found = weights((units * lengths.unsqueeze(1)).to(kind)).double()
            expected = 1 / lengths / (1 / lengths).sum()
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_a_zero_gradient_changes_nothing_for_the_others() -> None:
    rows = jacobian(4, 4, 1.0, seeded(0)[0])
    alone = weights(rows[1:])
    rows[0] = 0
    torch.testing.assert_close(weights(rows)[1:], alone)
    assert weights(rows)[0] == 0


def test_without_weights_that_sum_to_one_it_is_the_mean() -> None:
    rows = torch.tensor([[1.0, 2.0], [-1.0, -2.0]], dtype=torch.float64)
    assert weights(rows).tolist() == [0.5, 0.5]
    assert weights(torch.zeros(3, 2, dtype=torch.float64)).tolist() == pytest.approx([1 / 3] * 3)


def test_zeros_are_those_of_the_gramians_type() -> None:
    """Dependent float32 gradients: what rounding leaves of G's zeros is not inverted."""
    mix = torch.randn(3, 2, generator=seeded(1)[0])
    base = torch.randn(2, 20_000, generator=seeded(2)[0])
    rows = mix @ base
    single, double = weights(rows), weights(mix.double() @ base.double())
    torch.testing.assert_close(single.double(), double, rtol=1e-3, atol=1e-4)
