"""The runs behind Optimizers: how they are grouped, asked for by a URL, and made points of."""

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core import settings
from mtl_core.analysis import SMTO_FACTORS
from mtl_core.config import RunConfig
from mtl_core.errors import InputError
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.store import Store
from mtl_core.views import what_if
from mtl_core.views.smtos import (
    REFERENCE,
    Entry,
    Group,
    Selection,
    budget_label,
    budget_name,
    budgets,
    cases,
    changes,
    groups,
    judged,
    named,
    points,
    question,
    ranked_budgets,
)

Make = Callable[..., Any]
ALICE = "1-alice"
MEAN = Entry("mean")
MATCHED = Entry("mean", (("scale", "match_sum"),))


@pytest.fixture
def finish(store: Store, put_runs: Make) -> Callable[..., RunConfig]:
    """Puts a run into the store."""

    def put(config: RunConfig, end: Any = "done") -> RunConfig:
        return put_runs(store, config, end)

    return put


@pytest.fixture
def ship(tmp_path: Path, make_pieces: Make) -> Callable[..., dict[str, artifacts.Artifact]]:
    """Writes artifacts of configs and reads them again."""

    def write(*configs: RunConfig) -> dict[str, artifacts.Artifact]:
        found = {}
        for config in configs:
            steps = (0, config.steps)
            pieces = [piece for step in steps for piece in make_pieces(config, config.seeds, step)]
            content = artifacts.collected(config, pieces, {}, 1.0)
            folder = artifacts.write(tmp_path / config.id, content)
            found[config.id] = artifacts.read(folder)
        return found

    return write


def test_runs_are_grouped_by_budget_and_auxiliaries(
    store: Store, make_config: Make, finish: Make, ship: Make
) -> None:
    umtg = make_config()
    shipped = ship(umtg, umtg.baseline, make_config(auxiliaries=("noisy_digits",)))
    finish(make_config(optimizer="mean"))
    finish(make_config(optimizer="mean", options=(("scale", "match_sum"),)))
    finish(make_config(optimizer="mean", epochs=3))
    finish(make_config(optimizer="mean", auxiliaries=("noisy_digits",)), end="failed")
    finish(make_config(optimizer="mean", seeds=(1,)), end=None)
    found = groups(Answers(store, shipped))
    assert [(group.auxiliaries, tuple(group.runs)) for group in found] == [
        (("digits2",), (REFERENCE, MEAN, MATCHED)),
        (("digits2",), (MEAN,)),
        (("noisy_digits",), (REFERENCE,)),
    ]
    first, other_budget, noisy = found
    assert first.budget == noisy.budget == umtg.baseline
    assert other_budget.budget == make_config(epochs=3).baseline
    assert first.runs[REFERENCE].origins == ("shipped",)
    assert first.runs[MEAN].origins == ("own",)
    assert first.compared == (MEAN, MATCHED)
    assert other_budget.compared == (), "there is nothing to hold it against"
    assert noisy.missing([MEAN]) == (MEAN,)
    assert other_budget.missing([MATCHED, MEAN]) == (REFERENCE, MATCHED)
    assert budgets(found, "digits", "digits1") == sorted(
        {umtg.baseline, other_budget.budget}, key=lambda budget: budget.id
    )
    assert budgets(found, "digits", "digits2") == []


def test_without_store_and_artifacts_there_are_no_groups() -> None:
    assert groups(Answers(None, {})) == ()


def test_the_run_with_auxiliary_factors_is_taken(make_config: Make, ship: Make) -> None:
    plain = make_config(factors=("sharpness",))
    both = make_config(factors=("sharpness",), auxiliary_factors=True)
    for order in ((plain, both), (both, plain)):
        (group,) = groups(Answers(None, ship(*order)))
        assert group.runs[REFERENCE].config == both
        assert group.config(MEAN) == make_config(
            optimizer="mean", factors=("sharpness",), auxiliary_factors=True
        )


def test_a_group_says_which_run_is_missing(make_config: Make) -> None:
    empty = Group(make_config().baseline, ("digits2", "noisy_digits"))
    expected = make_config(
        auxiliaries=("digits2", "noisy_digits"), optimizer="mean", options=MATCHED.options
    )
    assert empty.config(MATCHED) == expected
    assert empty.missing([]) == (REFERENCE,)
    assert empty.compared == ()


