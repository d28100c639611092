"""Fig. 4 in numbers: percentages, quadrants and what counts, on tables whose answer is known."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import (
    SMTO_FACTORS,
    Versus,
    aggregate_comparison,
    comparable,
    factor_support,
    factor_verdicts,
    judged_smtos,
    minimum_loss,
    optimizer_verdicts,
    percent_change,
    quadrant_verdicts,
    smto_cases,
    transfer,
)
from mtl_core.analysis import smto_points as points_of

Frame = Callable[..., pd.DataFrame]
FACTORS = SMTO_FACTORS[1:]


def smto_points(rows: pd.DataFrame, reference: str, **options: object) -> pd.DataFrame:
    """The points of a page's rows."""
    return points_of(smto_cases(rows, reference, **options))  # type: ignore[arg-type]


@pytest.fixture
def run(replica: Frame) -> Frame:
    """A curve of two whole epochs; a quantity's seeds lie ``spread`` around its value.

    The untrained network's numbers are others, and count for nothing.
    """

    def make(
        curve: str,
        metric: float = 0.8,
        loss: float = 0.1,
        factor: float | None = 1.0,
        *,
        spread: float = 0.001,
        seeds: int = 3,
        task: str = "target",
        role: str = "target",
        epochs: int = 2,
        **factors: float,
    ) -> pd.DataFrame:
        offsets = np.linspace(-spread, spread, seeds) if seeds > 1 else [0.0]
        values = dict.fromkeys(FACTORS, factor) | factors
        return pd.concat(
            [
                replica(
                    curve,
                    seed,
                    [4.0, *[2.0] * (epochs - 1), loss * (1 + offset)],
                    [9.0, *[metric + offset] * epochs],
                    task=task,
                    role=role,
                    **{
                        name: None if value is None else [99.0, *[value * (1 + offset)] * epochs]
                        for name, value in values.items()
                    },
                )
                for seed, offset in enumerate(offsets)
            ]
        )

    return make


def one(points: pd.DataFrame, curve: str, factor: str, task: str = "target") -> pd.Series:
    chosen = (points["curve"] == curve) & (points["factor"] == factor) & (points["task"] == task)
    (place,) = np.flatnonzero(chosen)
    return points.iloc[place]


@pytest.mark.parametrize(
    ("value", "reference", "expected"),
    [(3.0, 2.0, 50.0), (1.0, 4.0, -75.0), (5.0, 5.0, 0.0), (0.0, 2.0, -100.0)],
)
def test_a_percentage_is_of_the_reference(value: float, reference: float, expected: float) -> None:
    assert percent_change(value, reference) == expected


@pytest.mark.parametrize("reference", [0.0, -1.0, math.nan])
def test_without_a_reference_above_0_there_is_no_percentage(reference: float) -> None:
    assert math.isnan(percent_change(1.0, reference))


def test_points_are_percentages_of_umtg(run: Frame) -> None:
    rows = pd.concat([run("UMTG"), run("MGDA", 0.84, 0.05, sharpness=3.0, fisher_trace=0.4)])
    points = smto_points(rows, "UMTG")
    assert points["factor"].tolist() == list(SMTO_FACTORS)
    assert set(points["curve"]) == {"MGDA"}
    assert points["y"].tolist() == pytest.approx([5.0] * 4)  # 100 (0.84 − 0.80) / 0.80
    expected = {"min_train_loss": -50, "sharpness": 200, "fisher_trace": -60}
    for factor, change in expected.items():
        assert one(points, "MGDA", factor)["x"] == pytest.approx(change)
    assert one(points, "MGDA", "gradient_covariance")["x"] == pytest.approx(0)
    # Both better in the first and third panel; the fourth did not change at all.
    assert points["shaded"].tolist() == [True, False, True, False]
    assert points["counted"].all()
    assert one(points, "MGDA", "sharpness")["factor_change"] == "worse"
    assert one(points, "MGDA", "min_train_loss")["factor_change"] == "better"
    assert points["metric"].tolist() == pytest.approx([0.84] * 4)
    assert points["reference_metric"].tolist() == pytest.approx([0.8] * 4)
    assert points["seeds"].tolist() == points["reference_seeds"].tolist() == [3] * 4


@pytest.mark.parametrize(
    ("metric", "loss", "shaded"),
    [(0.9, 0.05, True), (0.9, 0.2, False), (0.7, 0.05, False), (0.7, 0.2, True)],
)
def test_the_shaded_quadrants(run: Frame, metric: float, loss: float, shaded: bool) -> None:
    points = smto_points(pd.concat([run("UMTG"), run("m", metric, loss)]), "UMTG")
    assert one(points, "m", "min_train_loss")["shaded"] == shaded


