"""Results in the library's table: what an experiment reached, beside what it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mtl_core import settings
from mtl_core.checks import with_seeds
from mtl_core.kept import Kept
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import measures
from mtl_core.views.library import Entry

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.analysis import Comparison

__all__ = ["RESULTS", "Result", "result", "with_results"]

RESULTS: Mapping[str, str] = {
    "E": "E: the test metric at the best validation epoch, mean over seeds",
    "ΔE": "ΔE: the difference to the single task of the same budget",
    "ΔE from": "lower end of ΔE's 95 % interval",
    "ΔE to": "upper end of ΔE's 95 % interval",
    "ΔE is": "better, worse or not significant, by that interval alone",
    "final L": "training loss at the last checkpoint, mean over seeds",
    "sharpness": "sharpness where it was measured last, mean over seeds",
}
"""Columns that are computed from an experiment's rows, with what they are."""


@dataclass(frozen=True)
class Result:
    """What an experiment's finished runs reached, in the metric's unit; NaN where not known.

    Attributes:
        reached: E, as everywhere (``analysis.reached``).
        transfer: over the single task of the same budget, by itself; None without one.
        loss: the target's training loss at the end.
        sharpness: of its last measurement.
    """

    reached: float = math.nan
    transfer: "Comparison | None" = None
    loss: float = math.nan
    sharpness: float = math.nan


def result(entry: Entry, answers: Answers) -> Result:
    """What a training reached, from its finished runs; all NaN for fronts and before the first.

    The single task that it is compared with is whatever is known of it, here, imported or shipped,
    on the same seeds where it has them.
    """
    answer = entry.answer
    if answer.kind.name != "training" or not answer.done:
        return Result()
    config = answer.config
    done = Answer(with_seeds(config, answer.done), answer.shipped, answer.imported, answer.own)
    base = None
    if config.auxiliaries:
        known = answers.find(config.baseline)
        if known.done:
            seeds = [seed for seed in known.done if seed in answer.done] or known.done
            base = answers.find(with_seeds(config.baseline, seeds))
    place = None if answers.store is None else answers.store.path
    key = (place, entry.key, done.version, base.version if base else None)
    return _kept.get(key, lambda: _result(done, base, answers))


def with_results(
    table: "pd.DataFrame", entries: Sequence[Entry], answers: Answers, columns: Sequence[str]
) -> "pd.DataFrame":
    """The library's table with these of ``RESULTS`` behind its first columns.

    Shares are in percent and their differences in points, so that a column can be sorted.

    Args:
        table: a row for each of ``entries``.
    """
    if not columns:
        return table
    lines = [_line(one, result(one, answers)) for one in entries]
    found: pd.DataFrame = table.copy()
    for place, name in enumerate(columns):
        found.insert(_AFTER + place, name, [line[name] for line in lines])
    return found


_AFTER = 6
"""The first columns, which say what an experiment is."""


def _line(entry: Entry, found: Result) -> dict[str, Any]:
    config = entry.config
    share = config.kind == "training" and measures.measure(config.setting, config.target).share
    unit = 100 if share else 1
    moved = found.transfer
    numbers = {
        "E": unit * found.reached,
        "ΔE": unit * moved.delta if moved else math.nan,
        "ΔE from": unit * moved.low if moved else math.nan,
        "ΔE to": unit * moved.high if moved else math.nan,
        "final L": found.loss,
        "sharpness": found.sharpness,
    }
    return {**numbers, "ΔE is": moved.verdict if moved else "–"}


def _result(done: Answer, base: Answer | None, answers: Answers) -> Result:
    import pandas as pd

    from mtl_core import analysis

    config = done.config
    direction = settings.get(config.setting).task(config.target).direction
    rows = answers.main(done).assign(curve="it")
    reached = analysis.reached(rows, config.target, "it", direction=direction)
    moved = None
    if base is not None:
        both = pd.concat([rows, answers.main(base).assign(curve="alone")], ignore_index=True)
        moved = analysis.transfer(both, analysis.Versus(config.target, "it", "alone", direction))
    own = rows[rows["task"] == config.target].sort_values("step")
    last = own.groupby("seed")["train_loss"].last()
    sharp = own.dropna(subset=["sharpness"]).groupby("seed")["sharpness"].last()
    return Result(
        reached=sum(reached) / len(reached) if reached else math.nan,
        transfer=moved,
        loss=float(last.mean()),
        sharpness=float(sharp.mean()) if len(sharp) else math.nan,
    )


_kept: Kept[Result] = Kept(most=8_192)
