"""Which frames a panel offers, and where its fronts were at them."""

from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from mtl_core.views.pareto_front import FrontQuestion
from mtl_core.views.pareto_panel import MOST_FRAMES, FrontPanel, ShownFront

QUESTION = replace(
    FrontQuestion.default("toy"), methods=("independent", "decay"), focus="decay", seeds=(0,)
).with_override("solutions", 3)


class _Answer:
    """As much of one as a panel needs for its frames."""

    def __init__(self, config: Any) -> None:
        self.config = config


def panel(*measured: list[int], question: FrontQuestion = QUESTION) -> FrontPanel:
    """Fronts of three solutions with frames at these steps, as losses step + solution + objective,
    whose rows are in no order."""
    shown = []
    for config, steps in zip(question.configs, measured, strict=True):
        rows = [
            {
                "seed": 0,
                "step": step,
                "solution": solution,
                "objective": f"f{objective + 1}",
                "train_loss": step + solution / 10 + objective / 100,
            }
            for step in reversed(steps)
            for solution in range(3)
            for objective in range(2)
        ]
        table = pd.DataFrame(rows, columns=list(rows[0]) if rows else ["seed", "step"])
        quality = pd.DataFrame({"seed": 0, "step": steps})
        front = ShownFront(config.method, cast(Any, _Answer(config)), table, quality)
        shown.append(front)
    return FrontPanel(question, tuple(shown), ())


@pytest.mark.parametrize("count", [1, MOST_FRAMES, MOST_FRAMES + 1, 10 * MOST_FRAMES])
def test_no_more_frames_are_played_than_a_browser_holds(count: int) -> None:
    steps = panel(list(range(count)), [0]).steps
    assert len(steps) <= MOST_FRAMES + 1
    assert steps[-1] == count - 1
    gaps = set(np.diff(steps[:-1]).tolist())
    assert len(gaps) <= 1
    if count <= MOST_FRAMES:
        assert steps == tuple(range(count))


def test_a_front_stays_where_its_last_frame_was() -> None:
    found = panel([0, 10, 20], [5, 20])
    assert found.steps == (0, 5, 10, 20)
    points = found.points(found.steps, "loss").set_index(["curve", "solution"])
    assert points.loc[("independent", 2), ["x0", "x5", "x10", "x20", "x"]].tolist() == (
        pytest.approx([0.1, 0.1, 10.1, 20.1, 20.1])
    )
    later = points.loc[("decay", 3), ["y0", "y5", "y10", "y20", "y"]].tolist()
    assert np.isnan(later[0]), "before its first frame it is nowhere"
    assert later[1:] == pytest.approx([5.21, 5.21, 20.21, 20.21])
    assert points.index[points["chosen"]].tolist() == [("decay", 2)]
    assert points.loc[("decay", 2), "ring"] == "0.50 · 0.50", "two objectives, the middle of three"


def test_the_ring_names_no_preference_where_none_led() -> None:
    asked = replace(QUESTION, methods=("mgda", "decay"), focus="mgda")
    points = panel([0, 10], [0, 10], question=asked).points((0, 10), "loss")
    assert points.loc[points["chosen"], "curve"].tolist() == ["mgda"]
    assert points.loc[points["chosen"], "ring"].tolist() == [""]


def test_trails_are_the_focus_alone_in_order() -> None:
    found = panel([0, 10], [0, 10])
    trails = found.trails(found.steps, "loss")
    assert set(trails["curve"]) == {"decay"}
    assert trails["step"].tolist() == [0] * 3 + [10] * 3
    assert trails["solution"].tolist() == [1, 2, 3] * 2
    assert trails["x"].tolist() == pytest.approx([0, 0.1, 0.2, 10, 10.1, 10.2])
