"""Every method solves what defines it to 1e-9, however far apart the gradients' lengths are.

K of 2, 3, 5 and 20, lengths from 1 : 1 to 1 : 1e-6, Gramians in float32 and float64; checked in
numbers of 50 digits against the Gramian's entries exactly as the method gets them.
"""

from collections.abc import Iterator

import pytest
import torch
from mpmath import mpf, sqrt
from torch import Generator, Tensor

from mtl_core import optimizers
from mtl_core.optimizers import gradvac, upgrad
from mtl_core.optimizers.base import Draws, Method
from mtl_core.optimizers.tools.orders import orders
from tests.optimizers import exact
from tests.optimizers.exact import apart, gramian_of, numbers
from tests.optimizers.gramians import KS

RATIOS = (1.0, 1e-2, 1e-4, 1e-6)
KINDS = (torch.float32, torch.float64)
LIMIT = 1e-9

cases = pytest.mark.parametrize(
    ("tasks", "ratio", "kind"),
    [
        pytest.param(tasks, ratio, kind, id=f"{tasks}-{ratio:g}-{str(kind)[6:]}")
        for tasks in KS
        for ratio in RATIOS
        for kind in KINDS
    ],
)


def spread(tasks: int, ratio: float, seed: int) -> Tensor:
    """(K,) from 1 down to ``ratio`` in equal factors, in some order."""
    order = torch.randperm(tasks, generator=Generator().manual_seed(seed))
    return torch.logspace(0, 1, tasks, ratio, dtype=torch.float64)[order]


def jacobian(tasks: int, ratio: float, seed: int) -> Tensor:
    """(K, K + 3) gradients along small whole numbers, brought to lengths 1 to ``ratio``.

    Of seed 0 about half of all pairs conflict; of seed 1 few do; of seed 2 there is a convex
    combination that nearly vanishes.
    """
    source = Generator().manual_seed(tasks)
    rows = torch.randint(-4, 5, (tasks, tasks + 3), generator=source).double()
    rows[:, :tasks] += 3 * torch.eye(tasks)
    if seed == 1:
        rows[:, 0] += 6
    rows = rows / rows.norm(dim=1, keepdim=True)
    if seed == 2:
        rows -= 0.95 * rows.mean(dim=0)
        rows = rows / rows.norm(dim=1, keepdim=True)
    return rows * spread(tasks, ratio, seed).unsqueeze(1)


def gramians(tasks: int, ratio: float, kind: torch.dtype) -> Iterator[Tensor]:
    """(K, K), for two seeds or three."""
    for seed in range(3):
        if tasks < 20 or seed != 1:  # numbers of 50 digits are slow
            rows = jacobian(tasks, ratio, seed)
            yield (rows @ rows.mT).to(kind)


def weights(method: Method, gramian: Tensor, losses: Tensor | None = None) -> Tensor:
    """Those of one step in float64; in float32 they are these, rounded."""
    if losses is None:
        losses = torch.ones(len(gramian))
    state, source = dict(method.state), Generator().manual_seed(5)
    found = method.weights(gramian, losses.double(), source)
    after, method.state = method.state, state
    rounded = method.weights(gramian, losses, source.manual_seed(5))
    assert rounded.dtype == losses.dtype
    assert torch.equal(rounded, found.to(losses.dtype))
    method.state = after
    assert found.dtype == torch.float64
    return found


def checked(name: str, tasks: int, ratio: float, kind: torch.dtype, **options: object) -> Iterator:
    """Weights of fresh methods in their first step: what they get, and what they find."""
    for gramian in gramians(tasks, ratio, kind):
        method = optimizers.create(name, num_tasks=tasks, **options)
        found = weights(method, gramian)
        yield gramian_of(gramian), found, numbers(found)


# Rules that read no numbers.


@cases
def test_sum_and_mean(tasks: int, ratio: float, kind: torch.dtype) -> None:
    for _, found, _ in checked("umtg", tasks, ratio, kind):
        assert found.tolist() == [1.0] * tasks
    for _, _, found in checked("mean", tasks, ratio, kind):
        assert apart(found, [mpf(1) / tasks] * tasks) < LIMIT


@cases
def test_rlw(tasks: int, ratio: float, kind: torch.dtype) -> None:
    draw = torch.randn(1, tasks, generator=Generator().manual_seed(5), dtype=torch.float64)
    for _, _, found in checked("rlw", tasks, ratio, kind):
        assert apart(found, exact.softmax(numbers(draw[0]))) < LIMIT


# Rules that solve a problem of the Gramian.


