"""What holds for every method, the ones that are added later too."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch
from torch import Generator, Tensor

from mtl_core import optimizers
from mtl_core.optimizers.base import Method
from tests.optimizers.gramians import SCALES, jacobian
from tests.optimizers.measures import seeded

NAMES = optimizers.names()
RANDOM = [name for name in NAMES if optimizers.rule(name).random]
WEIGHTINGS = [name for name in NAMES if optimizers.rule(name).weights is not None]

ITERATIVE = {"mgda", "cagrad", "nash_mtl", "upgrad", "fairgrad"}
"""Solved to a tolerance: 1e-6 of the update; the others are exact up to rounding."""

LEARNS_LOSSES = {
    "uncertainty": "its weights tend to ½ / L",
    "imtl_l": "its weights tend to 1 / L",
}
"""Methods of which only the first step's weights do not depend on the scale of losses, and why."""

NO_CONFLICT = {"mgda", "upgrad", "nash_mtl", "fairgrad"}
"""Methods whose update no task objects to: Gw ≥ 0."""


def tolerance(name: str) -> float:
    return 1e-6 if name in ITERATIVE else 1e-9


def power(name: str) -> float:
    """p, where gradients × c multiply the weights by c^p, and so the update's length by c^(1+p)."""
    if name == "nash_mtl":
        return -1.0  # the update's length is √K
    if name == "fairgrad":
        alpha = optimizers.create(name, num_tasks=2).options["alpha"]
        assert isinstance(alpha, float)
        return -2 * alpha / (1 + alpha)  # of (Gw)_k = w_k^(−1/α)
    return 0.0


@dataclass
class Run:
    """A method in a run: every step tells it the outcome, and every second one ends an epoch."""

    method: Method
    generators: Generator | Sequence[Generator]
    steps: int = 0
    weights: list[Tensor] = field(default_factory=list)

    def step(self, rows: Tensor, losses: Tensor) -> Tensor:
        """(..., K, P), (..., K) -> (..., P)"""
        if self.method.needs_jacobian:
            update = self.method.update(rows, losses, self.generators)
        else:
            weights = self.method.weights(rows @ rows.mT, losses, self.generators)
            update = (weights.unsqueeze(-2) @ rows).squeeze(-2)
            self.weights.append(weights)
        share = (losses / losses.sum(dim=-1, keepdim=True)).nan_to_num(0.0)
        self.method.observe(losses * (0.5 + 0.4 * share))
        self.steps += 1
        if self.steps % 2 == 0:
            self.method.end_epoch()
        return update


def run(name: str, tasks: int, *seeds: int, **options: object) -> Run:
    generators = seeded(*(seeds or (0,)))
    method = optimizers.create(name, num_tasks=tasks, **options)
    return Run(method, generators if len(generators) > 1 else generators[0])


def case(tasks: int, number: int = 0, rank: int | None = None, scale: float = 1.0) -> list[Tensor]:
    """Gradients, (K, P), and losses, (K,)."""
    source = seeded(1000 + 10 * number + tasks)[0]
    rows = jacobian(tasks, rank or tasks, scale, source)
    return [rows, 0.5 + torch.rand(tasks, generator=source, dtype=torch.float64)]


def close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return bool((found - expected).norm() <= tolerance * expected.norm())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in RANDOM])
def test_the_order_of_tasks_does_not_matter(name: str) -> None:
    """Over runs of five steps."""
    for tasks in (2, 3, 5):
        order = torch.randperm(tasks, generator=seeded(tasks)[0])
        plain, permuted = run(name, tasks), run(name, tasks)
        for step in range(5):
            rows, losses = case(tasks, step)
            found = permuted.step(rows[order], losses[order])
            assert close(found, plain.step(rows, losses), tolerance(name))


@pytest.mark.parametrize("name", [name for name in RANDOM if name != "rlw"])
def test_the_order_of_two_tasks_does_not_matter_to_random_methods(name: str) -> None:
    """PCGrad and GradVac have a single order then, and GradDrop's draw is all tasks'."""
    for number in range(10):
        plain, permuted = run(name, 2), run(name, 2)
        for step in range(3):
            rows, losses = case(2, 10 * number + step)
            assert close(
                permuted.step(rows.flip(0), losses.flip(0)), plain.step(rows, losses), 1e-9
            )


