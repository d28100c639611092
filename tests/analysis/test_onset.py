import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd
import pytest

from mtl_core.analysis import Onset, Versus, onset

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")

LOSSES = (1.0, 0.1, 0.001)


def seeds(
    replica: Frame,
    curve: str,
    metrics: Sequence[float],
    losses: Sequence[float] = LOSSES,
    count: int = 2,
    **columns: object,
) -> pd.DataFrame:
    """Seeds at metric and metric + 0.02: mean + 0.01, standard deviation 0.01 √2."""
    return pd.concat(
        [
            replica(curve, seed, losses, [metric + 0.02 * seed for metric in metrics], **columns)
            for seed in range(count)
        ]
    )


def found(result: Onset | None) -> Onset:
    assert result is not None
    return result


def test_the_onset_is_the_first_level_at_which_the_gap_exceeds_its_margin(replica: Frame) -> None:
    # From loss 0.1 on the gap grows by 0.2 a decade. The margin is 2 (0.01 √2 + 0.01 √2), passed
    # after 0.283 decades; levels are 0.05 apart, so at 0.3.
    assert 0.25 < 4 * math.sqrt(2) * 0.01 / 0.2 < 0.3
    slow = seeds(replica, "mtl", [0.5, 0.5, 0.9])
    fast = seeds(replica, "stl", [0.5, 0.5], losses=[1.0, 0.001], epoch=[0.0, 10.0])
    result = found(onset(pd.concat([slow, fast]), MTL))
    assert result.train_loss == pytest.approx(10**-1.3)
    assert result.verdict == "better"
    # Epochs in log loss: 0.3 of the 2 decades after epoch 1, and 1.3 of 3 decades in 10 epochs.
    assert result.epoch == pytest.approx(1.15)
    assert result.epoch_baseline == pytest.approx(10 * 1.3 / 3)


def test_the_epoch_is_the_mean_over_seeds(replica: Frame) -> None:
    mtl = seeds(replica, "mtl", [0.9, 0.9, 0.9])
    mtl["epoch"] *= mtl["seed"] + 1
    # The baseline starts at loss 0.1 only, so the two have passed there in epochs 1 and 2.
    stl = seeds(replica, "stl", [0.5, 0.5], losses=[0.1, 0.001])
    result = found(onset(pd.concat([mtl, stl]), MTL))
    assert (result.train_loss, result.epoch, result.epoch_baseline) == pytest.approx((0.1, 1.5, 0))


def test_a_gap_of_the_other_sign_does_not_count(replica: Frame) -> None:
    # Better by 0.4 at loss 1, worse by 0.4 at 0.001, linear in log loss: worse by the margin of
    # 0.0566 at 1.5 + 0.212 decades, so at 1.75.
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.1], losses=[1.0, 0.001]),
            seeds(replica, "stl", [0.5, 0.5], losses=[1.0, 0.001]),
        ]
    )
    result = found(onset(frame, MTL))
    assert result.verdict == "worse"
    assert result.train_loss == pytest.approx(10**-1.75)
    mirrored = found(onset(frame, Versus("target", "stl", "mtl", "higher")))
    assert (mirrored.verdict, mirrored.train_loss) == ("better", result.train_loss)


def test_a_gap_that_changes_sign_between_two_levels_begins_anew(replica: Frame) -> None:
    losses = [1.0, 0.1, 0.0999, 0.001]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.9, 0.1, 0.1], losses=losses),
            seeds(replica, "stl", [0.5, 0.5, 0.5, 0.5], losses=losses),
        ]
    )
    result = found(onset(frame, MTL))
    assert (result.verdict, result.train_loss) == ("worse", pytest.approx(10**-1.05))


def test_checkpoints_without_a_test_metric_are_passed_over(replica: Frame) -> None:
    losses = [0.5, 2.0, 0.01]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [math.nan, 0.9, 0.9], losses=losses),
            seeds(replica, "stl", [math.nan, 0.5, 0.5], losses=losses),
        ]
    )
    assert onset(frame, MTL) == Onset(2.0, 1.0, 1.0, "better")


