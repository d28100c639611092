"""PCGrad: fixed cases, a loop over explicit gradients, and torchjd in the same order."""

import statistics
import time

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import PCGradWeighting

from mtl_core import optimizers
from mtl_core.optimizers.base import Draws
from mtl_core.optimizers.tools.orders import orders
from tests.optimizers.gramians import jacobian, jacobians
from tests.optimizers.measures import apart, permutations, seeded


def weights(rows: Tensor, seed: int = 0) -> Tensor:
    method = optimizers.create("pcgrad", num_tasks=len(rows))
    losses = torch.ones(len(rows), dtype=rows.dtype)
    return method.weights(rows @ rows.mT, losses, seeded(seed)[0])


def drawn(tasks: int, seed: int) -> Tensor:
    """(K, K − 1): the order that the method draws with this seed."""
    like = torch.ones(1, tasks, dtype=torch.float64)
    return orders(Draws(seeded(seed), like), tasks)[0]


def by_hand(rows: Tensor, order: Tensor) -> Tensor:
    """(K, P): Algorithm 1 on the gradients themselves, before the sum."""
    found = []
    for i, running in enumerate(rows):
        for j in order[i].tolist():
            inner = running @ rows[j]
            if inner < 0:
                running = running - inner / (rows[j] @ rows[j]) * rows[j]
        found.append(running)
    return torch.stack(found)


def test_two_in_conflict() -> None:
    """g₁ = (1, 0), g₂ = (−1, 1): each loses its part along the other."""
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    # g₁ + ½ g₂ = (½, ½); g₂ + 1 g₁ = (0, 1)
    assert weights(rows).tolist() == [2.0, 1.5]
    assert (weights(rows) @ rows).tolist() == [0.5, 1.5]


def test_two_that_agree_are_summed() -> None:
    rows = torch.tensor([[1.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    assert weights(rows).tolist() == [1.0, 1.0]


def test_opposite_gradients_vanish() -> None:
    rows = torch.tensor([[1.0, 2.0], [-3.0, -6.0]], dtype=torch.float64)
    assert (weights(rows) @ rows).abs().max() < 1e-15


def test_projections_are_of_the_original_gradients() -> None:
    """Three in the plane, where the outcome depends on the order."""
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0], [-1.0, -2.0]], dtype=torch.float64)
    # (1, 0) becomes (½, ½) along g₂, which meets g₃ with −1½: (0.2, −0.1). The other way round it
    # becomes (0.8, −0.4), which meets g₂ with −1.2: (0.2, 0.2).
    first = {(1, 2): [0.2, -0.1], (2, 1): [0.2, 0.2]}
    met = set()
    for seed in range(10):
        order = drawn(3, seed)
        separate = by_hand(rows, order)
        met.add(tuple(order[0].tolist()))
        expected = torch.tensor(first[tuple(order[0].tolist())], dtype=torch.float64)
        torch.testing.assert_close(separate[0], expected)
        torch.testing.assert_close(weights(rows, seed) @ rows, separate.sum(dim=0))
    assert met == set(first)


def test_agrees_with_a_loop_over_gradients() -> None:
    """Of 100 Jacobians. Differences are rounding of at most K − 1 projections: 1e-13."""
    for number, rows in enumerate(jacobians(100)):
        expected = by_hand(rows, drawn(len(rows), number)).sum(dim=0)
        size = rows.norm(dim=1).sum()
        assert (weights(rows, number) @ rows - expected).norm() <= 1e-13 * size


def test_agrees_with_torchjd() -> None:
    """Of 500 Gramians, made to take the same order. The arithmetic is the same: 1e-13 of the
    update, K − 1 roundings in sums of K."""
    theirs = PCGradWeighting()
    for number, rows in enumerate(jacobians(500)):
        own = torch.arange(len(rows)).unsqueeze(1)
        with permutations([*torch.cat([own, drawn(len(rows), number)], dim=1)]):
            expected = theirs(rows @ rows.mT)
        assert apart(weights(rows, number), expected, rows) <= 1e-13


def test_every_order_is_equally_likely() -> None:
    """Of 6 orders of 3 others, in 4 rows of 6000 replicas each: within 5 standard errors."""
    like = torch.ones(6000, 4)
    found = orders(Draws(seeded(0), like), 4)
    for i, own in enumerate(found.unbind(dim=1)):
        assert not (own == i).any()
        kinds, counts = own.unique(dim=0, return_counts=True)
        assert len(kinds) == 6
        assert (counts - 1000).abs().max() <= 5 * (6000 * 5 / 36) ** 0.5
    first, second = (found[:, i].eq(torch.tensor([2, 3, 1 - i])).all(dim=1) for i in (0, 1))
    both = (first & second).sum()  # orders of different tasks are independent
    assert abs(both - 6000 / 36) <= 5 * (6000 / 36) ** 0.5


def test_two_tasks_need_no_draw() -> None:
    generator = seeded(3)[0]
    before = generator.get_state()
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    method = optimizers.create("pcgrad", num_tasks=2)
    method.weights(rows @ rows.mT, torch.ones(2, dtype=torch.float64), generator)
    assert torch.equal(generator.get_state(), before)


def test_a_gradient_that_rounding_made_conflict_with_zero() -> None:
    """An inner product that is not 0 with a square that is: nothing to project on."""
    for gramian in ([[1.0, -1e-300], [-1e-300, 0.0]], [[4.0, 0, -1e-9], [0, 1, 0], [-1e-9, 0, 0]]):
        tensor = torch.tensor(gramian, dtype=torch.float64)
        method = optimizers.create("pcgrad", num_tasks=len(gramian))
        found = method.weights(tensor, torch.ones(len(gramian), dtype=torch.float64))
        assert found.isfinite().all()
        torch.testing.assert_close(found, torch.ones_like(found))


@pytest.mark.parametrize("tasks", [2, 20])
def test_is_faster_than_a_loop_over_torchjd(tasks: int) -> None:
    """64 stacked Gramians, one thread: over 20 times on a quiet machine, over 5 on any."""
    rows = torch.stack([jacobian(tasks, tasks, 1.0, seeded(i)[0]) for i in range(64)])
    gramians, losses = rows @ rows.mT, torch.ones(64, tasks, dtype=torch.float64)
    method, theirs = optimizers.create("pcgrad", num_tasks=tasks), PCGradWeighting()
    ratios = []
    for _ in range(3):
        start = time.perf_counter()
        method.weights(gramians, losses)
        middle = time.perf_counter()
        for gramian in gramians[:16]:
            theirs(gramian)
        ratios.append(4 * (time.perf_counter() - middle) / (middle - start))
    assert statistics.median(ratios) > 5
