"""Gradient similarity: from inner products what explicit vectors give."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_core import InputError
from mtl_core.factors import gradient_similarity, gramian, pairwise_cosines

P = 1_000


def gradients(*shape: int, seed: int = 0, shared: float = 1.0) -> Tensor:
    """(*shape, P) random vectors with a common part, of very different lengths."""
    source = torch.Generator().manual_seed(seed)
    common = torch.randn(*shape[:-1], 1, P, generator=source, dtype=torch.float64)
    own = torch.randn(*shape, P, generator=source, dtype=torch.float64)
    return (shared * common + own) * 10 ** torch.randn(*shape, 1, generator=source).double()


def cosine(one: Any, other: Any) -> float:
    one, other = np.asarray(one, dtype=np.longdouble), np.asarray(other, dtype=np.longdouble)
    return float(one @ other / np.sqrt(one @ one) / np.sqrt(other @ other))


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
@pytest.mark.parametrize("shared", [0.0, 1.0, 30.0])
def test_cosines_of_explicit_vectors(
    tasks: int, lead: tuple[int, ...], shared: float, device: str
) -> None:
    """1e-12 in double precision."""
    vectors = gradients(*lead, tasks, shared=shared)
    inner = gramian(vectors.to(device))
    assert inner.shape == (*lead, tasks, tasks)
    assert (inner.dtype, inner.device.type) == (torch.float64, device)
    pairs = pairwise_cosines(inner)
    assert pairs.shape == (*lead, tasks, tasks)
    for target in range(tasks):
        found = gradient_similarity(inner, target)
        assert found.shape == lead
        for index in np.ndindex(lead):
            own = vectors[index]
            expected = cosine(own[target], own.sum(dim=0))
            assert float(found[index]) == pytest.approx(expected, abs=1e-12)
            for other in range(tasks):
                expected = cosine(own[target], own[other])
                assert float(pairs[index][target, other]) == pytest.approx(expected, abs=1e-12)


def test_known_values() -> None:
    """(3, 4) and (1, 0): their sum (4, 4) is at 45° of the second, 8.1° of the first."""
    inner = gramian(torch.tensor([[3.0, 4.0], [1.0, 0.0]]))
    assert inner.tolist() == [[25, 3], [3, 1]]
    assert float(gradient_similarity(inner, 1)) == pytest.approx(math.sqrt(0.5))
    assert float(gradient_similarity(inner, 0)) == pytest.approx(28 / (5 * math.sqrt(32)))
    assert float(pairwise_cosines(inner)[0, 1]) == pytest.approx(0.6)


@pytest.mark.parametrize("length", [1e-150, 1e-3, 1, 1e150])
def test_a_single_task_goes_its_own_way(length: float) -> None:
    inner = gramian(length * gradients(4, 1))
    for found in (gradient_similarity(inner, 0), pairwise_cosines(inner)):
        torch.testing.assert_close(found, torch.ones_like(found), rtol=0, atol=1e-15)


def test_never_outside_of_1() -> None:
    """Parallel and opposite gradients, where rounding would go beyond."""
    one = gradients(500, 1)
    for factor in (0.1, 3.0, -0.1, -3.0):
        inner = gramian(torch.cat([one, factor * one], dim=-2))
        for found in (
            gradient_similarity(inner, 0),
            gradient_similarity(inner, 1),
            pairwise_cosines(inner),
        ):
            assert bool((found.abs() <= 1).all())
            torch.testing.assert_close(found.abs(), torch.ones_like(found), rtol=0, atol=1e-12)
        against = -1.0 if factor == -3 else 1.0  # the longer one decides where the sum goes
        assert bool((gradient_similarity(inner, 0).sign() == against).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e15])
def test_the_scale_does_not_matter(scale: float, dtype: torch.dtype) -> None:
    """Squares of small floats vanish and products of large ones overflow; not in a Gramian here."""
    vectors = gradients(4, 3, seed=1)
    expected = gramian(vectors)
    inner = gramian((vectors * scale).to(dtype))
    assert inner.dtype == torch.float64
    for target in range(3):
        torch.testing.assert_close(
            gradient_similarity(inner, target), gradient_similarity(expected, target),
            rtol=0, atol=1e-6,
        )  # fmt: skip
    torch.testing.assert_close(
        pairwise_cosines(inner), pairwise_cosines(expected), rtol=0, atol=1e-6
    )


def test_one_task_may_be_far_smaller() -> None:
    vectors = gradients(2)
    vectors[1] *= 1e-100
    inner = gramian(vectors)
    assert float(gradient_similarity(inner, 0)) == pytest.approx(1)
    expected = cosine(vectors[0], vectors[1] * 1e100)
    assert float(gradient_similarity(inner, 1)) == pytest.approx(expected, abs=1e-12)
    assert float(pairwise_cosines(inner)[0, 1]) == pytest.approx(expected, abs=1e-12)


# --- no direction -----------------------------------------------------------------------------


def test_opposite_gradients_have_a_cosine_but_no_sum() -> None:
    vectors = gradients(3, 1)
    inner = gramian(torch.cat([vectors, -vectors], dim=-2))
    assert bool(gradient_similarity(inner, 0).isnan().all())
    assert bool(gradient_similarity(inner, 1).isnan().all())
    pairs = pairwise_cosines(inner)
    torch.testing.assert_close(pairs[:, 0, 1], -torch.ones(3, dtype=torch.float64))


def test_a_zero_gradient_has_no_direction() -> None:
    """It is no conflict and no agreement; the other tasks keep theirs, and so do other replicas."""
    vectors = gradients(2, 3)
    vectors[0, 1] = 0
    inner = gramian(vectors)
    assert gradient_similarity(inner, 1).isnan().tolist() == [True, False]
    assert gradient_similarity(inner, 0).isnan().tolist() == [False, False]
    expected = cosine(vectors[0, 0], vectors[0, 0] + vectors[0, 2])
    assert float(gradient_similarity(inner, 0)[0]) == pytest.approx(expected)
    pairs = pairwise_cosines(inner)
    beside = [[False, True, False], [True, True, True], [False, True, False]]
    assert pairs[0].isnan().tolist() == beside
    assert not bool(pairs[1].isnan().any())


def test_all_gradients_zero() -> None:
    inner = gramian(torch.zeros(2, P))
    assert math.isnan(float(gradient_similarity(inner, 0)))
    assert bool(pairwise_cosines(inner).isnan().all())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_so(bad: float) -> None:
    vectors = gradients(2)
    vectors[0, 3] = bad
    inner = gramian(vectors)
    assert math.isnan(float(gradient_similarity(inner, 0)))
    assert math.isnan(float(pairwise_cosines(inner)[0, 1]))
    assert float(pairwise_cosines(inner)[1, 1]) == pytest.approx(1)


# --- the rest ---------------------------------------------------------------------------------


def test_the_order_of_tasks_does_not_matter() -> None:
    vectors = gradients(3, 5)
    inner, order = gramian(vectors), [3, 0, 4, 1, 2]
    permuted = gramian(vectors[:, order])
    pairs, permuted_pairs = pairwise_cosines(inner), pairwise_cosines(permuted)
    torch.testing.assert_close(permuted_pairs, pairs[:, order][:, :, order], rtol=0, atol=1e-14)
    torch.testing.assert_close(permuted_pairs, permuted_pairs.mT, rtol=0, atol=0)
    for new, old in enumerate(order):
        torch.testing.assert_close(
            gradient_similarity(permuted, new), gradient_similarity(inner, old), rtol=0, atol=1e-14
        )


@pytest.mark.parametrize("target", [-1, 2, 9])
def test_impossible_target(target: int) -> None:
    with pytest.raises(InputError, match=f"target {target} is not one of the 2 tasks"):
        gradient_similarity(torch.eye(2), target)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (4, 0, 0)])
def test_what_is_no_gramian(shape: tuple[int, ...]) -> None:
    for measure in (lambda g: gradient_similarity(g, 0), pairwise_cosines):
        with pytest.raises(InputError) as caught:
            measure(torch.ones(shape))
        assert str(caught.value) == f"a Gramian is (..., K, K), not {shape}"
