import itertools
from collections.abc import Callable

import pytest

from mtl_core.charts import CurveKey, Kind, style_curves
from mtl_core.errors import InputError

KINDS: tuple[Kind, ...] = ("stl", "helpful", "harmful", "other")


def test_a_meaning_has_its_colour() -> None:
    keys = [CurveKey(kind, kind) for kind in KINDS]
    colours = [curve.colour for curve in style_curves(keys)]
    assert colours == ["#0072B2", "#009E73", "#D55E00", "#E69F00"]


def test_one_curve_of_a_kind_is_solid() -> None:
    assert {curve.dash for curve in style_curves([CurveKey(k, k) for k in KINDS])} == {(1, 0)}


def test_a_pinned_curve_keeps_its_colour_and_is_the_dashed_one() -> None:
    pinned, current = style_curves(
        [CurveKey("+ digits2 · lr 0.01", "helpful", pinned=True), CurveKey("+ digits2", "helpful")]
    )
    assert pinned.colour == current.colour == "#009E73"
    assert current.dash == (1, 0)
    assert pinned.dash != current.dash
    assert pinned.shape != current.shape


@pytest.mark.parametrize("mixture", [*itertools.product(KINDS, repeat=2)])
@pytest.mark.parametrize("count", [2, 12, 48])
def test_no_two_curves_look_alike_with_or_without_colour(
    mixture: tuple[Kind, Kind], count: int
) -> None:
    keys = [CurveKey(f"{i}", mixture[i % 2], pinned=i % 3 == 0) for i in range(count)]
    curves = style_curves(keys)
    assert [curve.label for curve in curves] == [key.label for key in keys]
    assert len({(curve.colour, curve.dash) for curve in curves}) == count
    assert len({(curve.shape, curve.dash) for curve in curves}) == count


def test_a_dozen_curves_keep_the_colour_of_their_meaning() -> None:
    keys = [CurveKey(f"{kind} {i}", kind) for kind in KINDS[1:3] for i in range(6)]
    colours = [curve.colour for curve in style_curves(keys)]
    assert colours == ["#009E73"] * 6 + ["#D55E00"] * 6


@pytest.mark.parametrize("background", [(255, 255, 255), (14, 17, 23)])
def test_colours_show_on_light_and_dark(
    background: tuple[int, int, int], contrast: Callable[..., float]
) -> None:
    # 2.2 is what the palette's own orange and sky blue reach on white; the rest are above 3.
    curves = style_curves([CurveKey(f"{i}", KINDS[min(i, 3)]) for i in range(8)])
    assert len({curve.colour for curve in curves}) == 8
    for curve in curves:
        rgb = tuple(int(curve.colour[i : i + 2], 16) for i in (1, 3, 5))
        assert contrast(rgb, background) > 2.2
        if curve.colour not in ("#E69F00", "#56B4E9", "#CC79A7"):
            assert contrast(rgb, background) > 3


def test_labels_must_differ() -> None:
    with pytest.raises(InputError, match="two curves are labelled 'a'"):
        style_curves([CurveKey("a", "stl"), CurveKey("a", "other")])


def test_there_is_an_end_to_styles() -> None:
    with pytest.raises(InputError, match="49 curves cannot be told apart; show at most 48"):
        style_curves([CurveKey(f"{i}", "other") for i in range(49)])
