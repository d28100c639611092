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
    optimizer_verdicts,
    percent_change,
    quadrant_verdicts,
    smto_points,
)

Frame = Callable[..., pd.DataFrame]
FACTORS = SMTO_FACTORS[1:]


@pytest.fixture
def run(replica: Frame) -> Frame:
    """A curve of two checkpoints; a quantity's seeds lie ``spread`` around its value."""

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
        **factors: float,
    ) -> pd.DataFrame:
        offsets = np.linspace(-spread, spread, seeds) if seeds > 1 else [0.0]
        values = dict.fromkeys(FACTORS, factor) | factors
        return pd.concat(
            [
                replica(
                    curve,
                    seed,
                    [2.0, loss * (1 + offset)],
                    [metric + offset] * 2,
                    task=task,
                    role=role,
                    **{
                        name: None if value is None else [value * (1 + offset)] * 2
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


def test_generalization_and_factors_are_footnote_7s(run: Frame) -> None:
    rows = pd.concat([run("UMTG"), run("m", 0.81, factor=1.3)])
    points = smto_points(rows, "UMTG")
    for column in ("test_metric", *FACTORS):
        expected = aggregate_comparison(rows, Versus("target", "m", "UMTG", "higher"), column)
        assert expected is not None
        percent = 100 * expected.delta / expected.baseline_mean
        if column == "test_metric":
            assert points["y"].tolist() == pytest.approx([percent] * 4)
            assert set(points["change"]) == {expected.verdict}
        else:
            assert one(points, "m", column)["x"] == pytest.approx(percent)
            assert one(points, "m", column)["factor_change"] == expected.verdict


def test_a_change_counts_where_two_deviations_do_not_overlap(run: Frame) -> None:
    # Seeds at −s, 0, s have the standard deviation s: intervals of ± 0.02 around 0.8 and around m.
    reference = run("UMTG", 0.8, spread=0.01)
    for metric, counted in ((0.839, False), (0.841, True), (0.761, False), (0.759, True)):
        rows = pd.concat([reference, run("m", metric, spread=0.01)])
        points = smto_points(rows, "UMTG")
        assert points["counted"].tolist() == [counted] * 4, metric
    # Whether the factor's own change is significant does not matter, as in the paper.
    rows = pd.concat([run("UMTG", 0.8), run("m", 0.9, 0.0999)])
    point = one(smto_points(rows, "UMTG"), "m", "min_train_loss")
    assert (point["factor_change"], point["counted"], point["shaded"]) == (
        "not significant",
        True,
        True,
    )


def test_of_an_error_lower_is_better(run: Frame) -> None:
    rows = pd.concat([run("UMTG", 0.4), run("m", 0.3, 0.05)])
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


def test_a_seed_without_a_value_leaves_its_panel_empty(run: Frame) -> None:
    changed = run("m", 0.9)
    changed.loc[changed["seed"] == 1, "sharpness"] = None
    point = one(smto_points(pd.concat([run("UMTG"), changed]), "UMTG"), "m", "sharpness")
    assert math.isnan(point["x"])
    assert pd.isna(point["factor_change"])


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
