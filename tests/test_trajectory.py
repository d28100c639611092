"""The trajectory's columns, and which of its rows are at the end of a whole epoch."""

import doctest
import warnings

import numpy as np
import pandas as pd
import pytest

from mtl_core import trajectory
from mtl_core.trajectory import COLUMNS, is_whole, whole_epochs


def test_the_mark_stands_beside_the_epoch() -> None:
    assert COLUMNS[COLUMNS.index("epoch") + 1] == "whole_epoch"


@pytest.mark.parametrize(
    ("epoch", "whole"),
    [
        (0.0, False),  # the untrained network
        (1 / 32, False),
        (31 / 32, False),
        (np.nextafter(1.0, 0.0), False),
        (1.0, True),
        (np.nextafter(1.0, 2.0), False),
        (4 / 3, False),
        (2.0, True),
        (350.0, True),
        (-1.0, False),
        (float("nan"), False),
    ],
)
def test_known_epochs(epoch: float, whole: bool) -> None:
    assert is_whole(epoch) == whole
    assert whole_epochs(pd.DataFrame({"epoch": [epoch]})).tolist() == [whole]


def test_no_quotient_of_steps_is_rounded_to_a_whole_number() -> None:
    steps = np.arange(1, 200_001)
    for per_epoch in (3, 7, 49, 391, 1719, 99_991):
        expected = steps % per_epoch == 0
        np.testing.assert_array_equal(is_whole(steps / per_epoch), expected)


def test_what_is_not_finite_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        is_whole([float("nan"), float("inf"), float("-inf")])


def test_the_column_is_read_where_there_is_one() -> None:
    frame = pd.DataFrame({"epoch": [0.0, 0.5, 1.0]}, index=[7, 7, 9])
    assert whole_epochs(frame).tolist() == [False, False, True]
    assert whole_epochs(frame.assign(whole_epoch=[True, False, False])).tolist() == [
        True,
        False,
        False,
    ]
    for rows in (frame, frame.assign(whole_epoch=False)):
        assert whole_epochs(rows).dtype == whole_epochs(rows[:0]).dtype == bool
        assert whole_epochs(rows[:0]).shape == (0,)


def test_the_example_in_its_description() -> None:
    done = doctest.testmod(trajectory)
    assert (done.failed, done.attempted > 0) == (0, True)
