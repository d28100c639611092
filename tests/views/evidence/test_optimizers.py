"""What runs say of §4.2, on optimizers made by hand."""

from collections.abc import Callable

import pytest

from mtl_core import RunConfig
from mtl_core.analysis import TABLE_FACTORS

SEEDS = tuple(range(5))
WOBBLE = (-0.002, 0.001, 0.002, -0.001, 0.0)
NAMES = ("mean", "mgda", "pcgrad", "gradnorm", "cagrad", "imtl_g", "gradvac", "dwa", "rlw")


def config(optimizer: str) -> RunConfig:
    return RunConfig.from_preset(
        "fashion",
        "standard",
        auxiliaries=("fashion2",),
        optimizer=optimizer,
        epochs=10,
        seeds=SEEDS,
    )


def runs(change: Callable[[int], tuple[float, float, float]]) -> dict[RunConfig, Callable]:
    """The plain sum, and optimizers that change E by so much, and loss and factors so many times.

    ``change`` is of the optimizer's place, from 0.
    """

    def values(gain: float, loss: float, factor: float, noise: float) -> Callable:
        def of(task: str, seed: int, way: float) -> dict[str, float]:
            wobble = noise * WOBBLE[seed]
            own = (gain, loss, factor) if task == "fashion1" else (0.0, 1.0, 1.0)
            measured = dict.fromkeys(TABLE_FACTORS, own[2] * (1 + wobble) + 0.01 * seed)
            return {
                "train_loss": 2 * (1e-4 * own[1] * (1 + wobble)) ** way,
                "test_metric": 0.8 + 0.001 * seed + own[0] + wobble,
                **measured,
            }

        return of

    made = {config(name): values(*change(place), 1.0) for place, name in enumerate(NAMES)}
    return {config("umtg"): values(0.0, 1.0, 1.0, 0.0), **made}


def turns(place: int) -> int:
    return 1 if place % 2 else -1


def test_factors_that_fall_whatever_happens_explain_nothing(judged) -> None:
    made = runs(lambda place: (0.05 * turns(place), 0.5, 0.5))
    row = judged(made, "smtos", "fashion")
    assert row.found.outcome == "agree"
    assert row.found.number.startswith("4 better and 5 worse of 18")
    assert row.on.endswith("5 seeds, 9 optimizers, 18 changes")
    assert judged(made, "minimum_explains", "fashion").found.outcome == "agree"
    assert judged(made, "higher_minimum", "fashion").found.outcome == "cannot tell", "9 of 18"


def test_factors_that_go_with_generalization_explain_it(judged) -> None:
    made = runs(lambda place: (0.05 * turns(place), 2.0 ** -turns(place), 2.0 ** -turns(place)))
    for key in ("smtos", "minimum_explains", "early_stopping"):
        assert judged(made, key, "fashion").found.outcome == "disagree"
    number = judged(made, "early_stopping", "fashion").found.number
    assert number.startswith("r = −1.00, fashion1"), "points on a line have no interval"


def test_changes_below_a_point_are_few(judged) -> None:
    small = judged(runs(lambda place: (0.001, 2.0, 1.0)), "few_changes", "fashion")
    assert small.found.outcome == "agree"
    assert small.found.number == "18 certainly small, 0 significant, of 18"
    made = runs(lambda place: (0.05, 2.0, 1.0))
    few = judged(made, "few_changes", "fashion")
    assert few.found.outcome == "cannot tell", "nine of eighteen are no majority"


@pytest.mark.parametrize("key", ["smtos", "few_changes", "higher_minimum", "early_stopping"])
def test_optimizers_that_are_not_there(judged, key: str) -> None:
    alone = {config("umtg"): lambda task, seed, way: {}}
    row = judged(alone, key, "fashion")
    assert row.found.outcome == "cannot tell"
    assert row.power == "takes runs of several optimizers on the same tasks"
    assert row.query is None


def test_losses_that_have_not_converged(judged) -> None:
    def shallow(task: str, seed: int, way: float) -> dict[str, float]:
        return {"train_loss": 2 * 0.05**way}

    made = {config(name): shallow for name in ("umtg", *NAMES)}
    for key in ("higher_minimum", "early_stopping"):
        row = judged(made, key, "fashion")
        assert (row.found.outcome, row.power) == ("cannot tell", "takes losses below 0.01")
