"""Which runs the paper's figures compare, and how their pages stand in a URL."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtl_core import settings
from mtl_core.config import RunConfig
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.store import Store
from mtl_core.settings import Task
from mtl_core.views import comparisons, nearest
from mtl_core.views.comparisons import Pool, pools
from mtl_core.views.conflict import ConflictView, sizes
from mtl_core.views.factors import FactorsView
from mtl_core.views.generalization_gap import GapView
from mtl_core.views.smtos import budget_label, groups

Make = Callable[..., Any]
Found = Callable[..., tuple[Pool, ...]]
ALICE = "1-alice"


@pytest.fixture
def ship(tmp_path: Path, make_pieces: Make) -> Callable[..., Answers]:
    """Writes artifacts of configs; there is no store."""

    def write(*configs: RunConfig) -> Answers:
        found = {}
        for config in configs:
            steps = (0, config.steps)
            pieces = [piece for step in steps for piece in make_pieces(config, config.seeds, step)]
            content = artifacts.collected(config, pieces, {}, 1.0)
            folder = artifacts.write(tmp_path / config.id, content)
            found[config.id] = artifacts.read(folder)
        return Answers(None, found)

    return write


@pytest.fixture
def five(monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunConfig]:
    """A setting of five tasks without an expectation, the last of another size."""
    digits = settings.get("digits")
    sizes = (250, 250, 250, 250, 100)
    tasks = tuple(
        Task(name, name, 10, size, 150, 498) for name, size in zip("abcde", sizes, strict=True)
    )
    made = replace(digits, name="five", tasks=tasks, default_target="a")
    monkeypatch.setitem(settings._SETTINGS, "five", made)

    def make(target: str, others: str = "", **changes: Any) -> RunConfig:
        small = {"seeds": (0, 1), "epochs": 2, "batch_size": 50}
        return RunConfig.from_preset(
            "five", "quick", target=target, auxiliaries=tuple(others), **(small | changes)
        )

    return make


def runs(answers: list[Any]) -> list[tuple[str, str]]:
    return [(one.config.target, one.config.auxiliaries_label) for one in answers]


# Pools.


def test_a_task_is_compared_with_a_run_in_which_it_is_an_auxiliary(five: Make, ship: Make) -> None:
    together = five("a", "bcd", auxiliary_factors=True)
    (pool,) = pools(ship(five("a"), five("c"), together))
    assert pool.tasks == ("a", "c"), "b and d were not trained alone"
    for task in pool.tasks:
        assert [one.config for one in pool.cases(task)] == [together]
        assert pool.singles[task].config == five(task)
    assert pool.targets == ("a", "b", "c", "d"), "the factors of all were measured"
    assert pool.joints == pool.usual == (("a", "b", "c", "d"),)


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3},
        {"lr": 1e-4},
        {"batch_size": 25},
        {"width": 8},
        {"samples": 200},
        {"held_out": 100},
        {"base_optimizer": "sgd"},
        {"factor_points": 3},
        {"sharpness_rho": 0.01},
        {"factors": ("sharpness",)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_budget_is_another_pool(five: Make, ship: Make, changes: dict[str, Any]) -> None:
    found = pools(ship(five("a"), five("a", "b", **changes)))
    assert len(found) == 2
    assert [pool.tasks for pool in found] == [(), ()]


def test_all_of_a_small_task_may_be_as_many_as_others_are_measured_on(
    ship: Callable[..., Answers],
) -> None:
    """notMNIST has 1,000 held-out examples, of which its config says no number."""
    tasks = ("mnist", "fashion_mnist", "notmnist")
    alone = [RunConfig.from_preset("mnists", "quick", target=task, seeds=(0,)) for task in tasks]
    assert [config.held_out for config in alone] == [1_000, 1_000, None]
    pair = RunConfig.from_preset(
        "mnists", "quick", target="notmnist", auxiliaries=("mnist",), seeds=(0,)
    )
    (pool,) = pools(ship(*alone, pair))
    assert pool.name == "quick"
    assert {*pool.singles} == {*tasks}
    assert [run.config for run in pool.cases("notmnist")] == [pair]
    assert all(comparisons.same_budget(config, pool.budget) for config in (*alone, pair))
    # All examples of every task, however many, are a budget of their own.
    whole = [replace(config, held_out=None) for config in alone]
    assert [{*one.singles} for one in pools(ship(*whole))] == [{*tasks}]
    assert not comparisons.same_budget(whole[0], pool.budget)


def test_pools_of_another_rho_are_called_by_it(five: Make, ship: Make) -> None:
    usual = {"epochs": 40, "batch_size": 16}
    answers = ship(
        *(five("a", b, **usual, sharpness_rho=r) for b in ("", "b") for r in (1e-3, 0.1))
    )
    found = pools(answers)
    assert sorted(budget_label(pool.budget) for pool in found) == ["quick", "quick · ρ 0.1"]
    assert all(pool.tasks == ("a",) for pool in found), "each compared within itself"
    (alone,) = comparisons.alike(five("a", **usual, sharpness_rho=0.1), answers)[1:]
    assert alone.config == five("a", "b", **usual, sharpness_rho=0.1)
    labels = {budget_label(group.budget): group.compared for group in groups(answers)}
    assert labels == {"quick": (), "quick · ρ 0.1": ()}


def test_seeds_may_differ_and_more_of_them_are_preferred(five: Make, ship: Make) -> None:
    few, many = five("a", seeds=(5,)), five("a", seeds=(0, 1, 2))
    (pool,) = pools(ship(few, many, five("a", "b", seeds=(7, 8))))
    assert pool.singles["a"].config == many
    assert pool.tasks == ("a",)


def test_a_task_on_other_examples_is_not_compared(five: Make, ship: Make) -> None:
    """e has 100 examples; alone with the steps of a, it has seen them more often."""
    none: dict[str, Any] = {"factors": ()}  # of which fewer examples would make another budget
    both, others = five("a", "e", **none), five("b", "e", **none)
    (pool,) = pools(ship(both, five("a", **none), others))
    assert pool.tasks == ("a",)
    alone = replace(both, target="e", auxiliaries=(), samples=None, epochs=5)
    assert alone.steps == both.steps
    assert [found.tasks for found in pools(ship(alone, both)) if found.tasks] == []


def test_a_task_that_is_smallest_is_compared_when_all_take_as_many(five: Make, ship: Make) -> None:
    """100 samples are all of e, so its own run says so otherwise."""
    alone, both = five("e", samples=100), five("a", "e", samples=100)
    assert (alone.samples, both.samples) == (None, 100)
    (pool,) = pools(ship(alone, both))
    assert pool.tasks == ("e",)


def test_the_store_counts_once_a_run_is_done(
    five: Make, ship: Make, store: Store, put_runs: Make
) -> None:
    shipped = ship(five("a")).shipped
    together = five("a", "b")
    store.submit(together)
    answers = Answers(store, shipped)
    assert [pool.tasks for pool in pools(answers)] == [()]
    put_runs(store, together)
    assert [pool.tasks for pool in pools(answers)] == [("a",)]


def test_the_usual_sets_are_the_largest(five: Make, ship: Make) -> None:
    (pool,) = pools(
        ship(
            *(five(task) for task in "abc"),
            five("a", "b"),
            five("b", "acd"),
            five("a", "bcd", optimizer="mgda"),
            five("a", "bcd", optimizer="mgda", auxiliary_factors=True),
        )
    )
    assert pool.joints == (("a", "b", "c", "d"), ("a", "b"))
    assert pool.usual == (("a", "b", "c", "d"),)
    assert runs(pool.cases("a")) == [("b", "a+c+d")]
    assert runs(pool.cases("a", (("a", "b"),))) == [("a", "b")]
    assert pool.cases("c", (("a", "b"),)) == []
    assert len(pool.together("a")) == 4
    assert len(pool.together("c")) == 3


def test_a_task_outside_the_usual_sets_has_its_largest(five: Make, ship: Make) -> None:
    (pool,) = pools(ship(five("a"), five("d"), five("d", "b"), five("a", "bc")))
    assert runs(pool.cases("d")) == [("d", "b")]


def test_every_set_is_usual_where_auxiliaries_are_meant_to_help_or_harm(
    make_config: Make, ship: Make
) -> None:
    names = [(), ("digits2",), ("noisy_digits",), ("digits2", "noisy_digits")]
    (pool,) = pools(ship(*(make_config(auxiliaries=one) for one in names)))
    assert runs(pool.cases("digits1")) == [
        ("digits1", "digits2"),
        ("digits1", "noisy_digits"),
        ("digits1", "digits2+noisy_digits"),
    ]


def test_a_set_is_read_where_the_task_s_factors_were_measured(five: Make, ship: Make) -> None:
    plain, own, all_of_them = five("a", "b"), five("b", "a"), five("a", "b", auxiliary_factors=True)
    (pool,) = pools(ship(plain, own))
    assert pool.run("b", ("a", "b")).config == own
    assert pool.run("a", ("a", "b")).config == plain
    (pool,) = pools(ship(plain, all_of_them))
    assert pool.run("b", ("a", "b")).config == all_of_them
    assert pool.run("b", ("b", "c")) is None


def test_points_of_conflict_are_sets_with_measured_factors(five: Make, ship: Make) -> None:
    (pool,) = pools(
        ship(
            five("a", "b"),
            five("a", "bc"),
            five("b", "ac"),
            five("a", "b", optimizer="mgda"),
        )
    )
    assert runs(pool.auxiliary_sets("a")) == [("a", "b"), ("a", "b+c")]
    assert runs(pool.auxiliary_sets("b")) == [("b", "a+c")]
    assert len(pool.auxiliary_sets("a", every_optimizer=True)) == 3
    assert pool.targets == ("a", "b")
    assert pool.tasks == ()


def test_without_runs_there_are_no_pools() -> None:
    assert pools(Answers(None, {})) == ()


# Words.


def test_labels_name_two_other_tasks_and_count_more(five: Make, ship: Make) -> None:
    answers = ship(
        five("a"), five("a", "b"), five("b", "ac"), five("a", "bcd"), five("a", "bcde", samples=50)
    )
    (pool, other) = sorted(pools(answers), key=lambda pool: -len(pool.runs))
    named = comparisons.labels([pool.singles["a"], *pool.together("a"), *other.runs], "a")
    assert list(named) == ["single task", "+ b", "+ b + c", "+ b, c and 1 more", "all 5 tasks"]
    twice = comparisons.labels([pool.singles["a"], pool.singles["a"]], "a")
    assert len(twice) == 2
    (mgda,) = comparisons.labels(pools(ship(five("a", "b", optimizer="mgda")))[0].runs, "b")
    assert mgda == "+ a · MGDA"


def test_a_run_seen_from_its_auxiliary_is_the_same_tasks(five: Make) -> None:
    config = five("c", "ab")
    seen = comparisons.seen_from(config, "a")
    assert (seen.target, seen.auxiliaries) == ("a", ("b", "c"))
    assert comparisons.seen_from(config, "c") is config
    assert comparisons.joint(config) == comparisons.joint(seen) == ("a", "b", "c")


def test_what_if_asks_the_same_question(five: Make) -> None:
    for config in (
        five("a"),
        five("a", "bc", lr=1e-4),
        five("a", "b", auxiliary_factors=True),
        five("a", "b", optimizer="cagrad", options=(("c", 0.2),)),
    ):
        asked = comparisons.question(config, "a")
        assert asked is not None
        assert config in asked.configs
    asked = comparisons.question(five("a", "bc"), "b")
    assert asked is not None
    assert (asked.target, asked.auxiliaries) == ("b", ("a", "c"))
    assert comparisons.question(five("a", "b", factors=("sharpness",)), "a") is None


def test_a_reduced_run_says_how(five: Make) -> None:
    paper_preset = RunConfig.from_preset("five", "paper")
    assert comparisons.reduced(paper_preset) is None
    small = five("a", "b", width=4, samples=100, held_out=50)
    assert comparisons.reduced(small) == (
        "encoder width 4 of 16, 100 of 250 examples, 50 of 498 held out, 2 of 300 epochs"
    )
    full = RunConfig.from_preset("five", "paper", apgd_steps=3, similarity_batches=50)
    assert comparisons.reduced(full) is None
    assert comparisons.reduced(full, measuring=True) == (
        "3 of 20 search steps for sharpness (up to 0.05 % less of it), 50 of 200 batches for "
        "similarity"
    )
    assert comparisons.reduced(replace(full, factors=()), measuring=True) is None
    assert comparisons.reduced(replace(full, epochs=1000, lr=1.0)) is None, "more is not less"


def test_the_plan_of_a_shipped_run_is_found(five: Make) -> None:
    assert comparisons.plan(RunConfig.from_preset("fashion", "standard")) == "plans/overview.toml"
    assert comparisons.plan(five("a")) is None


# URLs.


@pytest.fixture
def found(five: Make, ship: Make) -> tuple[Pool, ...]:
    """Two budgets: the first has two tasks to compare, the second three sets of one target."""
    return pools(
        ship(
            *(five(task) for task in "ab"),
            five("a", "bcd", auxiliary_factors=True),
            five("a", "b"),
            *(five("c", other, lr=1e-4) for other in ("a", "b", "ab")),
            five("c", lr=1e-4),
        )
    )


def test_a_page_starts_where_most_can_be_compared(found: tuple[Pool, ...]) -> None:
    view, problems = GapView.from_query({}, found)
    assert problems == []
    assert view is not None
    assert (view.setting, view.task, view.runs, view.against) == ("five", "a", (), "")
    pool = comparisons.find(found, view.setting, view.budget)
    assert pool.tasks == ("a", "b")
    conflict, _ = ConflictView.from_query({}, found)
    assert conflict is not None
    assert comparisons.find(found, "five", conflict.budget).targets == ("c",), "it has most sets"


@pytest.mark.parametrize("view_of", [GapView, FactorsView, ConflictView])
def test_without_runs_there_is_no_view(view_of: Any) -> None:
    assert view_of.from_query({"setting": "digits"}, ()) == (None, [])


def test_views_come_back_from_their_own_queries(found: tuple[Pool, ...]) -> None:
    pool = next(pool for pool in found if len(pool.tasks) == 2)
    other = next(pool for pool in found if len(pool.tasks) == 1)
    ids = tuple(run.config.id for run in pool.together("b"))
    views: list[Any] = [
        GapView("five", pool.name, "b", ids, ids[0]),
        GapView("five", other.name, "c"),
        FactorsView("five", pool.name, "b", (("a", "b"),), "footnote", True),
        FactorsView("five", pool.name, "a"),
        ConflictView("five", other.name, ("c",), True),
        ConflictView("five", other.name, reading="early", size=3),
        ConflictView("five", other.name),
    ]
    for view in views:
        assert type(view).from_query(view.to_query(), found) == (view, [])


def test_nonsense_is_named_and_replaced(found: tuple[Pool, ...]) -> None:
    usual, _ = GapView.from_query({}, found)
    wrong = {
        "setting": "fivee",
        "budget": "0" * 16,
        "task": "c",
        "runs": "0123",
        "against": "x",
        "junk": "1",
    }
    view, problems = GapView.from_query(wrong, found)
    assert view == usual
    assert len(problems) == len(wrong)
    assert "unknown setting 'fivee'" in problems[0]
    assert "no finished runs" in problems[1]
    assert "c has no single-task run beside a multi-task one here" in problems[2]
    assert "'0123' is not a finished run of a at this budget" in problems[3]

    factors, problems = FactorsView.from_query(
        {"setting": "digits", "sets": "a c", "aggregate": "mean", "rows": "no"}, found
    )
    assert factors is not None
    assert (factors.sets, factors.aggregate, factors.every) == ((), "bins", False)
    assert "digits has no finished runs to compare yet" in problems[0]
    assert "not a set of tasks that was trained together" in problems[1]
    assert len(problems) == 4

    wrong = {
        "targets": "z",
        "optimizers": "mgda",
        "reading": "late",
        "aggregate": "footnote",
        "size": "9",
    }
    conflict, problems = ConflictView.from_query(wrong, found)
    assert conflict == ConflictView("five", conflict.budget if conflict else "")
    assert len(problems) == len(wrong)
    assert "unknown reading 'late'" in problems[2]
    assert "footnote 7's counts take 50 epochs, and these runs have 2" in problems[3]
    assert "unknown size '9'; one of: 2, 3, nor all; using all instead" in problems[4]


def test_footnote_7_is_offered_for_long_runs(five: Make, ship: Make) -> None:
    (pool,) = pools(ship(five("a", "b", epochs=50)))
    view = ConflictView("five", pool.name, aggregate="footnote")
    assert ConflictView.from_query(view.to_query(), (pool,)) == (view, [])


def test_conflict_opens_where_many_sets_have_one_size(five: Make, ship: Make) -> None:
    """Here three of one size are enough, and four of unlike size are not."""
    unlike = [five("a", others) for others in ("b", "c", "bc", "bcd")]
    alike = [five("a", others, lr=1e-4) for others in ("bc", "bd", "cd")]
    found = pools(ship(*unlike, *alike))
    with pytest.MonkeyPatch.context() as patch:
        chosen = []
        for enough in (3, 4):
            patch.setattr("mtl_core.views.conflict.FEWEST_SETS", enough)
            view, _ = ConflictView.from_query({}, found)
            assert view is not None
            chosen.append(len(comparisons.find(found, "five", view.budget).runs))
    assert chosen == [3, 4]
    pool = next(pool for pool in found if len(pool.runs) == 4)
    assert sizes(pool) == {2: 2, 3: 1, 4: 1}
    assert ConflictView("five", pool.name, size=2).deciding(pool.auxiliary_sets("a")) == 2
    assert ConflictView("five", pool.name).deciding(pool.auxiliary_sets("a")) == 4


def test_conflict_shows_targets_with_several_sets(found: tuple[Pool, ...]) -> None:
    other = next(pool for pool in found if len(pool.tasks) == 1)
    assert ConflictView("five", other.name).shown(other) == ("c",)
    first = next(pool for pool in found if len(pool.tasks) == 2)
    assert ConflictView("five", first.name).shown(first) == first.targets
    assert ConflictView("five", first.name, ("b",)).shown(first) == ("b",)


def test_pools_are_named_by_their_preset_whoever_is_the_target(five: Make, ship: Make) -> None:
    shared = RunConfig.from_preset("five", "quick", target="c", seeds=(9,))
    (pool,) = pools(ship(shared))
    assert pool.name == "quick"
    (pool,) = pools(ship(five("b")))
    assert pool.name == five("a", seeds=(0, 1, 2)).id


# Which budget a page takes by itself: the best evidence.


def test_the_budget_nearest_to_the_papers_size_is_taken(five: Make, ship: Make) -> None:
    """Of as many seeds; one with fewer than an outcome takes comes last, however large."""
    usual = {"seeds": (0, 1, 2)}
    far = [five("a", **usual), five("b", **usual), five("a", "b", auxiliary_factors=True, **usual)]
    near = [five("a", epochs=3, **usual), five("a", "b", epochs=3, **usual)]
    few = [five("a", epochs=9), five("a", "b", epochs=9)]
    found = pools(ship(*far, *near, *few))
    assert {pool.budget.epochs: len(pool.tasks) for pool in found} == {2: 2, 3: 1, 9: 1}
    for view in (GapView, FactorsView):
        taken, problems = view.from_query({}, found)
        assert problems == []
        assert taken is not None
        assert comparisons.find(found, taken.setting, taken.budget).budget.epochs == 3


def test_nothing_beyond_the_papers_size_counts(five: Make) -> None:
    paper = settings.get("five").presets["paper"]
    sizes = {
        epochs: nearest.size(five("a", epochs=epochs, samples=samples))
        for epochs, samples in ((paper.epochs, None), (2 * paper.epochs, None), (2, 100), (2, 200))
    }
    assert sizes[paper.epochs] == sizes[2 * paper.epochs] == paper.epochs * 250 * paper.width
    assert sizes[2] == 2 * 200 * paper.width
    half = nearest.size(five("a", epochs=paper.epochs, width=paper.width // 2))
    assert 2 * half == sizes[paper.epochs]


def test_where_sizes_are_equal_seeds_and_then_what_there_is_to_show_decide(five: Make) -> None:
    budget = five("a")

    def rank(**changes: Any) -> nearest.Rank:
        usual = {"telling": 3, "seeds": 3, "shown": 1, "name": "x"}
        return nearest.rank(budget, **(usual | changes))

    ranks = [
        rank(telling=2, seeds=10, shown=9),
        rank(),
        rank(name="y"),
        rank(shown=2),
        rank(seeds=5),
    ]
    assert ranks == sorted(ranks)


def test_conflict_takes_the_budget_with_sets_enough(
    five: Make, ship: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two auxiliary sets are enough here; a larger budget has one only."""
    monkeypatch.setattr("mtl_core.views.conflict.FEWEST_SETS", 2)
    small = [five("a", others) for others in ("b", "c", "d")]
    found = pools(ship(*small, five("a", "b", epochs=9)))
    taken, _ = ConflictView.from_query({}, found)
    assert taken is not None
    assert comparisons.find(found, "five", taken.budget).budget.epochs == 2
    enough = pools(ship(*small, five("a", "b", epochs=9), five("a", "c", epochs=9)))
    taken, _ = ConflictView.from_query({"setting": "five"}, enough)
    assert taken is not None
    assert comparisons.find(enough, "five", taken.budget).budget.epochs == 9
