import math
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mtl_core.errors import InputError
from mtl_core.pareto import curves, measures, problems
from mtl_core.pareto.front import FRONT_COLUMNS
from mtl_core.pareto.problems.base import Problem

PROBLEM = problems.get("toy")  # reference (1, 1), ideal (0, 0)
START = [(1.0, 1.0), (1.0, 1.0)]
EARLY = [(0.5, 0.8), (0.8, 0.5)]  # .5 · .2 + .2 · .5 − .2 · .2
LATE = [(0.2, 0.5), (0.5, 0.2)]  # .8 · .5 + .5 · .8 − .5 · .5


def test_quality_by_hand() -> None:
    found = curves.quality(_table({0: [START, EARLY, LATE]}), _without_front())
    assert found.columns.tolist() == list(curves.QUALITY_COLUMNS)
    assert found["step"].tolist() == [0, 10, 20]
    assert found["evaluations"].tolist() == [0, 20, 40]
    assert found["seconds"].tolist() == [0, 1, 2]
    assert found["hypervolume"].tolist() == pytest.approx([0, 0.16, 0.55])
    assert found["coverage"].tolist() == pytest.approx([0, 0.3, 0.3])
    assert found["spacing"].tolist() == pytest.approx([0, 0, 0])
    assert found["distance"].isna().all()


def test_it_is_scaled_by_the_problem_and_ordered_by_seed_and_step() -> None:
    problem = replace(_without_front(), reference=(2.0, 10.0), ideal=(0.0, 0.0))
    scaled = [(2 * x, 10 * y) for x, y in LATE]
    table = _table({4: [LATE, LATE], 1: [scaled, scaled]}).sample(frac=1, random_state=0)
    found = curves.quality(table, problem)
    assert found[["seed", "step"]].to_numpy().tolist() == [[1, 0], [1, 10], [4, 0], [4, 10]]
    assert found["hypervolume"][:2].tolist() == pytest.approx([0.55, 0.55])


def test_objectives_are_taken_by_name() -> None:
    """Alphabetical order is not the problem's."""
    objectives = (PROBLEM.objectives[1], PROBLEM.objectives[0])
    problem = replace(_without_front(), objectives=objectives, reference=(1.0, 10.0))
    table = _table({0: [[(0.5, 0.5)]]})  # f1, f2; with f2 up to 1, f1 up to 10
    assert curves.quality(table, problem)["hypervolume"].tolist() == pytest.approx([0.5 * 0.95])


def test_held_out_losses_judge_where_there_are() -> None:
    table = _table({0: [LATE]})
    held_out = table.assign(test_loss=table["train_loss"].map({0.2: 0.5, 0.5: 0.8}))
    assert curves.quality(held_out, _without_front())["hypervolume"][0] == pytest.approx(0.16)


def test_distance_to_a_known_front() -> None:
    assert PROBLEM.front is not None
    front = PROBLEM.front(40)
    found = curves.quality(_table({0: [LATE, [(x, y) for x, y in front]]}, solutions=40), PROBLEM)
    expected = measures.distance(LATE, PROBLEM.front(curves.FRONT_POINTS), (1, 1))
    assert found["distance"][0] == pytest.approx(float(expected))
    assert found["distance"][1] < 0.01


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_a_solution_that_diverged_counts_as_none(lost: float) -> None:
    found = curves.quality(_table({0: [[(0.5, 0.5), (lost, 0.1)]]}), PROBLEM)
    assert found["hypervolume"].tolist() == pytest.approx([0.25])
    assert found[["coverage", "spacing", "distance"]].isna().all(axis=None)


@pytest.mark.filterwarnings("error")
def test_a_single_solution_has_no_spacing() -> None:
    found = curves.quality(_table({0: [[(0.5, 0.5)]]}), PROBLEM)
    assert found["hypervolume"].tolist() == [0.25]
    assert found["spacing"].isna().all()


