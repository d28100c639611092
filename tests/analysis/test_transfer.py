import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from mtl_core.analysis import Versus, reached, transfer, transfer_table

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")


def test_validation_chooses_the_epoch_and_test_data_judge_it(replica: Frame) -> None:
    frame = pd.concat(
        [
            # The best test metric, 0.99, is not where validation is best.
            replica("mtl", 0, [4, 3, 2, 1], [0, 0.1, 0.8, 0.99], val=[0, 0.1, 0.9, 0.7]),
            replica("mtl", 1, [4, 3, 2, 1], [0, 0.1, 0.2, 0.82], val=[0, 0.1, 0.2, 0.3]),
            replica("mtl", 2, [4, 3, 2, 1], [0, 0.1, 0.2, 0.84], val=[0, 0.1, 0.2, 0.3]),
            replica("stl", 0, [4, 3, 2, 1], [0, 0.1, 0.2, 0.50], val=[0, 0.1, 0.2, 0.3]),
            replica("stl", 1, [4, 3, 2, 1], [0, 0.1, 0.2, 0.51], val=[0, 0.1, 0.2, 0.3]),
            replica("stl", 2, [4, 3, 2, 1], [0, 0.1, 0.2, 0.52], val=[0, 0.1, 0.2, 0.3]),
        ]
    )
    moved = transfer(frame, MTL)
    assert moved is not None
    assert (moved.mean, moved.baseline_mean) == pytest.approx((0.82, 0.51))
    assert moved.delta == pytest.approx(0.31)
    # Of the differences 0.30, 0.31 and 0.32.
    reach = 4.302653 * 0.01 / math.sqrt(3)
    assert (moved.low, moved.high) == pytest.approx((0.31 - reach, 0.31 + reach))
    assert (moved.verdict, moved.paper, moved.pairs) == ("better", "better", 3)
    assert reached(frame, "target", "mtl") == pytest.approx((0.8, 0.82, 0.84))
    assert reached(frame, "target", "never ran") == ()


def test_only_whole_epochs_count(replica: Frame) -> None:
    """Neither an untrained network nor a checkpoint inside an epoch, however good, is E."""
    whole = replica("mtl", 0, [4, 3, 2], test=[0.95, 0.4, 0.6], val=[0.95, 0.4, 0.6])
    inside = whole.assign(
        step=[1, 15, 19],
        epoch=[0.1, 1.5, 1.9],
        val_metric=[0.9, 0.8, 0.7],
        test_metric=[0.9, 0.8, 0.7],
    )
    frame = pd.concat([whole, inside])
    assert reached(frame, "target", "mtl") == (0.6,)
    assert reached(whole[whole["step"] < 20], "target", "mtl") == (0.4,)
    # Until an epoch has ended, nothing is known.
    (early,) = reached(inside.iloc[:1], "target", "mtl")
    assert math.isnan(early)
    assert transfer(pd.concat([inside.iloc[:1], whole.assign(curve="stl")]), MTL) is None


def test_the_earliest_of_equal_epochs_is_taken(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("mtl", 0, [4, 3, 2, 1], [0, 0.1, 0.6, 0.9], val=[0.5, 0.1, 0.5, 0.5]),
            replica("stl", 0, [4, 3, 2, 1], [0, 0.1, 0.2, 0.3], val=[0, 0.1, 0.2, 0.3]),
        ]
    )
    moved = transfer(frame, MTL)
    assert moved is not None
    assert moved.delta == pytest.approx(0.6 - 0.3)
    assert moved.verdict == "too few seeds"
    # Whatever the order of the rows, and also where lower is better.
    turned = transfer(frame.iloc[::-1], MTL)
    assert turned is not None
    assert turned.delta == moved.delta
    errors = frame.assign(val_metric=-frame["val_metric"])
    lower = transfer(errors, replace(MTL, direction="lower"))
    assert lower is not None
    assert lower.delta == moved.delta


def test_epochs_without_validation_do_not_count(replica: Frame) -> None:
    frame = replica("mtl", 0, [4, 3, 2, 1], [0, 0.5, 0.9, math.nan], val=[0, 0.1, math.nan, 0.9])
    assert reached(frame, "target", "mtl") == (0.5,)


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
    # By itself the baseline is read to its own end, and so is a curve up to its slowest seed.
    assert reached(frame, "target", "stl") == (0.8,)
    assert reached(frame, "target", "mtl") == (0.4, 0.5)


def test_an_error_is_best_where_it_is_lowest(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("mtl", 0, [3, 2, 1], test=[0.1, 0.2, 0.4]),
            replica("stl", 0, [3, 2, 1], test=[0.1, 0.5, 0.6]),
        ]
    )
    moved = transfer(frame, replace(MTL, direction="lower"))
    assert moved is not None
    assert moved.delta == pytest.approx(-0.3)


