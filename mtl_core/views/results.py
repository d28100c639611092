"""Results in the library's table: what an experiment reached, beside what it is."""

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from mtl_core import settings
from mtl_core.analysis.significance import Verdict
from mtl_core.checks import with_seeds
from mtl_core.errors import InputError, quoted, unknown
from mtl_core.kept import Kept
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import measures
from mtl_core.views.library import Entry

if TYPE_CHECKING:
    import pandas as pd

    from mtl_core.analysis import Comparison

__all__ = [
    "RESULTS",
    "Condition",
    "Result",
    "conditions",
    "passing",
    "result",
    "short",
    "with_results",
]

RESULTS: Mapping[str, str] = {
    "E": "E: the test metric at the best validation epoch, mean over seeds",
    "ΔE": "ΔE: the difference to the single task of the same budget",
    "ΔE from": "lower end of ΔE's 95 % interval",
    "ΔE to": "upper end of ΔE's 95 % interval",
    "ΔE is": "better, worse, not significant or too few seeds, by that interval alone",
    "final L": "training loss at the last checkpoint, mean over seeds",
    "sharpness": "sharpness where it was measured last, mean over seeds",
}
"""Columns that are computed from an experiment's rows, with what they are."""


_VERDICTS: tuple[str, ...] = get_args(Verdict)
_ORDERS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"(.+?)\s*(>=|<=|>|<)\s*(\S+)")
_MOST_CONDITIONS = 10


@dataclass(frozen=True)
class Condition:
    """What a result must be: ``ΔE > 1``, ``ΔE is better``.

    Args:
        order: one of ``>=``, ``<=``, ``>`` and ``<``; ``is`` for a verdict.
        value: in the unit of the table's column; or the verdict.
    """

    column: str
    order: str
    value: float | str

    def holds(self, line: Mapping[str, Any]) -> bool:
        """Whether it does for a line of the table; never for what is not known."""
        if isinstance(self.value, str):
            return bool(line[self.column] == self.value)
        return _ORDERS[self.order](line[self.column], self.value)

    def __str__(self) -> str:
        if isinstance(self.value, str):
            return f"{self.column} {self.value}"
        return f"{self.column} {self.order} {self.value:g}"


def conditions(text: str) -> tuple[Condition, ...]:
    """What a reader asks of results: ``ΔE > 1, E >= 90, ΔE is better``.

    Columns may be written as in a URL, too: ``delta > 1``.

    Raises:
        InputError: naming the part that says nothing.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > _MOST_CONDITIONS:
        raise InputError(f"{len(parts)} conditions are more than {_MOST_CONDITIONS}")
    return tuple(dict.fromkeys(map(_condition, parts)))


def passing(
    entries: Sequence[Entry], answers: Answers, asked: Sequence[Condition]
) -> Sequence[Entry]:
    """The entries whose results are as asked for; an entry without a result has none."""
    if not asked:
        return entries

    def as_asked(entry: Entry) -> bool:
        line = _line(entry, result(entry, answers))
        return all(condition.holds(line) for condition in asked)

    return [entry for entry in entries if as_asked(entry)]


def short(column: str) -> str:
    """A column's name in a URL: ``delta_from``."""
    return column.replace("Δ", "delta_").replace(" ", "_").lower().replace("delta_e", "delta")


def _condition(part: str) -> Condition:
    names = {
        form: one
        for one in RESULTS
        for form in (one.casefold(), short(one), short(one).replace("_", " "))
    }
    for verdict in _VERDICTS:
        words = part.casefold().removesuffix(verdict)
        if words != part.casefold() and names.get(words.strip()) == "ΔE is":
            return Condition("ΔE is", "is", verdict)
    found = _CONDITION.fullmatch(part)
    if found is None:
        raise InputError(
            f"{quoted(part)} is no condition; write a column, > or <, and a number, such as "
            "ΔE > 1, or ΔE is better"
        )
    name, order, value = found.groups()
    column = names.get(name.casefold())
    if column is None or column == "ΔE is":
        raise unknown("number of results", name, [one for one in RESULTS if one != "ΔE is"])
    try:
        number = float(value.replace("−", "-").rstrip("%"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{quoted(value)} in {quoted(part)} is not a number")
    return Condition(column, order, number)


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
