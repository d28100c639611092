"""Links from when ids and budgets had other names lead to the same curves."""

from mtl_core import RunConfig
from mtl_core.runs.library import artifacts
from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.store import Store
from mtl_core.views import former
from mtl_core.views.comparisons import pools
from mtl_core.views.generalization_gap import GapView
from mtl_core.views.smtos import budget_name


def test_runs_of_an_old_link_are_those_of_today(shipped_answers: Answers) -> None:
    """``1214a7683ffba688`` was digits1 alone, ``0abbe0a1ea1aa9f6`` with digits2 by Mean."""
    alone, together = map(shipped_answers.current, ("1214a7683ffba688", "0abbe0a1ea1aa9f6"))
    found = [pool for pool in pools(shipped_answers) if pool.tasks]
    old = {
        "setting": "digits",
        "budget": "quick",
        "task": "digits1",
        "runs": "0abbe0a1ea1aa9f6",
        "against": "1214a7683ffba688",
    }
    budgets = [pool.budget for pool in found]
    view, problems = GapView.from_query(former.current(old, shipped_answers, budgets), found)
    assert problems == []
    assert view is not None
    assert (view.runs, view.against) == ((together,), alone)
    assert view.budget != "quick", "that preset has had another budget since"
    answer = shipped_answers.find_id(together)
    assert answer is not None
    (budget,) = [one for one in budgets if budget_name(one) == view.budget]
    assert (budget.epochs, answer.config.epochs) == (30, 30)
    assert {alone, together} <= set(shipped_answers.shipped)


def test_a_link_of_today_keeps_its_budget(shipped_answers: Answers) -> None:
    """Whichever setting it is of, and whichever budgets the other settings have."""
    found = [pool for pool in pools(shipped_answers) if pool.tasks]
    budgets = [pool.budget for pool in found]
    for pool in found:
        task = pool.tasks[-1]
        for run in (pool.singles[task], *pool.together(task)):
            link = {
                "setting": pool.setting.name,
                "budget": pool.name,
                "task": task,
                "runs": run.config.id,
            }
            assert former.current(link, shipped_answers, budgets) == link


def test_every_shipped_artifact_is_reached_by_the_ids_that_it_had(shipped_answers: Answers) -> None:
    count = 0
    for artifact in shipped_answers.shipped.values():
        for run, seeds in artifact.former.items():
            answer = shipped_answers.find_id(run)
            assert answer is not None
            assert (answer.config, answer.config.seeds) == (artifact.config, seeds)
            assert shipped_answers.current(run) == artifact.config.id
            count += 1
    assert count == 173, "all that shipped when seeds were a part of ids"


def test_a_budget_goes_by_its_name_of_today(shipped_answers: Answers) -> None:
    preset = RunConfig.from_preset("digits", "quick", seeds=(4, 5))
    other = RunConfig.from_preset("digits", "quick", lr=0.5)
    old = {
        "preset": artifacts.former_id(preset, (4, 5)),
        "usual": artifacts.former_id(other, (0, 1, 2)),
    }
    for name, expected in (("preset", "quick"), ("usual", other.id)):
        query = former.current({"budget": old[name], "x": "y"}, shipped_answers, (preset, other))
        assert query == {"budget": expected, "x": "y"}


def test_ids_of_a_store_are_known_too_and_other_texts_stay(store: Store) -> None:
    answers = Answers(store, {})
    query = {"runs": f"{'0' * 16} abc", "text": "0123456789abcdef0"}
    assert former.current(query, answers, ()) == query
