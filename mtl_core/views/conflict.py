"""Conflict: what its page shows, as it stands in a URL, and what the runs say there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pandas as pd

from mtl_core import analysis, settings
from mtl_core.analysis import (
    FEWEST_EPOCHS,
    FEWEST_SETS,
    LITTLE,
    READINGS,
    TABLE_FACTORS,
    Aggregate,
    ConflictVerdict,
    Correlation,
    Reading,
    SetsCorrelation,
)
from mtl_core.errors import InputError, unknown
from mtl_core.runs.library.answers import Answer, Answers
from mtl_core.views import codec, comparisons, pool_choice, smtos
from mtl_core.views.codec import Entries, Field, Values
from mtl_core.views.comparisons import Pool, joint
from mtl_core.views.phrases import counted, escaped, family, listed, title

__all__ = [
    "COLUMNS",
    "METRIC",
    "ConflictView",
    "Found",
    "Judged",
    "Named",
    "Pair",
    "aggregates",
    "chosen",
    "interval",
    "judge",
    "most_sets",
    "points",
    "sizes",
    "telling_sets",
]

METRIC = "test_metric"
COLUMNS = (*TABLE_FACTORS, METRIC)
Pair = tuple[str, str]
"""A target and a column."""
Found = Mapping[Pair, SetsCorrelation]
Named = Mapping[str, Mapping[str, Answer]]
"""Targets to their runs by name."""
SEVERAL = 3  # auxiliary sets, from which on a target is drawn without being chosen
RELIABLE = 0.5  # less of the variance of similarity is told beside what it leaves open
_OPTIMIZERS = ("umtg", "all")


@dataclass(frozen=True)
class ConflictView:
    """Targets whose auxiliary sets are points.

    Args:
        budget: a pool's name.
        targets: none takes all that have several sets.
        every_optimizer: whether runs of other optimizers than the plain sum are points too.
        reading: when gradient similarity is read; throughout training, as in M24 §5.1, or early.
        aggregate: how a run becomes one value: E and the bins of App. C.4, or footnote 7.
        size: how many tasks the sets that decide have, with the target; None takes all, given
            their number.
    """

    setting: str
    budget: str
    targets: tuple[str, ...] = ()
    every_optimizer: bool = False
    reading: Reading = "throughout"
    aggregate: Aggregate = "bins"
    size: int | None = None

    @classmethod
    def from_query(
        cls, query: Mapping[str, str], found: Sequence[Pool]
    ) -> "tuple[Self | None, list[str]]":
        """What a URL asks for, and what in it was not understood; None without any runs."""
        there = [pool for pool in found if pool.targets]
        return pool_choice.read(cls, query, there, _fields)

    def to_query(self) -> dict[str, str]:
        return codec.write(self, _fields(()))

    def shown(self, pool: Pool) -> tuple[str, ...]:
        """The targets that are drawn: without a choice, those with most auxiliary sets."""
        if self.targets:
            return self.targets
        counts = {task: len(pool.auxiliary_sets(task)) for task in pool.targets}
        several = [task for task, count in counts.items() if count >= SEVERAL]
        return tuple(several or pool.targets)

    def deciding(self, runs: Sequence[Answer]) -> int:
        """How many different sets of the chosen size these runs have, of any optimizer."""
        sets = {joint(run.config) for run in runs}
        return sum(self.size in (None, len(names)) for names in sets)


def sizes(pool: Pool) -> dict[int, int]:
    """The numbers of tasks that sets have, to how many sets of one target have it at most."""
    found: dict[int, int] = {}
    for task in pool.targets:
        counts: dict[int, int] = {}
        for run in pool.auxiliary_sets(task):
            size = len(run.config.tasks)
            counts[size] = counts.get(size, 0) + 1
        found |= {size: max(count, found.get(size, 0)) for size, count in counts.items()}
    return dict(sorted(found.items()))


def aggregates(pool: Pool) -> tuple[Aggregate, ...]:
    """Those that runs of this budget are long enough for."""
    return ("bins", "footnote") if pool.budget.epochs >= FEWEST_EPOCHS else ("bins",)


def most_sets(pool: Pool) -> tuple[int, int]:
    """How many sets of one size there are where these can decide, then how many there are."""
    alike = max(sizes(pool).values())
    most = max(len(pool.auxiliary_sets(task)) for task in pool.targets)
    return (alike if alike >= FEWEST_SETS else 0), most


def telling_sets(pool: Pool) -> int:
    """Of the target with most auxiliary sets, as many as an outcome takes at most."""
    return min(most_sets(pool)[1], FEWEST_SETS)


# What the runs say.


@dataclass(frozen=True)
class Judged:
    """What the correlations of a page say of both halves of the claim, and why in a sentence."""

    verdict: ConflictVerdict
    optimization: str
    generalization: str


def chosen(view: ConflictView, pool: Pool) -> dict[str, dict[str, Answer]]:
    """The targets of a view to the runs that are their points, by name."""
    return {
        task: comparisons.labels(
            pool.auxiliary_sets(task, every_optimizer=view.every_optimizer), task
        )
        for task in view.shown(pool)
    }


def points(
    view: ConflictView, runs: Named, answers: Answers
) -> tuple[dict[str, pd.DataFrame], dict[Pair, SetsCorrelation]]:
    """By column: a point per target and run; and how it goes with similarity for each target."""
    tables: dict[str, list[pd.DataFrame]] = {column: [] for column in COLUMNS}
    found: dict[Pair, SetsCorrelation] = {}
    for task, named in runs.items():
        if not named:
            continue
        rows = comparisons.trajectories(named, task, answers)
        direction = settings.get(view.setting).task(task).direction
        for column in COLUMNS:
            table = analysis.similarity_points(
                rows,
                task,
                column,
                direction=direction,
                reading=view.reading,
                footnote=view.aggregate == "footnote",
            )
            configs = [named[name].config for name in table["curve"]]
            table = table.assign(
                auxiliaries=[
                    " + ".join(comparisons.seen_from(one, task).auxiliaries) for one in configs
                ],
                tasks=[len(one.tasks) for one in configs],
                optimizer=[one.optimizer for one in configs],
                plain=[smtos.Entry.of(one) == smtos.REFERENCE for one in configs],
                run=[one.id for one in configs],
                target=task,
                curve=task,
            )
            counts = table[table["early_checkpoints"] > 0]
            found[task, column] = analysis.correlate_sets(counts, view.size)
            tables[column].append(table)
    return {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}, found


def judge(view: ConflictView, runs: Named, found: Found) -> Judged:
    """Hold both halves of the claim against the correlations of ``points``."""
    sets = {task: view.deciding(list(named.values())) for task, named in runs.items()}
    verdict = analysis.conflict_verdict(
        {pair: one.decides for pair, one in found.items()},
        sets,
        METRIC,
        reliability={pair: one.reliability for pair, one in found.items()},
    )
    return Judged(
        verdict,
        _optimization(verdict, view, sets),
        _generalization(verdict, found, view, sets),
    )


def interval(found: Correlation | None) -> str:
    """r with its 95 % interval."""
    if found is None:
        return "–"
    if found.ci_low != found.ci_low:
        return f"{found.pearson_r:+.2f}"
    return f"{found.pearson_r:+.2f} ({found.ci_low:+.2f} … {found.ci_high:+.2f})"


def _optimization(verdict: ConflictVerdict, view: ConflictView, sets: Mapping[str, int]) -> str:
    if not verdict.factors:
        return _missing(view, sets)
    judged = family(len(verdict.factors))
    if verdict.positive:
        names = listed(list(dict.fromkeys(title(factor) for _, factor in verdict.positive)))
        return (
            f"**{len(verdict.positive)} of {len(verdict.factors)}** correlations of similarity "
            f"with a factor are significantly *positive*{judged}: more conflict goes with lower "
            f"{names}."
        )
    return (
        f"**{len(verdict.negative)} of {len(verdict.factors)}** correlations of similarity with a "
        f"factor are significantly negative{judged}, and none is significantly positive."
    )


def _generalization(
    verdict: ConflictVerdict, found: Found, view: ConflictView, sets: Mapping[str, int]
) -> str:
    if not verdict.targets:
        return _missing(view, sets)
    judged = family(len(verdict.targets))
    if verdict.predicted:
        said = listed([_said(found, task) for task in verdict.predicted])
        return (
            f"For **{len(verdict.predicted)} of {counted(len(verdict.targets), 'target')}** "
            f"similarity is significantly correlated with the test metric{judged}: {said}."
        )
    if verdict.generalization == "agree":
        said = listed([_said(found, task) for task in verdict.targets])
        return f"The whole 95 % interval of r lies within ±{LITTLE:g}, noise allowed for: {said}."
    open_ = [task for task in verdict.targets if task not in verdict.little]
    said = listed([_said(found, task) for task in open_])
    reliability = {task: found[task, METRIC].reliability for task in open_}
    noisy = [escaped(task) for task, share in reliability.items() if share < RELIABLE]
    unsaid = [task for task, share in reliability.items() if share != share]
    why = ""
    if noisy:
        why = f"; and most of what similarity differs by between sets of {listed(noisy)} is noise"
    elif unsaid:
        why = "; and with one seed the noise of similarity is not known"
    return (
        f"No correlation with the test metric is significant{judged}, but more than ±{LITTLE:g} "
        f"is not ruled out: {said}{why}."
    )


def _said(found: Found, task: str) -> str:
    return f"{escaped(task)}, r = {interval(found[task, METRIC].decides)}"


def _missing(view: ConflictView, sets: Mapping[str, int]) -> str:
    """What it takes for an outcome."""
    of = "" if view.size is None else f" of {view.size} tasks"
    most = max(sets.values(), default=0)
    if most < FEWEST_SETS:
        return (
            f"No target has more than {counted(most, 'auxiliary set')}{of}; an outcome takes "
            f"{FEWEST_SETS} of one target."
        )
    return (
        f"No factor or metric has a value in {FEWEST_SETS} auxiliary sets{of} of a target: it is "
        "measured too rarely to be read at comparable loss."
    )


# The URL.


def _fields(there: Sequence[Pool]) -> Entries:
    def pool(values: Values) -> Pool:
        return pool_choice.pool(there, values)

    def aggregate(text: str, values: Values) -> str:
        word = codec.one_of("aggregate", ("bins", "footnote"))(text, values)
        if word not in aggregates(pool(values)):
            raise InputError(
                f"footnote 7's counts take {FEWEST_EPOCHS} epochs, and these runs have "
                f"{pool(values).budget.epochs}"
            )
        return str(word)

    def size(text: str, values: Values) -> int:
        known = [str(each) for each in sizes(pool(values))]
        if text not in known:
            raise unknown("size", text, known)
        return int(text)

    return (
        *pool_choice.place(there, most_sets, telling_sets),
        Field(
            "targets",
            codec.some_of("target", lambda values: pool(values).targets),
            " ".join,
            default=(),
            usually="all",
        ),
        Field(
            "optimizers",
            codec.either("optimizers", _OPTIMIZERS),
            _OPTIMIZERS.__getitem__,
            default=ConflictView.every_optimizer,
            at=("every_optimizer",),
        ),
        Field("reading", codec.one_of("reading", READINGS), default=ConflictView.reading),
        Field("aggregate", aggregate, default=ConflictView.aggregate),
        Field("size", codec.or_all(size), default=ConflictView.size),
    )
