"""What correlations say of the claim on conflict, half by half."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mtl_core.analysis import FEWEST_SETS, LITTLE, Correlation, conflict_verdict, correlate

NEGATIVE = Correlation(20, -0.8, 0.001, -0.8, 0.001, -0.9, -0.5)
POSITIVE = replace(NEGATIVE, pearson_r=0.8, ci_low=0.5, ci_high=0.9)
NONE = replace(NEGATIVE, pearson_r=-0.2, pearson_p=0.4, ci_low=-0.59, ci_high=0.27)
LITTLE_ONE = replace(NEGATIVE, n=80, pearson_r=-0.05, pearson_p=0.66, ci_low=-0.27, ci_high=0.17)
SETS = {"a": 20, "b": 20}


def test_the_paper_s_own_pattern_agrees() -> None:
    found = conflict_verdict(
        {
            ("a", "sharpness"): NEGATIVE,
            ("a", "fisher_trace"): NEGATIVE,
            ("a", "test_metric"): LITTLE_ONE,
        },
        SETS,
    )
    assert (found.optimization, found.generalization) == ("agree", "agree")
    assert found.predicted == found.positive == ()
    assert found.little == found.targets == ("a",)
    assert len(found.negative) == len(found.factors) == 2
    assert found.judged == (2, 1)


def test_a_correlation_of_the_other_sign_disagrees() -> None:
    found = conflict_verdict(
        {
            ("a", "sharpness"): NEGATIVE,
            ("a", "fisher_trace"): NEGATIVE,
            ("b", "sharpness"): POSITIVE,
            ("a", "test_metric"): POSITIVE,
            ("b", "test_metric"): NEGATIVE,
        },
        SETS,
    )
    assert found.optimization == "disagree"
    assert found.positive == (("b", "sharpness"),)
    assert found.negative == (("a", "sharpness"), ("a", "fisher_trace"))
    assert found.generalization == "disagree"
    assert found.predicted == ("a", "b"), "either way it foretells"


def test_few_points_or_few_sets_tell_nothing() -> None:
    assert FEWEST_SETS == 20
    few = replace(NEGATIVE, n=19)
    found = conflict_verdict(
        {("a", "sharpness"): few, ("a", "test_metric"): None, ("b", "test_metric"): few}, SETS
    )
    assert (found.optimization, found.generalization) == ("cannot tell", "cannot tell")
    assert found.factors == found.targets == ()
    assert found.judged == (0, 0)
    many_points = replace(NEGATIVE, n=60)
    of_few_sets = conflict_verdict({("a", "sharpness"): many_points}, {"a": 19})
    assert of_few_sets.optimization == "cannot tell"
    assert conflict_verdict({("a", "sharpness"): NEGATIVE}, {}).optimization == "cannot tell"
    enough = conflict_verdict({("a", "sharpness"): many_points}, {"a": 20})
    assert enough.optimization == "agree"
    # Those that have too few neither speak for the claim nor against it.
    mixed = conflict_verdict({("a", "sharpness"): NEGATIVE, ("b", "sharpness"): few}, SETS)
    assert (mixed.optimization, mixed.factors) == ("agree", (("a", "sharpness"),))


def test_that_no_correlation_was_found_agrees_with_neither_half() -> None:
    found = conflict_verdict(
        {("a", "sharpness"): NEGATIVE, ("b", "sharpness"): NONE, ("a", "test_metric"): NONE}, SETS
    )
    assert found.optimization == "cannot tell", "one of two was found"
    assert found.generalization == "cannot tell", "of r nothing is known but −.59 to .27"
    assert found.little == ()


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.29, 0.29, "agree"),
        (-0.3, 0.1, "cannot tell"),
        (-0.1, 0.3, "cannot tell"),
        (-0.31, 0.1, "cannot tell"),
        (math.nan, math.nan, "cannot tell"),
    ],
)
def test_little_is_an_interval_within_three_tenths(low: float, high: float, outcome: str) -> None:
    assert LITTLE == 0.3
    one = replace(LITTLE_ONE, ci_low=low, ci_high=high)
    assert conflict_verdict({("a", "test_metric"): one}, SETS).generalization == outcome
    # For every target.
    two = {("a", "test_metric"): one, ("b", "test_metric"): NONE}
    assert conflict_verdict(two, SETS).generalization == "cannot tell"


def test_each_half_is_judged_as_one_family() -> None:
    weak = replace(NEGATIVE, pearson_p=0.02)
    none = replace(NONE, pearson_p=0.9)
    pairs = {("a", name): none for name in ("fisher_trace", "gradient_covariance")}
    alone = conflict_verdict({("a", "sharpness"): weak, ("a", "test_metric"): weak}, SETS)
    assert alone.negative == (("a", "sharpness"),)
    assert alone.predicted == ("a",)
    assert alone.judged == (1, 1)
    found = conflict_verdict({("a", "sharpness"): weak, **pairs, ("a", "test_metric"): weak}, SETS)
    assert found.negative == (), "3 × .02"
    assert found.predicted == ("a",), "the other half is another family"
    assert found.judged == (3, 1)


def test_that_a_correlation_is_little_takes_44_sets() -> None:
    """Of r = 0: with the 20 that an outcome takes at least, its interval is ± .44."""
    for count, held, outcome in (
        (20, False, "cannot tell"),
        (43, False, "cannot tell"),
        (44, False, "agree"),
        (44, True, "cannot tell"),
        (45, True, "agree"),
    ):
        # Orthogonal to each other: cosines of whole periods.
        turn = 2 * np.pi * np.arange(count) / count
        x, y, given = np.cos(turn), np.cos(2 * turn), np.cos(3 * turn)
        found = correlate(x, y, given=given if held else None)
        assert found is not None
        assert found.pearson_r == pytest.approx(0, abs=1e-9)
        verdict = conflict_verdict({("a", "test_metric"): found}, {"a": count})
        assert verdict.generalization == outcome