@pytest.mark.parametrize("name", RANDOM)
def test_the_order_of_tasks_does_not_matter_in_distribution(name: str) -> None:
    """Means of 4000 updates within 5 standard errors, in each coordinate."""
    rows, losses = case(3, 4)
    order = torch.tensor([2, 0, 1])
    many = rows.expand(4000, -1, -1), losses.expand(4000, -1)
    plain = run(name, 3, 0).step(*many)
    permuted = run(name, 3, 1).step(many[0][:, order], many[1][:, order])
    error = ((plain.var(dim=0) + permuted.var(dim=0)) / 4000).sqrt()
    difference = (plain.mean(dim=0) - permuted.mean(dim=0)).abs()
    assert (difference <= 5 * error + 1e-9).all()


@pytest.mark.parametrize("scale", SCALES[:2] + SCALES[3:])
@pytest.mark.parametrize("name", NAMES)
def test_longer_gradients(name: str, scale: float) -> None:
    """The update's length goes with c^(1 + p), and its direction stays.

    Over three steps. GradNorm's Adam adds its ε of 1e-8 to gradient lengths: steps of its weights
    become shorter where those are not far above it.
    """
    near = 1e-8 / scale if name == "gradnorm" else 0.0
    for tasks in (2, 3):
        plain, scaled = run(name, tasks), run(name, tasks)
        for step in range(3):
            rows, losses = case(tasks, step)
            expected = plain.step(rows, losses) * scale ** (1 + power(name))
            assert close(scaled.step(rows * scale, losses), expected, max(near, tolerance(name)))


@pytest.mark.parametrize("name", NAMES)
def test_larger_losses(name: str) -> None:
    """Losses × 1000, with gradients as they are: the same update, but for methods that learn the
    scale of losses, and then in the first step."""
    for tasks in (2, 3):
        plain, scaled = run(name, tasks), run(name, tasks)
        for step in range(1 if name in LEARNS_LOSSES else 5):
            rows, losses = case(tasks, step)
            expected = plain.step(rows, losses)
            # FAMO adds 1e-8 to losses of 0.5 and more.
            assert close(scaled.step(rows, losses * 1000), expected, max(tolerance(name), 1e-6))


