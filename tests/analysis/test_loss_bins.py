import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import LOSS_FLOOR, PHASES, BinnedComparison, Versus, comparable, loss_bins

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")
ITSELF = replace(MTL, baseline="mtl")


def curve(
    replica: Frame,
    name: str,
    decades: Sequence[float],
    *seeds: Sequence[float | None],
    column: str = "sharpness",
) -> pd.DataFrame:
    """Seeds that share their losses after whole epochs, 10^−decades, and have a factor each.

    The untrained network, with a loss and a factor of its own, comes before: it never counts.
    """
    losses = [50.0, *(10**-decade for decade in decades)]
    return pd.concat(
        [
            replica(name, seed, losses, [0.5] * len(losses), **{column: [1e6, *factor]})
            for seed, factor in enumerate(seeds)
        ]
    )


def found(result: BinnedComparison | None) -> BinnedComparison:
    assert result is not None
    return result


def test_edges_are_geometric_from_the_highest_loss_to_the_lowest() -> None:
    np.testing.assert_allclose(loss_bins([1.0, 100.0, 7.0], bins=2), [100, 10, 1])
    edges = loss_bins([2.0, 0.5, 1e-3])
    assert edges.shape == (21,)
    assert (edges[0], edges[-1]) == (2.0, 1e-3)
    np.testing.assert_allclose(edges[1:] / edges[:-1], (1e-3 / 2) ** (1 / 20))
    np.testing.assert_array_equal(loss_bins([1e-3, math.nan, math.inf, 2.0]), edges)


def test_a_loss_of_zero_is_binned_at_the_floor() -> None:
    assert loss_bins([1.0, 0.0])[-1] == LOSS_FLOOR == 1e-12
    # The paper reaches losses of 1e-6 and less: they are losses, not 0.
    assert loss_bins([1.0, 1e-9])[-1] == 1e-9


def test_bins_that_cannot_be_made() -> None:
    assert np.isnan(loss_bins([], bins=3)).tolist() == [True] * 4
    with pytest.raises(ValueError, match="bins must be at least 1, not 0"):
        loss_bins([1.0], bins=0)


def test_the_end_is_read_on_the_curve_with_the_higher_minimum(replica: Frame) -> None:
    # Its 20 bins are a fifth of a decade each: bins 18 to 20 are 10^−3.4 to 10^−4.
    mtl = curve(
        replica,
        "mtl",
        [0, 2, 3.3, 3.5, 3.8, 4],
        [9, 9, 9, 1.0, None, 2.0],
        [9, 9, 9, 3.0, None, 5.0],
    )
    # The factor is 10 + decades, measured on both sides of the range only.
    stl = curve(replica, "stl", [0, 3, 3.7, 5, 6], [10, 13, None, 15, 99], [20, 23, None, 25, 99])
    result = found(comparable(pd.concat([mtl, stl]), MTL, "sharpness"))
    assert result.phase == "end"
    assert (result.loss_high, result.loss_low) == pytest.approx((10**-3.4, 10**-4))
    assert result.values == pytest.approx((1.5, 4.0))
    assert result.baseline_values == pytest.approx((13.7, 23.7))
    assert result.interpolated == 2
    assert result.measurements == (2, 2, 0, 0)
    assert result.comparison.delta == pytest.approx(2.75 - 18.7)

    mirror = replace(MTL, curve="stl", baseline="mtl")
    mirrored = found(comparable(pd.concat([stl, mtl]), mirror, "sharpness"))
    assert (mirrored.loss_high, mirrored.loss_low) == (result.loss_high, result.loss_low)
    assert mirrored.values == result.baseline_values
    assert mirrored.comparison.delta == pytest.approx(18.7 - 2.75)