@pytest.mark.parametrize("entry", [REFERENCE, MEAN, MATCHED])
def test_entries_survive_their_token(entry: Entry) -> None:
    assert Entry.parse(entry.token) == entry


def test_entries_are_named_with_their_options(make_config: Make) -> None:
    assert MATCHED.token == "mean:scale=match_sum"
    assert MATCHED.label == "Mean · scale match_sum"
    assert Entry.parse("mean:scale=raw") == MEAN, "a default is left out"
    assert Entry.of(make_config(optimizer="mean", options=MATCHED.options)) == MATCHED


@pytest.mark.parametrize(
    ("token", "error"),
    [
        ("pcgard", "unknown optimizer 'pcgard'; one of: umtg, "),
        ("mean:size=2", "unknown option of optimizer 'mean' 'size'; one of: scale"),
        ("mean:scale=7", "scale"),
        ("mean:scale", "scale"),
    ],
)
def test_what_no_entry_is(token: str, error: str) -> None:
    with pytest.raises(InputError, match=error):
        Entry.parse(token)


def test_budgets_are_called_by_their_preset(make_config: Make) -> None:
    for name in ("quick", "paper"):
        preset = RunConfig.from_preset("digits", name)
        assert (budget_name(preset), budget_label(preset)) == (name, name)
    other = RunConfig.from_preset("digits", "standard", lr=0.01, seeds=(0, 1))
    assert budget_name(other) == other.id
    assert budget_label(other) == "standard · lr 0.01", "seeds are no part of a budget"


def test_a_label_says_every_field_of_a_budget() -> None:
    tasks = {"setting", "target", "auxiliaries"}
    assert {field.name for field in fields(RunConfig)} - tasks <= set(what_if._TITLES)


# The URL.


@pytest.mark.parametrize(
    "selection",
    [
        Selection("digits", "digits1"),
        Selection("fashion", "noisy_fashion", "paper"),
        Selection(
            "digits",
            "digits2",
            "standard",
            (("digits1",), ("digits1", "noisy_digits")),
            (MEAN, MATCHED),
            "footnote",
        ),
    ],
)
def test_every_selection_survives_its_url(selection: Selection) -> None:
    assert Selection.from_query(selection.to_query(), ()) == (selection, [])


def test_a_budget_of_its_own_survives_where_it_has_runs(make_config: Make, ship: Make) -> None:
    config = make_config()
    found = groups(Answers(None, ship(config)))
    selection = Selection("digits", "digits1", config.baseline.id)
    assert Selection.from_query(selection.to_query(), found) == (selection, [])
    assert selection.budget_config(found) == config.baseline
    replaced, (problem,) = Selection.from_query(selection.to_query(), ())
    assert replaced.budget == "quick"
    assert problem == (
        f"in the URL, budget: no finished run of digits1 has the budget {config.baseline.id!r}; "
        "using quick instead"
    )


def test_sets_are_read_as_people_write_them() -> None:
    for text in ("noisy_digits digits2,digits2", "digits2+noisy_digits,digits2,digits2"):
        selection, problems = Selection.from_query({"aux": text}, ())
        assert not problems
        assert selection.sets == (("digits2", "noisy_digits"), ("digits2",))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("setting", "digit", "unknown setting 'digit'; one of: digits, "),
        ("target", "fashion1", "unknown task of digits 'fashion1'"),
        ("budget", "huge", "unknown budget 'huge'; one of: quick, standard, paper"),
        ("budget", "0" * 16, "no finished run of digits1 has the budget"),
        ("aux", "digits1", "target 'digits1' is among its own auxiliaries"),
        ("aux", "digits3", "unknown task of digits 'digits3'"),
        ("aux", "", "has an auxiliary set without a task"),
        ("aux", "digits2,,", "has an auxiliary set without a task"),
        ("aux", ",".join(["digits2"] * 65), "65 auxiliary sets are more than 64"),
        ("optimizer", "sgd", "unknown optimizer 'sgd'"),
        ("optimizer", " ", "no optimizer"),
        (
            "lr",
            "1",
            "unknown parameter 'lr'; one of: aggregate, aux, budget, optimizer, setting, target",
        ),
        ("aggregate", "mean", "unknown aggregate 'mean'; one of: bins, footnote"),
        ("x" * 10**5, "", "unknown parameter"),
        ("target", "y" * 10**6, "unknown task of digits"),
    ],
)
def test_what_makes_no_sense_is_named_and_replaced(name: str, text: str, told: str) -> None:
    selection, (problem,) = Selection.from_query({name: text}, ())
    assert selection == Selection("digits", "digits1")
    assert told in problem
    assert problem.startswith("in the URL, ")
    assert len(problem) < 500


