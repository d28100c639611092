"""GradVac: fixed cases, a loop over explicit gradients, and torchjd in the same order."""

import math

import pytest
import torch
from torch import Tensor
from torchjd.aggregation import GradVacWeighting

from mtl_core import InputError, optimizers
from mtl_core.optimizers.base import Draws, Method
from mtl_core.optimizers.tools.orders import orders
from tests.optimizers.gramians import jacobian, jacobians
from tests.optimizers.measures import apart, permutations, seeded


def step(method: Method, rows: Tensor, generator: torch.Generator) -> Tensor:
    losses = torch.ones(len(rows), dtype=rows.dtype)
    return method.weights(rows @ rows.mT, losses, generator)


def at_angle(degrees: float) -> Tensor:
    """Two gradients of lengths 2 and 3."""
    angle = math.radians(degrees)
    return torch.tensor(
        [[2.0, 0.0], [3 * math.cos(angle), 3 * math.sin(angle)]], dtype=torch.float64
    )


class ByHand:
    """Algorithm 1 on the gradients themselves."""

    def __init__(self, tasks: int, beta: float) -> None:
        self.target = [[0.0] * tasks for _ in range(tasks)]
        self.beta = beta

    def step(self, rows: Tensor, order: Tensor) -> Tensor:
        total = torch.zeros_like(rows[0])
        for i, running in enumerate(rows):
            for j in order[i].tolist():
                a, b = float(running.norm()), float(rows[j].norm())
                cosine = float(running @ rows[j]) / (a * b)
                goal = self.target[i][j]
                if cosine < goal:
                    sine = math.sqrt(1 - goal**2)
                    part = a * (goal * math.sqrt(1 - cosine**2) - cosine * sine) / (b * sine)
                    running = running + part * rows[j]
                self.target[i][j] = (1 - self.beta) * goal + self.beta * cosine
            total = total + running
        return total


def test_first_step_is_pcgrad() -> None:
    """Targets start at 0: what is negative is raised to a right angle."""
    rows = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    found = step(optimizers.create("gradvac", num_tasks=2), rows, seeded(0)[0])
    torch.testing.assert_close(found, torch.tensor([2.0, 1.5], dtype=torch.float64))
    for number, rows in enumerate(jacobians(40)):
        losses = torch.ones(len(rows), dtype=torch.float64)
        vac, pc = (
            optimizers.create(name, num_tasks=len(rows)).weights(
                rows @ rows.mT, losses, seeded(number)[0]
            )
            for name in ("gradvac", "pcgrad")
        )
        assert apart(vac, pc, rows) <= 1e-7  # √ of rounding, where a gradient vanishes


