"""Table 1 on trajectories written out by hand, whose bins and means are worked out beside them."""

from collections.abc import Callable, Sequence

import pandas as pd
import pytest

from mtl_core.analysis import (
    AGGREGATES,
    TABLE_COLUMNS,
    TABLE_FACTORS,
    Aggregate,
    Comparison,
    FactorVerdict,
    PublishedRow,
    TableRow,
    Versus,
    agreement,
    compare,
    published_verdict,
    table_row,
    table_support,
    table_verdicts,
)
from mtl_core.direction import Direction

Frame = Callable[..., pd.DataFrame]

FALL = [2.0 ** (10 - i) for i in range(21)]
"""Losses 2^10 … 2^-10: the edges of the 20 geometric bins are the losses themselves."""
LOWER = [2.0 ** (10 - i) for i in range(23)]
"""The same, and two steps lower."""
COUNT = [float(i) for i in range(21)]


def shifted(values: Sequence[float], by: float) -> list[float]:
    return [value + by for value in values]


@pytest.fixture
def pair(replica: Frame) -> Callable[..., pd.DataFrame]:
    """Multi-task and single-task training with three seeds each, ``spread`` apart.

    Factors of the single task are the checkpoint's number i; those of multi-task training are
    ``more`` higher. Test metrics are their validation metrics' mirror image.
    """

    def make(more: float = 0.0, spread: float = 0.0, gain: float = 0.0) -> pd.DataFrame:
        tables = []
        for curve, losses, factor, metric in (
            ("multi", FALL, more, gain),
            ("single", LOWER, 0.0, 0.0),
        ):
            numbers = [float(i) for i in range(len(losses))]
            for seed, place in enumerate((-1, 0, 1)):
                values = shifted(numbers, factor + place * spread)
                tables.append(
                    replica(
                        curve,
                        seed,
                        losses,
                        test=[0.5 + metric + 0.01 * i for i in numbers],
                        val=[1 - 0.01 * i for i in numbers],
                        sharpness=values,
                        fisher_trace=values,
                        gradient_covariance=values,
                    )
                )
        return pd.concat(tables, ignore_index=True)

    return make


def row(
    frame: pd.DataFrame, aggregate: Aggregate = "bins", direction: Direction = "higher"
) -> TableRow:
    return table_row(frame, Versus("target", "multi", "single", direction), aggregate)


def means(found: Comparison | None) -> tuple[float, float]:
    assert found is not None
    return found.mean, found.baseline_mean


def test_bins_are_read_on_the_curve_that_ends_higher(pair: Frame) -> None:
    """20 bins of 2^10 … 2^-10 have edges 2^(10-b): bins 2–5 are 2^9 … 2^5, 18–20 2^-7 … 2^-10.

    At these losses are the checkpoints 1 … 5, mean 3, and 17 … 20, mean 18.5, of both curves. The
    single task's own last bins, down to 2^-12, would hold its checkpoints up to 22.
    """
    deltas = row(pair(more=7.0)).deltas
    assert means(deltas["fisher_trace"]) == pytest.approx((10.0, 3.0))
    assert means(deltas["sharpness"]) == pytest.approx((25.5, 18.5))
    assert means(deltas["gradient_covariance"]) == pytest.approx((25.5, 18.5))


def test_the_footnote_takes_the_last_and_the_largest_twenty(pair: Frame) -> None:
    """The multi-task run has 21 checkpoints, the single task's 23.

    Of what both have reached, epochs 0 … 20, the last 20 are 1 … 20 with mean 10.5; the 20 largest
    of rising values are the same.
    """
    deltas = row(pair(more=7.0), "footnote").deltas
    for factor in TABLE_FACTORS:
        assert means(deltas[factor]) == pytest.approx((17.5, 10.5))


