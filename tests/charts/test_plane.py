import json
import math
from typing import Any

import pytest

from mtl_core import InputError
from mtl_core.charts.plane import Arrow, plane_alt, plane_drawing, style_methods

METHODS = style_methods(["sum", "mean", "other"])


def test_the_longest_arrow_reaches_the_radius_1() -> None:
    drawn = plane_drawing(_vectors((0, 3.0), (90, 4.0)), _updates((3.0, 4.0), (1.5, 2.0)), METHODS)
    assert (drawn["longest"], drawn["floor"]) == (5.0, None)
    ends = _by_label(drawn)
    assert ends["sum"]["length"] == 5.0
    assert ends["mean"]["length"] == 2.5
    assert ends["mean"]["angle"] == pytest.approx(math.degrees(math.atan2(4, 3)))
    assert ends["mean"]["words"] == {
        "weights": "1, 1",
        "losses": "L₁ descends",
        "length": "2.5",
        "angle": "53.1°",
    }


def test_logarithmic_lengths_end_half_a_decade_below_the_shortest() -> None:
    drawn = plane_drawing(
        _vectors((30, 1.0), (100, 100.0)), _updates((0.0, 10.0)), METHODS, log=True
    )
    assert drawn["longest"] == pytest.approx(100)
    assert drawn["floor"] == pytest.approx(1 / math.sqrt(10))
    assert drawn["rings"] == [1, 10, 100]


def test_what_is_far_shorter_than_the_rest_has_no_direction() -> None:
    vectors = _vectors((0, 100.0), (90, 0.0))
    drawn = plane_drawing(vectors, _updates((1e-4, 0.0), (0.0, 1e-14)), METHODS, log=True)
    assert drawn["floor"] == pytest.approx(100 / 10**4.5)  # four decades are drawn
    ends = _by_label(drawn)
    assert (ends["sum"]["length"], ends["sum"]["angle"]) == (1e-4, 0)
    assert (ends["mean"]["length"], ends["mean"]["angle"]) == (0, None)


def test_markers_on_one_place_are_all_seen() -> None:
    drawn = plane_drawing(
        _vectors((0, 1.0), (90, 1.0)), _updates((1.0, 1.0), (0.5, 0.5), (1.0, 1.0)), METHODS
    )
    # What covers another is smaller, and no arrow hides a shorter one of its direction.
    assert list(_by_label(drawn)) == ["other", "sum", "mean"]
    sizes = {label: end["size"] for label, end in _by_label(drawn).items()}
    assert sizes["other"] > 2 * sizes["sum"]
    assert sizes["sum"] == sizes["mean"]


def test_updates_that_are_not_finite_or_not_named_are_left_out() -> None:
    updates = _updates((1.0, 0.0), (math.nan, math.nan), (math.inf, 0.0))
    assert list(_by_label(plane_drawing([(1.0, 0.0)], updates, METHODS))) == ["sum"]
    assert not plane_drawing([(1.0, 0.0)], updates, METHODS[1:])["updates"]


def test_without_any_arrow_there_is_a_plane() -> None:
    for log in (False, True):
        drawn = plane_drawing([(0.0, 0.0), (0.0, 0.0)], _updates((0.0, 0.0)), METHODS, log=log)
        assert drawn["longest"] == 1
        assert _by_label(drawn)["sum"]["angle"] is None
        json.dumps(drawn, allow_nan=False)


@pytest.mark.parametrize("longest", [1.0, 1.01, 1.99, 4.9, 5.0, 10.0, 173.0, 0.013])
def test_two_to_five_rings_tell_lengths(longest: float) -> None:
    rings = plane_drawing([(longest, 0.0)], [], METHODS)["rings"]
    assert 2 <= len(rings) <= 5
    assert max(rings) <= longest * (1 + 1e-9)


def test_rings_are_named_where_no_arrow_is() -> None:
    quiet = plane_drawing(_vectors((0, 1.0), (90, 1.0)), _updates((-1.0, 1.0)), METHODS)["quiet"]
    assert quiet == pytest.approx(247.5)  # halfway from 135° to 360°, of sixteen directions


def test_every_method_differs_from_every_other_without_colour() -> None:
    styled = style_methods([f"method {i}" for i in range(36)])
    assert len({(method.dash, method.shape) for method in styled}) == 36
    assert len({(method.dash, method.colour) for method in styled}) == 36
    assert style_methods([f"method {i}" for i in range(9)]) == styled[:9]
    with pytest.raises(InputError, match="37 methods cannot be told apart; show at most 36"):
        style_methods([f"method {i}" for i in range(37)])


def test_the_description_names_tasks_and_methods() -> None:
    told = plane_alt(["g₁", "g₂"], METHODS)
    assert "gradients g₁, g₂" in told
    assert "updates of sum, mean, other" in told
    assert "no method" in plane_alt(["g₁"], [])


def _vectors(*polar: tuple[float, float]) -> list[tuple[float, float]]:
    """From angles in degrees and lengths."""
    return [
        (length * math.cos(math.radians(angle)), length * math.sin(math.radians(angle)))
        for angle, length in polar
    ]


def _updates(*vectors: tuple[float, float]) -> list[Arrow]:
    words = {"weights": "1, 1", "losses": "L₁ descends"}
    return [
        Arrow(method.label, *vector, words)
        for method, vector in zip(METHODS, vectors, strict=False)
    ]


def _by_label(drawn: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Updates in drawing order."""
    return {drawn["methods"][one["method"]]["label"]: one for one in drawn["updates"]}