@cases
def test_mgda(tasks: int, ratio: float, kind: torch.dtype) -> None:
    for gramian, found, given in checked("mgda", tasks, ratio, kind):
        assert apart(given, exact.shortest(gramian, found)) < LIMIT


@cases
@pytest.mark.parametrize("normalization", ["l2", "loss", "loss+"])
def test_mgda_of_divided_gradients(
    tasks: int, ratio: float, kind: torch.dtype, normalization: str
) -> None:
    losses = spread(tasks, ratio, 7).float()
    for gramian in gramians(tasks, ratio, kind):
        method = optimizers.create("mgda", num_tasks=tasks, normalization=normalization)
        found = weights(method, gramian, losses)
        entries = gramian_of(gramian)
        divisors = numbers(losses) if normalization != "l2" else [mpf(1)] * tasks
        if normalization != "loss":
            divisors = [a * b for a, b in zip(divisors, exact.lengths(entries), strict=True)]
        divided = [
            [entry / divisors[i] / divisors[j] for j, entry in enumerate(row)]
            for i, row in enumerate(entries)
        ]
        assert apart(numbers(found), exact.shortest(divided, found)) < LIMIT


@cases
def test_cagrad(tasks: int, ratio: float, kind: torch.dtype) -> None:
    for c in (0.5, 0.99):
        for gramian, found, given in checked("cagrad", tasks, ratio, kind, c=c):
            assert apart(given, exact.ball(gramian, found, mpf(c))) < LIMIT


@cases
def test_upgrad(tasks: int, ratio: float, kind: torch.dtype) -> None:
    every = torch.eye(tasks, dtype=torch.float64)
    for gramian in gramians(tasks, ratio, kind):
        found = weights(optimizers.create("upgrad", num_tasks=tasks), gramian)
        repeated = gramian.double().expand(tasks, -1, -1)
        guesses = upgrad.project(repeated, every, rounding=1e-12)
        expected = exact.upgrad(gramian_of(gramian), guesses)
        assert apart(numbers(found), expected) < LIMIT


@cases
def test_nash_mtl(tasks: int, ratio: float, kind: torch.dtype) -> None:
    """Without clipping, and clipped to a length of 1."""
    for gramian, _, given in checked("nash_mtl", tasks, ratio, kind, max_norm=0.0):
        assert exact.bargained(gramian, given, mpf(1)) < LIMIT
    for gramian, _, given in checked("nash_mtl", tasks, ratio, kind):
        unclipped = [sqrt(mpf(tasks)) * weight for weight in given]
        assert exact.bargained(gramian, unclipped, mpf(1)) < LIMIT


@cases
def test_fairgrad(tasks: int, ratio: float, kind: torch.dtype) -> None:
    """The equation, and the weights that solve it.

    For the most extreme α, task gradients cancel to 1e-7 of their sum in the equation: weights
    rounded to float64 cannot satisfy it to more than 1e-9 then, but are right themselves.
    """
    for alpha in (0.5, 1.0, 2.0, 10.0):
        for gramian, _, given in checked("fairgrad", tasks, ratio, kind, alpha=alpha):
            assert apart(given, exact.fair(gramian, given, mpf(alpha))) < LIMIT
            if alpha in (1.0, 2.0):
                assert exact.bargained(gramian, given, mpf(alpha)) < LIMIT


@cases
def test_imtl_g(tasks: int, ratio: float, kind: torch.dtype) -> None:
    for gramian, _, given in checked("imtl_g", tasks, ratio, kind):
        assert exact.uneven(gramian, given) < LIMIT


@cases
def test_aligned_mtl(tasks: int, ratio: float, kind: torch.dtype) -> None:
    for gramian, _, given in checked("aligned_mtl", tasks, ratio, kind):
        assert apart(given, exact.aligned(gramian)) < LIMIT


# Rules that are recipes, and those that learn, over three steps.


def each_order(tasks: int, source: Generator) -> Tensor:
    """(K, K - 1), as the method draws it."""
    return orders(Draws([source], torch.zeros(1, dtype=torch.float64)), tasks)[0]


@cases
def test_pcgrad(tasks: int, ratio: float, kind: torch.dtype) -> None:
    order = each_order(tasks, Generator().manual_seed(5))
    for gramian, _, given in checked("pcgrad", tasks, ratio, kind):
        assert apart(given, exact.without_conflict(gramian, order)) < LIMIT


@cases
def test_gradvac(tasks: int, ratio: float, kind: torch.dtype) -> None:
    method = optimizers.create("gradvac", num_tasks=tasks)
    targets = [[mpf(0)] * tasks for _ in range(tasks)]
    order = each_order(tasks, Generator().manual_seed(5))
    steepest = mpf(gradvac._STEEPEST)
    for gramian in gramians(tasks, ratio, kind):
        found = numbers(weights(method, gramian))
        expected = exact.vaccinated(gramian_of(gramian), order, targets, mpf("0.5"), steepest)
        assert apart(found, expected) < LIMIT


