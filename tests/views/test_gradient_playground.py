"""The playground's state: a URL says everything, and no URL breaks anything."""

import math
from dataclasses import replace
from random import Random

import pytest

from mtl_core import optimizers
from mtl_core.errors import InputError
from mtl_core.views.gradient_playground import LENGTHS, MOST_SEED, PRESETS, Playground, preset

NONSENSE = {
    "angles": ["", "1", "1 2 3 4", "1 x", "1.5 2", "0 181", "0 -181", "0 " + "9" * 5000],
    "lengths": ["", "1", "1 2 3 4", "1 x", "-1 1", "nan 1", "inf 1", "1e999 1", "1 100.1"],
    "losses": ["", "1", "0 1", "1 0.001", "1 101", "1 low"],
    "third": ["", "True", "1"],
    "methods": ["", "pcgard", "umtg, mean", "all umtg", "UMTG"],
    "scale": ["", "match", "RAW"],
    "view": ["", "polar"],
    "seed": ["", "-1", "1.5", str(MOST_SEED + 1), "9" * 5000],
}


def sampled(random: Random) -> Playground:
    """Any state that the page can come to."""
    names = optimizers.names()
    return Playground(
        angles=tuple(random.randint(-180, 180) for _ in range(3)),
        lengths=tuple(random.choice([*LENGTHS, random.uniform(0, 100)]) for _ in range(3)),
        losses=tuple(random.choice([*LENGTHS[1:], random.uniform(0.01, 100)]) for _ in range(3)),
        third=random.random() < 0.5,
        methods=tuple(random.sample(names, random.randint(0, len(names)))),
        scale=random.choice(["raw", "match_sum"]),
        view=random.choice(["linear", "log"]),
        seed=random.choice([0, random.randint(0, MOST_SEED)]),
    )


@pytest.mark.parametrize("number", range(100))
def test_every_state_survives_its_url(number: int) -> None:
    playground = sampled(Random(number))
    query = playground.to_query()
    assert all(isinstance(value, str) for value in query.values())
    assert Playground.from_query(query) == (playground, [])


def test_no_query_is_two_tasks_in_conflict_with_a_few_methods() -> None:
    playground, problems = Playground.from_query({})
    assert (playground, problems) == (Playground.default(), [])
    assert playground.tasks == 2
    assert playground.methods[0] == "umtg"
    assert set(playground.methods) <= set(optimizers.names())
    (one, other) = playground.gradients
    assert one[0] * other[0] + one[1] * other[1] < 0


@pytest.mark.parametrize(
    ("name", "text"), [(name, text) for name, texts in NONSENSE.items() for text in texts]
)
def test_nonsense_falls_back_and_is_named(name: str, text: str) -> None:
    good = {"angles": "10 20 30", "lengths": "1 2 3", "third": "true", "methods": "mean"}
    expected, none = Playground.from_query({k: v for k, v in good.items() if k != name})
    assert none == []
    playground, (problem,) = Playground.from_query(good | {name: text})
    assert playground == expected, "the others stay as they are"
    assert problem.startswith(f"in the URL, {name}: ")
    assert problem.endswith(" instead")
    assert len(problem) < 600


def test_every_parameter_is_tried_and_others_are_named() -> None:
    every = replace(
        Playground.default(), third=True, losses=(1.0, 2.0, 3.0), scale="match_sum", view="log",
        seed=1,
    )  # fmt: skip
    assert set(every.to_query()) == set(NONSENSE)
    playground, (problem,) = Playground.from_query({"angle": "1"})
    assert playground == Playground.default()
    assert problem == (
        "in the URL, unknown parameter 'angle'; one of: angles, lengths, losses, methods, scale, "
        "seed, third, view; ignored"
    )


def test_all_nonsense_at_once_is_the_default_with_a_short_list() -> None:
    query = {name: texts[-1] for name, texts in NONSENSE.items()} | {f"x{i}": "" for i in range(99)}
    playground, problems = Playground.from_query(query)
    assert playground == Playground.default()
    assert len(problems) == 9
    assert problems[-1] == "and 99 more such"


def test_two_values_are_enough_and_methods_may_be_all_or_none() -> None:
    query = {"angles": "0 90", "lengths": "1 100", "methods": "all"}
    playground, problems = Playground.from_query(query)
    assert problems == []
    assert playground.angles == (0, 90, Playground.angles[2])
    assert playground.gradients == ((1.0, 0.0), (0.0, 100.0))
    assert playground.methods == tuple(optimizers.names())
    assert playground.to_query()["methods"] == "all"
    assert Playground.from_query({"methods": "none"})[0].methods == ()


def test_methods_are_in_the_registrys_order_and_once() -> None:
    playground, _ = Playground.from_query({"methods": "mean umtg mean"})
    assert playground.methods == ("umtg", "mean")


def test_gradients_of_right_and_opposite_angles_are_exact() -> None:
    playground = Playground(angles=(0, 180, 90), lengths=(1.5, 1.5, 2.0), third=True)
    assert playground.gradients == ((1.5, 0.0), (-1.5, 0.0), (0.0, 2.0))
    assert Playground(angles=(-120, 60, 0)).gradients[0] == pytest.approx(
        (-0.5, -math.sqrt(3) / 2)
    )  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"angles": (0, 0, 181)},
        {"lengths": (-0.1, 1.0, 1.0)},
        {"losses": (1.0, 0.0, 1.0)},
        {"seed": -1},
        {"scale": "double"},
        {"view": "polar"},
        {"methods": ("pcgard",)},
        {"lengths": (math.nan, 1.0, 1.0)},
    ],
)
def test_values_out_of_range_are_refused(change) -> None:
    with pytest.raises(InputError):
        replace(Playground.default(), **change)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_change_the_gradients_alone(name: str) -> None:
    before = replace(Playground.default(), scale="match_sum", seed=5, losses=(2.0, 1.0, 1.0))
    after = preset(before, name)
    assert (after.methods, after.scale, after.seed) == (before.methods, "match_sum", 5)
    assert after.losses == (1.0, 1.0, 1.0)
    assert preset(after, name) == after
    inner = [
        a[0] * b[0] + a[1] * b[1]
        for place, a in enumerate(after.gradients)
        for b in after.gradients[:place]
    ]
    assert all(value > 0 for value in inner) == (name == "aligned")
    assert len(after.gradients) == (3 if name == "three in conflict" else 2)
    assert name != "three in conflict" or max(inner) < 0


def test_the_preset_of_opposites_cancels_and_unknown_ones_are_named() -> None:
    assert preset(Playground.default(), "opposite").gradients == ((1.0, 0.0), (-1.0, 0.0))
    with pytest.raises(InputError, match="unknown preset 'perpendicular'; one of: aligned"):
        preset(Playground.default(), "perpendicular")