def test_much_nonsense_makes_a_short_list() -> None:
    _, problems = Selection.from_query({f"x{i}": "" for i in range(99)}, ())
    assert len(problems) == 9
    assert problems[-1] == "and 91 more such"


def test_umtg_is_always_there_and_needs_no_mention() -> None:
    selection, _ = Selection.from_query({"optimizer": "umtg mean"}, ())
    assert selection.entries == (MEAN,)


# What shows.


def test_the_default_is_where_most_can_be_compared(
    store: Store, make_config: Make, finish: Make, ship: Make
) -> None:
    assert Selection.default(()) == Selection("digits", "digits1")
    shipped = ship(make_config())
    answers = Answers(store, shipped)
    # UMTG alone is no comparison, and no reason to leave the usual budget.
    assert Selection.default(groups(answers)) == Selection("digits", "digits1", "quick")
    own = make_config().baseline.id
    assert Selection.default(groups(answers), "digits").budget == own
    finish(make_config(target="digits2", auxiliaries=("digits1",)))
    finish(make_config(target="digits2", auxiliaries=("digits1",), optimizer="mean"))
    other = Selection.default(groups(answers))
    assert (other.setting, other.target) == ("digits", "digits2")
    assert other.budget == make_config(target="digits2", auxiliaries=("digits1",)).baseline.id
    assert Selection.default(groups(answers), "fashion").setting == "fashion"
    assert Selection.default(groups(answers), "digits", "digits1").budget == own
    assert Selection.from_query({}, groups(answers)) == (other, [])


def test_of_several_budgets_the_best_evidence_is_the_default(make_config: Make, ship: Make) -> None:
    """The one nearest to the paper's size among those with as many seeds as an outcome takes."""
    three = {"seeds": (0, 1, 2)}
    small = [make_config(**three), *(make_config(optimizer=m, **three) for m in ("mean", "mgda"))]
    large = [make_config(epochs=4, **three), make_config(epochs=4, optimizer="mean", **three)]
    largest = [make_config(epochs=9), make_config(epochs=9, optimizer="mean")]
    found = groups(Answers(None, ship(*small, *large, *largest)))
    taken = Selection.default(found)
    assert taken.budget == make_config(epochs=4).baseline.id
    assert Selection.from_query({"setting": "digits"}, found) == (taken, [])
    ranked = ranked_budgets(found, "digits", "digits1")
    assert [budget.epochs for budget in ranked] == [4, 2, 9]


def test_sets_that_are_chosen_show_without_runs_too(make_config: Make, ship: Make) -> None:
    noisy = ("noisy_digits",)
    found = groups(Answers(None, ship(make_config(), make_config(auxiliaries=noisy))))
    own = make_config().baseline.id
    every = Selection("digits", "digits1", own).groups(found)
    assert [group.auxiliaries for group in every] == [("digits2",), noisy]
    both = ("digits2", "noisy_digits")
    (empty, there) = Selection("digits", "digits1", own, (both, noisy)).groups(found)
    assert (empty.auxiliaries, dict(empty.runs)) == (both, {})
    assert there.auxiliaries == noisy
    assert Selection("digits", "digits1", "paper").groups(found) == ()
    (unknown,) = Selection("digits", "digits1", "paper", (both,)).groups(found)
    assert unknown.budget == RunConfig.from_preset("digits", "paper")


