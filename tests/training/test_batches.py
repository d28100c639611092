"""Batch order: shuffled passes without end, any step of which is at hand."""

import numpy as np
import pytest

from mtl_core.training.batches import BatchStream, derived_seed


def stream(seed: int = 0, task: str = "t", size: int = 10, batch_size: int = 4) -> BatchStream:
    return BatchStream(seed, task, size, batch_size)


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (12, 4), (7, 7), (9, 1), (5, 13)])
def test_every_pass_is_a_permutation(size: int, batch_size: int) -> None:
    batches = stream(size=size, batch_size=batch_size)
    steps = 6 * size // batch_size + 1
    order = np.concatenate([batches.batch(step) for step in range(steps)])
    passes = [order[start : start + size] for start in range(0, 4 * size, size)]
    for one in passes:
        assert sorted(one) == list(range(size))
    if size > 5:
        assert len({tuple(one) for one in passes}) == len(passes)


def test_batches_straddle_passes() -> None:
    batches = stream()
    passes = np.concatenate([batches.batch(step) for step in range(5)])
    straddling = batches.batch(2)
    assert straddling.tolist() == [*passes[8:10], *passes[10:12]]
    assert sorted(passes[:10]) == sorted(passes[10:]) == list(range(10))


def test_any_step_is_reached_without_a_replay() -> None:
    replayed = stream()
    expected = [replayed.batch(step) for step in range(60)]
    jumping = stream()
    for step in (59, 3, 30, 0, 58, 7, 7):
        np.testing.assert_array_equal(jumping.batch(step), expected[step])
        np.testing.assert_array_equal(stream().batch(step), expected[step])


def test_seed_and_task_decide_and_nothing_else() -> None:
    def first(**changes: object) -> list[int]:
        return stream(**({"size": 1_000, "batch_size": 1_000} | changes)).batch(0).tolist()  # type: ignore[arg-type]

    orders = [first(), first(seed=1), first(task="u"), first(seed=10), first(task="0")]
    assert len({tuple(order) for order in orders}) == len(orders)
    assert first() == first()
    # The batch size only cuts the same order elsewhere.
    assert first(batch_size=10) == first()[:10]


def test_order_is_pinned() -> None:
    """Another order would give other numbers for the same config."""
    assert stream(seed=3, task="digits1").batch(0).tolist() == [7, 1, 6, 3]
    assert derived_seed("0/encoder") == 5_837_546_378_471_655_500


def test_derived_seeds_fit_and_differ() -> None:
    seeds = [derived_seed(f"{n}/encoder") for n in range(1_000)]
    assert len(set(seeds)) == 1_000
    assert all(0 <= seed < 2**63 for seed in seeds)
