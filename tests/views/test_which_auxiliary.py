"""Which auxiliary: its URL, and what a race says in words."""

from dataclasses import replace

import pytest

from mtl_core import InputError
from mtl_core.analysis import race
from mtl_core.runs import Answers
from mtl_core.runs.race import Contest, Standing, standing
from mtl_core.views import measures
from mtl_core.views.which_auxiliary import (
    RaceView,
    asked,
    at_most,
    called,
    command,
    leaderboard,
    progress,
    question,
    sentence,
)

NOISE = [0.001, -0.002, 0.0015, 0.0005, -0.001, 0.002, -0.0005, 0.0, 0.001, -0.0015]


@pytest.fixture
def raced():
    """A standing of digits1's race with made-up results: a gain for each training."""

    def make(*gains: float, seeds: int = 10, given: tuple[str, ...] = (), **asked: object):
        candidates = tuple(name for name in ("digits2", "noisy_digits") if name not in given)
        contest = Contest("digits", "digits1", "quick", candidates, given, **asked)  # type: ignore[arg-type]
        results = {
            name: [0.7 + gain + NOISE[(seed + 3 * place) % 10] for seed in range(seeds)]
            for place, (name, gain) in enumerate(zip(contest.configs, gains, strict=True))
        }
        known = {name: Answers(None, {}).find(one) for name, one in contest.configs.items()}
        found = race(results, reference=contest.reference, most=contest.most, margin=contest.margin)
        return Standing(contest, known, found)

    return make


def told(standing_: Standing) -> str:
    return sentence(standing_, measures.measure("digits", "digits1"))


def test_a_winner_is_named_with_what_it_gains(raced) -> None:
    assert told(raced(0, 0.2, -0.1, 0.05)).startswith(
        "**Train digits1 with digits2.** That is better than with any other candidate and than "
        "alone: +20.0 pt (+19."
    )
    assert told(raced(0, -0.2, -0.1, -0.3)) == (
        "**Train digits1 alone.** That is better than with any of the candidates."
    )


def test_what_cannot_matter_is_said_with_the_margin(raced) -> None:
    assert told(raced(0, 0, 0, 0, margin=0.02)) == (
        "**Train digits1 alone.** No auxiliary is worth it: none of the candidates can be better "
        "than alone by more than 2.0 pt."
    )
    level = told(raced(0, 0.2, 0.2, 0, margin=0.02))
    assert level.startswith("**Train digits1 with ")
    assert "over alone, which is out. " in level
    other = level.removesuffix(" may be as good or better, but not by more than 2.0 pt.")
    assert other.endswith((" digits2", " noisy_digits"))
    states = leaderboard(raced(0, 0.2, 0.2, 0, margin=0.02))["state"].tolist()
    assert states == ["chosen", "may be as good", "out", "out"]


def test_what_is_open_is_said_to_be(raced) -> None:
    undecided = told(raced(0, 0.2, 0.2, 0, margin=0.0))
    assert undecided.startswith("**Undecided** after 10 seeds: the best may be ")
    assert "Whichever it is, it beats alone." in undecided
    racing = told(raced(0, 0.2, 0.2, 0, margin=0.0, seeds=3))
    assert racing.startswith("**So far ")
    assert "; 2 of 4 may still be the best. Something is better than alone, which is out." in racing
    assert told(raced(0, 0, 0, 0, seeds=1)).startswith("Not known yet")


def test_the_next_race_speaks_of_what_is_given(raced) -> None:
    found = raced(0, 0.1, given=("digits2",))
    assert called(found, "digits2") == "digits2"
    assert called(found, "digits2+noisy_digits") == "noisy_digits"
    assert "than with digits2 and nothing more: +10.0 pt" in told(found)


def test_the_leaderboard_is_in_the_races_order(raced) -> None:
    table = leaderboard(raced(0, 0.2, -0.1, 0.05))
    assert table["name"].tolist()[0] == "digits2"
    assert table["state"].tolist() == ["winner", "out", "out", "out"]
    assert table["reference"].sum() == 1
    assert table.set_index("name")["delta"]["alone"] == 0
    assert table["beaten_by"].tolist()[1:] == ["digits2"] * 3


def test_the_shipped_runs_of_synthetic_name_an_equal_one(shipped_answers) -> None:
    """The two of cosine 1 and −1 are equal; runs of ten seeds ship, of which it takes some."""
    shipped = ("cos100", "cos75", "cos50", "cos25", "cos0", "cosm50", "cosm100")
    contest = Contest("synthetic", "target", "quick", shipped, margin=0.03)
    # All together is not among them.
    del contest.configs["+".join(contest.configs["+".join(shipped)].auxiliaries)]
    found = standing(contest, shipped_answers)
    assert found.race.outcome == "level"
    assert {one.name for one in found.race.runners if one.state == "level"} == {"cos100", "cosm100"}
    assert found.race.spent < 0.6 * 10 * len(contest.configs)
    link = question(found, "cos100")
    assert (link.target, link.auxiliaries, link.preset) == ("target", ("cos100",), "quick")
    assert link.seeds == tuple(range(10))


def test_the_time_it_may_take_is_known_before(shipped_answers) -> None:
    found = standing(RaceView.default("digits").contest, shipped_answers)
    runs, seconds = at_most(found, shipped_answers)
    assert runs == 4 * 10 - found.known
    assert seconds is not None
    assert seconds > 0
    done, count, share = progress(found)
    # Of all together three seeds ship, of the others more than a race takes at first.
    assert (done, count) == (15, 16)
    assert share == pytest.approx(15 / 16)
    missing = [one.answer.missing for one in asked(found, shipped_answers)]
    assert [seeds for seeds in missing if seeds] == [(3,)]


def test_a_view_is_what_its_url_says() -> None:
    view = RaceView(
        "synthetic",
        "cos0",
        look="pairs",
        preset="standard",
        candidates=("target", "cos100"),
        most=20,
        margin=0.25,
        grow=True,
        seeds=5,
        clustered=True,
    )
    assert RaceView.from_query(view.to_query()) == (view, [])
    assert RaceView.default("digits").to_query() == {
        "setting": "digits",
        "target": "digits1",
        "preset": "quick",
    }
    assert replace(view, most=10).larger == 16
    assert replace(view, most=64).larger is None
    with pytest.raises(InputError, match="too few for this race"):
        _ = RaceView("digits", "digits1", most=2).contest


def test_the_command_asks_the_same() -> None:
    view = RaceView("digits", "digits1", candidates=("digits2",), margin=1.5, grow=True)
    assert command(view) == (
        "python -m mtl_core race --setting digits --target digits1 --candidates digits2 "
        "--preset quick --most 10 --margin 1.5 --grow"
    )
