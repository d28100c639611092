"""UPGrad: fixed cases, scipy's projections, and torchjd."""

import pytest
import torch
from scipy.optimize import nnls
from torch import Tensor
from torchjd.aggregation import UPGradWeighting
from torchjd.linalg import QuadprogProjector

from mtl_core import optimizers
from tests.optimizers.gramians import jacobians
from tests.optimizers.measures import apart


def weights(rows: Tensor) -> Tensor:
    method = optimizers.create("upgrad", num_tasks=len(rows))
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


def projected(rows: Tensor) -> Tensor:
    """The mean of scipy's projections of each gradient on the cone where no task objects.

    A vector minus its projection is a combination of gradients with weights below 0.
    """
    lengths = rows.norm(dim=1, keepdim=True)
    units = rows / lengths
    total = torch.zeros_like(rows[0])
    for row, length in zip(units, lengths, strict=True):
        added, _ = nnls(units.mT.numpy(), -row.numpy(), maxiter=1000)
        total += length * (row + torch.from_numpy(added) @ units)
    return total / len(rows)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1.0, 0.0], [1.0, 1.0]], [1 / 2, 1 / 2]),  # no conflict
        ([[1.0, 0.0], [-1.0, 2.0]], [1 / 2 + 1 / 2, 1 / 2 + 1 / 10]),
        ([[1.0, 0.0], [-1.0, 0.0]], [1, 1]),  # opposite: each projection is 0
        ([[1.0, 2.0]] * 3, [1 / 3] * 3),
        ([[1.0, 0.0, 0.0], [-1.0, 2.0, 0.0], [0.0, 0.0, 3.0]], [2 / 3, 2 / 5, 1 / 3]),
    ],
)
def test_known_projections(rows: list[list[float]], expected: list[float]) -> None:
    found = weights(torch.tensor(rows, dtype=torch.float64))
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_is_exactly_the_mean_without_conflict(tasks: int) -> None:
    rows = torch.rand(tasks, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert weights(rows).tolist() == [1 / tasks] * tasks


def test_no_task_objects_and_it_is_the_projections_mean() -> None:
    """Of 500 Gramians: to 1e-10 of the lengths that are added up, which may be 100 times those of
    the gradients where these are nearly opposite."""
    for rows in jacobians(500):
        found = weights(rows)
        size = float((found * rows.norm(dim=1)).sum())
        assert (found >= 1 / len(rows)).all()
        assert float((found @ rows - projected(rows)).norm()) <= 1e-10 * size
        assert (rows @ (found @ rows) >= -1e-10 * size * rows.norm(dim=1)).all()


def test_agrees_with_torchjd() -> None:
    """On the update of 500 Gramians. torchjd adds 1e-4 to the diagonal of a Gramian of trace 1, and
    takes traces below 1e-4 for 0; with 1e-11 and a Gramian divided by its trace it is near to exact
    projections to about the root of that: 1e-5 of the lengths that are added up."""
    theirs = UPGradWeighting(projector=QuadprogProjector(norm_eps=1e-6, reg_eps=1e-11))
    for rows in jacobians(500):
        expected = theirs(rows @ rows.mT / rows.square().sum())
        assert apart(weights(rows), expected, rows) <= 1e-5


def test_tasks_without_gradient_leave_the_others_alone() -> None:
    """Each projection is as without them, and the mean's K stays."""
    for rows in jacobians(40, seed=1):
        alone = weights(rows[1:])
        rows[0] = 0
        found = weights(rows)
        assert float(found[0]) == 1 / len(rows)
        size = (alone * rows[1:].norm(dim=1)).sum()
        difference = found[1:] * len(rows) - alone * (len(rows) - 1)
        assert (difference @ rows[1:]).norm() <= 1e-9 * size * len(rows)
        assert weights(0 * rows).tolist() == [1 / len(rows)] * len(rows)


def test_gramians_of_float32_gradients() -> None:
    for rows in jacobians(100, seed=3):
        rows = (rows / rows.norm()).float()
        assert apart(weights(rows).double(), weights(rows.double()), rows.double()) <= 1e-2
