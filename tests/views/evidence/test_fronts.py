"""What fronts say of MT2O: on the fronts that ship, and on hypervolumes written by hand."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mtl_core.runs import Answers
from mtl_core.views import pareto_speedup
from mtl_core.views.evidence.fronts import Solved, nearly_twice, solved, spread, volume

SEEDS = range(4)


def test_leads_to_the_best_are_those_of_the_convergence_ratio(shipped_answers: Answers) -> None:
    """Of images, whose solutions share a start: the page's ratio, to the last bit."""
    one = solved("multifashion", shipped_answers)
    assert one is not None
    ratios = one.panel.convergence().set_index("name")
    leads = pareto_speedup.leads_to_best(one.panel)
    assert {lead.pace.method for lead in leads} == {"decay", "adaptive"}
    for lead in leads:
        row = ratios.loc[lead.pace.title]
        assert lead.control.method == "independent"
        assert (lead.pace.mean, lead.ratio) == (row["evaluations"], row["ratio"])
        assert lead.comparisons == 2
        apart = lead.pace.counts - lead.control.counts
        assert lead.error == pytest.approx(np.std(apart, ddof=1) / 3**0.5)


def test_random_starts_are_held_against_their_average(shipped_answers: Answers) -> None:
    one = solved("three", shipped_answers)
    assert one is not None
    leads = pareto_speedup.leads_to_best(one.panel)
    assert {lead.control.method for lead in leads} == {"averaged"}


def test_a_problem_without_fronts_is_none(shipped_answers: Answers) -> None:
    assert solved("nyuv2", shipped_answers) is None
    assert solved("toy", Answers(None, {})) is None


# By hand.


def front(method: str, measures: Mapping[int, Sequence[tuple[float, float]]]) -> Any:
    """Seed to (hypervolume, coverage) of frames a hundred evaluations apart."""
    rows = [
        {
            "seed": seed,
            "step": place,
            "evaluations": 100.0 * (place + 1),
            "hypervolume": volume,
            "coverage": covered,
        }
        for seed, frames in measures.items()
        for place, (volume, covered) in enumerate(frames)
    ]
    config = SimpleNamespace(method=method, seeds=tuple(measures))
    answer = SimpleNamespace(state="done")
    return SimpleNamespace(config=config, answer=answer, quality=pd.DataFrame(rows))


def fronts(**methods: Mapping[int, Sequence[tuple[float, float]]]) -> Solved:
    asked = tuple(front(name, measures) for name, measures in methods.items())
    panel = SimpleNamespace(asked=asked)
    return Solved(SimpleNamespace(), panel)  # type: ignore[arg-type]


def ends(volume: float, covered: float = 1.0, wobble: float = 0.001) -> dict[int, list]:
    """One frame a seed, which lie ``wobble`` apart."""
    return {s: [(volume + wobble * (s % 3 - 1), covered + wobble * (s % 3 - 1))] for s in SEEDS}


def reached(*frames: int) -> dict[int, list]:
    """A hypervolume of 1 from so many frames on, seed by seed."""
    return {s: [(float(place >= at), 1.0) for place in range(40)] for s, at in enumerate(frames)}


@pytest.mark.parametrize(
    ("covered", "expected"), [(0.95, "agree"), (0.85, "disagree"), (0.9, "cannot tell")]
)
def test_spread_beside_that_of_subproblems_alone(covered: float, expected: str) -> None:
    found = spread(
        fronts(
            independent=ends(0.5),
            adaptive={s: [(0.5, covered + 0.003 * (s - 1.5))] for s in SEEDS},
            mgda=ends(0.5, 0.25),
        )
    )
    assert found.outcome == expected
    assert found.number.startswith(f"{100 * covered:.1f} % of Independent's [")
    assert "MGDA 25 %" in found.why


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [((0.4, 0.3, 0.2), "agree"), ((0.4, 0.6, 0.2), "disagree"), ((0.4, 0.5, 0.2), "cannot tell")],
)
def test_hypervolume_beside_every_method_without_transfers(
    volumes: tuple[float, ...], expected: str
) -> None:
    names = ("independent", "mgda", "pareto_mtl")
    others = {name: ends(value) for name, value in zip(names, volumes, strict=True)}
    own = {s: [(0.5 + 0.002 * (s - 1.5), 1.0)] for s in SEEDS}
    found = volume(fronts(adaptive=own, decay=ends(0.9), **others))
    assert found.outcome == expected
    assert found.number.startswith(f"over Independent {0.5 - volumes[0]:+.4f}"[:20])
    assert "(Holm's correction for 3)" in found.why


def test_nearly_twice_as_fast_as_the_next_best() -> None:
    """Evaluations 100 (at + 1): ratios of 2, 2.2, 1.8 and 2; the slow one does not matter."""
    best = reached(19, 21, 17, 19)
    found = nearly_twice(
        fronts(adaptive=reached(9, 9, 9, 9), independent=best, mgda=reached(39, 39, 39, 39))
    )
    assert found.outcome == "agree"
    mean = np.exp(np.mean(np.log([2, 2.2, 1.8, 2])))
    assert found.number.startswith(f"{mean:.2f} times as fast as Independent [1.75, 2.27]")
    same = nearly_twice(fronts(adaptive=reached(19, 20, 18, 19), independent=best))
    assert same.outcome == "disagree"
    unsure = nearly_twice(fronts(adaptive=reached(4, 30, 9, 15), independent=best))
    assert unsure.outcome == "cannot tell"
    assert unsure.power.startswith("80 % power for ")


def test_what_never_gets_there_is_no_next_best() -> None:
    never = {s: [(0.1, 1.0)] * 40 for s in SEEDS}
    found = nearly_twice(
        fronts(adaptive=reached(9, 8, 9, 9), independent=never, mgda=reached(29, 28, 30, 29))
    )
    assert "MGDA" in found.number
    assert found.outcome == "agree"
