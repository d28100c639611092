import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import LOSS_FLOOR, Versus, gap, loss_matched, metric_at_loss

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")


def test_a_metric_linear_in_log_loss_is_read_exactly() -> None:
    losses = np.array([2.0, 1.1, 0.4, 0.05])
    levels = np.geomspace(2.0, 0.05, 9)[1:-1]
    read = metric_at_loss(losses, 0.3 - 0.2 * np.log(losses), levels)
    np.testing.assert_allclose(read, 0.3 - 0.2 * np.log(levels))


def test_levels_outside_the_trajectory_are_nan() -> None:
    read = metric_at_loss([2.0, 1.0], [0.1, 0.5], [2.1, 2.0, 1.0, 0.9, 0.0, -1.0])
    np.testing.assert_allclose(read, [np.nan, 0.1, 0.5, np.nan, np.nan, np.nan])


def test_a_loss_that_rises_again_is_not_read_twice() -> None:
    # The third checkpoint has a higher loss than the second: its metric belongs to no level.
    read = metric_at_loss([2.0, 1.0, 1.5, 0.5], [0.0, 1.0, 9.0, 2.0], [1.5, 1.0, math.sqrt(0.5)])
    np.testing.assert_allclose(read, [math.log(2 / 1.5) / math.log(2), 1.0, 1.5])


def test_equal_losses_give_the_first_checkpoint() -> None:
    assert metric_at_loss([2.0, 1.0, 1.0], [0.0, 0.4, 0.9], [1.0]).tolist() == [0.4]


def test_a_loss_of_zero_is_read_at_the_floor() -> None:
    assert metric_at_loss([1.0, 0.0], [0.1, 0.9], [LOSS_FLOOR]).tolist() == [0.9]
    # Losses that the paper reaches are told from it.
    assert metric_at_loss([1.0, 1e-8, 0.0], [0.1, 0.5, 0.9], [1e-8]).tolist() == [0.5]


def test_checkpoints_that_are_not_finite_are_passed_over() -> None:
    read = metric_at_loss([2.0, np.nan, 1.0, np.inf], [0.0, 5.0, 1.0, 5.0], [math.sqrt(2), 1.0])
    np.testing.assert_allclose(read, [0.5, 1.0])
    assert np.isnan(metric_at_loss([], [], [1.0])).all()


def test_the_band_of_parallel_seeds_is_known_everywhere(replica: Frame) -> None:
    # metric = a − log loss with a = 0, 1, 2: mean 1 − log loss, standard deviation 1.
    frame = pd.concat(
        [
            replica("c", seed, losses, [seed - math.log(loss) for loss in losses])
            for seed, losses in enumerate([[2.0, 0.9, 0.1], [1.8, 0.6, 0.05], [2.2, 0.7, 0.08]])
        ]
    )
    band = loss_matched(frame, "target")
    np.testing.assert_allclose(band["metric_mean"], 1 - np.log(band["train_loss"]))
    np.testing.assert_allclose(band["metric_high"] - band["metric_mean"], 2)
    np.testing.assert_allclose(band["metric_mean"] - band["metric_low"], 2)
    # From where the last seed starts to where the first to stop has got.
    assert band["train_loss"].iloc[[0, -1]].tolist() == [1.8, 0.1]
    assert band["train_loss"].is_monotonic_decreasing
    assert set(band["seeds"]) == {3}


def test_what_is_drawn_stays_in_place_while_the_run_goes_on(replica: Frame) -> None:
    losses, metrics = [2.0, 1.0, 0.5, 0.2, 0.1], [0.1, 0.3, 0.6, 0.7, 0.75]
    full = loss_matched(replica("c", 0, losses, metrics), "target").set_index("train_loss")
    half = loss_matched(replica("c", 0, losses[:3], metrics[:3]), "target").set_index("train_loss")
    shared = half.index.intersection(full.index)
    assert len(shared) >= len(half) - 1  # all but the moving end
    pd.testing.assert_frame_equal(half.loc[shared], full.loc[shared])


def test_curves_meet_on_one_grid(replica: Frame) -> None:
    frame = pd.concat([replica("a", 0, [2.0, 0.1], [0, 1]), replica("b", 0, [1.7, 0.3], [0, 1])])
    band = loss_matched(frame, "target", points_per_decade=10)
    inner = {curve: set(rows["train_loss"].iloc[1:-1]) for curve, rows in band.groupby("curve")}
    assert inner["b"] < inner["a"]
    assert sorted(inner["b"])[:2] == pytest.approx([10**-0.5, 10**-0.4])


