"""A Pareto panel: the fronts that a question compares, and where they stand at a step."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mtl_core.pareto import curves
from mtl_core.pareto.config import BASELINES, ParetoConfig
from mtl_core.pareto.problems.base import Problem
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views.pareto_front import FrontQuestion, label, preference_words

if TYPE_CHECKING:
    import pandas as pd

    _Measured = tuple[pd.DataFrame, pd.DataFrame]

__all__ = ["FrontPanel", "ShownFront", "build"]

Space = Literal["loss", "metric"]
MOST_FRAMES = 250
"""A browser holds so many of each front."""
MARGIN = 0.05
"""Of an axis beyond what it must show."""
_KEPT = 64
_measured_before: "OrderedDict[tuple[object, ...], _Measured]" = OrderedDict()


@dataclass(frozen=True)
class ShownFront:
    """A front with what it has measured.

    Args:
        label: unique in its panel.
        rows: losses and metrics of its solutions so far.
        quality: of ``curves.quality``.
        pinned: whether it is there for comparison, not because of its method.
    """

    label: str
    answer: Answer
    rows: "pd.DataFrame"
    quality: "pd.DataFrame"
    pinned: bool = False

    @property
    def config(self) -> ParetoConfig:
        config: ParetoConfig = self.answer.config
        return config

    def step_at(self, step: int, seed: int) -> int | None:
        """The last measured step of a seed up to ``step``; None before the first."""
        there = self.quality.loc[self.quality["seed"] == seed, "step"]
        there = there[there <= step]
        return None if there.empty else int(there.max())


@dataclass(frozen=True)
class FrontPanel:
    """The fronts of a page; ``focus`` is the one whose solutions are looked at.

    Args:
        elsewhere: pins of other problems.
        shared: finished fronts of what is asked for from random starts, but from one start for all
            solutions of a seed.
    """

    question: FrontQuestion
    shown: tuple[ShownFront, ...]
    elsewhere: tuple[Answer, ...]
    shared: tuple[ShownFront, ...] = ()

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
        """Steps at which any of them has measured the shown seed, ascending.

        All of them, or every second, fourth, … and the last, so that they are no more than
        ``MOST_FRAMES`` and a browser can hold and play them.
        """
        found: set[int] = set()
        for one in self.shown:
            rows = one.quality[one.quality["seed"] == self.question.seed]
            found |= set(rows["step"].tolist())
        every = sorted(found)
        # By powers of two, so that steps stay while more are added.
        apart = 2 ** max(0, math.ceil(math.log2(max(len(every), 1) / MOST_FRAMES)))
        return tuple(dict.fromkeys([*every[::apart], *every[-1:]]))

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

    @property
    def held_out(self) -> bool:
        """Whether losses are of examples that were not trained on."""
        return self.problem.fingerprint is not None and self.problem.held_out

    @property
    def front_known(self) -> bool:
        """Whether the true front is that of what was solved for: of all examples."""
        config = self.focus.config
        return self.problem.front is not None and config.samples is config.held_out is None

    def lagging(self, step: int) -> dict[str, int]:
        """Fronts of which less than ``step`` is known, though they go on beyond it: their steps."""
        at = {one.label: (one.config, one.step_at(step, self.question.seed)) for one in self.shown}
        return {
            label: found
            for label, (config, found) in at.items()
            if found is not None and found < max(due for due in config.steps if due <= step)
        }

    def values(self, one: ShownFront, step: int, space: Space) -> NDArray[np.float64]:
        """(N, K): the shown seed's last front up to ``step``; (0, K) before the first."""
        count = len(self.problem.objectives)
        at = one.step_at(step, self.question.seed)
        if at is None:
            return np.empty((0, count))
        table = one.rows
        rows = table[(table["seed"] == self.question.seed) & (table["step"] == at)]
        return rows[self.column(space)].to_numpy(dtype=float).reshape(-1, count)

    def points(self, steps: Sequence[int], space: Space) -> "pd.DataFrame":
        """What ``charts.front_chart`` plays of all fronts at these steps; solutions count from 1.

        A front that has no frame of its own at a step is where its last one was; one that has none
        yet is nowhere (NaN).
        """
        import pandas as pd

        x, y = self.axes
        parts = []
        for one in self.shown:
            found = self._frames(one, steps, space)
            places = np.arange(found.shape[1])
            words = [preference_words(row) for row in one.config.weights]
            known = {
                "curve": [one.label] * len(places),
                "solution": places + 1,
                "preference": words,
                # MGDA's solutions are where their starts led them, whatever was preferred.
                "ring": "" if one.config.method == "mgda" else words,
                "chosen": (places == self.pick) & (one is self.focus),
                "x": found[-1, :, x],
                "y": found[-1, :, y],
            }
            for step, values in zip(steps, found, strict=True):
                known |= {f"x{step}": values[:, x], f"y{step}": values[:, y]}
            parts.append(pd.DataFrame(known))
        return pd.concat(parts, ignore_index=True)

    def trails(self, steps: Sequence[int], space: Space) -> "pd.DataFrame":
        """Where the focus's solutions were at these steps."""
        import pandas as pd

        found, (x, y) = self._frames(self.focus, steps, space), self.axes
        solutions = found.shape[1]
        return pd.DataFrame(
            {
                "curve": self.focus.label,
                "solution": np.tile(np.arange(solutions) + 1, len(steps)),
                "step": np.repeat(np.array(steps), solutions),
                "x": found[:, :, x].ravel(),
                "y": found[:, :, y].ravel(),
            }
        )

    def _frames(self, one: ShownFront, steps: Sequence[int], space: Space) -> NDArray[np.float64]:
        """(steps, N, K): the shown seed's last front up to each step; NaN before the first."""
        shape = (len(one.config.weights), len(self.problem.objectives))
        table = one.rows
        rows = table[table["seed"] == self.question.seed]
        rows = rows.sort_values(["step", "solution"], kind="stable")  # objectives stay in order
        values = rows[self.column(space)].to_numpy(dtype=float).reshape(-1, *shape)
        nowhere = np.full((1, *shape), np.nan)
        own = rows["step"].to_numpy()[:: shape[0] * shape[1]]
        places = np.searchsorted(own, steps, side="right")
        return np.concatenate([nowhere, values])[places]

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
            losses = self.values(one, self.steps[-1], "loss")
            inside = (losses < np.array(self.problem.reference)).all(axis=1)
            found = self.values(one, self.steps[-1], space)[:, axis]
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
        most = [one.rows.loc[one.rows["objective"] == name, "metric"].max() for one in self.shown]
        known = [float(value) for value in most if np.isfinite(value)]
        return 0.0, (1 + MARGIN) * max(known, default=1.0)

    def convergence(self) -> "pd.DataFrame":
        """``curves.convergence`` of those that are done, against the one without transfer.

        The end of one that goes on is not known. All have the same seeds; a pin of others is not
        among them.
        """
        ended = [
            one
            for one in self.shown
            if one.answer.state == "done" and one.config.seeds == self.question.seeds
        ]
        alone = [one.label for one in ended if one.config.method == "independent"]
        return curves.convergence(
            {one.label: one.quality for one in ended}, reference=alone[0] if alone else None
        )


