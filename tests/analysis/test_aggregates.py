import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import (
    FEWEST_EPOCHS,
    Versus,
    aggregate,
    aggregate_checkpoints,
    aggregate_comparison,
    footnote_applies,
)

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")


def long(replica: Frame, curve: str = "c", seed: int = 0, **columns: object) -> pd.DataFrame:
    """30 whole epochs, of which every factor but the similarity was measured at 25: 0, 1, …, 24."""
    columns = {"epoch": np.arange(1.0, 31.0), **columns}
    factor = [value if value < 25 else None for value in range(30)]
    factors = dict.fromkeys(("sharpness", "fisher_trace", "gradient_covariance"), factor)
    return replica(curve, seed, np.geomspace(2, 0.1, 30), [0.5] * 30, **{**factors, **columns})


@pytest.mark.parametrize("column", ["sharpness", "gradient_covariance"])
def test_sharpness_and_covariance_are_the_mean_of_the_last_20(replica: Frame, column: str) -> None:
    assert aggregate(long(replica), "target", "c", column) == (14.5,)  # of 5, …, 24
    reversed_in_time = long(replica, **{column: [None] * 5 + list(range(25))[::-1]})
    assert aggregate(reversed_in_time, "target", "c", column) == (9.5,)  # of 19, …, 0
    assert aggregate_checkpoints(long(replica), "target", "c", column) == (20,)


def test_the_fisher_trace_is_the_mean_of_its_20_largest(replica: Frame) -> None:
    assert aggregate(long(replica), "target", "c", "fisher_trace") == (14.5,)
    shuffled = np.random.default_rng(0).permutation(30).astype(float)
    frame = long(replica, fisher_trace=shuffled)
    assert aggregate(frame, "target", "c", "fisher_trace") == (19.5,)  # of 10, …, 29


def test_similarity_is_the_mean_of_all(replica: Frame) -> None:
    frame = long(replica, gradient_similarity=[0.0, *[None] * 28, 1.0])
    assert aggregate(frame, "target", "c", "gradient_similarity") == (0.5,)
    assert aggregate_checkpoints(frame, "target", "c", "gradient_similarity") == (2,)


def test_the_test_metric_is_read_at_the_10_best_validation_checkpoints(replica: Frame) -> None:
    order = np.random.default_rng(0).permutation(30)
    frame = long(replica, test_metric=order / 100, val_metric=order)
    assert aggregate(frame, "target", "c", "test_metric") == pytest.approx((0.245,))  # 20, …, 29
    lowest = aggregate(frame, "target", "c", "test_metric", direction="lower")
    assert lowest == pytest.approx((0.045,))  # 0, …, 9


def test_the_earlier_of_equal_validation_checkpoints_count(replica: Frame) -> None:
    frame = replica("c", 0, np.geomspace(2, 0.1, 40), test=list(range(40)), val=[1.0] * 40)
    assert aggregate(frame, "target", "c", "test_metric") == (5.5,)  # 1, …, 10: 0 is untrained


def test_only_whole_epochs_count(replica: Frame) -> None:
    """Checkpoints inside the first epoch are there for the charts: the paper has none."""
    whole = replica("c", 0, [4, 3, 2], [0.9, 0.1, 0.3], sharpness=[50.0, 1.0, 3.0])
    inside = whole.iloc[:2].assign(
        step=[3, 13], epoch=[0.3, 1.3], val_metric=1.0, test_metric=0.9, sharpness=99.0
    )
    frame = pd.concat([whole, inside])
    assert aggregate(frame, "target", "c", "sharpness") == (2.0,)
    assert aggregate(frame, "target", "c", "test_metric") == pytest.approx((0.2,))
    assert aggregate_checkpoints(frame, "target", "c", "sharpness") == (2,)


@pytest.mark.parametrize(("epochs", "applies"), [(49, False), (50, True), (51, True)])
def test_footnote_7_is_for_runs_of_at_least_50_epochs(
    replica: Frame, epochs: int, applies: bool
) -> None:
    assert FEWEST_EPOCHS == 50
    run = replica("c", 0, [1.0] * (epochs + 1), [0.5] * (epochs + 1))
    # Checkpoints inside epochs do not make it longer.
    run = pd.concat([run, run.assign(epoch=run["epoch"] + 0.5)])
    assert footnote_applies([run]) == applies
    long_one = replica("c", 1, [1.0] * 90, [0.5] * 90)
    assert footnote_applies([long_one, run]) == applies, "each of them"
    assert not footnote_applies([])


def test_checkpoints_without_validation_do_not_count(replica: Frame) -> None:
    frame = replica("c", 0, [4, 3, 2, 1], test=[0.9, 0.1, 0.9, 0.3], val=[0.9, 0.5, math.nan, 0.2])
    assert aggregate(frame, "target", "c", "test_metric") == pytest.approx((0.2,))
    assert aggregate_checkpoints(frame, "target", "c", "test_metric") == (2,)


