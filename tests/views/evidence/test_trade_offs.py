"""What runs say of §4.1, on runs made by hand."""

from collections.abc import Callable, Mapping

import pytest

from mtl_core import RunConfig
from mtl_core.analysis import TABLE_FACTORS
from mtl_core.runs.library.published import published_table

SEEDS = tuple(range(5))
WOBBLE = (-0.002, 0.001, 0.002, -0.001, 0.0)
GAINS = {"fashion2": 0.05, "noisy_fashion": -0.05}


def fashion(*auxiliaries: str) -> RunConfig:
    return RunConfig.from_preset(
        "fashion", "standard", auxiliaries=auxiliaries, epochs=20, seeds=SEEDS
    )


def runs(factors: Mapping[str, float], loss: float = 1e-4) -> dict[RunConfig, Callable]:
    """Fashion1 gains with one auxiliary and loses with the other; all factors are multiplied."""

    def values(gain: float, factor: float) -> Callable:
        def of(task: str, seed: int, way: float) -> dict[str, float]:
            wobble = WOBBLE[seed] if gain else 0.0
            measured = dict.fromkeys(TABLE_FACTORS, factor * (1 + wobble) + 0.01 * seed)
            metric = 0.8 + 0.001 * seed + gain + wobble
            return {"train_loss": 2 * loss**way, "test_metric": metric, **measured}

        return of

    made = {fashion(name): values(GAINS[name], factor) for name, factor in factors.items()}
    return {fashion(): values(0.0, 1.0), **made}


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ({"fashion2": 0.5, "noisy_fashion": 0.5}, ("agree", "agree")),
        ({"fashion2": 0.5, "noisy_fashion": 2.0}, ("disagree", "disagree")),
        ({"fashion2": 0.5, "noisy_fashion": 1.0}, ("cannot tell", "cannot tell")),
    ],
)
def test_factors_of_fashion(judged, factors: Mapping[str, float], expected: tuple) -> None:
    """Halved whatever the transfer; as transfer has it; with one transfer only."""
    found = [judged(runs(factors), key, "fashion") for key in ("no_factor", "better_factors")]
    assert tuple(row.found.outcome for row in found) == expected
    assert found[0].found.number.startswith("1 gain and 1 lose of 2; sharpness, Fisher trace")
    if expected[1] == "cannot tell":
        assert found[1].found.number == "0 worse and 3 better of 6, median ×0.75"
        assert "80 % power for a factor's change by" in found[1].power


def test_factors_take_losses_below_a_hundredth(judged) -> None:
    made = runs({"fashion2": 0.5, "noisy_fashion": 0.5}, loss=0.05)
    for key in ("no_factor", "better_factors"):
        row = judged(made, key, "fashion")
        assert row.found.outcome == "cannot tell"
        assert "0.01" in row.power


def test_factors_without_a_transfer_to_explain(judged) -> None:
    row = judged(runs({}), "no_factor", "fashion")
    assert row.query is None, "a task alone has nothing to be compared with"
    row = judged(runs({"fashion2": 0.5}), "no_factor", "fashion")
    assert row.found.outcome == "cannot tell"
    assert row.found.number.startswith("1 gain and 0 lose of 1")


@pytest.mark.parametrize(
    ("times", "expected"), [(1, "agree"), (-1, "disagree"), (0, "cannot tell")]
)
def test_factors_of_cifar_100_as_printed(judged, times: int, expected: str) -> None:
    """The paper's own changes: sharpness is worse for all, and 18 of 21 factors are."""
    printed = {row.task: row.deltas for row in published_table().of("cifar100")}
    tasks = tuple(printed)

    def config(target: str, others: tuple[str, ...] = ()) -> RunConfig:
        return RunConfig.from_preset(
            "cifar100",
            "standard",
            target=target,
            auxiliaries=others,
            seeds=SEEDS,
            epochs=20,
            auxiliary_factors=bool(others),
        )

    def values(sign: int) -> Callable:
        def of(task: str, seed: int, way: float) -> dict[str, float]:
            deltas = printed[task]
            return {
                name: (6 + 10 * sign * WOBBLE[seed]) * abs(deltas[name]) + sign * deltas[name]
                for name in TABLE_FACTORS
            }

        return of

    made = {config(task): values(0) for task in tasks}
    made[config(tasks[0], tasks[1:])] = values(times)
    sharper, worse = (judged(made, key, "cifar100") for key in ("sharper", "worse_factors"))
    assert sharper.found.outcome == worse.found.outcome == expected
    if times == 1:
        assert sharper.found.number == "7 worse and 0 better of 7, median ×1.2"
        assert worse.found.number.startswith("18 worse and 3 better of 21")
