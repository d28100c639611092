"""A panel: the runs that a page shows together, with their rows and how they compare."""

import hashlib
import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from mtl_core import optimizers, settings
from mtl_core.config import RunConfig
from mtl_core.kept import Kept
from mtl_core.runs import Record
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.trajectory import UPDATES
from mtl_core.views.what_if import BASELINE, label

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.analysis import Comparison, FactorVerdict, LossMatchedGap, Onset, Versus

__all__ = ["Panel", "Shown", "build", "updates"]


@dataclass(frozen=True)
class Shown:
    """A run on the panel, under the name of its curve."""

    label: str
    answer: Answer
    pinned: bool

    @property
    def config(self) -> RunConfig:
        config: RunConfig = self.answer.config
        return config


@dataclass(frozen=True)
class Panel:
    """Runs on one setting and target, the single-task baseline first.

    Attributes:
        shown: the baseline, the runs that were asked for if they have auxiliaries, then the pins.
        elsewhere: pinned runs on another setting or target, which are not drawn.
        trajectories: tidy rows of all shown runs with the column ``curve``.
    """

    shown: tuple[Shown, ...]
    elsewhere: tuple[Answer, ...]
    trajectories: "pd.DataFrame"

    @cached_property
    def version(self) -> tuple[object, ...]:
        """A key for what is computed or drawn from its rows: it changes when any of them does."""
        return tuple((one.label, one.pinned, *one.answer.version) for one in self.shown)

    def measured(self, factor: str) -> bytes:
        """A key for what is drawn of a factor alone, which few checkpoints have."""
        return _measured.get((factor, self.version), lambda: _hash_of(self.settled, factor))

    @property
    def baseline(self) -> Shown:
        """Single-task learning with the current budget."""
        return self.shown[0]

    @property
    def current(self) -> Shown:
        """The run that the question asks for last; the baseline itself without auxiliaries."""
        return [one for one in self.shown if not one.pinned][-1]

    @cached_property
    def settled(self) -> "pd.DataFrame":
        """The rows that curves and numbers are made of.

        Seeds that were added to a curve later begin at the loss of an untrained network. The curve
        of the others does not wait for them: they join it once all of them have ended.
        """
        rows = self.trajectories
        keep = np.ones(len(rows), dtype=bool)
        for run in self.shown:
            if late := _late(run.answer):
                keep &= ~((rows["curve"] == run.label) & rows["seed"].isin(late)).to_numpy()
        return rows if keep.all() else rows[keep]

    def versus(self, one: Shown) -> "Versus":
        """A shown run's curve against that of the panel's baseline, on the target."""
        from mtl_core.analysis import Versus

        config = self.baseline.config
        task = settings.get(config.setting).task(config.target)
        return Versus(task.name, one.label, self.baseline.label, task.direction)

    @property
    def going(self) -> bool:
        """Whether any run that the page compares is still to be carried out, or was left undone."""
        return any(self.so_far(one) for one in self.shown)

    def so_far(self, one: Shown) -> bool:
        """Whether a shown run's numbers, or the baseline's, are not final.

        Stopped and failed runs count: whoever stops a run when a difference looks right must not
        be told that it is.
        """
        states = {
            state
            for answer in (one.answer, self.baseline.answer)
            for state in answer.states().values()
        }
        return not states <= {"done", "new"}

    @cached_property
    def _replicas(self) -> "dict[str, list[pd.DataFrame]]":
        from mtl_core.analysis.replicas import replicas

        return replicas(self.settled, self.baseline.config.target)

    def reached(self, one: Shown) -> tuple[float, ...]:
        """E of each of a shown run's seeds, so far; empty while none has finished an epoch."""
        from mtl_core.analysis.transfer import reached_each

        seeds = self._replicas.get(one.label, [])
        found = reached_each(seeds, self.versus(one).direction)
        return found if all(map(math.isfinite, found)) else ()

    @cached_property
    def latest(self) -> "pd.Series | None":
        """Means over the current run's seeds at the last step that all of them have reached.

        Returns:
            Its ``epoch``, ``train_loss`` and ``test_metric`` on the target; None while a seed has
            none.
        """
        rows, one = self.settled, self.current
        rows = rows[(rows["curve"] == one.label) & (rows["task"] == one.config.target)]
        if set(rows["seed"]) != set(one.config.seeds):
            return None
        step = rows.groupby("seed")["step"].max().min()
        means: pd.Series = rows[rows["step"] == step][["epoch", "train_loss", "test_metric"]].mean()
        return means

    @cached_property
    def transfers(self) -> "dict[str, Comparison | None]":
        """ΔE of each comparable run over the panel's baseline, so far, judged as one family."""
        from mtl_core import analysis

        others = [one for one in self.shown if self.comparable(one)]
        found = [analysis.transfer(self._replicas, self.versus(one)) for one in others]
        return dict(zip((one.label for one in others), analysis.judged(found), strict=True))

    def transfer(self, one: Shown) -> "Comparison | None":
        """ΔE of a shown run over the panel's baseline, so far."""
        from mtl_core import analysis

        if one.label in self.transfers:
            return self.transfers[one.label]
        return analysis.transfer(self._replicas, self.versus(one))

    @cached_property
    def gaps(self) -> "dict[str, LossMatchedGap | None]":
        """The gap of each comparable run at comparable training loss, judged as one family."""
        from mtl_core import analysis

        others = [one for one in self.shown if self.comparable(one)]
        found = [analysis.gap(self._replicas, self.versus(one)) for one in others]
        apart = analysis.judged([each.comparison if each else None for each in found])
        return {
            one.label: replace(each, comparison=between) if each and between else None
            for one, each, between in zip(others, found, apart, strict=True)
        }

    def gap(self, one: Shown) -> "LossMatchedGap | None":
        """The gap of a shown run over the panel's baseline at comparable training loss, so far."""
        from mtl_core import analysis

        if one.label in self.gaps:
            return self.gaps[one.label]
        return analysis.gap(self._replicas, self.versus(one))

    @cached_property
    def gap_curves(self) -> "pd.DataFrame":
        """The gap of each comparable run at each training loss, so far."""
        import pandas as pd

        from mtl_core.analysis import gap_over_loss

        others = [one for one in self.shown if self.comparable(one)]
        found = [gap_over_loss(self._replicas, self.versus(one)) for one in others]
        filled = [rows for rows in found if len(rows)] or found[:1]
        return pd.concat(filled, ignore_index=True)

    def onset(self, one: Shown) -> "Onset | None":
        """Where that gap opens for good, so far."""
        if one.label not in self._onsets:
            from mtl_core import analysis

            self._onsets[one.label] = analysis.onset(self.settled, self.versus(one))
        return self._onsets[one.label]

    @cached_property
    def _onsets(self) -> "dict[str, Onset | None]":
        return {}

    @cached_property
    def table(self) -> "pd.DataFrame":
        """How the comparable runs compare with the baseline: ``analysis.transfer_table``."""
        from mtl_core import analysis

        base = self.baseline
        kept = [base.label, *(one.label for one in self.shown if self.comparable(one))]
        rows, versus = self.settled, self.versus(base)
        return analysis.transfer_table(
            rows[rows["curve"].isin(kept)], versus.task, base.label, direction=versus.direction
        )

    def comparable(self, one: Shown) -> bool:
        """Whether the panel's baseline is this run's, so that they differ by auxiliaries alone."""
        return one is not self.baseline and one.config.baseline == self.baseline.config

    @cached_property
    def verdicts(self) -> "list[FactorVerdict]":
        """Whether each factor can explain the transfers of the comparable runs, so far."""
        from mtl_core import analysis

        pairs = [self.versus(run) for run in self.shown if self.comparable(run)]
        return analysis.panel_verdicts(self.settled, pairs)


