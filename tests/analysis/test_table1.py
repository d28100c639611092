"""Table 1 on trajectories written out by hand, whose bins and means are worked out beside them."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import (
    AGGREGATES,
    TABLE_COLUMNS,
    TABLE_FACTORS,
    Aggregate,
    Comparison,
    PublishedRow,
    TableRow,
    Versus,
    agreement,
    compare,
    factor_support,
    judged_rows,
    paper_verdict,
    published_refuted,
    table_cases,
    table_row,
    table_verdicts,
)
from mtl_core.direction import Direction
from mtl_core.runs.library.published import published_table

Frame = Callable[..., pd.DataFrame]

FALL = [2.0 ** (10 - i) for i in range(21)]
"""Losses 2^10 … 2^-10 after whole epochs, which are the edges of the 20 geometric bins."""
LOWER = [2.0 ** (10 - i) for i in range(23)]
"""The same, and two steps lower."""
UNTRAINED = 2.0**12


def shifted(values: Sequence[float], by: float) -> list[float]:
    return [value + by for value in values]


@pytest.fixture
def pair(replica: Frame) -> Callable[..., pd.DataFrame]:
    """Multi-task and single-task training with three seeds each, ``spread`` apart.

    Factors of the single task are the whole epoch's number i, counted from 0; those of multi-task
    training are ``more`` higher, and its seeds ``extra`` further apart. The test metric rises by
    0.01 an epoch and validation is best at first, and then falls. The untrained network has the
    best validation metric, and factors of its own.
    """

    def make(
        more: float = 0.0,
        spread: float = 0.0,
        gain: float = 0.0,
        extra: float = 0.01,
        epochs: int | None = None,
    ) -> pd.DataFrame:
        tables = []
        for curve, losses, factor, metric in (
            ("multi", FALL, more, gain),
            ("single", LOWER, 0.0, 0.0),
        ):
            if epochs is not None:
                losses = [2.0 ** (10 - 20 * i / epochs) for i in range(epochs)]
            numbers = [float(i) for i in range(len(losses))]
            further = extra if curve == "multi" else 0.0
            for seed, place in enumerate((-1, 0, 1)):
                values = [99.0, *shifted(numbers, factor + place * (spread + further))]
                tables.append(
                    replica(
                        curve,
                        seed,
                        [UNTRAINED, *losses],
                        test=[9.0, *(0.5 + metric + place * further + 0.01 * i for i in numbers)],
                        val=[9.0, *(1 - 0.01 * i for i in numbers)],
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

    At these losses are the epochs 1 … 5, mean 3, and 17 … 20, mean 18.5, of both curves. The
    single task's own last bins, down to 2^-12, would hold its epochs up to 22. Bins that began at
    the untrained network's loss, 2^12, would hold others.
    """
    deltas = row(pair(more=7.0)).deltas
    assert means(deltas["fisher_trace"]) == pytest.approx((10.0, 3.0))
    assert means(deltas["sharpness"]) == pytest.approx((25.5, 18.5))
    assert means(deltas["gradient_covariance"]) == pytest.approx((25.5, 18.5))


def test_bins_say_how_many_measurements_they_hold(pair: Frame) -> None:
    found = row(pair(more=7.0))
    early, end = found.binned["fisher_trace"], found.binned["sharpness"]
    assert early is not None
    assert end is not None
    assert (early.phase, early.measurements, early.interpolated) == ("early", (5,) * 6, 0)
    assert (end.phase, end.measurements, end.interpolated) == ("end", (4,) * 6, 0)
    assert found.lowest == 2.0**-10, "the higher of both minima"
    assert set(row(pair(epochs=60), "footnote").binned.values()) == {None}


def test_the_footnote_takes_the_last_and_the_largest_twenty(pair: Frame) -> None:
    """Of rising values, 0 … 59, the last 20 are 40 … 59 with mean 49.5, and so are the largest."""
    deltas = row(pair(more=7.0, epochs=60), "footnote").deltas
    for factor in TABLE_FACTORS:
        assert means(deltas[factor]) == pytest.approx((56.5, 49.5))


@pytest.mark.parametrize(("epochs", "known"), [(49, False), (50, True)])
def test_the_footnote_is_for_runs_of_at_least_50_epochs(
    pair: Frame, epochs: int, known: bool
) -> None:
    """On a short run its counts are the whole way up, and say how fast a task is learned."""
    found = row(pair(more=7.0, gain=0.1, epochs=epochs), "footnote")
    assert [delta is not None for delta in found.deltas.values()] == [known] * 4
    assert all(row(pair(more=7.0, gain=0.1, epochs=epochs)).deltas.values())