@pytest.mark.parametrize("name", sorted(LEARNS_LOSSES))
def test_methods_that_learn_the_losses_scale_do(name: str) -> None:
    plain, scaled = run(name, 2), run(name, 2)
    for step in range(5):
        rows, losses = case(2, step)
        one, other = plain.step(rows, losses), scaled.step(rows, losses * 1000)
    assert not close(one, other, 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_match_sum_has_the_length_of_the_sum(name: str) -> None:
    for number in range(5):
        for tasks in (1, 2, 3, 5):
            plain, matched = run(name, tasks), run(name, tasks, scale="match_sum")
            rows, losses = case(tasks, number)
            raw, found = plain.step(rows, losses), matched.step(rows, losses)
            assert float(found.norm()) == pytest.approx(float(rows.sum(dim=0).norm()), rel=1e-9)
            assert close(found / found.norm(), raw / raw.norm(), 1e-9)


@pytest.mark.parametrize("name", sorted(NO_CONFLICT & set(NAMES)))
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_no_task_objects(name: str, tasks: int) -> None:
    """To first order no loss rises: ⟨update, g_k⟩ ≥ 0, to 1e-6 of their lengths.

    Of MGDA and UPGrad for any gradients. The others maximise a product that has no maximum where
    gradients depend on each other.
    """
    for number in range(20):
        dependent = number % 2 == 1 and name in ("mgda", "upgrad")
        rows, losses = case(tasks, number, rank=max(1, tasks - 1) if dependent else None)
        one = run(name, tasks)
        update = one.step(rows, losses)
        size = (one.weights[0].abs() * rows.norm(dim=1)).sum()
        assert (rows @ update >= -1e-6 * size * rows.norm(dim=1)).all()


def test_no_task_of_two_objects_to_pcgrad() -> None:
    for number in range(50):
        rows, losses = case(2, number)
        update = run("pcgrad", 2).step(rows, losses)
        assert (rows @ update >= -1e-12 * rows.norm() ** 2).all()


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_task_without_gradient_does_not_silence_the_others(
    name: str, tasks: int, lost: int
) -> None:
    """Nor make anything infinite; whether its loss is 0 too or not, over four steps."""
    for loss in (0.0, 1.0):
        one = run(name, tasks)
        for step in range(4):
            rows, losses = case(tasks, step)
            rows[lost], losses[lost] = 0, loss
            update = one.step(rows, losses)
            assert update.isfinite().all()
            assert update.norm() > 1e-3 * rows.norm(dim=1)[rows.norm(dim=1) > 0].min()
            for weights in one.weights[-1:]:
                assert weights.isfinite().all()


@pytest.mark.parametrize("scale", ["raw", "match_sum"])
@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_no_gradients_at_all(name: str, tasks: int, scale: str) -> None:
    one = run(name, tasks, scale=scale)
    rows = torch.zeros(tasks, 4, dtype=torch.float64)
    for losses in (torch.ones(tasks), torch.zeros(tasks), torch.zeros(tasks), torch.ones(tasks)):
        assert one.step(rows, losses.double()).tolist() == [0.0] * 4
        for weights in one.weights:
            assert weights.isfinite().all()


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("name", NAMES)
def test_equal_gradients_give_their_direction(name: str, tasks: int) -> None:
    gradient = case(1, 7)[0][0]
    one = run(name, tasks)
    for step in range(4):
        update = one.step(gradient.expand(tasks, -1), case(tasks, step)[1])
        assert close(update / update.norm(), gradient / gradient.norm(), tolerance(name))


@pytest.mark.parametrize("name", NAMES)
def test_losses_of_1e6_beside_1e_minus_6(name: str) -> None:
    """With gradients of these sizes, as a loss in other units has them."""
    one = run(name, 2)
    for step in range(4):
        rows, _ = case(2, step)
        sizes = torch.tensor([1e6, 1e-6], dtype=torch.float64)
        update = one.step(rows * sizes[:, None], sizes * (1 - 0.1 * step))
        assert update.isfinite().all()
        assert update.norm() > 0


@pytest.mark.parametrize("scale", ["raw", "match_sum"])
@pytest.mark.parametrize("name", NAMES)
def test_opposite_gradients(name: str, scale: str) -> None:
    """Of one length and with equal losses: nothing prefers one of them, but for a draw."""
    gradient = case(1, 7)[0][0]
    rows = torch.stack([gradient, -gradient])
    one = run(name, 2, scale=scale)
    losses = torch.ones(2, dtype=torch.float64)
    update = one.step(rows, losses)
    assert update.isfinite().all()
    if name not in ("rlw", "graddrop"):
        assert update.norm() <= 1e-6 * gradient.norm()
    for step in range(3):
        assert one.step(rows * (1 + step), case(2, step)[1]).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_a_single_task(name: str) -> None:
    one, matched = run(name, 1), run(name, 1, scale="match_sum")
    for step in range(4):
        rows, losses = case(1, step)
        update = one.step(rows, losses)
        assert update.isfinite().all()
        assert update @ rows[0] > 0
        torch.testing.assert_close(matched.step(rows, losses), rows[0])


@pytest.mark.parametrize("tasks", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_stacked_replicas_move_as_separate_ones(name: str, tasks: int) -> None:
    """Over 5 steps with state, in any leading shape, with a generator for each replica."""
    together, alone = run(name, tasks, *range(4)), [run(name, tasks, seed) for seed in range(4)]
    for step in range(5):
        cases = [case(tasks, 7 * step + i, scale=10.0**i) for i in range(4)]
        rows, losses = (torch.stack(part) for part in zip(*cases, strict=True))
        found = together.step(rows.view(2, 2, tasks, -1), losses.view(2, 2, tasks))
        assert found.shape == (2, 2, rows.shape[-1])
        for one, own, update in zip(alone, cases, found.flatten(0, 1), strict=True):
            assert close(update, one.step(*own), 1e-9)
    for key, value in together.method.state.items():
        assert value.dtype in (torch.float64, torch.int64, torch.bool), key
        assert len(value) == 4, key
        separate = torch.cat([one.method.state[key] for one in alone])
        torch.testing.assert_close(value, separate, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_reset_starts_afresh(name: str) -> None:
    """With the method's own generator, too."""
    method = optimizers.create(name, num_tasks=3)
    first = []
    for _ in range(2):
        one = Run(method, generators=None)  # type: ignore[arg-type]
        first.append(torch.stack([one.step(*case(3, step)) for step in range(5)]))
        method.reset()
        assert method.state == {}
    assert torch.equal(*first)


@pytest.mark.parametrize("name", NAMES)
def test_state_resumes_a_run(name: str) -> None:
    """A copy of the state is all that another method needs; and runs do not share it."""
    one = run(name, 3, 5)
    for step in range(3):
        one.step(*case(3, step))
    other = run(name, 3, 5)
    other.method.state = {key: value.clone() for key, value in one.method.state.items()}
    assert isinstance(one.generators, Generator)
    assert isinstance(other.generators, Generator)
    other.generators.set_state(one.generators.get_state())
    other.steps = one.steps
    for step in range(3, 6):
        assert torch.equal(other.step(*case(3, step)), one.step(*case(3, step)))


@pytest.mark.parametrize("name", NAMES)
def test_a_kept_state_is_not_changed_by_later_steps(name: str) -> None:
    """It is saved while the run goes on."""
    one = run(name, 3)
    for step in range(3):
        one.step(*case(3, step))
    kept = dict(one.method.state)
    copies = {key: value.clone() for key, value in kept.items()}
    for step in range(3, 6):
        one.step(*case(3, step))
    for key, value in kept.items():
        assert torch.equal(value, copies[key]), key


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_stays_in_its_replica(name: str, bad: float) -> None:
    """Its weights, or an update's coordinates, are NaN; the others' are as without it."""
    together, alone = run(name, 3, 0, 1), run(name, 3, 1)
    for step in range(4):
        cases = [case(3, 10 * step + i) for i in range(2)]
        rows, losses = (torch.stack(part) for part in zip(*cases, strict=True))
        if step in (1, 2):
            rows[0, 1, 0] = bad
        update = together.step(rows, losses)
        assert close(update[1], alone.step(*cases[1]), 1e-9)
        if step not in (1, 2):
            assert step == 3 or update[0].isfinite().all()
        elif optimizers.rule(name).needs_gramian:
            assert together.weights[-1][0].isnan().all()
        elif name == "graddrop":
            assert not update[0, 0].isfinite()


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_losses_that_are_not_finite_give_no_weights(name: str) -> None:
    one = run(name, 2)
    rows = torch.stack([case(2)[0]] * 2)
    losses = torch.tensor([[1.0, float("nan")], [1.0, 2.0]], dtype=torch.float64)
    one.step(rows, losses)
    assert one.weights[0][0].isnan().all()
    assert one.weights[0][1].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_no_replicas(name: str) -> None:
    one = run(name, 3)
    update = one.step(torch.zeros(0, 3, 4), torch.zeros(0, 3))
    assert update.shape == (0, 4)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_float32_in_float32_out(name: str) -> None:
    """Computed in float64 all the same: near to what float64 input gives."""
    rows, losses = case(3)
    found = run(name, 3).step(rows.float(), losses.float())
    assert found.dtype == torch.float32
    assert close(found.double(), run(name, 3).step(rows, losses), 1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_global_generator_is_left_alone(name: str) -> None:
    before = torch.get_rng_state()
    one = Run(optimizers.create(name, num_tasks=3), generators=None)  # type: ignore[arg-type]
    one.step(*case(3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_is(name: str) -> None:
    """Title, one sentence, source; and whether it draws, by whether the generator moves."""
    rule = optimizers.rule(name)
    assert rule.title
    assert rule.source
    texts = [rule.about, *(option.about for option in rule.options)]
    for text in [*texts, *filter(None, [rule.same_as_sum])]:
        assert text.endswith(".")
        assert text == text.strip()
    one = run(name, 3)
    assert isinstance(one.generators, Generator)
    before = one.generators.get_state()
    one.step(*case(3))
    assert torch.equal(one.generators.get_state(), before) != rule.random
    assert rule.constant <= (not one.method.state and not rule.random)