def test_minimum_training_loss_is_each_seeds_own_lowest(replica: Frame) -> None:
    rows = pd.concat(
        [
            replica("UMTG", 0, [2, 0.5, 1.0], [0.5] * 3, role="target"),
            replica("UMTG", 1, [2, 1.0, 0.3], [0.5] * 3, role="target"),
            replica("m", 0, [2, 0.1, 1.9], [0.5] * 3, role="target"),
            replica("m", 1, [0.3, 1.0, 1.0], [0.5] * 3, role="target"),
        ]
    )
    point = one(smto_points(rows, "UMTG"), "m", "min_train_loss")
    assert (point["value"], point["reference_value"]) == pytest.approx((0.2, 0.4))
    assert point["x"] == pytest.approx(-50)
    found = minimum_loss(rows, Versus("target", "m", "UMTG", "higher"))
    assert found is not None
    assert (found.mean, found.baseline_mean) == pytest.approx((0.2, 0.4))
    assert found.direction == "lower"
    assert minimum_loss(rows, Versus("target", "m", "nobody", "higher")) is None


@pytest.mark.parametrize("aggregate", ["bins", "footnote"])
def test_generalization_and_factors_are_read_as_in_table_1(run: Frame, aggregate: str) -> None:
    rows = pd.concat([run("UMTG", epochs=60), run("m", 0.81, factor=1.3, epochs=60)])
    points = smto_points(rows, "UMTG", aggregate=aggregate)
    versus = Versus("target", "m", "UMTG", "higher")
    for column in ("test_metric", *FACTORS):
        if aggregate == "footnote":
            expected = aggregate_comparison(rows, versus, column)
        elif column == "test_metric":
            expected = transfer(rows, versus)
        else:
            binned = comparable(rows, versus, column)
            expected = binned.comparison if binned else None
        assert expected is not None
        percent = 100 * expected.delta / expected.baseline_mean
        if column == "test_metric":
            assert points["y"].tolist() == pytest.approx([percent] * 4)
            assert set(points["change"]) == {expected.verdict}
            assert set(points["paper_change"]) == {expected.paper}
            assert points["low"].tolist() == pytest.approx([expected.low] * 4)
            assert points["high"].tolist() == pytest.approx([expected.high] * 4)
            assert points["p"].tolist() == pytest.approx([expected.p] * 4)
        else:
            assert one(points, "m", column)["x"] == pytest.approx(percent)
            assert one(points, "m", column)["factor_change"] == expected.verdict


def test_of_short_runs_footnote_7_says_nothing(run: Frame) -> None:
    rows = pd.concat([run("UMTG", epochs=49), run("m", 0.81, epochs=60)])
    assert smto_cases(rows, "UMTG", aggregate="footnote") == []
    assert len(smto_cases(rows, "UMTG")) == 1


def test_a_change_counts_where_two_deviations_do_not_overlap(run: Frame) -> None:
    # Seeds at −s, 0, s have the standard deviation s: intervals of ± 0.02 around 0.8 and around m.
    reference = run("UMTG", 0.8, spread=0.01)
    for metric, counted in ((0.839, False), (0.841, True), (0.761, False), (0.759, True)):
        rows = pd.concat([reference, run("m", metric, spread=0.01)])
        points = smto_points(rows, "UMTG")
        assert points["counted"].tolist() == [counted] * 4, metric
    # Whether the factor's own change is significant does not matter, as in the paper.
    rows = pd.concat([run("UMTG", 0.8, spread=0.002), run("m", 0.9, 0.0999, spread=0.004)])
    point = one(smto_points(rows, "UMTG"), "m", "min_train_loss")
    assert (point["factor_change"], point["counted"], point["shaded"]) == (
        "not significant",
        True,
        True,
    )


def test_the_interval_decides_beside_the_papers_rule(run: Frame) -> None:
    """Differences m − 0.8 ± 0.001 of seeds that are 0.01 apart: ± 0.0025, not ± 0.04."""
    reference = run("UMTG", 0.8, spread=0.01)
    for metric, change in ((0.8024, "not significant"), (0.8026, "better"), (0.7974, "worse")):
        points = smto_points(pd.concat([reference, run("m", metric, spread=0.011)]), "UMTG")
        assert set(points["change"]) == {change}
        assert set(points["paper_change"]) == {"not significant"}
        assert not points["counted"].any()