def test_fewer_checkpoints_are_all_there_are(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("c", 3, [4, 3, 2, 1], [0] * 4, sharpness=[9.0, 1.0, None, 4.0]),
            replica("c", 1, [4, 3, 2, 1], [0] * 4, sharpness=[9.0, None, None, None]),
        ]
    )
    values = aggregate(frame, "target", "c", "sharpness")
    np.testing.assert_array_equal(values, [math.nan, 2.5])  # seeds in numerical order
    assert aggregate_checkpoints(frame, "target", "c", "sharpness") == (0, 2)


def test_nothing_is_aggregated_of_a_curve_without_rows(replica: Frame) -> None:
    assert aggregate(pd.DataFrame(), "target", "c", "sharpness") == ()
    assert aggregate(long(replica), "target", "never ran", "sharpness") == ()
    assert aggregate_checkpoints(long(replica), "another task", "c", "sharpness") == ()


def test_what_has_no_aggregate(replica: Frame) -> None:
    with pytest.raises(ValueError, match="no aggregate of 'train_loss'; one of: test_metric, "):
        aggregate(long(replica), "target", "c", "train_loss")
    with pytest.raises(ValueError, match="no aggregate of 'train_loss'"):
        aggregate_comparison(pd.DataFrame(), Versus("target", "c", "c", "higher"), "train_loss")


def test_a_seed_that_is_ahead_waits_for_the_others(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("c", 0, [4, 3, 2, 1], [0] * 4, sharpness=[0.0, 1.0, 3.0, 100.0]),
            replica("c", 1, [4, 3, 2], [0] * 3, sharpness=[0.0, 2.0, 4.0]),
            replica("stl", 0, [4, 3], [0] * 2, sharpness=[0.0, 9.0]),
        ]
    )
    assert aggregate(frame, "target", "c", "sharpness") == (2.0, 3.0)
    against = aggregate_comparison(frame, Versus("target", "c", "stl", "higher"), "sharpness")
    assert against is not None
    assert (against.mean, against.baseline_mean) == (1.5, 9.0)  # all at epoch 1
    assert against.verdict == "too few seeds"


def pair(replica: Frame, column: str) -> pd.DataFrame:
    """Three seeds; the differences of their values are 99, 100 and 101."""
    return pd.concat(
        [
            long(replica, curve, seed, **{column: np.arange(30.0) + start + apart * seed})
            for curve, start, apart in (("mtl", 99, 2), ("stl", 0, 1))
            for seed in (0, 1, 2)
        ]
    )


@pytest.mark.parametrize(
    ("column", "verdict"),
    [
        ("sharpness", "worse"),
        ("fisher_trace", "worse"),
        ("gradient_covariance", "worse"),
        ("gradient_similarity", "better"),
    ],
)
def test_the_paper_says_which_way_a_factor_is_better(
    replica: Frame, column: str, verdict: str
) -> None:
    for versus in (MTL, replace(MTL, direction="lower")):  # of the metric
        result = aggregate_comparison(pair(replica, column), versus, column)
        assert result is not None
        assert result.delta == 100
        assert (result.sd, result.baseline_sd) == pytest.approx((2, 1))
        assert (result.verdict, result.paper) == (verdict, verdict)


def test_the_metric_has_its_own_direction(replica: Frame) -> None:
    frame = pair(replica, "test_metric")
    up = aggregate_comparison(frame, MTL, "test_metric")
    down = aggregate_comparison(frame, replace(MTL, direction="lower"), "test_metric")
    assert up is not None
    assert down is not None
    assert (up.verdict, down.verdict) == ("better", "worse")
    # Ties in validation: 0, …, 9 and one and two more.
    assert up.baseline_mean == down.baseline_mean == 5.5


def test_a_comparison_needs_a_value_of_every_seed(replica: Frame) -> None:
    frame = pair(replica, "sharpness")
    assert aggregate_comparison(frame, replace(MTL, baseline="never ran"), "sharpness") is None
    assert aggregate_comparison(frame, MTL, "gradient_similarity") is None
    assert aggregate_comparison(pd.DataFrame(), MTL, "sharpness") is None
    frame.loc[(frame["curve"] == "stl") & (frame["seed"] == 1), "sharpness"] = None
    assert aggregate_comparison(frame, MTL, "sharpness") is None


def test_the_order_of_rows_does_not_matter(replica: Frame) -> None:
    for column in ("sharpness", "fisher_trace", "test_metric"):
        frame = pair(replica, column)
        shuffled = frame.sample(frac=1, random_state=0)
        assert aggregate(shuffled, "target", "mtl", column) == aggregate(
            frame, "target", "mtl", column
        )