def test_the_largest_twenty_may_lie_anywhere(replica: Frame) -> None:
    """An explosion of 30 values of 8 early on: Fisher finds 20 of them, the last 20 are all 1."""
    losses = [2.0 * 0.9**i for i in range(60)]
    peak = [1.0] * 5 + [8.0] * 30 + [1.0] * 25
    frame = pd.concat(
        replica(
            curve,
            seed,
            losses,
            [0.5] * 60,
            fisher_trace=shifted(peak, more),
            sharpness=shifted(peak, more),
        )
        for curve, more in (("multi", 2.0), ("single", 0.0))
        for seed in (0, 1)
    )
    deltas = row(frame, "footnote").deltas
    assert means(deltas["fisher_trace"]) == pytest.approx((10.0, 8.0))
    assert means(deltas["sharpness"]) == pytest.approx((3.0, 1.0))


@pytest.mark.parametrize("aggregate", ["bins", "footnote"])
def test_transfer_is_read_at_the_ten_best_validation_checkpoints(
    pair: Frame, aggregate: Aggregate
) -> None:
    """Validation is best at the first ten checkpoints: 0.50 … 0.59, mean 0.545."""
    found = row(pair(gain=0.1), aggregate).deltas["transfer"]
    assert means(found) == pytest.approx((0.645, 0.545))
    assert found is not None
    assert found.delta == pytest.approx(0.1)
    assert found.verdict == "better"


def test_an_error_is_better_when_it_falls_and_its_best_checkpoints_are_the_lowest(
    pair: Frame,
) -> None:
    """Validation falls, so the ten lowest are the last ten: of 0 … 20, 11 … 20, mean 15.5."""
    found = row(pair(gain=0.1), direction="lower").deltas["transfer"]
    assert means(found) == pytest.approx((0.755, 0.655))
    assert found is not None
    assert found.verdict == "worse"


@pytest.mark.parametrize(
    ("more", "verdict"),
    [(10.0, "not significant"), (10.1, "worse"), (-10.0, "not significant"), (-10.1, "better")],
)
def test_two_standard_deviations_decide(pair: Frame, more: float, verdict: str) -> None:
    """Seeds 2.5 apart have a standard deviation of 2.5: intervals of ±5 touch at a Δ of 10."""
    deltas = row(pair(more=more, spread=2.5)).deltas
    for factor in TABLE_FACTORS:
        found = deltas[factor]
        assert found is not None
        assert found.sd == pytest.approx(2.5)
        assert found.margin == pytest.approx(10.0)
        assert found.delta == pytest.approx(more)
        assert found.verdict == verdict


def test_what_was_not_measured_is_none(pair: Frame) -> None:
    frame = pair(more=1.0).assign(sharpness=None)
    for aggregate in AGGREGATES:
        found = row(frame, aggregate)
        assert found.deltas["sharpness"] is None
        assert found.deltas["fisher_trace"] is not None
    assert tuple(found.deltas) == TABLE_COLUMNS


def test_a_curve_that_is_not_there_has_no_numbers(pair: Frame) -> None:
    found = table_row(pair(), Versus("target", "nope", "single", "higher"), "bins")
    assert set(found.deltas.values()) == {None}
    assert not found.significant
    assert table_verdicts([found])[0].outcome == "nothing to explain"


def test_an_unknown_aggregate_is_named(pair: Frame) -> None:
    with pytest.raises(ValueError, match="unknown aggregate 'mean'"):
        row(pair(), "mean")  # type: ignore[arg-type]


# What the rows say.


def change(verdict: str, delta: float | None = None, *, factor: bool) -> Comparison:
    """A comparison with this verdict: three seeds a thousandth apart, or all over the place."""
    size = 0.0 if verdict == "not significant" else 1.0
    up = (verdict == "better") is not factor
    moved = delta if delta is not None else (size if up else -size)
    apart = 100.0 if verdict == "not significant" else 0.001
    base = [-apart, 0.0, apart]
    found = compare(shifted(base, moved), base, direction="lower" if factor else "higher")
    assert found.verdict == verdict
    return found