def falling(tasks: int, ratio: float) -> list[Tensor]:
    """Four times (K,) float32 losses, from 1 down to ``ratio`` and below."""
    source = Generator().manual_seed(tasks)
    start = spread(tasks, ratio, 3)
    return [
        (start * (1 - 0.2 * step * torch.rand(tasks, generator=source))).float()
        for step in range(4)
    ]


@cases
def test_gradnorm(tasks: int, ratio: float, kind: torch.dtype) -> None:
    method = optimizers.create("gradnorm", num_tasks=tasks)
    steps = list(zip(gramians(tasks, ratio, kind), falling(tasks, ratio), strict=False))
    found = [weights(method, gramian, losses) for gramian, losses in steps]
    expected = exact.gradnorm([(gramian_of(one), numbers(other)) for one, other in steps])
    for one, other in zip(found, expected, strict=True):
        assert apart(numbers(one), other) < LIMIT


@cases
@pytest.mark.parametrize("name", ["uncertainty", "imtl_l"])
def test_learned_from_losses(name: str, tasks: int, ratio: float, kind: torch.dtype) -> None:
    method, steps = optimizers.create(name, num_tasks=tasks), falling(tasks, ratio)
    define = exact.uncertainty if name == "uncertainty" else exact.imtl_l
    found = [weights(method, torch.eye(tasks, dtype=kind), losses) for losses in steps]
    for one, other in zip(found, define([numbers(losses) for losses in steps]), strict=True):
        assert apart(numbers(one), other) < LIMIT


@cases
def test_dwa(tasks: int, ratio: float, kind: torch.dtype) -> None:
    """Two steps an epoch."""
    method, steps = optimizers.create("dwa", num_tasks=tasks), falling(tasks, ratio)
    found = []
    for start in range(4):
        epoch = [steps[start], steps[start - 1]]
        found.append([weights(method, torch.eye(tasks, dtype=kind), losses) for losses in epoch])
        method.end_epoch()
    expected = exact.dwa([[numbers(steps[start]), numbers(steps[start - 1])] for start in range(4)])
    for epoch, other in zip(found, expected, strict=True):
        for one in epoch:
            assert apart(numbers(one), other) < LIMIT


@cases
def test_famo(tasks: int, ratio: float, kind: torch.dtype) -> None:
    method, losses = optimizers.create("famo", num_tasks=tasks), falling(tasks, ratio)
    steps = list(zip(losses, losses[1:], strict=False))
    found = []
    for before, after in steps:
        found.append(weights(method, torch.eye(tasks, dtype=kind), before))
        method.observe(after)
    expected = exact.famo([(numbers(before), numbers(after)) for before, after in steps])
    for one, other in zip(found, expected, strict=True):
        assert apart(numbers(one), other) < LIMIT


@cases
@pytest.mark.parametrize("leak", [0.0, 0.25])
def test_graddrop(tasks: int, ratio: float, kind: torch.dtype, leak: float) -> None:
    """In float32 the update itself is rounded, and nothing else is."""
    draws = torch.rand(1, tasks + 3, generator=Generator().manual_seed(5), dtype=torch.float64)
    for seed in range(3):
        rows = jacobian(tasks, ratio, seed).to(kind)
        rows = rows[:, rows.abs().sum(dim=0) > 0]
        method = optimizers.create("graddrop", num_tasks=tasks, leak=leak)
        found = method.update(rows, torch.ones(tasks), Generator().manual_seed(5))
        expected = exact.dropped([numbers(row) for row in rows], numbers(draws[0]), mpf(leak))
        assert found.dtype == kind
        assert apart(numbers(found), expected) < (LIMIT if kind == torch.float64 else 2**-23)


# What all rules have.


@cases
@pytest.mark.parametrize("name", optimizers.names())
def test_match_sum(name: str, tasks: int, ratio: float, kind: torch.dtype) -> None:
    """The update is as long as the sum, in the direction of the raw one."""
    if optimizers.rule(name).update is not None:
        return
    gramian = list(gramians(tasks, ratio, kind))[0]
    raw, found = (
        numbers(weights(optimizers.create(name, num_tasks=tasks, scale=scale), gramian))
        for scale in ("raw", "match_sum")
    )
    entries = gramian_of(gramian)
    square = sum(sum(row) for row in entries)
    factor = sqrt(square / exact.dot(raw, exact.times(entries, raw)))
    assert apart(found, [factor * weight for weight in raw]) < LIMIT
