"""§5 of Mueller et al.: what gradient conflict goes with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from mtl_core import analysis
from mtl_core.analysis import FEWEST_SETS, LITTLE, TABLE_FACTORS, Comparison, Versus
from mtl_core.views import comparisons, conflict
from mtl_core.views.comparisons import Pool
from mtl_core.views.conflict import METRIC
from mtl_core.views.evidence.base import OURS, Claim, Judgement, Row, scale, seeds_in_words
from mtl_core.views.evidence.gaps import judged_rows
from mtl_core.views.evidence.known import Known, Points
from mtl_core.views.evidence.numbers import change, correlation, power_of, snapped
from mtl_core.views.measures import Measure, measure
from mtl_core.views.phrases import counted, family, listed, title

__all__ = ["CLAIMS"]

Judge = Callable[[Known, Pool], Judgement]
FISH = "fish"


def _rows(judge: Judge) -> Callable[[Claim, Known], list[Row]]:
    """CIFAR-100's row, and those of our settings that have sets enough."""

    def rows(claim: Claim, known: Known) -> list[Row]:
        def pools(name: str) -> Sequence[Pool]:
            found = known.conflicting(name)
            if name not in OURS:
                return found
            return [pool for pool in found if conflict.telling_sets(pool) >= FEWEST_SETS]

        takes = f"{FEWEST_SETS} auxiliary sets of a target"
        made = judged_rows(claim, known, ("cifar100", *OURS), pools, judge, takes)
        return [_with_sets(row, known) for row in made]

    return rows


def _with_sets(row: Row, known: Known) -> Row:
    """The row, with how many sets there are in place of how many comparisons."""

    if row.query is None:
        return row
    pool = known.conflicting(row.name)[0]
    points = known.points(pool)
    counts = [len(named) for named in points.runs.values()]
    seeds = [len(run.config.seeds) for named in points.runs.values() for run in named.values()]
    least, most = min(counts), max(counts)
    sets = counted(least, "set") if least == most else f"{least} to {most} sets"
    targets = counted(len(counts), "target")
    return replace(row, on=f"{scale(pool.budget, seeds_in_words(seeds))}, {sets} of {targets}")


def _optimization(known: Known, pool: Pool) -> Judgement:
    points = known.points(pool)
    verdict = points.judged.verdict
    number = (
        f"{len(verdict.negative)} negative and {len(verdict.positive)} positive of "
        f"{len(verdict.factors)}"
        if verdict.factors
        else "–"
    )
    told = [
        f"{title(column)} {correlation(one.decides)}"
        for (task, column), one in points.found.items()
        if column in TABLE_FACTORS and (task, column) in verdict.factors and one.decides
    ]
    if told and len(told) <= len(TABLE_FACTORS):
        number += f": {listed(told)}"
    return Judgement(
        verdict.optimization,
        number,
        points.judged.optimization,
        _power(points, [pair for pair in points.found if pair[1] != METRIC], verdict.factors),
    )


def _generalization(known: Known, pool: Pool) -> Judgement:
    points = known.points(pool)
    verdict = points.judged.verdict
    known_ones = [
        (task, one.decides)
        for (task, column), one in points.found.items()
        if column == METRIC and one.decides is not None
    ]
    told = [f"{task} {correlation(one)}" for task, one in known_ones]
    return Judgement(
        verdict.generalization,
        listed(told) or "–",
        points.judged.generalization,
        _power(
            points,
            [pair for pair in points.found if pair[1] == METRIC],
            [(task, METRIC) for task in verdict.targets],
        ),
    )


