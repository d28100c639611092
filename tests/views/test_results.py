"""Results in the library: those of the pages, for every source, and nothing where nothing is."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from mtl_core import RunConfig, analysis
from mtl_core.checks import with_seeds
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs import Answers, Store
from mtl_core.runs.library.artifacts import scan
from mtl_core.views import library
from mtl_core.views.library import Entry
from mtl_core.views.library_search import Search
from mtl_core.views.results import RESULTS, result, with_results

SHIPPED = scan()[0]


def _entry(answers: Answers, config: RunConfig) -> Entry:
    return next(
        one for one in library.entries(answers) if one.config.id == config.id and one.answer.done
    )


def test_they_are_those_of_what_if() -> None:
    answers = Answers(None, SHIPPED)
    config = RunConfig.from_preset("synthetic", "quick", auxiliaries=("cos0",))
    found = result(_entry(answers, config), answers)
    every = answers.find_id(config.id)
    alone = answers.find_id(config.baseline.id)
    assert every is not None
    assert alone is not None
    shared = with_seeds(config.baseline, every.config.seeds)
    rows = pd.concat(
        [
            answers.main(every).assign(curve="mtl"),
            answers.main(answers.find(shared)).assign(curve="stl"),
        ]
    )
    moved = analysis.transfer(rows, analysis.Versus("target", "mtl", "stl", "higher"))
    assert moved is not None
    assert found.transfer == moved
    assert moved.verdict == "worse"
    assert found.reached == pytest.approx(moved.mean)
    last = rows[(rows["curve"] == "mtl") & (rows["task"] == "target")]
    last = last[last["step"] == last["step"].max()]
    assert found.loss == pytest.approx(last["train_loss"].mean())
    assert found.sharpness == pytest.approx(last["sharpness"].mean())
    single = result(_entry(answers, config.baseline), answers)
    assert single.transfer is None
    assert single.reached == pytest.approx(
        sum(analysis.reached(answers.main(alone).assign(curve="x"), "target", "x"))
        / len(alone.config.seeds)
    )


def test_what_is_not_done_has_none(store: Store, entry: Callable[[Any], Entry]) -> None:
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",), lr=0.5)
    store.submit(config)
    answers = Answers(store, SHIPPED)
    (own,) = (one for one in library.entries(answers) if one.source == "own")
    assert math.isnan(result(own, answers).reached)
    assert result(own, answers).transfer is None
    front = result(entry(ParetoConfig.from_preset("toy", "quick")), answers)
    assert math.isnan(front.reached)


def test_the_table_has_the_columns_that_were_asked_for_in_percent_and_points() -> None:
    answers = Answers(None, SHIPPED)
    config = RunConfig.from_preset("synthetic", "quick", auxiliaries=("cos100",))
    chosen = [_entry(answers, config), _entry(answers, config.baseline)]
    plain = library.table(chosen)
    assert with_results(plain, chosen, answers, ()) is plain
    shown = with_results(plain, chosen, answers, tuple(RESULTS))
    assert [*shown.columns[6 : 6 + len(RESULTS)]] == [*RESULTS]
    moved = result(chosen[0], answers).transfer
    assert moved is not None
    assert shown["ΔE"].tolist()[0] == pytest.approx(100 * moved.delta)
    assert shown["ΔE from"].tolist()[0] == pytest.approx(100 * moved.low)
    assert shown["ΔE is"].tolist() == ["better", "–"]
    assert shown["E"].between(50, 100).all()


def test_columns_stand_in_the_address() -> None:
    answers = Answers(None, {})
    search = Search(results=("E", "ΔE from", "final L"))
    query = search.to_query()
    assert query["results"] == "e delta_from final_l"
    assert Search.from_query(query, [], answers) == (search, [])
    assert search.unfiltered.results == search.results
    assert not search.filtered
    _, told = Search.from_query({"results": "e accuracy"}, [], answers)
    assert "unknown column of results 'accuracy'" in told[0]
