"""The Pareto front page's question: what a link says, and what a front's own link is."""

from pathlib import Path

import pytest

from mtl_core.errors import InputError
from mtl_core.pareto import ParetoConfig
from mtl_core.runs.grids.plans import read_plan
from mtl_core.views.pareto_front import (
    FrontQuestion,
    differences,
    label,
    offered,
    parse_preferences,
)

ROOT = Path(__file__).resolve().parents[2]
OTHERS = (
    ParetoConfig("three", preferences=((0.2, 0.3, 0.5), (0.5, 0.3, 0.2), (0.1, 0.1, 0.8))),
    ParetoConfig("toy", layout="random", layout_seed=3, method_options=(("keep", 0.7),)),
    ParetoConfig("toy", scalarization="smooth_tchebycheff", smoothing=0.3, optimizer="adam"),
    ParetoConfig("toy", method="averaged", start="shared"),
    ParetoConfig("csv", problem_options=(("file", "/x y.csv"), ("targets", "a,b"))),
    ParetoConfig.from_preset("multimnist", "paper", method="constant", samples=None, held_out=100),
)


@pytest.mark.parametrize(
    "config",
    [*read_plan(ROOT / "plans/fronts.toml"), *OTHERS],
    ids=lambda config: f"{config.problem}-{config.method}-{config.id[:4]}",
)
def test_every_front_has_a_link_of_its_own(config: ParetoConfig) -> None:
    question = FrontQuestion.of(config)
    assert question.configs == (config,)
    assert FrontQuestion.from_query(question.to_query()) == (question, [])


def test_the_default_questions_are_answered_by_what_the_plan_solves_for() -> None:
    planned = set(read_plan(ROOT / "plans/fronts.toml"))
    for problem in ("toy", "convex", "three", "linnerud", "multimnist", "multifashion"):
        assert set(FrontQuestion.default(problem).configs) <= planned, problem


def test_the_control_is_asked_for_where_solutions_have_starts_of_their_own() -> None:
    for problem in ("toy", "convex", "three"):
        asked = FrontQuestion.default(problem).methods
        assert asked[:4] == ("independent", "averaged", "decay", "adaptive")
        assert asked == FrontQuestion.from_query({"problem": problem})[0].methods
    for problem in ("linnerud", "multimnist", "nyuv2", "csv"):
        assert "averaged" not in FrontQuestion.default(problem).methods
        assert "averaged" not in offered(problem)
        query = {"problem": problem, "method": "averaged decay"}
        question, told = FrontQuestion.from_query(query)
        assert question.methods == FrontQuestion.default(problem).methods
        assert "unknown method 'averaged'" in told[0]


def test_a_shared_start_is_in_the_link_and_in_the_label() -> None:
    query = {"problem": "toy", "method": "independent averaged decay", "start": "shared"}
    question, told = FrontQuestion.from_query(query)
    assert told == []
    assert {config.start for config in question.configs} == {"shared"}
    assert question.to_query()["start"] == "shared"
    assert FrontQuestion.from_query(question.to_query()) == (question, [])
    assert "start" not in question.with_override("start", "own").to_query()
    shared = ParetoConfig("toy", method="decay", start="shared")
    assert label(shared, ParetoConfig("toy")) == "Decaying · start shared"
    told = FrontQuestion.from_query({"problem": "toy", "start": "mine"})[1]
    (line,) = told
    assert line.startswith("in the URL, start: unknown start 'mine'; one of: own, shared")


def test_what_is_not_understood_falls_back_and_is_named() -> None:
    query = {"problem": "toy", "lr": "1e999", "axes": "1 1", "method": "decay sgd", "seeds": "x"}
    question, problems = FrontQuestion.from_query(query)
    assert question == FrontQuestion.default("toy")
    assert [line.split(":")[0] for line in problems] == [
        "in the URL, method",
        "in the URL, seeds",
        "in the URL, axes",
        "in the URL, lr",
    ]


def test_labels_say_what_differs() -> None:
    one = ParetoConfig("toy", method="decay")
    other = ParetoConfig("toy", method="decay", lr=0.2, method_options=(("halving", 20.0),))
    assert label(one) == "Decaying"
    assert differences(other, one) == ["lr 0.2", "halving 20.0"]
    assert differences(one, one) == []


@pytest.mark.parametrize("text", ["0.2 0.8\n0.5 0.5", "0.2, 0.8 / 0.5, 0.5", " .2 .8\n\n.5 .5\n"])
def test_preferences_are_read_as_people_write_them(text: str) -> None:
    assert parse_preferences(text) == ((0.2, 0.8), (0.5, 0.5))


def test_preferences_that_are_words_are_refused() -> None:
    assert parse_preferences(" \n") is None
    with pytest.raises(InputError, match=r"'a b' is not a line of numbers such as 0\.3 0\.7"):
        parse_preferences("0.5 0.5\na b")


def test_preferences_come_back_to_the_last_digit() -> None:
    rows = ((1 / 3, 1 / 3, 1 / 3), (0.123456789, 0.4, 0.476543211), (0.2, 0.3, 0.5))
    config = ParetoConfig("three", preferences=rows)
    question = FrontQuestion.of(config)
    (again,) = FrontQuestion.from_query(question.to_query())[0].configs
    assert again == config
