"""CAGrad: fixed cases, its two bounds on the worst-off task's progress, and torchjd."""

import math

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import CAGradWeighting

from mtl_core import InputError, optimizers
from tests.optimizers.gramians import jacobians


def weights(rows: Tensor, c: float = 0.5) -> Tensor:
    method = optimizers.create("cagrad", num_tasks=len(rows), c=c)
    return method.weights(rows @ rows.mT, torch.ones(len(rows), dtype=rows.dtype))


def check(rows: Tensor, c: float) -> tuple[Tensor, Tensor, float]:
    """The update, the mean gradient, and the worst-off task's progress; the update lies in the ball
    and no other there has more progress.

    For any w on the simplex, bᵀw + c‖g_0‖‖g_w‖ with b = Jg_0 bounds that progress from above. The
    two meet to 1e-10 of the sizes involved.
    """
    found = weights(rows, c)
    update, mean = found @ rows, rows.mean(dim=0)
    radius = c * float(mean.norm())
    assert float((update - mean).norm()) <= radius * (1 + 1e-9)
    w = found - 1 / len(rows)
    assert (w >= 0).all()
    w = w / w.sum()
    bound = float((w @ rows) @ mean + radius * (w @ rows).norm())
    progress = float((rows @ update).min())
    size = float((w * rows.norm(dim=1)).sum() + rows.norm(dim=1).min()) * float(mean.norm())
    assert bound - progress <= 1e-10 * size
    return update, mean, progress


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_c_of_0_is_exactly_the_mean(tasks: int) -> None:
    rows = torch.randn(tasks, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert weights(rows, c=0).tolist() == [1 / tasks] * tasks


@pytest.mark.parametrize(
    ("rows", "c", "expected"),
    [
        ([[2.0, 0.0]], 0.5, [3.0, 0.0]),  # one task: as far as the ball goes
        ([[2.0, 0.0], [2.0, 0.0]], 0.5, [3.0, 0.0]),
        ([[2.0, 0.0]] * 3, 0.25, [2.5, 0.0]),
        ([[1.0, 0.0], [0.0, 1.0]], 0.5, [0.75, 0.75]),
        ([[1.0, 0.0], [-1.0, 0.0]], 0.5, [0.0, 0.0]),  # opposite: the mean is 0
        # Opposite, and the longer one leads: the shorter loses as little as the ball allows.
        ([[3.0, 0.0], [-1.0, 0.0]], 0.5, [0.5, 0.0]),
        ([[1.0], [100.0], [49.0]], 0.5, [75.0]),
        # A third task turns the mean; along x the first two are equally far from 0.
        ([[1.0, 1.0], [-1.0, 1.0], [0.0, 4.0]], 0.5, [0.0, 3.0]),
    ],
)
def test_known_updates(rows: list[list[float]], c: float, expected: list[float]) -> None:
    gradients = torch.tensor(rows, dtype=torch.float64)
    found = weights(gradients, c) @ gradients
    torch.testing.assert_close(
        found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("c", [1e-3, 0.1, 0.5, 0.9, 0.999])
def test_nothing_in_the_ball_serves_the_worst_off_task_better(c: float) -> None:
    for rows in jacobians(100, seed=int(1000 * c)):
        check(rows, c)


def test_agrees_with_torchjd() -> None:
    """On 500 Gramians, divided by their trace since torchjd returns zeros for short gradients.

    Its solver stops at a relative 1e-8 of the objective, and so at about the root of that, 1e-4, of
    the update: this is how near they are. The worst-off task has no less progress than there.
    """
    theirs = CAGradWeighting(c=0.5, norm_eps=1e-9)
    for rows in jacobians(500):
        rows = rows / rows.norm()
        update, mean, progress = check(rows, 0.5)
        other = theirs(rows @ rows.mT) @ rows
        assert float((update - other).norm()) <= 1e-3 * float(mean.norm())
        assert progress >= float((rows @ other).min()) - 1e-7 * float(mean.norm())


def test_where_no_update_serves_all_tasks() -> None:
    """Two tasks are opposite, and the third wants up: up it goes, and no farther than the mean.

    With the third leaning to the first one, the mean does too; the nearest update that the
    second does not object to goes straight up.
    """
    for lean in (0.0, 0.5):
        rows = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [lean, 1.0]], dtype=torch.float64)
        found = weights(rows)
        torch.testing.assert_close(
            found @ rows, torch.tensor([0.0, 1 / 3], dtype=torch.float64), rtol=0, atol=1e-9
        )
        assert (found <= 1).all()


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_the_worst_off_task_is_one_with_a_gradient(tasks: int) -> None:
    """Its weight stays 1/K; the others' are those of their own ball around the mean of all."""
    generator = torch.Generator().manual_seed(tasks)
    rows = torch.randn(tasks, 7, generator=generator, dtype=torch.float64)
    rows[0] = 0
    found = weights(rows)
    assert float(found[0]) == pytest.approx(1 / tasks, abs=1e-12)
    expected = weights(rows[1:])
    torch.testing.assert_close(found[1:], expected * (tasks - 1) / tasks)
    assert weights(0 * rows).tolist() == pytest.approx([1 / tasks] * tasks)


def test_gramians_of_float32_gradients() -> None:
    """Finite, in the ball, and near to the exact one: the length of the mean, and of g_w, are known
    to the root of float32's rounding."""
    for rows in jacobians(100, seed=3):
        rows = (rows / rows.norm()).float()
        exact = rows.double()
        found = weights(rows).double() @ exact
        mean = exact.mean(dim=0)
        limit = 2e-3 * float(exact.norm(dim=1).max())
        assert float((found - mean).norm()) <= 0.5 * float(mean.norm()) + limit
        progress = float((exact @ (weights(exact) @ exact)).min())
        assert float((exact @ found).min()) >= progress - limit * float(exact.norm())


@pytest.mark.parametrize("c", [-0.1, 1.0, math.inf, "0.5"])
def test_c_is_out_of_range(c: object) -> None:
    with pytest.raises(InputError, match="option 'c' of optimizer 'cagrad'"):
        optimizers.create("cagrad", num_tasks=2, c=c)
