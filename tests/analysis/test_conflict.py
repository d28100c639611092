"""What correlations say of the claim on conflict, half by half."""

from dataclasses import replace

from mtl_core.analysis import Correlation, conflict_verdict

NEGATIVE = Correlation(12, -0.8, 0.01, -0.8, 0.01, -0.9, -0.5)
POSITIVE = replace(NEGATIVE, pearson_r=0.8)
NONE = replace(NEGATIVE, pearson_r=-0.2, pearson_p=0.5)
FEW = replace(NEGATIVE, n=7)
SETS = {"a": 12, "b": 12}


def test_the_paper_s_own_pattern_is_supported() -> None:
    found = conflict_verdict(
        {("a", "sharpness"): NEGATIVE, ("a", "fisher_trace"): NEGATIVE, ("a", "test_metric"): NONE},
        SETS,
    )
    assert (found.optimization, found.generalization) == ("supports", "supports")
    assert found.predicted == ()
    assert len(found.negative) == len(found.factors) == 2


def test_a_correlation_of_the_other_sign_does_not_count() -> None:
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
    assert found.optimization == "supports in part"
    assert found.generalization == "does not support"
    assert found.predicted == ("a", "b")


def test_few_points_or_few_sets_tell_nothing() -> None:
    few = conflict_verdict({("a", "sharpness"): FEW, ("a", "test_metric"): None}, SETS)
    assert (few.optimization, few.generalization) == ("not enough", "not enough")
    many_points_of_few_sets = conflict_verdict({("a", "sharpness"): NEGATIVE}, {"a": 3})
    assert many_points_of_few_sets.optimization == "not enough"


def test_a_claim_that_half_of_the_pairs_speak_for_is_not_supported() -> None:
    found = conflict_verdict({("a", "sharpness"): NEGATIVE, ("b", "sharpness"): NONE}, SETS)
    assert found.optimization == "does not support"
