"""A front panel: the fronts that a question compares, and where they stand at a step."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from mtl_core.pareto import curves
from mtl_core.pareto.config import ParetoConfig
from mtl_core.pareto.problems.base import Problem
from mtl_core.runs.front_answers import FrontAnswer, FrontAnswers, Tables
from mtl_core.runs.front_question import FrontQuestion, label, preference_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FrontPanel", "ShownFront", "build"]

Space = Literal["loss", "metric"]
MARGIN = 0.05
"""Of an axis beyond what it must show."""
_KEPT = 64
_done: "OrderedDict[tuple[str, object], tuple[Tables, pd.DataFrame]]" = OrderedDict()


@dataclass(frozen=True)
class ShownFront:
    """A front with what it has measured.

    Args:
        label: unique in its panel.
        quality: of ``curves.quality``.
        pinned: whether it is there for comparison, not because of its method.
    """

    label: str
    answer: FrontAnswer
    tables: Tables
    quality: "pd.DataFrame"
    pinned: bool = False

    @property
    def config(self) -> ParetoConfig:
        return self.answer.config

    def step_at(self, step: int, seed: int) -> int | None:
        """The last measured step of a seed up to ``step``; None before the first."""
        there = self.quality.loc[self.quality["seed"] == seed, "step"]
        there = there[there <= step]
        return None if there.empty else int(there.max())


@dataclass(frozen=True)
class FrontPanel:
    """The fronts of a page; ``focus`` is the one whose solutions are looked at."""

    question: FrontQuestion
    shown: tuple[ShownFront, ...]
    elsewhere: tuple[FrontAnswer, ...]

    @property
    def asked(self) -> tuple[ShownFront, ...]:
        """Those that the question asks for, without pins."""
        return tuple(one for one in self.shown if not one.pinned)

    @cached_property
    def focus(self) -> ShownFront:
        return next(one for one in self.asked if one.config.method == self.question.focus)

    @cached_property
    def problem(self) -> Problem:
        return self.focus.config.definition

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """All steps at which any of them has measured the shown seed, ascending."""
        found: set[int] = set()
        for one in self.shown:
            rows = one.quality[one.quality["seed"] == self.question.seed]
            found |= set(rows["step"].tolist())
        return tuple(sorted(found))

    @property
    def pick(self) -> int:
        """The picked solution's place."""
        last = len(self.focus.config.weights) - 1
        return last // 2 if self.question.pick is None else min(self.question.pick, last)

    @property
    def axes(self) -> tuple[int, int]:
        """The objectives that are drawn; the first two where the question's are not there."""
        count = len(self.problem.objectives)
        x, y = self.question.axes
        return (x, y) if x < count and y < count else (0, 1)

    def column(self, space: Space) -> str:
        """Where a table has what a space shows."""
        if space == "metric":
            return "metric"
        return "train_loss" if self.problem.fingerprint is None else "test_loss"

    def values(self, one: ShownFront, step: int, space: Space) -> "pd.DataFrame":
        """``solution`` and a column per objective: the shown seed's last front up to ``step``."""
        import pandas as pd

        names = [objective.name for objective in self.problem.objectives]
        at = one.step_at(step, self.question.seed)
        if at is None:
            return pd.DataFrame(columns=["solution", *names])
        table = one.tables.front
        rows = table[(table["seed"] == self.question.seed) & (table["step"] == at)]
        found = rows[self.column(space)].to_numpy(dtype=float).reshape(-1, len(names))
        values = pd.DataFrame(found, columns=names)
        values.insert(0, "solution", range(len(values)))
        return values

    def points(self, step: int, space: Space) -> "pd.DataFrame":
        """What ``charts.front_chart`` draws of all fronts; solutions count from 1."""
        import pandas as pd

        parts = []
        for one in self.shown:
            values = self.values(one, step, space)
            x, y = (self.problem.objectives[axis].name for axis in self.axes)
            words = [preference_words(row) for row in one.config.weights]
            parts.append(
                pd.DataFrame(
                    {
                        "curve": one.label,
                        "solution": values["solution"] + 1,
                        "x": values[x],
                        "y": values[y],
                        "preference": words[: len(values)],
                        "chosen": (values["solution"] == self.pick) & (one is self.focus),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)

    def trails(self, step: int, space: Space) -> "pd.DataFrame":
        """Where the focus's solutions came along, up to ``step``."""
        import pandas as pd

        one, names = self.focus, [objective.name for objective in self.problem.objectives]
        table = one.tables.front
        rows = table[(table["seed"] == self.question.seed) & (table["step"] <= step)]
        found = rows[self.column(space)].to_numpy(dtype=float).reshape(-1, len(names))
        x, y = self.axes
        return pd.DataFrame(
            {
                "curve": one.label,
                "solution": rows["solution"].to_numpy()[:: len(names)] + 1,
                "step": rows["step"].to_numpy()[:: len(names)],
                "x": found[:, x],
                "y": found[:, y],
            }
        )

    def domain(self, axis: int, space: Space, *, zoom: bool) -> tuple[float, float]:
        """Both ends of an objective's axis, which stay while steps are played.

        Args:
            zoom: to what the last fronts reach, of solutions better than the reference point.
        """
        low, high = self._whole(axis, space)
        if not zoom or not self.steps:
            return low, high
        ends: list[float] = []
        for one in self.shown:
            losses = self.values(one, self.steps[-1], "loss").iloc[:, 1:].to_numpy(dtype=float)
            inside = (losses < np.array(self.problem.reference)).all(axis=1)
            found = self.values(one, self.steps[-1], space).iloc[:, 1 + axis].to_numpy(dtype=float)
            ends += found[inside & np.isfinite(found)].tolist() if len(found) else []
        if len(set(ends)) < 2:
            return low, high
        room = 2 * MARGIN * (max(ends) - min(ends))
        return max(low, min(ends) - room), min(high, max(ends) + room)

    def _whole(self, axis: int, space: Space) -> tuple[float, float]:
        if space == "loss":
            ideal = self.problem.ideal[axis] if self.problem.ideal else 0.0
            room = MARGIN * (self.problem.reference[axis] - ideal)
            return ideal - room / 2, self.problem.reference[axis] + room
        if self.problem.objectives[axis].metric in ("accuracy", "mean_iou"):
            return 0.0, 1.0
        name = self.problem.objectives[axis].name
        most = [
            one.tables.front.loc[one.tables.front["objective"] == name, "metric"].max()
            for one in self.shown
        ]
        known = [float(value) for value in most if np.isfinite(value)]
        return 0.0, (1 + MARGIN) * max(known, default=1.0)

    def convergence(self) -> "pd.DataFrame":
        """``curves.convergence`` of those that have begun, against the one without transfer."""
        begun = {one.label: one.quality for one in self.shown if len(one.quality)}
        alone = [one.label for one in self.asked if one.config.method == "independent"]
        reference = alone[0] if alone and alone[0] in begun else None
        return curves.convergence(begun, reference=reference)


def build(question: FrontQuestion, answers: FrontAnswers) -> FrontPanel:
    """Look up what a question compares, pins of the same problem included. Raises InputError."""
    configs = question.configs
    asked = [answers.find(config) for config in configs]
    pins = [answer for run in question.pins if (answer := answers.find_id(run)) is not None]
    ids = {config.id for config in configs}
    first = configs[0]
    same = [
        pin
        for pin in pins
        if (pin.config.problem, pin.config.problem_options)
        == (first.problem, first.problem_options)
    ]
    shown: list[ShownFront] = [
        ShownFront(label(one.config), one, *_measured(one, answers)) for one in asked
    ]
    for pin in same:
        if pin.config.id not in ids:
            beside = next((c for c in configs if c.method == pin.config.method), first)
            name = f"{label(pin.config, beside)} (pinned)"
            shown.append(ShownFront(name, pin, *_measured(pin, answers), pinned=True))
    return FrontPanel(question, _unique(shown), tuple(pin for pin in pins if pin not in same))


def _measured(answer: FrontAnswer, answers: FrontAnswers) -> "tuple[Tables, pd.DataFrame]":
    """Its tables and their quality; what is done is worked out once."""
    done = answer.record.finished_at if answer.record else answer.manifest.get("table_blake2b")
    key = (answer.config.id, done)
    if answer.state == "done" and key in _done:
        return _done[key]
    tables = answers.tables(answer)
    found = tables, curves.quality(tables.front, answer.config.definition)
    if answer.state == "done":
        _done[key] = found
        while len(_done) > _KEPT:
            _done.popitem(last=False)
    return found


def _unique(shown: Sequence[ShownFront]) -> tuple[ShownFront, ...]:
    """Pins that differ in nothing that is said get their ids."""
    labels = [one.label for one in shown]
    return tuple(
        replace(one, label=f"{one.label} {one.config.id[:4]}")
        if one.pinned and labels.count(one.label) > 1
        else one
        for one in shown
    )