SHARED_SECONDS = 0.5
"""How long a panel whose runs go on is shared; half of what a page waits between two looks."""


def build(asked: Sequence[RunConfig], pins: Sequence[Answer], answers: Answers) -> Panel:
    """The panel of a question and the runs pinned beside it.

    All sessions share one until anything about its runs changes. While runs go on, what they add
    may be seen up to ``SHARED_SECONDS`` late; that one begins, ends or fails is seen at once.

    Args:
        asked: runs that differ by their optimizer alone, the first of which names the others: what
            differs from it is part of their labels.
    """
    config = asked[0]
    current = list(dict.fromkeys([config.baseline, *asked]))
    shown = [Shown(label(each, config), answers.find(each), pinned=False) for each in current]
    elsewhere = []
    for pin in {pin.config: pin for pin in pins}.values():
        if (pin.config.setting, pin.config.target) != (config.setting, config.target):
            elsewhere.append(pin)
        elif pin.config not in current:
            shown.append(Shown(label(pin.config, config), pin, pinned=True))
    place = None if answers.store is None else answers.store.path
    every = [*(one.answer for one in shown), *elsewhere]
    key = (place, *((one.label, one.config, one.pinned) for one in shown), *map(_id, elsewhere))
    version: Hashable = tuple((answer.version, answer.records) for answer in every)
    if SHARED_SECONDS and any(answer.active for answer in every):
        # Else each of a class that watches the same runs finds rows that the one before had not.
        states = tuple(
            (tuple(answer.states().items()), *(artifact.stamp for artifact in answer.artifacts))
            for answer in every
        )
        version = (states, int(time.monotonic() / SHARED_SECONDS))
    return _panels.get(
        key, lambda: Panel(tuple(shown), tuple(elsewhere), _rows(shown, answers)), version
    )


