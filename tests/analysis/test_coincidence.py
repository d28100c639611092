"""Updates in the plane: which are the same, and what they do to the tasks."""

import math

import pytest

from mtl_core.analysis.coincidence import (
    angle,
    cancel,
    coinciding,
    conflicts,
    effect,
    equal_gradient,
    is_zero,
)

GRADIENTS = ((1.0, 0.0), (0.0, 2.0))


@pytest.mark.parametrize(
    ("one", "other", "degrees"),
    [
        ((1.0, 0.0), (5.0, 0.0), 0),
        ((1.0, 0.0), (0.0, -3.0), 90),
        ((1.0, 1.0), (-2.0, -2.0), 180),
        ((1.0, 0.0), (-1.0, math.sqrt(3)), 120),
    ],
)
def test_angles(one, other, degrees: float) -> None:
    assert angle(one, other) == pytest.approx(degrees)
    assert angle(other, one) == pytest.approx(degrees)


def test_a_vector_without_length_has_no_angle() -> None:
    assert math.isnan(angle((0.0, 0.0), (1.0, 0.0)))
    assert math.isnan(angle((1.0, 0.0), (0.0, 0.0)))


@pytest.mark.parametrize(
    ("update", "gradient", "expected"),
    [
        ((1.0, 0.0), (1.0, 5.0), "descends"),
        ((1.0, 0.0), (-1.0, 5.0), "rises"),
        ((1.0, 0.0), (0.0, 5.0), "stands still"),
        ((1.0, 0.0), (1e-7, 1.0), "stands still"),
        ((1.0, 0.0), (1e-5, 1.0), "descends"),
        ((1e-8, 0.0), (1e-8, 0.0), "descends"),
        ((0.0, 0.0), (1.0, 0.0), "stands still"),
        ((1.0, 0.0), (0.0, 0.0), "stands still"),
    ],
)
def test_effects_follow_the_sign_of_the_inner_product(update, gradient, expected: str) -> None:
    assert effect(update, gradient) == expected


def test_updates_within_a_millionth_coincide() -> None:
    found = coinciding(
        {
            "a": (1.0, 1.0),
            "b": (2.0, 0.0),
            "c": (1.0, 1.0 + 1e-7),
            "d": (1.0, 1.0 + 1e-5),
            "e": (2.0, 0.0),
            "f": (1.0, 1.0),
        },
        GRADIENTS,
    )
    assert found == [("a", "c", "f"), ("b", "e")]


def test_zeros_of_solvers_coincide_and_nan_with_nothing() -> None:
    vectors = {"a": (0.0, 0.0), "b": (1e-12, -1e-12), "c": (math.nan, 0.0), "d": (math.nan, 0.0)}
    assert coinciding(vectors, GRADIENTS) == [("a", "b")]
    assert is_zero((1e-12, 0.0), GRADIENTS)
    assert not is_zero((1e-6, 0.0), GRADIENTS)
    assert not is_zero((math.nan, 0.0), GRADIENTS)


def test_conflicts_are_pairs_beyond_a_right_angle() -> None:
    assert conflicts(GRADIENTS) == []
    assert conflicts(((1.0, 0.0), (-1.0, 5.0), (0.0, -1.0))) == [(0, 1), (1, 2)]
    assert conflicts(((1.0, 0.0), (0.0, 0.0))) == []


def test_an_update_that_is_one_of_the_gradients() -> None:
    assert equal_gradient((0.0, 2.0), GRADIENTS) == 1
    assert equal_gradient((0.0, 1.0), GRADIENTS) is None
    assert equal_gradient((1.0, 0.0), ((1.0, 0.0), (1.0, 0.0))) is None


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        (((1.0, 0.0), (-3.0, 0.0)), True),
        (((1.0, 0.0), (-3.0, 0.1)), False),
        (((1.0, 0.0), (1.0, 0.0)), False),
        (((1.0, 0.0), (-1.0, 2.0), (-1.0, -1.0)), True),
        (((1.0, 0.0), (-1.0, 2.0), (1.0, 1.0)), False),
        (((1.0, 0.0), (0.0, 0.0)), True),
    ],
)
def test_gradients_cancel_unless_a_half_plane_holds_them(gradients, expected: bool) -> None:
    assert cancel(gradients) == expected
