"""Feeds: what is written ahead is what each step would draw by itself."""

import numpy as np
import pytest
import torch
from torch import Tensor

from mtl_core.training.batches import BatchStream, derived_seed
from mtl_core.training.feed import Noise, Orders

CPU = torch.device("cpu")


def test_orders_are_those_of_the_streams_in_any_order_of_steps() -> None:
    """25 examples of one task and 7 of the other in batches of 4: batches straddle passes."""

    def streams() -> list[list[BatchStream]]:
        return [[BatchStream(seed, *of, 4) for of in (("a", 25), ("b", 7))] for seed in (0, 9)]

    orders, plain = Orders(streams(), 7, CPU), streams()
    places = set()
    for step in (0, 1, 6, 7, 20, 3, 8):
        orders.ready(step)
        found = orders.batches()
        for k, (own, known) in enumerate(zip(found, orders.known(), strict=True)):
            expected = np.stack([of[k].batch(step) for of in plain])
            np.testing.assert_array_equal(own.numpy(), expected)
            np.testing.assert_array_equal(known, expected)
        places.add(tuple(buffer.data_ptr() for buffer in orders._buffers))
    assert len(places) == 1, "buffers stay in place"


def test_many_batches_are_the_single_ones() -> None:
    one, many = (BatchStream(3, "a", 10, 4) for _ in range(2))
    singles = np.stack([one.batch(step) for step in range(2, 9)])
    np.testing.assert_array_equal(many.batches(2, 7), singles)


def drawn(numbers: object) -> list[Tensor]:
    """As a method asks that needs a matrix, a number and a long vector."""
    return [
        numbers("rand", (3, 3)),  # type: ignore[operator]
        numbers("randn", (1,)),  # type: ignore[operator]
        numbers("randn", (40,)),  # type: ignore[operator]
    ]


@pytest.mark.parametrize("most_bytes", [2**20, 2**12, 1])
def test_noise_depends_on_seed_and_step_alone(
    most_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many steps are drawn at a time, and from which on."""
    monkeypatch.setattr("mtl_core.training.feed._MOST_BYTES", most_bytes)
    seeds = (4, 0, 7)
    for steps in (range(12), (5, 6, 2, 9)):
        noise = Noise(seeds, 5, CPU)
        for step in steps:
            noise.ready(step)
            found = drawn(noise.numbers())
            if step != steps[0]:
                again = drawn(noise.numbers())
                assert all(map(torch.equal, found, again)), "a step may be repeated"
            for replica, seed in enumerate(seeds):
                source = torch.Generator().manual_seed(derived_seed(f"{seed}/method/{step}"))
                for ours, kind, shape in zip(
                    found, (torch.rand, torch.randn, torch.randn), ((3, 3), (1,), (40,)),
                    strict=True,
                ):  # fmt: skip
                    alone = kind(shape, generator=source, dtype=torch.float64)
                    assert torch.equal(ours[replica], alone)


def test_another_question_in_a_later_step_is_refused() -> None:
    noise = Noise((0,), 5, CPU)
    noise.ready(0)
    noise.numbers()("rand", (2,))
    noise.ready(1)
    with pytest.raises(AssertionError, match="the same numbers in every step"):
        noise.numbers()("rand", (3,))
