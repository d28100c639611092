"""The playground's updates: known vectors, and no other weights than the methods' own."""

import math

import pytest
import torch

from mtl_core import InputError, optimizers
from mtl_core.optimizers.tools.plane import Update, updates

CONFLICT = ((1.0, 0.0), (-1.0, 2.0))
THREE = ((1.0, 0.0), (-0.5, 1.0), (-0.5, -2.0))


def one(name: str, gradients: tuple[tuple[float, float], ...], **options: str) -> Update:
    (found,) = updates(gradients, (1.0,) * len(gradients), [name], 0, **options)
    return found


def test_the_sum_of_two_known_vectors() -> None:
    found = one("umtg", CONFLICT)
    assert found == Update("umtg", (1.0, 1.0), (0.0, 2.0), random=False, stateful=False)


def test_the_mean_with_the_length_of_the_sum_is_the_sum() -> None:
    assert one("mean", CONFLICT).vector == (0.0, 1.0)
    assert one("mean", CONFLICT, scale="match_sum").vector == pytest.approx((0.0, 2.0))


def test_mgda_of_1_and_100_is_exactly_the_shorter() -> None:
    found = one("mgda", ((1.0, 0.0), (100.0, 0.0)))
    assert found.weights == pytest.approx((1.0, 0.0), abs=1e-12)
    assert found.vector == pytest.approx((1.0, 0.0), abs=1e-9)


def test_mgda_of_opposite_gradients_is_zero() -> None:
    assert one("mgda", ((1.0, 0.0), (-1.0, 0.0))).vector == pytest.approx((0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize("gradients", [CONFLICT, THREE])
@pytest.mark.parametrize("seed", [0, 7])
def test_every_method_is_as_its_registry_makes_it(
    gradients: tuple[tuple[float, float], ...], seed: int
) -> None:
    losses = tuple(0.5 + place for place in range(len(gradients)))
    names = optimizers.names()
    found = updates(gradients, losses, names, seed)
    assert [update.name for update in found] == names
    jacobian, at = torch.tensor(gradients).double(), torch.tensor(losses).double()
    for update in found:
        method = optimizers.create(update.name, num_tasks=len(losses))
        generator = torch.Generator().manual_seed(seed)
        assert update.random == method.random
        if method.needs_jacobian:
            assert update.weights is None
            assert update.vector == tuple(method.update(jacobian, at, generator).tolist())
            continue
        weights = method.weights(jacobian @ jacobian.mT, at, generator)
        assert update.weights == tuple(weights.tolist())
        assert update.vector == pytest.approx(tuple((weights @ jacobian).tolist()))
        assert update.stateful >= bool(method.state)
        assert all(map(math.isfinite, update.vector))


def test_a_seed_is_a_draw_that_does_not_depend_on_the_others() -> None:
    names = optimizers.names()
    losses = (1.0, 1.0, 1.0)
    together = updates(THREE, losses, names, 3)
    alone = [updates(THREE, losses, [name], 3)[0] for name in reversed(names)]
    assert together == alone[::-1]
    for first, second in zip(together, updates(THREE, losses, names, 4), strict=True):
        assert first.random or first == second


@pytest.mark.parametrize(
    ("gradients", "losses", "message"),
    [
        ((), (), "0 gradients and 0 losses; give one of each per task"),
        (CONFLICT, (1.0,), "2 gradients and 1 losses"),
        (((1.0, math.nan),), (1.0,), r"gradient \(1.0, nan\) is not a finite vector"),
        (((1.0,),), (1.0,), "is not a finite vector of the plane"),
        (CONFLICT, (1.0, 0.0), "loss 0.0 is not a finite number above 0"),
    ],
)
def test_what_does_not_fit_is_named(gradients, losses, message: str) -> None:
    with pytest.raises(InputError, match=message):
        updates(gradients, losses, ["umtg"], 0)


def test_unknown_names_are_named() -> None:
    with pytest.raises(InputError, match="unknown optimizer 'pcgard'; one of: umtg"):
        updates(CONFLICT, (1.0, 1.0), ["pcgard"], 0)
    with pytest.raises(InputError, match="'double'"):
        updates(CONFLICT, (1.0, 1.0), ["umtg"], 0, scale="double")