def _power(points: Points, pairs: Sequence[conflict.Pair], judged: Sequence[conflict.Pair]) -> str:
    """The smallest |r| that would have been found, or the sets that it takes."""
    known = [one for pair in pairs if (one := points.found[pair].decides) is not None]
    held = max((one.held for one in known), default=1)
    most = max((len(named) for named in points.runs.values()), default=0)
    if not judged:
        little = analysis.sets_for_little(held)
        return f"takes {FEWEST_SETS} sets of a target, and {little} to find little; here are {most}"
    sizes = [analysis.detectable_r(one, len(judged)) for one in known]
    found = sorted(size for size in sizes if math.isfinite(size))
    said = [f"80 % power for |r| = {snapped(found[-1]):.2f}"] if found else []
    widest = max((one.ci_high - one.ci_low) / 2 for one in known)
    said.append(
        f"half width of an interval {snapped(widest):.2f}; within ±{LITTLE:g} takes "
        f"{analysis.sets_for_little(held)} sets where r is 0"
    )
    return "; ".join(said)


def _lowest_is_best(known: Known, pool: Pool) -> Judgement:
    """E in the set with the lowest similarity against E in every other set."""
    points = known.points(pool)
    named = points.runs.get(FISH, {})
    similarity = points.similarity.get(FISH, {})
    runs = {name: run for name, run in named.items() if run.config.id in similarity}
    if len(runs) < 2:
        why = f"{FISH} was not trained with several sets here."
        return Judgement("cannot tell", "–", why, f"takes several auxiliary sets of {FISH}")
    lowest = min(runs, key=lambda name: similarity[runs[name].config.id])
    rows = comparisons.trajectories(runs, FISH, known.answers)
    shown = measure(pool.setting.name, FISH)
    found = analysis.judged(
        [
            analysis.transfer(rows, Versus(FISH, lowest, name, shown.direction))
            for name in runs
            if name != lowest
        ]
    )
    moved = [one for one in found if one is not None]
    best = min(moved, key=lambda one: one.delta if shown.direction == "higher" else -one.delta)
    rank = 1 + sum(one.delta < 0 for one in moved)
    lower, higher = (sum(one.verdict == side for one in moved) for side in ("worse", "better"))
    config = runs[lowest].config
    return Judgement(
        analysis.all_of(found, "better"),
        f"rank {rank} of {len(runs)}; against the best other {change(best, shown)}",
        f"The lowest similarity, {snapped(similarity[config.id]):.2f}, is that of {FISH} "
        f"{lowest}; its E is significantly above {higher} and below {lower} of the "
        f"{len(moved)} other sets{family(max(one.family for one in moved))}.",
        _difference_power(moved, shown),
    )


def _difference_power(found: Sequence[Comparison], shown: Measure) -> str:
    said = power_of([(one, shown) for one in found])
    return f"{said} of a difference" if said else ""


_PAGE = (
    "Over auxiliary sets of a target: the correlation with similarity throughout training, given "
    "1/√K with K tasks (the cosine to a sum of K gradients is about 1/√K), over at least 20 sets"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        "conflict_optimization",
        "M24",
        "§5.1, Fig. 5a",
        "The lower the similarity of a task's gradient to the multi-task gradient, the higher its "
        "sharpness, early Fisher information and gradient covariance.",
        f"{_PAGE}. Agree where every correlation is significantly negative, disagree where one is "
        "positive.",
        "conflict",
        _rows(_optimization),
    ),
    Claim(
        "conflict_generalization",
        "M24",
        "§5.2, Fig. 5b",
        "Gradient similarity has very little correlation with a task's generalization.",
        f"{_PAGE}. Agree where the whole interval of each lies within ±{LITTLE:g}, disagree where "
        "one is significant.",
        "conflict",
        _rows(_generalization),
    ),
    Claim(
        "fish",
        "M24",
        "§5.2, Fig. 5b",
        "For CIFAR-100's Fish, the auxiliary set with the lowest gradient similarity generalizes "
        "best of all.",
        "E in that set against E in each other set, paired over seeds, judged together. Agree "
        "where it is certainly above all of them, disagree where it is below one.",
        "conflict",
        lambda claim, known: [
            _with_sets(row, known)
            for row in judged_rows(
                claim,
                known,
                ("cifar100",),
                known.conflicting,
                _lowest_is_best,
                f"several auxiliary sets of {FISH}",
            )
        ],
    ),
)