def _id(answer: Answer) -> str:
    return str(answer.config.id)


def _rows(shown: Sequence[Shown], answers: Answers) -> "pd.DataFrame":
    import pandas as pd

    tables = [answers.main(one.answer).assign(curve=one.label) for one in shown]
    filled = [table for table in tables if len(table)] or tables[:1]
    return pd.concat(filled, ignore_index=True)


def _hash_of(rows: "pd.DataFrame", factor: str) -> bytes:
    """Of the rows that have a factor, and of those at the start."""
    import pandas as pd

    if rows.empty:
        return b""
    step = rows["step"]
    kept = step.isin(step[rows[factor].notna()].unique()) | (step == 0)
    columns = ["curve", "task", "seed", "step", "epoch", "train_loss", factor]
    hashes = pd.util.hash_pandas_object(rows.loc[kept, columns], index=False)
    return hashlib.sha256(hashes.to_numpy().tobytes()).digest()


_measured: Kept[bytes] = Kept(most=1_000)
_panels: Kept[Panel] = Kept(
    most=64,
    most_bytes=32 * 2**20,
    # The rows, those that are settled, and those of each run.
    size=lambda panel: 3 * 8 * panel.trajectories.size,
)


def _late(answer: Answer) -> list[int]:
    """Seeds of questions that are not answered, on a curve where others are."""
    asked: dict[str, list[int]] = {}
    for seed in answer.config.seeds:
        source = answer.source(seed)
        if source is not None:
            question = source.question if isinstance(source, Record) else "artifact"
            asked.setdefault(question, []).append(seed)
    done = set(answer.done)
    open_ones = [seeds for seeds in asked.values() if not done.issuperset(seeds)]
    return [seed for seeds in open_ones for seed in seeds] if len(open_ones) < len(asked) else []


def updates(panel: Panel, answers: Answers) -> "pd.DataFrame":
    """What the optimizers of the shown runs did so far: ``trajectory.UPDATES`` and ``curve``.

    Methods whose weights never change record nothing; theirs are filled in by definition. So are
    those of the sum and the mean in runs from before updates were recorded.
    """
    import pandas as pd

    tables = [
        _updates(panel, one, answers).assign(curve=one.label)
        for one in panel.shown
        if one.config.auxiliaries
    ]
    filled = [table for table in tables if len(table)] or tables[:1]
    if not filled:
        return pd.DataFrame(columns=[*UPDATES, "curve"])
    return pd.concat(filled, ignore_index=True)


def _updates(panel: Panel, one: Shown, answers: Answers) -> "pd.DataFrame":
    method = optimizers.create(one.config.optimizer, num_tasks=len(one.config.tasks))
    if not method.constant:
        return answers.table(one.answer, "updates")
    # A constant is the same for every task, and the update that many times the sum.
    sum_of_all = one.config.optimizer == BASELINE or dict(one.config.options).get("scale")
    weight = 1.0 if sum_of_all else 1 / len(one.config.tasks)
    rows = panel.trajectories
    rows = rows[(rows["curve"] == one.label) & (rows["step"] > 0)]
    places = rows[["seed", "step", "epoch", "task"]]
    filled = places.assign(weight=weight, cosine_to_sum=1.0, norm_ratio=weight)
    return one.answer.kind.tables["updates"].tidied(filled)
