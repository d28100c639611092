"""Lessons in a URL: progress, guesses and the class, within bounds."""

import pytest

from mtl_core.views.lessons import Place

HELPFUL = {"lesson": "a_helpful_task"}


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place("a_helpful_task"),
        Place("a_helpful_task", 3, ("better", "-", "worse"), (1, 3)),
        Place("a_helpful_task", 2, ("unclear", "-3.5"), (1, 2), "BCDFGHJK"),
        Place(code="BCDF GHJK"),
    ],
)
def test_an_address_says_everything(place: Place) -> None:
    assert Place.from_query(place.to_query()) == (place, [])


def test_guesses_have_their_steps() -> None:
    place = Place("a_helpful_task").guessed(3, "worse").guessed(1, "better").revealed(3)
    assert place.guesses == ("better", "-", "worse")
    assert [place.guess(step) for step in (1, 2, 3, 4)] == ["better", None, "worse", None]
    assert place.revealed(1).shown == (1, 3)
    assert place.guessed(3, "better").guess(3) == "better"
    assert place.again() == Place("a_helpful_task")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"lesson": "no_such"}, "unknown lesson 'no_such'; one of: a_harmful_task, a_helpful"),
        (HELPFUL | {"step": "9"}, "step: there is no step 9; this has 5; using 1 instead"),
        (HELPFUL | {"step": "0"}, "there is no step 0"),
        (HELPFUL | {"guesses": "best"}, "unknown answer 'best'; one of: better, worse, unclear"),
        (HELPFUL | {"guesses": "- 99"}, "'99' is not from -15 to 15"),
        (HELPFUL | {"guesses": "- " * 6}, "6 guesses are more than its 5 steps"),
        (HELPFUL | {"shown": "1 7"}, "there is no step 7"),
        (HELPFUL | {"shown": "1 " * 1000}, "1000 steps are more than 12"),
        ({"guesses": "better"}, "there is no lesson to guess in"),
        ({"class": "B" * 1000}, "1000 characters are no class code"),
    ],
)
def test_what_is_not_understood_is_said_and_left_out(query: dict[str, str], said: str) -> None:
    place, problems = Place.from_query(query)
    assert len(problems) == 1
    assert said in problems[0]
    assert place == Place(query.get("lesson", "") if "no_such" not in said else "")