def test_a_gap_that_closes_on_the_way_begins_anew(replica: Frame) -> None:
    losses = [1.0, 0.1, 0.01, 0.001]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.9, 0.5, 0.9], losses=losses),
            seeds(replica, "stl", [0.5, 0.5, 0.5, 0.5], losses=losses),
        ]
    )
    # After the closed gap at 0.01 it grows by 0.4 a decade: over the margin at 0.141, so 0.15.
    assert found(onset(frame, MTL)).train_loss == pytest.approx(10**-2.15)


def test_a_gap_from_the_start_begins_at_the_highest_common_loss(replica: Frame) -> None:
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.9], losses=[2.3, 0.01]),
            seeds(replica, "stl", [0.5, 0.5], losses=[2.1, 0.01]),
        ]
    )
    result = found(onset(frame, MTL))
    assert result.train_loss == 2.1
    assert result.epoch == pytest.approx(math.log(2.3 / 2.1) / math.log(230))
    assert result.epoch_baseline == 0


def test_a_gap_that_opens_at_the_very_end_begins_there(replica: Frame) -> None:
    losses = [1.0, 0.0101, 0.01]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.5, 0.5, 0.9], losses=losses),
            seeds(replica, "stl", [0.5, 0.5, 0.5], losses=losses),
        ]
    )
    result = found(onset(frame, MTL))
    assert result.train_loss == pytest.approx(0.01)
    assert (result.epoch, result.epoch_baseline) == pytest.approx((2, 2))


def test_a_gap_that_has_closed_again_has_no_onset(replica: Frame) -> None:
    frame = pd.concat(
        [seeds(replica, "mtl", [0.9, 0.9, 0.5]), seeds(replica, "stl", [0.5, 0.5, 0.5])]
    )
    assert onset(frame, MTL) is None


def test_errors_are_better_when_lower(replica: Frame) -> None:
    frame = pd.concat(
        [seeds(replica, "mtl", [0.1, 0.1, 0.1]), seeds(replica, "stl", [0.5, 0.5, 0.5])]
    )
    result = found(onset(frame, replace(MTL, direction="lower")))
    assert result.verdict == "better"
    assert found(onset(frame, MTL)).verdict == "worse"


def test_one_seed_has_no_onset(replica: Frame) -> None:
    mtl = seeds(replica, "mtl", [0.9, 0.9, 0.9])
    stl = seeds(replica, "stl", [0.5, 0.5, 0.5], count=1)
    assert onset(pd.concat([mtl, stl]), MTL) is None
    assert onset(pd.concat([mtl, stl]), Versus("target", "stl", "mtl", "higher")) is None


def test_of_a_live_run_only_what_all_seeds_have_passed_counts(replica: Frame) -> None:
    frame = pd.concat(
        [seeds(replica, "mtl", [0.5, 0.5, 0.9]), seeds(replica, "stl", [0.5, 0.5, 0.5])]
    )
    assert onset(frame, MTL) is not None
    # One seed has yet to get to where the gap opens.
    behind = frame[(frame["curve"] == "stl") | (frame["seed"] == 0) | (frame["step"] < 20)]
    assert onset(behind, MTL) is None
    assert onset(frame[frame["curve"] == "mtl"], MTL) is None
    assert onset(pd.DataFrame(), MTL) is None
    unmeasured = frame.assign(test_metric=math.nan)
    assert onset(unmeasured, MTL) is None
    apart = pd.concat([frame, seeds(replica, "apart", [0.5], losses=[1e-5])])
    assert onset(apart, Versus("target", "mtl", "apart", "higher")) is None


def test_the_order_of_rows_does_not_matter(replica: Frame) -> None:
    frame = pd.concat(
        [seeds(replica, "mtl", [0.5, 0.6, 0.9]), seeds(replica, "stl", [0.5, 0.5, 0.5])]
    )
    expected = found(onset(frame, MTL))
    assert onset(frame.sample(frac=1, random_state=0), MTL) == expected