def test_the_largest_twenty_may_lie_anywhere(replica: Frame) -> None:
    """An explosion of 30 values of 8 early on: Fisher finds 20 of them, the last 20 are all 1."""
    losses = [2.0 * 0.9**i for i in range(61)]
    peak = [99.0] + [1.0] * 5 + [8.0] * 30 + [1.0] * 25
    frame = pd.concat(
        replica(
            curve,
            seed,
            losses,
            [0.5] * 61,
            fisher_trace=shifted(peak, more),
            sharpness=shifted(peak, more),
        )
        for curve, more in (("multi", 2.0), ("single", 0.0))
        for seed in (0, 1)
    )
    deltas = row(frame, "footnote").deltas
    assert means(deltas["fisher_trace"]) == pytest.approx((10.0, 8.0))
    assert means(deltas["sharpness"]) == pytest.approx((3.0, 1.0))


def test_transfer_is_read_at_the_best_validation_epoch(pair: Frame) -> None:
    """Validation is best in the first epoch: 0.50. The untrained network's is better still."""
    found = row(pair(gain=0.1)).deltas["transfer"]
    assert means(found) == pytest.approx((0.6, 0.5))
    assert found is not None
    assert found.delta == pytest.approx(0.1)
    assert (found.verdict, found.pairs) == ("better", 3)


def test_the_footnote_reads_transfer_at_the_ten_best_validation_epochs(pair: Frame) -> None:
    """The first ten: 0.50 … 0.59, mean 0.545."""
    found = row(pair(gain=0.1, epochs=60), "footnote").deltas["transfer"]
    assert means(found) == pytest.approx((0.645, 0.545))
    assert found is not None
    assert found.delta == pytest.approx(0.1)
    assert found.verdict == "better"


def test_an_error_is_better_when_it_falls_and_its_best_epoch_is_the_lowest(pair: Frame) -> None:
    """Validation falls, so the lowest is the last that both have reached: of 0 … 20, 20."""
    found = row(pair(gain=0.1), direction="lower").deltas["transfer"]
    assert means(found) == pytest.approx((0.8, 0.7))
    assert found is not None
    assert found.verdict == "worse"
    ten = row(pair(gain=0.1, epochs=60), "footnote", "lower").deltas["transfer"]
    assert means(ten) == pytest.approx((0.6 + 0.545, 0.5 + 0.545)), "50 … 59"


@pytest.mark.parametrize(
    ("more", "verdict"),
    [(10.0, "not significant"), (10.1, "worse"), (-10.0, "not significant"), (-10.1, "better")],
)
def test_two_standard_deviations_decide_by_the_papers_rule(
    pair: Frame, more: float, verdict: str
) -> None:
    """Seeds 2.5 apart have a standard deviation of 2.5: intervals of ±5 touch at a Δ of 10."""
    deltas = row(pair(more=more, spread=2.5, extra=0.0)).deltas
    for factor in TABLE_FACTORS:
        found = deltas[factor]
        assert found is not None
        assert found.sd == pytest.approx(2.5)
        assert found.margin == pytest.approx(10.0)
        assert found.delta == pytest.approx(more)
        assert found.paper == verdict


@pytest.mark.parametrize(
    ("more", "verdict"),
    [(4.9, "not significant"), (5.0, "worse"), (-4.9, "not significant"), (-5.0, "better")],
)
def test_the_paired_interval_decides(pair: Frame, more: float, verdict: str) -> None:
    """Differences Δ − 2, Δ, Δ + 2, however far apart seeds are: ± 4.3027 × 2 / √3 = 4.968."""
    deltas = row(pair(more=more, spread=50.0, extra=2.0)).deltas
    for factor in TABLE_FACTORS:
        found = deltas[factor]
        assert found is not None
        assert (found.verdict, found.paper) == (verdict, "not significant")


def test_what_was_not_measured_is_none(pair: Frame) -> None:
    frame = pair(more=1.0, epochs=60).assign(sharpness=None)
    for aggregate in AGGREGATES:
        found = row(frame, aggregate)
        assert found.deltas["sharpness"] is None
        assert found.deltas["fisher_trace"] is not None
    assert tuple(found.deltas) == TABLE_COLUMNS