def test_an_incomplete_frame_is_refused() -> None:
    table = _table({0: [START, LATE]})
    for broken in (table[1:], table[2:6], pd.concat([table, table[:1]]), table.iloc[[0, 1] * 4]):
        with pytest.raises(InputError, match="every solution and objective once"):
            curves.quality(broken, PROBLEM)
    with pytest.raises(InputError, match="objective 'f3' is none of toy: f1, f2"):
        curves.quality(table.replace({"f2": "f3"}), PROBLEM)


def test_three_seeds_of_fifty_frames_take_no_time() -> None:
    random = np.random.default_rng(0)
    frames = {seed: list(random.uniform(size=(51, 20, 2))) for seed in range(3)}
    table = _table(frames)
    began = time.perf_counter()
    curves.band(curves.quality(table, PROBLEM))
    assert time.perf_counter() - began < 0.5  # .03 on a quiet machine


def test_nothing_solved_yet_gives_no_rows() -> None:
    empty = curves.quality(pd.DataFrame(columns=list(FRONT_COLUMNS)), PROBLEM)
    assert empty.columns.tolist() == list(curves.QUALITY_COLUMNS)
    assert curves.band(empty).columns.tolist() == list(curves.BAND_COLUMNS)
    assert len(empty) == len(curves.band(empty)) == 0
    (row,) = curves.convergence({"a": empty}).to_dict("records")
    assert (row["name"], row["seeds"], row["reached"]) == ("a", 0, 0)
    assert math.isnan(row["evaluations"])
    assert curves.convergence({}).columns.tolist() == list(curves.CONVERGENCE_COLUMNS)


def test_the_band_is_two_sample_deviations() -> None:
    found = curves.band(_quality({0: [0.1, 0.2], 1: [0.3, 0.6], 2: [0.5, 0.4]}))
    assert found.columns.tolist() == list(curves.BAND_COLUMNS)
    assert found["mean"].tolist() == pytest.approx([0.3, 0.4])
    assert found["low"].tolist() == pytest.approx([0.3 - 2 * 0.2, 0.4 - 2 * 0.2])
    assert found["high"].tolist() == pytest.approx([0.3 + 2 * 0.2, 0.4 + 2 * 0.2])
    assert found["seeds"].tolist() == [3, 3]
    assert found["evaluations"].tolist() == [0, 100]
    # Seconds of a seed are 1 + seed a frame.
    assert found["seconds"].tolist() == [0, 2]


def test_the_band_waits_for_the_last_seed() -> None:
    found = curves.band(_quality({0: [0.1, 0.2, 0.3], 1: [0.3, 0.4]}))
    assert found["step"].tolist() == [0, 10]


def test_one_seed_has_no_band() -> None:
    found = curves.band(_quality({0: [0.1, 0.2]}).assign(coverage=[0.5, 0.25]), "coverage")
    assert found["mean"].tolist() == [0.5, 0.25]
    assert found[["low", "high"]].isna().all(axis=None)


def test_the_ratio_counts_evaluations_to_nine_tenths_of_the_best() -> None:
    """Targets .9 · .6 = .54 on seed 0 and .9 · .4 = .36 on seed 1."""
    fast = _quality({0: [0, 0.545, 0.55], 1: [0, 0.1, 0.4]})  # 100 and 200
    slow = _quality({0: [0, 0.2, 0.3, 0.5, 0.6], 1: [0, 0.1, 0.37, 0.2, 0.38]})  # 400 and 200
    found = curves.convergence({"slow": slow, "fast": fast}, reference="slow").set_index("name")
    assert found["seeds"].tolist() == found["reached"].tolist() == [2, 2]
    assert found["evaluations"].tolist() == [300, 150]
    assert found["ratio"].tolist() == [1, 0.5]
    assert found["final"].tolist() == pytest.approx([0.49, 0.475])
    assert found["target"].tolist() == pytest.approx([0.45, 0.45])
    counts = curves.converged({"slow": slow, "fast": fast})
    assert counts.to_dict("list") == {"slow": [400, 200], "fast": [100, 200]}
    assert counts.index.tolist() == [0, 1]