def test_raises_a_positive_similarity_to_its_target() -> None:
    """After one step at 30° with β = 1, gradients at 60° are turned until they are at 30°."""
    method = optimizers.create("gradvac", num_tasks=2, beta=1.0)
    source = seeded(0)[0]
    assert step(method, at_angle(30), source).tolist() == [1.0, 1.0]
    cosine = math.cos(math.radians(30))
    expected = torch.tensor([[[0, cosine], [cosine, 0]]], dtype=torch.float64)
    torch.testing.assert_close(method.state["target"], expected)
    rows = at_angle(60)
    found = step(method, rows, source)
    # The first turned towards the second: at 30° to it, with the same distance from its line.
    share = 2 * math.sin(math.radians(30)) / math.sin(math.radians(30)) / 3
    other = 3 * math.sin(math.radians(30)) / math.sin(math.radians(30)) / 2
    expected = torch.tensor([1 + other, 1 + share], dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    for turned, towards in (
        (rows[0] + share * rows[1], rows[1]),
        (rows[1] + other * rows[0], rows[0]),
    ):
        angle = torch.nn.functional.cosine_similarity(turned, towards, dim=0)
        assert float(angle) == pytest.approx(cosine)


def test_targets_follow_cosines_by_beta() -> None:
    method = optimizers.create("gradvac", num_tasks=2, beta=0.25)
    source = seeded(0)[0]
    expected = 0.0
    for degrees in (30, 80, 120, 10):
        step(method, at_angle(degrees), source)
        expected += 0.25 * (math.cos(math.radians(degrees)) - expected)
        assert float(method.state["target"][0, 0, 1]) == pytest.approx(expected)


def test_beta_zero_is_pcgrad_forever() -> None:
    vac = optimizers.create("gradvac", num_tasks=3, beta=0)
    pc = optimizers.create("pcgrad", num_tasks=3)
    one, other, source = *seeded(1, 1), seeded(2)[0]
    for _ in range(5):
        rows = jacobian(3, 3, 1.0, source)
        torch.testing.assert_close(step(vac, rows, one), step(pc, rows, other))


def test_agrees_with_a_loop_over_gradients() -> None:
    """Over 5 steps of 40 runs with full rank, where no gradient vanishes on the way: 1e-8, since
    the angle to a vector that nearly points the same way is known to √ of rounding only."""
    source = seeded(0)[0]
    for number in range(40):
        tasks = (2, 3, 5)[number % 3]
        method = optimizers.create("gradvac", num_tasks=tasks, beta=0.3)
        theirs = ByHand(tasks, 0.3)
        mine, same = seeded(number, number)
        for _ in range(5):
            rows = jacobian(tasks, tasks, 10.0 ** (number % 7 - 3), source)
            order = orders(Draws([same], rows.new_ones(1, tasks)), tasks)[0]
            expected = theirs.step(rows, order)
            found = step(method, rows, mine)
            size = (found.abs() * rows.norm(dim=1)).sum()
            assert (found @ rows - expected).norm() <= 1e-8 * size
        state = method.state["target"][0]
        torch.testing.assert_close(state, torch.tensor(theirs.target, dtype=state.dtype))


def test_agrees_with_torchjd() -> None:
    """Of 500 Gramians, in runs of up to 5 steps, made to take the same order: 1e-9 of the update.

    Rounding of a cosine near 1 is amplified to its root in the angle, but then the turn is small.
    The 1e-8 that torchjd adds to denominators is not scale-free and is switched off. Of rank 1 the
    first step alone: there a projection leaves nothing but rounding, whose angle torchjd keeps as
    a target of later steps and we do not.
    """
    runs: dict[int, tuple[Method, GradVacWeighting]] = {}
    for number, rows in enumerate(jacobians(500)):
        tasks = len(rows)
        run = optimizers.create("gradvac", num_tasks=tasks), GradVacWeighting(eps=1e-20)
        if torch.linalg.matrix_rank(rows) > 1:
            if number % 20 < 4:
                runs[tasks] = run
            run = runs.setdefault(tasks, run)
        method, theirs = run
        order = orders(Draws(seeded(number), rows.new_ones(1, tasks)), tasks)[0]
        own = torch.arange(tasks).unsqueeze(1)
        gramian = rows @ rows.mT
        with permutations([*(order - (order > own).long())]):
            expected = theirs(gramian / gramian.trace())
        assert apart(step(method, rows, seeded(number)[0]), expected, rows) <= 1e-9


def test_a_zero_gradient_has_no_angle() -> None:
    """It turns none, is not turned, and leaves its targets alone."""
    method = optimizers.create("gradvac", num_tasks=3, beta=1.0)
    source = seeded(0)[0]
    rows = torch.cat([at_angle(30), torch.tensor([[1.0, 1.0]], dtype=torch.float64)])
    step(method, rows, source)
    before = method.state["target"].clone()
    rows[2] = 0
    assert step(method, rows, source).tolist() == pytest.approx([1.0, 1.0, 1.0])
    torch.testing.assert_close(method.state["target"], before)


def test_equal_gradients_forever() -> None:
    """Targets of 1 up to rounding must not ask for infinite turns."""
    method = optimizers.create("gradvac", num_tasks=3)
    source = seeded(0)[0]
    rows = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64) * torch.tensor([[1.0], [2], [0.1]])
    for _ in range(60):
        torch.testing.assert_close(step(method, rows, source), torch.ones(3, dtype=torch.float64))
    found = step(method, torch.eye(3, dtype=torch.float64), source)
    assert found.isfinite().all()
    assert found.max() < 1e7


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan"), "half"])
def test_beta_is_a_share(beta: object) -> None:
    with pytest.raises(InputError, match="option 'beta' of optimizer 'gradvac'"):
        optimizers.create("gradvac", num_tasks=2, beta=beta)
