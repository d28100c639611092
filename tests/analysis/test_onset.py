import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import Comparison, Onset, Versus, onset
from mtl_core.analysis.onset import beginning

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")

LOSSES = (1.0, 0.1, 0.001)


def seeds(
    replica: Frame,
    curve: str,
    metrics: Sequence[float],
    losses: Sequence[float] = LOSSES,
    count: int = 3,
    noise: float = 0.01,
    **columns: object,
) -> pd.DataFrame:
    """Seeds at metric − 0.02, metric and metric + 0.02; those of ``mtl`` are ``noise`` further.

    So the pairs' differences are gap − noise, gap and gap + noise: the interval reaches
    4.3027 / √3 = 2.484 times the noise to either side of the gap.
    """
    apart = 0.02 + (noise if curve == "mtl" else 0)
    return pd.concat(
        [
            replica(
                curve, seed, losses, [metric + apart * (seed - 1) for metric in metrics], **columns
            )
            for seed in range(count)
        ]
    )


def found(result: Onset | None) -> Onset:
    assert result is not None
    return result


@pytest.mark.parametrize(
    # From loss 0.1 on the gap grows by 0.2 a decade. Levels are 0.05 decades apart, so that its
    # mean is 0 in the window from 10^−0.55 to 10^−1, 0.2 × 0.275 = 0.055 in the next one, and
    # 0.2 × 0.775 = 0.155 in the one after that; the interval reaches 0.0248, or 0.0745.
    ("noise", "begins"),
    [(0.01, 1.05), (0.03, 1.55)],
)
def test_the_onset_is_the_first_window_whose_gap_leaves_out_0(
    replica: Frame, noise: float, begins: float
) -> None:
    slow = seeds(replica, "mtl", [0.5, 0.5, 0.9], noise=noise)
    fast = seeds(replica, "stl", [0.5, 0.5], losses=[1.0, 0.001], epoch=[0.0, 10.0])
    result = found(onset(pd.concat([slow, fast]), MTL))
    assert result.train_loss == pytest.approx(10**-begins)
    assert result.verdict == "better"
    # Epochs in log loss: what is below 0.1 of the 2 decades after epoch 1, and of 3 in 10 epochs.
    assert result.epoch == pytest.approx(1 + (begins - 1) / 2)
    assert result.epoch_baseline == pytest.approx(10 * begins / 3)


def test_no_window_lies_on_both_sides_of_a_tenth(replica: Frame) -> None:
    """Of a gap that opens right below it, nothing is said to be there above, wherever runs end."""
    losses = [1.0, 0.1, 0.0999, 0.001]
    for lowest in (0.001, 0.002, 0.005, 0.04, 0.08):
        reached = [*losses[:3], lowest]
        frame = pd.concat(
            [
                seeds(replica, "mtl", [0.5, 0.5, 0.9, 0.9], losses=reached),
                seeds(replica, "stl", [0.5, 0.5, 0.5, 0.5], losses=reached),
            ]
        )
        assert found(onset(frame, MTL)).train_loss == pytest.approx(10**-1.05)


def test_a_single_level_without_a_gap_does_not_make_the_onset_late(replica: Frame) -> None:
    losses = [1.0, 0.06, 0.05, 0.04, 0.001]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.9, 0.5, 0.9, 0.9], losses=losses),
            seeds(replica, "stl", [0.5] * 5, losses=losses),
        ]
    )
    assert found(onset(frame, MTL)).train_loss == 1.0


def test_the_epoch_is_the_mean_over_seeds(replica: Frame) -> None:
    mtl = seeds(replica, "mtl", [0.9, 0.9, 0.9])
    mtl["epoch"] *= mtl["seed"] + 1
    # The baseline starts at loss 0.1 only, so the three have passed there in epochs 1, 2 and 3.
    stl = seeds(replica, "stl", [0.5, 0.5], losses=[0.1, 0.001])
    result = found(onset(pd.concat([mtl, stl]), MTL))
    assert (result.train_loss, result.epoch, result.epoch_baseline) == pytest.approx((0.1, 2, 0))


def test_a_gap_of_the_other_sign_does_not_count(replica: Frame) -> None:
    # Better by 0.4 at loss 1, worse by 0.4 at 0.001, linear in log loss: worse from 1.5 decades
    # on, by 0.073 in the window from there, and better by 0.06 in the one before.
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.1], losses=[1.0, 0.001]),
            seeds(replica, "stl", [0.5, 0.5], losses=[1.0, 0.001]),
        ]
    )
    result = found(onset(frame, MTL))
    assert result.verdict == "worse"
    assert result.train_loss == pytest.approx(10**-1.55)
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
    # Closed from 0.09 to 0.02, in the whole window from 10^−1.05 to 10^−1.5.
    losses = [1.0, 0.1, 0.09, 0.02, 0.019, 0.001]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.9, 0.9, 0.5, 0.5, 0.9, 0.9], losses=losses),
            seeds(replica, "stl", [0.5] * 6, losses=losses),
        ]
    )
    assert found(onset(frame, MTL)).train_loss == pytest.approx(10**-1.55)


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
    # The mean over the last window is a tenth of the gap at its last level: 0.04, below 0.0745.
    losses = [1.0, 0.0101, 0.01]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.5, 0.5, 0.9], losses=losses, noise=0.03),
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


def lead(frame: pd.DataFrame, loss: float = 0.1) -> Comparison | None:
    return beginning(frame, MTL, loss)


def test_the_beginning_is_the_gap_there_less_half_of_the_last(replica: Frame) -> None:
    # 0.1 at loss 0.1 and 0.4 at the end: 0.1 − 0.2. The noise is ± 0.01 less half of it.
    frame = pd.concat(
        [seeds(replica, "mtl", [0.9, 0.6, 0.9]), seeds(replica, "stl", [0.5, 0.5, 0.5])]
    )
    late = lead(frame)
    assert late is not None
    assert late.delta == pytest.approx(-0.1)
    assert late.spread == pytest.approx(0.005)
    assert (late.verdict, late.pairs) == ("worse", 3)
    # At a loss between checkpoints it is read between them: 0.25 half a decade below 0.1.
    further = lead(frame, 10**-2.0)
    assert further is not None
    assert further.delta == pytest.approx(0.25 - 0.2)
    assert further.verdict == "better"


def test_a_gap_that_opens_in_full_just_above_is_there(replica: Frame) -> None:
    losses = [1.0, 0.13, 0.12, 0.001]
    frame = pd.concat(
        [
            seeds(replica, "mtl", [0.5, 0.5, 0.9, 0.9], losses=losses),
            seeds(replica, "stl", [0.5] * 4, losses=losses),
        ]
    )
    there = lead(frame)
    assert there is not None
    assert there.delta == pytest.approx(0.2)
    assert there.verdict == "better"


def test_the_beginning_takes_a_way_down_past_the_loss(replica: Frame) -> None:
    frame = pd.concat(
        [seeds(replica, "mtl", [0.9, 0.6, 0.9]), seeds(replica, "stl", [0.5, 0.5, 0.5])]
    )
    for loss in (1.0, 2.0, 0.0009):
        assert lead(frame, loss) is None
    assert lead(frame, 0.001) is not None
    assert lead(frame[frame["curve"] == "mtl"]) is None
    assert lead(pd.DataFrame()) is None
    ahead = frame[(frame["seed"] > 0) | (np.asarray(frame["step"]) < 10)]
    assert lead(ahead) is None
