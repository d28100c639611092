from collections.abc import Callable

import pandas as pd
import pytest

from mtl_core.analysis import Case, Comparison, Versus, compare, panel_verdicts, verdict
from mtl_core.direction import Direction

Frame = Callable[..., pd.DataFrame]


def changed(how: str) -> Comparison:
    """A comparison with the wanted verdict."""
    values = {
        "better": [0.90, 0.91],
        "worse": [0.10, 0.11],
        "not significant": [0.50, 0.52],
        "too few seeds": [0.90],
    }[how]
    result = compare(values, [0.50, 0.51])
    assert result.verdict == how
    return result


def against(*curves: str, direction: Direction = "higher") -> list[Versus]:
    return [Versus("target", curve, "stl", direction) for curve in curves]


def case(name: str, transfer: str, factor: str | None) -> Case:
    return Case(name, changed(transfer), changed(factor) if factor else None)


@pytest.mark.parametrize(
    ("transfer", "factor", "outcome"),
    [
        ("better", "better", "can explain"),
        ("better", "worse", "cannot explain"),
        ("better", "not significant", "cannot explain"),
        ("worse", "worse", "can explain"),
        ("worse", "better", "cannot explain"),
        ("worse", "not significant", "cannot explain"),
        ("not significant", "better", "nothing to explain"),
        ("not significant", None, "nothing to explain"),
        ("too few seeds", "worse", "nothing to explain"),
        ("better", None, "not measured"),
        ("worse", "too few seeds", "not measured"),
    ],
)
def test_one_case(transfer: str, factor: str | None, outcome: str) -> None:
    result = verdict("sharpness", [case("a", transfer, factor)])
    assert (result.factor, result.outcome) == ("sharpness", outcome)
    assert result.refuted_by == (("a",) if outcome == "cannot explain" else ())
    assert len(result.reasons) == len(result.refuted_by)


def test_one_case_is_enough_to_refute() -> None:
    cases = [
        case("a", "better", "better"),
        case("noisy_digits", "worse", "better"),
        case("b", "worse", "worse"),
        case("c", "better", "not significant"),
        case("d", "better", "worse"),
        case("does not count", "not significant", "worse"),
        case("was not measured", "worse", None),
    ]
    result = verdict("fisher_trace", cases)
    assert result.outcome == "cannot explain"
    assert result.refuted_by == ("noisy_digits", "c", "d")
    assert result.reasons == (
        "noisy_digits: negative transfer, but Fisher trace improves",
        "c: positive transfer, but Fisher trace does not change significantly",
        "d: positive transfer, but Fisher trace worsens",
    )
    agreeing = [one for one in cases if one.name not in result.refuted_by]
    # It must hold for every significant case, so one that was not measured leaves it open.
    assert verdict("fisher_trace", agreeing).outcome == "not measured"
    known = [one for one in agreeing if one.factor is not None]
    assert verdict("fisher_trace", known).outcome == "can explain"


def test_without_cases_there_is_nothing_to_explain() -> None:
    assert verdict("sharpness", []).outcome == "nothing to explain"


@pytest.fixture
def panel(replica: Frame) -> pd.DataFrame:
    """A helpful and a noisy auxiliary: sharpness goes along with transfer, Fisher trace does not.

    Losses are 10^0, 10^−0.5 and 10^−4: early, and the end.
    """
    curves = {"stl": (0.5, 5.0, 7.0), "helps": (0.9, 1.0, 3.0), "noisy": (0.1, 9.0, 3.0)}
    return pd.concat(
        [
            replica(
                curve,
                seed,
                [1.0, 10**-0.5, 1e-4],
                [0.0, 0.05, metric + 0.01 * seed],
                sharpness=[0.0, 0.0, sharpness + 0.1 * seed],
                fisher_trace=[0.0, fisher + 0.1 * seed, 0.0],
                gradient_covariance=None,
            )
            for curve, (metric, sharpness, fisher) in curves.items()
            for seed in (0, 1)
        ]
    )


def test_a_panel_is_judged_factor_by_factor(panel: pd.DataFrame) -> None:
    sharpness, fisher, covariance = panel_verdicts(panel, against("helps", "noisy"))
    assert (sharpness.factor, sharpness.outcome) == ("sharpness", "can explain")
    assert (fisher.factor, fisher.outcome) == ("fisher_trace", "cannot explain")
    assert fisher.reasons == ("noisy: negative transfer, but Fisher trace improves",)
    assert (covariance.factor, covariance.outcome) == ("gradient_covariance", "not measured")


def test_only_the_curves_asked_for_are_cases(panel: pd.DataFrame) -> None:
    pairs = against("stl", "helps", "never ran")
    (fisher,) = panel_verdicts(panel, pairs, factors=["fisher_trace"])
    assert fisher.outcome == "can explain"
    assert panel_verdicts(panel, [], factors=["sharpness"])[0].outcome == ("nothing to explain")


def test_the_direction_of_the_metric_turns_transfer_around(panel: pd.DataFrame) -> None:
    as_error = panel.assign(
        test_metric=1 - panel["test_metric"], val_metric=1 - panel["val_metric"]
    )
    expected = panel_verdicts(panel, against("helps", "noisy"))
    errors = against("helps", "noisy", direction="lower")
    assert panel_verdicts(as_error, errors) == expected
    assert panel_verdicts(as_error, against("helps", "noisy")) != expected


def test_what_is_not_known_yet_is_not_claimed(panel: pd.DataFrame) -> None:
    def outcomes(frame: pd.DataFrame) -> set[str]:
        return {one.outcome for one in panel_verdicts(frame, against("helps", "noisy"))}

    assert outcomes(pd.DataFrame()) == {"nothing to explain"}
    assert outcomes(panel[panel["curve"] != "stl"]) == {"nothing to explain"}
    assert outcomes(panel[panel["seed"] == 0]) == {"nothing to explain"}
    assert outcomes(panel[panel["step"] == 0]) == {"nothing to explain"}
    expected = panel_verdicts(panel, against("helps", "noisy"))
    shuffled = panel.sample(frac=1, random_state=0)
    assert panel_verdicts(shuffled, against("helps", "noisy")) == expected
