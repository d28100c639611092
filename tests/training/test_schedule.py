"""When a run is measured."""

from itertools import pairwise
from typing import Any

import pytest

from mtl_core import RunConfig
from mtl_core.training import checkpoint_steps
from mtl_core.training.schedule import ends_epoch, factor_steps
from mtl_core.trajectory import is_whole


def config(per_epoch: int, epochs: int, early: int, **changes: Any) -> RunConfig:
    """Digits in as many steps an epoch as wanted, of one example each."""
    return RunConfig(
        "digits",
        "digits1",
        samples=per_epoch,
        batch_size=1,
        epochs=epochs,
        early_checkpoints=early,
        **changes,
    )


@pytest.mark.parametrize(
    ("per_epoch", "epochs", "early", "steps"),
    [
        (64, 3, 6, (0, 1, 2, 4, 8, 16, 32, 64, 128, 192)),
        (100, 2, 2, (0, 1, 10, 100, 200)),
        (100, 1, 1, (0, 1, 100)),
        (100, 3, 0, (0, 100, 200, 300)),
        (8, 2, 6, (0, 1, 2, 3, 4, 6, 8, 16)),
        (1, 4, 6, (0, 1, 2, 3, 4)),
        (1, 1, 0, (0, 1)),
        (2, 2, 64, (0, 1, 2, 4)),
    ],
)
def test_known_schedules(per_epoch: int, epochs: int, early: int, steps: tuple[int, ...]) -> None:
    assert checkpoint_steps(config(per_epoch, epochs, early)) == steps


@pytest.mark.parametrize("per_epoch", [1, 2, 7, 97, 250])
@pytest.mark.parametrize("early", [0, 1, 6, 64])
def test_every_schedule(per_epoch: int, early: int) -> None:
    steps = checkpoint_steps(config(per_epoch, 3, early))
    assert list(steps) == sorted(set(steps))
    assert {0, per_epoch, 2 * per_epoch, 3 * per_epoch} <= set(steps)
    assert steps[-1] == 3 * per_epoch
    inside = [step for step in steps if 0 < step < per_epoch]
    assert len(inside) <= early
    assert all(step in (2 * per_epoch, 3 * per_epoch) for step in steps if step > per_epoch)
    if early > 1 and per_epoch > early:
        # On a logarithmic scale no gap is wider than one share, up to the rounding of steps.
        for one, two in zip([*inside], [*inside[1:], per_epoch], strict=True):
            assert two <= one * per_epoch ** (1 / early) + 1


@pytest.mark.parametrize(
    ("per_epoch", "epochs", "early", "ends"),
    [
        (64, 3, 6, (64, 128, 192)),
        (100, 1, 1, (100,)),
        (8, 2, 6, (8, 16)),
        (1, 4, 6, (1, 2, 3, 4)),
        (2, 2, 64, (2, 4)),
    ],
)
def test_the_ends_of_epochs_among_its_steps(
    per_epoch: int, epochs: int, early: int, ends: tuple[int, ...]
) -> None:
    one = config(per_epoch, epochs, early)
    assert tuple(step for step in checkpoint_steps(one) if ends_epoch(one, step)) == ends


@pytest.mark.parametrize("per_epoch", [1, 3, 7, 49, 97, 250])
def test_an_epoch_says_whether_it_is_whole(per_epoch: int) -> None:
    """At every step, so runs of before the mark get the one that they would have now."""
    one = config(per_epoch, 5, 0)
    for step in range(one.steps + 1):
        assert is_whole(step / per_epoch) == ends_epoch(one, step)


def test_seeds_and_auxiliaries_do_not_move_it() -> None:
    one = RunConfig("digits", "digits1", seeds=(0,))
    two = RunConfig("digits", "digits1", ("digits2", "noisy_digits"), seeds=(4, 5), lr=0.5)
    assert checkpoint_steps(one) == checkpoint_steps(two)


# --- factors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "steps"),
    [
        (None, (1, 2, 4, 8, 16, 32, 64, 128, 192)),
        (100, (1, 2, 4, 8, 16, 32, 64, 128, 192)),
        (9, (1, 2, 4, 8, 16, 32, 64, 128, 192)),
        (5, (1, 4, 16, 64, 192)),
        (3, (1, 16, 192)),
        (2, (1, 192)),
        (1, (192,)),
    ],
)
def test_known_factor_schedules(points: int | None, steps: tuple[int, ...]) -> None:
    """Of nine checkpoints after step 0."""
    assert factor_steps(config(64, 3, 6, factor_points=points)) == steps


@pytest.mark.parametrize("per_epoch", [1, 2, 7, 97])
@pytest.mark.parametrize("epochs", [1, 2, 9])
def test_every_factor_schedule(per_epoch: int, epochs: int) -> None:
    after_start = checkpoint_steps(config(per_epoch, epochs, 6))[1:]
    for points in range(1, 20):
        steps = factor_steps(config(per_epoch, epochs, 6, factor_points=points))
        assert len(steps) == min(points, len(after_start))
        assert list(steps) == sorted(set(steps))
        assert steps[-1] == per_epoch * epochs
        index = [after_start.index(step) for step in steps]  # none is step 0
        if len(steps) > 1:
            assert index[0] == 0
            # Evenly: no gap is more than one checkpoint wider than another.
            gaps = [two - one for one, two in pairwise(index)]
            assert max(gaps) - min(gaps) <= 1


def test_without_factors_none_are_due() -> None:
    assert factor_steps(config(64, 3, 6, factors=())) == ()
    assert factor_steps(config(64, 3, 6, factors=("sharpness",), factor_points=1)) == (192,)


def test_factors_do_not_move_checkpoints() -> None:
    plain = checkpoint_steps(config(64, 3, 6))
    for points in (1, 4, None):
        assert checkpoint_steps(config(64, 3, 6, factor_points=points)) == plain