def test_all_changes_of_generalization_are_one_family(run: Frame) -> None:
    rows = pd.concat(
        [
            run("UMTG"),
            run("a", 0.9, spread=0.002),
            run("b", 0.9, spread=0.003),
            run("c", 0.8, spread=0.05),
            run("few", 0.9, seeds=1),
            run("UMTG", task="other", role="auxiliary"),
            run("a", 0.7, spread=0.002, task="other", role="auxiliary"),
        ]
    )
    cases = smto_cases(rows, "UMTG")
    assert [(one.curve, one.task, one.role) for one in cases] == [
        ("a", "target", "target"),
        ("b", "target", "target"),
        ("c", "target", "target"),
        ("few", "target", "target"),
        ("a", "other", "auxiliary"),
    ]
    assert [one.case.name for one in cases][:2] == ["target under a", "target under b"]
    judged = judged_smtos(cases)
    assert [one.case.transfer.family for one in judged] == [4, 4, 4, 1, 4]
    assert judged[1].case.transfer.p == pytest.approx(2 * cases[1].case.transfer.p), "third of 4"
    # And so are those of each factor, "few" having too few seeds in them as well.
    for factor in SMTO_FACTORS:
        changes = [one.case.factors[factor] for one in judged]
        assert [change.family if change else None for change in changes] == [4, 4, 4, 1, 4]
    assert points_of(judged)["p"].tolist()[:4] == [judged[0].case.transfer.p] * 4
    assert judged_smtos([]) == []


def test_cases_are_held_against_all_panels(run: Frame) -> None:
    """What decides on the page: min. training loss explains, sharpness moves the other way."""
    rows = pd.concat(
        [
            run("UMTG", loss=0.005, spread=0.0005),
            run("up", 0.9, 0.001, 0.5, spread=0.003, sharpness=2.0),
            run("down", 0.7, 0.009, 2.0, spread=0.001),
        ]
    )
    cases = [one.case for one in smto_cases(rows, "UMTG")]
    verdicts = {found.factor: found for found in factor_verdicts(cases, SMTO_FACTORS)}
    assert {name: found.outcome for name, found in verdicts.items()} == {
        "min_train_loss": "can explain",
        "sharpness": "moves the other way",
        "fisher_trace": "can explain",
        "gradient_covariance": "can explain",
    }
    assert verdicts["sharpness"].against == ("target under up",)
    assert {found.judged for found in verdicts.values()} == {8}
    assert factor_support(list(verdicts.values())) == "disagree"
    (alone,) = factor_verdicts(cases[:1], ["min_train_loss"])
    assert alone.missing == ("there is no significant negative transfer",)


def test_of_an_error_lower_is_better(run: Frame) -> None:
    rows = pd.concat([run("UMTG", 0.4), run("m", 0.3, 0.05, spread=0.002)])
    point = one(smto_points(rows, "UMTG", directions={"target": "lower"}), "m", "min_train_loss")
    assert (point["y"], point["change"], point["shaded"]) == (pytest.approx(25), "better", True)
    assert one(smto_points(rows, "UMTG"), "m", "min_train_loss")["y"] == pytest.approx(-25)


def test_tasks_without_factors_have_their_loss_panel_only(run: Frame) -> None:
    rows = pd.concat(
        [
            run("UMTG"),
            run("m", 0.9, 0.05, 0.5),
            run("UMTG", factor=None, task="other", role="auxiliary"),
            run("m", 0.7, 0.05, None, task="other", role="auxiliary"),
        ]
    )
    points = smto_points(rows, "UMTG")
    assert len(points) == 8
    other = points[points["task"] == "other"]
    assert set(other["role"]) == {"auxiliary"}
    assert other["x"].notna().tolist() == [True, False, False, False]
    assert other["counted"].all()
    loss, sharpness, *_ = quadrant_verdicts(points)
    assert (loss.changes, loss.shaded, loss.unplaced, loss.outcome) == (2, 1, 0, "cannot explain")
    assert (sharpness.changes, sharpness.shaded, sharpness.unplaced) == (1, 1, 1)
    assert sharpness.outcome == "not measured"
    (each,) = optimizer_verdicts(points)
    assert each.changes == 2
    assert each.panels == {"min_train_loss": (1, 2), **dict.fromkeys(FACTORS, (1, 1))}
    assert (each.factors, each.open) == ((), FACTORS)


