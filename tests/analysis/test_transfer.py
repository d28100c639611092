import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from mtl_core.analysis import Versus, transfer, transfer_table

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")


def test_validation_chooses_the_checkpoint_and_test_data_judge_it(replica: Frame) -> None:
    frame = pd.concat(
        [
            # The best test metric, 0.99, is not where validation is best.
            replica("mtl", 0, [3, 2, 1], test=[0.1, 0.8, 0.99], val=[0.1, 0.9, 0.7]),
            replica("mtl", 1, [3, 2, 1], test=[0.1, 0.2, 0.82], val=[0.1, 0.2, 0.3]),
            replica("stl", 0, [3, 2, 1], test=[0.1, 0.2, 0.50], val=[0.1, 0.2, 0.3]),
            replica("stl", 1, [3, 2, 1], test=[0.1, 0.2, 0.52], val=[0.1, 0.2, 0.3]),
        ]
    )
    moved = transfer(frame, MTL)
    assert moved is not None
    assert (moved.mean, moved.baseline_mean) == pytest.approx((0.81, 0.51))
    assert moved.delta == pytest.approx(0.30)
    assert moved.verdict == "better"


def test_the_earliest_of_equal_checkpoints_is_taken(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("mtl", 0, [3, 2, 1], test=[0.1, 0.6, 0.9], val=[0.1, 0.5, 0.5]),
            replica("stl", 0, [3, 2, 1], test=[0.1, 0.2, 0.3], val=[0.1, 0.2, 0.3]),
        ]
    )
    moved = transfer(frame, MTL)
    assert moved is not None
    assert moved.delta == pytest.approx(0.6 - 0.3)
    assert moved.verdict == "too few seeds"


def test_a_run_that_is_ahead_is_read_where_the_slowest_seed_is(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("mtl", 0, [3, 2], test=[0.1, 0.4]),
            replica("mtl", 1, [3, 2, 1], test=[0.1, 0.5, 0.9]),
            replica("stl", 0, [3, 2, 1], test=[0.1, 0.3, 0.8]),
        ]
    )
    moved = transfer(frame, MTL)
    assert moved is not None
    assert (moved.mean, moved.baseline_mean) == pytest.approx((0.45, 0.3))


def test_an_error_is_best_where_it_is_lowest(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("mtl", 0, [3, 2, 1], test=[0.9, 0.2, 0.4]),
            replica("stl", 0, [3, 2, 1], test=[0.9, 0.5, 0.6]),
        ]
    )
    moved = transfer(frame, replace(MTL, direction="lower"))
    assert moved is not None
    assert moved.delta == pytest.approx(-0.3)


def test_nothing_to_compare_is_none(replica: Frame) -> None:
    rows = replica("mtl", 0, [3.0], [0.1])
    assert transfer(rows, MTL) is None
    assert transfer(pd.DataFrame(), MTL) is None
    unmeasured = replica("stl", 0, [3.0], [0.1], val=[math.nan])
    assert transfer(pd.concat([rows, unmeasured]), MTL) is None


def test_the_table_has_a_row_for_every_other_curve(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica(curve, seed, [2.0, 1.0], [0.1, metric + 0.01 * seed])
            for curve, metric in (("stl", 0.5), ("z", 0.9), ("a", 0.2))
            for seed in (0, 1)
        ]
        + [replica("apart", 0, [0.2], [0.3])]
    )
    table = transfer_table(frame, "target", "stl")
    assert table["curve"].tolist() == ["z", "a", "apart"]
    assert table["transfer"].tolist()[:2] == pytest.approx([0.4, -0.3])
    assert table["verdict"].tolist() == ["better", "worse", "too few seeds"]
    assert table["margin"].tolist()[:2] == pytest.approx([4 * math.sqrt(0.5e-4)] * 2)
    assert table["gap"].tolist()[:2] == pytest.approx([0.4, -0.3])
    assert table["gap_loss"].tolist()[:2] == [1.0, 1.0]
    assert table["seeds"].tolist() == [2, 2, 1]
    # Its only loss is one that the baseline never reached.
    assert table["gap_verdict"].tolist() == ["better", "worse", None]
    assert math.isnan(table["gap"].iloc[2])


def test_a_table_without_a_baseline_keeps_its_shape(replica: Frame) -> None:
    table = transfer_table(replica("mtl", 0, [1.0], [0.1]), "target", "stl")
    assert table["verdict"].tolist() == [None]
    assert (
        table.columns.tolist() == transfer_table(pd.DataFrame(), "target", "stl").columns.tolist()
    )