def test_what_one_seed_never_reaches_has_no_mean() -> None:
    good = _quality({0: [0, 0.5], 1: [0, 0.5]})
    bad = _quality({0: [0, 0.5], 1: [0, 0.4]})
    found = curves.convergence({"good": good, "bad": bad}, reference="good").set_index("name")
    assert found["reached"].tolist() == [2, 1]
    assert found.loc["good", ["evaluations", "ratio"]].tolist() == [100, 1]
    assert found.loc["bad", ["evaluations", "ratio"]].isna().all()
    easier = curves.convergence({"good": good, "bad": bad}, share=0.8, reference="bad")
    assert easier["ratio"].tolist() == [1, 1]


def test_only_seeds_of_all_runs_count() -> None:
    one = _quality({0: [0, 0.5], 1: [0, 0.9]})
    other = _quality({0: [0.1, 0.2, 0.4], 2: [0, 0.9]})
    found = curves.convergence({"one": one, "other": other}).set_index("name")
    assert found["seeds"].tolist() == [1, 1]
    assert found["reached"].tolist() == [1, 0]
    assert found["final"].tolist() == [0.5, 0.4]
    assert found["ratio"].isna().all()


def test_evaluations_to_a_level_fixed_beforehand() -> None:
    one = _quality({0: [0, 0.3, 0.5], 1: [0.4, 0.9], 7: [1.0]})
    other = _quality({1: [0, 0.1, 0.39], 0: [0, 0.41, 0.2]})
    found = curves.evaluations({"one": one, "other": other}, 0.4)
    assert found.index.tolist() == [0, 1]
    assert found["one"].tolist() == [200, 0]
    assert found["other"].tolist()[0] == 100
    assert math.isnan(found["other"].tolist()[1])
    assert curves.evaluations({}, 0.4).empty


def test_no_hypervolume_at_all_is_nothing_to_reach() -> None:
    found = curves.convergence({"a": _quality({0: [0, 0]})}, reference="a")
    assert found["reached"].tolist() == [0]
    assert found[["evaluations", "ratio"]].isna().all(axis=None)


@pytest.mark.parametrize("share", [0, 1.1, math.nan])
def test_the_share_is_one(share: float) -> None:
    with pytest.raises(InputError, match="must be above 0 and at most 1"):
        curves.convergence({}, share)


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, mtl_core.pareto.curves; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _without_front() -> Problem:
    return replace(PROBLEM, front=None)


def _table(frames: dict[int, list], solutions: int | None = None) -> pd.DataFrame:
    """A seed's fronts at steps 0, 10, …; the last solution repeats up to ``solutions``."""
    rows = []
    for seed, fronts in frames.items():
        for place, front in enumerate(fronts):
            points = [*front, *[front[-1]] * ((solutions or len(front)) - len(front))]
            rows += [
                {
                    "seed": seed,
                    "step": 10 * place,
                    "evaluations": 20 * place,
                    "seconds": float(place),
                    "solution": solution,
                    "objective": f"f{objective + 1}",
                    "train_loss": loss,
                    "test_loss": math.nan,
                    "metric": math.nan,
                }
                for solution, losses in enumerate(points)
                for objective, loss in enumerate(losses)
            ]
    return pd.DataFrame(rows, columns=list(FRONT_COLUMNS))


def _quality(hypervolumes: dict[int, list[float]]) -> pd.DataFrame:
    """Frames of 10 steps and 100 evaluations, of 1 + seed seconds."""
    return pd.DataFrame(
        [
            {
                "seed": seed,
                "step": 10 * place,
                "evaluations": 100 * place,
                "seconds": float(place * (1 + seed)),
                "hypervolume": value,
            }
            for seed, values in hypervolumes.items()
            for place, value in enumerate(values)
        ]
    )
