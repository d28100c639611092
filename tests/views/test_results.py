"""Results in the library: those of the pages, for every source, and nothing where nothing is."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from mtl_core import InputError, RunConfig, analysis
from mtl_core.checks import with_seeds
from mtl_core.pareto.config import ParetoConfig
from mtl_core.runs import Answers, Store
from mtl_core.views import library
from mtl_core.views.library import Entry
from mtl_core.views.library_search import Search
from mtl_core.views.results import RESULTS, conditions, passing, result, with_results


def _entry(answers: Answers, config: RunConfig) -> Entry:
    return next(
        one for one in library.entries(answers) if one.config.id == config.id and one.answer.done
    )


def test_they_are_those_of_what_if(shipped_answers: Answers) -> None:
    answers = shipped_answers
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


def test_what_is_not_done_has_none(
    store: Store, entry: Callable[[Any], Entry], shipped_artifacts: dict[str, Any]
) -> None:
    config = RunConfig.from_preset("digits", "quick", auxiliaries=("digits2",), lr=0.5)
    store.submit(config)
    answers = Answers(store, shipped_artifacts)
    (own,) = (one for one in library.entries(answers) if one.source == "own")
    assert math.isnan(result(own, answers).reached)
    assert result(own, answers).transfer is None
    front = result(entry(ParetoConfig.from_preset("toy", "quick")), answers)
    assert math.isnan(front.reached)


def test_the_table_has_the_columns_that_were_asked_for_in_percent_and_points(
    shipped_answers: Answers,
) -> None:
    answers = shipped_answers
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


def test_only_experiments_with_results_as_asked_for_pass(
    shipped_answers: Answers,
) -> None:
    answers = shipped_answers
    helps, harms = (
        RunConfig.from_preset("synthetic", "quick", auxiliaries=(one,))
        for one in ("cos100", "cos0")
    )
    every = [_entry(answers, one) for one in (helps, harms, harms.baseline)]

    def left(text: str) -> list[str]:
        return [one.config.id for one in passing(every, answers, conditions(text))]

    both = [helps.id, harms.id]
    assert left("") == [*both, harms.baseline.id]
    assert left("ΔE > 1") == left("delta > 1") == left("ΔE is better") == [helps.id]
    assert left("ΔE <= 0, e > 50") == left("delta_is worse") == [harms.id]
    assert left("ΔE > -100") == both, "a single task has no difference"
    assert left("E > 200") == []
    moved = result(every[0], answers).transfer
    assert moved is not None
    assert left(f"ΔE >= {100 * moved.delta!r}, ΔE < 99") == [helps.id]
    assert left(f"ΔE > {100 * moved.delta!r}") == []


def test_conditions_stand_in_the_address() -> None:
    answers = Answers(None, {})
    search = Search(where=conditions("ΔE>1.5 ,  delta is not significant, E<=−3"))
    query = search.to_query()
    assert query["where"] == "ΔE > 1.5, ΔE is not significant, E <= -3"
    assert Search.from_query(query, [], answers) == (search, [])
    assert search.filtered
    assert not search.unfiltered.where


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ΔE", "'ΔE' is no condition; write a column, > or <, and a number, such as ΔE > 1, or ΔE "
         "is better"),
        ("E > 1, ΔE is grand", "'ΔE is grand' is no condition; "),
        ("accuracy > 1", "unknown number of results 'accuracy'; "),
        ("ΔE is > 1", "unknown number of results 'ΔE is'; "),
        ("E > much", "'much' in 'E > much' is not a number"),
        ("E > nan", "'nan' in 'E > nan' is not a number"),
        (",".join(f"E > {n}" for n in range(11)), "11 conditions are more than 10"),
    ],
)  # fmt: skip
def test_what_is_no_condition_is_named(text: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        conditions(text)
    assert str(caught.value).startswith(said)
    _, problems = Search.from_query({"where": text}, [], Answers(None, {}))
    assert len(problems) == 1