def test_a_curve_that_is_not_there_has_no_numbers(pair: Frame) -> None:
    found = table_row(pair(), Versus("target", "nope", "single", "higher"), "bins")
    assert set(found.deltas.values()) == {None}
    assert not found.significant
    assert table_cases([found]) == []
    assert table_verdicts([found])[0].missing == ("there is no transfer",)


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
    base = [-0.01, 0.0, 0.01]
    values = [value + moved + apart * place for value, place in zip(base, (-1, 0, 1), strict=True)]
    found = compare(
        values,
        base,
        direction="lower" if factor else "higher",
        seeds=range(3),
        baseline_seeds=range(3),
    )
    assert found.verdict == verdict
    return found


def made(task: str, transfer: str, *factors: str | None, lowest: float = 1e-3) -> TableRow:
    deltas: dict[str, Comparison | None] = {"transfer": change(transfer, factor=False)}
    for name, verdict in zip(TABLE_FACTORS, factors, strict=True):
        deltas[name] = change(verdict, factor=True) if verdict else None
    return TableRow(task, task, deltas, dict.fromkeys(TABLE_FACTORS), lowest)


def test_a_factor_explains_a_trade_off_that_it_shares() -> None:
    rows = [
        made("gains", "better", "better", "better", "worse"),
        made("loses", "worse", "worse", "better", "worse"),
        made("stays", "not significant", "better", "worse", "better"),
    ]
    assert [row.significant for row in rows] == [True, True, False]
    sharpness, fisher, covariance = table_verdicts(rows)
    assert sharpness.outcome == "can explain"
    assert (fisher.outcome, fisher.against) == ("moves the other way", ("loses",))
    assert (covariance.outcome, covariance.against) == ("moves the other way", ("gains",))
    assert factor_support([sharpness, fisher, covariance]) == "disagree"
    assert factor_support([fisher, covariance]) == "agree"


def test_no_change_found_is_no_evidence_and_neither_is_no_measurement() -> None:
    rows = [
        made("a", "better", "not significant", None, "better"),
        made("b", "worse", "worse", "worse", "worse"),
    ]
    first, second, third = table_verdicts(rows)
    assert (first.outcome, first.against) == ("no change found", ("a",))
    assert second.outcome == "not enough to tell"
    assert third.outcome == "can explain"
    assert factor_support([first]) == factor_support([second]) == "cannot tell"
    # By the paper's rule the first one is refuted.
    assert paper_verdict("sharpness", table_cases(rows)) == ("a",)
    nothing = table_verdicts([made("a", "not significant", "better", "better", "better")])
    assert {one.missing for one in nothing} == {("the transfer is not significant",)}
    assert factor_support(nothing) == factor_support([]) == "cannot tell"
    high = table_verdicts([rows[0], made("b", "worse", "worse", "worse", "worse", lowest=0.01)])
    assert high[2].missing == ("training loss not below 0.01: b",)


def test_the_rows_of_a_table_are_judged_column_by_column() -> None:
    rows = [
        made("a", "better", "worse", "better", None),
        made("b", "worse", "worse", "better", "worse"),
        made("c", "not significant", "worse", "better", None),
    ]
    found = judged_rows(rows)
    families = [
        [change.family if change else None for change in row.deltas.values()] for row in found
    ]
    assert families == [[3, 3, 3, None], [3, 3, 3, 1], [3, 3, 3, None]]
    once = rows[0].deltas["sharpness"]
    thrice = found[0].deltas["sharpness"]
    assert once is not None
    assert thrice is not None
    assert thrice.p == pytest.approx(3 * once.p)
    assert [row.name for row in found] == ["a", "b", "c"]
    assert judged_rows([]) == []


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


def test_printed_signs_refute_whatever_the_shading() -> None:
    rows = [
        printed("gain", 3.0, 0.1, -5.0, -1.0),
        printed("loss", -2.0, 0.1, -5.0, 1.0),
        printed("error", -0.5, 0.1, -5.0, -1.0, direction="lower"),
    ]
    sharpness, fisher, covariance = (published_refuted(name, rows) for name in TABLE_FACTORS)
    assert sharpness == ("Gain", "Error")
    assert fisher == ("Loss",)
    assert covariance == ()
    assert rows[2].transfer == "better"
    none = printed("none", 1.0, 0.0, 0.0, 0.0)
    assert published_refuted("sharpness", [none]) == ("None",), "no change refutes too"


