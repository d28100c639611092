"""A race: its course by hand, its bound against Student's, and its errors by simulation."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from mtl_core import InputError
from mtl_core.analysis.race import LOOKS, Race, course, looks, race

RACES = 1_000
MOST_WRONG = 73
"""Of 1,000 races with an error of 5 %, more are wrong once in a thousand tests."""


def results(
    effects: list[float], seeds: int, *, sd: float = 1.0, seed: int = 0
) -> dict[str, list[float]]:
    random = np.random.default_rng(seed)
    shared = random.normal(size=seeds)
    return {
        f"t{place}": list(effect + shared + sd * random.normal(size=seeds))
        for place, effect in enumerate(effects)
    }


def told(known: dict[str, list[float]], **asked: object) -> Race:
    return race(known, **{"reference": "t0", "most": 10, "margin": 1.0, **asked})  # type: ignore[arg-type]


THREE = np.array([-1.0, 0.0, 1.0])
SHARE = 0.05 / (1 * 2 * 2 * 3)
"""Of the first look, of two pairs a training, with three in the race."""
CRITICAL = stats.t.ppf(1 - SHARE, 2) * THREE.std(ddof=1) / np.sqrt(3)


# The bound.


def test_three_trainings_are_judged_by_students_t_alone() -> None:
    """Nobody else tells of the spread: the level at which a pair parts is that of the t test."""
    for factor, out in ((0.999, False), (1.001, True)):
        # The third differs from the second by a constant, which tells of no spread.
        values = np.stack([np.zeros(3), factor * CRITICAL + THREE, THREE])
        found = course(values[None], most=3, margin=-1.0)
        assert bool(found.left[0, 0] == 1) is out


def test_the_others_spread_is_that_of_the_two_way_layout() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(1, 7, 3))
    found = course(values, most=3, margin=0.0)
    rest = values[0, [1, 2, 4, 5, 6]]
    residuals = rest - rest.mean(0) - rest.mean(1, keepdims=True) + rest.mean()
    assert found.prior[0, 0, 3] == pytest.approx(2 * (residuals**2).sum() / (2 * 4))
    assert found.freedom == 8 / 4, "a quarter of what it was estimated with"


def test_shares_of_the_error_sum_to_it_over_any_number_of_looks() -> None:
    spent = sum(1 / (look * (look + 1)) for look in range(1, 10_000))
    assert 0.999 < spent < 1


def test_looks_are_the_same_whatever_the_budget() -> None:
    """Who adds seeds must not judge what was seen before by another level."""
    assert all(small < large for small, large in pairwise(LOOKS))
    for count in (3, 20):
        every = looks(count)
        assert all(every[: len(looks(count, most))] == looks(count, most) for most in LOOKS)


# The course.


def test_only_those_still_in_it_want_more_seeds() -> None:
    found = told(results([0, 40, 40.2, 1], 3), margin=0.1)
    assert found.outcome == "racing"
    assert {runner.name: runner.state for runner in found.runners} == {
        "t2": "racing",
        "t1": "racing",
        "t3": "out",
        "t0": "out",
    }
    assert found.wanted == {"t1": 4, "t2": 4, "t0": 4}, "the reference runs along"
    assert found.runner("t3").beaten_by in ("t1", "t2")
    assert found.helped


def test_a_missing_result_is_waited_for_and_later_ones_do_not_count() -> None:
    known = results([0, 40, 40.2, 1], 10)
    short = {name: own[:3] for name, own in known.items()}
    assert told({**known, "t1": short["t1"]}, margin=0.1) == told(short, margin=0.1)
    assert told({**known, "t1": [known["t1"][0], float("nan"), *known["t1"][2:]]}).looks == 0
    assert told({**known, "t3": short["t3"]}, margin=0.1) == told(known, margin=0.1), "it was out"


def test_a_race_goes_on_where_it_ended_when_seeds_are_added() -> None:
    known = results([0, 2.0, 2.2, 0.3], 20, seed=3)
    less, more = told(known, most=5, margin=0.1), told(known, most=20, margin=0.1)
    assert less.outcome == "undecided"
    assert {runner.state for runner in less.runners} <= {"undecided", "out"}
    for runner in less.runners:
        if runner.state == "out":
            assert more.runner(runner.name).look == runner.look
    assert more.looks > less.looks


def test_the_only_one_left_wins() -> None:
    found = told(results([0, 60, 1, 2], 4))
    assert (found.outcome, found.leader) == ("winner", "t1")
    assert found.wanted == {}
    winner = found.runner("t1")
    assert winner.state == "winner"
    assert winner.low < 60 < winner.high
    assert winner.delta == pytest.approx(winner.mean - found.runner("t0").mean)


def test_equal_ones_end_level_and_no_coin_is_flipped() -> None:
    own = list(np.random.default_rng(0).normal(size=10))
    found = told({f"t{place}": own for place in range(5)}, margin=0.0)
    assert found.outcome == "level"
    assert found.leader == "t0", "nothing is worth adding"
    assert {runner.state for runner in found.runners} == {"level"}
    noisy = told(results([0, 0, 0, 0, 0], 10, sd=0.1), margin=1.0)
    assert (noisy.outcome, noisy.leader) == ("level", "t0")


def test_two_equal_ones_above_the_reference_end_level_without_it() -> None:
    found = told(results([0, 30, 30], 10, sd=0.5), margin=5.0)
    assert found.outcome == "level"
    assert found.leader in ("t1", "t2")
    assert found.helped


def test_whether_an_auxiliary_helps_is_not_left_open_for_being_near() -> None:
    """A leader within the margin of the best may still be no better than going without."""
    near = 0.8 * CRITICAL + THREE  # it may be better by 1.8 times that, and may be none
    known = {"t0": [0.0] * 3, "t1": [*near], "t2": [*(near + 0.01 * THREE[[1, 0, 2]])]}
    assert told(known, most=3, margin=1.2 * CRITICAL).outcome == "undecided"
    found = told(known, most=3, margin=1.9 * CRITICAL)
    assert (found.outcome, found.leader) == ("level", "t0")


def test_lower_is_better_turns_the_race_round() -> None:
    known = results([0, -60, 1, 2], 4)
    found = told(known, direction="lower")
    assert (found.outcome, found.leader) == ("winner", "t1")
    assert found.runner("t1").delta == pytest.approx(-60, abs=3)
    mirrored = told({name: [-one for one in own] for name, own in known.items()})
    ends = found.runner("t1"), mirrored.runner("t1")
    assert (ends[0].low, ends[0].high) == pytest.approx((-ends[1].high, -ends[1].low))


def test_what_failed_neither_wins_nor_is_waited_for() -> None:
    known = results([0, 60, 70, 2], 4)
    found = told({**known, "t2": known["t2"][:1]}, failed=["t2"])
    assert (found.outcome, found.leader) == ("winner", "t1")
    assert found.runner("t2").state == "failed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "t9"}, "no 't9' to compare with"),
        ({"margin": -0.1}, "margin -0.1 is below 0"),
        ({"most": 2}, "2 seeds are too few for a race; give at least 3"),
        ({"failed": ["t0"]}, "a run of 't0' failed"),
        ({"failed": ["t1", "t2"]}, "a run of every candidate failed"),
    ],
)
def test_what_cannot_be_raced_is_said(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        told(results([0, 1, 2], 3), **change)
    with pytest.raises(InputError, match="at least one candidate"):
        told(results([0], 3))


# The errors.


def noise(kind: str, count: int, seeds: int = 10) -> np.ndarray:
    """(races, count, seeds), of standard deviation 1 in the mean, and what seeds share."""
    random = np.random.default_rng([count, *kind.encode()])
    shape = (RACES, count, seeds)
    drawn = random.standard_t(3, size=shape) / 3**0.5 if kind == "t" else random.normal(size=shape)
    if kind == "skewed":
        drawn = random.exponential(size=shape) - 1
    if kind == "unequal":
        drawn *= np.exp(random.uniform(np.log(0.25), np.log(2), size=(RACES, count, 1)))
    if kind == "two noisy":
        drawn[:, :2] *= 4
    if kind == "fails":
        drawn[random.random(shape) < 0.1] -= 8
    return drawn + 2 * random.normal(size=(RACES, 1, seeds))


KINDS = ["normal", "t", "skewed", "unequal", "two noisy", "fails"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [3, 8, 23])
def test_of_equal_ones_none_is_called_out(kind: str, count: int) -> None:
    """The complete null, to the last look: the family-wise error of the whole race."""
    found = course(noise(kind, count), most=10, margin=-1.0)
    assert (found.looks[found.alive.all(-1)] == len(looks(count, 10))).all()
    assert (~found.alive).any(-1).sum() <= MOST_WRONG


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_is_kept_and_what_is_said_of_it_is_true(kind: str) -> None:
    """Two best ones, others within a little of them, and some far off."""
    effects = np.array([0, 4.0, 4.0, 3.2, 2, 2, 1, 0.5, -1, -3, -3, -5])
    margin = 1.0
    found = course(
        noise(kind, len(effects)) + effects[:, None], most=10, margin=margin, reference=0
    )
    kept = found.alive[:, 1:3].all(-1)
    level = found.outcome == 2
    true = effects[found.leader] >= 4 - margin
    assert (~kept | (level & ~true)).sum() <= MOST_WRONG
    if kind in ("normal", "t", "skewed"):  # and it is worth it: the far ones leave early
        assert found.spent.mean() < 0.8 * len(effects) * 10
        assert (~found.alive[:, -3:]).mean() > 0.9


def test_a_clear_race_is_short() -> None:
    """As on ``synthetic``: two equal best of 23, all others some eight SDs of a pair away."""
    random = np.random.default_rng(7)
    effects = np.array([0, 6.8, 6.5, *np.linspace(-1, -10, 20)])
    values = effects[:, None] + random.normal(size=(RACES, 23, 10))
    found = course(values, most=10, margin=3.0)
    assert np.isin(found.leader, [1, 2]).all()
    assert found.alive[:, 1].all()
    assert found.spent.mean() < 0.4 * 230
