"""Overlapped images, pixel by pixel, and who shares a canvas with whom."""

import numpy as np
import pytest

from mtl_core.pareto.problems.overlap import overlapped, partners


def test_every_pixel_is_that_of_its_two_sources() -> None:
    random = np.random.default_rng(0)
    left, right = random.integers(0, 256, (2, 3, 28, 28)).astype(np.uint8)
    canvas = overlapped(left, right)
    assert (canvas.shape, canvas.dtype) == ((3, 1, 36, 36), np.uint8)
    for number in range(3):
        for row in range(36):
            for column in range(36):
                inside = row < 28 and column < 28
                one = int(left[number, row, column]) if inside else 0
                further = row >= 8 and column >= 8
                other = int(right[number, row - 8, column - 8]) if further else 0
                assert canvas[number, 0, row, column] == max(one, other)


def test_sources_are_left_as_they_are() -> None:
    left, right = np.full((1, 28, 28), 7, np.uint8), np.full((1, 28, 28), 9, np.uint8)
    overlapped(left, right)
    assert (left == 7).all()
    assert (right == 9).all()


@pytest.mark.parametrize("count", [10, 20, 30, 50_000])
def test_partners_are_everybody_once_in_blocks_of_ten(count: int) -> None:
    found = partners(count)
    assert np.sort(found).tolist() == list(range(count))
    blocks = found.reshape(-1, 10) // 10
    assert (blocks == blocks[:, :1]).all()
    if count > 10:
        assert (found != np.arange(count)).all()


def test_first_third_has_no_image_at_both_places() -> None:
    found = partners(30_000)
    assert not set(range(10_000)) & set(found[:10_000].tolist())
    pairs = {(one, int(other)) for one, other in enumerate(found)}
    assert not any((other, one) in pairs for one, other in pairs)


def test_places_within_blocks_say_nothing_of_each_other() -> None:
    """χ² with 81 degrees of freedom (rows and columns are fixed); its 99.9 % quantile is 125."""
    found = partners(50_000)
    table = np.zeros((10, 10))
    np.add.at(table, (np.arange(50_000) % 10, found % 10), 1)
    assert (table.sum(axis=0) == 5_000).all()
    assert ((table - 500) ** 2 / 500).sum() < 125
