"""Asking: what strangers may not queue, stop or delete."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from mtl_core.runs.library.answers import Answers
from mtl_core.runs.queue.records import Key
from mtl_core.runs.queue.store import Store
from mtl_core.views import asking
from mtl_core.views.access import Access

Make = Callable[..., Any]
SHARED, ALONE = Access(shared=True, uploads=False), Access()
ME, OTHER = "me", "somebody else"


def line(store: Store, *configs: Any, who: str = ME, shipped: Any = None) -> str:
    found = asking.doubt(configs, Answers(store, shipped or {}), who, SHARED)
    return "" if found is None else found.line


def test_a_visitor_has_so_many_runs_and_all_of_them_so_many(
    store: Store, make_config: Make
) -> None:
    seeds = tuple(range(60))
    for lr in (0.1, 0.2, 0.3):
        store.submit(make_config(seeds=seeds, lr=lr), visitor=ME)
    asked = make_config(seeds=tuple(range(21)), lr=0.4)
    assert line(store, asked).startswith("you have 180 runs in the queue and ask for 21 more; 200")
    assert line(store, replace(asked, seeds=(1,))) == ""
    assert line(store, asked, who=OTHER) == ""
    assert asking.doubt([asked], Answers(store, {}), ME, ALONE) is None
    for number in range(14):
        store.submit(make_config(seeds=seeds, lr=1.0 + number), visitor=f"visitor {number}")
    assert line(store, asked, who=OTHER) == (
        "1020 runs of all visitors are in the queue, which is full; try later"
    )


def test_one_run_of_which_nothing_is_known_does_not_hide_the_others(
    store: Store, make_config: Make, make_front: Make
) -> None:
    done = make_config(lr=0.5)
    store.submit(done)
    store.claim("1-alice")
    store.save(Key(done.id, 0), "1-alice", [], seconds=600.0)
    store.finish(Key(done.id, 0), "1-alice", "done")
    store.submit(make_config(seeds=tuple(range(20)), lr=0.6), visitor=ME)
    asked = make_config(seeds=tuple(range(20)), lr=0.7)
    assert "with what you have in the queue" in line(store, asked)
    store.submit(make_front(), visitor=ME)
    assert "with what you have in the queue" in line(store, asked)


def test_what_was_never_run_here_is_judged_by_what_ships(
    store: Store, shipped_answers: Answers
) -> None:
    config = next(
        one.config
        for one in shipped_answers.shipped.values()
        if one.kind.name == "training" and one.config.setting == "digits"
    )
    long = replace(config, epochs=100_000, seeds=tuple(range(8)))
    assert "hours (limit 2)" in line(store, long, shipped=shipped_answers.shipped)
    assert shipped_answers.estimate_seconds(long) is None, "nobody is told another machine's time"


def test_strangers_leave_some_disk(
    store: Store, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        asking.shutil, "disk_usage", lambda place: SimpleNamespace(free=asking.LEAST_FREE - 1)
    )
    assert line(store, make_config()).startswith("this server's disk is nearly full")
    assert asking.doubt([make_config()], Answers(store, {}), ME, ALONE) is None


def test_who_resumes_a_run_may_stop_it_and_not_delete_it(store: Store, make_config: Make) -> None:
    config = make_config()
    store.submit(config, visitor=OTHER)
    answer = Answers(store, {}).find(config)
    assert asking.endable(answer, OTHER, SHARED) == [0]
    assert asking.endable(answer, ME, SHARED) == []
    store.cancel(config.id, [0])
    store.submit(config, visitor=ME)
    answer = Answers(store, {}).find(config)
    assert asking.endable(answer, ME, SHARED) == [0]
    assert not asking.deletable(answer, "own", ME, SHARED)
    assert asking.deletable(answer, "own", OTHER, SHARED)
    assert asking.deletable(answer, "own", ME, ALONE)
    assert not asking.deletable(answer, "imported", OTHER, SHARED)
    assert not asking.deletable(answer, "shipped", ME, ALONE)
