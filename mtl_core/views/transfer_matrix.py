"""The transfer matrix: what each task gains from each other one as its auxiliary, at one budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from mtl_core import analysis, settings
from mtl_core.analysis import Comparison
from mtl_core.analysis.clusters import clustered
from mtl_core.config import RunConfig
from mtl_core.kept import Kept
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import comparisons
from mtl_core.views.comparisons import Pool
from mtl_core.views.which_auxiliary import Asked

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cell", "Matrix", "asked", "matrix"]


@dataclass(frozen=True)
class Cell:
    """What a target gains from one auxiliary.

    Attributes:
        run: of the two together, whichever of them is its target.
        comparison: ΔE over the target alone, judged with all others of the matrix (Holm).
    """

    target: str
    auxiliary: str
    run: Answer
    comparison: Comparison

    @property
    def gain(self) -> float:
        """ΔE with its sign turned where lower is better: above 0 the auxiliary helps."""
        own = self.comparison
        return own.delta if own.direction == "higher" else -own.delta


@dataclass(frozen=True)
class Matrix:
    """Tasks in the setting's order, and the cells that are known."""

    setting: str
    preset: str
    tasks: tuple[str, ...]
    cells: tuple[Cell, ...]

    def cell(self, target: str, auxiliary: str) -> Cell | None:
        """One cell, where it is known."""
        at = (target, auxiliary)
        return next((one for one in self.cells if (one.target, one.auxiliary) == at), None)

    @property
    def judged(self) -> int:
        """How many comparisons were judged together."""
        return max((one.comparison.family for one in self.cells), default=0)

    def ordered(self, *, by_likeness: bool) -> tuple[list[str], list[str]]:
        """The order of rows (targets) and of columns (auxiliaries).

        Args:
            by_likeness: whether those that are alike lie side by side; rows and columns each.
        """
        tasks = list(self.tasks)
        if not by_likeness:
            return tasks, tasks
        gains = {(one.target, one.auxiliary): one.gain for one in self.cells}
        rows = [[gains.get((row, column), math.nan) for column in tasks] for row in tasks]
        columns = [list(own) for own in zip(*rows, strict=True)]
        # What nothing is known of stays at the end.
        return _ordered(tasks, rows), _ordered(tasks, columns)

    def table(self) -> "pd.DataFrame":
        """A row for each known cell.

        Returns:
            ``target, auxiliary, gain`` (above 0 it helps), ``delta, low, high`` of E, ``verdict``,
            ``decided``, whether that is better or worse, ``seeds``, and ``cosine``, the true one of
            a setting that knows it, else NaN.
        """
        return self._table.copy()

    @cached_property
    def _table(self) -> "pd.DataFrame":
        import pandas as pd

        known = settings.get(self.setting).relatedness
        rows = []
        for one in self.cells:
            own = one.comparison
            cosine = known(one.auxiliary, one.target).cosine if known else math.nan
            rows.append(
                {
                    "target": one.target,
                    "auxiliary": one.auxiliary,
                    "gain": one.gain,
                    "delta": own.delta,
                    "low": own.low,
                    "high": own.high,
                    "verdict": own.verdict,
                    "decided": own.significant,
                    "seeds": own.pairs or min(own.seeds, own.baseline_seeds),
                    "cosine": cosine,
                }
            )
        columns = ["target", "auxiliary", "gain", "delta", "low", "high", "verdict", "decided"]
        return pd.DataFrame(rows, columns=[*columns, "seeds", "cosine"])


def matrix(setting: str, preset: str, answers: Answers) -> Matrix:
    """What finished runs of the plain sum say of all pairs of a setting's tasks."""
    return answers.derive(f"matrix {setting} {preset}", lambda: _matrix(setting, preset, answers))


def _matrix(setting: str, preset: str, answers: Answers) -> Matrix:
    tasks = tuple(task.name for task in settings.get(setting).tasks)
    pools = [
        pool
        for pool in comparisons.pools(answers)
        if (pool.setting.name, pool.name) == (setting, preset)
    ]
    found = [
        (target, auxiliary, run, _compared(pool, target, run, answers))
        for pool in pools
        for target in tasks
        if target in pool.singles
        for auxiliary in tasks
        if auxiliary != target and (run := _pair(pool, target, auxiliary))
    ]
    judged = analysis.judged([one[3] for one in found])
    return Matrix(
        setting,
        preset,
        tasks,
        tuple(
            Cell(target, auxiliary, run, comparison)
            for (target, auxiliary, run, _), comparison in zip(found, judged, strict=True)
        ),
    )


def _pair(pool: Pool, target: str, auxiliary: str) -> Answer | None:
    order = [task.name for task in pool.setting.tasks]
    return pool.run(target, tuple(sorted((target, auxiliary), key=order.index)))


def _compared(pool: Pool, target: str, run: Answer, answers: Answers) -> Comparison:
    base = pool.singles[target]
    return analysis.compare(
        _reached(run, target, answers),
        _reached(base, target, answers),
        direction=pool.setting.task(target).direction,
        seeds=sorted(run.config.seeds),
        baseline_seeds=sorted(base.config.seeds),
    )


def _reached(run: Answer, task: str, answers: Answers) -> tuple[float, ...]:
    """E of a finished run on one of its tasks, by seed."""
    place = None if answers.store is None else answers.store.path

    def read() -> tuple[float, ...]:
        rows = answers.main(run).assign(curve="")
        direction = settings.get(run.config.setting).task(task).direction
        return analysis.reached(rows, task, "", direction=direction)

    return _kept.get((place, task, run.version), read)


_kept: Kept[tuple[float, ...]] = Kept(most=8_192)
"""E by the store's path, the task and the version of what is known."""


def asked(found: Matrix, seeds: int, answers: Answers) -> list[Asked]:
    """The runs that would fill the matrix: each task alone, and each pair once where one run serves
    both tasks, as they have equally many examples.
    """
    configs = [_config(found, task, (), seeds) for task in found.tasks]
    for place, task in enumerate(found.tasks):
        for other in found.tasks[place + 1 :]:
            both = [_config(found, task, (other,), seeds), _config(found, other, (task,), seeds)]
            own, mirrored = ((one.steps, one.train_size) for one in both)
            if own != mirrored:
                configs += both
            elif answers.find(both[1]).done and not answers.find(both[0]).done:
                configs.append(both[1])  # it was trained the other way round
            else:
                configs.append(both[0])
    return [Asked(answers.find(config)) for config in configs]


def _config(found: Matrix, target: str, auxiliaries: tuple[str, ...], seeds: int) -> RunConfig:
    return RunConfig.from_preset(
        found.setting,
        found.preset,
        target=target,
        auxiliaries=auxiliaries,
        seeds=tuple(range(seeds)),
    )


def _ordered(tasks: Sequence[str], rows: Sequence[Sequence[float]]) -> list[str]:
    known = [place for place, row in enumerate(rows) if any(map(math.isfinite, row))]
    order = [known[place] for place in clustered([rows[place] for place in known])]
    rest = [place for place in range(len(tasks)) if place not in order]
    return [tasks[place] for place in (*order, *rest)]
