"""The Library page's search: what passes its filters, and what a URL asks for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.runs.library.artifacts import former_id
from mtl_core.runs.queue.store import Store
from mtl_core.views import library
from mtl_core.views.library import Entry
from mtl_core.views.library_search import MOST_IN_URL, MOST_ON_PAGE, Search, choices, resolved

Make = Callable[..., Any]
NOBODY = Answers(None, {})


# Filters.


def searching(**asked: Any) -> Callable[[Any], bool]:
    search = Search(**asked)
    return lambda config: search.passes(Entry(config.id, "own", Answer(config)))


def test_a_filter_wants_one_of_its_values_and_filters_are_all_wanted(make_config: Make) -> None:
    multi, single = make_config(optimizer="mgda"), make_config(auxiliaries=())
    both = searching(setting=("digits", "fashion"))
    assert both(multi)
    assert both(single)
    assert not searching(setting=("fashion",))(multi)
    assert searching(target=("digits1", "digits2"))(multi)
    assert not searching(target=("digits2",))(multi)
    assert searching(optimizer=("mgda", "umtg"))(multi)
    assert not searching(optimizer=("umtg",))(single), "a single task has nothing to combine"
    assert searching(optimizer=("none",))(single)
    assert not searching(optimizer=("none",))(multi)
    assert not searching(optimizer=("mgda",), target=("digits2",))(multi)
    assert not searching(state=("done",))(multi)
    assert not Search().filtered
    assert not Search(chosen=("x",), task="digits1").filtered
    assert Search(state=("done",), chosen=("x",)).unfiltered == Search(chosen=("x",))


def test_fronts_are_filtered_by_problem_and_method(make_config: Make, make_front: Make) -> None:
    training, front = make_config(optimizer="mgda"), make_front(method="mgda")
    assert [searching(kind=("front",))(one) for one in (training, front)] == [False, True]
    assert [searching(setting=("toy",))(one) for one in (training, front)] == [False, True]
    assert [searching(setting=("digits", "toy"))(one) for one in (training, front)] == [True, True]
    assert [searching(optimizer=("mgda",))(one) for one in (training, front)] == [True, True]
    assert not searching(optimizer=("decay",))(front)
    assert not searching(target=("digits1",))(front)


def test_filters_offer_what_is_here_or_asked_for(
    make_config: Make, make_front: Make, entry: Make
) -> None:
    found = [entry(make_config(auxiliaries=())), entry(make_front(method="decay"))]
    offered = choices(Search(setting=("fashion",), optimizer=("cagrad",)), found)
    assert offered["kind"] == {"training": "training", "front": "front"}
    assert offered["setting"] == {
        "digits": "Digits",
        "fashion": "FashionMTL",
        "toy": "Toy: two peaks",
    }
    assert offered["optimizer"] == {
        "none": "single task",
        "cagrad": "CAGrad",
        "decay": "Decaying",
    }
    assert offered["target"] == {}, "those of the chosen setting"
    assert choices(Search(setting=("digits",)), found)["target"] == {"digits1": "digits1"}


def test_sources_and_states_are_filtered(
    store: Store, make_config: Make, ship: Make, put_runs: Make
) -> None:
    put_runs(store, make_config(width=7))
    put_runs(store, make_config(width=8), "failed")
    shipped = ship(make_config(width=5))
    brought = ship(make_config(width=6), imported=True)
    answers = Answers(store, {shipped.config.id: shipped}, {brought.config.id: brought})
    found = library.entries(answers)

    def widths(**asked: Any) -> list[int]:
        search = Search(**asked)
        return sorted(one.config.width for one in found if search.passes(one))

    assert widths(source=("own",)) == [7, 8]
    assert widths(source=("imported", "shipped")) == [5, 6]
    assert widths(state=("failed",)) == [8]
    assert widths(state=("done",), source=("own",)) == [7]
    assert widths(text="broke") == [8], "what a failed run said"
    assert widths(text="h200") == [5, 6]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ("MGDA", True),
        ("digits2 mgda", True),
        ("mgda digits2", True),
        ("l2", True),  # an option's value
        ("epochs 2", True),
        ("digits2 cagrad", False),
        ("single", False),
        ("  digits  ", True),
    ],
)
def test_every_word_of_a_text_must_be_found(make_config: Make, text: str, passes: bool) -> None:
    config = make_config(optimizer="mgda", options=(("normalization", "l2"),))
    assert searching(text=text)(config) == passes
    assert searching(text=config.id[3:9])(config)
    assert searching(text="single task")(make_config(auxiliaries=()))


# URLs.


def test_a_search_survives_its_url(make_config: Make, entry: Make) -> None:
    found = [entry(make_config(width=width)) for width in (5, 6, 7)]
    search = Search(
        ("training", "front"),
        ("digits", "toy"),
        ("digits1",),
        ("none", "mgda", "decay"),
        ("own", "shipped"),
        ("done", "failed"),
        "two words",
        (found[2].key, found[0].key),
        "digits2",
    )
    assert Search.from_query(search.to_query(), found, NOBODY) == (search, [])
    assert Search().to_query() == {}
    assert Search.from_query({}, found, NOBODY) == (Search(), [])


def test_what_a_url_gets_wrong_is_named_and_the_rest_of_it_holds(
    make_config: Make, entry: Make
) -> None:
    found = [entry(make_config())]
    search, problems = Search.from_query(
        {
            "kind": "taining",
            "setting": "digits imagenet",
            "target": "digits1",
            "optimizer": "pcgard",
            "source": "stolen",
            "state": "done",
            "text": "x" * 101,
            "task": "cats",
            "run": f"{found[0].key} {'0' * 16}",
            "runs": "all",
        },
        found,
        NOBODY,
    )
    assert search == Search(target=("digits1",), state=("done",), chosen=(found[0].key,))
    assert [line.partition(":")[0] for line in problems] == [
        *(
            f"in the URL, {name}"
            for name in ("kind", "setting", "optimizer", "source", "text", "task")
        ),
        "in the URL, run",
        "in the URL, unknown parameter 'runs'; one of",
    ]
    assert "unknown setting or problem 'imagenet'; one of: digits" in problems[1]
    assert "using all instead" in problems[0]
    assert f"there is no experiment {'0' * 16} here; it may have been deleted" in problems[6]


@pytest.mark.parametrize("run", ["digits1", "../../etc/passwd", "0" * 15, "own:", " ".join("ab")])
def test_what_is_no_id_is_no_choice(run: str) -> None:
    search, (problem,) = Search.from_query({"run": run}, [], NOBODY)
    assert search.chosen == ()
    assert "is not an experiment's id of 16 hex digits; using none instead" in problem


def test_a_url_holds_so_many_and_no_more(make_config: Make, entry: Make) -> None:
    found = [entry(make_config(width=1 + n)) for n in range(MOST_IN_URL + 5)]
    search = Search(chosen=tuple(one.key for one in found))
    back, problems = Search.from_query(search.to_query(), found, NOBODY)
    assert (back.chosen, problems) == (search.chosen[:MOST_IN_URL], [])
    everything = {"run": " ".join(search.chosen)}
    assert "105 experiments are more than 100" in Search.from_query(everything, found, NOBODY)[1][0]
    assert search.without(search.chosen[1:]).chosen == search.chosen[:1]


def test_an_id_from_when_seeds_were_a_part_of_it_leads_to_its_runs(
    store: Store, make_config: Make, ship: Make, put_runs: Make
) -> None:
    config = make_config(seeds=(0, 1))
    before = {former_id(config, seeds): seeds for seeds in ((0,), (0, 1))}
    shipped = ship(config, former=before)
    put_runs(store, make_config(seeds=(2, 3)))
    earlier = former_id(config, (2, 3))
    with store._file.write() as db:
        db.execute("INSERT INTO former VALUES (?, ?, '[2, 3]')", (earlier, config.id))
    answers = Answers(store, {config.id: shipped})
    found = library.entries(answers)
    for run in before:
        assert resolved([run], found, answers) == (config.id,)
    assert resolved([earlier], found, answers) == (f"own:{config.id}",)
    assert resolved([f"shipped:{earlier}"], found, answers) == ()
    query = {"run": f"{earlier} {next(iter(before))} {earlier}"}
    search, problems = Search.from_query(query, found, answers)
    assert (search.chosen, problems) == ((f"own:{config.id}", config.id), [])


def test_a_source_that_is_alone_by_now_is_found(
    store: Store, make_config: Make, put_runs: Make
) -> None:
    config, answers = put_runs(store, make_config()), Answers(store, {})
    found = library.entries(answers)
    assert resolved([f"own:{config.id}"], found, answers) == (config.id,)
    assert resolved([f"imported:{config.id}"], found, answers) == ()


def test_pages_hold_every_experiment_once(make_config: Make, entry: Make) -> None:
    one = entry(make_config())
    found = [replace(one, key=f"{number:016x}") for number in range(2 * MOST_ON_PAGE + 1)]
    search = Search(page=1)
    assert (search.pages(0), search.pages(MOST_ON_PAGE)) == (1, 1)
    assert search.pages(len(found)) == 3
    parts = [replace(search, page=page).on_page(found) for page in (1, 2, 3)]
    assert [len(part) for part in parts] == [MOST_ON_PAGE, MOST_ON_PAGE, 1]
    assert [each.key for part in parts for each in part] == [each.key for each in found]
    assert replace(search, page=9).on_page(found) == parts[-1], "of fewer pages, the last"
    assert not replace(search, page=2).filtered


def test_a_page_is_in_the_url(make_config: Make, entry: Make) -> None:
    found = [entry(make_config())]
    answers = Answers(None, {})
    search, told = Search.from_query({"page": "3"}, found, answers)
    assert (search.page, told) == (3, [])
    assert search.to_query() == {"page": "3"}
    for text in ("0", "-1", "x"):
        search, told = Search.from_query({"page": text}, found, answers)
        assert search.page == 1
        assert len(told) == 1
