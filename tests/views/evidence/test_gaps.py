"""What runs say of §3, on FashionMTL made by hand."""

from collections.abc import Callable, Mapping

import pytest

from mtl_core import RunConfig
from mtl_core.analysis import smallest
from mtl_core.runs.library.published import published_table

SEEDS = tuple(range(5))
WOBBLE = (-0.002, 0.001, 0.002, -0.001, 0.0)
"""Of a seed's gain, whose standard deviation is 0.0015811."""


def fashion(*auxiliaries: str, **changes: object) -> RunConfig:
    usual = {"epochs": 20, "seeds": SEEDS}
    return RunConfig.from_preset(
        "fashion",
        "standard",
        auxiliaries=auxiliaries,
        **(usual | changes),  # type: ignore[arg-type]
    )


def runs(
    gains: Mapping[str, float], opens: float = 0.5, loss: float = 1.0, **changes: object
) -> dict[RunConfig, Callable]:
    """Fashion1 alone, and with each auxiliary, by which it gains from a training loss on.

    The multi-task runs end at ``loss`` times the single task's.
    """

    def with_gain(gain: float) -> Callable:
        def values(task: str, seed: int, way: float) -> dict[str, float]:
            train = 2 * (loss * 1e-4 * (1 + 0.05 * WOBBLE[seed])) ** way
            more = gain + WOBBLE[seed] if train <= opens else 0.0
            return {"train_loss": train, "test_metric": 0.8 + 0.001 * seed + more}

        return values

    made = {fashion(name, **changes): with_gain(gain) for name, gain in gains.items()}
    return {fashion(**changes): lambda task, seed, way: {}, **made}


BOTH = {"fashion2": 0.05, "noisy_fashion": -0.05}
TURNED = {"fashion2": -0.05, "noisy_fashion": 0.05}
NEITHER = {"fashion2": 0.0002, "noisy_fashion": -0.0002}


@pytest.mark.parametrize(
    ("gains", "expected"), [(BOTH, "agree"), (TURNED, "disagree"), (NEITHER, "cannot tell")]
)
def test_help_and_harm(judged, gains: Mapping[str, float], expected: str) -> None:
    made = runs(gains)
    for key, name in (("help", "fashion2"), ("harm", "noisy_fashion")):
        row = judged(made, key, "fashion")
        assert row.found.outcome == expected
        assert f"{100 * gains[name]:+.2f} pt [".replace("-", "−") in row.found.number
    error = 0.0015811388 / 5**0.5
    size = 100 * smallest(error, 4, 2)
    assert (f"80 % power for {size:.2f} pt" in row.power) == (expected == "cannot tell")
    assert row.on == "25,000 examples, 20 of 100 epochs, 5 seeds, 2 comparisons"


def test_a_run_that_is_not_there_is_missed(judged) -> None:
    row = judged(runs({"fashion2": 0.05}), "harm", "fashion")
    assert row.found.outcome == "cannot tell"
    assert row.power == "takes fashion1 with noisy_fashion at this budget"
    nothing = judged({}, "harm", "fashion")
    assert nothing.found.outcome == "cannot tell"
    assert nothing.query is None


def test_gaps_that_open_early_and_late(judged) -> None:
    early = judged(runs(BOTH), "early", "fashion")
    assert early.found.outcome == "agree"
    assert early.found.number.startswith("2 of 2 open above L = 0.1; fashion1 + fashion2 at L = 0.")
    late = judged(runs(BOTH, opens=0.02), "early", "fashion")
    assert late.found.outcome == "disagree"
    none = judged(runs(NEITHER), "early", "fashion")
    assert none.found.number == "no significant transfer of 2"
    assert none.power.endswith("pt of transfer")


def test_gaps_orders_of_magnitude_above_the_last_loss(judged) -> None:
    assert judged(runs(BOTH), "three_orders", "fashion").found.outcome == "agree"
    assert judged(runs(BOTH, opens=0.02), "three_orders", "fashion").found.outcome == "disagree"
    short = judged(runs(BOTH, loss=1e3), "three_orders", "fashion")
    assert short.found.outcome == "cannot tell"
    assert short.power == "takes losses that fall by more than 1,000 times"
    assert judged(runs(BOTH), "six_orders", "any").found.outcome == "cannot tell"
    deep = judged(runs(BOTH, opens=1.5, loss=1e-3), "six_orders", "any")
    assert deep.found.outcome == "cannot tell", "the single task does not go down as far"


@pytest.mark.parametrize(
    ("loss", "expected"), [(3.0, "agree"), (1 / 3, "disagree"), (1.0, "cannot tell")]
)
def test_higher_losses(judged, loss: float, expected: str) -> None:
    row = judged(runs(BOTH, loss=loss), "higher_loss", "fashion")
    assert row.found.outcome == expected
    assert row.found.number.endswith(f"median ×{loss:.2g}")


def test_higher_losses_of_runs_that_have_not_converged(judged) -> None:
    def shallow(task: str, seed: int, way: float) -> dict[str, float]:
        return {"train_loss": 2 * 0.05**way}

    row = judged(dict.fromkeys((fashion(), fashion("fashion2")), shallow), "higher_loss", "fashion")
    assert row.found.outcome == "cannot tell"
    assert row.power == "takes losses below 0.01"


@pytest.mark.parametrize(("sign", "expected"), [(1, "agree"), (-1, "disagree"), (0, "cannot tell")])
def test_tasks_gain_and_lose_as_printed(judged, sign: int, expected: str) -> None:
    printed = published_table().of("cifar100")
    tasks = tuple(row.task for row in printed)
    deltas = {row.task: sign * row.deltas["transfer"] / 100 for row in printed}

    def config(target: str, others: tuple[str, ...] = ()) -> RunConfig:
        return RunConfig.from_preset(
            "cifar100", "standard", target=target, auxiliaries=others, seeds=SEEDS, epochs=4
        )

    def together(task: str, seed: int, way: float) -> dict[str, float]:
        return {"test_metric": 0.5 + 0.001 * seed + deltas[task] + WOBBLE[seed]}

    def alone(task: str, seed: int, way: float) -> dict[str, float]:
        return {"test_metric": 0.5 + 0.001 * seed}

    made = {config(tasks[0], tasks[1:]): together, **{config(task): alone for task in tasks}}
    losers = judged(made, "cifar_losers", "cifar100")
    gainers = judged(made, "cifar_gainers", "cifar100")
    assert losers.found.outcome == gainers.found.outcome == expected
    if sign == 1:
        assert losers.found.number == "4 of 4 significantly so; 4 of 4 with that sign"
        assert "Fish +3.49 pt [" in gainers.found.why
        assert "(printed +3.49)" in gainers.found.why
    if sign == 0:
        assert "pt of transfer" in losers.power


def test_the_best_evidence_is_nearest_to_the_paper_and_others_are_told(judged) -> None:
    """What they say plays no part."""
    near = runs(BOTH, epochs=40, seeds=(0, 1, 2))
    far = runs(TURNED)
    few = runs(NEITHER, epochs=100, seeds=(0, 1))
    row = judged({**few, **far, **near}, "help", "fashion")
    assert row.on == "25,000 examples, 40 of 100 epochs, 3 seeds, 2 comparisons"
    assert row.found.outcome == "agree"
    assert row.elsewhere == "other budgets: 1 disagree, 1 cannot tell"