def test_a_band_needs_a_loss_that_all_seeds_reached(replica: Frame) -> None:
    apart = pd.concat([replica("a", 0, [2.0], [0.1]), replica("a", 1, [1.9], [0.1])])
    assert loss_matched(apart, "target").empty
    assert len(loss_matched(replica("a", 0, [2.0], [0.1]), "target")) == 1
    assert loss_matched(pd.DataFrame(), "target").empty


def test_a_factor_measured_at_few_checkpoints_is_read_between_them(replica: Frame) -> None:
    # Sharpness 1, 3, 5 at losses 1, 0.1, 0.01: 1 − 2 log10 loss wherever it is measured.
    losses = [2.0, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005]
    sharpness = [None, 1.0, None, 3.0, None, 5.0, None]
    frame = pd.concat(
        [
            replica("c", 0, losses, [0.5] * 7, sharpness=sharpness),
            replica("never measured", 0, losses, [0.5] * 7),
        ]
    )
    band = loss_matched(frame, "target", column="sharpness")
    assert set(band["curve"]) == {"c"}
    assert band["train_loss"].iloc[[0, -1]].tolist() == [1.0, 0.01]
    assert len(band) == 41  # 20 levels a decade and the start
    np.testing.assert_allclose(band["metric_mean"], 1 - 2 * np.log10(band["train_loss"]))


def test_a_factor_that_was_never_measured_gives_an_empty_band(replica: Frame) -> None:
    frame = replica("c", 0, [2.0, 1.0], [0.1, 0.2])
    assert frame["sharpness"].isna().all()
    band = loss_matched(frame, "target", column="sharpness")
    assert band.empty
    assert band.columns.tolist() == loss_matched(frame, "target").columns.tolist()


def test_the_gap_is_read_at_the_lowest_loss_that_all_have_reached(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("mtl", 0, [2.0, 0.5], [0.0, 0.90]),
            replica("mtl", 1, [2.0, 0.5], [0.0, 0.92]),
            replica("stl", 0, [2.0, 0.5, 0.1], [0.0, 0.80, 0.85]),
            replica("stl", 1, [2.0, 0.25], [0.0, 0.90]),
        ]
    )
    found = gap(frame, MTL)
    assert found is not None
    assert found.train_loss == 0.5
    assert found.metrics == pytest.approx((0.90, 0.92))
    # The second baseline seed went from 2 to 1/4 in one go: 1/2 is two thirds of the way in log.
    assert found.baseline_metrics == pytest.approx((0.80, 0.60))
    assert found.comparison.delta == pytest.approx(0.21)
    assert found.comparison.verdict == "not significant"
    mirrored = gap(frame, Versus("target", "stl", "mtl", "higher"))
    assert mirrored is not None
    assert mirrored.comparison.delta == pytest.approx(-0.21)


def test_there_is_no_gap_without_a_common_loss(replica: Frame) -> None:
    frame = pd.concat([replica("mtl", 0, [0.5, 0.4], [0, 0]), replica("stl", 0, [2, 0.6], [0, 0])])
    assert gap(frame, MTL) is None
    assert gap(frame, Versus("target", "mtl", "never ran", "higher")) is None
    assert gap(pd.DataFrame(), MTL) is None


def test_a_gap_in_error_has_the_other_direction(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica(curve, seed, [2.0, 1.0], [1.0, error + step * (seed - 1)])
            for curve, error, step in (("mtl", 0.1, 0.01), ("stl", 0.5, 0.02))
            for seed in (0, 1, 2)
        ]
    )
    found = gap(frame, replace(MTL, direction="lower"))
    assert found is not None
    assert found.comparison.verdict == "better"
    assert found.comparison.delta == pytest.approx(-0.4)


def test_geometric_reading_goes_straight_on_logarithmic_axes(replica: Frame) -> None:
    """From 1 at loss 1 to 1e-4 at loss 1e-2, by way of nothing: 1e-2 at loss 0.1."""
    rows = replica("a", 0, [1.0, 0.3, 1e-2], [0.5, 0.5, 0.5], sharpness=[1.0, 0.0, 1e-4])
    straight = loss_matched(rows, "target", column="sharpness", geometric=True)
    levels = straight["train_loss"].to_numpy()
    np.testing.assert_allclose(straight["metric_mean"], levels**2, rtol=1e-9)
    linear = loss_matched(rows, "target", column="sharpness")
    assert linear["metric_mean"].min() < 1e-5, "a checkpoint at 0 is read as it is"