def test_without_umtg_or_without_others_there_are_no_points(run: Frame) -> None:
    for rows in (run("m"), run("UMTG"), pd.DataFrame(), run("m").iloc[:0]):
        points = smto_points(rows, "UMTG")
        assert points.empty
        verdicts = quadrant_verdicts(points)
        assert [verdict.outcome for verdict in verdicts] == ["nothing to explain"] * 4
        assert [verdict.factor for verdict in verdicts] == list(SMTO_FACTORS)
        assert optimizer_verdicts(points) == []


def test_one_seed_shows_and_does_not_count(run: Frame) -> None:
    points = smto_points(pd.concat([run("UMTG", seeds=1), run("m", 0.9, 0.05, seeds=1)]), "UMTG")
    assert points["y"].tolist() == pytest.approx([12.5] * 4)
    assert set(points["change"]) == {"too few seeds"}
    assert not points["counted"].any()
    assert quadrant_verdicts(points)[0].outcome == "nothing to explain"


def test_a_reference_of_0_has_no_place_and_is_counted_apart(run: Frame) -> None:
    rows = pd.concat([run("UMTG", loss=0.0, factor=0.0), run("m", 0.9, 0.1)])
    points = smto_points(rows, "UMTG")
    assert points["x"].isna().all()
    assert points["counted"].all()
    assert not points["shaded"].any()
    (first, *_) = quadrant_verdicts(points)
    assert (first.changes, first.unplaced, first.outcome) == (0, 1, "not measured")
    (alone,) = optimizer_verdicts(points)
    assert (alone.changes, alone.factors, alone.open) == (1, (), SMTO_FACTORS)
    assert set(alone.panels.values()) == {(0, 0)}


def test_a_seed_without_a_value_is_left_out_of_its_panel(run: Frame) -> None:
    changed = run("m", 0.9, factor=2.0)
    changed.loc[changed["seed"] == 1, "sharpness"] = None
    (found,) = smto_cases(pd.concat([run("UMTG"), changed]), "UMTG")
    sharpness = found.case.factors["sharpness"]
    assert sharpness is not None
    assert (sharpness.pairs, sharpness.seeds, sharpness.baseline_seeds) == (2, 2, 3)
    changed["sharpness"] = None
    point = one(smto_points(pd.concat([run("UMTG"), changed]), "UMTG"), "m", "sharpness")
    assert math.isnan(point["x"])
    assert pd.isna(point["factor_change"])
    # Footnote 7's numbers take every seed's.
    long = run("m", 0.9, epochs=60)
    long.loc[long["seed"] == 1, "sharpness"] = None
    points = smto_points(pd.concat([run("UMTG", epochs=60), long]), "UMTG", aggregate="footnote")
    assert math.isnan(one(points, "m", "sharpness")["x"])


def test_quadrants_are_counted_over_all_points(run: Frame) -> None:
    rows = pd.concat(
        [
            run("UMTG"),
            run("both better", 0.9, 0.05, 0.5),
            run("both worse", 0.7, 0.2, 2.0),
            run("only sharper", 0.9, 0.05, 0.5, sharpness=2.0),
            run("unchanged", 0.8, 0.2, 9.0),
        ]
    )
    points = smto_points(rows, "UMTG")
    found = {verdict.factor: verdict for verdict in quadrant_verdicts(points)}
    assert {name: (v.shaded, v.changes, v.outcome) for name, v in found.items()} == {
        "min_train_loss": (3, 3, "can explain"),
        "sharpness": (2, 3, "cannot explain"),
        "fisher_trace": (3, 3, "can explain"),
        "gradient_covariance": (3, 3, "can explain"),
    }
    each = {verdict.curve: verdict.factors for verdict in optimizer_verdicts(points)}
    assert each == {
        "both better": SMTO_FACTORS,
        "both worse": SMTO_FACTORS,
        "only sharper": ("min_train_loss", "fisher_trace", "gradient_covariance"),
    }


def test_an_optimizer_is_explained_by_what_holds_all_of_its_points(run: Frame) -> None:
    """Pooled over two sets, as a page does."""
    first = smto_points(pd.concat([run("UMTG"), run("m", 0.9, 0.05, 0.5)]), "UMTG")
    second = smto_points(pd.concat([run("UMTG"), run("m", 0.7, 0.05, 2.0)]), "UMTG")
    both = pd.concat([first, second], ignore_index=True)
    (verdict,) = optimizer_verdicts(both)
    assert (verdict.changes, verdict.factors, verdict.open) == (2, FACTORS, ())
    assert verdict.panels["min_train_loss"] == (1, 2)
    (loss, *others) = quadrant_verdicts(both)
    assert (loss.shaded, loss.changes, loss.outcome) == (1, 2, "cannot explain")
    assert {other.outcome for other in others} == {"can explain"}
