"""Numbers that are written the same way on every machine."""

import math

import numpy as np
import pytest

from mtl_core.analysis import compare, correlate
from mtl_core.views.evidence.numbers import (
    amount,
    change,
    correlation,
    percent,
    power_of,
    settle,
    snapped,
    written,
)
from mtl_core.views.measures import measure

ACCURACY, PEARSON = measure("digits", "digits1"), measure("glue", "stsb")


@pytest.mark.parametrize("value", [0.01065, 1.005, 2.675, 12.345, 1 / 3])
def test_rounding_noise_makes_no_difference(value: float) -> None:
    """Ties are where libraries' last digits would show."""
    noise = value * np.array([-3e-14, 0.0, 3e-14])
    assert len({written(value + each, "+.2f") for each in noise}) == 1
    assert len({amount(value + each, ACCURACY) for each in noise}) == 1
    assert snapped(value) == pytest.approx(value, rel=1e-8)


def test_what_is_not_finite_stays() -> None:
    assert math.isnan(snapped(math.nan))
    assert snapped(math.inf) == math.inf


def test_shares_are_points_and_other_metrics_are_not() -> None:
    assert amount(0.0107, ACCURACY) == "+1.07 pt"
    assert amount(-0.0107, ACCURACY) == "−1.07 pt"
    assert amount(0.0107, PEARSON) == "+0.0107"
    assert amount(4.0, ACCURACY, sign=False) == "more than 100 pt"
    assert percent(0.666) == "67 %"
    assert percent(0.6666, 1) == "66.7 %"


def test_a_difference_comes_with_its_interval() -> None:
    seeds = (0, 1, 2)
    apart = compare([0.51, 0.52, 0.53], [0.5] * 3, seeds=seeds, baseline_seeds=seeds)
    assert change(apart, ACCURACY) == "+2.00 pt [−0.48, +4.48]"
    assert settle(apart) == "about 2 more seeds would settle one as large as seen"
    assert power_of([(apart, ACCURACY)]).startswith("80 % power for 3.26 pt")
    equal = compare([0.51] * 3, [0.5] * 3, seeds=seeds, baseline_seeds=seeds)
    assert change(equal, ACCURACY) == "+1.00 pt"
    assert power_of([(equal, ACCURACY)]) == ""
    wide = compare([0.5, 0.6, 0.7], [0.5] * 3, seeds=seeds, baseline_seeds=seeds)
    assert power_of([(apart, ACCURACY), (wide, ACCURACY)]) == (
        "80 % power for 3.26 to 32.64 pt (median 17.95)"
    )


def test_a_correlation_comes_with_its_interval() -> None:
    found = correlate([1, 2, 3, 4], [1, 3, 2, 4])
    assert found is not None
    assert correlation(found) == "r = +0.80 [−0.70, +1.00]"
    few = correlate([1, 2, 3], [1, 3, 2])
    assert few is not None
    assert correlation(few) == "r = +0.50"
