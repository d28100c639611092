"""Moments: sums that do not round."""

import math

import numpy as np
import pytest

from mtl_core.data.moments import deviations, moments


def test_moments_do_not_round() -> None:
    mean, deviation = moments(np.array([1e16, 1.0, -1e16, 3.0]))
    assert mean == 1.0
    assert deviation == pytest.approx(math.sqrt((2e32 + 4 + 0) / 4))


def test_deviations_are_of_the_training_rows_at_any_scale() -> None:
    values = np.array([1.0, 3.0, 7.0, np.nan])
    for scale in (1e-200, 1.0, 1e200):
        found = deviations(scale * values, scale * values[:2])
        np.testing.assert_allclose(found[:3], [-1, 1, 5], rtol=1e-15)
        assert np.isnan(found[3])
