"""When a gap opens early: on trajectories that part at a loss chosen by hand."""

import math
from collections.abc import Callable

import pandas as pd
import pytest

from mtl_core.analysis import GapCase, Onset, Versus, compare, early_verdict, gap_case
from mtl_core.direction import Direction

Frame = Callable[..., pd.DataFrame]

LOSSES = [10.0 ** (-i / 10) for i in range(41)]  # 1 … 1e-4: half of the way down is 1e-2


@pytest.fixture
def part(replica: Frame) -> Callable[..., pd.DataFrame]:
    """Two curves that are equal down to a loss, and 0.1 apart from there on."""

    def make(below: float, gap: float = 0.1) -> pd.DataFrame:
        tables = []
        for curve, more in (("multi", gap), ("single", 0.0)):
            for seed in (0, 1, 2):
                test = [
                    0.5 + 0.001 * seed + (more if loss < below else 0.0) for loss in LOSSES
                ]  # fmt: skip
                tables.append(replica(curve, seed, LOSSES, test, val=list(range(41))))
        return pd.concat(tables, ignore_index=True)

    return make


def case(frame: pd.DataFrame, direction: Direction = "higher") -> GapCase:
    return gap_case(frame, Versus("target", "multi", "single", direction))


def test_a_gap_above_half_of_the_way_is_early(part: Frame) -> None:
    found = case(part(below=0.1))
    assert (found.highest, found.lowest) == pytest.approx((1.0, 1e-4))
    assert found.halfway == pytest.approx(1e-2)
    assert found.significant
    assert found.onset is not None
    assert 0.05 < found.onset.train_loss <= 0.1
    assert found.early


def test_a_gap_below_half_of_the_way_is_late(part: Frame) -> None:
    found = case(part(below=2e-3))
    assert found.significant
    assert found.onset is not None
    assert found.onset.train_loss < found.halfway
    assert not found.early


def test_an_error_that_rises_early_is_an_early_loss(part: Frame) -> None:
    frame = part(below=0.1)
    found = case(frame.assign(val_metric=-frame["val_metric"]), direction="lower")
    assert found.transfer is not None
    assert found.onset is not None
    assert found.transfer.verdict == found.onset.verdict == "worse"
    assert found.early


def test_a_gap_must_have_the_sign_of_the_transfer() -> None:
    against = GapCase(
        "against",
        compare([0.6, 0.61], [0.5, 0.51]),
        Onset(0.5, 1.0, 1.0, "worse"),
        highest=1.0,
        lowest=1e-4,
    )
    assert against.significant
    assert not against.early


def test_without_transfer_or_curves_nothing_is_early(part: Frame) -> None:
    same = case(part(below=0.1, gap=0.0))
    assert not same.significant
    assert same.onset is None
    gone = gap_case(part(below=0.1), Versus("target", "nope", "single", "higher"))
    assert gone.transfer is None
    assert math.isnan(gone.halfway)
    assert not gone.early


def test_the_verdict_counts_significant_cases_only(part: Frame) -> None:
    early = case(part(below=0.1))
    late, same = case(part(below=2e-3)), case(part(below=0.1, gap=0.0))
    outcomes = [
        ([early, early, same], "supports"),
        ([early, early, late], "supports in part"),
        ([early, late], "does not support"),
        ([late, same], "does not support"),
        ([same], "not enough"),
        ([], "not enough"),
    ]
    for cases, expected in outcomes:
        assert early_verdict(cases).outcome == expected
    found = early_verdict([early, late, same])
    assert (len(found.early), len(found.significant), found.cases) == (1, 2, 3)
