"""When a gap opens early: on trajectories that part at a loss chosen by hand."""

import math
from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from mtl_core.analysis import (
    EARLY_LOSS,
    GapCase,
    Onset,
    Versus,
    beginning,
    compare,
    early_verdict,
    far_verdict,
    gap_case,
    judged_cases,
)
from mtl_core.direction import Direction

Frame = Callable[..., pd.DataFrame]

LOSSES = [10.0 ** (-i / 10) for i in range(41)]  # 1 … 1e-4


@pytest.fixture
def part(replica: Frame) -> Callable[..., pd.DataFrame]:
    """Two curves that are equal down to a loss, and 0.1 apart from there on.

    Differences of a pair are the gap − noise, the gap, and the gap + noise.
    """

    def make(
        below: float,
        gap: float = 0.1,
        *,
        noise: float = 0.001,
        before: float = 0.0,
        losses: Sequence[float] = LOSSES,
    ) -> pd.DataFrame:
        tables = []
        for curve, sign in (("multi", 1.0), ("single", 0.0)):
            for seed in (0, 1, 2):
                apart = [gap if loss < below else before for loss in losses]
                test = [0.5 + 0.01 * seed + sign * (more + noise * (seed - 1)) for more in apart]
                tables.append(replica(curve, seed, losses, test, val=list(range(len(losses)))))
        return pd.concat(tables, ignore_index=True)

    return make


def case(frame: pd.DataFrame, direction: Direction = "higher") -> GapCase:
    return gap_case(frame, Versus("target", "multi", "single", direction))


def test_a_gap_that_opens_above_a_tenth_is_early(part: Frame) -> None:
    found = case(part(below=0.2))
    assert (found.highest, found.lowest) == pytest.approx((1.0, 1e-4))
    assert found.significant
    assert found.telling
    assert found.onset is not None
    assert EARLY_LOSS <= found.onset.train_loss <= 0.32, "to half a decade"
    assert found.early
    assert not found.late
    assert found.share == pytest.approx(-math.log10(found.onset.train_loss) / 4)


def test_a_gap_that_opens_below_a_tenth_is_late(part: Frame) -> None:
    for below in (EARLY_LOSS, 2e-3):
        found = case(part(below=below))
        assert found.significant
        assert found.onset is not None
        assert found.onset.train_loss < EARLY_LOSS
        assert not found.early
        assert found.late


def test_a_gap_in_full_just_above_a_tenth_is_not_late(part: Frame) -> None:
    """However little of the way down to there it was open for."""
    for below in (0.13, 0.17, 0.3):
        assert not case(part(below=below)).late


def test_a_gap_that_opens_early_and_grows_later_is_not_late(part: Frame) -> None:
    found = case(part(below=1e-3, before=0.02))
    assert found.beginning is not None
    assert found.beginning.verdict == "worse", "a fifth of the gap was there"
    assert found.early
    assert not found.late


def test_a_gap_that_was_not_found_early_is_not_late_for_that(part: Frame) -> None:
    """Late takes evidence: of a gap in noise that hides it early, nothing is said."""
    frame = part(below=2.0, gap=0.1)
    hidden = (frame["curve"] == "multi") & (frame["train_loss"] > 0.09)
    frame.loc[hidden, "test_metric"] += 0.1 * (frame.loc[hidden, "seed"] - 1)
    found = case(frame)
    assert found.significant
    assert found.onset is not None
    assert found.onset.train_loss < EARLY_LOSS
    assert not found.early
    assert not found.late
    assert early_verdict([found]).outcome == "cannot tell"


@pytest.mark.parametrize(("lowest", "telling"), [(0.1, False), (0.0101, False), (0.01, True)])
def test_a_way_that_ends_early_does_not_tell(part: Frame, lowest: float, telling: bool) -> None:
    """It takes a decade below 0.1: of a run that ends there, every onset is at its end."""
    losses = [loss for loss in LOSSES if loss > 1.2 * lowest] + [lowest]
    for below in (2 * lowest, 0.5):
        found = case(part(below=below, losses=losses))
        assert found.significant
        assert found.telling == telling
        if not telling:
            assert not found.early
            assert not found.late
            assert early_verdict([found]).outcome == "cannot tell"
    # Nor one that begins below.
    below_a_tenth = case(part(below=0.5, losses=[0.09, 0.01, 0.001]))
    assert below_a_tenth.significant
    assert not below_a_tenth.telling


