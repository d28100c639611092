"""Links: the pages that show some experiments, and what these are asked for."""

from collections.abc import Callable
from typing import Any

from mtl_core.config import RunConfig
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import links, smtos
from mtl_core.views.pareto_front import FrontQuestion
from mtl_core.views.what_if import Question

Make = Callable[..., Any]


def test_a_link_asks_for_the_first_run_and_pins_the_others(make_config: Make) -> None:
    found = [
        Answer(make_config(optimizer="mgda", options=(("normalization", "l2"),))),
        Answer(make_config(lr=0.5)),
        Answer(make_config(target="digits2", auxiliaries=("digits1",))),
    ]
    asked = links.question(found)
    # A question has all factors; these runs measure none, and are pinned.
    assert asked.pins == (found[0].config.id, found[1].config.id)
    with_factors = [
        Answer(RunConfig.from_preset("digits", "quick", **changes))
        for changes in (
            {"auxiliaries": ("digits2",), "optimizer": "mgda", "lr": 0.5},
            {"auxiliaries": ("noisy_digits",)},
            {},
        )
    ]
    asked = links.question(with_factors)
    assert asked.config == with_factors[0].config
    assert asked.pins == (with_factors[1].config.id, with_factors[2].config.id)
    assert Question.from_query(asked.to_query()) == (asked, [])
    single = links.question(with_factors[2:])
    assert single.configs == (with_factors[2].config,)
    assert single.pins == ()


def test_a_link_compares_the_optimizers_of_one_set(make_config: Make, ship: Make) -> None:
    configs = [
        make_config(auxiliaries=()),
        make_config(optimizer="mgda"),
        make_config(),
        make_config(optimizer="cagrad"),
        make_config(optimizer="upgrad", auxiliaries=("noisy_digits",)),
        make_config(optimizer="pcgrad", lr=0.5),
    ]
    answers = Answers(None, {one.id: ship(one) for one in configs})
    found = [answers.find(one) for one in configs]
    selection = links.smtos_selection(found)
    assert selection is not None
    assert selection.sets == (("digits2",),)
    assert [one.optimizer for one in selection.entries] == ["mgda", "cagrad"]
    groups = smtos.groups(answers)
    assert smtos.Selection.from_query(selection.to_query(), groups) == (selection, [])
    assert links.smtos_selection(found[:1]) is None
    assert links.smtos_selection([Answer(configs[1])]) is None, "it is not done"


def test_a_front_is_opened_and_others_of_its_problem_are_pinned(make_front: Make) -> None:
    configs = [
        make_front(method="decay", seeds=(3, 4)),
        make_front(method="mgda", lr=0.02),
        make_front("convex", method="decay"),
        make_front(method="decay", seeds=(5,)),
    ]
    asked = links.front_question([Answer(one) for one in configs])
    assert asked.configs == (configs[0],)
    assert asked.seeds == (3, 4)
    assert asked.pins == (configs[1].id,)
    assert FrontQuestion.from_query(asked.to_query()) == (asked, [])


def test_every_kind_has_its_pages(make_front: Make) -> None:
    training = RunConfig.from_preset("digits", "quick")
    found = links.links([Answer(make_front()), Answer(training), Answer(make_front(lr=0.02))])
    assert [(one.page, one.label) for one in found] == [
        ("pareto_front", "Open on Pareto front"),
        ("what_if", "Open on What if"),
    ]
    assert Question.from_query(found[1].query)[0].configs == (training,)
    assert links.links([]) == []