def test_points_come_with_their_runs(make_config: Make, ship: Make) -> None:
    mean = make_config(optimizer="mean", seeds=(0, 1))
    matched = make_config(optimizer="mean", options=MATCHED.options, seeds=(0, 1))
    answers = Answers(None, ship(make_config(seeds=(0, 1)), mean, matched))
    (group,) = groups(answers)
    found = points(changes(group, group.compared, answers))
    assert set(found["curve"]) == {MEAN.label, MATCHED.label}
    assert set(found["run"]) == {mean.id, matched.id}
    assert set(found["auxiliaries"]) == {"digits2"}
    assert set(found["task"]) == {"digits1", "digits2"}
    assert len(found) == 2 * 2 * len(SMTO_FACTORS)
    one = points(changes(group, [MEAN, Entry("umtg", MATCHED.options)], answers))
    assert set(one["curve"]) == {MEAN.label}
    assert points(changes(group, [], answers)).empty
    assert changes(Group(group.budget, ("noisy_digits",)), [MEAN], answers) == []
    assert changes(group, group.compared, answers, "footnote") == [], "of a few epochs"


def test_names_of_changes_are_unique_across_sets(make_config: Make, ship: Make) -> None:
    sets = (("digits2",), ("digits2", "noisy_digits"))
    configs = [
        make_config(auxiliaries=names, optimizer=name, seeds=(0, 1))
        for names in sets
        for name in ("umtg", "mean")
    ]
    answers = Answers(None, ship(*configs))
    each = [changes(group, group.compared, answers) for group in groups(answers)]
    assert [one.name for one in cases(named(each[0]))] == [
        "digits1 under Mean",
        "digits2 under Mean",
    ]
    together = named([*each[0], *each[1]])
    assert [one.name for one in cases(together)] == [
        "digits1 under Mean (auxiliaries: digits2)",
        "digits2 under Mean (auxiliaries: digits2)",
        "digits1 under Mean (auxiliaries: digits2 + noisy_digits)",
        "digits2 under Mean (auxiliaries: digits2 + noisy_digits)",
        "noisy_digits under Mean (auxiliaries: digits2 + noisy_digits)",
    ]
    sizes = {one.transfer.family for one in cases(judged(together))}
    assert sizes == {sum(one.transfer.verdict != "too few seeds" for one in cases(together))}
    assert len(set(points(together)["auxiliaries"])) == 2


def test_large_sets_are_named_apart_too(make_config: Make, ship: Make) -> None:
    answers = Answers(None, ship(make_config(seeds=(0, 1)), make_config(optimizer="mean")))
    (group,) = groups(answers)
    one, *_ = changes(group, group.compared, answers)
    letters = ("a", "b", "c", "d")
    other = replace(one, auxiliaries=letters)
    label = "a + b + c + d"
    assert named([one, other])[1].smto.case.name.endswith("(auxiliaries: 4 tasks)")
    alike = named([other, replace(one, auxiliaries=(*letters[:3], "e"))])
    assert alike[0].smto.case.name.endswith(f"(auxiliaries: {label})")


def test_missing_runs_are_a_question_of_what_if() -> None:
    group = Group(RunConfig.from_preset("digits", "standard", lr=0.01, seeds=(3, 4)), ("digits2",))
    asked = question(group, [REFERENCE, MATCHED])
    assert asked is not None
    assert list(asked.configs) == [group.config(REFERENCE), group.config(MATCHED)]
    assert (asked.preset, dict(asked.overrides)) == ("standard", {"lr": 0.01})
    alone = question(group, [REFERENCE])
    assert alone is not None
    assert list(alone.configs) == [group.config(REFERENCE)]
    twice = question(group, [MEAN, MATCHED])
    assert twice is not None
    assert list(twice.configs) == [group.config(REFERENCE), group.config(MEAN)], "one at a time"


def test_what_no_question_can_ask(make_config: Make) -> None:
    no_factors = Group(make_config(factors=()).baseline, ("digits2",))
    assert question(no_factors, [MEAN]) is None
    usual = Group(RunConfig.from_preset("digits", "quick"), ("digits2",))
    assert question(usual, [Entry("umtg", MATCHED.options)]) is None


@pytest.mark.parametrize("name", settings.names())
def test_every_setting_has_a_default(name: str) -> None:
    selection = Selection.default((), name)
    assert (selection.setting, selection.budget) == (name, "quick")
    assert selection.budget_config(()).setting == name