def test_seeds_are_compared_one_by_one(replica: Frame) -> None:
    """Seeds that differ much more than what transfer does in each of them."""
    frame = pd.concat(
        [
            replica(curve, seed, [2.0, 1.0], [0.1, base + gain])
            for seed, base, gain in ((0, 0.5, 0.09), (1, 0.6, 0.10), (2, 0.7, 0.12), (3, 0.9, 0))
            for curve, gain in (("mtl", gain), ("stl", 0.0))
            if (curve, seed) != ("stl", 3)
        ]
    )
    moved = transfer(frame, MTL)
    assert moved is not None
    assert (moved.verdict, moved.paper) == ("better", "not significant")
    assert (moved.pairs, moved.seeds, moved.baseline_seeds) == (3, 4, 3)
    assert moved.delta == pytest.approx(0.31 / 3)


def test_nothing_to_compare_is_none(replica: Frame) -> None:
    rows = replica("mtl", 0, [3.0, 2.0], [0.1, 0.2])
    assert transfer(rows, MTL) is None
    assert transfer(pd.DataFrame(), MTL) is None
    unmeasured = replica("stl", 0, [3.0, 2.0], [0.1, 0.2], val=[math.nan] * 2)
    assert transfer(pd.concat([rows, unmeasured]), MTL) is None
    untrained = replica("stl", 0, [3.0], [0.1])
    assert transfer(pd.concat([rows, untrained]), MTL) is None


def test_the_table_has_a_row_for_every_other_curve(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica(curve, seed, [2.0, 1.0], [0.1, metric + step * seed])
            for curve, metric, step in (("stl", 0.5, 0.01), ("z", 0.9, 0.02), ("a", 0.2, 0.0))
            for seed in (0, 1, 2)
        ]
        + [replica("apart", 0, [0.3, 0.2], [0.1, 0.3])]
    )
    table = transfer_table(frame, "target", "stl")
    assert table["curve"].tolist() == ["z", "a", "apart"]
    assert table["transfer"].tolist()[:2] == pytest.approx([0.41, -0.31])
    assert table["verdict"].tolist() == ["better", "worse", "too few seeds"]
    assert table["paper"].tolist() == ["better", "worse", "too few seeds"]
    # Differences 0.40, 0.41, 0.42 and −0.30, −0.31, −0.32.
    reach = 4.302653 * 0.01 / math.sqrt(3)
    assert table["transfer_low"].tolist()[:2] == pytest.approx([0.41 - reach, -0.31 - reach])
    assert table["transfer_high"].tolist()[:2] == pytest.approx([0.41 + reach, -0.31 + reach])
    assert table["gap"].tolist()[:2] == pytest.approx([0.41, -0.31])
    assert table["gap_low"].tolist()[:2] == pytest.approx([0.41 - reach, -0.31 - reach])
    assert table["gap_loss"].tolist()[:2] == [1.0, 1.0]
    assert table["seeds"].tolist() == [3, 3, 1]
    assert table["pairs"].tolist() == [3, 3, 0]
    # Its only losses are ones that the baseline never reached.
    assert table["gap_verdict"].tolist() == ["better", "worse", None]
    assert math.isnan(table["gap"].iloc[2])


def test_the_rows_of_a_table_are_judged_together(replica: Frame) -> None:
    # Differences 0.1 ± 0.025: p = 1 − t / √(2 + t²) with t = 4 √3 is .0202.
    def table(curves: int) -> pd.DataFrame:
        rows = [replica("stl", seed, [2.0, 1.0], [0.1, 0.5]) for seed in range(3)]
        rows += [
            replica(str(curve), seed, [2.0, 1.0], [0.1, 0.6 + 0.025 * (seed - 1)])
            for curve in range(curves)
            for seed in range(3)
        ]
        return transfer_table(pd.concat(rows), "target", "stl")

    p = 1 - 4 * 3**0.5 / (2 + 48) ** 0.5
    for curves, verdict in ((1, "better"), (2, "better"), (3, "not significant")):
        found = table(curves)
        assert found["p"].tolist() == pytest.approx([curves * p] * curves)
        assert found["verdict"].tolist() == [verdict] * curves
        assert found["gap_verdict"].tolist() == [verdict] * curves
        assert (found["transfer_low"] > 0).all(), "the interval stays that of the row alone"


def test_a_table_without_a_baseline_keeps_its_shape(replica: Frame) -> None:
    table = transfer_table(replica("mtl", 0, [1.0], [0.1]), "target", "stl")
    assert table["verdict"].tolist() == [None]
    assert (
        table.columns.tolist() == transfer_table(pd.DataFrame(), "target", "stl").columns.tolist()
    )