def test_the_early_phase_is_bins_2_to_5(replica: Frame) -> None:
    # 10^−0.2 to 10^−1: the first epoch and what comes after do not count; the ends do.
    decades = [0, 0.2, 0.6, 1.0, 1.1, 4.0]
    frame = pd.concat(
        [
            curve(replica, "mtl", decades, [50, 1, 2, 6, 50, 50], column="fisher_trace"),
            curve(replica, "stl", decades, [50, 2, 3, 4, 50, 50], column="fisher_trace"),
        ]
    )
    result = found(comparable(frame, MTL, "fisher_trace"))
    assert (result.phase, PHASES[result.phase]) == ("early", (2, 5))
    assert (result.loss_high, result.loss_low) == pytest.approx((10**-0.2, 0.1))
    assert result.values + result.baseline_values == pytest.approx((3.0, 3.0))
    assert result.interpolated == 0
    assert result.measurements == (3, 3)
    assert found(comparable(frame, MTL, "fisher_trace", "end")).phase == "end"


def test_bins_begin_at_the_first_whole_epoch_and_hold_whole_epochs_only(replica: Frame) -> None:
    """The paper's trajectories begin there, and so its early bins, 10⁰ to 10⁻¹, do too."""
    decades = [0, 0.2, 0.6, 1.0, 4.0]

    def run(name: str) -> pd.DataFrame:
        whole = curve(replica, name, decades, [50, 1, 2, 6, 50], [50, 1, 3, 8, 50])
        # Inside the first epoch at losses from before the bins to their end, and between others.
        inside = (
            whole[whole["step"] > 0]
            .iloc[:5]
            .assign(
                step=[1, 2, 3, 15, 25],
                epoch=[0.1, 0.2, 0.3, 1.5, 2.5],
                train_loss=[3.0, 0.5, 0.2, 0.3, 0.4],
                sharpness=1000.0,
            )
        )
        return pd.concat([whole, inside])

    frame = pd.concat([run("mtl"), run("stl")])
    result = found(comparable(frame, MTL, "sharpness", "early"))
    assert (result.loss_high, result.loss_low) == pytest.approx((10**-0.2, 0.1))
    assert result.values == result.baseline_values == pytest.approx((3.0, 4.0))
    assert result.measurements == (3, 3, 3, 3)


def test_the_range_is_that_of_the_mean_over_seeds(replica: Frame) -> None:
    # Minimum losses 0.1 and 0.3: 0.2, above the baseline's 0.15; highest 3 and 1: 2.
    frame = pd.concat(
        [
            replica("mtl", 0, [4, 3, 0.1], [0, 0, 0], sharpness=[9, 0, 1]),
            replica("mtl", 1, [4, 1, 0.3], [0, 0, 0], sharpness=[9, 0, 1]),
            replica("stl", 0, [4, 9, 0.2, 0.15], [0, 0, 0, 0], sharpness=[9, 0, 1, 1]),
        ]
    )
    result = found(comparable(frame, MTL, "sharpness"))
    assert result.loss_low == pytest.approx(0.2)
    assert result.loss_high == pytest.approx(2 * 0.1 ** (17 / 20))
    # One seed passes the range's centre on the way, one stops above it, one was measured inside.
    centre = math.sqrt(0.2 * 2 * 0.1**0.85)
    assert result.values == (pytest.approx(math.log(3 / centre) / math.log(3 / 0.1)), None)
    assert (result.baseline_values, result.interpolated) == ((1.0,), 1)


@pytest.mark.parametrize("loss", [0.1, 0.7, 1e-3])
def test_the_last_checkpoint_of_seeds_with_equal_losses_is_inside(
    replica: Frame, loss: float
) -> None:
    # The mean of three equal numbers may be off by their rounding.
    frame = pd.concat(
        [
            replica(name, seed, [3.0, 2.0, loss], [0, 0, 0], sharpness=[None, None, 4.0])
            for name in ("mtl", "stl")
            for seed in range(3)
        ]
    )
    assert found(comparable(frame, MTL, "sharpness")).values == (4.0,) * 3


def test_a_seed_that_was_not_measured_down_to_the_range_has_no_value(replica: Frame) -> None:
    stl = curve(replica, "stl", [0, 3.8, 4], [9, 1, 1], [9, 1.5, 1.5], [9, 2, 2])
    mtl = curve(replica, "mtl", [0, 3.8, 4], [9, 5, 5], [9, 5.5, 5.5], [9, None, None])
    result = found(comparable(pd.concat([mtl, stl]), MTL, "sharpness"))
    assert result.values == (5.0, 5.5, None)
    assert (result.comparison.seeds, result.comparison.baseline_seeds) == (2, 3)