def build(question: FrontQuestion, answers: Answers) -> FrontPanel:
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
    elsewhere = tuple(pin for pin in pins if pin not in same)
    return FrontPanel(question, _unique(shown), elsewhere, _shared(configs, answers))


def _shared(configs: Sequence[ParetoConfig], answers: Answers) -> tuple[ShownFront, ...]:
    """The same experiments from a shared start, as far as they are done; of those whose numbers
    that changes, without the control, which then is Independent."""
    found = [
        answers.find(replace(config, start="shared"))
        for config in configs
        if config.start == "own" and config.definition.own_starts
        if config.method not in ("averaged", *BASELINES)
    ]
    return tuple(
        ShownFront(label(answer.config), answer, *_measured(answer, answers))
        for answer in found
        if answer.state == "done"
    )


def _measured(answer: Answer, answers: Answers) -> "_Measured":
    """Its rows and their quality; worked out once for each state it is in."""
    key = answer.version
    if (known := _measured_before.get(key)) is not None:
        return known
    rows = answers.main(answer)
    quality = curves.quality(rows, answer.config.definition)
    if answer.config.samples is not None or answer.config.held_out is not None:
        quality["distance"] = np.nan  # the true front is that of all examples
    _measured_before[key] = rows, quality
    with suppress(KeyError):  # another session was quicker
        while len(_measured_before) > _KEPT:
            _measured_before.popitem(last=False)
    return rows, quality


def _unique(shown: Sequence[ShownFront]) -> tuple[ShownFront, ...]:
    """Pins that differ in nothing that is said get their ids."""
    labels = [one.label for one in shown]
    return tuple(
        replace(one, label=f"{one.label} {one.config.id[:4]}")
        if one.pinned and labels.count(one.label) > 1
        else one
        for one in shown
    )
