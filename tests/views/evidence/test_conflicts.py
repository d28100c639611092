"""What runs say of §5: Fish with auxiliary sets made by hand."""

from collections.abc import Callable

import pytest

from mtl_core import RunConfig, settings
from mtl_core.analysis import TABLE_FACTORS

SEEDS = (0, 1, 2)
OTHERS = tuple(task.name for task in settings.get("cifar100").tasks if task.name != "fish")


def runs(
    sets: int, metric: Callable[[float], float], factor: Callable[[float], float]
) -> dict[RunConfig, Callable]:
    """Pairs of Fish with another task, whose similarities rise from .4 to .8."""

    def values(place: int) -> Callable:
        similarity = 0.4 + 0.4 * place / (sets - 1)

        def of(task: str, seed: int, way: float) -> dict[str, float]:
            apart = 0.002 * (((place + 2) * (seed + 1)) % 5 - 2)
            return {
                "gradient_similarity": similarity + apart,
                "test_metric": metric(similarity) + 0.001 * seed + apart,
                **{name: factor(similarity) + 0.001 * seed + apart for name in TABLE_FACTORS},
            }

        return of

    made = {}
    for place in range(sets):
        chosen = OTHERS[place : place + 1] if place < 19 else OTHERS[place - 19 : place - 17]
        config = RunConfig.from_preset(
            "cifar100",
            "standard",
            target="fish",
            auxiliaries=tuple(sorted(chosen, key=OTHERS.index)),
            seeds=SEEDS,
            epochs=3,
        )
        made[config] = values(place)
    return made


def up(similarity: float) -> float:
    return similarity


def down(similarity: float) -> float:
    return 1 - similarity


def test_conflict_that_worsens_and_foretells(judged) -> None:
    made = runs(24, up, down)
    worsens = judged(made, "conflict_optimization", "cifar100")
    assert worsens.found.outcome == "agree"
    assert worsens.found.number.startswith("3 negative and 0 positive of 3: sharpness r = −")
    assert worsens.on.endswith("3 seeds, 24 sets of 1 target")
    foretells = judged(made, "conflict_generalization", "cifar100")
    assert foretells.found.outcome == "disagree"
    assert foretells.found.number.startswith("fish r = +")
    opposite = judged(runs(24, up, up), "conflict_optimization", "cifar100")
    assert opposite.found.outcome == "disagree"


def test_few_sets_tell_nothing(judged) -> None:
    made = runs(6, up, down)
    for key in ("conflict_optimization", "conflict_generalization"):
        row = judged(made, key, "cifar100")
        assert row.found.outcome == "cannot tell"
        assert row.power.startswith("takes 20 sets of a target")


@pytest.mark.parametrize(("metric", "expected", "rank"), [(down, "agree", 1), (up, "disagree", 4)])
def test_the_set_in_strongest_conflict(judged, metric: Callable, expected: str, rank: int) -> None:
    row = judged(runs(4, metric, down), "fish", "cifar100")
    assert row.found.outcome == expected
    assert row.found.number.startswith(f"rank {rank} of 4; against the best other ")
