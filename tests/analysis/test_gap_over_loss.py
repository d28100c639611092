"""The gap along the way: an interval by hand at every level, pairs first, nothing where none is."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mtl_core.analysis import Versus, gap, gap_over_loss, transfer
from mtl_core.analysis.replicas import replicas

Frame = Callable[..., pd.DataFrame]
MTL = Versus("target", "mtl", "stl", "higher")


def _frame(
    replica: Frame, gaps: list[float], *, others: tuple[int, ...] = (0, 1, 2)
) -> pd.DataFrame:
    """Metrics linear in log loss over two decades; the curve's seeds are ahead by their gap."""
    losses = [1.0, 0.1, 0.01]
    rises = np.array([0.2, 0.5, 0.8])
    curve = [replica("mtl", seed, losses, rises + ahead) for seed, ahead in enumerate(gaps)]
    base = [replica("stl", seed, losses, rises + 0.01 * seed) for seed in others]
    return pd.concat([*curve, *base], ignore_index=True)


def test_each_level_has_the_paired_t_interval(replica: Frame) -> None:
    gaps = [0.05, 0.09, 0.06]
    rows = gap_over_loss(_frame(replica, gaps), MTL)
    assert rows["train_loss"].tolist() == pytest.approx(10 ** (-np.arange(21) / 10))
    pairs = np.array(gaps) - 0.01 * np.arange(3)
    low, high = stats.t.interval(0.95, 2, pairs.mean(), pairs.std(ddof=1) / np.sqrt(3))
    assert np.allclose(rows["gap"], pairs.mean())
    assert np.allclose(rows["low"], low)
    assert np.allclose(rows["high"], high)
    assert np.allclose(rows["largest"], pairs.max())
    assert set(rows["seeds"]) == {3}
    assert set(rows["curve"]) == {"mtl"}


def test_it_ends_where_the_gap_at_equal_loss_is_read(replica: Frame) -> None:
    frame = _frame(replica, [0.05, 0.09, 0.06])
    # A seed of the baseline has not got as far as the others.
    behind = (frame["curve"] == "stl") & (frame["seed"] == 1) & (frame["train_loss"] < 0.1)
    frame = frame[~behind]
    last = gap_over_loss(frame, MTL).iloc[-1]
    found = gap(frame, MTL)
    assert found is not None
    assert last["train_loss"] == found.train_loss == pytest.approx(0.1)
    assert last[["gap", "low", "high"]].tolist() == pytest.approx(
        [found.comparison.delta, found.comparison.low, found.comparison.high]
    )


def test_one_seed_has_a_gap_without_an_interval(replica: Frame) -> None:
    rows = gap_over_loss(_frame(replica, [0.05], others=(0,)), MTL)
    assert np.allclose(rows["gap"], 0.05)
    assert rows[["low", "high"]].isna().all(axis=None)
    assert np.allclose(rows["largest"], 0.05)


def test_without_a_common_loss_there_is_none(replica: Frame) -> None:
    apart = pd.concat([replica("mtl", 0, [0.5, 0.4], [0, 0]), replica("stl", 0, [2, 0.6], [0, 0])])
    for frame in (apart, pd.DataFrame(), apart[apart["curve"] == "stl"]):
        assert gap_over_loss(frame, MTL).empty
        assert "largest" in gap_over_loss(frame, MTL)


def test_replicas_that_are_split_already_give_the_same(replica: Frame) -> None:
    frame = _frame(replica, [0.05, 0.09, 0.06])
    split = replicas(frame, "target")
    pd.testing.assert_frame_equal(gap_over_loss(split, MTL), gap_over_loss(frame, MTL))
    assert gap(split, MTL) == gap(frame, MTL)
    assert transfer(split, MTL) == transfer(frame, MTL)