def test_an_error_that_rises_early_is_an_early_loss(part: Frame) -> None:
    frame = part(below=0.2)
    found = case(frame.assign(val_metric=-frame["val_metric"]), direction="lower")
    assert found.transfer is not None
    assert found.onset is not None
    assert found.transfer.verdict == found.onset.verdict == "worse"
    assert found.early
    frame = part(below=2e-3)
    late = case(frame.assign(val_metric=-frame["val_metric"]), direction="lower")
    assert late.late


def test_a_gap_must_have_the_sign_of_the_transfer() -> None:
    against = GapCase(
        "against",
        compare([0.6, 0.61, 0.62], [0.5, 0.51, 0.52]),
        Onset(0.5, 1.0, 1.0, "worse"),
        highest=1.0,
        lowest=1e-4,
    )
    assert against.significant
    assert against.telling
    assert not against.early


def test_without_transfer_or_curves_nothing_is_early(part: Frame) -> None:
    same = case(part(below=0.2, gap=0.0))
    assert not same.significant
    assert same.onset is None
    assert not (same.early)
    assert not (same.late)
    gone = gap_case(part(below=0.2), Versus("target", "nope", "single", "higher"))
    assert gone.transfer is None
    assert math.isnan(gone.highest)
    assert math.isnan(gone.share)
    assert not gone.telling
    assert not (gone.early)
    assert not (gone.late)


def test_the_verdict_counts_significant_cases_only(part: Frame) -> None:
    early = case(part(below=0.2))
    late, same = case(part(below=2e-3)), case(part(below=0.2, gap=0.0))
    short = case(part(below=0.5, losses=[1.0, 0.3, 0.05]))
    unclear = GapCase("unclear", late.transfer, late.onset, late.highest, late.lowest)
    outcomes = [
        ([early, early, same], "agree"),
        ([early, short], "agree"),
        ([early, early, late], "disagree"),
        ([late, same], "disagree"),
        ([early, unclear], "cannot tell"),
        ([unclear], "cannot tell"),
        ([short], "cannot tell"),
        ([same], "cannot tell"),
        ([], "cannot tell"),
    ]
    for cases, expected in outcomes:
        assert early_verdict(cases).outcome == expected
    found = early_verdict([early, late, same, short])
    assert (len(found.early), len(found.late), len(found.significant)) == (1, 1, 3)
    assert (len(found.telling), found.cases, found.judged) == (2, 4, 4)
    assert early_verdict([]).judged == 0


def test_the_cases_of_a_page_are_judged_together(part: Frame) -> None:
    # Differences 0.1 ± 0.026: t = √3 / 0.26 = 6.66, p = .022, which is too much among three.
    noisy = case(part(below=2e-3, noise=0.026))
    assert noisy.significant
    assert noisy.late
    same = case(part(below=0.2, gap=0.0))
    found = judged_cases([noisy, same, same])
    assert [each.transfer.family for each in found if each.transfer] == [3] * 3
    assert [each.beginning.family for each in found if each.beginning] == [3] * 3
    assert not found[0].significant
    assert early_verdict([noisy]).outcome == "disagree"
    assert early_verdict([noisy, same, same]).outcome == "cannot tell"


# Orders of magnitude above the eventual loss.


def far(frame: pd.DataFrame, times: float) -> str:
    versus = Versus("target", "multi", "single", "higher")
    found = judged_cases([case(frame)])
    begun = [beginning(frame, versus, times * one.lowest) for one in found]
    return far_verdict(found, begun, times)


def test_a_gap_shows_orders_of_magnitude_above_the_last_loss(part: Frame) -> None:
    assert far(part(below=0.5), 1e3) == "agree", "losses end at 1e-4"
    assert far(part(below=1e-3), 1e3) == "disagree"


def test_orders_of_magnitude_take_losses_that_fall_as_far(part: Frame) -> None:
    assert far(part(below=0.5), 1e6) == "cannot tell"
    short = part(below=0.5, losses=LOSSES[:21])
    assert far(short, 1e3) == "cannot tell"
    assert far(short, 10) == "agree"


def test_orders_of_magnitude_take_a_significant_transfer(part: Frame) -> None:
    assert far(part(below=0.5, noise=0.5), 1e3) == "cannot tell"
    assert far_verdict([], [], 1e3) == "cannot tell"