def test_of_a_live_run_only_what_is_known_is_said(replica: Frame) -> None:
    stl = curve(replica, "stl", [0, 2, 3.8, 4], [9, 3, 1, 1], [9, 3, 2, 2])
    mtl = curve(replica, "mtl", [0, 2, 3.8, 4], [9, 7, 5, 5], [9, 8, 6, 6])
    frame = pd.concat([mtl, stl])
    starting = frame[(frame["curve"] == "stl") | (frame["step"] <= 10)]
    assert comparable(starting, MTL, "sharpness") is None
    # One seed is ahead: the other's only loss lies above the range, which begins at 10^−0.22.
    lone = frame[(frame["curve"] == "stl") | (frame["seed"] == 0) | (frame["step"] <= 10)]
    result = found(comparable(lone, MTL, "sharpness"))
    assert result.loss_low == pytest.approx((1 + 1e-4) / 2)
    assert result.values[1] is None
    assert result.comparison.verdict == "too few seeds"


def test_nothing_to_compare_is_none(replica: Frame) -> None:
    frame = pd.concat(
        [
            curve(replica, "mtl", [0, 4], [1, 1]),
            curve(replica, "unmeasured", [0, 4], [None, None]),
            curve(replica, "untrained", [0], [1]),
            curve(replica, "diverged", [math.nan], [1]),
        ]
    )
    for other in ("unmeasured", "untrained", "diverged", "never ran"):
        assert comparable(frame, replace(MTL, baseline=other), "sharpness") is None
        assert comparable(frame, replace(ITSELF, curve=other), "sharpness") is None
    assert comparable(frame, ITSELF, "fisher_trace") is None  # no such column
    assert comparable(frame, replace(ITSELF, task="another task"), "sharpness") is None
    assert comparable(pd.DataFrame(), MTL, "sharpness") is None


@pytest.mark.parametrize(
    ("column", "verdict"),
    [
        ("sharpness", "better"),
        ("fisher_trace", "better"),
        ("gradient_covariance", "better"),
        ("gradient_similarity", "worse"),
    ],
)
def test_a_decrease_is_better_but_for_similarity(replica: Frame, column: str, verdict: str) -> None:
    ours, theirs = (0.10, 0.11, 0.13), (0.90, 0.91, 0.92)
    frame = pd.concat(
        [
            curve(replica, "mtl", [0, 4], *([value, value] for value in ours), column=column),
            curve(replica, "stl", [0, 4], *([value, value] for value in theirs), column=column),
        ]
    )
    result = found(comparable(frame, MTL, column))
    assert result.comparison.delta == pytest.approx(-2.39 / 3)
    assert result.comparison.pairs == 3
    assert result.comparison.verdict == verdict


def test_the_order_of_rows_does_not_matter(replica: Frame) -> None:
    generator = np.random.default_rng(0)
    frame = pd.concat(
        [
            curve(replica, name, [0, 1, 2, 3, 3.6, low], *generator.random((3, 6)).tolist())
            for name, low in (("mtl", 4), ("stl", 4.5))
        ]
    )
    shuffled = frame.sample(frac=1, random_state=1)
    expected = comparable(frame, MTL, "sharpness")
    assert expected is not None
    assert comparable(shuffled, MTL, "sharpness") == expected


def test_what_is_no_factor_has_no_bins(replica: Frame) -> None:
    frame = curve(replica, "mtl", [0, 4], [1, 1])
    with pytest.raises(ValueError, match="unknown factor 'train_loss'; one of: sharpness, "):
        comparable(frame, ITSELF, "train_loss")
    with pytest.raises(ValueError, match="unknown phase 'late'; one of: early, end"):
        comparable(frame, ITSELF, "sharpness", "late")  # type: ignore[arg-type]