# The paper's own numbers.


def printed_rows(setting: str, seeds: int, relative: float = 0.1) -> list[TableRow]:
    """The rows that Table 1 prints, had its runs ``seeds`` seeds and SDs of a tenth of each Δ.

    The paper prints neither. Both curves' seeds have that SD and their deviations nothing to do
    with each other, so that a paired difference has √2 of it; losses came below 10⁻².
    """
    ours, theirs = np.linalg.qr(
        np.column_stack([np.ones(seeds), np.random.default_rng(0).normal(size=(seeds, 2))])
    )[0][:, 1:].T * math.sqrt(seeds - 1)  # mean 0, SD 1, uncorrelated

    def measured(delta: float, direction: Direction) -> Comparison:
        spread = relative * abs(delta)
        return compare(
            delta + spread * ours,
            spread * theirs,
            direction=direction,
            seeds=range(seeds),
            baseline_seeds=range(seeds),
        )

    rows = []
    for row in published_table().of(setting):
        deltas: dict[str, Comparison | None] = {
            column: measured(delta, row.direction if column == "transfer" else "lower")
            for column, delta in row.deltas.items()
        }
        rows.append(TableRow(row.title, row.task, deltas, dict.fromkeys(TABLE_FACTORS), 1e-3))
    return rows


@pytest.mark.parametrize(("setting", "count"), [("cifar100", 7), ("celeba", 4), ("glue", 4)])
def test_the_papers_own_numbers_reach_its_verdict(setting: str, count: int) -> None:
    """Where transfers have both signs: no factor explains them, since each moves against some."""
    rows = printed_rows(setting, seeds=5)
    assert len(rows) == count
    judged = judged_rows(rows)
    assert all(row.significant for row in judged)
    assert {row.deltas["transfer"].verdict for row in judged if row.deltas["transfer"]} == {
        "better",
        "worse",
    }
    verdicts = table_verdicts(rows)
    assert [found.outcome for found in verdicts] == ["moves the other way"] * 3
    assert factor_support(verdicts) == "agree"
    for found in verdicts:
        assert found.judged == 3 * count
        # The very rows whose printed signs are against it, and the paper's rule says the same.
        assert found.against == published_refuted(found.factor, published_table().of(setting))
        assert paper_verdict(found.factor, table_cases(rows)) == found.against


def test_gains_alone_cannot_tell() -> None:
    """Both of Cityscapes' transfers are gains (that of depth is an error that falls).

    A factor that gets worse under every multi-task training would be refuted by them, and one that
    gets better would explain them, as the Fisher trace does here, whatever either has to do with
    transfer.
    """
    rows = printed_rows("cityscapes", seeds=5)
    assert [row.deltas["transfer"].verdict for row in rows if row.deltas["transfer"]] == [
        "better",
        "better",
    ]
    verdicts = table_verdicts(rows)
    assert {found.missing for found in verdicts} == {("there is no significant negative transfer",)}
    assert factor_support(verdicts) == "cannot tell"
    refuted = {name: paper_verdict(name, table_cases(rows)) for name in TABLE_FACTORS}
    assert refuted == {
        "sharpness": ("Semantic Segmentation", "Depth Estimation"),
        "fisher_trace": (),
        "gradient_covariance": ("Depth Estimation",),
    }


@pytest.mark.parametrize(
    # A tenth's p is .0066 with three pairs: times 12 rows and factors it is above .05.
    ("setting", "expected"),
    [("cifar100", "cannot tell"), ("celeba", "cannot tell"), ("glue", "cannot tell")],
)
def test_three_seeds_are_too_few_for_so_many_rows(setting: str, expected: str) -> None:
    verdicts = table_verdicts(printed_rows(setting, seeds=3))
    assert {found.outcome for found in verdicts} == {"no change found"}
    assert factor_support(verdicts) == expected
    # With SDs of a thirtieth three are enough.
    assert factor_support(table_verdicts(printed_rows(setting, 3, relative=1 / 30))) == "agree"


def test_unsure_numbers_of_the_paper_tell_nothing() -> None:
    """With SDs as large as the changes themselves no setting has a verdict."""
    for setting in published_table().settings:
        verdicts = table_verdicts(printed_rows(setting, seeds=5, relative=1.0))
        assert {found.outcome for found in verdicts} == {"not enough to tell"}
        assert factor_support(verdicts) == "cannot tell"