def made(task: str, transfer: str, *factors: str | None) -> TableRow:
    deltas: dict[str, Comparison | None] = {"transfer": change(transfer, factor=False)}
    for name, verdict in zip(TABLE_FACTORS, factors, strict=True):
        deltas[name] = change(verdict, factor=True) if verdict else None
    return TableRow(task, task, deltas)


def test_a_factor_explains_a_trade_off_that_it_shares() -> None:
    rows = [
        made("gains", "better", "better", "better", "worse"),
        made("loses", "worse", "worse", "better", "worse"),
        made("stays", "not significant", "better", "worse", "better"),
    ]
    assert [row.significant for row in rows] == [True, True, False]
    sharpness, fisher, covariance = table_verdicts(rows)
    assert sharpness.outcome == "can explain"
    assert (fisher.outcome, fisher.refuted_by) == ("cannot explain", ("loses",))
    assert (covariance.outcome, covariance.refuted_by) == ("cannot explain", ("gains",))
    assert table_support([sharpness, fisher, covariance]) == "does not support"
    assert table_support([fisher, covariance]) == "supports"


def test_no_significant_change_refutes_and_no_measurement_does_not() -> None:
    first, second, third = table_verdicts([made("a", "better", "not significant", None, "better")])
    assert first.outcome == "cannot explain"
    assert second.outcome == "not measured"
    assert third.outcome == "can explain"
    assert table_support([first, second]) == "supports in part"
    assert table_support([second]) == "not enough"
    nothing = table_verdicts([made("a", "not significant", "better", "better", "better")])
    assert table_support(nothing) == "not enough"
    assert table_support([]) == "not enough"


def printed(task: str, *deltas: float, direction: Direction = "higher") -> PublishedRow:
    values = dict(zip(TABLE_COLUMNS, deltas, strict=True))
    return PublishedRow("s", task, task.capitalize(), values, direction)


def test_signs_are_counted_over_all_and_over_the_significant() -> None:
    """Two of three printed rows were measured; b's sharpness and a's Fisher go the other way."""
    rows = [
        made("a", "better", "worse", "better", "not significant"),
        made("b", "worse", "worse", "worse", None),
        made("b", "better", "worse", "worse", "better"),  # a second run of b does not count
        made("x", "better", "worse", "worse", "worse"),
    ]
    theirs = [
        printed("a", 3.0, 0.2, 5.0, 0.1),
        printed("b", -1.0, -0.1, 2.0, 7.0),
        printed("c", 2.0, 0.3, 1.0, 1.0),
    ]
    counted = {one.column: one for one in agreement(rows, theirs)}
    assert tuple(counted) == TABLE_COLUMNS

    def numbers(column: str) -> tuple[int, int, int, int]:
        one = counted[column]
        return one.agree, one.of, one.significant_agree, one.significant_of

    assert numbers("transfer") == (2, 2, 2, 2)
    assert numbers("sharpness") == (1, 2, 1, 2)
    assert numbers("fisher_trace") == (1, 2, 1, 2)
    # Of covariance only a's was measured: no change at all, which is not the sign of +0.1.
    assert numbers("gradient_covariance") == (0, 1, 0, 0)


def test_without_common_rows_nothing_is_counted() -> None:
    rows = [made("a", "better", "worse", "worse", "worse")]
    assert all(
        one.of == one.significant_of == 0 for one in agreement(rows, [printed("z", *[1.0] * 4)])
    )


def test_printed_signs_rule_out_whatever_the_shading() -> None:
    rows = [
        printed("gain", 3.0, 0.1, -5.0, -1.0),
        printed("loss", -2.0, 0.1, -5.0, 1.0),
        printed("error", -0.5, 0.1, -5.0, -1.0, direction="lower"),
    ]
    sharpness, fisher, covariance = (published_verdict(name, rows) for name in TABLE_FACTORS)
    assert sharpness.refuted_by == ("Gain", "Error")
    assert fisher.refuted_by == ("Loss",)
    assert covariance == FactorVerdict("gradient_covariance", "can explain", (), ())
    assert rows[2].transfer == "better"
