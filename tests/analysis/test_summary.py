import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import mean_band

Frame = Callable[..., pd.DataFrame]


def test_a_row_holds_the_mean_and_two_sample_standard_deviations(replica: Frame) -> None:
    frame = pd.concat([replica("a", 0, [2.0], [0.4]), replica("a", 1, [1.0], [0.6])])
    (row,) = mean_band(frame, "target").to_dict("records")
    assert row["train_loss"] == pytest.approx(1.5)
    assert row["train_loss_high"] == pytest.approx(1.5 + 2 * math.sqrt(0.5))
    assert row["test_metric"] == pytest.approx(0.5)
    assert row["test_metric_low"] == pytest.approx(0.5 - 2 * 0.1 * math.sqrt(2))
    assert row["test_metric_high"] == pytest.approx(0.5 + 2 * 0.1 * math.sqrt(2))
    assert (row["curve"], row["step"], row["epoch"], row["seeds"]) == ("a", 0, 0.0, 2)


def test_a_step_waits_for_every_seed_of_its_curve_and_for_no_other(replica: Frame) -> None:
    frame = pd.concat(
        [
            replica("a", 0, [3, 2, 1], [0, 0, 0]),
            replica("a", 1, [3, 2], [0, 0]),
            replica("b", 0, [3, 2, 1], [0, 0, 0]),
        ]
    )
    band = mean_band(frame, "target")
    assert list(zip(band["curve"], band["step"], strict=True)) == [
        ("a", 0),
        ("a", 10),
        ("b", 0),
        ("b", 10),
        ("b", 20),
    ]


def test_one_seed_has_a_band_of_no_width(replica: Frame) -> None:
    band = mean_band(replica("a", 7, [2.0, 1.0], [0.1, 0.2]), "target")
    assert band["test_metric_low"].tolist() == band["test_metric_high"].tolist() == [0.1, 0.2]


def test_other_tasks_do_not_count(replica: Frame) -> None:
    frame = pd.concat([replica("a", 0, [1.0], [0.5]), replica("a", 1, [1.0], [0.9], task="aux")])
    band = mean_band(frame, "target")
    assert band["test_metric"].tolist() == [0.5]
    assert band["seeds"].tolist() == [1]


def test_a_factor_is_missing_where_a_seed_lacks_it(replica: Frame) -> None:
    frame = pd.concat([replica("a", seed, [3, 2, 1], [0, 0, 0]) for seed in (0, 1)])
    frame["sharpness"] = [None, 1.0, 2.0, None, None, 4.0]
    band = mean_band(frame, "target", columns=["sharpness"])
    np.testing.assert_allclose(band["sharpness"], [np.nan, np.nan, 3.0])


def test_curves_keep_their_order_of_appearance(replica: Frame) -> None:
    frame = pd.concat([replica("z", 0, [2, 1], [0, 0]), replica("a", 0, [2], [0])])
    assert mean_band(frame, "target")["curve"].tolist() == ["z", "z", "a"]


@pytest.mark.parametrize("columns", [["train_loss"], ["test_metric", "sharpness"]])
def test_nothing_measured_is_an_empty_band_with_its_columns(
    replica: Frame, columns: list[str]
) -> None:
    rows = replica("a", 0, [1.0], [0.5])
    for empty in (pd.DataFrame(), rows.iloc[:0]):
        assert mean_band(empty, "target", columns=columns).empty
    assert mean_band(rows, "another task", columns=columns).empty
    assert f"{columns[0]}_low" in mean_band(pd.DataFrame(), "target", columns=columns)
