"""What cases say of a factor: with both signs, enough seeds and low losses, and without."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import pytest

from mtl_core.analysis import (
    DEEP,
    FEWEST_SEEDS,
    Case,
    Comparison,
    FactorVerdict,
    Versus,
    compare,
    factor_support,
    factor_verdicts,
    panel_verdicts,
    paper_verdict,
)
from mtl_core.analysis.verdict import lowest_loss
from mtl_core.direction import Direction

Frame = Callable[..., pd.DataFrame]

LOW = DEEP / 10
HOW = ("better", "worse", "not significant", "too few seeds")


def changed(how: str, count: int = 3) -> Comparison:
    """A comparison with the wanted verdict, also among a few others."""
    base = [0.50 + 0.01 * seed for seed in range(count)]
    shift, apart = {
        "better": (0.4, 0.001),
        "worse": (-0.4, 0.001),
        "not significant": (0.01, 0.02),
        "too few seeds": (0.4, 0.001),
    }[how]
    values = [value + shift + apart * (-1) ** seed for seed, value in enumerate(base)]
    if how == "too few seeds":
        values = values[:1]
    seeds = range(count)
    result = compare(values, base, seeds=seeds[: len(values)], baseline_seeds=seeds)
    assert result.verdict == how
    return result


def against(*curves: str, direction: Direction = "higher") -> list[Versus]:
    return [Versus("target", curve, "stl", direction) for curve in curves]


def case(
    name: str, transfer: str, factor: str | None, *, lowest: float = LOW, count: int = 3
) -> Case:
    change = changed(factor, count) if factor else None
    return Case(name, changed(transfer, count), {"sharpness": change}, lowest)


def judge(*cases: Case) -> FactorVerdict:
    (found,) = factor_verdicts(cases, ["sharpness"])
    return found


OTHER = {"better": case("loss", "worse", "worse"), "worse": case("gain", "better", "better")}
"""A case of the other sign whose factor does what it should."""


@pytest.mark.parametrize(
    ("transfer", "factor", "outcome"),
    [
        ("better", "better", "can explain"),
        ("better", "worse", "moves the other way"),
        ("better", "not significant", "no change found"),
        ("worse", "worse", "can explain"),
        ("worse", "better", "moves the other way"),
        ("worse", "not significant", "no change found"),
        ("better", None, "not enough to tell"),
        ("worse", "too few seeds", "not enough to tell"),
    ],
)
def test_one_case_beside_one_of_the_other_sign(transfer: str, factor: str, outcome: str) -> None:
    result = judge(case("a", transfer, factor), OTHER[transfer])
    assert (result.factor, result.outcome) == ("sharpness", outcome)
    against = outcome in ("moves the other way", "no change found")
    assert result.against == (("a",) if against else ())
    assert len(result.reasons) == len(result.against)
    assert bool(result.missing) == (outcome == "not enough to tell")
    if outcome == "not enough to tell":
        assert result.missing == ("not known on 3 seeds: a",)


@pytest.mark.parametrize(("transfer", "other"), [("better", "negative"), ("worse", "positive")])
@pytest.mark.parametrize("factor", HOW[:3])
def test_transfers_of_one_sign_tell_nothing(transfer: str, other: str, factor: str) -> None:
    """A factor that always moves one way agrees with all of them, or speaks against all."""
    cases = [case(name, transfer, factor) for name in "abc"]
    result = judge(*cases, case("no transfer", "not significant", factor))
    assert result.outcome == "not enough to tell"
    assert result.missing == (f"there is no significant {other} transfer",)
    assert factor_support([result]) == "cannot tell"


def test_without_transfer_there_is_nothing_to_explain() -> None:
    none = case("a", "not significant", "worse")
    few = case("b", "too few seeds", "worse")
    for cases, missing in (
        ([], "there is no transfer"),
        ([none], "the transfer is not significant"),
        ([few], "the transfer is not significant"),
        ([none, none, few], "none of the 3 transfers is significant"),
    ):
        result = judge(*cases)
        assert (result.outcome, result.missing) == ("not enough to tell", (missing,))


@pytest.mark.parametrize(("count", "outcome"), [(2, "not enough to tell"), (3, "can explain")])
def test_an_outcome_takes_three_seeds(count: int, outcome: str) -> None:
    assert FEWEST_SEEDS == 3
    # Two pairs are significant where their differences agree to a hundredth.
    base = [0.5, 0.6, 0.7][:count]
    up = compare(
        [value + 0.4 + 1e-5 * place for place, value in enumerate(base)],
        base,
        seeds=range(count),
        baseline_seeds=range(count),
    )
    assert up.verdict == "better"
    gain = Case("a", up, {"sharpness": up}, LOW)
    result = judge(gain, OTHER["better"])
    assert result.outcome == outcome
    assert result.missing[:1] == (("fewer than 3 seeds: a",) if count == 2 else ())


@pytest.mark.parametrize(
    ("lowest", "outcome"),
    [
        (DEEP, "not enough to tell"),
        (math.inf, "not enough to tell"),
        (math.nan, "not enough to tell"),
        (0.99 * DEEP, "moves the other way"),
    ],
)
def test_an_outcome_takes_losses_below_a_hundredth(lowest: float, outcome: str) -> None:
    result = judge(case("a", "better", "worse", lowest=lowest), OTHER["better"])
    assert result.outcome == outcome
    assert result.missing == (
        ("training loss not below 0.01: a",) if outcome == "not enough to tell" else ()
    )


def test_a_factor_takes_three_seeds_of_its_own() -> None:
    """Of three seeds of a transfer two may have the factor: too few for an outcome."""
    three = changed("worse")
    two = compare([0.1, 0.2, math.nan], [0.5, 0.601, 0.7], seeds=range(3), baseline_seeds=range(3))
    assert (two.verdict, two.pairs) == ("worse", 2)
    gain = Case("a", changed("better"), {"sharpness": two}, LOW)
    assert judge(gain, OTHER["better"]).missing == ("not known on 3 seeds: a",)
    whole = Case("a", changed("better"), {"sharpness": three}, LOW)
    assert judge(whole, OTHER["better"]).outcome == "moves the other way"


def test_one_case_is_enough_to_refute() -> None:
    cases = [
        case("a", "better", "better"),
        case("noisy_digits", "worse", "better"),
        case("b", "worse", "worse"),
        case("c", "better", "not significant"),
        case("d", "better", "worse"),
        case("does not count", "not significant", "worse"),
    ]
    result = judge(*cases)
    assert result.outcome == "moves the other way"
    assert result.against == ("noisy_digits", "d"), "what moves, not what was not found"
    assert result.reasons == (
        "noisy_digits: negative transfer, but sharpness improves",
        "d: positive transfer, but sharpness worsens",
    )
    agreeing = [one for one in cases if one.name not in result.against]
    still = judge(*agreeing)
    assert (still.outcome, still.against) == ("no change found", ("c",))
    (reason,) = still.reasons
    change = changed("not significant")
    assert reason == (
        "c: positive transfer, but sharpness changes by anything "
        f"from {change.low:+.2g} to {change.high:+.2g}"
    )
    known = [one for one in agreeing if one.name != "c"]
    assert judge(*known).outcome == "can explain"
    # It must hold for every significant case, so one that was not measured leaves it open.
    assert judge(*cases, case("lost", "worse", None)).outcome == "not enough to tell"


def test_everything_that_is_missing_is_said() -> None:
    result = judge(case("a", "better", None, lowest=1.0), case("b", "better", "better", lowest=0.5))
    assert result.missing == (
        "there is no significant negative transfer",
        "training loss not below 0.01: a, b",
        "not known on 3 seeds: a",
    )


def weak(sign: float, apart: float) -> Comparison:
    """Differences sign ± apart: p = 1 − t / √(2 + t²) with t = √3 / apart."""
    values = [10 * seed + sign + apart * (seed - 1) for seed in range(3)]
    seeds = range(3)
    return compare(values, [0, 10, 20], seeds=seeds, baseline_seeds=seeds)


def test_transfers_are_one_family_and_changes_of_significant_cases_another() -> None:
    up, down = changed("better"), changed("worse")
    barely = weak(1.0, 0.26)
    assert barely.p == pytest.approx(0.0218, abs=1e-3)
    gain = Case("gain", barely, {"sharpness": up, "fisher_trace": up}, LOW)
    loss = Case("loss", down, {"sharpness": down, "fisher_trace": down}, LOW)
    none = Case("none", weak(0.0, 1.0), {"sharpness": up, "fisher_trace": up}, LOW)
    names = ["sharpness", "fisher_trace"]
    # Ordered by p: loss, barely, none, so that barely is doubled.
    assert [one.outcome for one in factor_verdicts([gain, loss, none], names)] == [
        "can explain",
        "can explain",
    ]
    assert [one.judged for one in factor_verdicts([gain, loss, none], names)] == [4, 4]
    again = factor_verdicts([gain, loss, none, none, none], names)
    positive = {("there is no significant positive transfer",)}
    assert {one.missing for one in again} == positive, "its p is the second of five: times 4"
    two = factor_verdicts([gain, gain, gain, loss], names)
    assert {one.missing for one in two} == positive
    # A change that is weak alone is none among those of all factors.
    weakly = Case("gain", up, {"sharpness": weak(-1.0, 0.26), "fisher_trace": up}, LOW)
    (alone,) = factor_verdicts([weakly, loss], ["sharpness"])
    assert (alone.outcome, alone.judged) == ("moves the other way", 2)
    together = factor_verdicts([weakly, loss], names)
    assert [one.outcome for one in together] == ["moves the other way", "can explain"]
    crowded = Case("gain", up, {name: weak(-1.0, 0.26) for name in names}, LOW)
    (found, _) = factor_verdicts([crowded, loss], names)
    assert (found.outcome, found.judged) == ("moves the other way", 4)
    more = [Case(f"gain {i}", up, crowded.factors, LOW) for i in range(2)]
    (found, _) = factor_verdicts([*more, loss], names)
    assert (found.outcome, found.judged) == ("no change found", 6)


def test_what_verdicts_say_of_the_claim() -> None:
    def verdict(outcome: str) -> FactorVerdict:
        return FactorVerdict("sharpness", outcome)  # type: ignore[arg-type]

    other, can, open_, few = map(
        verdict, ("moves the other way", "can explain", "no change found", "not enough to tell")
    )
    for verdicts, expected in (
        ([other, other, other], "agree"),
        ([other, can, other], "disagree"),
        ([other, can, few], "disagree"),
        ([other, open_, other], "cannot tell"),
        ([other, few, other], "cannot tell"),
        ([open_, open_, open_], "cannot tell"),
        ([], "cannot tell"),
    ):
        assert factor_support(verdicts) == expected


@pytest.mark.parametrize(
    ("transfer", "factor", "refuted"),
    [
        ("better", "better", ()),
        ("worse", "worse", ()),
        ("better", "worse", ("a",)),
        ("better", "not significant", ("a",)),
        ("worse", "better", ("a",)),
        ("not significant", "better", None),
        ("better", "too few seeds", None),
        ("better", None, None),
    ],
)
def test_the_papers_own_rule(
    transfer: str, factor: str | None, refuted: tuple[str, ...] | None
) -> None:
    """A factor that does not change significantly is refuted, and one sign is enough."""
    one = case("a", transfer, factor)
    assert paper_verdict("sharpness", [one]) == refuted
    assert paper_verdict("sharpness", []) is None
    # Bands of ± 2 SD decide, not the paired interval: seeds that differ much hide what moves.
    wide = [0.0, 100.0, 200.0]
    moved = compare([9.0, 109.1, 209.0], wide, seeds=range(3), baseline_seeds=range(3))
    assert (moved.verdict, moved.paper) == ("better", "not significant")
    hidden = Case("b", changed("better"), {"sharpness": moved}, LOW)
    assert paper_verdict("sharpness", [hidden]) == ("b",)
    assert paper_verdict("sharpness", [Case("c", moved, {"sharpness": moved}, LOW)]) is None


DEPTHS: Mapping[str, tuple[float, float, float]] = {
    "stl": (0.5, 5.0, 7.0),
    "helps": (0.9, 1.0, 3.0),
    "noisy": (0.1, 9.0, 3.0),
}


@pytest.fixture
def panel(replica: Frame) -> pd.DataFrame:
    """A helpful and a noisy auxiliary: sharpness goes along with transfer, Fisher trace does not.

    Losses after whole epochs are 10^0, 10^−0.5 and 10^−4: early, and the end.
    """
    generator = np.random.default_rng(0)
    return pd.concat(
        [
            replica(
                curve,
                seed,
                [2.0, 1.0, 10**-0.5, 1e-4],
                [0.0, 0.0, 0.05, metric + 0.01 * generator.uniform()],
                sharpness=[9.0, 0.0, 0.0, sharpness + 0.1 * generator.uniform()],
                fisher_trace=[9.0, 0.0, fisher + 0.1 * generator.uniform(), 0.0],
                gradient_covariance=None,
            )
            for curve, (metric, sharpness, fisher) in DEPTHS.items()
            for seed in (0, 1, 2)
        ]
    )


def test_a_panel_is_judged_factor_by_factor(panel: pd.DataFrame) -> None:
    sharpness, fisher, covariance = panel_verdicts(panel, against("helps", "noisy"))
    assert (sharpness.factor, sharpness.outcome) == ("sharpness", "can explain")
    assert (fisher.factor, fisher.outcome) == ("fisher_trace", "moves the other way")
    assert fisher.reasons == ("noisy: negative transfer, but Fisher trace improves",)
    assert (covariance.factor, covariance.outcome) == ("gradient_covariance", "not enough to tell")
    assert covariance.missing == ("not known on 3 seeds: helps, noisy",)
    assert sharpness.judged == 4


def test_only_the_curves_asked_for_are_cases(panel: pd.DataFrame) -> None:
    pairs = against("stl", "helps", "never ran")
    (fisher,) = panel_verdicts(panel, pairs, factors=["fisher_trace"])
    assert fisher.missing == ("there is no significant negative transfer",)
    (nothing,) = panel_verdicts(panel, [], factors=["sharpness"])
    assert (nothing.outcome, nothing.missing) == ("not enough to tell", ("there is no transfer",))


def test_a_panel_that_did_not_come_deep_tells_nothing(panel: pd.DataFrame) -> None:
    shallow = panel.assign(train_loss=panel["train_loss"].clip(lower=0.02))
    for found in panel_verdicts(shallow, against("helps", "noisy"), ["sharpness"]):
        assert found.outcome == "not enough to tell"
        assert "training loss not below 0.01: helps, noisy" in found.missing


def test_the_lowest_loss_is_the_higher_curves_after_whole_epochs(replica: Frame) -> None:
    ours = [replica("a", seed, [4, 1, low], [0] * 3) for seed, low in enumerate((0.1, 0.3))]
    theirs = [replica("b", 0, [4, 1e-3, 2], [0] * 3)]
    assert lowest_loss(ours, theirs) == lowest_loss(theirs, ours) == pytest.approx(0.2)
    inside = [replica("b", 0, [4, 1e-3, 2], [0] * 3, epoch=[0.0, 0.5, 1.0])]
    assert lowest_loss(ours, inside) == 2
    assert lowest_loss(ours, []) == math.inf
    untrained = [replica("b", 0, [1e-9], [0])]
    assert lowest_loss(ours, untrained) == math.inf


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

    assert outcomes(pd.DataFrame()) == {"not enough to tell"}
    assert outcomes(panel[panel["curve"] != "stl"]) == {"not enough to tell"}
    assert outcomes(panel[panel["seed"] == 0]) == {"not enough to tell"}
    assert outcomes(panel[panel["seed"] < 2]) == {"not enough to tell"}
    assert outcomes(panel[panel["step"] == 0]) == {"not enough to tell"}
    expected = panel_verdicts(panel, against("helps", "noisy"))
    shuffled = panel.sample(frac=1, random_state=0)
    assert panel_verdicts(shuffled, against("helps", "noisy")) == expected
